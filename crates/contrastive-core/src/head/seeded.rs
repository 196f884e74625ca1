//! First weights from an explicit seed.

use burn::module::{Param, RunningState};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use contrastive_kernels::scalar::standard_normal;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws parameters one after the other.
pub(crate) struct Seeded {
    rng: ChaCha8Rng,
    on: TensorCreationOptions,
}

impl Seeded {
    pub fn new(seed: u64, on: impl Into<TensorCreationOptions>) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), on: on.into() }
    }

    fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), self.on.clone())
    }

    fn constant(&self, value: f64, width: usize) -> Tensor<1> {
        self.tensor(vec![value; width], [width])
    }

    /// Uniform in `[-bound, bound]`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Tensor<D> {
        let values = (0..shape.iter().product()).map(|_| (2.0 * self.rng.random::<f64>() - 1.0) * bound).collect();
        self.tensor(values, shape)
    }

    /// Normal with mean 0.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], deviation: f64) -> Tensor<D> {
        let count = shape.iter().product();
        let values = (0..count).map(|_| standard_normal(&mut self.rng) * deviation).collect();
        self.tensor(values, shape)
    }

    /// A linear map with weights and bias uniform in `[-1, 1] / sqrt(inputs)`.
    pub fn linear(&mut self, from: usize, to: usize, bias: bool) -> Linear {
        let bound = 1.0 / (from as f64).sqrt();
        let weight = Param::from_tensor(self.uniform([from, to], bound));
        Linear { weight, bias: bias.then(|| Param::from_tensor(self.uniform([to], bound))) }
    }

    /// A linear map with normal weights and a bias of zeros.
    pub fn normal_linear(&mut self, from: usize, to: usize, deviation: f64) -> Linear {
        let weight = Param::from_tensor(self.normal([from, to], deviation));
        Linear { weight, bias: Some(Param::from_tensor(self.constant(0.0, to))) }
    }

    /// A batch norm of epsilon 1e-5 and momentum 0.1; without `affine` its scale and shift stay 1 and 0.
    pub fn batch_norm(&self, width: usize, affine: bool) -> BatchNorm {
        let running = |value| RunningState::new(self.constant(value, width));
        BatchNorm {
            gamma: Param::from_tensor(self.constant(1.0, width)).set_require_grad(affine),
            beta: Param::from_tensor(self.constant(0.0, width)).set_require_grad(affine),
            training: Param::from_bool(true),
            running_mean: running(0.0),
            running_var: running(1.0),
            momentum: 0.1,
            epsilon: 1e-5,
        }
    }
}
