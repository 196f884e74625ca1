//! Binary cross-entropy of a positive and sampled negatives.

use crate::objective::{check_types, computed, softplus};
use burn::tensor::{Bool, Device, Tensor, TensorData};

/// SASRec's objective (Kang and McAuley 2018, equation 6): the positive item of every state is distinguished from a sampled one,
///
/// ```text
/// loss = 1 / N  sum over the N real states of  -log sigmoid(s . p) - log(1 - sigmoid(s . n))
/// ```
///
/// States, positives and negatives are `[n, d]`, row by row (sequences flattened); `real` says which rows are no padding; what these hold, NaN too, changes nothing.
/// The value is `[1]`; 0 where nothing is real. Scores of any size are safe.
///
/// # Panics
/// When the shapes differ, or `real` does not have n entries.
pub fn sampled_bce(states: Tensor<2>, positives: Tensor<2>, negatives: Tensor<2>, real: &[bool]) -> Tensor<1> {
    assert_eq!(states.dims(), positives.dims(), "the shapes of states and positives");
    assert_eq!(states.dims(), negatives.dims(), "the shapes of states and negatives");
    check_types(&[("states", states.dtype()), ("positives", positives.dtype()), ("negatives", negatives.dtype())]);
    let [n, d] = states.dims();
    assert_eq!(n, real.len(), "states [{n}, {d}] and which of them are real");
    if n == 0 {
        return sampled_bce_from_scores((states * positives).sum_dim(1).reshape([0]), negatives.sum_dim(1), real);
    }
    // whatever a padding row holds, a NaN too, stays out of value and gradients
    let padding = padding(real, &states.device());
    let hide = |x: Tensor<2>| computed(x).mask_fill(padding.clone().reshape([n, 1]).expand([n, d]), 0.0);
    let [states, positives, negatives] = [states, positives, negatives].map(hide);
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
    check_types(&[("scores of positives", positives.dtype()), ("scores of negatives", negatives.dtype())]);
    if n * k == 0 {
        return (computed(positives).sum() + computed(negatives).sum()) * 0.0;
    }
    let padding = padding(real, &positives.device());
    let positives = computed(positives).mask_fill(padding.clone(), 0.0);
    let negatives = computed(negatives).mask_fill(padding.clone().reshape([n, 1]).expand([n, k]), 0.0);
    let rows = softplus(positives * -1.0) + softplus(negatives).sum_dim(1).reshape([n]);
    let count = real.iter().filter(|real| **real).count();
    rows.mask_fill(padding, 0.0).sum() * (1.0 / count.max(1) as f64)
}

/// `[n]`: which rows are padding.
fn padding(real: &[bool], device: &Device) -> Tensor<1, Bool> {
    let padding: Vec<bool> = real.iter().map(|real| !real).collect();
    Tensor::from_data(TensorData::new(padding, [real.len()]), device)
}
