//! An auto-encoder of node features: where methods of deep clustering start from.

use super::data::{input, select, summary};
use super::{NodeMethod, NodeMethodConfig, NodeTraining};
use crate::MethodError;
use crate::draw::shuffle;
use crate::node::data::{Features, Graph};
use crate::node::encoder::NodeInput;
use crate::parts::to_tensor;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_train::{Budget, Check, TrainingConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of [`Reconstruction`], the training of an [`AutoEncoder`]. It takes the features alone: edges play no part.
#[derive(Config, Debug, PartialEq)]
pub struct AutoEncoderConfig {
    /// Widths of the hidden layers of the encoder; the decoder has them in reverse.
    #[config(default = "vec![500, 500, 2000]")]
    pub hidden: Vec<usize>,
    /// Width of the code.
    #[config(default = 10)]
    pub dim: usize,
    /// Passes over the nodes, nodes in a batch, and rate of Adam.
    #[config(default = "TrainingConfig::new(Budget::Epochs(30), 256, 1e-3)")]
    pub training: TrainingConfig,
}

/// Two networks, from features to a code and back.
#[derive(Module, Debug)]
pub struct AutoEncoder {
    /// `[features, hidden.., dim]`.
    pub encoder: Mlp,
    /// `[dim, .. hidden, features]`.
    pub decoder: Mlp,
}

impl AutoEncoder {
    /// The features `[nodes, features]` that come back.
    ///
    /// # Panics
    /// When the width of the input does not fit.
    pub fn reconstruct(&self, input: &NodeInput) -> Tensor<2> {
        let mut pass = Pass::evaluation();
        self.decoder.forward(input.through(&self.encoder, &mut pass), &mut pass)
    }
}

impl AutoEncoderConfig {
    /// The networks, not yet trained.
    ///
    /// # Errors
    /// As [`validate`](NodeMethodConfig::validate), and when there are no features.
    pub fn init(&self, features: usize, seed: u64, device: &Device) -> Result<AutoEncoder, MethodError> {
        self.validate()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut widths = [&[features], &self.hidden[..], &[self.dim]].concat();
        let encoder = MlpConfig::new(widths.clone()).init(&mut rng, device)?;
        widths.reverse();
        Ok(AutoEncoder { encoder, decoder: MlpConfig::new(widths).init(&mut rng, device)? })
    }
}

impl NodeMethodConfig for AutoEncoderConfig {
    type Method = Reconstruction;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("autoencoder");
        self.hidden.iter().try_for_each(|width| check.count("hidden", *width))?;
        check.count("dim", self.dim)?;
        Ok(self.training.validate()?)
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Reconstruction>, MethodError> {
        let features = graph.require_features()?.clone();
        let networks = self.init(features.num_features(), seed, &device.clone().autodiff())?;
        let (summary, device) = (summary(graph, 0)?, device.clone().inner());
        let (input, batch_size) = (input(&features, &device), self.training.batch_size);
        let order = Order::new(features.num_nodes(), seed);
        let method = Reconstruction { features, input, summary, batch_size, order, device };
        NodeTraining::new(method, networks, &self.training, self, seed)
    }
}

/// The order of the nodes in each epoch: one shuffle after the other of one generator, so that any epoch can be gone to.
#[derive(Clone, Debug)]
struct Order {
    seed: u64,
    epoch: usize,
    nodes: Vec<u32>,
    rng: ChaCha8Rng,
}

impl Order {
    fn new(nodes: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Self { seed, epoch: 0, nodes: (0..nodes as u32).collect(), rng }
    }

    fn go_to(&mut self, epoch: usize) {
        if epoch < self.epoch {
            *self = Self::new(self.nodes.len(), self.seed);
        }
        for _ in self.epoch..epoch {
            shuffle(&mut self.rng, &mut self.nodes);
        }
        self.epoch = epoch;
    }
}

/// The reconstruction of node features in batches of nodes, by the mean squared error. Only the rows of a batch are ever written
/// out. The embeddings are the codes.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    features: Features,
    input: NodeInput,
    summary: serde_json::Value,
    batch_size: usize,
    order: Order,
    device: Device,
}

impl NodeMethod for Reconstruction {
    type Model = AutoEncoder;
    /// What came back, and what should have.
    type Encoded = [Tensor<2>; 2];

    fn name(&self) -> &'static str {
        "autoencoder"
    }

    fn data(&self) -> serde_json::Value {
        self.summary.clone()
    }

    fn begin_epoch(&mut self, epoch: usize) -> usize {
        self.order.go_to(epoch);
        self.order.nodes.len().div_ceil(self.batch_size)
    }

    fn encode(&self, model: &AutoEncoder, step: usize, _rng: &mut ChaCha8Rng) -> Result<[Tensor<2>; 2], MethodError> {
        let nodes = self.order.nodes.chunks(self.batch_size).nth(step).expect("a step of the epoch");
        let rows = select(&self.features, nodes);
        Ok([model.reconstruct(&input(&rows, &self.device)), to_tensor(rows.to_dense().view(), &self.device)])
    }

    fn losses(
        &self,
        _model: &AutoEncoder,
        [found, wanted]: [Tensor<2>; 2],
        _epoch: usize,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        let miss = found - Tensor::from_inner(wanted);
        Ok(vec![("reconstruction", (miss.clone() * miss).mean())])
    }

    fn embed(&self, model: &AutoEncoder) -> Tensor<2> {
        self.input.through(&model.encoder, &mut Pass::evaluation())
    }
}
