//! Whitening: columns without correlation, with exact gradients.

use super::moments::centred;
use crate::error::{ObjectiveError, not_negative};
use crate::objective::computed;
use burn::tensor::{DType, Int, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix, DVector, SymmetricEigen};
use thiserror::Error;

/// Which root of the inverse covariance C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhiteningForm {
    /// `C^{-1/2}`, symmetric: of all whitened rows, those nearest to the centred ones (ZCA).
    #[default]
    Zca,
    /// `L^{-T}` of `C = L L'` (W-MSE).
    Cholesky,
}

/// Why rows cannot be whitened.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum WhiteningError {
    /// A covariance that has no inverse.
    #[error(
        "the covariance of {columns} columns (group {group}, counted from 0) of {rows} rows has eigenvalues from {smallest:e} \
         to {largest:e}, too far apart to be inverted: more rows, smaller groups or a larger epsilon are needed"
    )]
    Singular {
        /// Rows of the batch.
        rows: usize,
        /// Columns of the group.
        columns: usize,
        /// The group's number, from 0.
        group: usize,
        /// The smallest eigenvalue, epsilon included.
        smallest: f64,
        /// The largest.
        largest: f64,
    },
    /// Entries that are NaN or infinite, or overflow when squared.
    #[error("the covariance of {columns} columns (group {group}, counted from 0) of {rows} rows is not finite")]
    NotFinite {
        /// Rows of the batch.
        rows: usize,
        /// Columns of the group.
        columns: usize,
        /// The group's number, from 0.
        group: usize,
    },
    /// Columns that do not fall into groups of one size.
    #[error("{columns} columns do not fall into {groups} groups of one size")]
    Groups {
        /// Columns.
        columns: usize,
        /// Groups.
        groups: usize,
    },
    /// Rows that do not fall into sub-batches of one size.
    #[error("{rows} rows do not fall into sub-batches of {size}")]
    SubBatches {
        /// Rows of the batch.
        rows: usize,
        /// Rows of a sub-batch.
        size: usize,
    },
    /// An order of the rows that is none.
    #[error("an order of {rows} rows must name each of 0..{rows} once")]
    RowOrder {
        /// Rows.
        rows: usize,
    },
    /// An order of the columns that is none.
    #[error("an order of {columns} columns must name each of 0..{columns} once")]
    Order {
        /// Columns.
        columns: usize,
    },
}

/// Whitening over a batch: `(x - mean) W` with `W' C W = 1`, where `C = (x - mean)' (x - mean) / (n - 1) + epsilon`.
///
/// ZCA: Kessy et al. 2018; in groups of shuffled columns: WhitenedCSE (Zhuo et al. 2023), whose code has the covariance of 1 / n
/// and no gradient through W ([`with_biased_covariance`](Self::with_biased_covariance),
/// [`with_constant_root`](Self::with_constant_root)); Cholesky: W-MSE (Ermolov et al. 2021).
///
/// W is found on the host, in f64. Its derivative is exact: with `C = Q diag(w) Q'`, `dW = Q (K o Q' dC Q) Q'` where
/// `K_kl = -1 / (s_k s_l (s_k + s_l))`, `s = sqrt(w)` (the divided differences of `w^{-1/2}`, Daleckii and Krein, in a form that
/// stays finite for equal eigenvalues); for the Cholesky factor, `dW = -W (U o W' dC W)` with U the upper triangle, halved
/// on the diagonal.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    form: WhiteningForm,
    epsilon: f64,
    relative: bool,
    biased: bool,
    constant: bool,
    groups: usize,
}

impl Whitening {
    /// All columns together, with this much added to their variances.
    ///
    /// # Errors
    /// When epsilon is negative, infinite or NaN.
    pub fn new(form: WhiteningForm, epsilon: f64) -> Result<Self, ObjectiveError> {
        let epsilon = not_negative("epsilon of the variances", epsilon)?;
        Ok(Self { form, epsilon, relative: false, biased: false, constant: false, groups: 1 })
    }

    /// Epsilon counts in units of a group's mean variance, so that the scale of the rows does not matter.
    pub fn with_relative_epsilon(mut self) -> Self {
        self.relative = true;
        self
    }

    /// The covariance of 1 / n instead of 1 / (n - 1).
    pub fn with_biased_covariance(mut self) -> Self {
        self.biased = true;
        self
    }

    /// W is a constant to the gradient, which then flows through the centred rows alone.
    pub fn with_constant_root(mut self) -> Self {
        self.constant = true;
        self
    }

    /// In this many groups of neighbouring columns, each for itself.
    ///
    /// # Errors
    /// When there are none.
    pub fn with_groups(mut self, groups: usize) -> Result<Self, ObjectiveError> {
        crate::error::positive("groups of columns", groups as f64)?;
        self.groups = groups;
        Ok(self)
    }

    /// Rows `[n, d]` to whitened rows `[n, d]`, differentiable. Waits for the device, for d / groups squared numbers a group.
    ///
    /// # Errors
    /// When the columns do not fall into the groups, or a covariance has no inverse.
    ///
    /// # Panics
    /// When there are fewer than two rows.
    pub fn whiten(&self, x: Tensor<2>) -> Result<Tensor<2>, WhiteningError> {
        let [n, d] = x.dims();
        assert!(n > 1 && d > 0, "the whitening of rows [{n}, {d}]: two rows at least");
        if !d.is_multiple_of(self.groups) {
            return Err(WhiteningError::Groups { columns: d, groups: self.groups });
        }
        let dtype = x.dtype();
        let x = centred(computed(x));
        let width = d / self.groups;
        let group = |g: usize| x.clone().slice([0..n, g * width..(g + 1) * width]);
        let parts: Result<Vec<_>, _> = (0..self.groups).map(|g| self.group(group(g), g)).collect();
        let white = Tensor::cat(parts?, 1);
        Ok(if white.dtype() == dtype { white } else { white.cast(dtype) })
    }

    /// The same with the columns taken to the groups in this order and put back: `order[k]` is the column that stands at
    /// place k while groups are formed (WhitenedCSE draws several orders, one for each positive).
    ///
    /// # Errors
    /// As [`whiten`](Self::whiten), and when the order does not name each column once.
    ///
    /// # Panics
    /// When there are fewer than two rows.
    pub fn whiten_in_order(&self, x: Tensor<2>, order: &[usize]) -> Result<Tensor<2>, WhiteningError> {
        let d = x.dims()[1];
        let mut place = vec![usize::MAX; d];
        for (k, &column) in order.iter().enumerate() {
            match place.get_mut(column) {
                Some(p) if *p == usize::MAX => *p = k,
                _ => return Err(WhiteningError::Order { columns: d }),
            }
        }
        if order.len() != d {
            return Err(WhiteningError::Order { columns: d });
        }
        let device = x.device();
        let list = |values: &[usize]| {
            let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
            Tensor::<1, Int>::from_data(TensorData::new(values, [d]), &device)
        };
        Ok(self.whiten(x.select(1, list(order)))?.select(1, list(&place)))
    }

    /// The centred columns of a group, and its number.
    fn group(&self, x: Tensor<2>, group: usize) -> Result<Tensor<2>, WhiteningError> {
        let [n, d] = x.dims();
        let (device, dtype) = (x.device(), x.dtype());
        let rows = if self.constant { x.clone().detach() } else { x.clone() };
        let covariance = rows.clone().transpose().matmul(rows) * self.share(n);
        let numbers: Vec<f64> = covariance.to_data().iter::<f64>().collect();
        if numbers.iter().any(|v| !v.is_finite()) {
            return Err(WhiteningError::NotFinite { rows: n, columns: d, group });
        }
        let found = self.root(&DMatrix::from_row_slice(d, d, &numbers), group, n, dtype)?;
        let tensor = |m: &DMatrix<f64>| {
            let rows = m.transpose().as_slice().to_vec();
            Tensor::<2>::from_data(TensorData::new(rows, [d, d]), (&device, dtype))
        };
        let change: Box<dyn Fn(Tensor<2>) -> Tensor<2>> = match &found.derivative {
            Derivative::Zca { vectors, roots } => {
                let s = roots;
                let k = DMatrix::from_fn(d, d, |k, l| -1.0 / (s[k] * s[l] * (s[k] + s[l])));
                let (q, back, k) = (tensor(vectors), tensor(&vectors.transpose()), tensor(&k));
                Box::new(move |dc| {
                    let inner = back.clone().matmul(dc).matmul(q.clone()) * k.clone();
                    q.clone().matmul(inner).matmul(back.clone())
                })
            }
            Derivative::Cholesky => {
                let upper = DMatrix::from_fn(d, d, |k, l| match k.cmp(&l) {
                    std::cmp::Ordering::Less => -1.0,
                    std::cmp::Ordering::Equal => -0.5,
                    std::cmp::Ordering::Greater => 0.0,
                });
                let (w, back, upper) = (tensor(&found.root), tensor(&found.root.transpose()), tensor(&upper));
                Box::new(move |dc| w.clone().matmul(back.clone().matmul(dc).matmul(w.clone()) * upper.clone()))
            }
        };
        let mut root = tensor(&found.root);
        if covariance.is_tracked() {
            // a change of zero, through which the gradient of W reaches the covariance
            let mut zero = covariance.clone() - covariance.detach();
            if self.relative {
                let identity = tensor(&DMatrix::identity(d, d));
                let trace = (zero.clone() * identity.clone()).sum().reshape([1, 1]);
                zero = zero + identity * trace * (self.epsilon / d as f64);
            }
            root = root + change(zero);
        }
        Ok(x.matmul(root))
    }

    /// W of the covariance of a group, by its number, which was found from `rows` rows of a float type.
    pub(crate) fn root(
        &self,
        c: &DMatrix<f64>,
        group: usize,
        rows: usize,
        dtype: DType,
    ) -> Result<Root, WhiteningError> {
        let d = c.nrows();
        let eigen = SymmetricEigen::new((c + c.transpose()) * 0.5);
        let epsilon = if self.relative { self.epsilon * c.trace() / d as f64 } else { self.epsilon };
        let values = eigen.eigenvalues.map(|w| w.max(0.0) + epsilon);
        let (smallest, largest) = (values.min(), values.max());
        let rounding = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let singular = || WhiteningError::Singular { rows, columns: d, group, smallest, largest };
        if smallest <= largest * rounding * d as f64 {
            return Err(singular());
        }
        Ok(match self.form {
            WhiteningForm::Zca => {
                let roots = values.map(f64::sqrt);
                let vectors = eigen.eigenvectors;
                let root = &vectors * DMatrix::from_diagonal(&roots.map(|s| 1.0 / s)) * vectors.transpose();
                Root { root, derivative: Derivative::Zca { vectors, roots } }
            }
            WhiteningForm::Cholesky => {
                let factor = Cholesky::new(c + DMatrix::identity(d, d) * epsilon).ok_or_else(singular)?;
                let inverse = factor.l().solve_lower_triangular(&DMatrix::identity(d, d)).ok_or_else(singular)?;
                Root { root: inverse.transpose(), derivative: Derivative::Cholesky }
            }
        })
    }

    /// Groups of columns.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// What the sum of squares of n centred rows is multiplied with.
    pub(crate) fn share(&self, n: usize) -> f64 {
        1.0 / (n - usize::from(!self.biased)) as f64
    }
}

/// A root of an inverse covariance, and what its derivative needs.
pub(crate) struct Root {
    /// W.
    pub root: DMatrix<f64>,
    derivative: Derivative,
}

enum Derivative {
    /// Eigenvectors in columns, and the square roots of the eigenvalues.
    Zca {
        vectors: DMatrix<f64>,
        roots: DVector<f64>,
    },
    Cholesky,
}
