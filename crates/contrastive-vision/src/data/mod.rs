//! What comes in: the sets of the protocols, and batches of views made ahead of the step.

mod loader;
mod sets;

pub use loader::{Ahead, ImageBatch, Loader, Waiting};
pub use sets::{cifar_subset, digits, fashion, long_tail};
