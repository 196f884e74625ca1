//! A method in training: what `fit` and a loop of one's own step.

mod mode;
mod run;
mod settings;

pub(crate) use mode::{Alone, Mode};
pub use settings::{Budget, TrainingConfig};

use crate::chunked::Chunked;
use crate::error::TrainError;
use crate::fit::epoch_rng;
use crate::method::{Method, Step, SubStep};
use crate::optimiser::{Select, WeightAverage};
use crate::options::FitOptions;
use crate::parameters::Parameters;
use crate::report::RunReport;
use crate::trainee::{Losses, Trainee};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use contrastive_core::gradient_cache::GradientCache;
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::time::{Duration, Instant};

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
    /// Rank and number of ranks.
    place: [usize; 2],
    by_chunks: Option<(GradientCache, Chunked<M>)>,
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
            place: [0, 1],
            by_chunks: None,
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
        self.train_step_in(&Alone)
    }

    pub(crate) fn train_step_in(&mut self, mode: &impl Mode<M>) -> Result<Losses, TrainError> {
        if self.done == self.steps {
            let epoch = self.epoch + 1;
            let (rng, pending) = (epoch_rng(self.own_seed, epoch), self.pending);
            let steps = if pending == 0 { self.start(epoch, rng)? } else { self.resume_epoch(epoch, rng, pending)? };
            if steps == 0 {
                return Err(TrainError::EmptyEpoch { epoch, trainee: self.method.name().into() });
            }
        }
        self.step_in(self.done, mode)
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
        Ok(self.into_trained(report))
    }

    pub(crate) fn into_trained(self, report: RunReport) -> Trained<M> {
        let model = self.trained_model();
        Trained { method: self.method, model, report }
    }

    /// As one rank of a group.
    pub(crate) fn placed(self, rank: usize, world: usize) -> Self {
        Self { place: [rank, world], ..self }
    }

    /// With gradients by chunks.
    pub(crate) fn chunked(self, cache: GradientCache, by_chunks: Chunked<M>) -> Self {
        Self { by_chunks: Some((cache, by_chunks)), ..self }
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
            rank: self.place[0],
            world: self.place[1],
        }
    }

    /// The batches of a step, with their numbers.
    fn batches_of(&mut self, step: Step) -> Result<Vec<(usize, M::Batch)>, TrainError> {
        let numbers = step.batch..(step.batch + self.config.accumulate).min(self.batches);
        numbers.map(|batch| self.method.batch(Step { batch, ..step }).map(|made| (batch, made))).collect()
    }

    /// Step `in_epoch` of the epoch in progress.
    pub(crate) fn step_in(&mut self, in_epoch: usize, mode: &impl Mode<M>) -> Result<Losses, TrainError> {
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
            let gradients = self.gradients(&batches, step, mode, &mut values)?;
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
            let step = Step { batch: *batch, ..step };
            mode.after_step(&mut self.method, self.parameters.model(), made, step)?;
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
        mode: &impl Mode<M>,
        values: &mut Losses,
    ) -> Result<GradientsParams, TrainError> {
        let share = 1.0 / batches.len() as f64;
        let first = values.len();
        let mut accumulator = GradientsAccumulator::new();
        for (batch, made) in batches {
            let (found, gradients) = self.batch_gradients(made, Step { batch: *batch, ..step }, share, mode)?;
            for (at, (name, value)) in found.into_iter().enumerate() {
                match values.get_mut(first + at).filter(|known| known.0 == name) {
                    Some(known) => known.1 += value * share,
                    None => values.push((name, value * share)),
                }
            }
            if batches.len() == 1 {
                return mode.sum(self.parameters.model(), gradients);
            }
            accumulator.accumulate(self.parameters.model(), gradients);
        }
        mode.sum(self.parameters.model(), accumulator.grads())
    }

    /// The losses of a batch, and the gradients of their sum times `factor`.
    fn batch_gradients(
        &mut self,
        batch: &M::Batch,
        step: Step,
        factor: f64,
        mode: &impl Mode<M>,
    ) -> Result<(Losses, GradientsParams), TrainError> {
        let start = Instant::now();
        if let Some((cache, by_chunks)) = &self.by_chunks {
            let (values, gradients) = by_chunks(&mut self.method, self.parameters.model(), batch, step, cache, factor)?;
            check_finite(&values, step)?;
            self.timing.losses += start.elapsed();
            return Ok((values, gradients));
        }
        let losses = mode.losses(&mut self.method, self.parameters.model(), batch, step)?;
        let values: Losses = losses.iter().map(|(name, loss)| (*name, value_of(loss))).collect();
        check_finite(&values, step)?;
        let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss");
        let total = if factor == 1.0 { total } else { total * factor };
        let middle = Instant::now();
        self.timing.losses += middle - start;
        let gradients = self.parameters.gradients(&total);
        self.timing.backward += middle.elapsed();
        Ok((values, gradients))
    }
}

/// The value of a loss `[1]`.
pub(crate) fn value_of(loss: &Tensor<1>) -> f64 {
    loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}

fn check_finite(values: &Losses, step: Step) -> Result<(), TrainError> {
    match values.iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((name, value)) => {
            let (epoch, step, loss) = (step.epoch, step.in_epoch, name.to_string());
            Err(TrainError::NonFinite { epoch, step, loss, value: *value })
        }
    }
}

impl<M: Method> fmt::Debug for Training<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, config) = (self.method.name(), &self.config);
        f.debug_struct("Training").field("method", &name).field("config", config).field("epoch", &self.epoch).finish()
    }
}
