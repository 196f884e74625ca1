//! A small convolutional network.

use crate::SettingError;
use crate::error::Check;
use crate::init::Initial;
use crate::layer::{ChannelNorm, ChannelNormKind, Conv2d, Conv2dConfig, mean_positions};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use rand_chacha::ChaCha8Rng;

/// Settings of [`ConvNet`].
#[derive(Config, Debug, PartialEq)]
pub struct ConvNetConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Channels after each convolution.
    pub widths: Vec<usize>,
    /// The stride of each convolution.
    pub strides: Vec<usize>,
    /// Side of the kernels, odd; borders are padded with zeros.
    #[config(default = 3)]
    pub kernel: usize,
    /// The norm between a convolution and its rectifier.
    #[config(default = "ChannelNormKind::Batch")]
    pub norm: ChannelNormKind,
    /// How the convolutions start.
    #[config(default = "Initial::FanIn")]
    pub initial: Initial,
}

impl ConvNetConfig {
    /// Convolutions of stride 2, as many as widths.
    pub fn halving(channels: usize, widths: &[usize]) -> Self {
        Self::new(channels, widths.to_vec(), vec![2; widths.len()])
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// When there are no convolutions, not as many strides as widths, a number is 0, the kernel is even, or the groups of a group norm
    /// do not divide a width.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("conv net");
        check.count("channels", self.channels)?;
        check.that(!self.widths.is_empty(), "number of widths", 0, "1 or more")?;
        let (widths, strides) = (self.widths.len(), self.strides.len());
        check.that(widths == strides, "number of strides", strides, format!("{widths}, one for each width"))?;
        self.widths.iter().try_for_each(|&width| check.count("width", width))?;
        self.strides.iter().try_for_each(|&stride| check.count("stride", stride))?;
        check.that(self.kernel % 2 == 1, "kernel", self.kernel, "odd")?;
        check_norm(&check, self.norm, &self.widths)
    }

    /// The network, its convolutions drawn from the first to the last.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<ConvNet, SettingError> {
        self.validate()?;
        let on = on.into();
        let inputs = [self.channels].into_iter().chain(self.widths.iter().copied());
        let mut layers = Vec::new();
        for ((input, &output), &stride) in inputs.zip(&self.widths).zip(&self.strides) {
            let convolution = Conv2dConfig::new(input, output, [self.kernel; 2])
                .with_stride([stride; 2])
                .with_bias(self.norm.is_none())
                .with_initial(self.initial)
                .init(rng, on.clone())?;
            layers.push(ConvLayer { convolution, norm: self.norm.init(output, on.clone())? });
        }
        Ok(ConvNet { layers })
    }
}

/// Do the groups of a group norm divide these widths, and is no ghost empty?
pub(super) fn check_norm(check: &Check, norm: ChannelNormKind, widths: &[usize]) -> Result<(), SettingError> {
    match norm {
        ChannelNormKind::Batch | ChannelNormKind::None => Ok(()),
        ChannelNormKind::Ghost(ghost) => check.count("ghost", ghost),
        ChannelNormKind::Group(groups) => {
            let divides = groups > 0 && widths.iter().all(|width| width.is_multiple_of(groups));
            check.that(divides, "groups", groups, format!("a divisor of the widths {widths:?}"))
        }
    }
}

/// A convolution, a norm and a rectifier.
#[derive(Module, Debug)]
pub struct ConvLayer {
    /// The convolution.
    pub convolution: Conv2d,
    /// What follows it.
    pub norm: ChannelNorm,
}

/// Convolutions with norms and rectifiers, then the average over all positions.
#[derive(Module, Debug)]
pub struct ConvNet {
    /// The convolutions, from the image to the output.
    pub layers: Vec<ConvLayer>,
}

impl ConvNet {
    /// One row for each image.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, last width]`
    ///
    /// # Panics
    /// When the images have other channels, or, in training, the batch does not divide into ghosts.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        mean_positions(self.forward_map(images))
    }

    /// The last feature map, before it is pooled.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, height', width', last width]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_map(&self, images: Tensor<4>) -> Tensor<4> {
        self.forward_maps(images).pop().expect("a layer")
    }

    /// The feature map after each convolution, the channels last.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_maps(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = channels_last(images);
        let layer = |layer: &ConvLayer| {
            x = layer.norm.forward_relu(layer.convolution.forward(x.clone()));
            x.clone()
        };
        self.layers.iter().map(layer).collect()
    }

    /// Width of the output.
    pub fn width(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.convolution.weight.val().dims()[3])
    }
}

/// `[n, channels, height, width]` as `[n, height, width, channels]`; nothing is moved where there is one channel.
pub fn channels_last(images: Tensor<4>) -> Tensor<4> {
    let [n, channels, height, width] = images.dims();
    match channels {
        1 => images.reshape([n, height, width, 1]),
        _ => images.permute([0, 2, 3, 1]),
    }
}

/// `[n, height, width, channels]` as `[n, channels, height, width]`.
pub fn channels_first(images: Tensor<4>) -> Tensor<4> {
    images.permute([0, 3, 1, 2])
}
