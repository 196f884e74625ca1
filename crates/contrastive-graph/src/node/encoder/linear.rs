//! How weights meet an input and a graph.

use super::input::{NodeFeatures, NodeInput};
use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::linear::SparseOperator;
use contrastive_nn::layer::Linear;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

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

/// `A X W + r X W` of a map for given A and `r: [1]` (0 where absent), in the order that multiplies the graph with the narrower
/// table: `A (X W)` or `(A X) W`. Sparse features are mapped first.
pub(super) fn propagate(
    map: &Linear,
    operator: &SparseOperator,
    input: &NodeInput,
    root: Option<Tensor<1>>,
) -> Tensor<2> {
    let step = |x: Tensor<2>| match &root {
        None => operator.apply(x),
        Some(root) => operator.apply_add(x.clone(), x * root.clone().unsqueeze::<2>()),
    };
    let [wide, narrow] = map.shape();
    match input.features() {
        NodeFeatures::Dense(x) if wide < narrow => input.replaced(step(x.clone())).multiply(map.weight.val()),
        _ => step(input.multiply(map.weight.val())),
    }
}
