//! VICReg.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::objective::VicReg as Objective;
use contrastive_train::{Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`VicReg`]: three weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VicRegConfig {
    /// Of the distance of the views (paper: 25).
    pub invariance: f64,
    /// Of the hinge that keeps deviations at 1 (paper: 25).
    pub variance: f64,
    /// Of the covariances (paper: 1).
    pub covariance: f64,
}

impl Default for VicRegConfig {
    fn default() -> Self {
        Self { invariance: 25.0, variance: 25.0, covariance: 1.0 }
    }
}

/// VICReg (Bardes et al. 2022, algorithm 1): views are near, columns vary, and do not covary. Three layers in the projector.
#[derive(Debug)]
pub struct VicReg {
    objective: Objective,
}

impl Settings for VicRegConfig {
    type Method = VicReg;

    fn name(&self) -> &'static str {
        "VICReg"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Objective::new(self.invariance, self.variance, self.covariance)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(VicReg, Projected), VisionError> {
        let objective = Objective::new(self.invariance, self.variance, self.covariance)?;
        Ok((VicReg { objective }, start.network(&start.head().with_layers(3))?))
    }
}

impl VisionMethod for VicReg {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [first, second] = batch.pair(|view| model.project(view));
        Ok(vec![("regularised", self.objective.loss(first, second))])
    }
}
