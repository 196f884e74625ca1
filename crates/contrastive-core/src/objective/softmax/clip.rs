//! CLIP's objective: images and texts, in both directions.

use crate::error::ObjectiveError;
use crate::objective::{Direction, Inputs, PairObjective};
use burn::tensor::Tensor;

/// Symmetric InfoNCE (CLIP, Radford et al. 2021, figure 3): images among texts and texts among images, the mean of both.
#[derive(Clone, Debug)]
pub struct Clip(PairObjective);

impl Clip {
    /// Cosine similarities at a fixed temperature.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.with_direction(Direction::Both)))
    }

    /// The logit scale is an input of the loss (see [`LogitScale`](crate::temperature::LogitScale)).
    pub fn with_logit_scale() -> Self {
        Self(PairObjective::with_input_scale().with_direction(Direction::Both))
    }

    /// The objective behind the name.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Images `[n, d]` and their texts `[n, d]`. The value is `[1]`; of a single pair, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, there are no rows, or the logit scale is an input.
    pub fn loss(&self, images: Tensor<2>, texts: Tensor<2>) -> Tensor<1> {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        self.0.loss(&Inputs::new(images, texts))
    }

    /// The same with the logit scale `[1]` (the inverse temperature, not its logarithm). A logit bias common to all pairs
    /// leaves both softmaxes as they are; that is why there is none.
    ///
    /// # Panics
    /// When the shapes differ, or the temperature is fixed.
    pub fn loss_with_scale(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>) -> Tensor<1> {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        self.0.loss(&Inputs::new(images, texts).with_scale(scale))
    }
}
