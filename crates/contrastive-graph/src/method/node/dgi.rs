//! Deep Graph Infomax (Veličković et al., ICLR 2019): a node goes with the summary of its graph, a node with foreign features does
//! not.

use super::whole::{Trained, WholeGraph};
use crate::data::shuffle;
use crate::encoder::{Activation, Encoder, EncoderConfig, LayerKind, LinearMap};
use crate::method::MethodError;
use crate::method::error::Check;
use crate::node::Graph;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of DGI.
#[derive(Config, Debug, PartialEq)]
pub struct DgiConfig {
    /// Width of the embeddings.
    #[config(default = 512)]
    pub dim: usize,
    /// The layer of the encoder.
    #[config(default = "LayerKind::Gcn")]
    pub layer: LayerKind,
    /// Learning rate of Adam.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Seed of the weights and of the permutations.
    #[config(default = 42)]
    pub seed: u64,
}

/// Encoder and discriminator.
#[derive(Module, Debug)]
pub struct DgiModel {
    /// One layer with [`Activation::PRelu`].
    pub encoder: Encoder,
    /// The bilinear form between a node and the summary, `[dim, dim]`.
    pub discriminator: LinearMap,
}

impl DgiModel {
    /// The binary cross-entropy that tells the nodes `[n, dim]` of the graph from corrupted ones `[n, dim]`, by `h W s` with the
    /// summary `s = sigmoid(mean h)` of the graph (equations 1 to 5 of the paper); `[1]`. Up to sign and a constant this is the
    /// Jensen-Shannon estimate of the mutual information.
    ///
    /// # Panics
    /// When the widths are not those of the discriminator.
    pub fn loss(&self, nodes: Tensor<2>, corrupted: Tensor<2>) -> Tensor<1> {
        let summary = sigmoid(nodes.clone().mean_dim(0));
        let weights = summary.matmul(self.discriminator.weight.val().transpose()).transpose();
        let belongs = log_sigmoid(nodes.matmul(weights.clone())).mean();
        let foreign = log_sigmoid(corrupted.matmul(weights) * -1.0).mean();
        (belongs + foreign) * -0.5
    }
}

/// A training of DGI on a whole graph.
pub struct Dgi {
    trained: Trained<DgiModel>,
    graph: WholeGraph,
    order: Vec<u32>,
    rng: ChaCha8Rng,
}

impl DgiConfig {
    fn encoder(&self, features: usize) -> EncoderConfig {
        EncoderConfig::new(vec![features, self.dim]).with_layer(self.layer).with_activation(Activation::PRelu)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    pub fn validate(&self) -> Result<(), MethodError> {
        let check = Check("dgi");
        check.count("dim", self.dim)?;
        check.positive("learning_rate", self.learning_rate)?;
        Ok(self.encoder(1).validate()?)
    }

    /// A training on the graph.
    ///
    /// # Errors
    /// When a setting is out of its range, or the graph has no features.
    pub fn build(&self, graph: &Graph, device: &Device) -> Result<Dgi, MethodError> {
        self.validate()?;
        let device = device.clone().autodiff();
        let features = graph.require_features()?.num_features();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let encoder = self.encoder(features).init(&mut rng, &device)?;
        let discriminator = LinearMap::new(self.dim, self.dim, false, &mut rng, &device);
        Ok(Dgi {
            trained: Trained::new(DgiModel { encoder, discriminator }, self.learning_rate),
            graph: WholeGraph::new(graph, self.layer, &device)?,
            order: (0..graph.num_nodes() as u32).collect(),
            rng,
        })
    }
}

impl Dgi {
    /// One step on the whole graph against a new permutation of the features among the nodes; the loss before it.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`](contrastive_train::TrainError::NonFinite).
    pub fn step(&mut self) -> Result<f64, MethodError> {
        shuffle(&mut self.rng, &mut self.order);
        let model = &self.trained.model;
        let corrupted = self.graph.permuted(&self.order, &model.encoder);
        let loss = model.loss(self.graph.forward(&model.encoder), corrupted);
        Ok(self.trained.descend([("discrimination", loss)])?[0])
    }

    /// Encoder and discriminator as they are.
    pub fn model(&self) -> &DgiModel {
        &self.trained.model
    }

    /// The embeddings, `[nodes, dim]`.
    pub fn embed(&self) -> Array2<f32> {
        self.graph.embed(&self.trained.model.encoder)
    }
}
