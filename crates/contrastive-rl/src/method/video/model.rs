//! The networks: an encoder, and what a loss needs on top of it.

use super::training::{Pictures, VideoConfig, VideoObjective};
use crate::error::RlError;
use crate::world::grid::MOVES;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::host::to_array;
use contrastive_nn::Pass;
use contrastive_nn::encoder::{ConvNet, ConvNetConfig, Mlp, MlpConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{ChannelNormKind, Embedding, EmbeddingConfig};
use contrastive_train::TrainError;
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Width of the embedding of k.
const STEP_WIDTH: usize = 32;

/// An encoder, and a decoder or a classifier of moves.
#[derive(Module, Debug)]
pub struct VideoModel {
    /// Frames to feature maps, where frames are pictures.
    pub convolutions: Option<ConvNet>,
    /// Frames, or their feature maps, to features.
    pub encoder: Mlp,
    /// Features to frames or moves.
    pub head: Option<Mlp>,
    /// k to a vector, where there is more than one k.
    pub steps: Option<Embedding>,
}

impl VideoModel {
    /// Weights as in PyTorch's linear layers, from a seed.
    ///
    /// # Errors
    /// When a width is 0.
    pub fn new(config: &VideoConfig, frame: usize, seed: u64, device: &Device) -> Result<Self, RlError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        let map = |widths: Vec<usize>, rng: &mut ChaCha8Rng| {
            MlpConfig::new(widths).with_initial(Initial::FanIn).init(rng, device).map_err(TrainError::trainee)
        };
        let convolutions = match &config.pictures {
            None => None,
            Some(Pictures { channels, .. }) => {
                let net = ConvNetConfig::halving(1, channels).with_norm(ChannelNormKind::None);
                let net = net.with_initial(Initial::KaimingNormal).init(&mut rng, device);
                Some(net.map_err(TrainError::trainee)?)
            }
        };
        let mut widths = vec![config.pictures.as_ref().map_or(frame, Pictures::features)];
        widths.extend(&config.hidden);
        widths.push(config.dim);
        let extra = if config.max_k > 1 { STEP_WIDTH } else { 0 };
        let head = match config.objective {
            VideoObjective::Autoencoder => Some(vec![config.dim, frame]),
            VideoObjective::Forward => Some(vec![config.dim + extra, frame]),
            VideoObjective::Contrast { .. } => None,
            VideoObjective::Acro => Some(vec![2 * config.dim + extra, 64, MOVES]),
        };
        let wants_k = extra > 0 && matches!(config.objective, VideoObjective::Forward | VideoObjective::Acro);
        Ok(Self {
            convolutions,
            encoder: map(widths, &mut rng)?,
            head: head.map(|widths| map(widths, &mut rng)).transpose()?,
            steps: wants_k
                .then(|| EmbeddingConfig::new(config.max_k + 1, STEP_WIDTH).init(&mut rng, device))
                .transpose()
                .map_err(TrainError::trainee)?,
        })
    }

    /// `[n, dim]` of frames `[n, width]`.
    ///
    /// # Panics
    /// When frames are pictures and the width is not that of the side they were made for.
    pub fn encode(&self, frames: Tensor<2>) -> Tensor<2> {
        let frames = match &self.convolutions {
            None => frames,
            Some(net) => {
                let [n, width] = frames.dims();
                let side = width.isqrt();
                assert_eq!(side * side, width, "frames of {width} numbers are no square pictures");
                net.forward_map(frames.reshape([n, 1, side, side])).flatten(1, 3)
            }
        };
        self.encoder.forward(frames, &mut Pass::evaluation())
    }

    /// What the head makes of features and, where there are several, of the number of steps between the frames.
    ///
    /// # Panics
    /// When the objective has no head.
    pub(super) fn predict(&self, features: Tensor<2>, k: &[usize]) -> Tensor<2> {
        let features = match &self.steps {
            Some(table) => {
                let k: Vec<u32> = k.iter().map(|k| *k as u32).collect();
                Tensor::cat(vec![features, table.forward(&k)], 1)
            }
            None => features,
        };
        self.head.as_ref().expect("the objective has a head").forward(features, &mut Pass::evaluation())
    }
}

/// The features `[n, dim]` of frames `[n, width]`, in blocks; of unit length where the training compares cosines (`unit`).
pub fn embed(model: &VideoModel, frames: ArrayView2<'_, f32>, unit: bool) -> Array2<f32> {
    let device = model.encoder.maps[0].weight.val().inner().device();
    let mut out = Array2::zeros((0, model.encoder.maps.last().map_or(0, |map| map.shape()[1])));
    for block in frames.axis_chunks_iter(ndarray::Axis(0), 4096) {
        let (n, d) = block.dim();
        let values: Vec<f32> = block.iter().copied().collect();
        let features = to_array(&model.encode(Tensor::from_data(TensorData::new(values, [n, d]), &device)));
        out.append(ndarray::Axis(0), features.view()).expect("blocks of one width");
    }
    if unit {
        for mut row in out.rows_mut() {
            let length = row.dot(&row).sqrt().max(1e-12);
            row /= length;
        }
    }
    out
}
