//! Decoders that choose each token from the model's probabilities alone.

use super::distribution::Distribution;
use super::{Continuation, DecodeError, Decoded, Decoder, Decoding, Prompts};
use contrastive_core::linear::gather_rows;
use contrastive_nn::Ragged;
use contrastive_nn::encoder::Cache;
use contrastive_nn::model::LanguageModel;
use rand_chacha::ChaCha8Rng;

pub(super) fn decode<M: LanguageModel>(
    decoder: &Decoder,
    model: &M,
    prompts: &Prompts,
) -> Result<Decoded, DecodeError> {
    let mut texts = vec![Continuation::default(); prompts.len()];
    let mut rngs: Vec<ChaCha8Rng> = (0..prompts.len()).map(|row| decoder.rng(row)).collect();
    let mut rows: Vec<usize> = (0..prompts.len()).collect();
    let (ids, lists) = prompts.packed();
    let mut cache = Cache::new(prompts.len());
    let hidden = model.hidden(&ids, &lists, &mut cache);
    let mut logits = model.logits(gather_rows(hidden, &lists.last_rows()));
    for step in 0..decoder.max_new {
        let (mut next, mut kept) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (at, (of, &row)) in Distribution::rows(logits, &rows, step)?.iter().zip(&rows).enumerate() {
            let token = choose(decoder, of, &mut rngs[row]);
            if !texts[row].takes(token, of.log(token), decoder.end) {
                next.push(token);
                kept.push(at);
            }
        }
        if next.is_empty() || step + 1 == decoder.max_new {
            break;
        }
        if kept.len() < rows.len() {
            cache = cache.select(&kept);
            rows = kept.iter().map(|at| rows[*at]).collect();
        }
        logits = model.logits(model.hidden(&next, &Ragged::even(next.len(), 1), &mut cache));
    }
    Ok(Decoded { texts, notes: Vec::new() })
}

fn choose(decoder: &Decoder, of: &Distribution, rng: &mut ChaCha8Rng) -> u32 {
    let of = || of.at(decoder.temperature);
    match decoder.decoding {
        Decoding::TopK { k } => of().draw_top(k, rng),
        Decoding::Nucleus { p } => of().draw_nucleus(p, rng),
        Decoding::Typical { mass } => of().draw_typical(mass, rng),
        _ => of().top(1)[0],
    }
}
