//! Small data and settings that the tests share.

use burn::tensor::{Device, Tensor};
use contrastive_seqrec::data::generate::{GenerateOptions, markov_intents};
use contrastive_seqrec::data::{LeaveOneOut, Sequences, ShortUsers};
use contrastive_seqrec::encoder::EncoderConfig;
use contrastive_seqrec::method::SasRecConfig;
use contrastive_train::{Budget, Step, TrainingConfig};

pub fn device() -> Device {
    Device::default()
}

pub fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.clone().into_data().iter::<f64>().collect()
}

pub fn value(x: &Tensor<1>) -> f64 {
    values(x)[0]
}

/// Some 120 users with 4 to 12 events of 30 items.
pub fn small_split() -> LeaveOneOut {
    let options = GenerateOptions { users: 120, items: 30, intents: 3, length: (4, 12), ..GenerateOptions::default() };
    LeaveOneOut::new(&markov_intents(&options).unwrap().sequences, ShortUsers::Refuse).unwrap()
}

pub fn split_of(lists: &[Vec<u32>], items: usize) -> LeaveOneOut {
    LeaveOneOut::new(&Sequences::from_lists("mine", lists, items).unwrap(), ShortUsers::Drop).unwrap()
}

pub fn small_encoder(dropout: f64) -> EncoderConfig {
    let config = EncoderConfig::new().with_dim(8).with_inner(16).with_layers(2).with_max_len(12);
    config.with_dropout(dropout).with_attention_dropout(dropout)
}

/// Small settings that train in a moment.
pub fn small_base(dropout: f64) -> SasRecConfig {
    let training = TrainingConfig::new(Budget::Epochs(3), 64, 3e-3);
    SasRecConfig::new().with_encoder(small_encoder(dropout)).with_training(training)
}

/// The first step of a run.
pub fn first_step() -> Step {
    Step { epoch: 1, in_epoch: 0, global: 0, steps: 1, batch: 0, sub_step: 0, seed: 5, rank: 0, world: 1 }
}

/// Are these numbers the same to this relative difference?
pub fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let scale = want.abs().max(1.0);
        assert!((got - want).abs() <= tolerance * scale, "{what}, {at}: {got}, expected {want}");
    }
}
