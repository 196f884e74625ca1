//! Activations.

use super::error::{Check, EncoderError};
use super::linear::constant;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};

/// Which function follows a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    /// None.
    Identity,
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x` above 0, `a x` below, one trained slope `a`, 0.25 at the start.
    PRelu,
    /// `x` above 0, `exp(x) - 1` below.
    Elu,
    /// `x` above 0, this slope times `x` below.
    LeakyRelu(f64),
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    pub(super) fn validate(&self, check: &Check) -> Result<(), EncoderError> {
        match self {
            Self::LeakyRelu(slope) => check.finite("slope of the activation", *slope),
            _ => Ok(()),
        }
    }

    /// The function, with its parameter where it has one.
    pub fn init(&self, device: &Device) -> ActivationLayer {
        let slope = matches!(self, Self::PRelu).then(|| constant(0.25, 1, device));
        ActivationLayer { kind: *self, slope }
    }
}

/// An [`Activation`] with its parameter.
#[derive(Module, Debug)]
pub struct ActivationLayer {
    #[module(skip)]
    kind: Activation,
    /// The slope of [`Activation::PRelu`], `[1]`.
    pub slope: Option<Param<Tensor<1>>>,
}

impl ActivationLayer {
    /// Which function it is.
    pub fn kind(&self) -> Activation {
        self.kind
    }

    /// The function of each number.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match (self.kind, &self.slope) {
            (Activation::Identity, _) => x,
            (Activation::PRelu, Some(slope)) => activation::prelu(x, slope.val()),
            (Activation::Relu | Activation::PRelu, _) => activation::relu(x),
            // Where x is large, exp(x) must not be formed: its gradient would be 0 times infinity.
            (Activation::Elu, _) => activation::relu(x.clone()) + (x.clamp_max(0.0).exp() - 1.0),
            (Activation::LeakyRelu(slope), _) => activation::leaky_relu(x, slope),
            (Activation::Tanh, _) => x.tanh(),
        }
    }
}
