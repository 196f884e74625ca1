//! Gates that are exactly 0 or 1 and yet differentiable.

use crate::error::{ObjectiveError, positive};
use burn::tensor::{Tensor, activation::sigmoid};

/// The hard concrete distribution (Louizos et al. 2018): a relaxed coin with logit a, stretched beyond [0, 1] and clipped, so that both
/// ends have a probability of their own.
///
/// ```text
/// s = sigmoid((log u - log(1 - u) + a) / t)        m = min(1, max(0, s (zeta - gamma) + gamma))        u uniform
/// P(m = 0) = sigmoid(t log(-gamma / zeta) - a)     P(m > 0) = sigmoid(a - t log(-gamma / zeta))
/// ```
///
/// [`straight_through`](Self::straight_through) makes it binary: forward `1[m > 0.5]`, backward the gradient of m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardConcrete {
    temperature: f64,
    gamma: f64,
    zeta: f64,
}

impl Default for HardConcrete {
    /// Temperature 1, gamma -0.1, zeta 1.1.
    fn default() -> Self {
        Self { temperature: 1.0, gamma: -0.1, zeta: 1.1 }
    }
}

impl HardConcrete {
    /// With this temperature, and stretched to `(gamma, zeta)`.
    ///
    /// # Errors
    /// When the temperature is not above 0, gamma not below 0, or zeta below 1.
    pub fn new(temperature: f64, gamma: f64, zeta: f64) -> Result<Self, ObjectiveError> {
        let outside = |name, value, allowed| Err(ObjectiveError::Outside { name, value, allowed });
        if !(gamma.is_finite() && gamma < 0.0) {
            return outside("gamma", gamma, "the numbers below 0");
        }
        if !(zeta.is_finite() && zeta >= 1.0) {
            return outside("zeta", zeta, "the numbers from 1 on");
        }
        Ok(Self { temperature: positive("temperature", temperature)?, gamma, zeta })
    }

    /// m of logits and uniform numbers in (0, 1), of one shape; differentiable.
    pub fn draw<const D: usize>(&self, logits: Tensor<D>, uniform: Tensor<D>) -> Tensor<D> {
        let noise = uniform.clone().log() - (uniform * -1.0 + 1.0).log();
        self.stretched(sigmoid((logits + noise) * (1.0 / self.temperature)))
    }

    /// m without noise: `s = sigmoid(a)`.
    pub fn without_noise<const D: usize>(&self, logits: Tensor<D>) -> Tensor<D> {
        self.stretched(sigmoid(logits))
    }

    fn stretched<const D: usize>(&self, s: Tensor<D>) -> Tensor<D> {
        (s * (self.zeta - self.gamma) + self.gamma).clamp(0.0, 1.0)
    }

    /// The probability that a gate is not 0; differentiable.
    pub fn open<const D: usize>(&self, logits: Tensor<D>) -> Tensor<D> {
        sigmoid(logits - self.temperature * (-self.gamma / self.zeta).ln())
    }

    /// Forward `1[m > 0.5]`, backward m.
    pub fn straight_through<const D: usize>(m: Tensor<D>) -> Tensor<D> {
        let soft = m.clone().detach();
        let hard = soft.clone().greater_scalar(0.5).float().cast(soft.dtype());
        let hard = if m.is_autodiff() && !hard.is_autodiff() { Tensor::from_inner(hard) } else { hard };
        m + (hard - soft)
    }
}
