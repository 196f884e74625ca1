//! N-pair loss.

use crate::error::{ObjectiveError, not_negative};
use crate::host::numbers;
use crate::objective::engine::metric_rows::wanted;
use crate::objective::{Evaluation, Inputs, PairObjective, Wanted};
use crate::similarity::Similarity;
use burn::tensor::Tensor;

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
        let objective = PairObjective::new(1.0)?.with_similarity(Similarity::Dot);
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
        self.evaluate(&inputs, wanted(&inputs)).attach_to(&inputs)
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
