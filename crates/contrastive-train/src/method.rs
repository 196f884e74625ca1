//! What a published method adds to training.

use crate::error::TrainError;
use crate::optimiser::Select;
use crate::trainee::{Metrics, State};
use burn::module::Module;
use burn::tensor::Tensor;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::ops::Range;

/// Where in its run a training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The step within the epoch, counted from 0.
    pub in_epoch: usize,
    /// The step within the run, counted from 0: what drives momentum and temperature schedules.
    pub global: usize,
    /// Number of steps of this epoch.
    pub steps: usize,
    /// The batch within the epoch, counted from 0: `in_epoch`, unless gradients are accumulated over several batches.
    pub batch: usize,
    /// Which of the [sub-steps](Method::sub_steps) this is, counted from 0.
    pub sub_step: usize,
    /// The seed of the run.
    pub seed: u64,
    /// This rank, from 0.
    pub rank: usize,
    /// Number of ranks that train together; 1 for a training in one process.
    pub world: usize,
}

impl Step {
    /// A generator for this batch alone, the same on every rank, in whatever order batches are made: for augmentations that
    /// are drawn ahead or in several threads. (The generator of [`Method::begin_epoch`] serves what is drawn in order.)
    pub fn rng(&self) -> ChaCha8Rng {
        // SplitMix64 of seed and epoch, so that no stream is that of an epoch
        let mut z = self.seed ^ (self.epoch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut rng = ChaCha8Rng::seed_from_u64(z ^ (z >> 31));
        rng.set_stream(self.batch as u64);
        rng
    }

    /// This rank's share of the rows of a global batch: shares follow each other by rank and differ by one row at most.
    pub fn share(&self, rows: usize) -> Range<usize> {
        let at = |rank: usize| rows * rank / self.world;
        at(self.rank)..at(self.rank + 1)
    }
}

/// A part of a step of an alternating method: a loss of its own, and the parameters it moves. Gradients flow through all
/// others into what moves.
#[derive(Debug, Clone, PartialEq)]
pub struct SubStep {
    /// Name, for messages.
    pub name: &'static str,
    /// What it moves.
    pub moves: Select,
}

/// The weighted losses of a step by name, `[1]` each; their sum is minimised.
pub type Weighted = Vec<(&'static str, Tensor<1>)>;

/// What a published method adds to training: its batches, its losses, and what it does after a step. [`Training`] owns the
/// parameters and the optimiser and does the rest.
///
/// A resumed run equals an uninterrupted one bit by bit if two rules are kept:
///
/// - all randomness comes from the generator that [`begin_epoch`](Self::begin_epoch) receives, drawn there and in
///   [`batch`](Self::batch), or from [`Step::rng`];
/// - [`state`](Self::state) holds all that changes from step to step, apart from the model.
///
/// [`Training`]: crate::Training
pub trait Method {
    /// The parameters, on an autodiff device.
    type Model: Module;
    /// What one step consumes.
    type Batch;

    /// The method's name, for files and messages.
    fn name(&self) -> &str;

    /// All settings that decide the numbers, as JSON, apart from those of the training itself. A checkpoint is resumed only
    /// if they are equal.
    fn config(&self) -> serde_json::Value;

    /// Name, size and digest of the data, as JSON: a checkpoint of other data is refused.
    fn data(&self) -> serde_json::Value;

    /// Starts epoch `epoch`, counted from 1, whichever was the last: shuffles and samples. Returns the number of batches.
    ///
    /// # Errors
    /// Whatever hinders the epoch; ends the run.
    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError>;

    /// Prepares an epoch with what the model has learnt (clusters, prototypes, hard negatives). Called once an epoch, after
    /// [`begin_epoch`](Self::begin_epoch); not again when a run is resumed within the epoch, so that its result belongs into
    /// [`state`](Self::state).
    ///
    /// # Errors
    /// Whatever hinders it; ends the run.
    fn prepare_epoch(&mut self, _model: &Self::Model, _epoch: usize) -> Result<(), TrainError> {
        Ok(())
    }

    /// Makes batch `step.batch` of the epoch. Batches are made in order, each once, also those that a run resumed within the
    /// epoch has behind it.
    ///
    /// # Errors
    /// Whatever hinders the batch; ends the run.
    fn batch(&mut self, step: Step) -> Result<Self::Batch, TrainError>;

    /// The parts of a step that move different parameters, in their order; none (the default): one that moves all.
    fn sub_steps(&self) -> Vec<SubStep> {
        Vec::new()
    }

    /// The weighted losses of a batch by name; their sum is minimised. With [`sub_steps`](Self::sub_steps), those of
    /// `step.sub_step`.
    ///
    /// # Errors
    /// Whatever hinders the losses; ends the run.
    fn losses(&mut self, model: &Self::Model, batch: &Self::Batch, step: Step) -> Result<Weighted, TrainError>;

    /// The model after the optimiser's step, where one part of it follows another (a target network within the model).
    fn update_model(&mut self, model: Self::Model, _step: Step) -> Self::Model {
        model
    }

    /// What else follows a step: momentum encoders, queues. `step.global` counts the steps of the run. Of a step over several
    /// batches (accumulated gradients) it gets the last one.
    fn after_step(&mut self, _model: &Self::Model, _batch: &Self::Batch, _step: Step) {}

    /// All that changes from step to step apart from the model: queues, per-sample values, prototypes, momentum encoders
    /// ([`save_module`](crate::save_module)).
    fn state(&self) -> State {
        State::new()
    }

    /// Takes over what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// [`TrainError::State`] when a tensor is missing or does not fit.
    fn load_state(&mut self, _state: State) -> Result<(), TrainError> {
        Ok(())
    }

    /// Evaluates a model (outside of autodiff, as [`Module::valid`] gives it); `None` if there is nothing to evaluate on. Must
    /// not change the state.
    ///
    /// # Errors
    /// Whatever hinders the evaluation; ends the run.
    fn evaluate(&mut self, _model: &Self::Model) -> Result<Option<Metrics>, TrainError> {
        Ok(None)
    }

    /// Embedding tables of a model (outside of autodiff) by name, one `embeddings/NAME.npy` each.
    fn artifacts(&self, model: &Self::Model) -> Vec<(String, Array2<f32>)>;
}
