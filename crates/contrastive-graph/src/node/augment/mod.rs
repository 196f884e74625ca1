//! Random views of attributed graphs.
//!
//! A graph is given as a [`Csr`](contrastive_kernels::sparse::Csr) adjacency whose row `i` lists the nodes that send to node `i`. Dropped
//! edges ([`edges`]) and masked features ([`features`]), both uniform, by centrality (GCA) or by communities ([`community`], CSGCL),
//! subgraphs and walks ([`walk`]), the patterns of walks ([`anonymous`]), and the normalisations that follow ([`normalise`]).

pub mod anonymous;
pub mod community;
pub mod edges;
mod error;
pub mod features;
pub mod normalise;
pub mod scores;
pub mod walk;

pub use error::AugmentError;
