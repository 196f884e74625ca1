//! User-item graphs: who touched what, and what to show next.
//!
//! [`data`] what comes in, [`augment`] random views of it, [`encoder`] how embeddings spread along the graph, [`method`] MF-BPR,
//! LightGCN, SGL and LightGCL; a training leaves [`Embeddings`], which rank, recommend and are evaluated.

pub mod augment;
pub mod data;
pub mod encoder;
mod evaluate;
pub mod method;

pub use evaluate::Embeddings;
