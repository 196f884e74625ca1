//! The bonus of unexplored directions, from `sum x x' + lambda 1`.

use nalgebra::{Cholesky, DMatrix, DVector};
use ndarray::ArrayView1;
use thiserror::Error;

/// Why there is no bonus.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum BonusError {
    /// A width or factor outside its range.
    #[error("{name} {value}: it must be a finite number {allowed}")]
    Setting {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// An entry that is NaN or infinite.
    #[error("{what}, row {row}: an entry is not finite")]
    NotFinite {
        /// Which table.
        what: &'static str,
        /// Where.
        row: usize,
    },
}

fn setting(name: &'static str, value: f64, good: bool, allowed: &'static str) -> Result<f64, BonusError> {
    if value.is_finite() && good { Ok(value) } else { Err(BonusError::Setting { name, value, allowed }) }
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
    pub fn new(width: usize, lambda: f64, factor: f64) -> Result<Self, BonusError> {
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
    pub fn observe(&mut self, x: ArrayView1<f64>) -> Result<(), BonusError> {
        let x = self.row(x);
        let with = &self.inverse * &x;
        let quadratic = x.dot(&with);
        if !quadratic.is_finite() {
            return Err(BonusError::NotFinite { what: "rows of the bonus", row: self.seen });
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
