//! Time series: golden values, identities, checks of the specifications, bad input.

#[path = "../../../../tests/golden/mod.rs"]
mod reference;

mod augment;
mod autotcl;
mod bad_input;
mod comet;
mod conv1d;
mod data;
mod encoder;
mod evaluate;
mod halp;
mod simulator;
mod ts2vec;
mod unimts;

use burn::tensor::{Device, Tensor};
use contrastive_timeseries::data::Series;
use contrastive_train::{Method, Step};
use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn uniform(shape: (usize, usize, usize), seed: u64) -> Array3<f32> {
    let mut rng = generator(seed);
    Array3::from_shape_simple_fn(shape, || rng.random::<f32>() * 2.0 - 1.0)
}

fn series_of(shape: (usize, usize, usize), seed: u64) -> Series {
    Series::from_array(&uniform(shape, seed)).unwrap()
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.clone().into_data().iter::<f64>().collect()
}

/// Where a training is at a batch of an epoch.
fn step(epoch: usize, batch: usize, seed: u64) -> Step {
    Step { epoch, in_epoch: batch, global: batch, steps: 2, batch, sub_step: 0, seed, rank: 0, world: 1 }
}

/// The sum of the losses of a batch.
fn total<M: Method>(method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Tensor<1> {
    method.losses(model, batch, step).unwrap().into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).unwrap()
}

/// Some entries of a gradient against differences of a loss in f32; `at` is the loss with this added to an entry.
#[track_caller]
fn slopes(gradient: &[f64], h: f64, mut at: impl FnMut(usize, f64) -> f64) {
    let largest = gradient.iter().fold(0f64, |most, g| most.max(g.abs()));
    assert!(largest > 1e-3, "there is a gradient: {largest}");
    for k in (0..gradient.len()).step_by(gradient.len().div_ceil(12)) {
        let want = (at(k, h) - at(k, -h)) / (2.0 * h);
        assert!((gradient[k] - want).abs() < 0.02 * largest, "{k}: {} instead of {want}", gradient[k]);
    }
}

fn device() -> Device {
    Device::default()
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    for (at, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= bound, "{what}[{at}]: {a} instead of {b}");
    }
}
