//! Tuplets: one anchor, its positive, and a negative of every other class or all of them.

use super::log_sums::numbers;
use super::metric_rows::*;
use super::rowwise::RowFunction;
use super::{Evaluation, Inputs, PairObjective, Wanted};
use crate::error::{ObjectiveError, not_negative, positive};
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

row_loss!(
    /// Tuplet margin loss (Yu and Tao 2019, equation 5): for each anchor and positive p, `log(1 + sum_n e^{scale (s_n - y_p)})` over the
    /// anchor's negatives, where `y_p` is the cosine of the positive's angle less the margin; the mean over all positive pairs, 0
    /// without any. A pair of an anchor without negatives is 0. The gradient stops at cosines beyond 1 - 1e-7.
    TupletMargin,
    mean_of_counted
);

impl TupletMargin {
    /// The margin in radians (PyTorch Metric Learning's default is 5.73 degrees, 0.1) and the scale (64).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, or either not finite.
    pub fn new(margin: f64, scale: f64) -> Result<Self, ObjectiveError> {
        let (margin, scale) = (not_negative("margin", margin)?, positive("scale", scale)?);
        Ok(Self { function: kernel::TupletMargin { margin, scale }, portable: false })
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
}

/// N-pair loss (Sohn 2016, equations 6 and 8): n pairs of n classes, `log(1 + sum_{j != i} e^{a_i p_j - a_i p_i})` of inner products,
/// the mean over i, and a penalty `strength (mean |a_i|^2 + mean |p_i|^2) / 4` that keeps the rows short.
///
/// Without the penalty it is InfoNCE of inner products at temperature 1.
#[derive(Clone, Debug)]
pub struct NPairs {
    objective: PairObjective,
    strength: f64,
}

impl NPairs {
    /// The strength of the penalty (the reference code's default is 0.002; PyTorch Metric Learning has none, 0).
    ///
    /// # Errors
    /// When the strength is negative, infinite or NaN.
    pub fn new(strength: f64) -> Result<Self, ObjectiveError> {
        let objective = PairObjective::new(1.0)?.similarity(Similarity::Dot);
        Ok(Self { objective, strength: not_negative("strength of the penalty", strength)? })
    }

    /// The objective behind the name, without the penalty.
    pub fn objective(&self) -> &PairObjective {
        &self.objective
    }

    /// Anchors `[n, d]` and their positives `[n, d]`, of different classes each. The value is `[1]`; of one pair only the
    /// penalty.
    ///
    /// # Panics
    /// When there are no pairs, or the shapes differ.
    pub fn loss(&self, anchors: Tensor<2>, positives: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::new(anchors, positives);
        hang(&inputs, self.evaluate(&inputs, wanted(&inputs)))
    }

    /// Value, each pair's value without the penalty, and the gradients that are wanted; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), and when the inputs have no candidates.
    pub fn evaluate(&self, inputs: &Inputs, wanted: Wanted) -> Evaluation {
        let positives = inputs.candidates.as_ref().expect("the positives as candidates");
        assert_eq!(inputs.anchors.dims(), positives.dims(), "the shapes of anchors and positives");
        let mut result = self.objective.evaluate(inputs, wanted);
        let plain = inputs.plain();
        let tables = [plain.anchors, plain.candidates.expect("the positives as candidates")];
        let slope = 0.5 * self.strength / positives.dims()[0] as f64;
        let g = &mut result.gradients;
        for (x, gradient) in tables.into_iter().zip([&mut g.anchors, &mut g.candidates]) {
            let squares: f64 = (x.clone() * x.clone()).sum().into_data().iter::<f64>().sum();
            result.value = result.value + numbers(&[0.5 * slope * squares], &x);
            *gradient = gradient.take().map(|g| g + x * slope);
        }
        result
    }
}
