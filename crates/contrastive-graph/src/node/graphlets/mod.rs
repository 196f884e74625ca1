//! How often two nodes sit on given places of small graphs: the orbit adjacencies of graphlets with up to four nodes
//! (Windels and others, arXiv 2405.14194).
//!
//! A *graphlet* is a connected graph of 2 to 4 nodes, an *orbit* a set of its nodes that its symmetries exchange (0 the end of an edge; 1 and
//! 2 end and middle of a path; 3 a triangle; 4 and 5 end and inside of a path of four; 6 and 7 leaf and centre of a star; 8 a
//! cycle; 9, 10 and 11 the pendant, the far and the joining nodes of a paw; 12 and 13 the nodes of degree 2 and 3 of a diamond; 14
//! a complete graph). Entry `(i, j)` of the [`Orbit`] `(hops, a, b)` is the number of sets of nodes that induce a graphlet in which
//! `i` lies on orbit a, `j` on orbit b, and a shortest path within the graphlet has `hops` edges.
//!
//! | I need | use |
//! |---|---|
//! | the counts of one key | [`Graphlets::orbit`]; of a block of rows, [`Graphlets::orbit_rows`] |
//! | features that say what role a node has | [`Graph::with_graphlet_features`](crate::node::data::Graph::with_graphlet_features), [`Graphlets::node_degrees`] |
//! | embeddings | [`ppmi`] and [`factorise`] |
//! | positives of an objective with weights | [`OrbitCounts::positives`] |
//! | edges of an augmentation to be dropped | [`Graphlets::drop_probabilities`] |
//!
//! All counts are integers. Everything on edges takes memory in proportion to the edges; keys of pairs at two or three hops fill in
//! (a graph of 20,000 nodes with short paths may have 10^8 such pairs), so they are made when asked for, row by row.
//!
//! ```
//! use contrastive_graph::node::data::{Cleaning, Graph};
//! use contrastive_graph::node::graphlets::{Graphlets, Orbit};
//!
//! // a paw: node 0 hangs on a triangle
//! let graph = Graph::from_edges(4, &[(0, 1), (1, 2), (1, 3), (2, 3)], &Cleaning::default())?;
//! let graphlets = Graphlets::new(&graph)?;
//! let attached = graphlets.orbit(Orbit::new(1, 9, 11)?);
//! assert_eq!((attached.get(0, 1), attached.get(1, 0), attached.total()), (1, 0, 1));
//! assert_eq!(graphlets.node_degrees()[[1, 11]], 1);
//! # Ok::<(), contrastive_graph::node::data::GraphError>(())
//! ```

mod counts;
mod edges;
mod embed;
mod enumerate;
mod orbit;
mod rows;

pub use counts::OrbitCounts;
pub use edges::Graphlets;
pub use embed::{Sides, factorise, ppmi, walk_counts};
pub use orbit::Orbit;
