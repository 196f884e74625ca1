//! Graph Barlow Twins (Bielak, Kajdanowicz, Chawla, 2022): the embeddings of two views have the identity as cross-correlation.

use super::settings::parameter_rng;
use super::{NodeMethodConfig, NodeTraining, Settings, TwoViewMethod, TwoViews, UniformViews};
use crate::MethodError;
use crate::error::Check;
use crate::node::data::Graph;
use crate::node::encoder::{Activation, Encoder, EncoderConfig, Normalisation};
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::BarlowTwins;

/// Settings of [`Gbt`].
#[derive(Config, Debug, PartialEq)]
pub struct GbtConfig {
    /// Widths of the graph convolutions, the last that of the embeddings.
    #[config(default = "vec![512, 256]")]
    pub widths: Vec<usize>,
    /// What the hidden layers' outputs are normalised over.
    #[config(default = "Normalisation::Batch")]
    pub normalisation: Normalisation,
    /// The random views.
    #[config(default = "UniformViews::new([0.3, 0.3], [0.3, 0.3])")]
    pub views: UniformViews,
    /// Weight of the off-diagonal correlations; `None` for 1 / width (the paper).
    pub lambda: Option<f64>,
    /// Learning rate of Adam.
    #[config(default = 5e-4)]
    pub learning_rate: f64,
    /// Coupled L2 of Adam.
    #[config(default = 1e-5)]
    pub weight_decay: f64,
    /// Epochs of a full training.
    #[config(default = 1000)]
    pub epochs: usize,
}

impl GbtConfig {
    fn encoder(&self, features: usize) -> EncoderConfig {
        let widths = [&[features], &self.widths[..]].concat();
        let config = EncoderConfig::new(widths).with_activation(Activation::PRelu).with_activate_last(false);
        config.with_normalisation(self.normalisation)
    }

    fn objective(&self) -> Result<BarlowTwins, MethodError> {
        let width = self.widths.last().copied().unwrap_or(1) as f64;
        Ok(BarlowTwins::new(self.lambda.unwrap_or(1.0 / width))?)
    }
}

impl NodeMethodConfig for GbtConfig {
    type Method = Gbt;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check("gbt");
        check.widths(&self.widths)?;
        self.views.validate(&check)?;
        check.weight("lambda", self.lambda.unwrap_or(0.0))?;
        check.count("epochs", self.epochs)?;
        Settings::validate(&check, self.learning_rate, self.weight_decay)
    }

    fn epochs(&self) -> usize {
        self.epochs
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Gbt>, MethodError> {
        self.validate()?;
        let config = self.encoder(graph.require_features()?.num_features());
        let views = self.views.of("gbt", graph, config.layer, device)?;
        let encoder = config.init(&mut parameter_rng(seed), &device.clone().autodiff())?;
        let method = Gbt { views, objective: self.objective()? };
        Ok(NodeTraining::new(method, encoder, Settings::new(self.learning_rate, self.weight_decay, self), seed))
    }
}

/// Graph Barlow Twins: two views by dropping edges and masking feature columns, and the redundancy reduction of
/// [`BarlowTwins`] between the embeddings of one and of the other.
#[derive(Clone, Debug)]
pub struct Gbt {
    views: TwoViews,
    objective: BarlowTwins,
}

impl TwoViewMethod for Gbt {
    type Model = Encoder;

    fn method_name(&self) -> &'static str {
        "gbt"
    }

    fn views(&self) -> &TwoViews {
        &self.views
    }

    fn contrast(&self, [first, second]: [Tensor<2>; 2], _epoch: usize) -> Result<Tensor<1>, MethodError> {
        Ok(self.objective.loss(first, second))
    }
}
