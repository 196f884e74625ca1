//! DCL and DCLW.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::objective::Dcl as Objective;
use contrastive_train::{Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`Dcl`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DclConfig {
    /// Temperature (paper: 0.1).
    pub temperature: f64,
    /// DCLW: the width of the weights of positives (paper: 0.5). `None`: DCL.
    pub sigma: Option<f64>,
    /// Do DCLW's weights carry gradients? The paper does not say; unless asked, they are constants.
    pub differentiated: bool,
}

impl DclConfig {
    /// DCL with this temperature.
    pub fn new(temperature: f64) -> Self {
        Self { temperature, sigma: None, differentiated: false }
    }

    /// DCLW with weights of this width.
    #[must_use]
    pub fn with_weights(mut self, sigma: f64) -> Self {
        self.sigma = Some(sigma);
        self
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let objective = Objective::new(self.temperature)?.with_differentiated_weights(self.differentiated);
        Ok(match self.sigma {
            Some(sigma) => objective.with_weights(sigma)?,
            None => objective,
        })
    }
}

/// Decoupled contrastive learning (Yeh et al. 2022): SimCLR whose denominator leaves the positive out.
#[derive(Debug)]
pub struct Dcl {
    objective: Objective,
}

impl Settings for DclConfig {
    type Method = Dcl;

    fn name(&self) -> &'static str {
        if self.sigma.is_some() { "DCLW" } else { "DCL" }
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        self.objective().map(drop)
    }

    fn start(&self, start: &Start<'_>) -> Result<(Dcl, Projected), VisionError> {
        Ok((Dcl { objective: self.objective()? }, start.network(&start.head())?))
    }
}

impl VisionMethod for Dcl {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [first, second] = batch.pair(|view| model.project(view));
        Ok(vec![("contrast", self.objective.loss(first, second))])
    }
}
