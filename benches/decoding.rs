//! Contrastive search beside greedy search, and its ways to run candidates.
//!
//! ```text
//! cargo bench --bench decoding -- [--quick]
//! ```
//!
//! A GPT-2 shape of two blocks (width 128, vocabulary 4,000; without `--quick` six blocks of width 384, 16,000), eight prompts of 32 tokens, 50 new
//! ones, k = 5. CPU time of a run in ratio to greedy search, tokens a CPU second, and the most memory beside the model: viewed candidates read
//! the keys of their prompt where they are, expanded ones a copy each.

use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use contrastive::Device;
use contrastive::nn::encoder::{TokenEncoder, TokenEncoderConfig, TransformerConfig};
use contrastive::text::decode::{Candidates, ContrastiveSearch, Decoder, Decoding, Prompts};
use measure::{Measured, Work, measure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

mod measure;

#[derive(Parser)]
struct Options {
    /// A smaller model, shorter measurements.
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

const PROMPTS: usize = 8;
const NEW: usize = 50;

fn main() {
    let options = Options::parse();
    let (width, heads, layers, vocabulary) = if options.quick { (128, 4, 2, 4_000) } else { (384, 6, 6, 16_000) };
    let config = TokenEncoderConfig::gpt2(vocabulary, 32 + NEW, TransformerConfig::gpt2(width, heads, layers));
    let model: TokenEncoder =
        config.init(&mut ChaCha8Rng::seed_from_u64(1), &Device::flex()).expect("a model of these sizes");
    let list = |row: usize| (0..32).map(|at| ((row * 7919 + at * 104_729) % vocabulary) as u32).collect();
    let prompts = Prompts::new((0..PROMPTS).map(list).collect()).expect("prompts");
    let search = |candidates| Decoding::Contrastive(ContrastiveSearch::new(5, 0.6).with_candidates(candidates));
    let forms = [
        ("greedy", Decoding::Greedy),
        ("beam 5", Decoding::Beam { width: 5, length_penalty: 1.0 }),
        ("contrastive, viewed", search(Candidates::Viewed)),
        ("contrastive, expanded", search(Candidates::Expanded)),
        ("contrastive, one by one", search(Candidates::OneByOne)),
    ];
    let works: Vec<Work> = forms
        .iter()
        .map(|(_, decoding)| -> Work {
            let decoder = Decoder::new(*decoding, NEW);
            let (model, prompts) = (&model, &prompts);
            Box::new(move || {
                let decoded = decoder.decode(model, prompts).expect("texts");
                let last: Vec<f64> = decoded.texts.iter().map(|text| text.log_probability()).collect();
                let values = Tensor::<1>::from_data(TensorData::new(last, [PROMPTS]), &Device::flex());
                (values.clone().sum(), values.reshape([PROMPTS, 1]))
            })
        })
        .collect();
    let seconds = if options.quick { 0.5 } else { 6.0 };
    let mut all = vec![Measured::default(); forms.len()];
    for _ in 0..3 {
        for (work, all) in works.iter().zip(&mut all) {
            all.merge(measure(work, seconds / 3.0, true));
        }
    }
    println!("| decoder | CPU time, greedy = 1 | tokens a CPU second | most memory, MiB |\n|---|---|---|---|");
    for ((name, _), measured) in forms.iter().zip(&all) {
        let (each, greedy) = (measured.cpu_each(), all[0].cpu_each());
        let tokens = (PROMPTS * NEW) as f64 / each;
        println!("| {name} | {:.2} | {tokens:.0} | {:.1} |", each / greedy, measured.bytes as f64 / f64::from(1 << 20));
    }
}
