//! The loop.

use crate::checkpoint::{self, Identity, Partial, RunState};
use crate::error::TrainError;
use crate::group::Group;
use crate::interrupt::Running;
use crate::options::{Better, EarlyStopping, FitOptions};
use crate::progress::Progress;
use crate::report::{Best, EpochRecord, RunReport};
use crate::run_dir::RunDir;
use crate::trainee::{Losses, Metrics, State, Trainee};
use crate::training::Budget;
use burn::tensor::{DType, TensorData};
use contrastive_core::distributed::Communicator;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::time::Instant;

/// The generator of an epoch: one stream a number, so that an epoch's randomness does not depend on how it was reached.
pub fn epoch_rng(seed: u64, epoch: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    rng
}

/// Trains: epochs of steps, an evaluation every so often, a checkpoint after every epoch, and the results at the end.
///
/// A run that was interrupted, killed or extended and is resumed ends with the same parameters, bit by bit, as one that
/// went through (see [`Trainee`] for the two rules this rests on). When an error ends a run, the trainee keeps the
/// state it had then, and the run folder keeps the checkpoint of the last completed epoch.
///
/// # Errors
/// [`TrainError`]: settings out of range, a run folder that is occupied, locked or not writable, a checkpoint that is
/// damaged or of another configuration, a loss that is not finite, an interruption, and whatever the trainee returns.
pub fn fit<T: Trainee + ?Sized>(trainee: &mut T, options: &FitOptions) -> Result<RunReport, TrainError> {
    run(trainee, options, Group(None))
}

/// [`fit`] by several ranks, each of which calls this with its own trainee and the same options. Rank 0 evaluates, writes the run
/// folder and hands checkpoints to the others; a request to stop reaches all of them.
///
/// # Errors
/// As [`fit`], and on every rank when one of them fails.
pub fn fit_distributed<T: Trainee + ?Sized>(
    trainee: &mut T,
    options: &FitOptions,
    communicator: &dyn Communicator,
) -> Result<RunReport, TrainError> {
    run(trainee, options, Group(Some(communicator)))
}

fn run<T: Trainee + ?Sized>(trainee: &mut T, options: &FitOptions, group: Group<'_>) -> Result<RunReport, TrainError> {
    options.validate()?;
    let budget = trainee.settle_budget(options.budget);
    let identity = Identity { trainee: trainee.name().into(), seed: options.seed, config: normal(trainee.config()) };
    let folder = options.run_dir.as_deref().filter(|_| group.leads());
    let dir = folder.map(|path| RunDir::open(path, options)).transpose()?;
    let mut run = RunState::new(identity);
    let mut notes = Vec::new();
    let mut resumed_from = None;
    if options.resume {
        let found = group.checkpoint(|| {
            let dir = dir.as_ref().expect("rank 0 has the folder of a run that is resumed");
            let found = checkpoint::load(&dir.checkpoint(), &mut notes, |_| true)?;
            match &found {
                None => notes.push(format!("{} has no checkpoint: started anew", dir.path().display())),
                Some((saved, _)) => {
                    let allowed = &options.allowed_changes;
                    notes.extend(checkpoint::check(&dir.checkpoint(), saved, &run.identity, budget, allowed)?);
                }
            }
            Ok(found)
        })?;
        if let Some((saved, state)) = found {
            trainee.load_state(state)?;
            resumed_from = Some(saved.epoch);
            // The configuration as it is now: a budget within it may have changed.
            run = RunState { identity: run.identity, config_digest: run.config_digest, ..saved };
        }
    }
    if let Some(dir) = &dir {
        dir.write_config(&run, options, budget)?;
        dir.restart_metrics(&run.history)?;
    }
    // Until the results are written: a first Ctrl-C must not cut that short.
    let running = Running::enter(options.handle_interrupt);
    let progress = Progress::new(options.progress && group.leads());
    notes.iter().for_each(|note| progress.note(note));
    let mut whole = Run { options, group, budget, dir, progress, running, run, best_state: None };
    whole.train(trainee)?;
    whole.finish(trainee, notes, resumed_from)
}

/// Normalised by a JSON round trip, so that it compares equal to a saved one.
fn normal(config: serde_json::Value) -> serde_json::Value {
    serde_json::from_str(&config.to_string()).expect("printed JSON is JSON")
}

struct Run<'a> {
    options: &'a FitOptions,
    group: Group<'a>,
    budget: Budget,
    dir: Option<RunDir>,
    progress: Progress,
    running: Running,
    run: RunState,
    /// Without a run folder the best state is kept here.
    best_state: Option<State>,
}

impl Run<'_> {
    fn stopped_early(&self) -> bool {
        self.options.early_stopping.as_ref().is_some_and(|stopping| self.run.waiting >= stopping.patience)
    }

    /// Is the budget used up?
    fn complete(&self) -> bool {
        match self.budget {
            Budget::Epochs(epochs) => self.run.epoch >= epochs,
            Budget::Steps(steps) => self.run.steps() >= steps,
        }
    }

    fn train<T: Trainee + ?Sized>(&mut self, trainee: &mut T) -> Result<(), TrainError> {
        while !self.complete() && !self.stopped_early() {
            let record = self.epoch(trainee)?;
            if let Some(dir) = &self.dir {
                dir.append_metrics(&record)?;
            }
            let whole = self.run.partial.is_none();
            let improved = whole && self.update_best(&record)?;
            if whole {
                self.run.epoch = record.epoch;
            }
            self.progress.done(&record, self.epochs(record.steps));
            self.run.history.push(record);
            let kept = improved && self.options.run_dir.is_none();
            if self.dir.is_some() || kept {
                let state = trainee.state();
                self.check_finite(&state)?;
                if let Some(dir) = &self.dir {
                    if improved {
                        checkpoint::save(&dir.best(), &self.run, &state)?;
                    }
                    dir.save(&self.run, &state)?;
                } else {
                    self.best_state = Some(state);
                }
            }
            if self.group.any(self.running.stop())? {
                return Err(self.interrupted());
            }
        }
        Ok(())
    }

    /// Parameters and moments that are not finite are not saved. (What a method keeps beside them may be infinite.)
    fn check_finite(&self, state: &State) -> Result<(), TrainError> {
        for (tensor, data) in state.iter().filter(|(name, _)| !name.starts_with("method.")) {
            if let Some(value) = not_finite(data) {
                let record = self.run.history.last().expect("a state is saved after an epoch");
                let (epoch, step) = (record.epoch, record.steps.saturating_sub(1));
                return Err(TrainError::NonFiniteParameter { epoch, step, tensor: tensor.clone(), value });
            }
        }
        Ok(())
    }

    /// Number of epochs to show, of so many steps each.
    fn epochs(&self, steps: usize) -> usize {
        match self.budget {
            Budget::Epochs(epochs) => epochs,
            Budget::Steps(all) => all.div_ceil(steps.max(1)).max(self.run.epoch + 1),
        }
    }

    fn epoch<T: Trainee + ?Sized>(&mut self, trainee: &mut T) -> Result<EpochRecord, TrainError> {
        let epoch = self.run.epoch + 1;
        let start = Instant::now();
        let rng = epoch_rng(self.options.seed, epoch);
        let mut sums = BTreeMap::<String, (f64, usize)>::new();
        let (mut first, mut before) = (0, [0.0; 2]);
        let steps = match self.run.partial.take() {
            None => trainee.begin_epoch(epoch, rng)?,
            Some(Partial { done, sums: saved }) => {
                let record = self.run.history.pop().expect("the record of the part");
                if let Some(dir) = &self.dir {
                    dir.restart_metrics(&self.run.history)?;
                }
                (first, sums, before) = (done, saved, [record.seconds, record.evaluation_seconds]);
                trainee.resume_epoch(epoch, rng, done)?
            }
        };
        if steps == 0 {
            return Err(TrainError::EmptyEpoch { epoch, trainee: trainee.name().into() });
        }
        let end = match self.budget {
            Budget::Epochs(_) => steps,
            Budget::Steps(all) => steps.min(all - self.run.steps()),
        };
        self.progress.epoch(epoch, self.epochs(steps), steps);
        let mut done = first;
        for step in first..end {
            let losses = trainee.step(step)?;
            finite(&losses, epoch, step)?;
            for (name, value) in &losses {
                let (sum, count) = sums.entry(name.to_string()).or_default();
                *sum += value;
                *count += 1;
            }
            done = step + 1;
            self.progress.step(&losses);
            // After the last step the epoch is as good as complete: it is recorded and saved first.
            if done < end && self.group.any(self.running.stop())? {
                if self.options.run_dir.is_none() || !trainee.resumes_within_epochs() {
                    return Err(self.interrupted());
                }
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut metrics = None;
        let last = match self.budget {
            Budget::Epochs(epochs) => epoch == epochs,
            Budget::Steps(all) => self.run.steps() + done == all,
        };
        if done == end && (last || self.options.evaluates(epoch)) {
            self.progress.evaluating();
            metrics = self.group.metrics(|| trainee.evaluate())?;
        }
        let losses = sums.iter().map(|(name, (sum, count))| (name.clone(), sum / *count as f64)).collect();
        if done < steps {
            self.run.partial = Some(Partial { done, sums });
        }
        let (seconds, evaluation_seconds) = (before[0] + seconds, before[1] + start.elapsed().as_secs_f64());
        Ok(EpochRecord { epoch, steps: done, losses, metrics, seconds, evaluation_seconds })
    }

    /// Compares an evaluation with the best one; true if it is the best now.
    fn update_best(&mut self, record: &EpochRecord) -> Result<bool, TrainError> {
        let Some(EarlyStopping { metric, better, .. }) = &self.options.early_stopping else { return Ok(false) };
        let last = matches!(self.budget, Budget::Epochs(epochs) if epochs == record.epoch)
            || matches!(self.budget, Budget::Steps(all) if self.run.steps() + record.steps == all);
        if !last && !self.options.evaluates(record.epoch) {
            return Ok(false);
        }
        let none = Metrics::new();
        let metrics = record.metrics.as_ref().unwrap_or(&none);
        let Some(&value) = metrics.get(metric) else {
            let available = metrics.keys().cloned().collect();
            return Err(TrainError::MissingMetric { metric: metric.clone(), available });
        };
        let best = self.run.best.as_ref().filter(|best| best.metric == *metric).map(|best| best.value);
        // A NaN is never better, and anything is better than it.
        let improved = match (best, better) {
            (None, _) => true,
            (Some(best), _) if best.is_nan() => !value.is_nan(),
            (Some(best), Better::Higher) => value > best,
            (Some(best), Better::Lower) => value < best,
        };
        if improved {
            self.run.best = Some(Best { metric: metric.clone(), value, epoch: record.epoch });
            self.run.waiting = 0;
        } else {
            self.run.waiting += 1;
        }
        Ok(improved)
    }

    fn interrupted(&self) -> TrainError {
        let epoch = self.run.epoch;
        let part = self.run.partial.as_ref().map_or(String::new(), |part| format!(" and {} more steps", part.done));
        let resume = match &self.dir {
            None => "nothing was saved: the run has no run_dir".into(),
            Some(_) if epoch == 0 && self.run.partial.is_none() => {
                "no epoch was completed, so there is nothing to resume".into()
            }
            Some(dir) => format!(
                "{} holds epoch {epoch}{part}: run again with resume(true) and run_dir({:?}) to go on from there",
                dir.checkpoint().display(),
                dir.path()
            ),
        };
        TrainError::Interrupted { epoch, resume }
    }

    fn finish<T: Trainee + ?Sized>(
        mut self,
        trainee: &mut T,
        mut notes: Vec<String>,
        resumed_from: Option<usize>,
    ) -> Result<RunReport, TrainError> {
        let best =
            self.run.best.clone().filter(|best| {
                self.options.early_stopping.as_ref().is_some_and(|stopping| stopping.metric == best.metric)
            });
        let record = |epoch: usize| self.run.history.iter().find(|record| record.epoch == epoch);
        let mut metrics = self.run.history.last().and_then(|record| record.metrics.clone());
        if let Some(best) = &best {
            metrics = record(best.epoch).and_then(|record| record.metrics.clone());
            if best.epoch != self.run.epoch {
                trainee.load_state(self.best_state(best, &mut notes)?)?;
            }
        } else if metrics.is_none() {
            // A resumed run that was complete, but whose last epoch was not evaluated.
            metrics = self.group.metrics(|| trainee.evaluate())?;
        }
        let report = RunReport {
            trainee: trainee.name().into(),
            seed: self.options.seed,
            epochs: self.run.epoch,
            steps: self.run.steps(),
            stopped_early: self.stopped_early(),
            best,
            losses: self.run.history.last().map(|record| record.losses.clone()).unwrap_or_default(),
            metrics,
            seconds: self.run.history.iter().map(|record| record.seconds + record.evaluation_seconds).sum(),
            resumed_from,
            notes,
            run_dir: self.options.run_dir.clone(),
            history: std::mem::take(&mut self.run.history),
        };
        if let Some(dir) = &self.dir {
            dir.write_results(trainee, &report)?;
        }
        // nobody leaves before the results are written
        self.group.any(false)?;
        Ok(report)
    }

    fn best_state(&self, best: &Best, notes: &mut Vec<String>) -> Result<State, TrainError> {
        if self.options.run_dir.is_none() {
            return Ok(self.best_state.clone().expect("the best state is kept in memory without a run folder"));
        }
        let found = self.group.checkpoint(|| {
            let dir = self.dir.as_ref().expect("rank 0 has the run folder");
            let found = checkpoint::load(&dir.best(), notes, |saved| saved.epoch == best.epoch)?;
            let reason = format!("it should hold the best state, that of epoch {}, and does not", best.epoch);
            found.map(Some).ok_or_else(|| TrainError::Corrupt { path: dir.best(), reason })
        })?;
        Ok(found.expect("rank 0 has found it").1)
    }
}

/// The first value of a float tensor that is NaN or infinite.
fn not_finite(data: &TensorData) -> Option<f64> {
    match data.dtype() {
        DType::F32 => data.as_slice::<f32>().ok()?.iter().find(|x| !x.is_finite()).map(|x| f64::from(*x)),
        DType::F64 => data.as_slice::<f64>().ok()?.iter().find(|x| !x.is_finite()).copied(),
        kind if kind.is_float() => data.iter::<f64>().find(|x| !x.is_finite()),
        _ => None,
    }
}

fn finite(losses: &Losses, epoch: usize, step: usize) -> Result<(), TrainError> {
    match losses.iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((name, value)) => Err(TrainError::NonFinite { epoch, step, loss: name.to_string(), value: *value }),
    }
}
