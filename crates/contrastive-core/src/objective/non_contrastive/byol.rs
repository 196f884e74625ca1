//! BYOL: a prediction from one view is compared with the projection of the other by a moving average of the network.

use super::simsiam::negative_cosine;
use crate::objective::check_types;
use burn::tensor::Tensor;

/// BYOL (Grill et al. 2020, equation 2, symmetrised as in section 3.1): `2 - 2 cos(p0, stop(z1))` plus
/// `2 - 2 cos(p1, stop(z0))`, the mean over rows. Predictions p of the online network and projections z of the target network
/// are `[n, d]`; the value is `[1]`, between 0 and 8. The same minimum as [`simsiam`](super::simsiam()), four times its slope.
///
/// # Panics
/// When the shapes differ, or there are no rows.
pub fn byol(p0: Tensor<2>, p1: Tensor<2>, z0: Tensor<2>, z1: Tensor<2>) -> Tensor<1> {
    check_types(&[("the first view's predictions", p0.dtype()), ("the second view's predictions", p1.dtype())]);
    (negative_cosine(p0, z1) + negative_cosine(p1, z0)) * 2.0 + 4.0
}
