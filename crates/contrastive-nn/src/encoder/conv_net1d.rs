//! A small convolutional net over time.

use crate::SettingError;
use crate::error::Check;
use crate::layer::{Conv1d, Conv1dConfig, RowNorm};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions, activation};
use rand_chacha::ChaCha8Rng;

/// Settings of [`ConvNet1d`].
#[derive(Config, Debug, PartialEq)]
pub struct ConvNet1dConfig {
    /// Channels of the series, F.
    pub channels: usize,
    /// Channels after each convolution.
    #[config(default = "vec![32, 64, 128]")]
    pub widths: Vec<usize>,
    /// Taps of each.
    #[config(default = 5)]
    pub taps: usize,
    /// Steps between two outputs of each.
    #[config(default = 2)]
    pub stride: usize,
}

impl ConvNet1dConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When one is 0, or there are no widths.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("conv net over time");
        check.count("channels", self.channels)?;
        check.count("number of widths", self.widths.len())?;
        self.widths.iter().try_for_each(|&width| check.count("width", width))?;
        check.count("taps", self.taps)?;
        check.count("stride", self.stride)
    }

    /// The net.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<ConvNet1d, SettingError> {
        self.validate()?;
        let (on, mut input) = (on.into(), self.channels);
        let mut stages = Vec::new();
        for &width in &self.widths {
            let map = Conv1dConfig::new(input, width, self.taps).with_stride(self.stride).with_bias(false);
            stages.push(ConvStage1d { map: map.init(rng, on.clone())?, norm: RowNorm::new(width, on.clone())? });
            input = width;
        }
        Ok(ConvNet1d { stages })
    }
}

/// A convolution and its batch norm.
#[derive(Module, Debug)]
pub struct ConvStage1d {
    /// The convolution.
    pub map: Conv1d,
    /// Over series and steps.
    pub norm: RowNorm,
}

/// Convolutions over time, each with batch norm and rectifier, and the mean over what is left of time.
#[derive(Module, Debug)]
pub struct ConvNet1d {
    /// From the input to the output.
    pub stages: Vec<ConvStage1d>,
}

impl ConvNet1d {
    /// # Shapes
    /// - x: `[B, T, F]`
    /// - output: `[B, last width]`
    ///
    /// # Panics
    /// When the channels differ.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let one = |x: Tensor<3>, stage: &ConvStage1d| activation::relu(stage.norm.forward(stage.map.forward(x)));
        let x = self.stages.iter().fold(x, one);
        let [b, _, width] = x.dims();
        x.mean_dim(1).reshape([b, width])
    }
}
