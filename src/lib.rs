//! Contrastive learning: one objective engine, exact, in linear memory, and the published systems on top of it.
//!
//! This package re-exports the crates of the workspace; each also stands alone. The modules of `contrastive-core` stand at the top
//! ([`objective`] first, whose front page says which objective is for what), the other crates under their names.
//!
//! ```
//! use burn::tensor::{Distribution, Tensor};
//! use contrastive::{Device, objective::NtXent};
//!
//! let device = Device::default().autodiff();
//! let [first, second] = [0, 1].map(|_| Tensor::<2>::random([64, 16], Distribution::Default, &device).require_grad());
//! let gradients = NtXent::new(0.5)?.loss(first.clone(), second).backward();
//! assert_eq!(first.grad(&gradients).expect("a gradient").dims(), [64, 16]);
//! # Ok::<(), contrastive::error::ObjectiveError>(())
//! ```

pub use burn::tensor::Device;
#[doc(inline)]
pub use contrastive_core::*;
#[doc(inline)]
pub use contrastive_data as data;
#[doc(inline)]
pub use contrastive_eval as eval;
#[cfg(feature = "graph")]
#[doc(inline)]
pub use contrastive_graph as graph;
#[doc(inline)]
pub use contrastive_kernels as kernels;
#[doc(inline)]
pub use contrastive_nn as nn;
#[cfg(feature = "rl")]
#[doc(inline)]
pub use contrastive_rl as rl;
#[cfg(feature = "seqrec")]
#[doc(inline)]
pub use contrastive_seqrec as seqrec;
#[cfg(feature = "text")]
#[doc(inline)]
pub use contrastive_text as text;
#[cfg(feature = "timeseries")]
#[doc(inline)]
pub use contrastive_timeseries as timeseries;
#[doc(inline)]
pub use contrastive_train as train;
#[cfg(feature = "vision")]
#[doc(inline)]
pub use contrastive_vision as vision;

mod sentence;

pub use sentence::exit_code;

/// The pages of documentation whose code is run.
#[cfg(all(doctest, feature = "graph", feature = "text", feature = "timeseries", feature = "vision"))]
#[doc = include_str!("../docs/migrating.md")]
mod migrating {}
