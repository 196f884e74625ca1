//! The low-rank operator.

use super::{LinearOperator, TruncatedSvd};
use burn::tensor::{DType, Device, Tensor, TensorData};
use ndarray::Array2;
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex};

/// The fixed matrix `P diag(s) Q^T` that multiplies tensors in `2 (rows + cols) rank width` flops instead of
/// `2 rows cols width`, without ever being formed.
///
/// A clone shares the factors. They are moved to a device once for each device and element type they meet.
#[derive(Clone)]
pub struct LowRankOperator {
    factors: Arc<Factors>,
    transposed: bool,
}

/// A device and element type, with `P diag(s)` and `Q` on it.
type Placed = (Device, DType, [Tensor<2>; 2]);

struct Factors {
    /// `P diag(s)`, `[rows, rank]`.
    left: Array2<f64>,
    /// `Q`, `[cols, rank]`.
    right: Array2<f64>,
    placed: Mutex<Vec<Placed>>,
}

impl LowRankOperator {
    /// The operator of these factors.
    ///
    /// # Shapes
    /// - left: `[rows, rank]`
    /// - singular_values: `rank` numbers
    /// - right: `[cols, rank]`
    ///
    /// # Panics
    /// When the three ranks differ.
    pub fn new(left: Array2<f64>, singular_values: Vec<f64>, right: Array2<f64>) -> Self {
        let rank = singular_values.len();
        assert!(
            left.ncols() == rank && right.ncols() == rank,
            "low-rank factors of shapes {:?} and {:?} with {rank} singular values",
            left.dim(),
            right.dim()
        );
        let left = left * &ndarray::Array1::from(singular_values);
        Self { factors: Arc::new(Factors { left, right, placed: Mutex::default() }), transposed: false }
    }

    /// Rank of the product: the number of singular values given.
    pub fn rank(&self) -> usize {
        self.factors.left.ncols()
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> [usize; 2] {
        let [rows, cols] = [self.factors.left.nrows(), self.factors.right.nrows()];
        if self.transposed { [cols, rows] } else { [rows, cols] }
    }

    /// The transposed operator; it shares the factors and costs nothing.
    pub fn transpose(&self) -> Self {
        Self { factors: self.factors.clone(), transposed: !self.transposed }
    }

    /// `P diag(s) (Q^T x)`, differentiable in `x`.
    ///
    /// # Shapes
    /// - x: `[cols, width]`
    /// - output: `[rows, width]`
    ///
    /// # Panics
    /// When `x` does not have `cols` rows.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let (shape, dims) = (self.shape(), x.dims());
        assert_eq!(shape[1], dims[0], "low-rank operator of shape {shape:?} applied to a tensor of shape {dims:?}");
        let [left, right] = self.factors.on(&x.device(), x.dtype());
        let (outer, inner) = if self.transposed { (right, left) } else { (left, right) };
        outer.matmul(inner.transpose().matmul(x))
    }

    /// Some rows of [`apply`](Self::apply), without computing the others; rows may repeat.
    ///
    /// # Shapes
    /// - x: `[cols, width]`
    /// - rows: k numbers below `rows`
    /// - output: `[k, width]`
    ///
    /// # Panics
    /// When `x` does not have `cols` rows, or a row is out of range.
    pub fn apply_rows(&self, x: Tensor<2>, rows: &[u32]) -> Tensor<2> {
        let (shape, dims) = (self.shape(), x.dims());
        assert_eq!(shape[1], dims[0], "low-rank operator of shape {shape:?} applied to a tensor of shape {dims:?}");
        let [left, right] = self.factors.on(&x.device(), x.dtype());
        let (outer, inner) = if self.transposed { (right, left) } else { (left, right) };
        super::gather_rows(outer, rows).matmul(inner.transpose().matmul(x))
    }
}

impl Factors {
    fn on(&self, device: &Device, dtype: DType) -> [Tensor<2>; 2] {
        let mut placed = self.placed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, _, tensors)) = placed.iter().find(|(d, t, _)| d == device && *t == dtype) {
            return tensors.clone();
        }
        // The factors are constants: they live outside autodiff and enter it by meeting `x`.
        let plain = device.clone().inner();
        let tensors = [&self.left, &self.right].map(|factor| {
            let values = factor.iter().copied().collect::<Vec<f64>>();
            Tensor::<2>::from_data(TensorData::new(values, [factor.nrows(), factor.ncols()]), (&plain, dtype))
        });
        placed.push((plain, dtype, tensors.clone()));
        tensors
    }
}

impl LinearOperator for LowRankOperator {
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

impl From<TruncatedSvd> for LowRankOperator {
    fn from(svd: TruncatedSvd) -> Self {
        Self::new(svd.left, svd.singular_values, svd.right)
    }
}

impl Debug for LowRankOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [rows, cols] = self.shape();
        write!(f, "LowRankOperator {{ {rows} x {cols}, rank {} }}", self.rank())
    }
}
