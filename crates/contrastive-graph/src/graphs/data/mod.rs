//! Sets of small graphs: files, memory, `petgraph`, generated ones, and batches as one disjoint union.

mod generate;
mod load;
mod set;
mod union;

pub use generate::{MotifOptions, motif_graphs};
pub use set::{GraphParts, GraphSet, SmallGraph};
pub use union::GraphUnion;
