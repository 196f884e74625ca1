//! What can be wrong with a method's settings or data.

use crate::hetero::data::HeteroError;
use crate::node::augment::AugmentError;
use crate::node::data::GraphError;
use crate::node::method::pot::PotError;
use crate::user_item::data::DataError;
use contrastive_core::cluster::KMeansError;
use contrastive_core::error::ObjectiveError;
use contrastive_core::linear::SvdError;
use contrastive_core::objective::NegativesError;
use contrastive_eval::EvalError;
use contrastive_eval::ranking::RankingError;
use contrastive_train::{SettingError, TrainError};
use thiserror::Error;

/// Why a method could not be built, trained or evaluated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MethodError {
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A graph too small to have a negative.
    #[error("{method}: a graph of {nodes} nodes; allowed is 2 or more")]
    TooFewNodes {
        /// The method.
        method: &'static str,
        /// Number of nodes.
        nodes: usize,
    },
    /// A graph in which no node has an edge to another.
    #[error("{method}: a graph of {nodes} nodes without an edge between two of them; at least one is needed")]
    NoEdges {
        /// The method.
        method: &'static str,
        /// Number of nodes.
        nodes: usize,
    },
    /// The interactions.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A graph of nodes.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Bounds that do not hold.
    #[error(transparent)]
    Pot(#[from] PotError),
    /// A network of several types of nodes.
    #[error(transparent)]
    Hetero(#[from] HeteroError),
    /// A weighted contrast.
    #[error(transparent)]
    Negatives(#[from] NegativesError),
    /// A view of a graph of nodes.
    #[error(transparent)]
    Augment(#[from] AugmentError),
    /// The clusters.
    #[error(transparent)]
    KMeans(#[from] KMeansError),
    /// The objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The low-rank view.
    #[error(transparent)]
    Svd(#[from] SvdError),
    /// The evaluation.
    #[error(transparent)]
    Ranking(#[from] RankingError),
    /// A probe, clusters or correlations.
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    /// The training run, its files or its device.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl MethodError {
    /// As an error that ends a run.
    pub(crate) fn in_training(self) -> TrainError {
        match self {
            Self::Train(error) => error,
            other => TrainError::trainee(other),
        }
    }
}
