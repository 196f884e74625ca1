//! Beam search.

use super::distribution::Distribution;
use super::{Continuation, DecodeError, Decoded, Decoder, Prompts};
use contrastive_core::linear::gather_rows;
use contrastive_nn::Ragged;
use contrastive_nn::encoder::Cache;
use contrastive_nn::model::LanguageModel;

/// A text in the making, and the sum of its log-probabilities, that of an end token included.
#[derive(Clone, Debug, Default)]
struct Hypothesis {
    text: Continuation,
    sum: f64,
}

impl Hypothesis {
    fn with(&self, token: u32, log: f64, end: Option<u32>) -> Self {
        let mut longer = Self { text: self.text.clone(), sum: self.sum + log };
        longer.text.takes(token, log, end);
        longer
    }

    /// The end token counts as one.
    fn score(&self, length_penalty: f64) -> f64 {
        let length = self.text.tokens.len() + usize::from(self.text.ended);
        self.sum / (length.max(1) as f64).powf(length_penalty)
    }
}

/// The hypotheses of a prompt: those that go on, and those that have ended.
struct Beams {
    live: Vec<Hypothesis>,
    ended: Vec<Hypothesis>,
}

/// A text that has ended keeps its place until as many have ended as there are hypotheses; then the prompt is done. The best of all by
/// score is the answer.
pub(super) fn decode<M: LanguageModel>(
    decoder: &Decoder,
    width: usize,
    length_penalty: f64,
    model: &M,
    prompts: &Prompts,
) -> Result<Decoded, DecodeError> {
    let (ids, lists) = prompts.packed();
    let mut cache = Cache::new(prompts.len());
    let hidden = model.hidden(&ids, &lists, &mut cache);
    let mut logits = model.logits(gather_rows(hidden, &lists.last_rows()));
    let start = || Beams { live: vec![Hypothesis::default()], ended: Vec::new() };
    let mut beams: Vec<Beams> = (0..prompts.len()).map(|_| start()).collect();
    for step in 0..decoder.max_new {
        // one row for each live hypothesis, prompt by prompt
        let rows: Vec<usize> =
            beams.iter().enumerate().flat_map(|(prompt, of)| std::iter::repeat_n(prompt, of.live.len())).collect();
        let distributions = Distribution::rows(logits, &rows, step)?;
        let (mut next, mut parents, mut first) = (Vec::new(), Vec::new(), 0);
        for of in &mut beams {
            let own = &distributions[first..first + of.live.len()];
            let taken = advance(of, own, width, decoder.end);
            next.extend(taken.iter().map(|(_, token)| *token));
            parents.extend(taken.iter().map(|(parent, _)| first + parent));
            first += own.len();
        }
        if next.is_empty() || step + 1 == decoder.max_new {
            break;
        }
        cache = cache.select(&parents);
        logits = model.logits(model.hidden(&next, &Ragged::even(next.len(), 1), &mut cache));
    }
    let best = |beams: Beams| {
        let all = beams.ended.into_iter().chain(beams.live);
        let best = all.reduce(|a, b| if b.score(length_penalty) > a.score(length_penalty) { b } else { a });
        best.map_or_else(Continuation::default, |best| best.text)
    };
    Ok(Decoded { texts: beams.into_iter().map(best).collect(), notes: Vec::new() })
}

/// The next hypotheses; each one's parent and token.
fn advance(beams: &mut Beams, of: &[Distribution], width: usize, end: Option<u32>) -> Vec<(usize, u32)> {
    if beams.live.is_empty() {
        return Vec::new();
    }
    // each parent can lose one token to an end
    let of_parent = |(parent, of): (usize, &Distribution)| {
        let sum = beams.live[parent].sum;
        let tokens = of.top(width + 1);
        tokens.into_iter().map(|token| (sum + of.log(token), parent, token)).collect::<Vec<_>>()
    };
    let mut options: Vec<(f64, usize, u32)> = of.iter().enumerate().flat_map(of_parent).collect();
    options.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut live, mut taken) = (Vec::with_capacity(width), Vec::with_capacity(width));
    for (rank, (_, parent, token)) in options.into_iter().enumerate() {
        let hypothesis = beams.live[parent].with(token, of[parent].log(token), end);
        match hypothesis.text.ended {
            true if rank < width => beams.ended.push(hypothesis),
            false if live.len() < width => {
                live.push(hypothesis);
                taken.push((parent, token));
            }
            _ => (),
        }
    }
    if beams.ended.len() >= width {
        beams.live.clear();
        return Vec::new();
    }
    beams.live = live;
    taken
}
