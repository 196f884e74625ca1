//! Ridge regression, and the bonus of unexplored directions: both live on `sum x x' + lambda 1`.

use nalgebra::{Cholesky, DMatrix, DVector};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use thiserror::Error;

/// Why there is no regression or bonus.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RidgeError {
    /// A penalty or factor outside its range.
    #[error("{name} {value}: it must be a finite number {allowed}")]
    Setting {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Tables that do not fit, or are empty.
    #[error("{what}: {first:?} and {second:?}")]
    Shape {
        /// What does not fit.
        what: &'static str,
        /// Shape of the first.
        first: [usize; 2],
        /// Shape of the second.
        second: [usize; 2],
    },
    /// An entry that is NaN or infinite.
    #[error("{what}, row {row}: an entry is not finite")]
    NotFinite {
        /// Which table.
        what: &'static str,
        /// Where.
        row: usize,
    },
    /// A penalty too small for columns that depend on each other.
    #[error("the covariance of {columns} columns with penalty {alpha:e} has no inverse: a larger penalty is needed")]
    Singular {
        /// Columns of the inputs.
        columns: usize,
        /// The penalty.
        alpha: f64,
    },
}

fn setting(name: &'static str, value: f64, good: bool, allowed: &'static str) -> Result<f64, RidgeError> {
    if value.is_finite() && good { Ok(value) } else { Err(RidgeError::Setting { name, value, allowed }) }
}

fn finite(what: &'static str, table: ArrayView2<f64>) -> Result<(), RidgeError> {
    match table.rows().into_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
        Some(row) => Err(RidgeError::NotFinite { what, row }),
        None => Ok(()),
    }
}

/// A linear map fitted with a penalty on its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    /// `[inputs, outputs]`.
    pub weights: Array2<f64>,
    /// `[outputs]`.
    pub intercept: Array1<f64>,
}

impl Ridge {
    /// Minimises `sum_i |y_i - W' x_i - c|^2 + alpha |W|^2`; the intercept c carries no penalty. With `X` and `Y` centred,
    /// `W = (X' X + alpha 1)^{-1} X' Y`, by Cholesky: `n d^2 + d^3 / 3` multiplications.
    ///
    /// # Shapes
    /// - x: `[n, d]`
    /// - y: `[n, k]`
    ///
    /// # Errors
    /// When alpha is negative or not finite, the tables differ in rows or are empty, an entry is not finite, or alpha is too
    /// small for columns that depend on each other.
    pub fn fit(x: ArrayView2<f64>, y: ArrayView2<f64>, alpha: f64) -> Result<Self, RidgeError> {
        setting("penalty alpha", alpha, alpha >= 0.0, "of at least 0")?;
        let ([n, d], [m, k]) = ([x.nrows(), x.ncols()], [y.nrows(), y.ncols()]);
        if n != m || n * d * k == 0 {
            let what = "a regression needs rows, as many inputs as outputs";
            return Err(RidgeError::Shape { what, first: [n, d], second: [m, k] });
        }
        finite("inputs", x)?;
        finite("outputs", y)?;
        let mean = |table: ArrayView2<f64>| table.sum_axis(ndarray::Axis(0)) / n as f64;
        let (mx, my) = (mean(x), mean(y));
        let (cx, cy) = (&x - &mx, &y - &my);
        let (square, cross) = (cx.t().dot(&cx), cx.t().dot(&cy));
        let largest = square.diag().iter().fold(0f64, |a, v| a.max(*v));
        let a = DMatrix::from_fn(d, d, |r, c| square[[r, c]] + if r == c { alpha } else { 0.0 });
        let singular = RidgeError::Singular { columns: d, alpha };
        let factor = Cholesky::new(a).ok_or(singular.clone())?;
        // a pivot of the size of rounding is not a pivot
        let smallest = factor.l_dirty().diagonal().iter().fold(f64::INFINITY, |a, v| a.min(v * v));
        if smallest <= (largest + alpha) * f64::EPSILON * d as f64 {
            return Err(singular);
        }
        let w = factor.solve(&DMatrix::from_fn(d, k, |r, c| cross[[r, c]]));
        let weights = Array2::from_shape_fn((d, k), |(r, c)| w[(r, c)]);
        let intercept = my - mx.dot(&weights);
        Ok(Self { weights, intercept })
    }

    /// `[n, k]` for inputs `[n, d]`.
    ///
    /// # Panics
    /// When the width differs.
    pub fn predict(&self, x: ArrayView2<f64>) -> Array2<f64> {
        assert_eq!(x.ncols(), self.weights.nrows(), "inputs {:?} for weights {:?}", x.dim(), self.weights.dim());
        x.dot(&self.weights) + &self.intercept
    }
}

/// The elliptical bonus of linear and low-rank decision processes (contrastive UCB, Qiu et al. 2022):
///
/// ```text
/// bonus(x) = factor sqrt(x' S^{-1} x)        S = lambda 1 + sum of h h' over the rows seen
/// ```
///
/// It is at most `factor |x| / sqrt(lambda)`, and falls in every direction that is seen. The inverse follows by rank-one
/// updates (Sherman and Morrison): `2 d^2` multiplications a row; so does `log det S`. After every 1,024 rows it is taken from S
/// anew, so that rounding does not add up.
#[derive(Clone, Debug)]
pub struct EllipticalBonus {
    sum: DMatrix<f64>,
    inverse: DMatrix<f64>,
    log_det: f64,
    factor: f64,
    seen: usize,
}

/// Rank-one updates between two exact inverses.
const REFRESH: usize = 1024;

impl EllipticalBonus {
    /// Of rows of one width, nothing seen.
    ///
    /// # Errors
    /// When the width is 0, lambda is not above 0, or the factor is negative; or either is not finite.
    pub fn new(width: usize, lambda: f64, factor: f64) -> Result<Self, RidgeError> {
        setting("width", width as f64, width > 0, "of at least 1")?;
        setting("lambda", lambda, lambda > 0.0, "above 0")?;
        setting("factor of the bonus", factor, factor >= 0.0, "of at least 0")?;
        let scaled = |v: f64| DMatrix::identity(width, width) * v;
        let log_det = width as f64 * lambda.ln();
        Ok(Self { sum: scaled(lambda), inverse: scaled(1.0 / lambda), log_det, factor, seen: 0 })
    }

    /// `log det S`.
    pub fn log_det(&self) -> f64 {
        self.log_det
    }

    /// Rows seen.
    pub fn seen(&self) -> usize {
        self.seen
    }

    fn row(&self, x: ArrayView1<f64>) -> DVector<f64> {
        assert_eq!(x.len(), self.sum.nrows(), "a row of {} for a bonus of width {}", x.len(), self.sum.nrows());
        DVector::from_iterator(x.len(), x.iter().copied())
    }

    /// Takes a row in.
    ///
    /// # Errors
    /// When an entry is not finite; nothing has changed then.
    ///
    /// # Panics
    /// When the width differs.
    pub fn observe(&mut self, x: ArrayView1<f64>) -> Result<(), RidgeError> {
        let x = self.row(x);
        let with = &self.inverse * &x;
        let quadratic = x.dot(&with);
        if !quadratic.is_finite() {
            return Err(RidgeError::NotFinite { what: "rows of the bonus", row: self.seen });
        }
        self.sum.ger(1.0, &x, &x, 1.0);
        self.seen += 1;
        self.log_det += quadratic.max(0.0).ln_1p();
        match self.seen.is_multiple_of(REFRESH).then(|| Cholesky::new(self.sum.clone())).flatten() {
            Some(factor) => {
                self.log_det = 2.0 * factor.l_dirty().diagonal().iter().map(|v| v.ln()).sum::<f64>();
                self.inverse = factor.inverse();
            }
            None => self.inverse.ger(-1.0 / (1.0 + quadratic.max(0.0)), &with, &with, 1.0),
        }
        Ok(())
    }

    /// The bonus of a row.
    ///
    /// # Panics
    /// When the width differs.
    pub fn bonus(&self, x: ArrayView1<f64>) -> f64 {
        let x = self.row(x);
        self.factor * x.dot(&(&self.inverse * &x)).max(0.0).sqrt()
    }
}
