//! Small data and settings that the tests share.

use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_text::data::generate::{GenerateOptions, Generated, paraphrases};
use contrastive_text::data::{Corpus, Tokens};
use contrastive_text::encoder::SmallEncoderConfig;
use contrastive_train::{Budget, Step, TrainingConfig};
use std::sync::Arc;

pub fn device() -> Device {
    Device::default()
}

pub fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.clone().into_data().iter::<f64>().collect()
}

pub fn value(x: &Tensor<1>) -> f64 {
    values(x)[0]
}

/// Different numbers for different seeds, in f64, on an autodiff device and tracked.
pub fn rows(seed: u64, [n, d]: [usize; 2]) -> Tensor<2> {
    let number = |k: usize| (((k as f64 + 1.0) * 1.7 + seed as f64 * 0.9) * 12.9898).sin() + 0.1 * (seed as f64);
    let data = TensorData::new((0..n * d).map(number).collect::<Vec<f64>>(), [n, d]);
    Tensor::from_data(data, (&device().autodiff(), DType::F64)).require_grad()
}

/// The cosine of two rows.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

pub fn small() -> Generated {
    paraphrases(&GenerateOptions { sentences: 80, pairs: 40, triples: 40, seed: 1 })
}

pub fn words_of(generated: &Generated) -> Arc<Tokens> {
    let texts = generated.sentences.iter().chain(generated.triples.iter().flatten());
    Arc::new(Tokens::words(texts, 1, 4).unwrap())
}

/// Some 80 generated sentences, with validation pairs.
pub fn corpus() -> Corpus {
    let generated = small();
    let corpus = Corpus::sentences("small", &generated.sentences, words_of(&generated), 32).unwrap();
    corpus.with_validation(&generated.validation).unwrap()
}

/// Some 40 generated triples.
pub fn triples() -> Corpus {
    let generated = small();
    Corpus::triples("triples", &generated.triples, words_of(&generated), 32).unwrap()
}

pub fn small_encoder(dropout: f64) -> SmallEncoderConfig {
    SmallEncoderConfig::new().with_width(8).with_dropout(dropout)
}

pub fn small_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Epochs(3), 16, 3e-3)
}

/// The first step of a run.
pub fn first_step() -> Step {
    Step { epoch: 1, in_epoch: 0, global: 0, steps: 1, batch: 0, sub_step: 0, seed: 5, rank: 0, world: 1 }
}

#[track_caller]
pub fn close(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{what}: {got}, expected {want}");
}
