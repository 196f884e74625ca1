//! The worked inputs that the checks share, and small tools.

use crate::common::*;
use crate::unpaired::support::{one, wide};
use burn::tensor::{Tensor, TensorData};

/// `sin(0.7 i + 1.3 j + 0.2 i j + phase)`, rows brought to length 1.
pub fn worked(rows: usize, width: usize, phase: f64) -> Vec<f64> {
    let raw = (0..rows * width).map(|at| {
        let (i, j) = ((at / width) as f64, (at % width) as f64);
        (0.7 * i + 1.3 * j + 0.2 * i * j + phase).sin()
    });
    units(raw.collect(), width)
}

/// Rows of length 1.
pub fn units(mut values: Vec<f64>, width: usize) -> Vec<f64> {
    for row in values.chunks_mut(width) {
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    values
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Z1 and Z2, four rows of three numbers, and the queue U of five.
pub fn views() -> [Tensor<2>; 2] {
    [0.0, 0.35].map(|phase| tracked(worked(4, 3, phase), [4, 3], wide()))
}

pub fn stored() -> Tensor<2> {
    constant(worked(5, 3, 1.9), [5, 3])
}

/// A constant on autodiff.
pub fn constant<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(wide()), (&device().autodiff(), wide()))
}

pub fn bound() -> f64 {
    if has_f64() { 2e-9 } else { 1e-5 }
}

/// Compares one number.
pub fn near(what: &str, got: f64, expected: f64, tolerance: f64) {
    close(what, &[got], &[expected], tolerance, tolerance);
}

pub fn near_value(what: &str, got: Tensor<1>, expected: f64) {
    near(what, one(got), expected, bound());
}

/// Fails unless the words are in the message.
pub fn says(error: impl std::fmt::Display, words: &str) {
    let message = error.to_string();
    assert!(message.contains(words), "{message:?} does not speak of {words:?}");
}
