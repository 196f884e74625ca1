//! Sets of two kinds of images, backgrounds and targets, made of others: all share an attribute, targets have one more.

use crate::VisionError;
use contrastive_data::augment::{Interpolation, resized_crop};
use contrastive_data::image::{ImageSet, Picture, overlaid};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::f32::consts::{PI, TAU};

/// Images of two kinds: half of them are targets, which have something on them.
#[derive(Clone, Debug)]
pub struct TwoKinds {
    /// The images; their labels are the attribute that both kinds have.
    pub set: ImageSet,
    /// For each image 0 (background) or 1 (target).
    pub kinds: Vec<i64>,
    /// For each image the class of what is on it; of backgrounds 0.
    pub salient: Vec<u32>,
    /// Number of these classes.
    pub salient_classes: usize,
}

impl TwoKinds {
    /// The positions of the targets.
    pub fn targets(&self) -> Vec<usize> {
        (0..self.kinds.len()).filter(|image| self.kinds[*image] == 1).collect()
    }
}

/// 1 for a random half of so many images.
fn halved(count: usize, rng: &mut ChaCha8Rng) -> Vec<i64> {
    let mut kinds: Vec<i64> = (0..count).map(|image| (image % 2) as i64).collect();
    kinds.shuffle(rng);
    kinds
}

/// Half of the images with stripes of one of four orientations (0, 45, 90 and 135 degrees; the class) and a random phase on them, a wave
/// of half the image's side: `0.5 image + 0.5 stripes`; the others are `0.5 image`. The same for a seed.
///
/// # Errors
/// When the images have several channels, or are fewer than four.
pub fn striped(set: &ImageSet, seed: u64) -> Result<TwoKinds, VisionError> {
    let [channels, height, width] = set.shape();
    check(set, channels == 1)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let kinds = halved(set.len(), &mut rng);
    let drawn: Vec<(u32, f32)> = (0..set.len()).map(|_| (rng.random_range(0..4), rng.random_range(0.0..TAU))).collect();
    let wave = TAU / (height.min(width) as f32 / 2.0);
    let stripes = |image: usize| {
        let (orientation, phase) = drawn[image];
        let (sine, cosine) = (orientation as f32 * PI / 4.0).sin_cos();
        let at = |k: usize| {
            let (x, y) = ((k % width) as f32, (k / width) as f32);
            0.5 + 0.5 * (wave * (cosine * x + sine * y) + phase).sin()
        };
        (kinds[image] == 1).then(|| Picture::new([1, height, width], (0..height * width).map(at).collect()))
    };
    let overlaid = overlaid(set, 0.5, stripes)?;
    let salient = (0..set.len()).map(|image| if kinds[image] == 1 { drawn[image].0 } else { 0 }).collect();
    Ok(TwoKinds { set: overlaid, kinds, salient, salient_classes: 4 })
}

/// Half of the images with a random one of other images (digits; its label is the class) scaled to their size on them: `0.5 image + 0.5
/// digit`; the others are `0.5 image`. The same for a seed.
///
/// # Errors
/// When the images have several channels or are fewer than four, or a digit has no label.
pub fn digits_on(set: &ImageSet, digits: &ImageSet, seed: u64) -> Result<TwoKinds, VisionError> {
    let [channels, height, width] = set.shape();
    check(set, channels == 1 && digits.shape()[0] == 1)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let kinds = halved(set.len(), &mut rng);
    let drawn: Vec<usize> = (0..set.len()).map(|_| rng.random_range(0..digits.len())).collect();
    let scaled = |image: usize| {
        let digit = digits.picture::<f32>(drawn[image]);
        let window = [0, 0, digit.height, digit.width];
        (kinds[image] == 1).then(|| resized_crop(&digit, window, [height, width], Interpolation::Bilinear, true))
    };
    let overlaid = overlaid(set, 0.5, scaled)?;
    let label = |image: usize| {
        let label = digits.label(drawn[image]).ok_or_else(|| {
            VisionError::images(digits.name(), format!("image {} has no label", digits.ids()[drawn[image]]))
        })?;
        Ok(if kinds[image] == 1 { label } else { 0 })
    };
    let salient = (0..set.len()).map(label).collect::<Result<_, VisionError>>()?;
    Ok(TwoKinds { set: overlaid, kinds, salient, salient_classes: digits.classes().len() })
}

fn check(set: &ImageSet, grey: bool) -> Result<(), VisionError> {
    match grey && set.len() >= 4 {
        true => Ok(()),
        false => {
            let what =
                format!("{} images of {} channels: 4 or more of 1 channel are needed", set.len(), set.shape()[0]);
            Err(VisionError::images(set.name(), what))
        }
    }
}
