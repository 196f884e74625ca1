//! Graphs of nodes with features and classes: what comes in for the methods that embed nodes.
//!
//! [`Graph`] is the one type everything else speaks: compressed rows of edges, with [`Features`], [`Labels`] and splits
//! beside them. It is made from a list of edges, from a `petgraph` graph, from files ([`Graph::read`] recognises every
//! [`Format`]), or [generated](block_model). What was in doubt on the way is decided by [`Cleaning`] and counted in
//! [`Graph::notes`].
//!
//! A graph without features gets them from itself ([`Graph::with_identity_features`], [`Graph::with_adjacency_features`],
//! [`Graph::with_degree_features`]); data without edges gets them from its features ([`Graph::nearest_neighbours`]).
//!
//! A graph gives the matrices that encoders multiply with ([`Graph::operator`]), its measures ([`Graph::pagerank`],
//! [`Graph::eigenvector_centrality`], [`Graph::components`]) and diffusions of it ([`Graph::diffusion`]).
//!
//! ```
//! use contrastive_graph::node::data::{BlockModelOptions, NodeSplit, block_model};
//!
//! // from disk: Graph::read("planetoid/ind.cora")?
//! let graph = block_model(&BlockModelOptions { nodes: 300, communities: 3, ..Default::default() })?;
//! let propagate = graph.gcn_operator();
//! assert_eq!(propagate.shape(), [300, 300]);
//! let words = graph.require_features()?.row_normalised().operator().expect("bags of words are sparse");
//! assert_eq!(words.shape(), [300, 200]);
//! let split = NodeSplit::per_class(graph.require_labels()?, 20, 60, 120, 1)?;
//! assert_eq!(split.sizes(), (60, 60, 120));
//! # Ok::<(), contrastive_graph::node::data::GraphError>(())
//! ```

mod clean;
mod diffusion;
mod digest;
mod error;
mod features;
mod from_petgraph;
mod generate;
mod graph;
mod load;
mod measure;
mod nearest;
mod note;
mod operator;
mod roles;
mod split;
mod structural;

pub use clean::{Cleaning, Dangling, Direction, Duplicates, SelfLoops};
pub use contrastive_data::{Origin, Place};
pub use diffusion::{Diffusion, DiffusionOptions, Kernel, Sparsification, Transition};
pub use error::GraphError;
pub use features::{Features, Labels};
pub use from_petgraph::NodeRecord;
pub use generate::{BlockModelOptions, Density, block_model};
pub use graph::Graph;
pub(crate) use load::sparse_features;
pub use load::{Format, ReadOptions};
pub use measure::{Components, PageRankOptions};
pub use nearest::Nearness;
pub use note::GraphNote;
pub use operator::{Loops, Normalisation};
pub(crate) use operator::{looped, scaled};
pub use roles::{RoleGraphOptions, role_graph};
pub use split::NodeSplit;
