//! Self-supervised image embeddings on the machine one has.
//!
//! | I have ... | use ... |
//! |---|---|
//! | images | [`contrastive_data::image`]; [`data`] for the sets of the protocols and the loader |
//! | a recipe for views | [`contrastive_data::augment`] |
//! | a method to train | [`method`]: its settings, and a [`method::Frame`] with what all methods share |
//! | an encoder to look at or to use | [`encoder`]: [`encoder::embed`], save and load |
//! | labels or images that may be wrong, or planted | [`robustness`] |
//! | a question whether it has learnt something | [`evaluate`]: the protocols D8, F28, C32, and [`evaluate::Quality`] |
//!
//! What is evaluated is the encoder, never the projector. All randomness comes from seeds, and a resumed run equals an uninterrupted one
//! bit by bit.
//!
//! ```
//! use burn::tensor::Device;
//! use contrastive_data::augment::{Views, presets};
//! use contrastive_data::image::shapes;
//! use contrastive_train::{Budget, FitOptions, MethodConfig, TrainingConfig};
//! use contrastive_vision::encoder::{EncoderConfig, embed};
//! use contrastive_vision::method::{Frame, SimClrConfig, VisionModel};
//!
//! let device = Device::default();
//! let images = shapes(64, 16, 1);
//! let training = TrainingConfig::new(Budget::Steps(4), 16, 1e-3);
//! let frame = Frame::new(EncoderConfig::conv(&[8, 16]), [16, 16], Views::two(presets::simclr(16, 0.5)), training);
//! let trained = frame.train(SimClrConfig::new(0.5)).fit(&images, &FitOptions::new(&device).seed(7).progress(false))?;
//! assert_eq!(embed(trained.model.encoder(), &images, &device)?.dim(), (64, 16));
//! # Ok::<(), contrastive_vision::VisionError>(())
//! ```

pub mod data;
pub mod encoder;
mod error;
pub mod evaluate;
pub mod method;
pub mod robustness;

pub use error::VisionError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
