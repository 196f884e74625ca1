//! Losses of rows under labels: one function of each anchor's similarities.

use super::metric_rows::{Problem, labelled};
use super::rowwise::RowFunction;
use crate::objective::{Evaluation, Inputs, Wanted};
use crate::similarity::Similarity;
use burn::tensor::Tensor;

/// A loss of rows under labels that is a sum over anchors of a function of the anchor's cosines with all other rows: those of its label are
/// its positives, the others its negatives. [`Circle`](crate::objective::Circle), [`FastAp`](crate::objective::FastAp) and others are
/// names of it; a user-defined function is a [`RowFunction`].
#[derive(Clone, Debug)]
pub struct LabelledLoss<F> {
    pub(crate) function: F,
}

impl<F: RowFunction> LabelledLoss<F> {
    /// The loss of a function.
    pub fn of(function: F) -> Self {
        Self { function }
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        loss_of(rows, |rows, gradients| self.evaluate(rows, labels, gradients))
    }

    /// Value, each row's part before the division, and, if wanted, the gradient of the rows (as that of the anchors); no tape, memory
    /// linear in the rows.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], gradients: bool) -> Evaluation {
        let (inputs, pairs) = labelled(rows, labels);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        problem.evaluate(&self.function, wanted, F::share).0
    }

    /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let (inputs, pairs) = labelled(&rows, labels);
        super::metric_rows::dense(&self.function, &inputs, &pairs, Similarity::Cosine, F::share)
    }
}

/// The loss of rows by an evaluation that gives the gradient of the rows as that of the anchors.
pub(crate) fn loss_of(rows: Tensor<2>, evaluate: impl FnOnce(&Tensor<2>, bool) -> Evaluation) -> Tensor<1> {
    evaluate(&rows, rows.is_tracked()).attach_to(&Inputs::self_contrast(rows))
}
