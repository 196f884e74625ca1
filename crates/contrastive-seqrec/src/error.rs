//! What can go wrong with a method.

use crate::data::SequenceError;
use contrastive_core::cluster::KMeansError;
use contrastive_core::error::ObjectiveError;
use contrastive_eval::ranking::RankingError;
use contrastive_train::{SettingError, TrainError};
use std::path::PathBuf;
use thiserror::Error;

/// Why a method could not be built, trained, evaluated or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SeqRecError {
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A setting of an objective outside of its range.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The data.
    #[error(transparent)]
    Data(#[from] SequenceError),
    /// The run.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The evaluation.
    #[error(transparent)]
    Ranking(#[from] RankingError),
    /// The clusters.
    #[error(transparent)]
    Clusters(#[from] KMeansError),
    /// Nothing to learn from.
    #[error("{data}: no user has two events before its held-out ones, so there is no training sample")]
    NoSamples {
        /// The data.
        data: String,
    },
    /// A model of another catalogue.
    #[error("{}: a model of {found} items, the first of which is {first:?}; the data has {expected} items from {wanted:?} on", path.display())]
    OtherCatalogue {
        /// The file.
        path: PathBuf,
        /// Items of the model.
        found: usize,
        /// Its first item.
        first: String,
        /// Items of the data.
        expected: usize,
        /// Its first item.
        wanted: String,
    },
    /// A file that is no model of this crate.
    #[error("{}: not a model of this crate: {problem}", path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        problem: String,
    },
    /// A list that cannot be encoded.
    #[error("list {list}: {problem}")]
    List {
        /// Its place.
        list: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl SeqRecError {
    /// As an error of a training.
    pub(crate) fn into_train(self) -> TrainError {
        match self {
            Self::Train(error) => error,
            other => TrainError::trainee(other),
        }
    }
}
