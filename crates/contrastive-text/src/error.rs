//! What can go wrong with a method.

use crate::data::TextDataError;
use contrastive_core::diagnostics::BehaviourError;
use contrastive_core::error::ObjectiveError;
use contrastive_core::memory::MemoryError;
use contrastive_core::objective::WhiteningError;
use contrastive_data::FileError;
use contrastive_data::text::TokenizerError;
use contrastive_eval::EvalError;
use contrastive_eval::ranking::RankingError;
use contrastive_nn::weights::WeightsError;
use contrastive_train::{SettingError, TrainError};
use std::path::PathBuf;
use thiserror::Error;

/// Why a method could not be built, trained, evaluated or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TextError {
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A setting of an objective outside of its range.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// A batch that cannot be whitened.
    #[error(transparent)]
    Whitening(#[from] WhiteningError),
    /// A queue or a momentum outside of its range.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data.
    #[error(transparent)]
    Data(Box<TextDataError>),
    /// A vocabulary, or a text that it cannot encode.
    #[error(transparent)]
    Tokenizer(Box<TokenizerError>),
    /// Weights of another library.
    #[error(transparent)]
    Weights(Box<WeightsError>),
    /// The run.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The evaluation.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A ranking.
    #[error(transparent)]
    Ranking(#[from] RankingError),
    /// Alignment or uniformity.
    #[error(transparent)]
    Behaviour(#[from] BehaviourError),
    /// A file or folder that is no model of this crate, or none that it knows.
    #[error("{}: not a model that can be read: {problem}", path.display())]
    NotAModel {
        /// The file or folder.
        path: PathBuf,
        /// What is missing or wrong, and what is allowed.
        problem: String,
    },
}

/// Errors of many words are boxed, so that a result stays small.
macro_rules! boxed {
    ($($variant:ident of $error:ty),*) => {$(
        impl From<$error> for TextError {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )*};
}

boxed!(Data of TextDataError, Tokenizer of TokenizerError, Weights of WeightsError);

impl TextError {
    /// As an error of a training.
    pub(crate) fn into_train(self) -> TrainError {
        match self {
            Self::Train(error) => error,
            other => TrainError::trainee(other),
        }
    }
}
