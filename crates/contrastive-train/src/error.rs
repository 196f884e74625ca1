//! Everything that can go wrong in a run.

use crate::config::SettingError;
use crate::device::DeviceError;
use contrastive_core::distributed::{CommunicationError, DistributedError};
use std::path::{Path, PathBuf};

/// Why a run could not start, go on, or be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A loss is NaN or infinite. The checkpoint of the last completed epoch stays as it was.
    #[error("loss {loss:?} is {value} in step {step} of epoch {epoch}; {}", go_on(*epoch))]
    NonFinite {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 0.
        step: usize,
        /// Name of the loss.
        loss: String,
        /// Its value.
        value: f64,
    },
    /// A step has made a parameter NaN or infinite; it was not saved.
    #[error(
        "step {step} of epoch {epoch} made {tensor} {value}: the learning rate may be too high; {}",
        go_on(*epoch)
    )]
    NonFiniteParameter {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 0.
        step: usize,
        /// Name of the first tensor that is not finite.
        tensor: String,
        /// Its first value that is not.
        value: f64,
    },
    /// An epoch without a step.
    #[error("epoch {epoch} of {trainee} has no steps: is the training set empty?")]
    EmptyEpoch {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Name of the trainee.
        trainee: String,
    },
    /// The metric that early stopping watches is not among those of the evaluation.
    #[error("early stopping watches {metric:?}, but the evaluation gives {}", list(available))]
    MissingMetric {
        /// The metric asked for.
        metric: String,
        /// What the evaluation returned.
        available: Vec<String>,
    },
    /// Stopped by Ctrl-C, SIGTERM or [`request_stop`](crate::request_stop).
    #[error("interrupted after epoch {epoch}; {resume}")]
    Interrupted {
        /// Number of completed epochs.
        epoch: usize,
        /// How to go on from here.
        resume: String,
    },
    /// The run folder holds a run already, and neither resuming nor overwriting was asked for.
    #[error("{} holds a run already ({what}): resume it, allow overwriting it, or name another folder", path.display())]
    Occupied {
        /// The run folder.
        path: PathBuf,
        /// What was found there.
        what: String,
    },
    /// Another process writes to the run folder.
    #[error("{} is in use by another run", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
    },
    /// A file could not be written. What was there before is still there.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of tensors is damaged, or not such a file.
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint was written by a run with other settings.
    #[error("{} is of another run: {}", path.display(), differences(keys))]
    OtherConfig {
        /// The checkpoint.
        path: PathBuf,
        /// The settings that differ.
        keys: Vec<Difference>,
    },
    /// A tensor is missing from a saved state, or does not fit.
    #[error("tensor {name:?} of the saved state: {problem}")]
    State {
        /// Name of the tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A name that cannot be a file name.
    #[error("{name:?} cannot be the name of a file: letters, digits, '.', '_' and '-' are allowed")]
    Name {
        /// The name.
        name: String,
    },
    /// A device that is unknown or not compiled in.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Ranks that train together could not talk to each other.
    #[error(transparent)]
    Communication(#[from] CommunicationError),
    /// An objective over ranks has no value.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// An error of the trainee's own.
    #[error(transparent)]
    Trainee(Box<dyn std::error::Error + Send + Sync>),
}

/// A setting with different values in a checkpoint and in the run that wants to resume it, both as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Dotted path of the setting, such as `config.temperature` or `seed`.
    pub key: String,
    /// Its value in the checkpoint, `(absent)` where it has none.
    pub saved: String,
    /// Its value now, `(absent)` where it has none.
    pub now: String,
}

impl TrainError {
    /// Wraps an error of the trainee's own, such as one of its data.
    pub fn trainee(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Trainee(error.into())
    }

    /// A setting outside of its range.
    pub fn setting(name: impl Into<String>, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Setting(SettingError {
            owner: "training".into(),
            setting: name.into(),
            value: value.to_string(),
            allowed: allowed.into(),
        })
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Write { path, source }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Read { path, source }
    }
}

/// What to do after a failure in an epoch.
fn go_on(epoch: usize) -> String {
    match epoch {
        0 | 1 => "no epoch was completed, so there is no checkpoint".into(),
        epoch => format!(
            "the last checkpoint is of epoch {}: to go on from it with another learning rate, resume with \
             allow_change(\"learning_rate\")",
            epoch - 1
        ),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn differences(keys: &[Difference]) -> String {
    let each: Vec<String> = keys.iter().map(|d| format!("{} was {}, is {}", d.key, d.saved, d.now)).collect();
    each.join("; ")
}
