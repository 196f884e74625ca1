//! SimSiam.

use super::{Frame, Predicted, Settings, Start, VisionMethod};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::head::{MlpHeadConfig, OutputNorm};
use contrastive_core::objective::simsiam;
use contrastive_core::similarity::unit_rows;
use contrastive_train::{Check, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`SimSiam`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimSiamConfig {
    /// The predictor's hidden width (paper: a quarter of the projector's).
    pub predictor: usize,
    /// Are targets constants? Without this the method is no method: for studies of collapse.
    pub stop: bool,
    /// A batch norm, without scale and shift, at the projector's end (the paper has it).
    pub output_norm: bool,
}

impl SimSiamConfig {
    /// The paper's, with this hidden width of the predictor.
    pub fn new(predictor: usize) -> Self {
        Self { predictor, stop: true, output_norm: true }
    }
}

/// SimSiam (Chen and He 2021, algorithm 1): each view's prediction meets the other's projection, which stands still. Three layers in the
/// projector, each with a batch norm. (The predictor's constant rate under a schedule: a parameter group of the training.)
#[derive(Debug)]
pub struct SimSiam {
    stop: bool,
}

impl Settings for SimSiamConfig {
    type Method = SimSiam;

    fn name(&self) -> &'static str {
        if self.stop { "SimSiam" } else { "SimSiam without its stop" }
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Ok(Check::new("SimSiam").count("predictor", self.predictor)?)
    }

    fn start(&self, start: &Start<'_>) -> Result<(SimSiam, Predicted), VisionError> {
        let norm = if self.output_norm { OutputNorm::Plain } else { OutputNorm::None };
        let head = start.head().with_layers(3).with_output_norm(norm).with_output_bias(!self.output_norm);
        let predictor = MlpHeadConfig::new(head.output, self.predictor, head.output);
        Ok((SimSiam { stop: self.stop }, start.predicted(&head, &predictor)?))
    }
}

impl VisionMethod for SimSiam {
    type Model = Predicted;

    fn losses(&mut self, model: &Predicted, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [[z0, p0], [z1, p1]] = batch.pair(|view| model.both(view));
        let loss = match self.stop {
            true => simsiam(p0, p1, z0, z1),
            false => {
                let cosine = |p, z| (unit_rows(p) * unit_rows(z)).sum_dim(1).mean();
                (cosine(p0, z1) + cosine(p1, z0)) * -0.5
            }
        };
        Ok(vec![("cosine", loss)])
    }
}
