//! What the loop asks of a training.

use super::{Alone, Budget, Training};
use crate::error::TrainError;
use crate::method::Method;
use crate::parameters::save_module;
use crate::trainee::{Losses, Metrics, State, Trainee, take_tensor};
use burn::tensor::TensorData;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// What the method's own state is called in a checkpoint.
const METHOD: &str = "method.";
/// Global step, complete epochs, steps of the epoch in progress.
const PROGRESS: &str = "training.steps";

impl<M: Method> Trainee for Training<M> {
    fn name(&self) -> &str {
        self.method.name()
    }

    fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "method": self.method.name(),
            "settings": self.method.config(),
            "training": self.config.identity(),
            "data": self.method.data(),
        })
    }

    fn settle_budget(&mut self, asked: Option<Budget>) -> Budget {
        self.config.budget = asked.unwrap_or(self.config.budget);
        self.config.budget
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.start(epoch, rng)
    }

    fn resumes_within_epochs(&self) -> bool {
        true
    }

    fn resume_epoch(&mut self, epoch: usize, rng: ChaCha8Rng, done: usize) -> Result<usize, TrainError> {
        // batches are made once more, so that the generator is where it was, and their effects undone
        let state = self.method.state();
        self.enter(epoch, rng)?;
        let global = self.global;
        for in_epoch in 0..done {
            self.global = global - (done - in_epoch);
            let step = self.at(in_epoch);
            self.batches_of(step)?;
        }
        self.global = global;
        self.method.load_state(state)?;
        self.done = done;
        Ok(self.steps)
    }

    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        self.step_in(step, &Alone)
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        let model = self.trained_model();
        self.method.evaluate(&model)
    }

    fn state(&self) -> State {
        let mut state = self.parameters.state();
        if let Some(average) = &self.average {
            average.save(&mut state);
        }
        let own = self.method.state().into_iter().map(|(name, data)| (format!("{METHOD}{name}"), data));
        state.extend(own);
        let complete = self.done == self.steps;
        let (epoch, done) = if complete { (self.epoch, self.pending) } else { (self.epoch - 1, self.done) };
        let progress = [self.global, epoch, done].map(|n| n as u64);
        state.insert(PROGRESS.into(), TensorData::new(progress.to_vec(), [3]));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        let progress = take_tensor(&mut state, PROGRESS, &[3])?;
        let progress: Vec<u64> = progress.iter::<u64>().collect();
        let own: Vec<String> = state.keys().filter(|name| name.starts_with(METHOD)).cloned().collect();
        let own = own.into_iter().filter_map(|name| Some((name[METHOD.len()..].to_string(), state.remove(&name)?)));
        let own: State = own.collect();
        self.parameters.load(&mut state)?;
        if let Some(average) = &mut self.average {
            average.load(&mut state)?;
        }
        self.method.load_state(own)?;
        (self.global, self.epoch, self.pending) = (progress[0] as usize, progress[1] as usize, progress[2] as usize);
        (self.done, self.steps) = (0, 0);
        Ok(())
    }

    fn model(&self) -> State {
        let mut state = State::new();
        save_module(&self.trained_model(), "model", &mut state);
        state
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        self.method.artifacts(&self.trained_model())
    }
}
