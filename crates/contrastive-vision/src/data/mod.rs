//! What comes in: the sets of the protocols, and batches of views made ahead of the step.

mod canvases;
mod loader;
mod sets;

pub use canvases::Canvases;
pub use loader::{Ahead, ImageBatch, Loader, Waiting};
pub use sets::{cifar_subset, digits, fashion, long_tail};
