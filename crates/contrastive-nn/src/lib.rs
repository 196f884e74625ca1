//! Layers and encoders that the domains share.
//!
//! | I have ... | use ... |
//! |---|---|
//! | lists of different lengths | [`Ragged`]: their rows one after the other, no padded position is ever computed |
//! | a forward pass with dropout | [`Pass`]: masks from (seed, step, layer, element), the same for any number of threads, never stored |
//! | layers | [`layer`]: linear, embedding, norms, activations, dropout, attention, pooling |
//! | a whole encoder | [`encoder`]: multi-layer perceptron, transformer with the presets of the published models |
//! | a language model to decode from | [`model::LanguageModel`]: states, logits, and a cache whose lists can be chosen |
//! | weights of other libraries | [`weights`]: safetensors and torch files into a module by a map of names, all or nothing |
//! | first weights | [`init`]: drawn from an explicit generator |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use contrastive_nn::{Pass, Ragged, encoder::TransformerConfig};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let device = Device::default();
//! let encoder = TransformerConfig::bert(8, 2, 16, 1).init(&mut ChaCha8Rng::seed_from_u64(7), &device)?;
//! // two lists, of three and of two rows
//! let lists = Ragged::from_lengths(&[3, 2]);
//! let rows = Tensor::<2>::ones([lists.total(), 8], &device);
//! assert_eq!(encoder.forward(rows, &lists, &mut Pass::evaluation()).dims(), [5, 8]);
//! # Ok::<(), contrastive_nn::SettingError>(())
//! ```

pub mod encoder;
mod error;
pub mod init;
pub mod layer;
pub mod model;
mod native;
mod pass;
mod ragged;
pub mod weights;

pub use error::SettingError;
#[doc(hidden)]
pub use native::portable_bodies;
pub use pass::{DropoutKey, Pass};
pub use ragged::{Ragged, RaggedError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
