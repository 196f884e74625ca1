//! The contrastive objective engine.
//!
//! A contrastive method answers four questions: who is compared with whom ([`pairs`]), how alike they are ([`similarity`],
//! [`temperature`]), what a comparison costs ([`objective`]), and how it is spread over data (weights of rows, pairs and
//! candidates). Each answer is a type of its own; published names ([`objective::InfoNce`], [`objective::NtXent`],
//! [`objective::SupCon`], [`objective::Clip`], [`objective::Dcl`]) are points in that space.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use contrastive_core::objective::InfoNce;
//!
//! let device = Device::default().autodiff();
//! let queries = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &device).require_grad();
//! let keys = Tensor::<2>::from_data([[0.9, 0.1], [0.2, 0.8], [0.7, 0.6]], &device);
//! let loss = InfoNce::new(0.1)?.loss(queries.clone(), keys);
//! let mut gradients = loss.backward();
//! assert_eq!(queries.grad_remove(&mut gradients).unwrap().dims(), [3, 2]);
//! # Ok::<(), contrastive_core::error::ObjectiveError>(())
//! ```

pub mod attach;
pub mod cluster;
pub mod diagnostics;
pub mod distributed;
pub mod error;
mod extension;
pub mod gradient_cache;
pub mod head;
pub mod host;
pub mod linear;
pub mod memory;
pub mod modules;
pub mod norm;
pub mod objective;

pub mod opta;
pub mod optimal_transport;
pub mod pairs;
pub mod sampler;
pub mod settings;
pub mod similarity;
pub mod sorting;
pub mod synthesis;
pub mod temperature;
#[doc(hidden)]
pub mod testing;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
