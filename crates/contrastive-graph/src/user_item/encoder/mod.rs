//! From a node table to embeddings: the user-item graph along which [`propagate`](crate::parts::propagate) spreads them, without
//! weights.

mod graph;

pub use graph::{UserItemGraph, operator};
