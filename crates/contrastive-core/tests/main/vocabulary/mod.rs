//! The axes of the vocabulary one by one, each against a definition written out by hand; 1-to-K and meta-nodes on top of them.

mod axes;
mod meta_nodes;
mod one_to_k;

use crate::common;
use burn::tensor::{DType, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Uniform numbers in [-1, 1).
fn uniform(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()
}

/// A leaf in f64 where the device has it.
fn leaf(values: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
    common::tracked(values, shape, if common::has_f64() { DType::F64 } else { DType::F32 })
}

/// How far values and gradients may be apart.
fn tolerance() -> f64 {
    if common::has_f64() { 1e-10 } else { 2e-4 }
}

fn number(value: Tensor<1>) -> f64 {
    common::values(&value)[0]
}

/// The gradient of `value` by `leaf`.
fn gradient(value: &Tensor<1>, leaf: &Tensor<2>) -> Vec<f64> {
    common::values(&leaf.grad(&value.backward()).expect("a gradient"))
}

fn near(what: &str, got: f64, want: f64) {
    let tolerance = tolerance();
    assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "{what}: {got} instead of {want}");
}

/// Central differences of `f` at `values`.
fn differences(values: &[f64], f: impl Fn(Vec<f64>) -> f64) -> Vec<f64> {
    let step = 1e-6;
    let moved = |k: usize, by: f64| {
        let mut v = values.to_vec();
        v[k] += by;
        f(v)
    };
    (0..values.len()).map(|k| (moved(k, step) - moved(k, -step)) / (2.0 * step)).collect()
}

fn all_near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    common::assert_close(got, want, tolerance, tolerance, what);
}
