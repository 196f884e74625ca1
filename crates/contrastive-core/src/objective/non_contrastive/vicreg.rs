//! VICReg: variance, invariance, covariance.

use super::moments::{centred, diagonal, off_diagonal_squares};
use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::{check_types, computed};
use burn::tensor::{Tensor, activation::relu};

/// How the variance terms of the two views become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// Their mean: the authors' code.
    #[default]
    Mean,
    /// Their sum: the paper's equation 6, and other frameworks.
    Sum,
}

/// VICReg (Bardes et al. 2022, equation 6): of two views A and B,
///
/// ```text
/// loss = lambda mean (A - B)^2 + mu (v(A) + v(B)) + nu (c(A) + c(B))
/// v = mean_k max(0, 1 - sqrt(var_k + epsilon))        c = sum_{k != l} cov_kl^2 / d
/// ```
///
/// with variances and covariances of 1 / (n - 1). [`Variance::Mean`] halves `v(A) + v(B)`.
#[derive(Clone, Debug, PartialEq)]
pub struct VicReg {
    pub(crate) invariance: f64,
    pub(crate) variance: f64,
    pub(crate) covariance: f64,
    pub(crate) form: Variance,
    pub(crate) epsilon: f64,
}

impl Default for VicReg {
    /// The paper's weights 25, 25 and 1, the authors' form, epsilon 1e-4.
    fn default() -> Self {
        Self { invariance: 25.0, variance: 25.0, covariance: 1.0, form: Variance::Mean, epsilon: 1e-4 }
    }
}

impl VicReg {
    /// With these weights lambda, mu and nu of invariance, variance and covariance.
    ///
    /// # Errors
    /// When one is negative, infinite or NaN.
    pub fn new(invariance: f64, variance: f64, covariance: f64) -> Result<Self, ObjectiveError> {
        Ok(Self {
            invariance: not_negative("weight of the invariance", invariance)?,
            variance: not_negative("weight of the variance", variance)?,
            covariance: not_negative("weight of the covariance", covariance)?,
            ..Self::default()
        })
    }

    /// The mean or the sum of the two variance terms.
    pub fn with_variance(mut self, form: Variance) -> Self {
        self.form = form;
        self
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
    /// without variance has the largest hinge, and no gradient from it.
    ///
    /// # Panics
    /// When the shapes differ, or there are fewer than two rows.
    pub fn loss(&self, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
        let [n, d] = a.dims();
        assert_eq!([n, d], b.dims(), "the shapes of two views");
        check_types(&[("the first view", a.dtype()), ("the second view", b.dtype())]);
        assert!(n > 1 && d > 0, "VICReg of views [{n}, {d}]: two rows at least");
        let [a, b] = [a, b].map(computed);
        let difference = a.clone() - b.clone();
        let invariance = (difference.clone() * difference).sum() * (self.invariance / (n * d) as f64);
        let share = 1.0 / (n - 1) as f64;
        let variance_share = if self.form == Variance::Mean { 0.5 } else { 1.0 } * self.variance / d as f64;
        let covariance_share = self.covariance * share * share / d as f64;
        let spread = |x: Tensor<2>| {
            let x = centred(x);
            let deviation = (diagonal(&x, &x) * share + self.epsilon).sqrt();
            relu(deviation * -1.0 + 1.0).sum() * variance_share + off_diagonal_squares(&x, &x) * covariance_share
        };
        invariance + spread(a) + spread(b)
    }
}
