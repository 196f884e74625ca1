//! Barlow Twins: the cross-correlation of two views becomes the identity.

use super::moments::{centred, diagonal, off_diagonal_squares};
use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::{check_types, computed};
use burn::tensor::Tensor;

/// Barlow Twins (Zbontar et al. 2021, equations 1 and 2): of two views, each column standardised over the batch,
///
/// ```text
/// C = A' B / n        loss = scale (sum_k (1 - C_kk)^2 + lambda sum_{k != l} C_kl^2)
/// ```
///
/// A column is divided by `sqrt(variance + epsilon)`, with the variance of 1 / n: a batch norm without parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct BarlowTwins {
    pub(crate) lambda: f64,
    pub(crate) scale: f64,
    pub(crate) epsilon: f64,
}

impl BarlowTwins {
    /// With this weight of the entries beside the diagonal (paper: 0.005), scale 1 and epsilon 1e-5.
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn new(lambda: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { lambda: not_negative("weight of the off-diagonal", lambda)?, scale: 1.0, epsilon: 1e-5 })
    }

    /// A factor of the whole loss (released code: 0.024, as its optimiser is not indifferent to it).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_scale(mut self, scale: f64) -> Result<Self, ObjectiveError> {
        self.scale = positive("scale of the loss", scale)?;
        Ok(self)
    }

    /// What is added to the variances.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_epsilon(mut self, epsilon: f64) -> Result<Self, ObjectiveError> {
        self.epsilon = positive("epsilon of the variances", epsilon)?;
        Ok(self)
    }

    /// Views `[n, d]` of the same n samples; the value is `[1]`. With fewer rows than columns no d x d matrix is made. A column
    /// without variance, as all of one row are, correlates with nothing: it costs 1 and has no gradient.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
        let [n, d] = a.dims();
        assert_eq!([n, d], b.dims(), "the shapes of two views");
        check_types(&[("the first view", a.dtype()), ("the second view", b.dtype())]);
        assert!(n > 0 && d > 0, "Barlow Twins of views [{n}, {d}]");
        let [a, b] = [a, b].map(computed);
        let share = 1.0 / n as f64;
        let standard = |x: Tensor<2>| {
            let x = centred(x);
            let variance = diagonal(&x, &x) * share;
            x / (variance + self.epsilon).sqrt()
        };
        let (a, b) = (standard(a), standard(b));
        let miss = diagonal(&a, &b) * -share + 1.0;
        let off = off_diagonal_squares(&a, &b) * (self.lambda * share * share);
        ((miss.clone() * miss).sum() + off) * self.scale
    }
}
