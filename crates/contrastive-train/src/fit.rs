//! The loop.

use crate::checkpoint::{self, Identity, RunState};
use crate::error::TrainError;
use crate::interrupt::Running;
use crate::options::{Better, EarlyStopping, FitOptions};
use crate::progress::Progress;
use crate::report::{Best, EpochRecord, RunReport};
use crate::run_dir::RunDir;
use crate::trainee::{Losses, Metrics, State, Trainee};
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
    options.validate()?;
    let identity = Identity { trainee: trainee.name().into(), seed: options.seed, config: normal(trainee.config()) };
    let dir = options.run_dir.as_deref().map(|path| RunDir::open(path, options)).transpose()?;
    let mut run = RunState::new(identity);
    let mut notes = Vec::new();
    let mut resumed_from = None;
    if let Some(dir) = dir.as_ref().filter(|_| options.resume) {
        match checkpoint::load(&dir.checkpoint(), &mut notes, |_| true)? {
            None => notes.push(format!("{} has no checkpoint: started anew", dir.path().display())),
            Some((saved, state)) => {
                checkpoint::check(&dir.checkpoint(), &saved, &run.identity, options.epochs)?;
                trainee.load_state(state)?;
                resumed_from = Some(saved.epoch);
                // The configuration as it is now: a number of epochs within it may have changed.
                run = RunState { identity: run.identity, ..saved };
            }
        }
    }
    if let Some(dir) = &dir {
        dir.write_config(&run, options)?;
        dir.restart_metrics(&run.history)?;
    }
    // Until the results are written: a first Ctrl-C must not cut that short.
    let running = Running::enter(options.handle_interrupt);
    let progress = Progress::new(options.progress);
    notes.iter().for_each(|note| progress.note(note));
    let mut whole = Run { options, dir, progress, running, run, best_state: None };
    whole.train(trainee)?;
    whole.finish(trainee, notes, resumed_from)
}

/// As it will be after a journey through a file.
fn normal(config: serde_json::Value) -> serde_json::Value {
    serde_json::from_str(&config.to_string()).expect("printed JSON is JSON")
}

struct Run<'a> {
    options: &'a FitOptions,
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

    fn train<T: Trainee + ?Sized>(&mut self, trainee: &mut T) -> Result<(), TrainError> {
        while self.run.epoch < self.options.epochs && !self.stopped_early() {
            let record = self.epoch(trainee)?;
            if let Some(dir) = &self.dir {
                dir.append_metrics(&record)?;
            }
            let improved = self.judge(&record)?;
            self.run.epoch = record.epoch;
            self.progress.done(&record, self.options.epochs);
            self.run.history.push(record);
            if self.dir.is_some() || improved {
                let state = trainee.state();
                if let Some(dir) = &self.dir {
                    if improved {
                        checkpoint::save(&dir.best(), &self.run, &state)?;
                    }
                    dir.save(&self.run, &state)?;
                } else {
                    self.best_state = Some(state);
                }
            }
            if self.running.stop() {
                return Err(self.interrupted());
            }
        }
        Ok(())
    }

    fn epoch<T: Trainee + ?Sized>(&self, trainee: &mut T) -> Result<EpochRecord, TrainError> {
        let epoch = self.run.epoch + 1;
        let start = Instant::now();
        let steps = trainee.begin_epoch(epoch, epoch_rng(self.options.seed, epoch))?;
        if steps == 0 {
            return Err(TrainError::EmptyEpoch { epoch, trainee: trainee.name().into() });
        }
        self.progress.epoch(epoch, self.options.epochs, steps);
        let mut sums = BTreeMap::<&'static str, (f64, usize)>::new();
        for step in 0..steps {
            let losses = trainee.step(step)?;
            finite(&losses, epoch, step)?;
            for (name, value) in &losses {
                let (sum, count) = sums.entry(name).or_default();
                *sum += value;
                *count += 1;
            }
            self.progress.step(&losses);
            // After the last step the epoch is as good as complete: it is recorded and saved first.
            if step + 1 < steps && self.running.stop() {
                return Err(self.interrupted());
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut metrics = None;
        if self.options.evaluates(epoch) {
            self.progress.evaluating();
            metrics = trainee.evaluate()?;
        }
        let losses = sums.into_iter().map(|(name, (sum, count))| (name.to_string(), sum / count as f64)).collect();
        Ok(EpochRecord { epoch, steps, losses, metrics, seconds, evaluation_seconds: start.elapsed().as_secs_f64() })
    }

    /// Compares an evaluation with the best one; true if it is the best now.
    fn judge(&mut self, record: &EpochRecord) -> Result<bool, TrainError> {
        let Some(EarlyStopping { metric, better, .. }) = &self.options.early_stopping else { return Ok(false) };
        if !self.options.evaluates(record.epoch) {
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
        let resume = match &self.dir {
            None => "nothing was saved: the run has no run_dir".into(),
            Some(_) if epoch == 0 => "no epoch was completed, so there is nothing to resume".into(),
            Some(dir) => format!(
                "{} holds epoch {epoch}: run again with resume(true) and run_dir({:?}) to go on from there",
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
            metrics = trainee.evaluate()?;
        }
        let report = RunReport {
            trainee: trainee.name().into(),
            seed: self.options.seed,
            epochs: self.run.epoch,
            stopped_early: self.stopped_early(),
            best,
            losses: self.run.history.last().map(|record| record.losses.clone()).unwrap_or_default(),
            metrics,
            seconds: self.run.history.iter().map(|record| record.seconds + record.evaluation_seconds).sum(),
            resumed_from,
            notes,
            run_dir: self.dir.as_ref().map(|dir| dir.path().to_path_buf()),
            history: std::mem::take(&mut self.run.history),
        };
        if let Some(dir) = &self.dir {
            dir.write_results(trainee, &report)?;
        }
        Ok(report)
    }

    fn best_state(&self, best: &Best, notes: &mut Vec<String>) -> Result<State, TrainError> {
        let Some(dir) = &self.dir else {
            return Ok(self.best_state.clone().expect("the best state is kept in memory without a run folder"));
        };
        match checkpoint::load(&dir.best(), notes, |saved| saved.epoch == best.epoch)? {
            Some((_, state)) => Ok(state),
            None => Err(TrainError::Corrupt {
                path: dir.best(),
                reason: format!("it should hold the best state, that of epoch {}, and does not", best.epoch),
            }),
        }
    }
}

fn finite(losses: &Losses, epoch: usize, step: usize) -> Result<(), TrainError> {
    match losses.iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((name, value)) => Err(TrainError::NonFinite { epoch, step, loss: name.to_string(), value: *value }),
    }
}
