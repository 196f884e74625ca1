//! Ridge regression: the linear probe of real-valued targets.

use crate::error::{EvalError, check_length, check_setting};
use crate::rows::{Rows, check_width};
use contrastive_kernels::Real;
use contrastive_kernels::real::gemm;
use contrastive_kernels::vector::dot;
use ndarray::{Array1, Array2, ArrayView2};

/// Linear regression with an L2 penalty: minimises `sum_i |y_i - W x_i - b|^2 + alpha |W|^2`; the intercept is fitted and not penalised.
/// Solved exactly: time `O(rows D^2 + D^3)`, memory `O(D^2)` beside the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ridge {
    alpha: f64,
}

/// A fitted [`Ridge`].
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeModel {
    /// `[targets, D]`
    pub weights: Array2<f64>,
    /// `[targets]`
    pub intercept: Array1<f64>,
}

impl Ridge {
    /// With this strength of the penalty, at least 0.
    pub fn new(alpha: f64) -> Self {
        Self { alpha }
    }

    /// Fits `y`, `[rows, targets]`, to `x`, `[rows, D]`.
    ///
    /// # Errors
    /// [`EvalError::Setting`], also when `alpha` is so small that it is lost beside features that depend on each other;
    /// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`].
    pub fn fit<T: Real>(&self, x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<RidgeModel, EvalError> {
        check_setting("alpha", self.alpha, self.alpha >= 0.0 && self.alpha.is_finite(), "at least 0 and finite")?;
        check_length("targets", y.nrows(), "rows", x.nrows())?;
        let (mut x, mut y) = (Rows::new("embeddings", x)?, Rows::new("targets", y)?);
        let (x_mean, y_mean) = (x.mean(), y.mean());
        x.shift(&x_mean);
        y.shift(&y_mean);
        let (n, d, k) = (x.len(), x.width, y.width);
        let mut gram = vec![0.0; d * d];
        gemm([d, d, n], &mut gram, [d, 1], &x.values, [1, d], &x.values, [d, 1], 0.0, 1.0);
        gram.iter_mut().step_by(d + 1).for_each(|v| *v += self.alpha);
        let mut weights = vec![0.0; k * d];
        gemm([k, d, n], &mut weights, [d, 1], &y.values, [1, k], &x.values, [d, 1], 0.0, 1.0);
        if !factor(&mut gram, d) {
            return Err(EvalError::Setting { name: "alpha", value: self.alpha, allowed: "larger for these features" });
        }
        weights.chunks_exact_mut(d).for_each(|row| substitute(&gram, row));
        let weights = Array2::from_shape_vec((k, d), weights).expect("whole rows");
        let intercept = Array1::from(y_mean) - weights.dot(&Array1::from(x_mean));
        Ok(RidgeModel { weights, intercept })
    }
}

impl RidgeModel {
    /// The predictions for the rows of `x`, `[rows, targets]`.
    ///
    /// # Errors
    /// [`EvalError::WidthMismatch`], [`EvalError::Empty`], [`EvalError::BadNumber`].
    pub fn predict<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array2<f64>, EvalError> {
        check_width("embeddings", x.ncols(), "weights", self.weights.ncols())?;
        Ok(Rows::new("embeddings", x)?.into_array().dot(&self.weights.t()) + &self.intercept)
    }
}

/// The Cholesky factor, in the lower triangle; false when the matrix is not positive definite.
fn factor(a: &mut [f64], d: usize) -> bool {
    for i in 0..d {
        let (above, rest) = a.split_at_mut(i * d);
        let row = &mut rest[..d];
        for j in 0..i {
            let of_j = &above[j * d..][..d];
            row[j] = (row[j] - dot(&row[..j], &of_j[..j])) / of_j[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        // a pivot of the size of rounding is no pivot
        if pivot <= row[i] * (f64::EPSILON * d as f64) {
            return false;
        }
        row[i] = pivot.sqrt();
    }
    true
}

/// Solves `L L^T x = b` in place of `b`.
fn substitute(l: &[f64], b: &mut [f64]) {
    let d = b.len();
    for i in 0..d {
        b[i] = (b[i] - dot(&l[i * d..][..i], &b[..i])) / l[i * d + i];
    }
    for i in (0..d).rev() {
        b[i] /= l[i * d + i];
        let value = b[i];
        b[..i].iter_mut().zip(&l[i * d..]).for_each(|(b, l)| *b -= value * l);
    }
}
