//! What can be wrong with a node method's settings or graph.

use crate::augment::AugmentError;
use crate::encoder::EncoderError;
use crate::method::MethodError;
use crate::node::GraphError;
use contrastive_core::error::ObjectiveError;
use contrastive_train::TrainError;
use thiserror::Error;

/// Why a node method could not be built or trained.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeMethodError {
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
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] MethodError),
    /// The graph: no features, say.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The views.
    #[error(transparent)]
    View(#[from] AugmentError),
    /// The encoder or the projector.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The training run: a loss that is not finite, its files, its device.
    #[error(transparent)]
    Train(#[from] TrainError),
}
