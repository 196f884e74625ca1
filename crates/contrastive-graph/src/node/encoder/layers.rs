//! One layer of message passing: graph convolution, GraphSAGE, GIN.

use super::input::NodeInput;
use super::linear::{add_bias, propagate};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use contrastive_core::linear::SparseOperator;
use contrastive_core::settings::{Check, SettingError};
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_nn::{Pass, init};
use rand_chacha::ChaCha8Rng;

/// Checks the widths of a layer.
pub(super) fn widths(layer: &str, input: usize, output: usize) -> Result<(), SettingError> {
    let check = Check::new(layer);
    check.count("input", input)?;
    check.count("output", output)
}

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
    pub fn validate(&self) -> Result<(), SettingError> {
        widths("gcn", self.input, self.output)
    }

    /// The layer, Glorot-uniform weights and a bias of 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Gcn, SettingError> {
        self.validate()?;
        Ok(Gcn { map: LinearConfig::new(self.input, self.output).with_bias(self.bias).init(rng, device)? })
    }
}

/// Graph convolution `A X W + b` (Kipf and Welling, ICLR 2017), `A` as
/// [`gcn_normalised`](crate::node::augment::normalise::gcn_normalised) makes it.
#[derive(Module, Debug)]
pub struct Gcn {
    /// Weight `[input, output]` and the bias that follows the propagation.
    pub map: Linear,
}

impl Gcn {
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When a shape does not fit the weights or the operator.
    pub fn forward(&self, operator: &SparseOperator, input: &NodeInput) -> Tensor<2> {
        add_bias(propagate(&self.map, operator, input, None), &self.map.bias)
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
    pub fn validate(&self) -> Result<(), SettingError> {
        widths("graphsage", self.input, self.output)
    }

    /// The layer, Glorot-uniform weights and a bias of 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Sage, SettingError> {
        self.validate()?;
        let map = LinearConfig::new(self.input, self.output);
        let neighbours = map.clone().with_bias(self.bias).init(rng, device)?;
        Ok(Sage { neighbours, own: map.with_bias(false).init(rng, device)? })
    }
}

/// GraphSAGE with the mean: `M X W_neighbours + X W_own + b` (Hamilton, Ying and Leskovec, NeurIPS 2017), `M` as
/// [`row_normalised`](crate::node::augment::normalise::row_normalised) makes it.
#[derive(Module, Debug)]
pub struct Sage {
    /// What the mean of the neighbours meets, and the bias.
    pub neighbours: Linear,
    /// What the node itself meets.
    pub own: Linear,
}

impl Sage {
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When a shape does not fit the weights or the operator.
    pub fn forward(&self, operator: &SparseOperator, input: &NodeInput) -> Tensor<2> {
        let sum = propagate(&self.neighbours, operator, input, None) + input.mapped(&self.own);
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
    pub fn validate(&self) -> Result<(), SettingError> {
        Check::new("gin").finite("epsilon", self.epsilon)?;
        self.network.validate()
    }

    /// The layer.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Gin, SettingError> {
        self.validate()?;
        let weight = init::constant(1.0 + self.epsilon, [1], device);
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
        let first = &self.network.maps[0];
        let sum = propagate(first, operator, input, Some(self.own.val()));
        self.network.after_first(add_bias(sum, &first.bias), &mut Pass::evaluation())
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
