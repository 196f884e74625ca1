//! Derivatives of a module's output along a direction of its parameters.

use super::{has_f64, tracked, values};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor};
use contrastive_train::{Method, Step};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;

/// Every parameter in f64, `step` along a direction drawn anew from the same seed, from a point off the kinks: where biases
/// are 0, so are the logits of nodes whose hidden numbers are all cut off. What is not trained stays at that point.
pub struct Moved(pub ChaCha8Rng, pub f64);

impl ModuleMapper for Moved {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (old, trained) = (values(&param.val()), param.val().is_require_grad());
        let far = if trained { 0.2 + self.1 } else { 0.2 };
        let new: Vec<f64> = old.iter().map(|v| v + far * self.0.random_range(-1.0..1.0)).collect();
        let (count, shape) = (new.len(), param.val().shape());
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

/// Compares the gradient of the losses of a method's first batch, along a direction of all parameters, with their slope over 1e-7: so short a
/// way that of thousands of rectifiers hardly one has its kink on it.
#[track_caller]
pub fn losses_have_their_slope<M: Method>(mut method: M, model: &M::Model, tolerance: f64) {
    if !has_f64() {
        return;
    }
    let rng = || ChaCha8Rng::seed_from_u64(5);
    let steps = method.begin_epoch(1, rng()).unwrap();
    let step = Step { epoch: 1, in_epoch: 0, global: 0, steps, batch: 0, sub_step: 0, seed: 7, rank: 0, world: 1 };
    let batch = method.batch(step).unwrap();
    let method = RefCell::new(method);
    let loss = |h: f64| {
        let moved = model.clone().map(&mut Moved(rng(), h));
        let losses = method.borrow_mut().losses(&moved, &batch, step).unwrap();
        (losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).unwrap(), moved)
    };
    let (total, moved) = loss(0.0);
    let gradients = total.backward();
    let mut along = Along(rng(), &gradients, 0.0);
    moved.visit(&mut along);
    let found = slope(|h| values(&loss(h).0)[0], 1e-7);
    assert!(
        (along.2 - found).abs() < tolerance * (1.0 + found.abs()),
        "gradients say {}, differences {found}",
        along.2
    );
}
