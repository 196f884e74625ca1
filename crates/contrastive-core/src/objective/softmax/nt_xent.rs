//! NT-Xent, SimCLR's objective: two views of the same samples, or rows under labels.

use crate::error::ObjectiveError;
use crate::objective::engine::views::{stacked, two_samples};
use crate::objective::{Denominator, Inputs, PairObjective, PositiveWeights, Reduction};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;

/// NT-Xent (SimCLR, Chen et al. 2020, equation 1): 2N rows, each finds its other view among the 2N - 1 others.
#[derive(Clone, Debug)]
pub struct NtXent(PairObjective);

impl NtXent {
    /// Cosine similarities at this temperature, the mean over the 2N rows.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.with_pairs(Pairs::TwoViews)))
    }

    /// Inner products instead of cosines.
    pub fn with_similarity(self, similarity: Similarity) -> Self {
        Self(self.0.with_similarity(similarity))
    }

    /// The objective behind the name, on the two views stacked.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Two views `[n, d]` of the same n samples. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are less than two samples: a single one has no negatives.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        two_samples("NT-Xent", &first);
        self.0.loss(&Inputs::self_contrast(stacked(first, second)))
    }

    /// Rows `[n, d]` with a label each: every positive pair is a term of its own, whose denominator holds that positive and
    /// the negatives but not the other positives; the mean over positive pairs (PyTorch Metric Learning's reading). The
    /// value is `[1]`; 0 where no two rows have the same label, or all have.
    ///
    /// # Panics
    /// When rows and labels differ in number, or there are no rows.
    pub fn loss_with_labels(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let objective = self.0.clone().with_pairs(Pairs::labels(labels)).with_denominator(Denominator::OwnPositive);
        let objective = objective.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanOverPairs);
        objective.loss(&Inputs::self_contrast(rows))
    }
}
