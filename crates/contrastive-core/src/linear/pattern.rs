//! A sparse matrix whose values are a tensor.

use super::SparseOperator;
use super::pattern_ops::PatternOps;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use contrastive_kernels::Real;
use contrastive_kernels::sparse::Csr;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;

/// The places of the entries of a sparse matrix, whose values come as a tensor `[nnz]`, row after row and within a row by
/// column: what attention over the edges of a graph is made of.
///
/// ```text
/// products(left, right)_e = left_i . right_j                           e = (i, j) a stored place
/// softmax(logits)_e       = exp(logits_e) / sum over row i of exp(logits)
/// apply(values, x)_i      = sum over e = (i, j) of values_e x_j
/// ```
///
/// All are differentiable in all their tensors, and each is the backward pass of another one. On the CPU backend nothing of
/// size `nnz x width` is ever held; elsewhere it is held in chunks of bounded size. A clone shares the places.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use contrastive_core::linear::SparsePattern;
/// use contrastive_kernels::sparse::Csr;
///
/// let edges = Csr::from_triplets(2, 2, &[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)]).unwrap();
/// let pattern = SparsePattern::new(&edges);
/// let x = Tensor::<2>::from_data([[1.0f32, 0.0], [1.0, 2.0]], &Device::flex());
/// let scores = pattern.products(x.clone(), x.clone());
/// assert_eq!(scores.clone().into_data().try_to_vec::<f32>().unwrap(), [1.0, 1.0, 5.0]);
/// let attended = pattern.apply(pattern.softmax(scores), x);
/// assert_eq!(attended.into_data().try_to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0, 2.0]);
/// # }
/// ```
#[derive(Clone)]
pub struct SparsePattern {
    /// Ones at the places, and the transpose.
    sides: [SparseOperator; 2],
    /// Entry `k` of the transposed matrix is entry `order[k]` of this one.
    order: Arc<[u32]>,
}

impl SparsePattern {
    /// The places of the entries that `matrix` stores, zeros included; the values do not matter.
    ///
    /// # Panics
    /// When there are more than 2^32 of them.
    pub fn new<T: Real>(matrix: &Csr<T>) -> Self {
        assert!(u32::try_from(matrix.nnz()).is_ok(), "{} entries: at most 2^32 can be numbered", matrix.nnz());
        let mut next = vec![0usize; matrix.cols() + 1];
        matrix.indices().iter().for_each(|&column| next[column as usize + 1] += 1);
        for column in 0..matrix.cols() {
            next[column + 1] += next[column];
        }
        let mut order = vec![0; matrix.nnz()];
        for (entry, &column) in matrix.indices().iter().enumerate() {
            order[next[column as usize]] = entry as u32;
            next[column as usize] += 1;
        }
        let places = SparseOperator::from_f32(matrix.map_values(|_| 1.0f32));
        Self { sides: [places.clone(), places.transpose()], order: order.into() }
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> [usize; 2] {
        self.sides[0].shape()
    }

    /// Number of entries.
    pub fn nnz(&self) -> usize {
        self.order.len()
    }

    /// Where the entries of each row start, and `nnz` at the end.
    pub fn indptr(&self) -> &[usize] {
        self.sides[0].to_f32().indptr()
    }

    /// The column of every entry, row after row.
    pub fn indices(&self) -> &[u32] {
        self.sides[0].to_f32().indices()
    }

    /// A matrix of ones at these places, or its transpose.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    pub(super) fn side(&self, transposed: bool) -> &SparseOperator {
        &self.sides[usize::from(transposed)]
    }

    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// `left_i . right_j` for each entry (i, j): a sampled product of two dense matrices, differentiable in both.
    ///
    /// # Shapes
    /// - left: `[rows, width]`
    /// - right: `[cols, width]`
    /// - output: `[nnz]`
    ///
    /// # Panics
    /// When a shape differs from these, the tensors differ in element type, or, backwards on the CPU backend, when an incoming
    /// gradient is not finite.
    pub fn products(&self, left: Tensor<2>, right: Tensor<2>) -> Tensor<1> {
        let ([rows, cols], [_, width]) = (self.shape(), left.dims());
        assert_eq!(left.dims(), [rows, width], "left side of the products of a {rows} x {cols} pattern");
        assert_eq!(right.dims(), [cols, width], "right side of the products of a {rows} x {cols} pattern");
        assert_eq!(left.dtype(), right.dtype(), "element types of the two sides of sampled products");
        Tensor::from_dispatch(Dispatch::pattern_products(self.clone(), left.into_dispatch(), right.into_dispatch()))
    }

    /// The matrix with these values times `x`, differentiable in both.
    ///
    /// # Shapes
    /// - values: `[nnz]`
    /// - x: `[cols, width]`
    /// - output: `[rows, width]`
    ///
    /// # Panics
    /// When a shape differs from these, the tensors differ in element type, or, on the CPU backend, a value is not finite.
    pub fn apply(&self, values: Tensor<1>, x: Tensor<2>) -> Tensor<2> {
        self.multiply(false, values, x)
    }

    /// The transpose of the matrix with these values times `x`, differentiable in both.
    ///
    /// # Shapes
    /// - values: `[nnz]`, in the order of the rows of the pattern as it is
    /// - x: `[rows, width]`
    /// - output: `[cols, width]`
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn apply_transposed(&self, values: Tensor<1>, x: Tensor<2>) -> Tensor<2> {
        self.multiply(true, values, x)
    }

    fn multiply(&self, transposed: bool, values: Tensor<1>, x: Tensor<2>) -> Tensor<2> {
        let (shape, dims) = (self.shape(), x.dims());
        assert_eq!(values.dims(), [self.nnz()], "values for the entries of a pattern of shape {shape:?}");
        let taken = shape[usize::from(!transposed)];
        assert_eq!(taken, dims[0], "pattern of shape {shape:?} (transposed: {transposed}) applied to {dims:?}");
        assert_eq!(values.dtype(), x.dtype(), "element types of the values and of x of a sparse product");
        let (values, x) = (values.into_dispatch(), x.into_dispatch());
        Tensor::from_dispatch(Dispatch::pattern_multiply(self.clone(), transposed, values, x))
    }

    /// The softmax of the entries of each row, differentiable; the row's maximum is subtracted first. A row without entries
    /// has none in the output either.
    ///
    /// # Shapes
    /// - logits, output: `[nnz]`
    ///
    /// # Panics
    /// When there is not one logit for each entry.
    pub fn softmax(&self, logits: Tensor<1>) -> Tensor<1> {
        assert_eq!(logits.dims(), [self.nnz()], "logits for the entries of a pattern of shape {:?}", self.shape());
        Tensor::from_dispatch(Dispatch::pattern_softmax(self.clone(), logits.into_dispatch()))
    }

    /// Each value divided by the sum of its row, differentiable; 0, without a gradient, where that sum is 0.
    ///
    /// # Shapes
    /// - values, output: `[nnz]`
    ///
    /// # Panics
    /// When there is not one value for each entry, or, on the CPU backend, one is not finite.
    pub fn row_shares(&self, values: Tensor<1>) -> Tensor<1> {
        let [rows, cols] = self.shape();
        let options = (&values.device(), values.dtype());
        let sums = self.apply(values.clone(), Tensor::ones([cols, 1], options));
        let empty = sums.clone().equal_elem(0.0);
        let inverse = sums.mask_fill(empty.clone(), 1.0).recip().mask_fill(empty, 0.0);
        debug_assert_eq!(inverse.dims(), [rows, 1]);
        values * self.products(inverse, Tensor::ones([cols, 1], options))
    }
}

impl Debug for SparsePattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let ([rows, cols], nnz) = (self.shape(), self.nnz());
        write!(f, "SparsePattern {{ {rows} x {cols}, {nnz} entries }}")
    }
}
