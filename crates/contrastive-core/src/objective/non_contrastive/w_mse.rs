//! W-MSE: two views are pulled together after whitening, which keeps them from collapsing.

use super::alignment_uniformity::Alignment;
use super::whitening::{Whitening, WhiteningError, WhiteningForm};
use crate::error::{ObjectiveError, positive};
use crate::objective::{check_types, computed};
use burn::tensor::{Int, Tensor, TensorData};

/// W-MSE (Ermolov et al. 2021): `mean_i (2 - 2 cos(w(a)_i, w(b)_i))`, where each view is whitened by
/// Cholesky in sub-batches of rows. Both views carry gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct WMse {
    whitening: Whitening,
    size: Option<usize>,
    alignment: Alignment,
}

impl WMse {
    /// Whitening the whole batch at once, with this much added to the variances (released code: 0).
    ///
    /// # Errors
    /// When epsilon is negative, infinite or NaN.
    pub fn new(epsilon: f64) -> Result<Self, ObjectiveError> {
        Ok(Self {
            whitening: Whitening::new(WhiteningForm::Cholesky, epsilon)?,
            size: None,
            alignment: Alignment::new(2.0)?,
        })
    }

    /// Whitening in sub-batches of this many rows (paper: twice the columns).
    ///
    /// # Errors
    /// When there are none.
    pub fn with_sub_batches(mut self, rows: usize) -> Result<Self, ObjectiveError> {
        positive("rows of a sub-batch", rows as f64)?;
        self.size = Some(rows);
        Ok(self)
    }

    /// Another whitening than that by Cholesky.
    pub fn with_whitening(mut self, whitening: Whitening) -> Self {
        self.whitening = whitening;
        self
    }

    /// Views `[n, d]` of the same n samples; the value is `[1]`, between 0 and 4. The rows fall into sub-batches in the order
    /// they come in, or in `order`: the paper draws several and takes the mean of the losses.
    ///
    /// # Errors
    /// When the rows do not fall into the sub-batches, the order does not name each row once, or a covariance has no inverse.
    ///
    /// # Panics
    /// When the shapes differ, or a sub-batch has fewer than two rows.
    pub fn loss(&self, a: Tensor<2>, b: Tensor<2>, order: Option<&[usize]>) -> Result<Tensor<1>, WhiteningError> {
        let [n, d] = a.dims();
        assert_eq!([n, d], b.dims(), "the shapes of two views");
        check_types(&[("the first view", a.dtype()), ("the second view", b.dtype())]);
        assert!(n > 1 && d > 0, "W-MSE of views [{n}, {d}]: two rows at least");
        let size = self.size.unwrap_or(n);
        if !n.is_multiple_of(size) {
            return Err(WhiteningError::SubBatches { rows: n, size });
        }
        let order = match order {
            None => None,
            Some(order) => {
                let mut sorted = order.to_vec();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..n) {
                    return Err(WhiteningError::RowOrder { rows: n });
                }
                let order: Vec<i32> = order.iter().map(|&i| i as i32).collect();
                Some(Tensor::<1, Int>::from_data(TensorData::new(order, [n]), &a.device()))
            }
        };
        let [a, b] = [a, b].map(computed);
        let white = |x: Tensor<2>| -> Result<Tensor<2>, WhiteningError> {
            let x = match &order {
                Some(order) => x.select(0, order.clone()),
                None => x,
            };
            let parts: Result<Vec<_>, _> = (0..n / size)
                .map(|k| self.whitening.whiten(x.clone().slice([k * size..(k + 1) * size, 0..d])))
                .collect();
            Ok(Tensor::cat(parts?, 0))
        };
        Ok(self.alignment.loss(white(a)?, white(b)?))
    }
}
