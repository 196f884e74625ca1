//! What can be wrong with a network of several types.

use crate::node::data::GraphError;
use contrastive_data::{FileError, Origin};
use thiserror::Error;

/// Why a network was refused, or a meta-path in it. Every message names the place, what was found, and what is allowed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeteroError {
    /// A file that cannot be opened or understood, with its place.
    #[error(transparent)]
    File(#[from] FileError),
    /// Labels or splits.
    #[error(transparent)]
    Graph(Box<GraphError>),
    /// A type that there is not.
    #[error("no node type {name:?}; allowed: {known}")]
    NoType {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A type that cannot be.
    #[error("node type {name:?}: {problem}; allowed: {allowed}")]
    BadType {
        /// The type.
        name: String,
        /// What is wrong.
        problem: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A pair that names a node beyond its type.
    #[error("{origin}: node {node}; allowed: 0 to {last}")]
    OutOfRange {
        /// Where.
        origin: Origin,
        /// Its type and number.
        node: String,
        /// The greatest number.
        last: usize,
    },
    /// A meta-path that does not fit the network.
    #[error("meta-path {path:?}: {problem}; allowed: {allowed}")]
    MetaPath {
        /// The path.
        path: String,
        /// What is wrong.
        problem: String,
        /// What is allowed.
        allowed: String,
    },
    /// A target node without an instance of any path: nothing says what it is alike.
    #[error("node {node} of type {name:?} has no instance of any meta-path; allowed: at least one for each node")]
    NoInstance {
        /// The target type.
        name: String,
        /// The node.
        node: usize,
    },
    /// An option outside of its range.
    #[error("{name} = {value} is not valid; allowed: {allowed}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
}

impl From<GraphError> for HeteroError {
    fn from(error: GraphError) -> Self {
        Self::Graph(Box::new(error))
    }
}
