//! Why a command ends without its result: a sentence and an exit code.

use contrastive_train::{SettingError, TrainError};
use std::error::Error;
use std::fmt;

/// What is wrong with the data, the settings or the files: exit code 1.
pub const FAILED: u8 = 1;
/// What is wrong with the command line: exit code 2, as clap has it.
pub const USAGE: u8 = 2;
/// Stopped by Ctrl-C or a signal, with a checkpoint to go on from: exit code 130, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Why a command failed: what is printed on standard error, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence that a person can act on.
    pub message: String,
    /// [`FAILED`], [`USAGE`] or [`INTERRUPTED`].
    pub code: u8,
}

impl Failure {
    /// Something is wrong with data, settings or files.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: FAILED }
    }

    /// Something is wrong with the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: USAGE }
    }

    /// An error with those of its causes that it does not tell itself.
    pub fn of(error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        Self::new(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<TrainError> for Failure {
    /// What the library says in terms of its functions is said in those of the command line.
    fn from(error: TrainError) -> Self {
        match &error {
            TrainError::Interrupted { epoch, .. } => {
                let message = match epoch {
                    0 => "interrupted before the first epoch was complete: nothing was saved".to_string(),
                    epoch => format!(
                        "interrupted; epoch {epoch} is saved: the same command with --resume goes on from there"
                    ),
                };
                Self { message, code: INTERRUPTED }
            }
            TrainError::Occupied { path, what } => Self::new(format!(
                "{} holds a run already ({what}): --resume goes on with it, --overwrite replaces it, --run-dir names another folder",
                path.display()
            )),
            TrainError::OtherConfig { .. } => {
                Self::new(format!("{error}; --allow-change NAME lets a setting differ, --run-dir names another folder"))
            }
            _ => {
                let mut failure = Self::of(&error);
                failure.message = failure.message.replace(
                    "resume with allow_change(\"learning_rate\")",
                    "--resume --set learning_rate=RATE --allow-change learning_rate",
                );
                failure
            }
        }
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::of(&error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error)
    }
}

/// Errors that wrap those of training.
macro_rules! wraps_training {
    ($($error:path),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                use $error as Wrapped;
                match error {
                    Wrapped::Train(error) => error.into(),
                    other => Self::of(&other),
                }
            }
        }
    )*};
}

wraps_training!(
    contrastive_graph::MethodError,
    contrastive_seqrec::SeqRecError,
    contrastive_text::TextError,
    contrastive_timeseries::data::SeriesError,
    contrastive_vision::VisionError
);

/// Errors that do not.
macro_rules! plain {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(&error)
            }
        }
    )*};
}

plain!(
    contrastive_graph::user_item::data::DataError,
    contrastive_graph::node::data::GraphError,
    contrastive_seqrec::data::SequenceError,
    contrastive_text::data::TextDataError,
    contrastive_data::FileError,
    contrastive_eval::EvalError,
    contrastive_eval::ranking::RankingError,
    contrastive_eval::page::PageError,
    contrastive_train::DeviceError
);
