//! CPU kernels of contrastive learning on plain slices: no tensors, no framework, `f32` and `f64`.
//!
//! Matrices are row-major slices with their width given beside them. Work is cut by *output*, never reduced across
//! threads, so results do not depend on the number of threads.
//!
//! ```
//! use contrastive_kernels::softmax::{RowSets, SoftmaxProblem, rows};
//!
//! // InfoNCE of two pairs of width 2 at the temperature 0.1: candidate i is the positive of anchor i
//! let (anchors, candidates) = ([1.0f64, 0.0, 0.0, 1.0], [0.8, 0.6, 0.0, 1.0]);
//! let positives = RowSets::new(None, &[0, 1, 2], &[0, 1]);
//! let out = rows(&SoftmaxProblem { positives: Some(positives), ..SoftmaxProblem::new(&anchors, &candidates, 2, 10.0) });
//! assert!((out.rows[0] - (1.0 + (-8.0f64).exp()).ln()).abs() < 1e-12);
//! assert_eq!(out.candidates.len(), 4); // the gradient of the candidates; beside it anchors, scale, ...
//! ```

pub mod adam;
mod compiled;
pub mod convolution;
pub mod distance;
mod element;
pub mod image;
pub mod k_means;
pub mod layer;
mod memory;
pub mod product;
pub mod real;
pub mod rowwise;
pub mod scalar;
pub mod sinkhorn;
pub mod softmax;
pub mod sorting;
pub mod sparse;
pub mod top_k;
pub mod unit;
pub mod vector;

pub use real::Real;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
