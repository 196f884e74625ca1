//! Averages of the weights over the steps.

use crate::config::{Check, SettingError};
use crate::error::TrainError;
use crate::parameters::{load_module, save_module};
use crate::trainee::{State, take_tensor};
use burn::module::Module;
use burn::tensor::TensorData;
use contrastive_core::memory::update_target;
use serde::{Deserialize, Serialize};

/// How weights are averaged over the steps of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// Exponentially: `average <- decay average + (1 - decay) weights`, from the initial weights on.
    Exponential {
        /// In [0, 1].
        decay: f64,
    },
    /// The mean of the initial weights and those after each step (SWA of every step, as TS2Vec uses it).
    Equal,
}

impl Averaging {
    /// Checks the decay.
    ///
    /// # Errors
    /// [`SettingError`] when it is not 0 to 1.
    pub fn validate(&self) -> Result<(), SettingError> {
        match self {
            Self::Exponential { decay } => Check::new("average of weights").probability("decay", *decay),
            Self::Equal => Ok(()),
        }
    }
}

/// The average of a model's weights over the steps so far: a model of the same form, outside of autodiff.
#[derive(Debug, Clone)]
pub struct WeightAverage<M> {
    averaging: Averaging,
    model: M,
    updates: u64,
}

impl<M: Module> WeightAverage<M> {
    /// Starts with these weights.
    pub fn new(averaging: Averaging, model: &M) -> Self {
        Self { averaging, model: model.valid(), updates: 0 }
    }

    /// Takes in the weights after a step.
    pub fn update(&mut self, model: &M) {
        self.updates += 1;
        let decay = match self.averaging {
            Averaging::Exponential { decay } => decay,
            // average + (weights - average) / (n + 1)
            Averaging::Equal => self.updates as f64 / (self.updates + 1) as f64,
        };
        self.model = update_target(model, self.model.clone(), decay);
    }

    /// The averaged model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Adds the average to a state, as `average.NAME`.
    pub fn save(&self, state: &mut State) {
        state.insert("average.updates".into(), TensorData::new(vec![self.updates], [1]));
        save_module(&self.model, "average.model", state);
    }

    /// Takes over what [`save`](Self::save) wrote, removing it from the state.
    ///
    /// # Errors
    /// [`TrainError::State`] when a tensor is missing or does not fit.
    pub fn load(&mut self, state: &mut State) -> Result<(), TrainError> {
        let updates = take_tensor(state, "average.updates", &[1])?.iter::<u64>().next().unwrap_or(0);
        self.model = load_module(self.model.clone(), "average.model", state)?;
        self.updates = updates;
        Ok(())
    }
}
