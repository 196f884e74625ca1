//! Residual networks.

use super::conv_net::{channels_last, check_norm};
use crate::SettingError;
use crate::error::Check;
use crate::init::Initial;
use crate::layer::{
    ChannelNorm, ChannelNormKind, Conv2d, Conv2dConfig, Padding, Pool2dOptions, max_pool2d, mean_positions,
};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions, activation};
use rand_chacha::ChaCha8Rng;

/// How an image enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ResNetStem {
    /// A kernel of 7 at stride 2, and the maximum over windows of 3 at stride 2: a fourth of the side.
    #[default]
    ImageNet,
    /// A kernel of 3 at stride 1, nothing pooled: for images of 32 and less.
    Cifar,
}

/// What a residual block is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ResNetBlock {
    /// Two kernels of 3.
    #[default]
    Basic,
    /// Kernels of 1, 3 and 1, the last four times as wide; the stride is the middle one's, as in torchvision.
    Bottleneck,
}

impl ResNetBlock {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// Settings of [`ResNet`].
#[derive(Config, Debug, PartialEq)]
pub struct ResNetConfig {
    /// What a block is made of.
    pub block: ResNetBlock,
    /// Blocks of each stage; a stage is twice as wide as the one before, and half as high, but for the first.
    pub blocks: Vec<usize>,
    /// Channels of the images.
    #[config(default = 3)]
    pub channels: usize,
    /// Channels of the stem and of the first stage's kernels of 3.
    #[config(default = 64)]
    pub width: usize,
    /// How an image enters.
    #[config(default = "ResNetStem::ImageNet")]
    pub stem: ResNetStem,
    /// The norm after each convolution.
    #[config(default = "ChannelNormKind::Batch")]
    pub norm: ChannelNormKind,
}

impl ResNetConfig {
    /// ResNet-18: 512 features.
    pub fn resnet18() -> Self {
        Self::new(ResNetBlock::Basic, vec![2, 2, 2, 2])
    }

    /// ResNet-34: 512 features.
    pub fn resnet34() -> Self {
        Self::new(ResNetBlock::Basic, vec![3, 4, 6, 3])
    }

    /// ResNet-50: 2,048 features.
    pub fn resnet50() -> Self {
        Self::new(ResNetBlock::Bottleneck, vec![3, 4, 6, 3])
    }

    /// Features of an image.
    pub fn features(&self) -> usize {
        (self.width << self.blocks.len().saturating_sub(1)) * self.block.expansion()
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// When there are no stages or more than eight, a number is 0, or the groups of a group norm do not divide the width.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("resnet");
        check.count("channels", self.channels)?;
        check.count("width", self.width)?;
        let stages = self.blocks.len();
        check.that((1..=8).contains(&stages), "number of stages", stages, "1 to 8")?;
        self.blocks.iter().try_for_each(|&blocks| check.count("blocks", blocks))?;
        check_norm(&check, self.norm, &[self.width])
    }

    /// The network: the stem first, then block by block; weights normal of variance `2 / (outputs x kernel)`, as torchvision draws them.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<ResNet, SettingError> {
        self.validate()?;
        let mut build = Build { norm: self.norm, rng, on: on.into() };
        let [kernel, stride] = if self.stem == ResNetStem::ImageNet { [7, 2] } else { [3, 1] };
        let conv1 = build.convolution(self.channels, self.width, kernel, stride)?;
        let norm1 = build.norm(self.width)?;
        let mut input = self.width;
        let mut stages = Vec::new();
        for (s, &count) in self.blocks.iter().enumerate() {
            let width = self.width << s;
            let mut blocks = Vec::new();
            for b in 0..count {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                blocks.push(build.block(self.block, input, width, stride)?);
                input = width * self.block.expansion();
            }
            stages.push(blocks);
        }
        Ok(ResNet { conv1, norm1, stages, pooled_stem: self.stem == ResNetStem::ImageNet })
    }
}

struct Build<'a> {
    norm: ChannelNormKind,
    rng: &'a mut ChaCha8Rng,
    on: TensorCreationOptions,
}

impl Build<'_> {
    fn convolution(
        &mut self,
        input: usize,
        output: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Conv2d, SettingError> {
        let deviation = (2.0 / (output * kernel * kernel) as f64).sqrt();
        let config =
            Conv2dConfig::new(input, output, [kernel; 2]).with_stride([stride; 2]).with_bias(self.norm.is_none());
        let padding = Padding::Explicit(kernel / 2, kernel / 2);
        config.with_padding([padding; 2]).with_initial(Initial::Normal(deviation)).init(self.rng, self.on.clone())
    }

    fn norm(&self, channels: usize) -> Result<ChannelNorm, SettingError> {
        self.norm.init(channels, self.on.clone())
    }

    fn block(
        &mut self,
        kind: ResNetBlock,
        input: usize,
        width: usize,
        stride: usize,
    ) -> Result<ResidualBlock, SettingError> {
        let output = width * kind.expansion();
        let (conv1, conv2, conv3, norm3) = match kind {
            ResNetBlock::Basic => {
                (self.convolution(input, width, 3, stride)?, self.convolution(width, width, 3, 1)?, None, None)
            }
            ResNetBlock::Bottleneck => (
                self.convolution(input, width, 1, 1)?,
                self.convolution(width, width, 3, stride)?,
                Some(self.convolution(width, output, 1, 1)?),
                Some(self.norm(output)?),
            ),
        };
        let (norm1, norm2) = (self.norm(width)?, self.norm(width)?);
        let shortcut = match input != output || stride != 1 {
            true => {
                Some(Shortcut { convolution: self.convolution(input, output, 1, stride)?, norm: self.norm(output)? })
            }
            false => None,
        };
        Ok(ResidualBlock { conv1, norm1, conv2, norm2, conv3, norm3, shortcut })
    }
}

/// The way around a block whose output has another shape than its input.
#[derive(Module, Debug)]
pub struct Shortcut {
    /// A kernel of 1.
    pub convolution: Conv2d,
    /// What follows it.
    pub norm: ChannelNorm,
}

/// A residual block: convolutions with norms and rectifiers, the input added before the last rectifier.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// The first convolution.
    pub conv1: Conv2d,
    /// What follows it.
    pub norm1: ChannelNorm,
    /// The second.
    pub conv2: Conv2d,
    /// What follows it.
    pub norm2: ChannelNorm,
    /// The third, of a bottleneck.
    pub conv3: Option<Conv2d>,
    /// What follows it.
    pub norm3: Option<ChannelNorm>,
    /// The way around, where shapes differ.
    pub shortcut: Option<Shortcut>,
}

impl ResidualBlock {
    /// # Shapes
    /// - x: `[n, height, width, input]`
    /// - output: `[n, height', width', output]`
    ///
    /// # Panics
    /// When the channels differ.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let around = match &self.shortcut {
            Some(shortcut) => shortcut.norm.forward(shortcut.convolution.forward(x.clone())),
            None => x.clone(),
        };
        let inner = self.conv2.forward(self.norm1.forward_relu(self.conv1.forward(x)));
        let inner = match (&self.conv3, &self.norm3) {
            (Some(convolution), Some(norm)) => norm.forward(convolution.forward(self.norm2.forward_relu(inner))),
            _ => self.norm2.forward(inner),
        };
        activation::relu(inner + around)
    }
}

/// ResNet (He et al., 2016) as in torchvision, without the last linear map.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The stem's convolution.
    pub conv1: Conv2d,
    /// What follows it.
    pub norm1: ChannelNorm,
    /// The blocks of each stage.
    pub stages: Vec<Vec<ResidualBlock>>,
    pooled_stem: bool,
}

impl ResNet {
    /// One row for each image.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, features]`
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
    /// - output: `[n, height', width', features]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_map(&self, images: Tensor<4>) -> Tensor<4> {
        self.stages.iter().fold(self.stem(images), |x, stage| run_stage(x, stage))
    }

    /// The feature map after each stage, the channels last.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_maps(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.stem(images);
        let stage = |stage: &Vec<ResidualBlock>| {
            x = run_stage(x.clone(), stage);
            x.clone()
        };
        self.stages.iter().map(stage).collect()
    }

    fn stem(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.norm1.forward_relu(self.conv1.forward(channels_last(images)));
        if self.pooled_stem { max_pool2d(x, Pool2dOptions::stem()) } else { x }
    }
}

fn run_stage(x: Tensor<4>, stage: &[ResidualBlock]) -> Tensor<4> {
    stage.iter().fold(x, |x, block| block.forward(x))
}
