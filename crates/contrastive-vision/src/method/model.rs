//! Networks that methods share.

use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::head::MlpHead;

/// A network with an encoder, which is what is kept, and something behind it, which the objective sees.
pub trait VisionModel: Module {
    /// The encoder.
    fn encoder(&self) -> &Encoder;

    /// What the objective sees of images `[n, channels, height, width]`: rows `[n, d]`.
    fn project(&self, images: Tensor<4>) -> Tensor<2>;
}

/// An encoder and a projector.
#[derive(Module, Debug)]
pub struct Projected {
    /// The encoder.
    pub encoder: Encoder,
    /// The projector.
    pub projector: MlpHead,
}

impl VisionModel for Projected {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.projector.forward(self.encoder.forward(images))
    }
}

/// An encoder, a projector, and a predictor of the other view's projection.
#[derive(Module, Debug)]
pub struct Predicted {
    /// Encoder and projector.
    pub network: Projected,
    /// The predictor.
    pub predictor: MlpHead,
}

impl Predicted {
    /// Projection and prediction of a view.
    pub fn both(&self, images: Tensor<4>) -> [Tensor<2>; 2] {
        let projection = self.network.project(images);
        [projection.clone(), self.predictor.forward(projection)]
    }
}

impl VisionModel for Predicted {
    fn encoder(&self) -> &Encoder {
        &self.network.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.project(images)
    }
}
