//! SimSiam: a prediction from one view is compared with the other view's projection, which has no gradient.

use crate::attach::attach_gradients;
use crate::objective::{check_types, computed_in};
use crate::similarity::{Compared, Similarity};
use burn::tensor::Tensor;

/// `-mean_i cos(p_i, z_i)`: predictions `[n, d]`, targets `[n, d]` which carry no gradient (SimSiam, equations 1 and 3).
/// The value is `[1]`.
///
/// A row shorter than 1e-12 has no direction: its cosine is 0, and it has no gradient.
///
/// # Panics
/// When the shapes differ, or there are no rows.
pub fn negative_cosine(predictions: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [n, d] = predictions.dims();
    assert_eq!([n, d], targets.dims(), "the shapes of predictions and targets");
    check_types(&[("predictions", predictions.dtype()), ("targets", targets.dtype())]);
    assert!(n > 0, "the cosine of no rows: [{n}, {d}]");
    let dtype = computed_in(predictions.dtype());
    let unit = |x: &Tensor<2>| Compared::new(Similarity::Cosine, x.clone().inner().cast(dtype));
    let (p, z) = (unit(&predictions), unit(&targets).rows);
    let share = -1.0 / n as f64;
    let value = (p.rows.clone() * z.clone()).sum() * share;
    let gradient = predictions.is_tracked().then(|| p.backward(z * share));
    attach_gradients(value, [(&predictions, gradient), (&targets, None)])
}

/// SimSiam (Chen and He 2021, equation 4): half of `-cos(p0, stop(z1))` and half of `-cos(p1, stop(z0))`, the mean over
/// rows. Predictions p and projections z of the two views are `[n, d]`; the value is `[1]`, between -1 and 1.
///
/// # Panics
/// When the shapes differ, or there are no rows.
pub fn simsiam(p0: Tensor<2>, p1: Tensor<2>, z0: Tensor<2>, z1: Tensor<2>) -> Tensor<1> {
    check_types(&[("the first view's predictions", p0.dtype()), ("the second view's predictions", p1.dtype())]);
    (negative_cosine(p0, z1) + negative_cosine(p1, z0)) * 0.5
}
