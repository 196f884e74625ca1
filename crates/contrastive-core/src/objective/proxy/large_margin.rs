//! Large-margin softmax.

use super::sphere_face::MultipleAngle;
use crate::error::{ObjectiveError, positive};
use burn::tensor::Tensor;

/// Large-margin softmax (Liu et al. 2016, equations 4 to 6): cross-entropy of the inner products `scale x_i . w_c` with one weight row for
/// each class, where the right class has `scale |x_i| |w_y| psi(theta)` with the `psi` of [`SphereFace`](crate::objective::SphereFace), which is the
/// same for weights of length 1. Without a margin, m = 1, it is the plain softmax of a classifier.
#[derive(Clone, Copy, Debug)]
pub struct LargeMarginSoftmax {
    margin: MultipleAngle,
    scale: f64,
}

impl LargeMarginSoftmax {
    /// The angle's factor m (4) and the scale (1).
    ///
    /// # Errors
    /// When m is 0 or above 16, or the scale no finite number above 0.
    pub fn new(margin: usize, scale: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: MultipleAngle::new(margin)?, scale: positive("scale", scale)? })
    }

    /// Rows `[n, d]`, their class numbers, and a weight row for each class, `[c, d]`. The mean over rows, `[1]`.
    ///
    /// # Panics
    /// When there are no rows, rows and labels differ in number, widths differ, or a label is not a class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        self.margin.loss(rows, labels, weights, self.scale)
    }
}
