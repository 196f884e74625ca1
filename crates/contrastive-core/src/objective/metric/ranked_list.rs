//! Ranked list loss.

use crate::error::{ObjectiveError, not_negative};
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Ranked list loss (Wang et al. 2019, equations 6 to 12) of unit rows: with distances d, each anchor has
///
/// ```text
/// positives  x = d - (alpha - margin) where that is above 0          negatives  x = alpha - d where that is above 0
/// (1 - imbalance) sum_p w_p x_p / (sum_p w_p + e) + imbalance sum_n w_n x_n / (sum_n w_n + e)          w = e^{T x}
/// ```
///
/// with e = 1e-5 for each row of the batch (the released code; it lets a side without cost be 0); the mean over rows. The gradient
/// goes through the weights.
pub type RankedList = LabelledLoss<kernel::RankedList>;

impl RankedList {
    /// The margin between the positives' and the negatives' boundaries, and the temperature of the negatives (the paper's values are 0.4
    /// and 10). Alpha is `1 + margin / 2`, the imbalance 0.5, the temperature of the positives 0.
    ///
    /// # Errors
    /// When one is negative or not finite.
    pub fn new(margin: f64, temperature: f64) -> Result<Self, ObjectiveError> {
        let (margin, t) = (not_negative("margin", margin)?, not_negative("temperature of negatives", temperature)?);
        let alpha = 1.0 + 0.5 * margin;
        let function = kernel::RankedList { margin, alpha, weights: [0.5; 2], temperatures: [0.0, t] };
        Ok(Self { function })
    }

    /// Negatives are to be farther than this.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_alpha(mut self, alpha: f64) -> Result<Self, ObjectiveError> {
        self.function.alpha = not_negative("alpha", alpha)?;
        Ok(self)
    }

    /// The share of the negatives in the loss.
    ///
    /// # Errors
    /// When it is not from 0 to 1.
    pub fn with_imbalance(mut self, imbalance: f64) -> Result<Self, ObjectiveError> {
        if !(0.0..=1.0).contains(&imbalance) {
            return Err(ObjectiveError::Outside { name: "imbalance", value: imbalance, allowed: "0 to 1" });
        }
        self.function.weights = [1.0 - imbalance, imbalance];
        Ok(self)
    }

    /// The temperature of the positives.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_positive_temperature(mut self, temperature: f64) -> Result<Self, ObjectiveError> {
        self.function.temperatures[0] = not_negative("temperature of positives", temperature)?;
        Ok(self)
    }
}

impl RowFunction for kernel::RankedList {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let m = s.dims()[1] as f64;
        let d = distances(s, positive.clone() + negative.clone());
        let mean = |x: Tensor<2>, mask: Tensor<2>, side: usize| {
            let x = x * mask;
            let counted = ones_above_zero(x.clone());
            let t = self.temperatures[side];
            let top = (x.clone().detach() * t).max_dim(1).clamp_min(0.0);
            let weights = (x.clone() * t - top.clone()).exp() * counted;
            let sum = weights.clone().sum_dim(1) + (top * -1.0).exp() * (Self::OFFSET * m);
            sum_rows(weights * x / sum) * self.weights[side]
        };
        let near = mean(d.clone() - (self.alpha - self.margin), positive, 0);
        let rows = near + mean(d * -1.0 + self.alpha, negative, 1);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}
