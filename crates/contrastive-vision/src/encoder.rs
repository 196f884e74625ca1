//! Encoders of images: a small convolutional network, and a perceptron for tiny images.

use crate::VisionError;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::norm::{GhostBatchNorm, GhostBatchNormConfig};
use contrastive_data::image::ImageSet;
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{Check, State, load_module, read_safetensors, save_module, write_safetensors};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The norm after each convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Over the whole batch.
    #[default]
    Batch,
    /// Over ghosts of so many images (Hoffer et al. 2017); a batch must be a whole number of them.
    Ghost(usize),
    /// None.
    None,
}

/// Which encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// Linear maps on the pixels, a rectifier after each.
    Mlp {
        /// Widths of the outputs.
        widths: Vec<usize>,
    },
    /// Convolutions of 3 x 3 with stride 2, each followed by a norm and a rectifier, and the mean over positions at the end.
    Conv {
        /// Channels of the outputs.
        widths: Vec<usize>,
        /// The norm.
        norm: Norm,
    },
}

impl EncoderConfig {
    /// Linear maps to these widths.
    pub fn mlp(widths: &[usize]) -> Self {
        Self::Mlp { widths: widths.to_vec() }
    }

    /// Convolutions to these channels, with batch norm.
    pub fn conv(widths: &[usize]) -> Self {
        Self::Conv { widths: widths.to_vec(), norm: Norm::Batch }
    }

    /// With another norm; nothing for a perceptron, which has none.
    #[must_use]
    pub fn with_norm(self, norm: Norm) -> Self {
        match self {
            Self::Conv { widths, .. } => Self::Conv { widths, norm },
            other => other,
        }
    }

    /// Width of the embeddings; 0 without a layer.
    pub fn width(&self) -> usize {
        let (Self::Mlp { widths } | Self::Conv { widths, .. }) = self;
        widths.last().copied().unwrap_or(0)
    }

    /// Checks the widths and the norm, the latter for batches of so many images.
    ///
    /// # Errors
    /// When there is no layer or one of width 0, and for a batch that is no whole number of ghosts.
    pub fn validate(&self, batch: usize) -> Result<(), VisionError> {
        let (Self::Mlp { widths } | Self::Conv { widths, .. }) = self;
        Check::new("encoder").widths(widths)?;
        if let Self::Conv { norm: Norm::Ghost(ghost), .. } = self {
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
        let ghost = if let Self::Conv { norm: Norm::Ghost(ghost), .. } = self { *ghost } else { 1 };
        self.validate(ghost)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let initial = Initial::KaimingNormal;
        let mut encoder = Encoder { maps: Vec::new(), blocks: Vec::new() };
        match self {
            Self::Mlp { widths } => {
                let mut from = shape.iter().product();
                for &to in widths {
                    let map = LinearConfig::new(from, to).with_initial(initial);
                    encoder.maps.push(map.init(&mut rng, (&on.0, on.1))?);
                    from = to;
                }
            }
            Self::Conv { widths, norm } => {
                let mut from = shape[0];
                for &to in widths {
                    let config = Conv2dConfig::new([from, to], [3, 3])
                        .with_stride([2, 2])
                        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                        .with_bias(*norm == Norm::None);
                    let mut conv = config.init(&on.0);
                    conv.weight = initial.param([to, from, 3, 3], [9 * from, 9 * to], &mut rng, (&on.0, on.1));
                    if conv.bias.is_some() {
                        conv.bias = Some(contrastive_nn::init::constant(0.0, [to], (&on.0, on.1)));
                    }
                    let batch = (*norm == Norm::Batch).then(|| BatchNormConfig::new(to).init(&on.0));
                    let ghosts = match norm {
                        Norm::Ghost(ghost) => {
                            Some(GhostBatchNormConfig::new(to).with_ghost(*ghost).init((&on.0, on.1))?)
                        }
                        _ => None,
                    };
                    encoder.blocks.push(Block { conv, batch, ghosts });
                    from = to;
                }
            }
        }
        Ok(encoder)
    }
}

#[derive(Module, Debug)]
struct Block {
    conv: Conv2d,
    batch: Option<BatchNorm>,
    ghosts: Option<GhostBatchNorm>,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        let x = match (&self.batch, &self.ghosts) {
            (Some(norm), _) => norm.forward(x),
            (_, Some(norm)) => norm.forward(x),
            _ => x,
        };
        relu(x)
    }
}

/// An encoder of images; see [`EncoderConfig`].
#[derive(Module, Debug)]
pub struct Encoder {
    maps: Vec<Linear>,
    blocks: Vec<Block>,
}

impl Encoder {
    /// Embeddings of images.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, width]`
    ///
    /// # Panics
    /// When the images do not have the channels, or for a perceptron the size, that it was made for.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        if self.maps.is_empty() {
            let map = self.feature_map(images);
            let [n, channels, height, width] = map.dims();
            return map.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels]);
        }
        let [n, c, h, w] = images.dims();
        self.maps.iter().fold(images.reshape([n, c * h * w]), |x, map| relu(map.forward(x)))
    }

    /// The feature map before the mean over positions, `[n, channels, height, width]`; of a perceptron the images themselves.
    ///
    /// # Panics
    /// When the images do not have the channels it was made for.
    pub fn feature_map(&self, images: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(images, |x, block| block.forward(x))
    }

    /// Width of the embeddings.
    pub fn width(&self) -> usize {
        match (self.maps.last(), self.blocks.last()) {
            (Some(map), _) => map.shape()[1],
            (_, Some(block)) => block.conv.weight.val().dims()[0],
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
