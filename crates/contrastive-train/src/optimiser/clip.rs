//! Gradients kept short.

use super::sgd::square_sum;
use crate::config::{Check, SettingError};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
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
    struct Sum<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Sum<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                let count = gradient.dims().iter().product::<usize>();
                self.1 += square_sum(&gradient.reshape([count]));
            }
        }
    }
    let mut sum = Sum(gradients, 0.0);
    module.visit(&mut sum);
    sum.1.sqrt()
}

/// Gradients after `change`, which sees each as a flat tensor.
fn each<M: Module>(module: &M, gradients: GradientsParams, change: &dyn Fn(Tensor<1>) -> Tensor<1>) -> GradientsParams {
    struct Each<'a>(GradientsParams, GradientsParams, &'a dyn Fn(Tensor<1>) -> Tensor<1>);
    impl ModuleVisitor for Each<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                let shape = gradient.dims();
                let flat = gradient.reshape([shape.iter().product::<usize>()]);
                self.1.register(param.id, (self.2)(flat).reshape(shape));
            }
        }
    }
    let mut each = Each(gradients, GradientsParams::new(), change);
    module.visit(&mut each);
    each.1
}
