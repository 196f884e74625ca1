//! SimCLR.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::objective::NtXent;
use contrastive_train::{Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`SimClr`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimClrConfig {
    /// Temperature (paper: 0.1 on ImageNet, 0.5 on CIFAR).
    pub temperature: f64,
}

impl SimClrConfig {
    /// With this temperature.
    pub fn new(temperature: f64) -> Self {
        Self { temperature }
    }
}

/// SimCLR (Chen et al. 2020, algorithm 1): NT-Xent between the two views of all images of a batch.
#[derive(Debug)]
pub struct SimClr {
    objective: NtXent,
}

impl Settings for SimClrConfig {
    type Method = SimClr;

    fn name(&self) -> &'static str {
        "SimCLR"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        NtXent::new(self.temperature)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(SimClr, Projected), VisionError> {
        Ok((SimClr { objective: NtXent::new(self.temperature)? }, start.network(&start.head())?))
    }
}

impl VisionMethod for SimClr {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [first, second] = batch.pair(|view| model.project(view));
        Ok(vec![("contrast", self.objective.loss(first, second))])
    }
}
