//! Linear maps applied to tables of embeddings: sparse, low-rank, and rows by index.
//!
//! [`SparseOperator`] is a fixed sparse matrix (a normalised adjacency, say), [`LowRankOperator`] the product
//! `P diag(s) Q^T` of a truncated SVD, which [`truncated_svd`] computes from a sparse matrix by random projection.
//! Both multiply tensors on any device, in `f32` and `f64`, and are differentiable in the tensor: the gradient of `A x` is
//! `A^T` times the incoming one. [`gather_rows`] picks rows of a table; its gradient adds them back.
//! [`SparsePattern`] is a sparse matrix whose values are a tensor of their own, with a gradient: attention over the edges
//! of a graph.
//!
//! On the CPU backend the products run in the slice kernels of `contrastive-kernels`; other backends run a body of plain
//! tensor operations with bounded memory.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::{Device, Tensor};
//! use contrastive_core::linear::{LinearOperator, SparseOperator};
//! use contrastive_kernels::sparse::Csr;
//!
//! let operator = SparseOperator::new(Csr::from_triplets(2, 2, &[(0, 1, 0.5), (1, 0, 2.0)]).unwrap());
//! let x = Tensor::<2>::from_data([[1.0f32, 2.0], [3.0, 4.0]], &Device::flex().autodiff()).require_grad();
//! let y = operator.apply(x.clone());
//! assert_eq!(y.clone().into_data().try_to_vec::<f32>().unwrap(), [1.5, 2.0, 2.0, 4.0]);
//! let gradient = x.grad(&y.sum().backward()).unwrap();
//! assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [2.0, 2.0, 0.5, 0.5]);
//! # }
//! ```

mod bonus;
mod gather;
mod low_rank;
mod ops;
mod pattern;
mod pattern_ops;
mod sparse;
mod svd;

use burn::tensor::Tensor;

pub use bonus::{BonusError, EllipticalBonus};
pub use gather::gather_rows;
pub use low_rank::LowRankOperator;
#[doc(hidden)]
pub use ops::portable;
pub use pattern::SparsePattern;
#[doc(hidden)]
pub use pattern_ops::portable as portable_pattern;
pub use sparse::SparseOperator;
pub use svd::{SvdError, SvdOptions, TruncatedSvd, truncated_svd};

/// A fixed linear map from tables of `cols` rows to tables of `rows` rows.
pub trait LinearOperator {
    /// `[rows, cols]` of the matrix.
    fn shape(&self) -> [usize; 2];

    /// The matrix times `x`, differentiable in `x`.
    ///
    /// # Shapes
    /// - x: `[cols, width]`
    /// - output: `[rows, width]`
    ///
    /// # Panics
    /// When `x` does not have `cols` rows.
    fn apply(&self, x: Tensor<2>) -> Tensor<2>;

    /// The transposed map.
    fn transpose(&self) -> Self
    where
        Self: Sized;
}
