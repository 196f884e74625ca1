//! Binary cross-entropy of a positive and sampled negatives.

use crate::objective::{computed, softplus};
use burn::tensor::{Bool, Tensor, TensorData};

/// SASRec's objective (Kang and McAuley 2018, equation 6): the positive item of every state is distinguished from a sampled one,
///
/// ```text
/// loss = 1 / N  sum over the N real states of  -log sigmoid(s . p) - log(1 - sigmoid(s . n))
/// ```
///
/// States, positives and negatives are `[n, d]`, row by row (sequences flattened); `real` says which rows are no padding.
/// The value is `[1]`; 0 where nothing is real. Scores of any size are safe.
///
/// # Panics
/// When the shapes differ, or `real` does not have n entries.
pub fn sampled_bce(states: Tensor<2>, positives: Tensor<2>, negatives: Tensor<2>, real: &[bool]) -> Tensor<1> {
    assert_eq!(states.dims(), positives.dims(), "the shapes of states and positives");
    assert_eq!(states.dims(), negatives.dims(), "the shapes of states and negatives");
    let [states, positives, negatives] = [states, positives, negatives].map(computed);
    let n = states.dims()[0];
    let positive = (states.clone() * positives).sum_dim(1).reshape([n]);
    sampled_bce_from_scores(positive, (states * negatives).sum_dim(1), real)
}

/// The same from scores: of the positives `[n]`, and of k negatives for each, `[n, k]`, whose terms are summed.
///
/// # Panics
/// When the shapes do not fit, or `real` does not have n entries.
pub fn sampled_bce_from_scores(positives: Tensor<1>, negatives: Tensor<2>, real: &[bool]) -> Tensor<1> {
    let ([n], [rows, k]) = (positives.dims(), negatives.dims());
    assert_eq!(n, rows, "scores of positives [{n}] and of negatives [{rows}, {k}]");
    assert_eq!(n, real.len(), "scores [{n}] and which of them are real");
    let padding: Vec<bool> = real.iter().map(|real| !real).collect();
    let padding = Tensor::<1, Bool>::from_data(TensorData::new(padding, [n]), &positives.device());
    let (positives, negatives) = (computed(positives), computed(negatives));
    let rows = softplus(positives * -1.0) + softplus(negatives).sum_dim(1).reshape([n]);
    let count = real.iter().filter(|real| **real).count();
    rows.mask_fill(padding, 0.0).sum() * (1.0 / count.max(1) as f64)
}
