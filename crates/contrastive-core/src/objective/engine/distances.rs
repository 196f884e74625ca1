//! Distances as inner products under a bias.
//!
//! `-|a - c|^2 = 2 a . c - |c|^2 - |a|^2`, and what is the anchor's alone cancels between a positive and the denominator: the logits are those of
//! inner products under twice the scale, with a bias of `-scale |c|^2`. Rows stay as wide as they are; with their squares beside them
//! (see [`Similarity::NegativeSquaredDistance`]) a width of whole vectors loses a tenth of its speed.

use super::ops::PairOps;
use crate::objective::{Direction, Evaluation, Inputs, PairObjective, Wanted};
use crate::similarity::{Similarity, mean_row};
use crate::temperature::Temperature;
use burn::backend::Dispatch;
use burn::tensor::Tensor;

impl PairObjective {
    /// Are the logits distances, and does a number added to all logits of an anchor change nothing?
    pub(crate) fn leaves_anchors_free(&self, inputs: &Inputs) -> bool {
        self.similarity == Similarity::NegativeSquaredDistance
            && self.direction != Direction::Both
            && self.offset == 0.0
            && self.clamp.is_none()
            && self.denominator_weights.is_none()
            && inputs.paired.is_none()
            && inputs.pair_terms.is_empty()
            && inputs.scale.as_ref().is_none_or(|scale| scale.dims()[0] == 1)
    }

    /// As [`evaluate`](Self::evaluate), of plain inputs for which [`leaves_anchors_free`](Self::leaves_anchors_free) holds.
    pub(crate) fn evaluate_distances(&self, inputs: &Inputs, wanted: Wanted) -> Evaluation {
        let scale = self.scale(inputs, &inputs.anchors);
        // distances do not depend on where they are measured from
        let centre = mean_row(inputs.candidates.as_ref().unwrap_or(&inputs.anchors)).into_dispatch();
        let centred = |x: &Tensor<2>| {
            let (rows, squares) = Dispatch::centred_rows(x.clone().into_dispatch(), centre.clone());
            (Tensor::<2>::from_dispatch(rows), Tensor::<1>::from_dispatch(squares))
        };
        let (anchors, own_squares) = centred(&inputs.anchors);
        let candidates = inputs.candidates.as_ref().map(&centred);
        let (rows, squares) = candidates.clone().unwrap_or_else(|| (anchors.clone(), own_squares));
        let bias = squares.clone() * scale.clone() * -1.0;
        let products = Inputs {
            anchors: anchors.clone(),
            candidates: candidates.map(|c| c.0),
            scale: Some(scale.clone() * 2.0),
            bias: Some(inputs.bias.clone().map_or(bias.clone(), |b| b + bias)),
            ..inputs.clone()
        };
        let objective = Self { similarity: Similarity::Dot, temperature: Temperature::Input, ..self.clone() };
        let mut result = objective.evaluate(&products, wanted);
        let gradients = &mut result.gradients;
        let Some(of_bias) = gradients.bias.take() else { return result };
        let of_squares = of_bias.clone() * scale * -1.0;
        let raw = |gradient: Tensor<2>| {
            let [rows, gradient] = [rows.clone(), gradient].map(Tensor::into_dispatch);
            Tensor::<2>::from_dispatch(Dispatch::centred_rows_backward(rows, gradient, of_squares.into_dispatch()))
        };
        match (&inputs.candidates, wanted.candidates) {
            // an anchor's own square is in no logit
            (Some(_), _) => gradients.candidates = gradients.candidates.take().map(raw),
            (None, true) => gradients.anchors = gradients.anchors.take().map(raw),
            (None, false) => (),
        }
        gradients.scale = gradients.scale.take().map(|s| s * 2.0 - (of_bias.clone() * squares).sum());
        gradients.bias = inputs.bias.as_ref().map(|_| of_bias);
        result
    }
}
