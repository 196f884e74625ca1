//! Cosines of rows that stand beside each other, and what losses of given pairs of sentences share. All are linear in the number of pairs: CoSENT
//! and AnglE, which compare every pair with every other, by sorting.

use crate::objective::{check_types, computed};
use crate::similarity::unit_rows;
use burn::tensor::Tensor;

pub(crate) fn check(scores: usize, labels: &[f64]) {
    assert!(scores > 0 && labels.len() == scores, "{} labels for {scores} pairs", labels.len());
    assert!(labels.iter().all(|l| l.is_finite()), "labels of pairs must be finite");
}

/// `[n, 1]` cosines of rows with rows.
pub(crate) fn cosine_column(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
    let ([n, d], [m, e]) = (first.dims(), second.dims());
    assert!(n > 0 && d > 0 && (n, d) == (m, e), "pairs of rows [{n}, {d}] and [{m}, {e}]");
    check_types(&[("the first rows of pairs", first.dtype()), ("the second rows of pairs", second.dtype())]);
    (unit_rows(computed(first)) * unit_rows(computed(second))).sum_dim(1)
}

/// The same as `[n]`.
pub(crate) fn cosines(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
    let n = first.dims()[0];
    cosine_column(first, second).reshape([n])
}
