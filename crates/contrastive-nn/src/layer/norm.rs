//! Norms of rows.

use super::ops::{LayerOps, NormKind};
use super::portable;
use crate::error::Check;
use crate::native::is_native;
use crate::{SettingError, init};
use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions};

/// Settings of [`LayerNorm`].
#[derive(Config, Debug, PartialEq)]
pub struct LayerNormConfig {
    /// Width of the rows.
    pub width: usize,
    /// Added to the variance: 1e-12 in BERT and RecBole, 1e-5 in GPT-2, 1e-6 in ViT, 1e-8 in SASRec.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether there is a gain and a bias.
    #[config(default = true)]
    pub affine: bool,
}

impl LayerNormConfig {
    /// Checks width and epsilon.
    ///
    /// # Errors
    /// When the width is 0, or epsilon not a finite number above 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        Check::new("layer norm").count("width", self.width)?;
        Check::new("layer norm").positive("epsilon", self.epsilon)
    }

    /// The norm, gains 1 and biases 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, on: impl Into<TensorCreationOptions>) -> Result<LayerNorm, SettingError> {
        self.validate()?;
        let on = on.into();
        let weight = self.affine.then(|| init::constant(1.0, [self.width], on.clone()));
        let bias = self.affine.then(|| init::constant(0.0, [self.width], on));
        Ok(LayerNorm { weight, bias, epsilon: self.epsilon })
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last axis, with the biased variance about the mean
/// (Ba, Kiros and Hinton, 2016).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// The gain, `[width]`.
    pub weight: Option<Param<Tensor<1>>>,
    /// `[width]`.
    pub bias: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

impl LayerNorm {
    /// # Shapes
    /// - x, output: `[.., width]`
    ///
    /// # Panics
    /// When the last axis is not as wide as the gain.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let rows = rows_of(x, &self.weight, "layer norm");
        let (gain, bias) = (self.weight.as_ref().map(Param::val), self.bias.as_ref().map(Param::val));
        let out = match is_native(&rows) {
            true => native(rows, gain, bias, true, self.epsilon),
            false => portable::layer_norm(rows, gain, bias, self.epsilon),
        };
        out.reshape(shape)
    }
}

/// Settings of [`RmsNorm`].
#[derive(Config, Debug, PartialEq)]
pub struct RmsNormConfig {
    /// Width of the rows.
    pub width: usize,
    /// Added to the mean square.
    #[config(default = 1e-6)]
    pub epsilon: f64,
    /// Whether there is a gain.
    #[config(default = true)]
    pub affine: bool,
}

impl RmsNormConfig {
    /// Checks width and epsilon.
    ///
    /// # Errors
    /// When the width is 0, or epsilon not a finite number above 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        Check::new("rms norm").count("width", self.width)?;
        Check::new("rms norm").positive("epsilon", self.epsilon)
    }

    /// The norm, gains 1.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, on: impl Into<TensorCreationOptions>) -> Result<RmsNorm, SettingError> {
        self.validate()?;
        let weight = self.affine.then(|| init::constant(1.0, [self.width], on));
        Ok(RmsNorm { weight, epsilon: self.epsilon })
    }
}

/// `x / sqrt(mean of x^2 + epsilon) * weight` over the last axis (Zhang and Sennrich, 2019).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// The gain, `[width]`.
    pub weight: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

impl RmsNorm {
    /// # Shapes
    /// - x, output: `[.., width]`
    ///
    /// # Panics
    /// When the last axis is not as wide as the gain.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let rows = rows_of(x, &self.weight, "rms norm");
        let gain = self.weight.as_ref().map(Param::val);
        let out = match is_native(&rows) {
            true => native(rows, gain, None, false, self.epsilon),
            false => portable::rms_norm(rows, gain, self.epsilon),
        };
        out.reshape(shape)
    }
}

fn native(x: Tensor<2>, gain: Option<Tensor<1>>, bias: Option<Tensor<1>>, centred: bool, epsilon: f64) -> Tensor<2> {
    let kind = NormKind { centred, epsilon, gain: gain.is_some(), bias: bias.is_some() };
    let none = Tensor::<1>::zeros([1], (&x.device(), x.dtype()));
    let autodiff =
        [Some(x.is_autodiff()), gain.as_ref().map(Tensor::is_autodiff), bias.as_ref().map(Tensor::is_autodiff)];
    let autodiff = autodiff.contains(&Some(true));
    let alike = |x: Tensor<1>| if autodiff && !x.is_autodiff() { Tensor::from_inner(x) } else { x };
    let [gain, bias] = [gain, bias].map(|x| alike(x.unwrap_or_else(|| none.clone())).into_dispatch());
    let x = if autodiff && !x.is_autodiff() { Tensor::from_inner(x) } else { x };
    Tensor::from_dispatch(Dispatch::row_norm(kind, x.into_dispatch(), gain, bias))
}

/// A table of all rows of the last axis.
fn rows_of<const D: usize>(x: Tensor<D>, weight: &Option<Param<Tensor<1>>>, what: &str) -> Tensor<2> {
    let shape = x.dims();
    let width = shape[D - 1];
    if let Some([gains]) = weight.as_ref().map(|weight| weight.val().dims()) {
        assert_eq!(width, gains, "{what} of {gains} gains for rows of shape {shape:?}");
    }
    x.reshape([shape[..D - 1].iter().product(), width])
}
