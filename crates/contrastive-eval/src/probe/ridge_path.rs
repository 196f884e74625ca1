//! Ridge regression for many penalties from one decomposition.

use super::RidgeModel;
use crate::error::{EvalError, check_length, check_setting};
use crate::rows::{Rows, check_width};
use contrastive_kernels::Real;
use contrastive_kernels::real::gemm;
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView2};

/// The regressions of [`Ridge`](super::Ridge) for any penalty: `X'X = V diag(l) V'` is decomposed once, and each penalty alpha costs a
/// product, `W = V diag(1 / (l + alpha)) V' X'Y`. Time `O(rows D^2 + D^3)` once, `O(D^2 targets)` a penalty.
#[derive(Debug, Clone)]
pub struct RidgePath {
    /// `[D, D]`, an eigenvector a column.
    vectors: Vec<f64>,
    values: Vec<f64>,
    /// `V' X'Y`, `[D, targets]`.
    rotated: Vec<f64>,
    x_mean: Vec<f64>,
    y_mean: Vec<f64>,
}

impl RidgePath {
    /// Decomposes for `y`, `[rows, targets]`, from `x`, `[rows, D]`.
    ///
    /// # Errors
    /// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`].
    pub fn new<T: Real>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Self, EvalError> {
        check_length("targets", y.nrows(), "rows", x.nrows())?;
        let (mut x, mut y) = (Rows::new("embeddings", x)?, Rows::new("targets", y)?);
        let (x_mean, y_mean) = (x.mean(), y.mean());
        x.shift(&x_mean);
        y.shift(&y_mean);
        let (n, d, k) = (x.len(), x.width, y.width);
        let mut gram = vec![0.0; d * d];
        gemm([d, d, n], &mut gram, [d, 1], &x.values, [1, d], &x.values, [d, 1], 0.0, 1.0);
        let mut cross = vec![0.0; d * k];
        gemm([d, k, n], &mut cross, [k, 1], &x.values, [1, d], &y.values, [k, 1], 0.0, 1.0);
        let eigen = SymmetricEigen::new(DMatrix::from_row_slice(d, d, &gram));
        // column-major
        let vectors = eigen.eigenvectors.as_slice().to_vec();
        let values = eigen.eigenvalues.iter().map(|v| v.max(0.0)).collect();
        let mut rotated = vec![0.0; d * k];
        gemm([d, k, d], &mut rotated, [k, 1], &vectors, [d, 1], &cross, [k, 1], 0.0, 1.0);
        Ok(Self { vectors, values, rotated, x_mean, y_mean })
    }

    /// The regression of one penalty.
    ///
    /// # Errors
    /// [`EvalError::Setting`] unless the penalty is above 0 and finite.
    pub fn fit(&self, alpha: f64) -> Result<RidgeModel, EvalError> {
        check_setting("alpha", alpha, alpha > 0.0 && alpha.is_finite(), "above 0 and finite")?;
        let (d, k) = (self.values.len(), self.y_mean.len());
        let mut scaled = self.rotated.clone();
        for (row, value) in scaled.chunks_exact_mut(k).zip(&self.values) {
            row.iter_mut().for_each(|v| *v /= value + alpha);
        }
        // W' = scaled' V', [targets, D]
        let mut weights = vec![0.0; k * d];
        gemm([k, d, d], &mut weights, [d, 1], &scaled, [1, k], &self.vectors, [d, 1], 0.0, 1.0);
        let weights = Array2::from_shape_vec((k, d), weights).expect("whole rows");
        let mean = Array1::from(self.x_mean.clone());
        let intercept = Array1::from(self.y_mean.clone()) - weights.dot(&mean);
        Ok(RidgeModel { weights, intercept })
    }

    /// The penalty with the lowest [`forecast_error`] on validation rows, equal ones: the first; with its regression and the errors of all.
    ///
    /// # Errors
    /// [`EvalError::Empty`] without penalties, and as [`fit`](Self::fit) and [`RidgeModel::predict`].
    pub fn choose<T: Real>(
        &self,
        alphas: &[f64],
        x: ArrayView2<'_, T>,
        y: ArrayView2<'_, T>,
    ) -> Result<(f64, RidgeModel, Vec<f64>), EvalError> {
        check_length("targets", y.nrows(), "rows", x.nrows())?;
        check_width("targets", y.ncols(), "training targets", self.y_mean.len())?;
        let (mut best, mut errors): (Option<(f64, RidgeModel, f64)>, Vec<f64>) = (None, Vec::new());
        let y = Rows::new("targets", y)?.into_array();
        for &alpha in alphas {
            let model = self.fit(alpha)?;
            let error = forecast_error(model.predict(x)?.view(), y.view());
            errors.push(error);
            if best.as_ref().is_none_or(|(_, _, least)| error < *least) {
                best = Some((alpha, model, error));
            }
        }
        let (alpha, model, _) = best.ok_or(EvalError::Empty { what: "penalties" })?;
        Ok((alpha, model, errors))
    }
}

/// Root of the mean squared error plus mean absolute error, over all numbers: what TS2Vec chooses its penalty by.
///
/// # Panics
/// When the shapes differ.
pub fn forecast_error(predicted: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> f64 {
    assert_eq!(predicted.dim(), truth.dim(), "the shapes of predictions and truth");
    let count = truth.len().max(1) as f64;
    let (square, absolute) = predicted.iter().zip(truth).fold((0.0, 0.0), |(square, absolute), (p, t)| {
        let off = p - t;
        (square + off * off, absolute + off.abs())
    });
    (square / count).sqrt() + absolute / count
}
