//! Settings of a run.

use crate::error::TrainError;
use crate::training::Budget;
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// Early stopping: the metric, its direction, and how many evaluations without improvement end the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EarlyStopping {
    pub(crate) metric: String,
    pub(crate) better: Better,
    pub(crate) patience: usize,
}

/// How long to train, where to write, when to evaluate and to stop. Built up in a chain:
///
/// ```
/// use burn::tensor::Device;
/// use contrastive_train::FitOptions;
///
/// let options = FitOptions::new(&Device::flex()).epochs(40).seed(7).run_dir("runs/gowalla").early_stopping("recall@20", 5);
/// assert_eq!(options.num_epochs(), Some(40));
/// ```
#[derive(Debug, Clone)]
pub struct FitOptions {
    pub(crate) device: Device,
    pub(crate) budget: Option<Budget>,
    pub(crate) allowed_changes: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) resume: bool,
    pub(crate) overwrite: bool,
    pub(crate) progress: bool,
    pub(crate) handle_interrupt: bool,
    pub(crate) evaluate_every: usize,
    pub(crate) early_stopping: Option<EarlyStopping>,
}

impl FitOptions {
    /// As long as the trainee's own budget (one epoch if it has none), seed 0, no run folder, progress shown, an evaluation after every epoch, no early stopping.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            budget: None,
            allowed_changes: Vec::new(),
            seed: 0,
            run_dir: None,
            resume: false,
            overwrite: false,
            progress: true,
            handle_interrupt: true,
            evaluate_every: 1,
            early_stopping: None,
        }
    }

    /// Number of epochs in all, at least 1; a resumed run counts those it has already.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Self {
        self.budget(Budget::Epochs(epochs))
    }

    /// Number of steps in all, at least 1; a resumed run counts those it has already. The last epoch may be a part of one: it is
    /// evaluated and saved, early stopping does not count it, and a resumed run goes on within it.
    #[must_use]
    pub fn steps(self, steps: usize) -> Self {
        self.budget(Budget::Steps(steps))
    }

    /// How long to train in all.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Lets a setting differ from that of the checkpoint when a run is resumed: its dotted path as the error names it, or the last
    /// part of that (`"learning_rate"`). For a run that diverged, from its last good checkpoint.
    #[must_use]
    pub fn allow_change(mut self, setting: impl Into<String>) -> Self {
        self.allowed_changes.push(setting.into());
        self
    }

    /// Seed of all randomness of the run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Folder for checkpoints, metrics and results; made if absent. Without one nothing is written.
    #[must_use]
    pub fn run_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(path.into());
        self
    }

    /// Goes on from the checkpoint in the run folder; starts anew if there is none.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Starts anew in a run folder that holds a run, whose files are removed. Without it that is an error.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Shows the progress on the standard error stream: a bar on a terminal, else one line an epoch.
    #[must_use]
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Whether Ctrl-C, SIGTERM and SIGHUP end the run in good order (default). The handler is installed once a process,
    /// unless the program has one: then it can call [`request_stop`](crate::request_stop).
    #[must_use]
    pub fn handle_interrupt(mut self, handle: bool) -> Self {
        self.handle_interrupt = handle;
        self
    }

    /// Evaluates after every `epochs` epochs and after the last one; 0: only after the last one.
    #[must_use]
    pub fn evaluate_every(mut self, epochs: usize) -> Self {
        self.evaluate_every = epochs;
        self
    }

    /// Stops when `patience` evaluations in a row (at least 1) did not raise `metric` above its best, and gives the
    /// trainee the state of the best evaluation back at the end.
    #[must_use]
    pub fn early_stopping(mut self, metric: impl Into<String>, patience: usize) -> Self {
        self.early_stopping = Some(EarlyStopping { metric: metric.into(), better: Better::Higher, patience });
        self
    }

    /// As [`Self::early_stopping`] for a metric of which lower values are better, such as a validation loss.
    #[must_use]
    pub fn early_stopping_on_lowest(mut self, metric: impl Into<String>, patience: usize) -> Self {
        self.early_stopping = Some(EarlyStopping { metric: metric.into(), better: Better::Lower, patience });
        self
    }

    /// The same options for a stage before the training itself: so many epochs, in a folder of its own below the run folder, and
    /// without evaluation or early stopping.
    #[must_use]
    pub fn stage(&self, name: &str, epochs: usize) -> Self {
        let run_dir = self.run_dir.as_ref().map(|folder| folder.join(name));
        let budget = Some(Budget::Epochs(epochs));
        Self { budget, run_dir, evaluate_every: 0, early_stopping: None, ..self.clone() }
    }

    /// The device that the run is recorded with.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The seed.
    pub fn seed_value(&self) -> u64 {
        self.seed
    }

    /// Number of epochs in all, where it was given.
    pub fn num_epochs(&self) -> Option<usize> {
        match self.budget {
            Some(Budget::Epochs(epochs)) => Some(epochs),
            _ => None,
        }
    }

    /// The run folder.
    pub fn run_folder(&self) -> Option<&Path> {
        self.run_dir.as_deref()
    }

    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        match self.budget {
            Some(Budget::Epochs(0)) => return Err(TrainError::setting("epochs", 0, "at least 1")),
            Some(Budget::Steps(0)) => return Err(TrainError::setting("steps", 0, "at least 1")),
            _ => {}
        }
        if self.resume && self.run_dir.is_none() {
            return Err(TrainError::setting("resume", true, "only together with run_dir"));
        }
        if let Some(stopping) = &self.early_stopping {
            if stopping.patience == 0 {
                return Err(TrainError::setting("early_stopping patience", 0, "at least 1"));
            }
            if self.evaluate_every == 0 {
                return Err(TrainError::setting("evaluate_every", 0, "at least 1 with early stopping"));
            }
        }
        Ok(())
    }

    /// Is there an evaluation after an epoch that is not the last?
    pub(crate) fn evaluates(&self, epoch: usize) -> bool {
        self.evaluate_every > 0 && epoch.is_multiple_of(self.evaluate_every)
    }
}
