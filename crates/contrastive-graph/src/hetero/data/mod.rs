//! Networks of several types of nodes, from lists of pairs, from a petgraph graph, from a folder of HeCo's layout or generated; and what
//! meta-paths make of them.

mod error;
mod from_petgraph;
mod generate;
mod graph;
mod load;
mod meta_path;
mod views;

pub use error::HeteroError;
pub use from_petgraph::TypedNode;
pub use generate::{NetworkOptions, planted_network};
pub use graph::{HeteroGraph, NodeType, Relation};
pub use meta_path::{Context, MetaPath};
pub use views::{masked_copy, masked_features, normalised};
