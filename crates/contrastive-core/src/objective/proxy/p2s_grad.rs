//! P2SGrad.

use super::sphere_face::own_weights;
use crate::objective::engine::log_sums::row_products;
use crate::objective::{check_types, computed};
use crate::similarity::unit_rows;
use burn::tensor::Tensor;

/// P2SGrad (Zhang et al. 2019) as the loss whose gradient it prescribes: the mean over rows and classes of `(cos(theta_ic) - [c = y_i])^2`.
/// It has no scale and no margin. The gradient of the weights is that of their directions.
///
/// The sum of all squared cosines is the inner product of the d x d second moments of rows and weights: (n + c) d^2 steps instead of
/// n c d, and no n x c matrix.
#[derive(Clone, Copy, Debug, Default)]
pub struct P2sGrad;

impl P2sGrad {
    /// It has no settings.
    pub fn new() -> Self {
        Self
    }

    /// Rows `[n, d]`, their class numbers, and a weight row for each class, `[c, d]`; both compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, rows and labels differ in number, widths differ, or a label is not a class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        check_types(&[("rows", rows.dtype()), ("weights", weights.dtype())]);
        let (rows, weights) = (unit_rows(computed(rows)), unit_rows(computed(weights)));
        let own = row_products(&rows, &own_weights(&rows, labels, &weights));
        let pairs = rows.dims()[0] * weights.dims()[0];
        let moments = |x: Tensor<2>| x.clone().transpose().matmul(x);
        let squares = (moments(rows) * moments(weights)).sum();
        // (1 - s)^2 - s^2 of the right classes
        (squares + (own * -2.0 + 1.0).sum()) * (1.0 / pairs as f64)
    }
}
