//! PNP.

use crate::error::{ObjectiveError, positive};
use crate::objective::{Evaluation, LabelledLoss};
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{self as kernel, RankCost};

/// PNP (Li et al. 2022): penalises the negatives that come before a positive in the ranking of all rows by their cosine with the
/// anchor. With the smooth number `r` of negatives before positive j, `r = sum_n sigma((s_n - s_j) / temperature)`, the mean over
/// the positives of
///
/// ```text
/// O    r                 Ds   log(1 + r)           Dq   1 - (1 + r)^-alpha
/// Iu   (1 + r) log(1 + r)                          Ib   (b r - log(1 + b r)) / b^2
/// ```
///
/// and over anchors that have positives; 0 without any. The anchor is one of its positives, as in the released code. P comparisons of each row: P n^2 steps beside the
/// products, memory linear in n.
#[derive(Clone, Debug)]
pub struct Pnp(LabelledLoss<kernel::PositiveRanks>);

impl Pnp {
    /// The original function O; the temperature (0.01).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        let temperature = positive("temperature", temperature)?;
        Ok(Self(LabelledLoss::of(kernel::PositiveRanks { temperature, cost: RankCost::Negatives })))
    }

    fn with(mut self, cost: RankCost) -> Self {
        self.0.function.cost = cost;
        self
    }

    /// The slowly decreasing function Ds.
    pub fn with_logarithmic_cost(self) -> Self {
        self.with(RankCost::Logarithm)
    }

    /// The quickly decreasing function Dq with its alpha (1 or more; the paper's best is 4).
    ///
    /// # Errors
    /// When alpha is not a finite number above 0.
    pub fn with_power_cost(self, alpha: f64) -> Result<Self, ObjectiveError> {
        Ok(self.with(RankCost::Power(positive("alpha", alpha)?)))
    }

    /// The unboundedly increasing function Iu.
    pub fn with_increasing_cost(self) -> Self {
        self.with(RankCost::Increasing)
    }

    /// The boundedly increasing function Ib with its b (2).
    ///
    /// # Errors
    /// When b is not a finite number above 0.
    pub fn with_bounded_cost(self, b: f64) -> Result<Self, ObjectiveError> {
        Ok(self.with(RankCost::Bounded(positive("b", b)?)))
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        self.0.loss(rows, labels)
    }

    /// As [`LabelledLoss::evaluate`].
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], gradients: bool) -> Evaluation {
        self.0.evaluate(rows, labels, gradients)
    }

    /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        self.0.dense(rows, labels)
    }
}
