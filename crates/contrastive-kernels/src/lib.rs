//! CPU kernels of contrastive learning on plain slices: no tensors, no framework, `f32` and `f64`.
//!
//! Matrices are row-major slices with their width given beside them. Work is cut by *output*, never reduced across
//! threads, so results do not depend on the number of threads.

pub mod adam;
pub mod k_means;
mod memory;
pub mod product;
pub mod real;
pub mod rowwise;
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
