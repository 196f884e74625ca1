//! Learning with labels: what the others are measured by.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::objective::soft_cross_entropy;
use contrastive_train::{Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`Supervised`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SupervisedConfig {
    /// A linear map in place of the frame's projector.
    pub linear: bool,
    /// The first view alone, as a plain classifier learns.
    pub one_view: bool,
}

impl SupervisedConfig {
    /// A plain classifier: a linear map on the encoder, one view.
    pub fn plain() -> Self {
        Self { linear: true, one_view: true }
    }
}

/// Cross-entropy of both views with the labels, through the frame's projector with an output for each class.
#[derive(Debug)]
pub struct Supervised {
    classes: usize,
    one_view: bool,
}

impl Settings for SupervisedConfig {
    type Method = Supervised;

    fn name(&self) -> &'static str {
        "supervised"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Supervised, Projected), VisionError> {
        let classes = start.classes("supervised learning", 2)?;
        let head = start.head().with_output(classes);
        let head = if self.linear { head.with_layers(1) } else { head };
        Ok((Supervised { classes, one_view: self.one_view }, start.network(&head)?))
    }
}

impl VisionMethod for Supervised {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let (n, k) = (batch.labels.len(), self.classes);
        let targets =
            batch.labels.iter().flat_map(|label| (0..k).map(move |c| f32::from(u8::from(c == *label as usize))));
        let device = batch.views[0].device();
        let targets = Tensor::<2>::from_data(TensorData::new(targets.collect::<Vec<_>>(), [n, k]), &device);
        let loss = |view| {
            let scores = model.project(view);
            soft_cross_entropy(targets.clone().cast(scores.dtype()), scores, 1.0).map_err(TrainError::trainee)
        };
        if self.one_view {
            return Ok(vec![("cross-entropy", loss(batch.view(0))?)]);
        }
        let [first, second] = batch.pair(loss);
        Ok(vec![("cross-entropy", (first? + second?) * 0.5)])
    }
}
