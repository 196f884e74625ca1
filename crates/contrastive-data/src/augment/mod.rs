//! Random views of images, on the CPU.
//!
//! | I have ... | use ... |
//! |---|---|
//! | a published recipe to follow | [`presets`] |
//! | a recipe of my own | [`Augmentation`]: steps, each with its probability |
//! | several views of an image, of one size or several | [`Views`] |
//! | images and labels mixed in pairs | [`Mixup`] |
//! | one operation with given parameters | [`resized_crop`], [`affine`], [`adjust_contrast`] and the others |
//!
//! Parameters are drawn for each image from (seed, epoch, image, view) alone ([`view_rng`]): any number of threads, and a run that is
//! resumed, give the same pixels. Every view says which part of its image it shows ([`View::crop`]).
//!
//! ```
//! use contrastive_data::augment::{Views, presets};
//! use contrastive_data::image::shapes;
//!
//! let set = shapes(4, 32, 1);
//! let views = Views::two(presets::simclr(32, 0.5));
//! assert!(views.validate([32, 32])?.is_empty()); // nothing to warn of
//! let view = views.make(&set, 2, 0, 7, 1);
//! assert_eq!(view.picture.shape(), [3, 32, 32]);
//! assert_eq!(view, views.make(&set, 2, 0, 7, 1));
//! # Ok::<(), contrastive_data::augment::AugmentError>(())
//! ```

mod colour;
mod filter;
mod geometry;
mod mixup;
pub mod presets;
mod steps;
mod views;

pub use colour::{adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, erase, grey, solarise};
pub use filter::gaussian_blur;
pub use geometry::{Affine, Interpolation, affine, flip, resized_crop};
pub use mixup::{Mix, Mixup};
pub use steps::{AugmentError, Augmentation, Chance, Step, View};
pub use views::{Views, view_rng};
