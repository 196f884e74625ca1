//! Real and generated images together, and how many copies of the real ones to take.

use crate::VisionError;
use contrastive_data::image::{ImageSet, Images};
use contrastive_eval::ndarray::{Array2, ArrayView2, Axis, concatenate};
use contrastive_eval::neighbours::Knn;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Real images, then generated ones, which have no label whatever theirs was: positions as [`MixedSource`] draws them.
///
/// [`MixedSource`]: contrastive_core::sampler::MixedSource
///
/// # Errors
/// When the shapes or the bytes that stand for white differ.
pub fn inflated(real: &ImageSet, generated: &ImageSet) -> Result<ImageSet, VisionError> {
    if real.shape() != generated.shape() || real.white() != generated.white() {
        let of = |set: &ImageSet| format!("{:?} with white {}", set.shape(), set.white());
        let what = format!("generated images of {} for real ones of {}: both must be alike", of(generated), of(real));
        return Err(VisionError::images(generated.name(), what));
    }
    let sets = [real, generated];
    let all = || sets.into_iter().flat_map(|set| (0..set.len()).map(move |image| (set, image)));
    let mut labels: Vec<i32> = (0..real.len()).map(|image| real.label(image).map_or(-1, |l| l as i32)).collect();
    labels.resize(real.len() + generated.len(), -1);
    let generated_ids = generated.ids().iter().map(|id| format!("generated {id}"));
    Ok(ImageSet::new(Images {
        name: format!("{} with {} generated", real.name(), generated.len()),
        shape: real.shape(),
        white: real.white(),
        pixels: all().flat_map(|(set, image)| set.bytes(image).to_vec()).collect(),
        labels,
        classes: real.classes().to_vec(),
        ids: real.ids().iter().cloned().chain(generated_ids).collect(),
        notes: real.notes().to_vec(),
    })?)
}

/// The labels of a set for a sampler of classes.
///
/// # Errors
/// When an image has none, as generated ones have not.
pub fn class_labels(set: &ImageSet) -> Result<Vec<i64>, VisionError> {
    let label = |image: usize| {
        set.label(image).map(i64::from).ok_or_else(|| {
            let what = format!("image {} has no label: a sampler of classes needs all", set.ids()[image]);
            VisionError::images(set.name(), what)
        })
    };
    (0..set.len()).map(label).collect()
}

/// `count` images drawn from a Gaussian model of a set, each pixel with the mean and deviation that it has there, as a generator for
/// studies: the good one, or with `poor` one whose pixels are also shuffled in each image.
///
/// # Errors
/// When there is nothing to draw.
pub fn noise_images(set: &ImageSet, count: usize, poor: bool, seed: u64) -> Result<ImageSet, VisionError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = set.rows();
    let (mean, deviation) = (rows.mean_axis(Axis(0)).expect("an image"), rows.std_axis(Axis(0), 0.0));
    let white = f32::from(set.white());
    let mut pixels = Vec::with_capacity(count * mean.len());
    for _ in 0..count {
        let mut image: Vec<u8> = mean
            .iter()
            .zip(&deviation)
            .map(|(mean, deviation)| {
                let (u, v): (f32, f32) = (rng.random(), rng.random());
                let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos();
                ((mean + deviation * normal).clamp(0.0, 1.0) * white).round() as u8
            })
            .collect();
        if poor {
            image.shuffle(&mut rng);
        }
        pixels.extend(image);
    }
    Ok(ImageSet::new(Images {
        name: format!("a Gaussian model of {}", set.name()),
        shape: set.shape(),
        white: set.white(),
        pixels,
        labels: vec![-1; count],
        classes: Vec::new(),
        ids: (0..count).map(|image| format!("draw {image}")).collect(),
        notes: Vec::new(),
    })?)
}

/// The two-sample score of real and generated features, `[n, d]` and `[m, d]`, after Schilling (1986): of equally many rows of both sides,
/// the share of each side's rows whose side a vote of their `k` nearest others finds, and how far the two shares lie from a half in
/// the mean. 0.5 when nobody can tell them apart, 1 when they lie apart. (The plain share is 0.5 as well where one side is noisy: in many
/// dimensions the nearest of a noisy row are then rows of the other side, which are all found, and its own never.)
///
/// # Errors
/// When there are too few rows for the neighbours, the widths differ, or a number is not finite.
pub fn distinguishable(
    real: ArrayView2<'_, f32>,
    generated: ArrayView2<'_, f32>,
    k: usize,
    seed: u64,
) -> Result<f64, VisionError> {
    let count = real.nrows().min(generated.nrows());
    if real.ncols() != generated.ncols() {
        let what = format!("generated features of width {} for real ones of {}", generated.ncols(), real.ncols());
        return Err(VisionError::images("two samples", what));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut some = |rows: ArrayView2<'_, f32>| -> Array2<f32> {
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        order.shuffle(&mut rng);
        rows.select(Axis(0), &order[..count])
    };
    let all = concatenate(Axis(0), &[some(real).view(), some(generated).view()]).expect("rows of one width");
    let sides: Vec<u32> = (0..2 * count).map(|row| u32::from(row >= count)).collect();
    let votes = Knn::new(k).with_equal_votes().leave_one_out(all.view(), &sides, 2)?;
    let found = |side: u32| {
        let right = votes.predictions().iter().zip(&sides).filter(|(vote, of)| **of == side && *vote == *of).count();
        (right as f64 / count as f64 - 0.5).abs()
    };
    Ok(0.5 + (found(0) + found(1)) / 2.0)
}

/// What [`advice`] advises.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Copies of each real image.
    pub replicate: usize,
    /// The share of draws that are real.
    pub share: f64,
    /// Strength of the views, 0 (weak) to 1 (strong), as [`presets::adainf`] takes it.
    ///
    /// [`presets::adainf`]: contrastive_data::augment::presets::adainf
    pub strength: f64,
    /// Why, in a sentence.
    pub reason: String,
}

/// Copies and strength for so many real and generated images. Without a [two-sample score](distinguishable) the paper's 10 copies; with
/// one, so many that a third of the draws is real where nobody can tell the generated images (the paper's share on CIFAR-10) and two thirds
/// where anyone can. Views get weaker with the images there are: strong without generated ones, weak from 10 for each real one on. The rule
/// for the copies follows the paper's remark that worse generators want more of them; its numbers are this crate's.
///
/// # Errors
/// When there are no real images, or the score is not within 0 and 1.
pub fn advice(real: usize, generated: usize, score: Option<f64>) -> Result<Advice, VisionError> {
    if real == 0 {
        return Err(VisionError::images("real images", "none: what is evaluated must be seen in training"));
    }
    if let Some(score) = score.filter(|score| !(0.0..=1.0).contains(score)) {
        return Err(VisionError::images("two samples", format!("a score of {score}: allowed is 0 to 1")));
    }
    let ratio = generated as f64 / real as f64;
    let wanted = score.map(|score| 1.0 / 3.0 + (2.0 * score - 1.0).max(0.0) / 3.0);
    let replicate = match (generated, wanted) {
        (0, _) => 1,
        (_, Some(share)) => ((ratio * share / (1.0 - share)).round() as usize).max(1),
        (_, None) => 10,
    };
    let share = (replicate * real) as f64 / (replicate * real + generated) as f64;
    let strength = 1.0 - (1.0 + ratio).log(11.0).min(1.0);
    let reason = match (generated, score) {
        (0, _) => "no generated images: plain training with strong views".to_string(),
        (_, Some(score)) if score > 0.9 => format!(
            "{:.0} % of the images are told apart: compare with a training without generated images, which may be better",
            100.0 * score
        ),
        (_, Some(score)) => format!("{:.0} % of the images are told apart", 100.0 * score),
        (_, None) => "without a two-sample score the paper's 10 copies".to_string(),
    };
    Ok(Advice { replicate, share, strength, reason })
}
