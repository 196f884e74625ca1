//! Contrastive learning: one objective engine, exact, in linear memory, and the published systems on top of it.
#[doc(inline)]
pub use contrastive_core as core;
