//! What the specifications ask of an implementation and no other test of this crate shows: one module for each group of them, and
//! small trainings on real digits.

mod assignments;
mod blocks;
mod decoupled;
mod image_text;
mod positions;
mod sentences;
mod series;
mod trained;
mod two_views;

use burn::tensor::Tensor;

/// The gradient of `value` by `leaf`.
fn gradient<const D: usize>(value: Tensor<1>, leaf: &Tensor<D>) -> Vec<f64> {
    crate::common::values(&leaf.grad(&value.backward()).expect("a gradient"))
}

/// How far numbers may be apart that are the same but for rounding.
fn tight() -> f64 {
    if crate::common::has_f64() { 1e-10 } else { 1e-4 }
}

/// The rows of a matrix in another order.
pub(crate) fn reordered(x: &Tensor<2>, order: &[usize]) -> Tensor<2> {
    let d = x.dims()[1];
    Tensor::cat(order.iter().map(|&i| x.clone().slice([i..i + 1, 0..d])).collect(), 0)
}
