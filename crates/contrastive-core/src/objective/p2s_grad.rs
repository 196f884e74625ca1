//! P2SGrad.

use super::log_sums::beside;
use crate::similarity::unit_rows;
use burn::tensor::{Int, Tensor, TensorData};

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
    /// When there are no rows, rows and labels differ in number, widths differ, or a label is no class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        let ([n, d], [c, e]) = (rows.dims(), weights.dims());
        assert!(n > 0 && c > 0, "rows [{n}, {d}] of {c} classes");
        assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and weights [{c}, {e}]");
        let inside = labels.iter().all(|&l| l >= 0 && (l as usize) < c);
        assert!(inside, "labels from {:?} to {:?} for {c} classes", labels.iter().min(), labels.iter().max());
        let (rows, weights) = (unit_rows(rows), unit_rows(weights));
        let places: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &weights.device());
        let own = beside(&rows, &weights.clone().select(0, places));
        let moments = |x: Tensor<2>| x.clone().transpose().matmul(x);
        let squares = (moments(rows) * moments(weights)).sum();
        // (1 - s)^2 - s^2 of the right classes
        (squares + (own * -2.0 + 1.0).sum()) * (1.0 / (n * c) as f64)
    }
}
