//! Contrastive learning: one objective engine, exact, in linear memory, and the published systems on top of it.
//!
//! This package re-exports the crates of the workspace; each also stands alone.

pub use burn::tensor::Device;
#[doc(inline)]
pub use contrastive_core as core;
#[doc(inline)]
pub use contrastive_eval as eval;
#[cfg(feature = "graph")]
#[doc(inline)]
pub use contrastive_graph as graph;
#[doc(inline)]
pub use contrastive_kernels as kernels;
#[doc(inline)]
pub use contrastive_train as train;
