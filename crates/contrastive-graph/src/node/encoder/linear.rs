//! Weights: how they start, and how they meet an input and a graph.

use super::input::{NodeFeatures, NodeInput};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::linear::SparseOperator;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How the weights of an [`Mlp`](super::Mlp) start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Initial {
    /// Uniform within `sqrt(6 / (input + output))` of 0 (Glorot and Bengio, 2010), biases 0.
    #[default]
    Glorot,
    /// Weights and biases uniform within `1 / sqrt(input)` of 0, as a linear layer of PyTorch starts. Where inputs are small, the
    /// biases make all outputs nearly the same at first.
    FanIn,
}

/// Numbers drawn uniformly from `-bound..bound`.
fn uniform<const D: usize>(shape: [usize; D], bound: f64, rng: &mut ChaCha8Rng, device: &Device) -> Param<Tensor<D>> {
    let count = shape.iter().product();
    let draws: Vec<f32> = (0..count).map(|_| ((2.0 * rng.random::<f64>() - 1.0) * bound) as f32).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(draws, shape), device))
}

/// Numbers drawn uniformly from `-bound..bound` with `bound = sqrt(6 / (input + output))` (Glorot and Bengio, 2010).
pub(super) fn glorot(
    shape: [usize; 2],
    [input, output]: [usize; 2],
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Param<Tensor<2>> {
    uniform(shape, (6.0 / (input + output) as f64).sqrt(), rng, device)
}

/// A list of one value.
pub(super) fn constant(value: f32, count: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(vec![value; count], [count]), device))
}

/// `x + b` in every row.
pub(super) fn add_bias(x: Tensor<2>, bias: &Option<Param<Tensor<1>>>) -> Tensor<2> {
    match bias {
        Some(bias) => x + bias.val().unsqueeze::<2>(),
        None => x,
    }
}

/// Each number set to 0 with this probability, the others scaled up by `1 / (1 - probability)`; nothing without a generator.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, probability: f64, rng: Option<&mut ChaCha8Rng>) -> Tensor<D> {
    let Some(rng) = rng.filter(|_| probability > 0.0) else { return x };
    let kept = (1.0 / (1.0 - probability)) as f32;
    let shape = x.shape();
    let draw = |_| if rng.random::<f64>() < probability { 0.0 } else { kept };
    let factors: Vec<f32> = (0..shape.num_elements()).map(draw).collect();
    x.clone() * Tensor::from_data(TensorData::new(factors, shape), (&x.device(), x.dtype()))
}

/// `X W + b`.
#[derive(Module, Debug)]
pub struct LinearMap {
    /// `[input, output]`.
    pub weight: Param<Tensor<2>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl LinearMap {
    /// Glorot-uniform weights, a bias of 0.
    pub fn new(input: usize, output: usize, bias: bool, rng: &mut ChaCha8Rng, device: &Device) -> Self {
        let weight = glorot([input, output], [input, output], rng, device);
        Self { weight, bias: bias.then(|| constant(0.0, output, device)) }
    }

    /// Weights and a bias uniform within `1 / sqrt(input)` of 0.
    pub fn fan_in(input: usize, output: usize, bias: bool, rng: &mut ChaCha8Rng, device: &Device) -> Self {
        let bound = 1.0 / (input as f64).sqrt();
        let weight = uniform([input, output], bound, rng, device);
        Self { weight, bias: bias.then(|| uniform([output], bound, rng, device)) }
    }

    /// `[input, output]`.
    pub fn shape(&self) -> [usize; 2] {
        self.weight.val().dims()
    }

    /// `X W + b`.
    ///
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When the input has another width.
    pub fn forward(&self, input: &NodeInput) -> Tensor<2> {
        add_bias(self.multiply(input), &self.bias)
    }

    /// `X W`.
    pub(super) fn multiply(&self, input: &NodeInput) -> Tensor<2> {
        input.multiply(self.weight.val())
    }

    /// `A X W + r X W` for given A and `r: [1]` (0 where absent), in the order that multiplies the graph with the narrower
    /// table: `A (X W)` or `(A X) W`. Sparse features are mapped first.
    pub(super) fn propagate(&self, operator: &SparseOperator, input: &NodeInput, root: Option<Tensor<1>>) -> Tensor<2> {
        let step = |x: Tensor<2>| match &root {
            None => operator.apply(x),
            Some(root) => operator.apply_add(x.clone(), x * root.clone().unsqueeze::<2>()),
        };
        let [wide, narrow] = self.shape();
        match input.features() {
            NodeFeatures::Dense(x) if wide < narrow => self.multiply(&input.replaced(step(x.clone()))),
            _ => step(self.multiply(input)),
        }
    }
}
