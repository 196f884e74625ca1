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
mod ts2vec;

use burn::tensor::{Device, Tensor};
use contrastive_timeseries::data::Series;
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
