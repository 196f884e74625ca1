//! A method in training: what `fit` and a loop of one's own step.

mod settings;

pub use settings::{Budget, TrainingConfig};

use crate::error::TrainError;
use crate::fit::epoch_rng;
use crate::method::{Method, Step, SubStep};
use crate::optimiser::{Select, WeightAverage};
use crate::options::FitOptions;
use crate::parameters::{Parameters, save_module};
use crate::report::RunReport;
use crate::trainee::{Losses, Metrics, State, Trainee};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::TensorData;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::time::{Duration, Instant};

/// What the method's own state is called in a checkpoint.
const METHOD: &str = "method.";
const PROGRESS: &str = "training.steps";

/// Time spent in the parts of training, summed over steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// Making batches.
    pub batch: Duration,
    /// Encoding and losses.
    pub losses: Duration,
    /// The backward pass.
    pub backward: Duration,
    /// The optimiser and what follows a step.
    pub optimiser: Duration,
}

/// A method in training: its parameters, their optimiser, the schedule, and where in the run it is. The same training serves
/// [`fit`](Training::fit) and a loop of one's own:
///
/// ```ignore
/// let mut training = config.build(&data, 7, &device)?;
/// for _ in 0..40 {
///     println!("{:?}", training.train_epoch()?);
/// }
/// ```
pub struct Training<M: Method> {
    method: M,
    parameters: Parameters<M::Model>,
    average: Option<WeightAverage<M::Model>>,
    config: TrainingConfig,
    /// What a loop of one's own draws epochs from.
    own_seed: u64,
    /// What [`Step::rng`] draws from.
    seed: u64,
    /// The epoch in progress or completed last, counted from 1; 0 before the first.
    epoch: usize,
    /// Steps of the epoch after `epoch` that a loaded state has behind it.
    pending: usize,
    /// Steps taken in the epoch, and how many it has.
    done: usize,
    steps: usize,
    batches: usize,
    /// Steps taken in the run.
    global: usize,
    losses: Losses,
    timing: Timing,
}

/// What a training leaves behind.
#[derive(Debug)]
pub struct Trained<M: Method> {
    /// The method.
    pub method: M,
    /// The model, outside of autodiff.
    pub model: M::Model,
    /// What the run reported.
    pub report: RunReport,
}

impl<M: Method> Training<M> {
    /// A training of a model on an autodiff device; `seed` is that of batches and views.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(method: M, model: M::Model, config: &TrainingConfig, seed: u64) -> Result<Self, TrainError> {
        config.validate()?;
        let parameters = Parameters::new(model, &config.optimiser, &config.groups)?;
        let average = config.average.map(|averaging| WeightAverage::new(averaging, parameters.model()));
        Ok(Self {
            method,
            parameters,
            average,
            config: config.clone(),
            own_seed: seed,
            seed,
            pending: 0,
            epoch: 0,
            done: 0,
            steps: 0,
            batches: 0,
            global: 0,
            losses: Losses::new(),
            timing: Timing::default(),
        })
    }

    /// The method.
    pub fn method(&self) -> &M {
        &self.method
    }

    /// The method.
    pub fn method_mut(&mut self) -> &mut M {
        &mut self.method
    }

    /// The model, on an autodiff device.
    pub fn model(&self) -> &M::Model {
        self.parameters.model()
    }

    /// The model for use: outside of autodiff, with averaged weights where the training averages them.
    pub fn trained_model(&self) -> M::Model {
        self.average.as_ref().map_or_else(|| self.model().valid(), |average| average.model().clone())
    }

    /// The parameters and their optimiser.
    pub fn parameters(&self) -> &Parameters<M::Model> {
        &self.parameters
    }

    /// The settings.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// The epoch in progress, or the last completed one; 0 before the first.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Steps taken in the run.
    pub fn global_step(&self) -> usize {
        self.global
    }

    /// The losses of the last step by name, from before it, the total first; empty where there was none.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Where the time went.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Takes the next step of the run; begins an epoch where one is complete. Returns the losses from before it, the total
    /// first.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] for a loss that is not finite (the parameters are those before the step then),
    /// [`TrainError::NonFiniteParameter`], and whatever the method returns.
    pub fn train_step(&mut self) -> Result<Losses, TrainError> {
        if self.done == self.steps {
            let epoch = self.epoch + 1;
            let (rng, pending) = (epoch_rng(self.own_seed, epoch), self.pending);
            let steps = if pending == 0 { self.start(epoch, rng)? } else { self.resume_epoch(epoch, rng, pending)? };
            if steps == 0 {
                return Err(TrainError::EmptyEpoch { epoch, trainee: self.method.name().into() });
            }
        }
        self.advance(self.done)
    }

    /// Trains to the end of the epoch, a whole one where none is in progress. Returns the mean losses, the total first.
    ///
    /// # Errors
    /// As [`train_step`](Self::train_step).
    pub fn train_epoch(&mut self) -> Result<Losses, TrainError> {
        let mut sums = self.train_step()?;
        let mut count = 1;
        while self.done < self.steps {
            let losses = self.train_step()?;
            sums.iter_mut().zip(losses).for_each(|(sum, (_, value))| sum.1 += value);
            count += 1;
        }
        sums.iter_mut().for_each(|sum| sum.1 /= count as f64);
        Ok(sums)
    }

    /// Trains with progress, checkpoints and a run folder. Batches and views are drawn from the seed of `options`; parameters
    /// are those that the training has now. The length is that of `options` if they have one, else the budget.
    ///
    /// # Errors
    /// When the run cannot go on.
    pub fn fit(mut self, options: &FitOptions) -> Result<Trained<M>, TrainError> {
        let report = crate::fit(&mut self, options)?;
        let model = self.trained_model();
        Ok(Trained { method: self.method, model, report })
    }

    /// Was the last step the last of its epoch?
    pub(crate) fn completes_epoch(&self) -> bool {
        self.done == self.steps
    }

    /// Method and model, and the next step, whose batch is the next to be made.
    pub(crate) fn into_losses(mut self) -> Result<(M, M::Model, Step), TrainError> {
        if self.done == self.steps {
            self.start(self.epoch + 1, epoch_rng(self.own_seed, self.epoch + 1))?;
        }
        let step = self.at(self.done);
        Ok((self.method, self.parameters.into_model(), step))
    }

    fn enter(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<(), TrainError> {
        // the seed of the run, whoever drives it
        self.seed = u64::from_le_bytes(*rng.get_seed().first_chunk().expect("a seed of 32 bytes"));
        self.pending = 0;
        self.batches = self.method.begin_epoch(epoch, rng)?;
        (self.epoch, self.done, self.steps) = (epoch, 0, self.batches.div_ceil(self.config.accumulate));
        Ok(())
    }

    fn start(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.enter(epoch, rng)?;
        self.method.prepare_epoch(self.parameters.model(), epoch)?;
        Ok(self.steps)
    }

    fn at(&self, in_epoch: usize) -> Step {
        Step {
            epoch: self.epoch,
            in_epoch,
            global: self.global,
            steps: self.steps,
            batch: in_epoch * self.config.accumulate,
            sub_step: 0,
            seed: self.seed,
            rank: 0,
            world: 1,
        }
    }

    /// The batches of a step, with their numbers.
    fn batches_of(&mut self, step: Step) -> Result<Vec<(usize, M::Batch)>, TrainError> {
        let numbers = step.batch..(step.batch + self.config.accumulate).min(self.batches);
        numbers.map(|batch| self.method.batch(Step { batch, ..step }).map(|made| (batch, made))).collect()
    }

    /// Step `in_epoch` of the epoch in progress.
    fn advance(&mut self, in_epoch: usize) -> Result<Losses, TrainError> {
        let mut step = self.at(in_epoch);
        let start = Instant::now();
        let batches = self.batches_of(step)?;
        self.timing.batch += start.elapsed();

        let mut parts = self.method.sub_steps();
        if parts.is_empty() {
            parts.push(SubStep { name: "step", moves: Select::All });
        }
        let rate = self.config.rate(step);
        let mut values = Losses::new();
        for (at, part) in parts.iter().enumerate() {
            step.sub_step = at;
            let gradients = self.gradients(&batches, step, &mut values)?;
            let start = Instant::now();
            let gradients = match self.config.clipping {
                Some(clipping) => clipping.apply(self.parameters.model(), gradients),
                None => gradients,
            };
            if let Some((tensor, value)) = self.parameters.step(gradients, rate, &part.moves) {
                return Err(TrainError::NonFiniteParameter { epoch: step.epoch, step: in_epoch, tensor, value });
            }
            self.timing.optimiser += start.elapsed();
        }
        let start = Instant::now();
        self.parameters.update_model(|model| self.method.update_model(model, step));
        if let Some(average) = &mut self.average {
            average.update(self.parameters.model());
        }
        if let Some((batch, made)) = batches.last() {
            self.method.after_step(self.parameters.model(), made, Step { batch: *batch, ..step });
        }
        self.timing.optimiser += start.elapsed();
        if values.iter().all(|(name, _)| *name != "loss") {
            values.insert(0, ("loss", values.iter().map(|(_, value)| value).sum()));
        }
        self.global += 1;
        self.done = in_epoch + 1;
        self.losses.clone_from(&values);
        Ok(values)
    }

    /// The gradients of a sub-step, the mean over its batches; adds the mean losses to `values`.
    fn gradients(
        &mut self,
        batches: &[(usize, M::Batch)],
        step: Step,
        values: &mut Losses,
    ) -> Result<GradientsParams, TrainError> {
        let share = 1.0 / batches.len() as f64;
        let first = values.len();
        let mut accumulator = GradientsAccumulator::new();
        for (batch, made) in batches {
            let start = Instant::now();
            let step = Step { batch: *batch, ..step };
            let losses = self.method.losses(self.parameters.model(), made, step)?;
            for (at, (name, loss)) in losses.iter().enumerate() {
                let value = loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
                if !value.is_finite() {
                    let (epoch, step, loss) = (step.epoch, step.in_epoch, name.to_string());
                    return Err(TrainError::NonFinite { epoch, step, loss, value });
                }
                match values.get_mut(first + at).filter(|known| known.0 == *name) {
                    Some(known) => known.1 += value * share,
                    None => values.push((name, value * share)),
                }
            }
            let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss");
            let total = if batches.len() == 1 { total } else { total * share };
            let middle = Instant::now();
            self.timing.losses += middle - start;
            let gradients = self.parameters.gradients(&total);
            drop(total);
            self.timing.backward += middle.elapsed();
            if batches.len() == 1 {
                return Ok(gradients);
            }
            accumulator.accumulate(self.parameters.model(), gradients);
        }
        Ok(accumulator.grads())
    }
}

impl<M: Method> fmt::Debug for Training<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, config) = (self.method.name(), &self.config);
        f.debug_struct("Training").field("method", &name).field("config", config).field("epoch", &self.epoch).finish()
    }
}

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
        self.advance(step)
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
        let progress = crate::trainee::take_tensor(&mut state, PROGRESS, &[3])?;
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
