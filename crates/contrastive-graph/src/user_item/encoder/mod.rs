//! From a node table to embeddings: propagation along the user-item graph, without weights.

mod graph;

pub(crate) use graph::propagate;
pub use graph::{Readout, UserItemGraph, operator};
