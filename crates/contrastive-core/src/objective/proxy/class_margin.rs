//! Normalised softmax, CosFace and ArcFace: cross-entropy over classes with a margin.

use super::classes::classes;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Inputs, Wanted};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{MarginSoftmax, TargetMargin};

/// Cross-entropy of cosines with one weight row for each class, with a margin for the right one: normalised softmax (Zhai and
/// Wu 2019), CosFace (Wang et al. 2018, equation 4), ArcFace (Deng et al. 2019, equation 3).
#[derive(Clone, Debug)]
pub struct ClassMargin {
    function: MarginSoftmax,
}

impl ClassMargin {
    /// Normalised softmax: no margin (the paper's temperature is 0.05).
    ///
    /// # Errors
    /// When the temperature is not a finite number above 0.
    pub fn normalized_softmax(temperature: f64) -> Result<Self, ObjectiveError> {
        Self::cosface(0.0, 1.0 / positive("temperature", temperature)?)
    }

    /// CosFace: the margin is taken from the cosine (0.35, scale 64).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, or either not finite.
    pub fn cosface(margin: f64, scale: f64) -> Result<Self, ObjectiveError> {
        Self::new(TargetMargin::Cosine(not_negative("margin", margin)?), scale)
    }

    /// ArcFace: the margin is added to the angle, in radians (0.5, scale 64). Where angle and margin exceed half a turn together,
    /// `cos - margin sin(margin)` goes on falling instead (the released code).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, or either not finite.
    pub fn arcface(margin: f64, scale: f64) -> Result<Self, ObjectiveError> {
        Self::new(TargetMargin::Angle(not_negative("margin", margin)?), scale)
    }

    fn new(margin: TargetMargin, scale: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { function: MarginSoftmax { scale: positive("scale", scale)?, margin } })
    }

    fn inputs(rows: &Tensor<2>, labels: &[i64], weights: &Tensor<2>) -> (Inputs, Pairs) {
        let ([n, d], [c, e]) = (rows.dims(), weights.dims());
        assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and weights [{c}, {e}]");
        (Inputs::new(rows.clone(), weights.clone()), classes(labels, c))
    }

    /// Rows `[n, d]`, their class numbers, and a weight row for each class, `[c, d]`. The mean over rows, `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number, widths differ, or a label is not a class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::new(rows.clone(), weights.clone());
        self.evaluate(&rows, labels, &weights, wanted(&inputs)).attach_to(&inputs)
    }

    /// Value, each row's value, and the gradients of rows (anchors) and weights (candidates) that are wanted; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], weights: &Tensor<2>, wanted: Wanted) -> Evaluation {
        let (inputs, pairs) = Self::inputs(rows, labels, weights);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        problem.evaluate(&self.function, wanted, mean_of_rows).0
    }

    /// The same by plain, differentiable tensor operations: materialises several n x c matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        let (inputs, pairs) = Self::inputs(&rows, labels, &weights);
        dense(&self.function, &inputs, &pairs, Similarity::Cosine, mean_of_rows)
    }
}

impl RowFunction for MarginSoftmax {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let own = (s.clone() * positive.clone()).sum_dim(1);
        let own = match self.margin {
            TargetMargin::Cosine(m) => own - m,
            TargetMargin::Angle(m) => turned(own, m),
        } * self.scale;
        let [b, m] = s.dims();
        let others = only(s * self.scale, negative);
        let all = Tensor::cat(vec![own.clone(), others], 1);
        let mask = Tensor::ones([b, m + 1], (&all.device(), all.dtype()));
        let rows = (log_sum_exp(all, mask, false) - own.reshape([b])) * any(&positive);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}
