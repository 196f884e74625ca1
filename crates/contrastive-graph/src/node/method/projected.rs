//! The network of GRACE and its descendants.

use super::views::ViewModel;
use crate::MethodError;
use crate::node::encoder::{Encoder, EncoderConfig, LayerKind, NodeInput, Propagation};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::Activation;
use contrastive_train::Check;
use rand_chacha::ChaCha8Rng;

/// An encoder and the projector between it and the objective.
#[derive(Module, Debug)]
pub struct ProjectedEncoder {
    /// What is kept.
    pub encoder: Encoder,
    /// What is discarded after training: linear, ELU, linear, with the weights and biases that the released codes start from.
    pub projector: Mlp,
}

impl ProjectedEncoder {
    /// Projections `[nodes, dim]`.
    pub fn project(&self, graph: &Propagation, input: &NodeInput) -> Tensor<2> {
        self.head(self.encoder.forward(graph, input))
    }
}

impl ViewModel for ProjectedEncoder {
    fn head(&self, encoded: Tensor<2>) -> Tensor<2> {
        self.projector.forward(encoded, &mut Pass::evaluation())
    }

    fn encoder(&self) -> &Encoder {
        &self.encoder
    }
}

/// The sizes and choices of a [`ProjectedEncoder`] that GRACE and its descendants share.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub layer: LayerKind,
    pub layers: usize,
    pub dim: usize,
    pub projection: usize,
    pub activation: Activation,
}

impl Shape {
    /// `[features, 2 d, ..., d]`.
    fn encoder(&self, features: usize) -> EncoderConfig {
        let mut widths = vec![2 * self.dim; self.layers + 1];
        (widths[0], widths[self.layers]) = (features, self.dim);
        EncoderConfig::new(widths).with_layer(self.layer).with_activation(self.activation)
    }

    fn projector(&self) -> MlpConfig {
        let widths = vec![self.dim, self.projection, self.dim];
        MlpConfig::new(widths).with_activation(Activation::Elu).with_initial(Initial::FanIn)
    }

    pub fn validate(&self, check: &Check) -> Result<(), MethodError> {
        check.count("layers", self.layers)?;
        check.count("dim", self.dim)?;
        check.count("projection", self.projection)?;
        self.encoder(1).validate()?;
        Ok(self.projector().validate()?)
    }

    pub fn init(
        &self,
        features: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<ProjectedEncoder, MethodError> {
        let encoder = self.encoder(features).init(rng, device)?;
        Ok(ProjectedEncoder { encoder, projector: self.projector().init(rng, device)? })
    }
}
