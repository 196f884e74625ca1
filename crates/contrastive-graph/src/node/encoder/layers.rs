//! One layer of message passing: graph convolution, GraphSAGE, GIN.

use super::error::{Check, EncoderError};
use super::input::NodeInput;
use super::linear::{LinearMap, add_bias, constant};
use super::mlp::{Mlp, MlpConfig};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use contrastive_core::linear::SparseOperator;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Gcn`].
#[derive(Config, Debug, PartialEq)]
pub struct GcnConfig {
    /// Width of the input.
    pub input: usize,
    /// Width of the output.
    pub output: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
}

impl GcnConfig {
    /// Checks the widths.
    ///
    /// # Errors
    /// When one is 0.
    pub fn validate(&self) -> Result<(), EncoderError> {
        Check("gcn").widths(self.input, self.output)
    }

    /// The layer, Glorot-uniform weights and a bias of 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Gcn, EncoderError> {
        self.validate()?;
        Ok(Gcn { map: LinearMap::new(self.input, self.output, self.bias, rng, device) })
    }
}

/// Graph convolution `A X W + b` (Kipf and Welling, ICLR 2017), `A` as
/// [`gcn_normalised`](crate::node::augment::normalise::gcn_normalised) makes it.
#[derive(Module, Debug)]
pub struct Gcn {
    /// Weight `[input, output]` and the bias that follows the propagation.
    pub map: LinearMap,
}

impl Gcn {
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When a shape does not fit the weights or the operator.
    pub fn forward(&self, operator: &SparseOperator, input: &NodeInput) -> Tensor<2> {
        add_bias(self.map.propagate(operator, input, None), &self.map.bias)
    }
}

/// Settings of [`Sage`].
#[derive(Config, Debug, PartialEq)]
pub struct SageConfig {
    /// Width of the input.
    pub input: usize,
    /// Width of the output.
    pub output: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
}

impl SageConfig {
    /// Checks the widths.
    ///
    /// # Errors
    /// When one is 0.
    pub fn validate(&self) -> Result<(), EncoderError> {
        Check("graphsage").widths(self.input, self.output)
    }

    /// The layer, Glorot-uniform weights and a bias of 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Sage, EncoderError> {
        self.validate()?;
        let neighbours = LinearMap::new(self.input, self.output, self.bias, rng, device);
        Ok(Sage { neighbours, own: LinearMap::new(self.input, self.output, false, rng, device) })
    }
}

/// GraphSAGE with the mean: `M X W_neighbours + X W_own + b` (Hamilton, Ying and Leskovec, NeurIPS 2017), `M` as
/// [`row_normalised`](crate::node::augment::normalise::row_normalised) makes it.
#[derive(Module, Debug)]
pub struct Sage {
    /// What the mean of the neighbours meets, and the bias.
    pub neighbours: LinearMap,
    /// What the node itself meets.
    pub own: LinearMap,
}

impl Sage {
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When a shape does not fit the weights or the operator.
    pub fn forward(&self, operator: &SparseOperator, input: &NodeInput) -> Tensor<2> {
        let sum = self.neighbours.propagate(operator, input, None) + self.own.forward(input);
        add_bias(sum, &self.neighbours.bias)
    }
}

/// Settings of [`Gin`].
#[derive(Config, Debug, PartialEq)]
pub struct GinConfig {
    /// The network behind the sum.
    pub network: MlpConfig,
    /// Extra weight of the node itself, at the start.
    #[config(default = 0.0)]
    pub epsilon: f64,
    /// Whether that weight is trained.
    #[config(default = false)]
    pub train_epsilon: bool,
}

impl GinConfig {
    /// Checks the network and epsilon.
    ///
    /// # Errors
    /// When the network's settings are wrong or epsilon is not finite.
    pub fn validate(&self) -> Result<(), EncoderError> {
        Check("gin").finite("epsilon", self.epsilon)?;
        self.network.validate()
    }

    /// The layer.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Gin, EncoderError> {
        self.validate()?;
        let weight = constant((1.0 + self.epsilon) as f32, 1, device);
        let own = if self.train_epsilon { weight } else { weight.no_grad() };
        Ok(Gin { network: self.network.init(rng, device)?, own })
    }
}

/// Graph isomorphism network: `mlp((1 + epsilon) X + A X)` (Xu et al., ICLR 2019), `A` the adjacency as it is.
///
/// The first linear map of the network is taken before the sum where that is narrower, or the features are sparse.
#[derive(Module, Debug)]
pub struct Gin {
    /// The network behind the sum.
    pub network: Mlp,
    /// `1 + epsilon`, `[1]`.
    pub own: Param<Tensor<1>>,
}

impl Gin {
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When a shape does not fit the weights or the operator.
    pub fn forward(&self, operator: &SparseOperator, input: &NodeInput) -> Tensor<2> {
        self.forward_with(operator, input, None)
    }

    pub(super) fn forward_with(
        &self,
        operator: &SparseOperator,
        input: &NodeInput,
        rng: Option<&mut ChaCha8Rng>,
    ) -> Tensor<2> {
        let first = &self.network.maps[0];
        let sum = first.propagate(operator, input, Some(self.own.val()));
        self.network.after_first(add_bias(sum, &first.bias), rng)
    }
}

/// LightGCN's propagation (He et al., SIGIR 2020): the mean of `x, A x, ..., A^layers x`, without weights. No layer is kept.
///
/// # Shapes
/// - x, output: `[nodes, width]`
///
/// # Panics
/// When the operator is not square with a row for each node.
pub fn light_propagation(operator: &SparseOperator, x: Tensor<2>, layers: usize) -> Tensor<2> {
    let mut sum = x.clone();
    for _ in 0..layers {
        sum = operator.apply_add(sum, x.clone());
    }
    sum * (1.0 / (layers + 1) as f64)
}
