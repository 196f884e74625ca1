//! Views of series: masks of time steps, and changes of values or of time.

mod mask;
mod views;

pub use mask::TimeMask;
pub use views::{Augmentation, Augmentations, random_rotation, turn};
