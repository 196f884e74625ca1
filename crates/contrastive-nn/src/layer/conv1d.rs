//! Convolutions over time.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

mod ops;

use crate::error::Check;
use crate::{SettingError, init, init::Initial};
use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_kernels::convolution::Convolution;
use rand_chacha::ChaCha8Rng;

#[doc(hidden)]
pub use ops::{ConvolutionOps, portable};

/// Zeros that are thought of at the ends of a series; none is ever multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Padding {
    /// As many outputs as inputs (at stride 1), each in the middle of its taps; with an even number of taps one more lies before.
    #[default]
    Same,
    /// As many outputs as inputs (at stride 1), each at the last of its taps.
    Causal,
    /// None: every tap lies within the series.
    Valid,
    /// So many before and behind.
    Explicit(usize, usize),
}

impl Padding {
    pub(super) fn of(self, taps: usize, dilation: usize) -> (usize, usize) {
        let reach = (taps - 1) * dilation;
        match self {
            Self::Same => (reach - reach / 2, reach / 2),
            Self::Causal => (reach, 0),
            Self::Valid => (0, 0),
            Self::Explicit(before, after) => (before, after),
        }
    }
}

/// Settings of [`Conv1d`].
#[derive(Config, Debug, PartialEq)]
pub struct Conv1dConfig {
    /// Channels of the input.
    pub input: usize,
    /// Channels of the output.
    pub output: usize,
    /// Taps.
    pub taps: usize,
    /// Steps between two taps.
    #[config(default = 1)]
    pub dilation: usize,
    /// Steps between two outputs.
    #[config(default = 1)]
    pub stride: usize,
    /// Groups of channels that do not meet.
    #[config(default = 1)]
    pub groups: usize,
    /// What lies beyond the ends.
    #[config(default = "Padding::Same")]
    pub padding: Padding,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
    /// How weight and bias start, by the fan of the taps.
    #[config(default = "Initial::FanIn")]
    pub initial: Initial,
}

impl Conv1dConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When one is 0, or the groups do not divide the channels.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("conv1d");
        check.count("input", self.input)?;
        check.count("output", self.output)?;
        check.count("taps", self.taps)?;
        check.count("dilation", self.dilation)?;
        check.count("stride", self.stride)?;
        check.count("groups", self.groups)?;
        let divides = self.input.is_multiple_of(self.groups) && self.output.is_multiple_of(self.groups);
        check.that(divides, "groups", self.groups, "a divisor of both numbers of channels")
    }

    /// The layer: its weight is drawn first, its bias after it.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Conv1d, SettingError> {
        self.validate()?;
        let (on, inside) = (on.into(), self.input / self.groups);
        let fans = [inside * self.taps, self.output * self.taps / self.groups];
        let weight = self.initial.param([self.taps, inside, self.output], fans, rng, on.clone());
        let bias = self.bias.then(|| match self.initial {
            Initial::FanIn => self.initial.param([self.output], fans, rng, on),
            _ => init::constant(0.0, [self.output], on),
        });
        let &Self { dilation, stride, groups, padding, .. } = self;
        Ok(Conv1d { weight, bias, dilation, stride, groups, padding })
    }
}

/// A convolution (cross-correlation, as in every library) over series.
#[derive(Module, Debug)]
pub struct Conv1d {
    /// `[taps, input / groups, output]`.
    pub weight: Param<Tensor<3>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    dilation: usize,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    padding: Padding,
}

impl Conv1d {
    /// # Shapes
    /// - x: `[batch, time, input]`
    /// - output: `[batch, time / stride, output]`
    ///
    /// # Panics
    /// When the channels differ, or the kernel does not fit into the padded series.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, self.dilation, self.stride, self.padding)
    }

    /// The same weights with another dilation, stride and padding.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_with(&self, x: Tensor<3>, dilation: usize, stride: usize, padding: Padding) -> Tensor<3> {
        let bias = self.bias.as_ref().map(Param::val);
        conv1d(x, self.weight.val(), bias, Conv1dOptions { dilation, stride, groups: self.groups, padding })
    }
}

/// What [`conv1d`] has besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv1dOptions {
    /// Steps between two taps, at least 1.
    pub dilation: usize,
    /// Steps between two outputs, at least 1.
    pub stride: usize,
    /// Groups of channels that do not meet.
    pub groups: usize,
    /// What lies beyond the ends.
    pub padding: Padding,
}

impl Default for Conv1dOptions {
    /// No dilation, stride or groups; as many outputs as inputs.
    fn default() -> Self {
        Self { dilation: 1, stride: 1, groups: 1, padding: Padding::Same }
    }
}

/// A convolution over time, differentiable in all three tensors. Taps that reach outside of the series cost nothing: value and gradients are
/// products over the steps where a tap meets the series.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use contrastive_nn::layer::{Conv1dOptions, Padding, conv1d};
///
/// let device = Device::default();
/// let x = Tensor::<3>::from_data([[[1.0], [2.0], [3.0]]], &device);
/// let weight = Tensor::<3>::from_data([[[10.0]], [[1.0]]], &device); // ten times the step before, and the step
/// let y = conv1d(x, weight, None, Conv1dOptions { padding: Padding::Causal, ..Default::default() });
/// assert_eq!(y.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 12.0, 23.0]);
/// ```
///
/// # Shapes
/// - x: `[batch, time, input]`
/// - weight: `[taps, input / groups, output]`
/// - bias: `[output]`
/// - output: `[batch, time', output]`
///
/// # Panics
/// When the shapes do not fit each other or the kernel not into the padded series.
pub fn conv1d(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: Conv1dOptions) -> Tensor<3> {
    let ([batch, length, inputs], [taps, inside, outputs]) = (x.dims(), weight.dims());
    let Conv1dOptions { dilation, stride, groups, padding } = options;
    assert!(taps > 0 && dilation > 0 && stride > 0 && groups > 0, "conv1d with {taps} taps and {options:?}");
    assert!(
        inside * groups == inputs && outputs.is_multiple_of(groups),
        "conv1d of series [{batch}, {length}, {inputs}] with a weight [{taps}, {inside}, {outputs}] in {groups} groups"
    );
    let (before, after) = padding.of(taps, dilation);
    let on = Convolution { batch, length, inputs, outputs, taps, dilation, stride, before, after, groups };
    assert!(on.output_length() > 0, "conv1d: {taps} taps at dilation {dilation} in {length} steps with {padding:?}");
    let bias = bias.unwrap_or_else(|| Tensor::zeros([outputs], (&weight.device().inner(), weight.dtype())));
    assert_eq!(bias.dims(), [outputs], "the shape of a bias for {outputs} channels");
    let bias = if x.is_autodiff() && !bias.is_autodiff() { Tensor::from_inner(bias) } else { bias };
    let weight = if x.is_autodiff() && !weight.is_autodiff() { Tensor::from_inner(weight) } else { weight };
    let x = if weight.is_autodiff() && !x.is_autodiff() { Tensor::from_inner(x) } else { x };
    let bias = if x.is_autodiff() && !bias.is_autodiff() { Tensor::from_inner(bias) } else { bias };
    let out = Dispatch::convolve(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch(), on);
    Tensor::from_dispatch(out)
}
