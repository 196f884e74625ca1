//! Gradients kept short.

use super::sgd::square_sum;
use crate::config::{Check, SettingError};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use contrastive_core::modules::each_float;
use serde::{Deserialize, Serialize};

/// How gradients are shortened before a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clipping {
    /// All gradients together: multiplied with `min(1, limit / (norm + 1e-6))`, the norm that of all of them.
    Norm(f64),
    /// Each value: to at most the limit, up and down.
    Value(f64),
}

impl Clipping {
    /// Checks the limit.
    ///
    /// # Errors
    /// [`SettingError`] when it is not a finite number above 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        let (Self::Norm(limit) | Self::Value(limit)) = self;
        Check::new("clipping").positive("limit", *limit)
    }

    /// The clipped gradients of a module.
    pub fn apply<M: Module>(&self, module: &M, gradients: GradientsParams) -> GradientsParams {
        match *self {
            Self::Norm(limit) => {
                let factor = (limit / (gradient_norm(module, &gradients) + 1e-6)).min(1.0);
                match factor {
                    1.0 => gradients,
                    _ => each(module, gradients, &|gradient| gradient * factor),
                }
            }
            Self::Value(limit) => each(module, gradients, &|gradient| gradient.clamp(-limit, limit)),
        }
    }
}

/// The Euclidean norm of all gradients of a module together.
pub fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut sum = 0.0;
    each_float(module, |float| sum += float.gradient(gradients).map_or(0.0, |gradient| square_sum(&gradient)));
    sum.sqrt()
}

/// Gradients after `change`, which sees each as a flat tensor.
fn each<M: Module>(
    module: &M,
    mut gradients: GradientsParams,
    change: &dyn Fn(Tensor<1>) -> Tensor<1>,
) -> GradientsParams {
    let mut changed = GradientsParams::new();
    each_float(module, |float| {
        if let Some(gradient) = float.take_gradient(&mut gradients) {
            float.set_gradient(&mut changed, change(gradient));
        }
    });
    changed
}
