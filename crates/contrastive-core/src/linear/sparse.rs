//! The sparse operator.

use super::LinearOperator;
use super::ops::LinearOps;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use contrastive_kernels::sparse::Csr;
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, OnceLock};

/// A fixed sparse matrix that multiplies tensors, with its transpose for the way back.
///
/// A clone shares the matrix. Values are kept in the type they came in and converted once to the type of the tensors they
/// meet; a symmetric matrix is stored once. Half-precision tensors are multiplied in their own type.
#[derive(Clone)]
pub struct SparseOperator {
    matrix: Arc<Matrix>,
    transposed: bool,
}

struct Matrix {
    shape: [usize; 2],
    nnz: usize,
    symmetric: bool,
    /// The matrix and its transpose; the latter stays empty when they are the same.
    single: [OnceLock<Csr<f32>>; 2],
    double: [OnceLock<Csr<f64>>; 2],
}

fn filled<T>(value: T) -> OnceLock<T> {
    let cell = OnceLock::new();
    let _ = cell.set(value);
    cell
}

impl SparseOperator {
    /// An operator with values in `f64`, rounded to `f32` when it first meets an `f32` tensor.
    pub fn new(matrix: Csr<f64>) -> Self {
        let transpose = matrix.transpose();
        let (shape, nnz, symmetric) = ([matrix.rows(), matrix.cols()], matrix.nnz(), matrix == transpose);
        let double = [filled(matrix), if symmetric { OnceLock::new() } else { filled(transpose) }];
        let matrix = Matrix { shape, nnz, symmetric, single: [const { OnceLock::new() }; 2], double };
        Self { matrix: Arc::new(matrix), transposed: false }
    }

    /// An operator with values in `f32`.
    pub fn from_f32(matrix: Csr<f32>) -> Self {
        let transpose = matrix.transpose();
        let (shape, nnz, symmetric) = ([matrix.rows(), matrix.cols()], matrix.nnz(), matrix == transpose);
        let single = [filled(matrix), if symmetric { OnceLock::new() } else { filled(transpose) }];
        let matrix = Matrix { shape, nnz, symmetric, single, double: [const { OnceLock::new() }; 2] };
        Self { matrix: Arc::new(matrix), transposed: false }
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> [usize; 2] {
        let [rows, cols] = self.matrix.shape;
        if self.transposed { [cols, rows] } else { [rows, cols] }
    }

    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.matrix.nnz
    }

    /// Whether the matrix equals its transpose exactly.
    pub fn is_symmetric(&self) -> bool {
        self.matrix.symmetric
    }

    /// The transposed operator; it shares the matrix and costs nothing.
    pub fn transpose(&self) -> Self {
        Self { matrix: self.matrix.clone(), transposed: !self.transposed }
    }

    fn side(&self) -> usize {
        usize::from(self.transposed && !self.matrix.symmetric)
    }

    /// The matrix in `f32`.
    ///
    /// # Panics
    /// When a value given in `f64` overflows `f32`.
    pub fn to_f32(&self) -> &Csr<f32> {
        let side = self.side();
        self.matrix.single[side].get_or_init(|| self.matrix.double[side].get().expect("made in f32 or f64").cast())
    }

    /// The matrix in `f64`.
    pub fn to_f64(&self) -> &Csr<f64> {
        let side = self.side();
        self.matrix.double[side].get_or_init(|| self.matrix.single[side].get().expect("made in f32 or f64").cast())
    }

    /// `A x`, differentiable in `x`.
    ///
    /// # Shapes
    /// - x: `[cols, width]`
    /// - output: `[rows, width]`
    ///
    /// # Panics
    /// When `x` does not have `cols` rows.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        self.check(&x);
        Tensor::from_dispatch(Dispatch::sparse_multiply(self.clone(), x.into_dispatch()))
    }

    /// `base + A x`, differentiable in both; the gradient of `base` is the incoming one, untouched.
    ///
    /// # Shapes
    /// - x: `[cols, width]`
    /// - base, output: `[rows, width]`
    ///
    /// # Panics
    /// When a shape differs from these, or the two tensors differ in element type.
    pub fn apply_add(&self, x: Tensor<2>, base: Tensor<2>) -> Tensor<2> {
        self.check(&x);
        let ([rows, _], [_, width]) = (self.shape(), x.dims());
        assert_eq!(base.dims(), [rows, width], "base added to a sparse product of shape [{rows}, {width}]");
        assert_eq!(base.dtype(), x.dtype(), "element types of base and x of a sparse product");
        Tensor::from_dispatch(Dispatch::sparse_multiply_add(self.clone(), x.into_dispatch(), base.into_dispatch()))
    }

    fn check(&self, x: &Tensor<2>) {
        let (shape, dims) = (self.shape(), x.dims());
        assert_eq!(shape[1], dims[0], "sparse operator of shape {shape:?} applied to a tensor of shape {dims:?}");
    }
}

impl LinearOperator for SparseOperator {
    fn shape(&self) -> [usize; 2] {
        Self::shape(self)
    }
    fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        Self::apply(self, x)
    }
    fn transpose(&self) -> Self {
        Self::transpose(self)
    }
}

impl From<Csr<f64>> for SparseOperator {
    fn from(matrix: Csr<f64>) -> Self {
        Self::new(matrix)
    }
}

impl From<Csr<f32>> for SparseOperator {
    fn from(matrix: Csr<f32>) -> Self {
        Self::from_f32(matrix)
    }
}

impl Debug for SparseOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let ([rows, cols], nnz) = (self.shape(), self.nnz());
        write!(f, "SparseOperator {{ {rows} x {cols}, {nnz} entries, symmetric: {} }}", self.is_symmetric())
    }
}
