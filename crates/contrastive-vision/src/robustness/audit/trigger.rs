//! Triggers: what marks a poisoned image. They live in memory, within the audit, and have no form that could be written to a file.

use super::Family;
use crate::VisionError;
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_data::image::{ImageSet, Images};
use contrastive_nn::init::Initial;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::f64::consts::PI;

/// Three convolutions of 3 x 3, which give the change of an image before its bound.
#[derive(Module, Debug)]
pub(super) struct Generator {
    layers: Vec<Conv2d>,
}

impl Generator {
    pub fn new(channels: usize, width: usize, seed: u64, on: &(Device, DType)) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let layer = |[from, to]: [usize; 2]| {
            let config = Conv2dConfig::new([from, to], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(true);
            let mut conv = config.init(&on.0);
            conv.weight = Initial::KaimingNormal.param([to, from, 3, 3], [9 * from, 9 * to], &mut rng, (&on.0, on.1));
            conv.bias = Some(contrastive_nn::init::constant(0.0, [to], (&on.0, on.1)));
            conv
        };
        Self { layers: [[channels, width], [width, width], [width, channels]].map(layer).into_iter().collect() }
    }

    /// `clip(x + budget tanh(h(x)))`, images `[n, channels, height, width]`.
    pub fn forward(&self, images: Tensor<4>, budget: f64) -> Tensor<4> {
        let last = self.layers.len() - 1;
        let hidden = self.layers[..last].iter().fold(images.clone(), |x, layer| relu(layer.forward(x)));
        (images + tanh(self.layers[last].forward(hidden)) * budget).clamp(0.0, 1.0)
    }
}

/// A trigger, ready to be put on images.
#[derive(Debug)]
pub(super) enum Trigger {
    /// A square of white pixels; in the corner, or at a place drawn for each image.
    Patch { side: usize, random: bool },
    /// Numbers added to every image.
    Pattern(Vec<f32>),
    /// What a network adds, within a budget.
    Optimised { generator: Generator, budget: f64 },
}

impl Trigger {
    /// That of a family which needs no search.
    pub fn fixed(family: Family, shape: [usize; 3]) -> Option<Self> {
        match family {
            Family::Patch { side, random } => Some(Self::Patch { side, random }),
            Family::Frequency { magnitude } => Some(Self::Pattern(waves(shape, magnitude))),
            Family::Optimised => None,
        }
    }

    /// These images of a set with the trigger, as bytes. No pixel leaves the range, and none of an optimised trigger changes by more than the
    /// budget.
    pub fn bytes(&self, set: &ImageSet, rows: &[usize], seed: u64, device: &Device) -> Vec<Vec<u8>> {
        let ([channels, height, width], white) = (set.shape(), f32::from(set.white()));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Patch { side, random } => {
                let mut patched = |&row: &usize| {
                    let mut bytes = set.bytes(row).to_vec();
                    let [top, left] = [height - side, width - side]
                        .map(|free| if *random { rng.random_range(0..=free) } else { free });
                    for channel in 0..channels {
                        for (y, x) in (0..side * side).map(|at| (top + at / side, left + at % side)) {
                            bytes[(channel * height + y) * width + x] = set.white();
                        }
                    }
                    bytes
                };
                rows.iter().map(&mut patched).collect()
            }
            Self::Pattern(pattern) => {
                let add = |(byte, more): (&u8, &f32)| (f32::from(*byte) + more * white).round().clamp(0.0, white) as u8;
                rows.iter().map(|row| set.bytes(*row).iter().zip(pattern).map(add).collect()).collect()
            }
            Self::Optimised { generator, budget } => {
                let size = channels * height * width;
                let mut all = Vec::with_capacity(rows.len());
                for part in rows.chunks(512) {
                    let before: Vec<u8> = part.iter().flat_map(|row| set.bytes(*row)).copied().collect();
                    let pixels: Vec<f32> = before.iter().map(|byte| f32::from(*byte) / white).collect();
                    let images = TensorData::new(pixels, [part.len(), channels, height, width]);
                    let after = generator.forward(Tensor::from_data(images, device), *budget).into_data();
                    // towards the image, so that rounding keeps the budget
                    let rounded = |(pixel, byte): (f32, &u8)| {
                        let (value, byte) = (pixel * white, f32::from(*byte));
                        if value > byte { (value + 1e-3).floor() as u8 } else { (value - 1e-3).ceil().max(0.0) as u8 }
                    };
                    let bytes: Vec<u8> = after.iter::<f32>().zip(&before).map(rounded).collect();
                    all.extend(bytes.chunks(size).map(<[u8]>::to_vec));
                }
                all
            }
        }
    }

    /// The set with the trigger on these images.
    pub fn on(&self, set: &ImageSet, rows: &[usize], seed: u64, device: &Device) -> Result<ImageSet, VisionError> {
        let mut images = parts(set);
        let size: usize = set.shape().iter().product();
        for (row, bytes) in rows.iter().zip(self.bytes(set, rows, seed, device)) {
            images.pixels[row * size..][..size].copy_from_slice(&bytes);
        }
        Ok(ImageSet::new(images)?)
    }

    /// These images of a set alone, with the trigger.
    pub fn only(&self, set: &ImageSet, rows: &[usize], seed: u64, device: &Device) -> Result<ImageSet, VisionError> {
        let mut images = parts(&set.select(rows)?);
        images.pixels = self.bytes(set, rows, seed, device).concat();
        Ok(ImageSet::new(images)?)
    }
}

/// CTRL's two waves (Li et al. 2023): the cosines of the middle and the highest frequency of a window, on the colour differences, or on the
/// only channel. The window is 32 pixels or the image.
fn waves([channels, height, width]: [usize; 3], magnitude: f64) -> Vec<f32> {
    let window = height.min(width).min(32);
    let wave = |k: usize, at: usize| {
        let scale = if k == 0 { 1.0 / window as f64 } else { 2.0 / window as f64 }.sqrt();
        scale * (PI * (2 * (at % window) + 1) as f64 * k as f64 / (2 * window) as f64).cos()
    };
    let (middle, high) = ((window - 1) / 2, window - 1);
    let at = |y: usize, x: usize| magnitude * (wave(middle, y) * wave(middle, x) + wave(high, y) * wave(high, x));
    // red, green and blue for one unit of both colour differences (ITU-R BT.601)
    let share = |channel: usize| if channels == 1 { 1.0 } else { [1.403, -0.714 - 0.344, 1.773][channel] };
    let pixel = |channel: usize, place: usize| (share(channel) * at(place / width, place % width)) as f32;
    (0..channels * height * width).map(|place| pixel(place / (height * width), place % (height * width))).collect()
}

/// What a set is made of.
pub(super) fn parts(set: &ImageSet) -> Images {
    Images {
        name: set.name().into(),
        shape: set.shape(),
        white: set.white(),
        pixels: (0..set.len()).flat_map(|image| set.bytes(image)).copied().collect(),
        labels: (0..set.len()).map(|image| set.label(image).map_or(-1, |label| label as i32)).collect(),
        classes: set.classes().to_vec(),
        ids: set.ids().to_vec(),
        notes: Vec::new(),
    }
}

/// The same images with as many levels as a byte has room for: small changes are not lost to rounding.
pub(super) fn finer(set: &ImageSet) -> Result<ImageSet, VisionError> {
    let factor = 255 / set.white();
    let mut images = parts(set);
    images.white *= factor;
    images.pixels.iter_mut().for_each(|byte| *byte *= factor);
    Ok(ImageSet::new(images)?)
}

/// The same images without labels and classes: what training gets to see.
pub(super) fn unlabelled(set: &ImageSet) -> Result<ImageSet, VisionError> {
    let mut images = parts(set);
    images.labels.fill(-1);
    images.classes.clear();
    Ok(ImageSet::new(images)?)
}
