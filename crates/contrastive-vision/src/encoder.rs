//! Encoders of images: a small convolutional network, and a perceptron for tiny images.

use crate::VisionError;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_data::image::ImageSet;
use contrastive_nn::encoder::{ConvNet, ConvNetConfig, channels_first};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{ChannelNorm, ChannelNormKind, Linear, LinearConfig};
use contrastive_train::{Check, State, load_module, read_safetensors, save_module, write_safetensors};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Which encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// Linear maps on the pixels, each followed by a norm, if there is one, and a rectifier.
    Mlp {
        /// Widths of the outputs.
        widths: Vec<usize>,
        /// The norm.
        #[serde(default = "no_norm")]
        norm: ChannelNormKind,
    },
    /// Convolutions of 3 x 3 with stride 2, each followed by a norm and a rectifier, and the mean over positions at the end ([`ConvNet`]).
    Conv {
        /// Channels of the outputs.
        widths: Vec<usize>,
        /// The norm.
        norm: ChannelNormKind,
    },
}

fn no_norm() -> ChannelNormKind {
    ChannelNormKind::None
}

impl EncoderConfig {
    /// Linear maps to these widths, without norms.
    pub fn mlp(widths: &[usize]) -> Self {
        Self::Mlp { widths: widths.to_vec(), norm: ChannelNormKind::None }
    }

    /// Convolutions to these channels, with batch norm.
    pub fn conv(widths: &[usize]) -> Self {
        Self::Conv { widths: widths.to_vec(), norm: ChannelNormKind::Batch }
    }

    /// With another norm.
    #[must_use]
    pub fn with_norm(self, norm: ChannelNormKind) -> Self {
        match self {
            Self::Mlp { widths, .. } => Self::Mlp { widths, norm },
            Self::Conv { widths, .. } => Self::Conv { widths, norm },
        }
    }

    /// Width of the embeddings; 0 without a layer.
    pub fn width(&self) -> usize {
        let (Self::Mlp { widths, .. } | Self::Conv { widths, .. }) = self;
        widths.last().copied().unwrap_or(0)
    }

    /// Checks the widths and the norm, the latter for batches of so many images.
    ///
    /// # Errors
    /// When there is no layer or one of width 0, and for a batch that is no whole number of ghosts.
    pub fn validate(&self, batch: usize) -> Result<(), VisionError> {
        let (Self::Mlp { widths, norm } | Self::Conv { widths, norm }) = self;
        Check::new("encoder").widths(widths)?;
        if let ChannelNormKind::Ghost(ghost) = norm {
            let good = *ghost > 1 && batch.is_multiple_of(*ghost);
            let allowed = format!("2 and more, a divisor of the batch of {batch}");
            Check::new("encoder").that(good, "ghost", ghost, allowed)?;
        }
        Ok(())
    }

    /// The encoder of images `[channels, height, width]`, its weights (normal, of variance 2 / inputs) drawn from the seed.
    ///
    /// # Errors
    /// As [`validate`](Self::validate) for any batch.
    pub fn init(&self, shape: [usize; 3], seed: u64, on: &(Device, DType)) -> Result<Encoder, VisionError> {
        let (Self::Mlp { norm, .. } | Self::Conv { norm, .. }) = self;
        self.validate(if let ChannelNormKind::Ghost(ghost) = norm { *ghost } else { 1 })?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let initial = Initial::KaimingNormal;
        let mut encoder = Encoder { maps: Vec::new(), norms: Vec::new(), net: None };
        match self {
            Self::Mlp { widths, norm } => {
                let mut from = shape.iter().product();
                for &to in widths {
                    let map = LinearConfig::new(from, to).with_initial(initial);
                    encoder.maps.push(map.init(&mut rng, (&on.0, on.1))?);
                    if !norm.is_none() {
                        encoder.norms.push(norm.init(to, (&on.0, on.1))?);
                    }
                    from = to;
                }
            }
            Self::Conv { widths, norm } => {
                let config = ConvNetConfig::halving(shape[0], widths).with_norm(*norm).with_initial(initial);
                encoder.net = Some(config.init(&mut rng, (&on.0, on.1))?);
            }
        }
        Ok(encoder)
    }
}

/// An encoder of images; see [`EncoderConfig`].
#[derive(Module, Debug)]
pub struct Encoder {
    maps: Vec<Linear>,
    norms: Vec<ChannelNorm>,
    net: Option<ConvNet>,
}

impl Encoder {
    /// Embeddings of images.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, width]`
    ///
    /// # Panics
    /// When the images do not have the channels, or for a perceptron the size, that it was made for; in training also when the batch is no
    /// whole number of ghosts.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        if let Some(net) = &self.net {
            return net.forward(images);
        }
        let [n, c, h, w] = images.dims();
        self.maps.iter().enumerate().fold(images.reshape([n, c * h * w]), |x, (layer, map)| {
            let x = map.forward(x);
            match self.norms.get(layer) {
                Some(norm) => norm.forward_relu(x),
                None => relu(x),
            }
        })
    }

    /// The feature map before the mean over positions, `[n, channels, height, width]`; of a perceptron the images themselves.
    ///
    /// # Panics
    /// When the images do not have the channels it was made for.
    pub fn feature_map(&self, images: Tensor<4>) -> Tensor<4> {
        match &self.net {
            Some(net) => channels_first(net.forward_map(images)),
            None => images,
        }
    }

    /// Number of maps or layers.
    pub fn stages(&self) -> usize {
        self.net.as_ref().map_or(self.maps.len(), |net| net.layers.len())
    }

    /// What stage `stage`, counted from 0, makes of images, `[n, its width]`; of convolutions the mean over positions.
    ///
    /// # Panics
    /// When there is no such stage, and as [`forward`](Self::forward).
    pub fn stage(&self, images: Tensor<4>, stage: usize) -> Tensor<2> {
        assert!(stage < self.stages(), "stage {stage} of {}", self.stages());
        if let Some(net) = &self.net {
            let map = net.forward_maps(images).swap_remove(stage);
            let [n, height, width, channels] = map.dims();
            return map.reshape([n, height * width, channels]).mean_dim(1).reshape([n, channels]);
        }
        let part = Self { maps: self.maps[..=stage].to_vec(), norms: self.norms.clone(), net: None };
        part.forward(images)
    }

    /// Width of the embeddings.
    pub fn width(&self) -> usize {
        match (&self.net, self.maps.last()) {
            (Some(net), _) => net.width(),
            (_, Some(map)) => map.shape()[1],
            _ => 0,
        }
    }
}

/// The embeddings of all images of a set, `[n, width]`, by an encoder outside of autodiff, 512 images at a time.
///
/// # Errors
/// [`VisionError::Images`] when an embedding is not finite.
///
/// # Panics
/// As [`Encoder::forward`].
pub fn embed(encoder: &Encoder, set: &ImageSet, device: &Device) -> Result<Array2<f32>, VisionError> {
    let device = device.clone().inner();
    let [c, h, w] = set.shape();
    let (mut all, white) = (Vec::with_capacity(set.len() * encoder.width()), f32::from(set.white()));
    for start in (0..set.len()).step_by(512) {
        let range = start..(start + 512).min(set.len());
        let shape = [range.len(), c, h, w];
        let pixels: Vec<f32> = range.flat_map(|image| set.bytes(image)).map(|byte| f32::from(*byte) / white).collect();
        let rows = encoder.forward(Tensor::<4>::from_data(TensorData::new(pixels, shape), &device));
        all.extend(rows.into_data().iter::<f32>());
    }
    if let Some(at) = all.iter().position(|x| !x.is_finite()) {
        let id = &set.ids()[at / encoder.width()];
        return Err(VisionError::images(
            set.name(),
            format!("the embedding of image {id} is {}; it must be finite", all[at]),
        ));
    }
    Ok(Array2::from_shape_vec((set.len(), encoder.width()), all).expect("a row for each image"))
}

#[derive(Serialize, Deserialize)]
struct Saved {
    encoder: EncoderConfig,
    shape: [usize; 3],
}

/// Writes an encoder of images `[channels, height, width]`, with its settings, as a `.safetensors` file.
///
/// # Errors
/// When the file cannot be written.
pub fn save_encoder(
    path: &Path,
    encoder: &Encoder,
    config: &EncoderConfig,
    shape: [usize; 3],
) -> Result<(), VisionError> {
    let mut state = State::new();
    save_module(encoder, "encoder", &mut state);
    let saved = serde_json::to_string(&Saved { encoder: config.clone(), shape }).expect("settings are JSON");
    Ok(write_safetensors(path, &state, &BTreeMap::from([("encoder".to_string(), saved)]))?)
}

/// Reads what [`save_encoder`] wrote; gives the settings and the shape of images, too.
///
/// # Errors
/// When the file cannot be read or is damaged, and [`VisionError::NotAnEncoder`] when it holds something else.
pub fn load_encoder(path: &Path, device: &Device) -> Result<(Encoder, EncoderConfig, [usize; 3]), VisionError> {
    let (mut state, metadata) = read_safetensors(path)?;
    let wrong = |problem: String| VisionError::NotAnEncoder { path: path.into(), problem };
    let saved = metadata.get("encoder").ok_or_else(|| wrong("no settings of an encoder in it".into()))?;
    let Saved { encoder: config, shape } = serde_json::from_str(saved).map_err(|error| wrong(error.to_string()))?;
    let encoder = config.init(shape, 0, &(device.clone().inner(), DType::F32))?;
    let encoder = load_module(encoder, "encoder", &mut state).map_err(|error| wrong(error.to_string()))?;
    match state.keys().next() {
        None => Ok((encoder, config, shape)),
        Some(name) => Err(wrong(format!("{name} belongs to no part of it"))),
    }
}
