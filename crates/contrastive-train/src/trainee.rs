//! What the loop asks of a method.

use crate::error::TrainError;
use crate::training::Budget;
use burn::tensor::TensorData;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Named tensors on the host: parameters, optimiser moments, queues, everything a run needs to go on.
pub type State = BTreeMap<String, TensorData>;

/// The losses of one step by name; the first is shown in the progress bar.
pub type Losses = Vec<(&'static str, f64)>;

/// The metrics of one evaluation by name.
pub type Metrics = BTreeMap<String, f64>;

/// Something that can be trained by [`fit`](crate::fit): a method with its data, parameters and optimiser.
///
/// A resumed run equals an uninterrupted one bit by bit if two rules are kept: all randomness of an epoch comes from the
/// generator that [`begin_epoch`](Self::begin_epoch) receives, and [`state`](Self::state) holds all that changes from
/// epoch to epoch (parameters, optimiser moments and step counts, queues, running averages).
pub trait Trainee {
    /// Name of the method, for files and messages.
    fn name(&self) -> &str;

    /// All settings that decide the numbers, as JSON. A checkpoint is resumed only if they are equal. A top-level
    /// `epochs` is left out of the comparison: a run may be extended.
    fn config(&self) -> serde_json::Value;

    /// How long to train: what `asked` says, else the trainee's own budget, else one epoch. Called once, before a run begins.
    fn settle_budget(&mut self, asked: Option<Budget>) -> Budget {
        asked.unwrap_or(Budget::Epochs(1))
    }

    /// Starts epoch `epoch` (counted from 1): shuffles, samples, sets the learning rate. Returns the number of steps.
    ///
    /// # Errors
    /// Whatever hinders the epoch; ends the run.
    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError>;

    /// Can a run be saved and resumed within an epoch? Then [`resume_epoch`](Self::resume_epoch) is called on resumption.
    fn resumes_within_epochs(&self) -> bool {
        false
    }

    /// Starts an epoch as [`begin_epoch`](Self::begin_epoch) and passes over `done` steps, whose outcome is in the state that was
    /// loaded. Returns the number of steps, those passed over included.
    ///
    /// # Errors
    /// Of trainees that do not resume within epochs, always.
    fn resume_epoch(&mut self, _epoch: usize, _rng: ChaCha8Rng, done: usize) -> Result<usize, TrainError> {
        Err(TrainError::setting("steps", done, "whole epochs: this trainee does not resume within one"))
    }

    /// Takes step `step` (counted from 0) and returns its losses. The loop averages them over the epoch and stops at one
    /// that is not finite.
    ///
    /// # Errors
    /// Whatever hinders the step; ends the run.
    fn step(&mut self, step: usize) -> Result<Losses, TrainError>;

    /// Evaluates the present parameters; `None` if there is nothing to evaluate on. Must not change the state.
    ///
    /// # Errors
    /// Whatever hinders the evaluation; ends the run.
    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError>;

    /// A copy of everything the run needs to go on.
    fn state(&self) -> State;

    /// Takes over a state that [`state`](Self::state) gave.
    ///
    /// # Errors
    /// [`TrainError::State`] when a tensor is missing or does not fit.
    fn load_state(&mut self, state: State) -> Result<(), TrainError>;

    /// What `model.safetensors` holds: the parameters. All of [`state`](Self::state) unless overridden.
    fn model(&self) -> State {
        self.state()
    }

    /// Embedding tables by name, one `embeddings/NAME.npy` each.
    fn artifacts(&self) -> Vec<(String, Array2<f32>)>;
}

/// Removes tensor `name` from `state` and checks its shape.
///
/// # Errors
/// [`TrainError::State`] when it is missing or has another shape.
pub fn take_tensor(state: &mut State, name: &str, shape: &[usize]) -> Result<TensorData, TrainError> {
    let wrong = |problem: String| TrainError::State { name: name.into(), problem };
    let data = state.remove(name).ok_or_else(|| {
        let names: Vec<&str> = state.keys().map(String::as_str).collect();
        wrong(format!("missing; there are {}", if names.is_empty() { "none".into() } else { names.join(", ") }))
    })?;
    let found: Vec<usize> = data.shape().iter().copied().collect();
    if found != shape {
        return Err(wrong(format!("shape {found:?}, expected {shape:?}")));
    }
    Ok(data)
}
