//! Graph Barlow Twins (Bielak, Kajdanowicz, Chawla, 2022): the embeddings of two views have the identity as cross-correlation.

use super::settings::{full_batch, parameter_rng};
use super::{NodeMethodConfig, NodeTraining, TwoViewMethod, TwoViews, UniformViews};
use crate::MethodError;
use crate::node::data::Graph;
use crate::node::encoder::{Encoder, EncoderConfig, Normalisation};
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::BarlowTwins;
use contrastive_nn::layer::Activation;
use contrastive_train::{Check, TrainingConfig};

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
    /// Epochs of the publication, a step of the whole graph each; rate, and coupled decay of Adam.
    #[config(default = "full_batch(1000, 5e-4, 1e-5)")]
    pub training: TrainingConfig,
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
        let check = Check::new("gbt");
        check.widths(&self.widths)?;
        self.views.validate(&check)?;
        check.weight("lambda", self.lambda.unwrap_or(0.0))?;
        Ok(self.training.validate()?)
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Gbt>, MethodError> {
        self.validate()?;
        let config = self.encoder(graph.require_features()?.num_features());
        let views = self.views.of("gbt", graph, config.layer, device)?;
        let encoder = config.init(&mut parameter_rng(seed), &device.clone().autodiff())?;
        let method = Gbt { views, objective: self.objective()? };
        NodeTraining::new(method, encoder, &self.training, self, seed)
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
