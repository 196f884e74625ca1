//! NNCLR.

use super::{Frame, Predicted, Settings, Start, VisionMethod};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::Tensor;
use contrastive_core::head::MlpHeadConfig;
use contrastive_core::memory::Queue;
use contrastive_core::objective::NnClr as Objective;
use contrastive_core::similarity::unit_rows;
use contrastive_train::{Check, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`NnClr`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NnClrConfig {
    /// Temperature (paper: 0.1).
    pub temperature: f64,
    /// Rows of the support set (paper: 98,304), at most the images of the data.
    pub queue: usize,
    /// The predictor's hidden width (paper: 4096).
    pub predictor: usize,
}

/// NNCLR (Dwibedi et al. 2021): the nearest former row takes the place of one view. The support starts with random unit rows.
#[derive(Debug)]
pub struct NnClr {
    objective: Objective,
    support: Queue,
    pending: Option<Tensor<2>>,
}

impl Settings for NnClrConfig {
    type Method = NnClr;

    fn name(&self) -> &'static str {
        "NNCLR"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Objective::new(self.temperature)?;
        Ok(Check::new("NNCLR").count("predictor", self.predictor)?)
    }

    fn start(&self, start: &Start<'_>) -> Result<(NnClr, Predicted), VisionError> {
        let ((device, dtype), head) = (start.plain(), start.head());
        let support = Queue::random_units(self.queue, head.output, start.seed.wrapping_add(300), (&device, dtype))?;
        let support = support.with_dataset_size(start.set.len())?;
        let model = start.predicted(&head, &MlpHeadConfig::new(head.output, self.predictor, head.output))?;
        Ok((NnClr { objective: Objective::new(self.temperature)?, support, pending: None }, model))
    }
}

impl VisionMethod for NnClr {
    type Model = Predicted;

    fn losses(&mut self, model: &Predicted, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [[z0, p0], [z1, p1]] = batch.pair(|view| model.both(view));
        self.pending = Some(unit_rows(z0.clone().inner()));
        Ok(vec![("contrast", self.objective.symmetric_loss([z0, z1], [p0, p1], &self.support))])
    }

    fn after_step(&mut self, _: &Predicted, _: Step) {
        self.pending.take().into_iter().for_each(|rows| self.support.push(rows));
    }

    fn state(&self) -> State {
        self.support.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.support.load_state(&state).map_err(TrainError::trainee)
    }
}
