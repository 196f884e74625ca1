//! Deep Graph Infomax (Veličković et al., ICLR 2019): a node goes with the summary of its graph, a node with foreign features does
//! not.

use super::settings::{full_batch, parameter_rng};
use super::{NodeData, NodeMethod, NodeMethodConfig, NodeTraining};
use crate::MethodError;
use crate::draw::shuffle;
use crate::node::data::Graph;
use crate::node::encoder::{Encoder, EncoderConfig, LayerKind};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::{logistic, softplus};
use contrastive_nn::layer::{Activation, Linear, LinearConfig};
use contrastive_train::{Check, TrainingConfig};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Dgi`]; the defaults are those of the released code.
#[derive(Config, Debug, PartialEq)]
pub struct DgiConfig {
    /// Width of the embeddings.
    #[config(default = 512)]
    pub dim: usize,
    /// The layer of the encoder.
    #[config(default = "LayerKind::Gcn")]
    pub layer: LayerKind,
    /// Whether feature rows are divided by their sum first.
    #[config(default = true)]
    pub normalise_features: bool,
    /// Epochs, rate and coupled decay of Adam. The publication stops when the loss did not fall for 20 epochs instead.
    #[config(default = "full_batch(300, 1e-3, 0.0)")]
    pub training: TrainingConfig,
}

/// Encoder and discriminator.
#[derive(Module, Debug)]
pub struct DgiModel {
    /// One layer with [`Activation::PRelu`].
    pub encoder: Encoder,
    /// The bilinear form between a node and the summary, `[dim, dim]`.
    pub discriminator: Linear,
}

impl DgiModel {
    /// The binary cross-entropy that tells the nodes `[n, dim]` of the graph from corrupted ones `[n, dim]`, by `h W s` with the
    /// summary `s = sigmoid(mean h)` of the graph (equations 1 to 5 of the paper); `[1]`. Up to sign and a constant this is the
    /// Jensen-Shannon estimate of the mutual information.
    ///
    /// # Panics
    /// When the widths are not those of the discriminator.
    pub fn loss(&self, nodes: Tensor<2>, corrupted: Tensor<2>) -> Tensor<1> {
        let summary = logistic(nodes.clone().mean_dim(0));
        let weights = summary.matmul(self.discriminator.weight.val().transpose()).transpose();
        let belongs = softplus(nodes.matmul(weights.clone()) * -1.0).mean();
        let foreign = softplus(corrupted.matmul(weights)).mean();
        (belongs + foreign) * 0.5
    }
}

impl DgiConfig {
    fn encoder(&self, features: usize) -> EncoderConfig {
        EncoderConfig::new(vec![features, self.dim]).with_layer(self.layer).with_activation(Activation::PRelu)
    }
}

impl NodeMethodConfig for DgiConfig {
    type Method = Dgi;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("dgi");
        check.count("dim", self.dim)?;
        self.encoder(1).validate()?;
        Ok(self.training.validate()?)
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Dgi>, MethodError> {
        self.validate()?;
        let data = NodeData::new("dgi", graph, self.normalise_features, self.layer, device)?;
        let (mut rng, device) = (parameter_rng(seed), device.clone().autodiff());
        let encoder = self.encoder(data.num_features()).init(&mut rng, &device)?;
        let discriminator = LinearConfig::new(self.dim, self.dim).with_bias(false).init(&mut rng, &device)?;
        NodeTraining::new(Dgi { data }, DgiModel { encoder, discriminator }, &self.training, self, seed)
    }
}

/// DGI: every epoch deals the features out among the nodes anew, and tells these nodes from the true ones by [`DgiModel::loss`].
#[derive(Clone, Debug)]
pub struct Dgi {
    data: NodeData,
}

impl NodeMethod for Dgi {
    type Model = DgiModel;
    type Encoded = [Tensor<2>; 2];

    fn name(&self) -> &'static str {
        "dgi"
    }

    fn data(&self) -> serde_json::Value {
        self.data.summary().clone()
    }

    fn encode(&self, model: &DgiModel, _step: usize, rng: &mut ChaCha8Rng) -> Result<[Tensor<2>; 2], MethodError> {
        let mut order: Vec<u32> = (0..self.data.num_nodes() as u32).collect();
        shuffle(rng, &mut order);
        let foreign = self.data.input_of(&order);
        Ok([self.data.embed(&model.encoder), self.data.forward(&model.encoder, &foreign)])
    }

    fn losses(
        &self,
        model: &DgiModel,
        [nodes, corrupted]: [Tensor<2>; 2],
        _epoch: usize,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        Ok(vec![("discrimination", model.loss(nodes, corrupted))])
    }

    fn embed(&self, model: &DgiModel) -> Tensor<2> {
        self.data.embed(&model.encoder)
    }
}
