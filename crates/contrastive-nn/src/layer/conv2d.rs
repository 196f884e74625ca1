//! Convolutions over images, channels last.

use super::conv1d::Padding;
use super::image_ops::{ImageOps, lifted};
use crate::error::Check;
use crate::native::is_native;
use crate::{SettingError, init, init::Initial};
use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions, module, ops::ConvOptions};
use contrastive_kernels::image::Convolution2d;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Conv2d`]; pairs are row and column.
#[derive(Config, Debug, PartialEq)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub input: usize,
    /// Channels of the output.
    pub output: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns between two outputs.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Rows and columns between two taps.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Groups of channels that do not meet.
    #[config(default = 1)]
    pub groups: usize,
    /// What lies beyond the borders. With [`Padding::Same`] a kernel of 3 has one row or column of zeros on each side, one of 7 has three.
    #[config(default = "[Padding::Same; 2]")]
    pub padding: [Padding; 2],
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
    /// How weight and bias start, by the fan of the taps.
    #[config(default = "Initial::FanIn")]
    pub initial: Initial,
}

impl Conv2dConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When one is 0, or the groups do not divide the channels.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("conv2d");
        check.count("input", self.input)?;
        check.count("output", self.output)?;
        for (name, pair) in [("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation)] {
            pair.iter().try_for_each(|&value| check.count(name, value))?;
        }
        check.count("groups", self.groups)?;
        let divides = self.input.is_multiple_of(self.groups) && self.output.is_multiple_of(self.groups);
        check.that(divides, "groups", self.groups, "a divisor of both numbers of channels")
    }

    /// The layer: its weight is drawn first, its bias after it.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Conv2d, SettingError> {
        self.validate()?;
        let (on, inside, [high, wide]) = (on.into(), self.input / self.groups, self.kernel);
        let fans = [inside * high * wide, self.output * high * wide / self.groups];
        let weight = self.initial.param([high, wide, inside, self.output], fans, rng, on.clone());
        let bias = self.bias.then(|| match self.initial {
            Initial::FanIn => self.initial.param([self.output], fans, rng, on),
            _ => init::constant(0.0, [self.output], on),
        });
        let &Self { stride, dilation, groups, padding, .. } = self;
        Ok(Conv2d { weight, bias, stride, dilation, groups, padding })
    }
}

/// A convolution (cross-correlation, as in every library) over images whose channels lie last.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[kernel rows, kernel columns, input / groups, output]`.
    pub weight: Param<Tensor<4>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: [usize; 2],
    #[module(skip)]
    dilation: [usize; 2],
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    padding: [Padding; 2],
}

impl Conv2d {
    /// # Shapes
    /// - x: `[batch, height, width, input]`
    /// - output: `[batch, height', width', output]`
    ///
    /// # Panics
    /// When the channels differ, or the kernel does not fit into the padded image.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let &Self { stride, dilation, groups, padding, .. } = self;
        let options = Conv2dOptions { stride, dilation, groups, padding };
        conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// What [`conv2d`] has besides its tensors; pairs are row and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Rows and columns between two outputs, at least 1.
    pub stride: [usize; 2],
    /// Rows and columns between two taps, at least 1.
    pub dilation: [usize; 2],
    /// Groups of channels that do not meet.
    pub groups: usize,
    /// What lies beyond the borders.
    pub padding: [Padding; 2],
}

impl Default for Conv2dOptions {
    /// No dilation, stride or groups; as many outputs as inputs.
    fn default() -> Self {
        Self { stride: [1, 1], dilation: [1, 1], groups: 1, padding: [Padding::Same; 2] }
    }
}

/// A convolution over images, differentiable in all three tensors. On the CPU backend the kernels of
/// [`contrastive_kernels::image`] run where there is neither a dilation nor groups, else Burn's own convolution.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use contrastive_nn::layer::{Conv2dOptions, Padding, conv2d};
///
/// let device = Device::default();
/// let x = Tensor::<4>::from_data([[[[1.0], [2.0]], [[3.0], [4.0]]]], &device);
/// let weight = Tensor::<4>::from_data([[[[1.0]], [[10.0]]]], &device); // a pixel, and ten times the one to its right
/// let y = conv2d(x, weight, None, Conv2dOptions { padding: [Padding::Valid; 2], ..Default::default() });
/// assert_eq!(y.into_data().iter::<f32>().collect::<Vec<_>>(), [21.0, 43.0]);
/// ```
///
/// # Shapes
/// - x: `[batch, height, width, input]`
/// - weight: `[kernel rows, kernel columns, input / groups, output]`
/// - bias: `[output]`
/// - output: `[batch, height', width', output]`
///
/// # Panics
/// When the shapes do not fit each other or the kernel not into the padded image.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: Conv2dOptions) -> Tensor<4> {
    let ([batch, height, width, inputs], [high, wide, inside, outputs]) = (x.dims(), weight.dims());
    let Conv2dOptions { stride, dilation, groups, padding } = options;
    let positive = [high, wide, stride[0], stride[1], dilation[0], dilation[1], groups].iter().all(|&n| n > 0);
    assert!(positive, "conv2d with a kernel of {high} x {wide} and {options:?}");
    assert!(
        inside * groups == inputs && outputs.is_multiple_of(groups),
        "conv2d of images [{batch}, {height}, {width}, {inputs}] with a weight [{high}, {wide}, {inside}, {outputs}] in {groups} groups"
    );
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "the shape of a bias for {outputs} channels");
    }
    let padding = [0, 1].map(|axis| padding[axis].of([high, wide][axis], dilation[axis]));
    let fits = |axis: usize| {
        let (before, after) = padding[axis];
        before + [height, width][axis] + after > ([high, wide][axis] - 1) * dilation[axis]
    };
    assert!(fits(0) && fits(1), "conv2d: a kernel of {high} x {wide} in images of {height} x {width} with {options:?}");
    if is_native(&x) && weight.dtype() == x.dtype() && dilation == [1, 1] && groups == 1 {
        let (image, kernel) = ([height, width], [high, wide]);
        let on = Convolution2d { batch, image, inputs, outputs, kernel, stride, padding };
        return native(on, x, weight, bias);
    }
    let on = ConvOptions { stride, padding, dilation, groups };
    let (x, weight) = (x.permute([0, 3, 1, 2]), weight.permute([3, 2, 0, 1]));
    module::conv2d(x, weight, bias, on).permute([0, 2, 3, 1])
}

fn native(on: Convolution2d, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let biased = bias.is_some();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([1], (&x.device().inner(), x.dtype())));
    let autodiff = x.is_autodiff() || weight.is_autodiff() || bias.is_autodiff();
    let (x, weight, bias) = (lifted(x, autodiff), lifted(weight, autodiff), lifted(bias, autodiff));
    let out = Dispatch::image_convolve(on, biased, x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(out)
}
