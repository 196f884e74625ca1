//! What can go wrong.

use contrastive_core::error::ObjectiveError;
use contrastive_core::head::HeadError;
use contrastive_core::memory::MemoryError;
use contrastive_core::norm::NormError;
use contrastive_core::objective::SampleError;
use contrastive_core::opta::OpTaError;
use contrastive_core::sampler::SamplerError;
use contrastive_core::synthesis::SynthesisError;
use contrastive_data::FileError;
use contrastive_data::augment::AugmentError;
use contrastive_eval::EvalError;
use contrastive_train::{SettingError, TrainError};
use std::path::PathBuf;
use thiserror::Error;

/// Why images could not be read, encoded, trained on or evaluated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VisionError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A setting of a head outside of its range.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A setting of a norm outside of its range.
    #[error(transparent)]
    Norm(#[from] NormError),
    /// A setting of an objective outside of its range.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// A setting or data of an objective with a state for each image.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// Data that a synthesis cannot be made of.
    #[error(transparent)]
    Synthesis(#[from] SynthesisError),
    /// A setting of a queue or a momentum outside of its range.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Images that cannot be sampled this way.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// Features that class means cannot be moved to.
    #[error(transparent)]
    OpTa(#[from] OpTaError),
    /// A setting of a view outside of its range.
    #[error(transparent)]
    View(#[from] AugmentError),
    /// The run.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The evaluation.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Images that do not fit what is asked of them.
    #[error("{set}: {what}")]
    Images {
        /// Name of the set.
        set: String,
        /// What is wrong, and what is allowed.
        what: String,
    },
    /// A file that holds no encoder of this crate.
    #[error("{}: not an encoder of this crate: {problem}", path.display())]
    NotAnEncoder {
        /// The file.
        path: PathBuf,
        /// What is missing or does not fit.
        problem: String,
    },
}

impl VisionError {
    pub(crate) fn images(set: &str, what: impl Into<String>) -> Self {
        Self::Images { set: set.into(), what: what.into() }
    }
}
