//! Tuplet margin loss.

use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Tuplet margin loss (Yu and Tao 2019, equation 5): for each anchor and positive p, `log(1 + sum_n e^{scale (s_n - y_p)})` over the
/// anchor's negatives, where `y_p` is the cosine of the positive's angle less the margin; the mean over all positive pairs, 0
/// without any. A pair of an anchor without negatives is 0. The gradient stops at cosines beyond 1 - 1e-7.
pub type TupletMargin = LabelledLoss<kernel::TupletMargin>;

impl TupletMargin {
    /// The margin in radians (PyTorch Metric Learning's default is 5.73 degrees, 0.1) and the scale (64).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, or either not finite.
    pub fn new(margin: f64, scale: f64) -> Result<Self, ObjectiveError> {
        let (margin, scale) = (not_negative("margin", margin)?, positive("scale", scale)?);
        Ok(Self { function: kernel::TupletMargin { margin, scale } })
    }
}

impl RowFunction for kernel::TupletMargin {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let b = s.dims()[0];
        let all = log_sum_exp(s.clone() * self.scale, negative, false).reshape([b, 1]);
        let gaps = all - turned(s, -self.margin) * self.scale;
        let rows = sum_rows(softplus(gaps) * positive.clone());
        (rows, sums(vec![positive.sum()]))
    }

    fn share(rows: usize, sums: &kernel::Sums) -> f64 {
        mean_of_counted(rows, sums)
    }
}
