//! Functions of single numbers.

use super::ops::LayerOps;
use crate::error::Check;
use crate::native::is_native;
use crate::{SettingError, init};
use burn::backend::Dispatch;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions, activation};
use contrastive_kernels::layer::activation::Smooth;

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
    /// [`gelu`].
    Gelu,
    /// [`gelu_tanh`].
    GeluTanh,
    /// [`quick_gelu`].
    QuickGelu,
    /// [`silu`].
    Silu,
    /// `tanh(x)`.
    Tanh,
}

impl Activation {
    /// Checks the slope.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn validate(&self) -> Result<(), SettingError> {
        match self {
            Self::LeakyRelu(slope) => Check::new("activation").finite("slope", *slope),
            _ => Ok(()),
        }
    }

    /// The function, with its parameter where it has one.
    pub fn init(&self, on: impl Into<TensorCreationOptions>) -> ActivationLayer {
        let slope = matches!(self, Self::PRelu).then(|| init::constant(0.25, [1], on));
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

    /// The function of each number, in the shape of the input.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match (self.kind, &self.slope) {
            (Activation::Identity, _) => x,
            (Activation::PRelu, Some(slope)) => activation::prelu(x, slope.val()),
            (Activation::Relu | Activation::PRelu, _) => activation::relu(x),
            // where x is large, exp(x) must not be formed: its gradient would be 0 times infinity
            (Activation::Elu, _) => activation::relu(x.clone()) + (x.clamp_max(0.0).exp() - 1.0),
            (Activation::LeakyRelu(slope), _) => activation::leaky_relu(x, slope),
            (Activation::Gelu, _) => gelu(x),
            (Activation::GeluTanh, _) => gelu_tanh(x),
            (Activation::QuickGelu, _) => quick_gelu(x),
            (Activation::Silu, _) => silu(x),
            (Activation::Tanh, _) => x.tanh(),
        }
    }
}

/// `x / 2 (1 + erf(x / sqrt 2))`, the exact GELU (Hendrycks and Gimpel, 2016), of BERT and RecBole.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    smooth(Smooth::Gelu, x)
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, of GPT-2.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    smooth(Smooth::GeluTanh, x)
}

/// `x / (1 + exp(-1.702 x))`, of OpenAI's CLIP.
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    smooth(Smooth::QuickGelu, x)
}

/// `x / (1 + exp(-x))`.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    smooth(Smooth::Silu, x)
}

fn smooth<const D: usize>(function: Smooth, x: Tensor<D>) -> Tensor<D> {
    if is_native(&x) {
        return Tensor::from_dispatch(Dispatch::layer_smooth(function, x.into_dispatch()));
    }
    match function {
        Smooth::Gelu => x.clone() * ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5,
        Smooth::GeluTanh => {
            let inner = (x.clone() * x.clone() * 0.044715 + 1.0) * x.clone() * (2.0 / std::f64::consts::PI).sqrt();
            x * (inner.tanh() + 1.0) * 0.5
        }
        Smooth::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
        Smooth::Silu => x.clone() * activation::sigmoid(x),
    }
}
