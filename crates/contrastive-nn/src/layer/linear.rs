//! Linear maps.

use crate::error::Check;
use crate::{SettingError, init, init::Initial};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions, module};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Linear`].
#[derive(Config, Debug, PartialEq)]
pub struct LinearConfig {
    /// Width of the input.
    pub input: usize,
    /// Width of the output.
    pub output: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
    /// How the weight starts. The bias starts in the same way under [`Initial::FanIn`], else as zeros.
    #[config(default = "Initial::GlorotUniform")]
    pub initial: Initial,
}

impl LinearConfig {
    /// Checks the widths.
    ///
    /// # Errors
    /// When one is 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        Check::new("linear").count("input", self.input)?;
        Check::new("linear").count("output", self.output)
    }

    /// The map: its weight is drawn first, its bias after it.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Linear, SettingError> {
        self.validate()?;
        let (on, fans) = (on.into(), [self.input, self.output]);
        let weight = self.initial.param([self.input, self.output], fans, rng, on.clone());
        let bias = self.bias.then(|| match self.initial {
            Initial::FanIn => self.initial.param([self.output], fans, rng, on),
            _ => init::constant(0.0, [self.output], on),
        });
        Ok(Linear { weight, bias })
    }
}

/// `x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[input, output]`.
    pub weight: Param<Tensor<2>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// `[input, output]`.
    pub fn shape(&self) -> [usize; 2] {
        self.weight.val().dims()
    }

    /// # Shapes
    /// - x: `[.., input]`
    /// - output: `[.., output]`
    ///
    /// # Panics
    /// When the last axis has another width.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, shape) = (self.weight.val(), x.dims());
        let dims = weight.dims();
        assert_eq!(shape[D - 1], dims[0], "rows of shape {shape:?} times a weight of shape {dims:?}");
        module::linear(x, weight, self.bias.as_ref().map(Param::val))
    }

    /// The columns `from..from + width` of the map as a map of their own, for one pass: gradients flow to these columns.
    ///
    /// # Panics
    /// When there are no such columns.
    pub(crate) fn columns(&self, x: Tensor<2>, from: usize, width: usize) -> Tensor<2> {
        let weight = self.weight.val().narrow(1, from, width);
        module::linear(x, weight, self.bias.as_ref().map(|bias| bias.val().narrow(0, from, width)))
    }
}
