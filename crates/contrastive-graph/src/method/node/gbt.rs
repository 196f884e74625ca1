//! Graph Barlow Twins (Bielak, Kajdanowicz, Chawla, 2022): the embeddings of two views have the identity as cross-correlation.

use super::whole::{DropShares, Trained, WholeGraph};
use crate::encoder::{Activation, Encoder, EncoderConfig, Normalisation};
use crate::method::MethodError;
use crate::method::error::Check;
use crate::node::Graph;
use burn::config::Config;
use burn::tensor::Device;
use contrastive_core::objective::BarlowTwins;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of graph Barlow Twins.
#[derive(Config, Debug, PartialEq)]
pub struct GbtConfig {
    /// Widths of the graph convolutions, the last that of the embeddings.
    #[config(default = "vec![512, 256]")]
    pub widths: Vec<usize>,
    /// What the hidden layers' outputs are normalised over.
    #[config(default = "Normalisation::Batch")]
    pub normalisation: Normalisation,
    /// The random views.
    #[config(default = "DropShares { edges: [0.3, 0.3], features: [0.3, 0.3] }")]
    pub views: DropShares,
    /// Weight of the off-diagonal correlations; `None` for 1 / width (the paper).
    pub lambda: Option<f64>,
    /// Learning rate of Adam.
    #[config(default = 5e-4)]
    pub learning_rate: f64,
    /// Seed of the weights and of the views.
    #[config(default = 42)]
    pub seed: u64,
}

/// A training of graph Barlow Twins on a whole graph.
pub struct Gbt {
    trained: Trained<Encoder>,
    objective: BarlowTwins,
    graph: WholeGraph,
    views: DropShares,
    rng: ChaCha8Rng,
}

impl GbtConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    pub fn validate(&self) -> Result<(), MethodError> {
        let check = Check("gbt");
        check.count("number of widths", self.widths.len())?;
        self.widths.iter().try_for_each(|width| check.count("width", *width))?;
        self.views.validate(&check)?;
        check.weight("lambda", self.lambda.unwrap_or(0.0))?;
        check.positive("learning_rate", self.learning_rate)
    }

    /// A training on the graph.
    ///
    /// # Errors
    /// When a setting is out of its range, or the graph has no features.
    pub fn build(&self, graph: &Graph, device: &Device) -> Result<Gbt, MethodError> {
        self.validate()?;
        let device = device.clone().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut widths = vec![graph.require_features()?.num_features()];
        widths.extend(&self.widths);
        let dim = widths[widths.len() - 1];
        let config = EncoderConfig::new(widths)
            .with_activation(Activation::PRelu)
            .with_activate_last(false)
            .with_normalisation(self.normalisation);
        Ok(Gbt {
            trained: Trained::new(config.init(&mut rng, &device)?, self.learning_rate),
            objective: BarlowTwins::new(self.lambda.unwrap_or(1.0 / dim as f64))?,
            graph: WholeGraph::new(graph, config.layer, &device)?,
            views: self.views,
            rng,
        })
    }
}

impl Gbt {
    /// One step on two new views; the loss before it.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`](contrastive_train::TrainError::NonFinite).
    pub fn step(&mut self) -> Result<f64, MethodError> {
        let views = self.graph.views(&self.views, &mut self.rng)?;
        let [a, b] = views.each_ref().map(|view| self.trained.model.forward(&view.0, &view.1));
        Ok(self.trained.descend([("barlow twins", self.objective.loss(a, b))])?[0])
    }

    /// The encoder as it is.
    pub fn encoder(&self) -> &Encoder {
        &self.trained.model
    }

    /// The embeddings, `[nodes, last width]`.
    pub fn embed(&self) -> Array2<f32> {
        self.graph.embed(&self.trained.model)
    }
}
