//! Multi-similarity loss.

use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Multi-similarity loss (Wang et al. 2019, equation 15): `log(1 + sum_p e^{-alpha (s_p - base)}) / alpha +
/// log(1 + sum_n e^{beta (s_n - base)}) / beta`, the mean over rows; for a row without
/// positives (or negatives) that part is 0.
pub type MultiSimilarity = LabelledLoss<kernel::MultiSimilarity>;

impl MultiSimilarity {
    /// The paper's values are 2, 50 and 0.5 (its base is 1 on its own data).
    ///
    /// # Errors
    /// When alpha or beta is not a finite number above 0, or the base not finite.
    pub fn new(alpha: f64, beta: f64, base: f64) -> Result<Self, ObjectiveError> {
        positive("alpha", alpha)?;
        positive("beta", beta)?;
        not_negative("base", base.abs())?;
        let (bases, weights) = ([base; 2], [1.0 / alpha, 1.0 / beta]);
        Ok(Self { function: kernel::MultiSimilarity { alpha, beta, bases, weights, epsilon: None } })
    }

    /// Only the pairs the paper's miner keeps (equations 11 and 12): negatives within `epsilon` of the hardest positive,
    /// positives within `epsilon` of the hardest negative (0.1).
    ///
    /// # Errors
    /// When epsilon is negative or not finite.
    pub fn with_mining(mut self, epsilon: f64) -> Result<Self, ObjectiveError> {
        self.function.epsilon = Some(not_negative("epsilon", epsilon)?);
        Ok(self)
    }
}

impl RowFunction for kernel::MultiSimilarity {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (mut positive, mut negative) = (positive, negative);
        if let Some(epsilon) = self.epsilon {
            let aside = |mask: &Tensor<2>| (mask.clone() * -1.0 + 1.0) * -MASKED;
            let plain = s.clone().detach();
            let easiest = (plain.clone() + aside(&positive)).min_dim(1);
            let hardest = (plain.clone() - aside(&negative)).max_dim(1);
            negative = negative * ones_above_zero(plain.clone() - easiest + epsilon);
            positive = positive * ones_above_zero(hardest - plain + epsilon);
        }
        let near = log_sum_exp((s.clone() - self.bases[0]) * -self.alpha, positive, true) * self.weights[0];
        let far = log_sum_exp((s - self.bases[1]) * self.beta, negative, true) * self.weights[1];
        let rows = near + far;
        let sums = no_sums(&rows);
        (rows, sums)
    }
}
