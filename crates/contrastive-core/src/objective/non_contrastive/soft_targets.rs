//! Cross-entropy against a distribution over candidates.

use crate::attach::attach_gradients;
use crate::error::ObjectiveError;
use crate::objective::{check_types, computed_in};
use crate::temperature::Temperature;
use burn::tensor::Tensor;

/// `-(1 / n) sum_i sum_k q_ik log softmax(s_i / temperature)_k`: targets q `[n, k]` which carry no gradient and whose rows
/// may sum to any number, scores s `[n, k]`. The value is `[1]`; its gradient `(softmax sum_k q - q) / (n temperature)` is
/// computed with it, in one pass and without a tape.
///
/// # Errors
/// When the temperature is not a finite number above 0.
///
/// # Panics
/// When the shapes differ, or are empty.
pub fn soft_cross_entropy(
    targets: Tensor<2>,
    scores: Tensor<2>,
    temperature: f64,
) -> Result<Tensor<1>, ObjectiveError> {
    Temperature::fixed(temperature)?;
    Ok(cross_entropy(targets, &scores, temperature, 1.0))
}

/// The same times `factor`, at a temperature that is known to be good.
pub(super) fn cross_entropy(targets: Tensor<2>, scores: &Tensor<2>, temperature: f64, factor: f64) -> Tensor<1> {
    let [n, k] = scores.dims();
    assert_eq!(targets.dims(), [n, k], "the shapes of targets and scores");
    check_types(&[("targets", targets.dtype()), ("scores", scores.dtype())]);
    assert!(n > 0 && k > 0, "the cross-entropy of scores [{n}, {k}]");
    let dtype = computed_in(scores.dtype());
    let q = targets.inner().cast(dtype);
    let s = scores.clone().inner().cast(dtype);
    let s = (s.clone() - s.max_dim(1)) * (1.0 / temperature);
    let e = s.clone().exp();
    let sum = e.clone().sum_dim(1);
    let mass = q.clone().sum_dim(1);
    let share = factor / n as f64;
    let value = ((sum.clone().log() * mass.clone()).sum() - (q.clone() * s).sum()) * share;
    let gradient = scores.is_tracked().then(|| (e * (mass / sum) - q) * (share / temperature));
    attach_gradients(value, [(scores, gradient)])
}
