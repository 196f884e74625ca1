//! The supervised contrastive loss.

use crate::error::ObjectiveError;
use crate::objective::{Inputs, PairObjective, Reduction};
use crate::pairs::Pairs;
use burn::tensor::Tensor;

/// Supervised contrastive loss (Khosla et al. 2020, L_out, equation 2): the mean over an anchor's positives, the
/// denominator over all others; the mean over anchors that have a positive.
#[derive(Clone, Debug)]
pub struct SupCon(PairObjective);

impl SupCon {
    /// Cosine similarities at this temperature.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.with_reduction(Reduction::MeanWithPositives)))
    }

    /// The objective behind the name; its pairs are those of the labels.
    pub fn objective(&self, labels: &[i64]) -> PairObjective {
        self.0.clone().with_pairs(Pairs::labels(labels))
    }

    /// Rows `[n, d]` (all views stacked) with a label each. The value is `[1]`; 0 where no anchor has a positive.
    ///
    /// # Panics
    /// When rows and labels differ in number, or there are no rows.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        self.objective(labels).loss(&Inputs::self_contrast(rows))
    }
}
