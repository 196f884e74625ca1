//! BGRL (Thakoor et al., ICLR 2022): BYOL on two views of a graph, without negatives.

use super::settings::{full_batch, parameter_rng};
use super::{NodeMethod, NodeMethodConfig, NodeTraining, TwoViews, UniformViews};
use crate::MethodError;
use crate::node::data::Graph;
use crate::node::encoder::{Encoder, EncoderConfig, NodeInput, Normalisation, Propagation};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_core::memory::Ema;
use contrastive_core::objective::byol;
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_nn::layer::Activation;
use contrastive_train::{Check, OptimiserConfig, Schedule, TrainingConfig};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Bgrl`]; the defaults are those of the released code for Amazon-Computers.
///
/// Learning rate and momentum run on schedules over the epochs of [`training`](Self::training): give the number that will be trained. In a run of
/// fewer epochs they stay where they are, in one of more the networks no longer move.
#[derive(Config, Debug, PartialEq)]
pub struct BgrlConfig {
    /// Widths of the graph convolutions, the last that of the embeddings.
    #[config(default = "vec![256, 128]")]
    pub widths: Vec<usize>,
    /// Width of the predictor's hidden layer.
    #[config(default = 512)]
    pub predictor: usize,
    /// What the layers' outputs are normalised over.
    #[config(default = "Normalisation::Batch")]
    pub normalisation: Normalisation,
    /// The random views. The released code draws each direction of an edge by itself.
    #[config(default = "UniformViews::new([0.5, 0.4], [0.2, 0.1])")]
    pub views: UniformViews,
    /// Momentum of the target network at the start; it reaches 1 on a cosine after the last epoch.
    #[config(default = 0.99)]
    pub momentum: f64,
    /// Epochs in which the learning rate rises, less than all.
    #[config(default = 1000)]
    pub warm_up: usize,
    /// Epochs of the schedules, highest learning rate, and AdamW with its decoupled decay. The schedule is given by [`warm_up`](Self::warm_up)
    /// and these epochs: it rises linearly from 0 in the first epoch, and falls on half a cosine to 0 after the last.
    #[config(default = "full_batch(10_000, 5e-4, 0.0).with_optimiser(OptimiserConfig::adam_w(1e-5))")]
    pub training: TrainingConfig,
}

/// The networks.
#[derive(Module, Debug)]
pub struct BgrlModel {
    /// From the graph to embeddings.
    pub encoder: Encoder,
    /// From embeddings to those of the target network.
    pub predictor: Mlp,
    /// The target network: follows the encoder, and is not trained.
    pub target: Encoder,
}

impl BgrlModel {
    /// Starts the target network where the encoder is.
    pub fn new(encoder: Encoder, predictor: Mlp) -> Self {
        // not `encoder.clone().no_grad()`: parameters that are not there yet (Burn makes them late) are one with their clones
        let target = detached_copy(&encoder).no_grad();
        Self { encoder, predictor, target }
    }

    /// What the embeddings of the target network are compared with, `[nodes, dim]`.
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn predict(&self, graph: &Propagation, input: &NodeInput) -> Tensor<2> {
        self.predictor.forward(self.encoder.forward(graph, input), &mut Pass::evaluation())
    }
}

/// A copy with running statistics of its own (clones share them), up to date.
fn detached_copy(network: &Encoder) -> Encoder {
    network.valid().train()
}

impl BgrlConfig {
    fn encoder(&self, features: usize) -> EncoderConfig {
        let widths = [&[features], &self.widths[..]].concat();
        EncoderConfig::new(widths).with_activation(Activation::PRelu).with_normalisation(self.normalisation)
    }

    /// The training with its schedule.
    fn scheduled(&self) -> TrainingConfig {
        let schedule = Schedule::cosine(0.0).with_warm_up(self.warm_up).with_length(self.epochs()).by_epoch();
        self.training.clone().with_schedule(schedule)
    }
}

impl NodeMethodConfig for BgrlConfig {
    type Method = Bgrl;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("bgrl");
        check.widths(&self.widths)?;
        check.count("predictor", self.predictor)?;
        self.views.validate(&check)?;
        check.probabilities("momentum", &[self.momentum])?;
        check.that(self.warm_up < self.epochs(), "warm_up", self.warm_up, "less than the epochs")?;
        Ok(self.scheduled().validate()?)
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Bgrl>, MethodError> {
        self.validate()?;
        let config = self.encoder(graph.require_features()?.num_features());
        let views = self.views.of("bgrl", graph, config.layer, device)?;
        let (mut rng, device) = (parameter_rng(seed), device.clone().autodiff());
        let encoder = config.init(&mut rng, &device)?;
        let dim = *self.widths.last().expect("one width or more");
        let predictor = MlpConfig::new(vec![dim, self.predictor, dim]).with_activation(Activation::PRelu);
        let model = BgrlModel::new(encoder, predictor.init(&mut rng, &device)?);
        let ema = Ema::cosine(self.momentum, self.epochs()).expect("a checked momentum and number of epochs");
        NodeTraining::new(Bgrl { views, ema }, model, &self.scheduled(), self, seed)
    }
}

/// BGRL: two views by dropping edges and masking feature columns; the prediction from each meets the target network's embeddings of
/// the other. The loss is between 0 and 8 ([`byol`]).
#[derive(Clone, Debug)]
pub struct Bgrl {
    views: TwoViews,
    ema: Ema,
}

impl Bgrl {
    /// The graph and the rules of its views.
    pub fn views(&self) -> &TwoViews {
        &self.views
    }
}

impl NodeMethod for Bgrl {
    type Model = BgrlModel;
    /// Predictions of both views, then the target network's embeddings of both.
    type Encoded = [Tensor<2>; 4];

    fn name(&self) -> &'static str {
        "bgrl"
    }

    fn data(&self) -> serde_json::Value {
        self.views.data.summary().clone()
    }

    fn encode(&self, model: &BgrlModel, _step: usize, rng: &mut ChaCha8Rng) -> Result<[Tensor<2>; 4], MethodError> {
        let views = self.views.inputs(rng)?;
        let [p0, p1] = views.each_ref().map(|(graph, input)| model.predict(graph, input));
        let [z0, z1] = views.each_ref().map(|(graph, input)| model.target.forward(graph, input).detach());
        Ok([p0, p1, z0, z1])
    }

    fn losses(
        &self,
        _model: &BgrlModel,
        [p0, p1, z0, z1]: [Tensor<2>; 4],
        _epoch: usize,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        Ok(vec![("bootstrap", byol(p0, p1, z0, z1))])
    }

    fn update_target(&self, model: BgrlModel, global_step: usize) -> BgrlModel {
        let target = self.ema.update(&model.encoder, detached_copy(&model.target), global_step);
        BgrlModel { target, ..model }
    }

    fn embed(&self, model: &BgrlModel) -> Tensor<2> {
        self.views.data.embed(&model.encoder)
    }
}
