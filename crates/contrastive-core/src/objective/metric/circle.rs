//! Circle loss.

use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Circle loss (Sun et al. 2020, equation 6), the mean over rows whose value is above 0; rows without
/// positives or without negatives have the value 0.
pub type Circle = LabelledLoss<kernel::Circle>;

impl Circle {
    /// The paper's values are a margin of 0.25 and gamma 256 for faces; PyTorch Metric Learning's are 0.4 and 80.
    ///
    /// # Errors
    /// When the margin is negative, gamma not above 0, or either not finite.
    pub fn new(margin: f64, gamma: f64) -> Result<Self, ObjectiveError> {
        not_negative("margin", margin)?;
        positive("gamma", gamma)?;
        Ok(Self { function: kernel::Circle { margin, gamma } })
    }
}

impl RowFunction for kernel::Circle {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (m, gamma) = (self.margin, self.gamma);
        let both = any(&positive) * any(&negative);
        let plain = s.clone().detach();
        let near = (plain.clone() * -1.0 + (1.0 + m)).clamp_min(0.0) * (s.clone() - (1.0 - m)) * -gamma;
        let far = (plain + m).clamp_min(0.0) * (s - m) * gamma;
        let all = log_sum_exp(far, negative, false) + log_sum_exp(near, positive, false);
        let b = both.dims()[0];
        let rows = softplus((all * both.clone()).reshape([b, 1])).reshape([b]) * both;
        let sums = sums(vec![ones_above_zero(rows.clone()).sum()]);
        (rows, sums)
    }

    fn share(rows: usize, sums: &kernel::Sums) -> f64 {
        mean_of_counted(rows, sums)
    }
}
