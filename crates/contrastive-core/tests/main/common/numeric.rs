//! Gradients of functions of several tables, compared with each other and with finite differences, in f64.
#![allow(dead_code)]

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn normal(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Vec<f64> {
    (0..rows * width).map(|_| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0).collect()
}

pub fn leaf(values: &[f64], width: usize) -> Tensor<2> {
    tracked(values.to_vec(), [values.len() / width, width], DType::F64)
}

pub fn queue(values: &[f64], width: usize) -> Queue {
    let mut queue = Queue::new(values.len() / width, width, (&device(), DType::F64)).unwrap();
    queue.push(leaf(values, width));
    queue
}

/// Value and the gradients of the leaves (zeros where none arrives), with an upstream factor.
pub fn gradients(tables: &[Vec<f64>], width: usize, f: impl Fn(&[Tensor<2>]) -> Tensor<1>) -> (f64, Vec<Vec<f64>>) {
    gradients_in(DType::F64, tables, width, f)
}

/// The same of leaves of a type.
pub fn gradients_in(
    dtype: DType,
    tables: &[Vec<f64>],
    width: usize,
    f: impl Fn(&[Tensor<2>]) -> Tensor<1>,
) -> (f64, Vec<Vec<f64>>) {
    let leaves: Vec<_> = tables.iter().map(|t| tracked(t.clone(), [t.len() / width, width], dtype)).collect();
    let value = f(&leaves);
    let all = (value.clone() * 3.0).backward();
    let of = |x: &Tensor<2>| x.grad(&all).map_or(vec![0.0; x.dims()[0] * width], |g| values(&(g / 3.0)));
    (values(&value)[0], leaves.iter().map(of).collect())
}

/// Central differences along random directions of every leaf whose gradient is wanted.
pub fn differences(what: &str, tables: &[Vec<f64>], width: usize, among: usize, f: impl Fn(&[Tensor<2>]) -> Tensor<1>) {
    let (_, expected) = gradients(tables, width, &f);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for k in 0..among {
        let direction: Vec<f64> = tables[k].iter().map(|_| rng.random::<f64>() - 0.5).collect();
        let at = |h: f64| {
            let mut moved = tables.to_vec();
            moved[k].iter_mut().zip(&direction).for_each(|(x, d)| *x += h * d);
            gradients(&moved, width, &f).0
        };
        let h = 1e-4;
        // fourth order
        let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let exact: f64 = expected[k].iter().zip(&direction).map(|(g, d)| g * d).sum();
        let error = (numeric - exact).abs();
        assert!(
            error < 1e-8 * (1.0 + exact.abs()),
            "{what}, input {k}: {exact} by the gradient, {numeric} by differences"
        );
    }
}

pub fn same(what: &str, a: (f64, Vec<Vec<f64>>), b: (f64, Vec<Vec<f64>>), tolerance: f64) {
    close(what, &[a.0], &[b.0], tolerance, tolerance);
    for (k, (a, b)) in a.1.iter().zip(&b.1).enumerate() {
        close(&format!("{what}, gradient {k}"), a, b, tolerance, tolerance);
    }
}
