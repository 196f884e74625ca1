//! Barlow Twins.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::objective::BarlowTwins as Objective;
use contrastive_train::{Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`BarlowTwins`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BarlowTwinsConfig {
    /// Weight of the entries beside the diagonal (paper: 0.005).
    pub lambda: f64,
    /// Factor of the whole loss (released code: 0.024).
    pub scale: f64,
}

impl Default for BarlowTwinsConfig {
    fn default() -> Self {
        Self { lambda: 5e-3, scale: 1.0 }
    }
}

/// Barlow Twins (Zbontar et al. 2021, algorithm 1): columns agree across views and differ from each other. Three layers in the projector.
#[derive(Debug)]
pub struct BarlowTwins {
    objective: Objective,
}

impl Settings for BarlowTwinsConfig {
    type Method = BarlowTwins;

    fn name(&self) -> &'static str {
        "Barlow Twins"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Objective::new(self.lambda)?.with_scale(self.scale)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(BarlowTwins, Projected), VisionError> {
        let objective = Objective::new(self.lambda)?.with_scale(self.scale)?;
        Ok((BarlowTwins { objective }, start.network(&start.head().with_layers(3))?))
    }
}

impl VisionMethod for BarlowTwins {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [first, second] = batch.pair(|view| model.project(view));
        Ok(vec![("correlation", self.objective.loss(first, second))])
    }
}
