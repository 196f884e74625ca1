//! What comes in: the sets of the protocols, sets of two kinds, real and generated images together, and batches of views made ahead of the step.

mod canvases;
mod inflation;
mod kinds;
mod loader;
mod sets;

pub use canvases::Canvases;
pub use inflation::{Advice, advice, class_labels, distinguishable, inflated, noise_images};
pub use kinds::{TwoKinds, digits_on, striped};
pub use loader::{Ahead, ImageBatch, Loader, Waiting};
pub use sets::{cifar_subset, digits, fashion, long_tail};
