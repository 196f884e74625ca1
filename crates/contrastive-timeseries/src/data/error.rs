//! What can be wrong with series, files and settings.

use contrastive_eval::EvalError;
use contrastive_train::TrainError;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why series could not be read, encoded or trained on. Lines are counted from 1, series, steps and channels from 0.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// A file that cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a text file that is not what its format says.
    #[error("{}, line {line}: {what}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong with it, and what is allowed.
        what: String,
    },
    /// A file as a whole.
    #[error("{}: {what}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and what is allowed.
        what: String,
    },
    /// A value of a series.
    #[error("series {series}, step {step}, channel {channel}: {what}")]
    Value {
        /// The series.
        series: usize,
        /// The time step.
        step: usize,
        /// The channel.
        channel: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A channel over all series.
    #[error("channel {channel}: {what}")]
    Channel {
        /// The channel.
        channel: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Series that do not fit what is asked of them.
    #[error("{0}")]
    Series(String),
    /// A setting out of its range.
    #[error("{of}: {setting} is {value}; it must be {allowed}")]
    Setting {
        /// The method or part.
        of: &'static str,
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The values it can have.
        allowed: String,
    },
    /// A setting of the training or of a layer.
    #[error(transparent)]
    Training(#[from] contrastive_train::SettingError),
    /// A setting of an objective.
    #[error(transparent)]
    Objective(#[from] contrastive_core::error::ObjectiveError),
    /// From an evaluation.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// From training.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl SeriesError {
    pub(crate) fn io(file: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { file: file.into(), source }
    }

    pub(crate) fn line(file: &Path, line: usize, what: impl Display) -> Self {
        Self::Line { file: file.into(), line, what: what.to_string() }
    }

    pub(crate) fn file(file: &Path, what: impl Display) -> Self {
        Self::File { file: file.into(), what: what.to_string() }
    }

    pub(crate) fn series(what: impl Display) -> Self {
        Self::Series(what.to_string())
    }
}

/// Fails with [`SeriesError::Setting`] unless `good`.
pub(crate) fn check(
    of: &'static str,
    setting: &'static str,
    value: impl Display,
    good: bool,
    allowed: &str,
) -> Result<(), SeriesError> {
    if good {
        return Ok(());
    }
    Err(SeriesError::Setting { of, setting, value: value.to_string(), allowed: allowed.into() })
}

/// A piece of a file as it can stand in a message.
pub(crate) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short:?}...") } else { format!("{short:?}") }
}
