//! Derivatives of a module's output along a direction of its parameters.

use super::{tracked, values};
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Every parameter in f64, `step` along a direction drawn anew from the same seed, from a point off the kinks: where biases
/// are 0, so are the logits of nodes whose hidden numbers are all cut off.
pub struct Moved(pub ChaCha8Rng, pub f64);

impl ModuleMapper for Moved {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let old = values(&param.val());
        let new: Vec<f64> = old.iter().map(|v| v + (0.2 + self.1) * self.0.random_range(-1.0..1.0)).collect();
        let (count, shape) = (new.len(), param.val().shape());
        let trained = param.val().is_require_grad();
        let new = tracked(new, [1, count], DType::F64).reshape::<D, _>(shape).detach();
        Param::from_tensor(new).set_require_grad(trained)
    }
}

/// The inner product of all gradients with that direction.
pub struct Along<'a>(pub ChaCha8Rng, pub &'a Gradients, pub f64);

impl ModuleVisitor for Along<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let count = param.val().shape().num_elements();
        let gradient = param.val().grad(self.1).map_or(vec![0.0; count], |g| values(&g));
        self.2 += gradient.iter().map(|g| g * self.0.random_range(-1.0..1.0)).sum::<f64>();
    }
}

/// The derivative of a function at 0, by differences of five points `h` apart: an error of the order of `h^4`.
pub fn slope(at: impl Fn(f64) -> f64, h: f64) -> f64 {
    (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
}
