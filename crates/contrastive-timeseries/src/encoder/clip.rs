//! Encoders of whole clips: one vector for a series, and a projection of it.

use crate::data::{Series, SeriesError};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorCreationOptions, TensorData};
use contrastive_nn::encoder::{ConvNet1d, ConvNet1dConfig, Mlp, MlpConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Directions, Gru, GruConfig, RowNorm};
use contrastive_nn::{Pass, SettingError};
use ndarray::{Array2, ArrayView3, Axis};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What makes a vector of a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClipNet {
    /// Batch norm of the channels, then gated recurrent units (HaLP: both ways, 3 layers, 1,024 wide): the last states of the last layer.
    Recurrent {
        /// Width of a direction.
        hidden: usize,
        /// Layers.
        layers: usize,
        /// Both ways, or the released code's stepping.
        directions: Directions,
    },
    /// A small convolutional net, averaged over time.
    Convolutional {
        /// Channels after each convolution.
        widths: Vec<usize>,
        /// Taps of each.
        taps: usize,
        /// Stride of each.
        stride: usize,
    },
}

impl ClipNet {
    /// HaLP's.
    pub const HALP: Self = Self::Recurrent { hidden: 1024, layers: 3, directions: Directions::Both };

    /// Three convolutions of 5 taps and stride 2.
    pub fn small() -> Self {
        Self::Convolutional { widths: vec![32, 64, 128], taps: 5, stride: 2 }
    }
}

/// Settings of a [`ClipEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct ClipEncoderConfig {
    /// The net.
    #[config(default = "ClipNet::HALP")]
    pub net: ClipNet,
    /// Width of the projection, behind a hidden layer as wide as the features.
    #[config(default = 128)]
    pub projection: usize,
}

/// Clips `[B, T, F]` to features, and those to what is contrasted.
#[derive(Module, Debug)]
pub struct ClipEncoder {
    /// Of the channels, before a recurrent net.
    pub norm: Option<RowNorm>,
    /// The recurrent net.
    pub recurrent: Option<Gru>,
    /// Or the convolutional one.
    pub convolutional: Option<ConvNet1d>,
    /// Two layers.
    pub head: Mlp,
}

impl ClipEncoderConfig {
    /// An encoder of series of so many channels.
    ///
    /// # Errors
    /// When a width is 0, or there are no layers.
    pub fn init(
        &self,
        channels: usize,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<ClipEncoder, SettingError> {
        let on = on.into();
        let (norm, recurrent, convolutional, width) = match &self.net {
            ClipNet::Recurrent { hidden, layers, directions } => {
                let config = GruConfig::new(channels, *hidden).with_layers(*layers).with_directions(*directions);
                let net = config.init(rng, on.clone())?;
                let width = net.width();
                (Some(RowNorm::new(channels, on.clone())?), Some(net), None, width)
            }
            ClipNet::Convolutional { widths, taps, stride } => {
                let config = ConvNet1dConfig::new(channels).with_widths(widths.clone()).with_taps(*taps);
                let net = config.with_stride(*stride).init(rng, on.clone())?;
                (None, None, Some(net), widths.last().copied().unwrap_or(0))
            }
        };
        let head = MlpConfig::new(vec![width, width, self.projection]).with_initial(Initial::FanIn);
        Ok(ClipEncoder { norm, recurrent, convolutional, head: head.init(rng, on)? })
    }
}

impl ClipEncoder {
    /// What is used afterwards, `[B, D]`.
    ///
    /// # Panics
    /// When the channels differ.
    pub fn features(&self, x: Tensor<3>) -> Tensor<2> {
        let x = self.norm.as_ref().map_or_else(|| x.clone(), |norm| norm.forward(x.clone()));
        match (&self.recurrent, &self.convolutional) {
            (Some(net), _) => net.forward(x).summary(),
            (None, Some(net)) => net.forward(x),
            (None, None) => unreachable!("an encoder has one of the two nets"),
        }
    }

    /// What is contrasted, `[B, projection]`, not normalised.
    ///
    /// # Panics
    /// When the channels differ.
    pub fn project(&self, x: Tensor<3>) -> Tensor<2> {
        self.head.forward(self.features(x), &mut Pass::evaluation())
    }
}

/// `[B, T, F]` on a device.
pub(crate) fn clips(values: ArrayView3<'_, f32>, device: &Device) -> Tensor<3> {
    let (b, t, f) = values.dim();
    Tensor::from_data(TensorData::new(values.iter().copied().collect::<Vec<f32>>(), [b, t, f]), device)
}

/// The features of all clips of one length, `[clips, D]`, of an encoder outside of autodiff.
///
/// # Errors
/// When lengths differ, or a value is missing.
pub fn embed_clips(encoder: &ClipEncoder, series: &Series, device: &Device) -> Result<Array2<f32>, SeriesError> {
    series.equal_length("an encoder of clips")?;
    series.without_missing("an encoder of clips")?;
    let (data, mut all) = (series.padded(), Vec::new());
    for rows in (0..series.len()).collect::<Vec<_>>().chunks(256) {
        let x = clips(data.select(Axis(0), rows).view(), &device.clone().inner());
        all.extend(encoder.features(x).into_data().iter::<f32>());
    }
    let width = all.len() / series.len();
    Ok(Array2::from_shape_vec((series.len(), width), all).expect("a row each"))
}
