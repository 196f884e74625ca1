//! BYOL.

use super::{Frame, Momentum, Predicted, Settings, Start, VisionMethod};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::head::MlpHeadConfig;
use contrastive_core::memory::Ema;
use contrastive_core::objective::byol;
use contrastive_train::{Check, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`Byol`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByolConfig {
    /// Momentum of the target network at the start, from where it rises to 1 on a cosine (paper: 0.996; 0.99 for few steps).
    pub momentum: f64,
    /// The predictor's hidden width (paper: the projector's, 4096).
    pub predictor: usize,
}

impl ByolConfig {
    /// Momentum from 0.99, with this hidden width of the predictor.
    pub fn new(predictor: usize) -> Self {
        Self { momentum: 0.99, predictor }
    }
}

/// BYOL (Grill et al. 2020, algorithm 1): each view's prediction meets the other's projection by a slow copy of the network.
#[derive(Debug)]
pub struct Byol {
    target: Momentum,
}

impl Settings for ByolConfig {
    type Method = Byol;

    fn name(&self) -> &'static str {
        "BYOL"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Check::new("BYOL").count("predictor", self.predictor)?;
        Ema::constant(self.momentum)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Byol, Predicted), VisionError> {
        let head = start.head();
        let model = start.predicted(&head, &MlpHeadConfig::new(head.output, self.predictor, head.output))?;
        let ema = Ema::cosine(self.momentum, start.steps())?;
        Ok((Byol { target: Momentum::of(&model.network, ema) }, model))
    }
}

impl VisionMethod for Byol {
    type Model = Predicted;

    fn losses(&mut self, model: &Predicted, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [[_, p0], [_, p1]] = batch.pair(|view| model.both(view));
        let [z0, z1] = batch.pair(|view| self.target.project(view));
        Ok(vec![("distance", byol(p0, p1, z0, z1))])
    }

    fn after_step(&mut self, model: &Predicted, step: Step) {
        self.target.follow(&model.network, step.global);
    }

    fn state(&self) -> State {
        let mut state = State::new();
        self.target.save(&mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.target.load(&mut state)
    }
}
