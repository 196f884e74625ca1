//! Lifted structure loss: the generalised form, of rows.

use crate::error::{ObjectiveError, not_negative};
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Generalised lifted structure loss (Hermans et al. 2017, equation 9) on distances of unit rows, the mean over rows;
/// for a row without positives (or negatives) that part is 0.
pub type LiftedStructure = LabelledLoss<kernel::LiftedStructure>;

impl LiftedStructure {
    /// Negatives farther than the margin weigh little (1).
    ///
    /// # Errors
    /// When the margin is negative or not finite.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        let margin = not_negative("margin", margin)?;
        Ok(Self { function: kernel::LiftedStructure { margin } })
    }
}

impl RowFunction for kernel::LiftedStructure {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [some, others] = [any(&positive), any(&negative)];
        let d = distances(s, positive.clone() + negative.clone());
        let near = log_sum_exp(d.clone(), positive, false) * some;
        let rows = (near + log_sum_exp(d * -1.0 + self.margin, negative, false) * others).clamp_min(0.0);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}
