//! What the objectives of two views of the same samples share.

use crate::objective::check_types;
use burn::tensor::Tensor;

/// Two views of the same samples, one after the other.
pub(crate) fn stacked(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
    assert_eq!(first.dims(), second.dims(), "the shapes of the two views");
    check_types(&[("the first view", first.dtype()), ("the second view", second.dtype())]);
    Tensor::cat(vec![first, second], 0)
}

/// # Panics
/// When a view holds less than two samples.
pub(crate) fn two_samples(objective: &str, view: &Tensor<2>) {
    let [n, d] = view.dims();
    assert!(n >= 2, "{objective} of views of shape [{n}, {d}]: two samples at least, a single one has no negatives");
}
