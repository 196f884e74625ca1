//! BGRL (Thakoor et al., ICLR 2022): BYOL on two views of a graph, without negatives.

use super::whole::{DropShares, Trained, WholeGraph};
use crate::encoder::{Activation, Encoder, EncoderConfig, Mlp, MlpConfig, Normalisation};
use crate::method::MethodError;
use crate::method::error::Check;
use crate::node::Graph;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Device;
use contrastive_core::memory::Ema;
use contrastive_core::objective::byol;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of BGRL. The paper warms the learning rate up and lowers it on a cosine; here it is constant.
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
    /// The random views.
    #[config(default = "DropShares { edges: [0.2, 0.3], features: [0.2, 0.3] }")]
    pub views: DropShares,
    /// Momentum of the target network at the start; it reaches 1 on a cosine at the last epoch.
    #[config(default = 0.99)]
    pub momentum: f64,
    /// Steps of that cosine.
    #[config(default = 1000)]
    pub epochs: usize,
    /// Learning rate of Adam.
    #[config(default = 5e-4)]
    pub learning_rate: f64,
    /// Seed of the weights and of the views.
    #[config(default = 42)]
    pub seed: u64,
}

/// What is trained: the online network. Its target follows it.
#[derive(Module, Debug)]
pub struct BgrlModel {
    /// From the graph to embeddings.
    pub encoder: Encoder,
    /// From embeddings to those of the target network.
    pub predictor: Mlp,
}

/// A training of BGRL on a whole graph.
pub struct Bgrl {
    trained: Trained<BgrlModel>,
    target: Encoder,
    ema: Ema,
    graph: WholeGraph,
    views: DropShares,
    rng: ChaCha8Rng,
}

impl BgrlConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    pub fn validate(&self) -> Result<(), MethodError> {
        let check = Check("bgrl");
        check.count("number of widths", self.widths.len())?;
        self.widths.iter().try_for_each(|width| check.count("width", *width))?;
        check.count("predictor", self.predictor)?;
        self.views.validate(&check)?;
        let momentum = self.momentum;
        check.that((0.0..=1.0).contains(&momentum), "momentum", momentum, "0 to 1")?;
        check.count("epochs", self.epochs)?;
        check.positive("learning_rate", self.learning_rate)
    }

    /// A training on the graph.
    ///
    /// # Errors
    /// When a setting is out of its range, or the graph has no features.
    pub fn build(&self, graph: &Graph, device: &Device) -> Result<Bgrl, MethodError> {
        self.validate()?;
        let device = device.clone().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut widths = vec![graph.require_features()?.num_features()];
        widths.extend(&self.widths);
        let dim = widths[widths.len() - 1];
        let config =
            EncoderConfig::new(widths).with_activation(Activation::PRelu).with_normalisation(self.normalisation);
        let encoder = config.init(&mut rng, &device)?;
        let predictor = MlpConfig::new(vec![dim, self.predictor, dim]).with_activation(Activation::PRelu);
        let predictor = predictor.init(&mut rng, &device)?;
        let ema = Ema::cosine(self.momentum, self.epochs).expect("a checked momentum and steps");
        Ok(Bgrl {
            target: encoder.clone().no_grad(),
            trained: Trained::new(BgrlModel { encoder, predictor }, self.learning_rate),
            ema,
            graph: WholeGraph::new(graph, config.layer, &device)?,
            views: self.views,
            rng,
        })
    }
}

impl Bgrl {
    /// One step on two new views: each online prediction meets the target's embeddings of the other view. The loss before it,
    /// 0 to 8.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`](contrastive_train::TrainError::NonFinite).
    pub fn step(&mut self) -> Result<f64, MethodError> {
        let [first, second] = self.graph.views(&self.views, &mut self.rng)?;
        let model = &self.trained.model;
        let [p0, p1] = [&first, &second].map(|view| {
            let nodes = model.encoder.forward(&view.0, &view.1);
            model.predictor.forward(&nodes.into())
        });
        let [z0, z1] = [&first, &second].map(|view| self.target.forward(&view.0, &view.1).detach());
        let loss = self.trained.descend([("bootstrap", byol(p0, p1, z0, z1))])?[0];
        let step = self.trained.steps() - 1;
        self.target = self.ema.update(&self.trained.model.encoder, self.target.clone(), step);
        Ok(loss)
    }

    /// The online network as it is.
    pub fn model(&self) -> &BgrlModel {
        &self.trained.model
    }

    /// The target network as it is.
    pub fn target(&self) -> &Encoder {
        &self.target
    }

    /// The embeddings of the online network, `[nodes, last width]`.
    pub fn embed(&self) -> Array2<f32> {
        self.graph.embed(&self.trained.model.encoder)
    }
}
