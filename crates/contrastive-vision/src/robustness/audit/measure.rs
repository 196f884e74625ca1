//! What an encoder makes of clean and of marked images.

use super::Audit;
use super::report::Shape;
use super::search::pictures;
use crate::VisionError;
use crate::encoder::Encoder;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::diagnostics::{alignment, uniformity};
use contrastive_core::similarity::unit_rows;
use contrastive_data::augment::Augmentation;
use contrastive_data::image::ImageSet;
use contrastive_eval::ndarray::{Array1, Array2, ArrayView2, Axis};
use contrastive_eval::neighbours::Knn;

/// The share of marked images that are taken for the target class, of those that are not of it; NaN where all are.
pub fn success_rate(predictions: &[u32], labels: &[u32], target: u32) -> f64 {
    let others: Vec<u32> =
        predictions.iter().zip(labels).filter(|(_, label)| **label != target).map(|(p, _)| *p).collect();
    others.iter().filter(|prediction| **prediction == target).count() as f64 / others.len() as f64
}

/// Whether an accuracy is that of an encoder which tells nothing: at most 1.5 times that of one answer for all, or below half of the clean
/// encoder's. A success rate beside it means nothing.
pub fn collapsed(accuracy: f64, clean: f64, classes: usize) -> bool {
    accuracy <= 1.5 / classes as f64 || accuracy < clean / 2.0
}

/// Embeddings of rows of pixels of images `[channels, height, width]`.
pub(super) fn embed_pixels(encoder: &Encoder, pixels: &[f32], [c, h, w]: [usize; 3], device: &Device) -> Array2<f32> {
    let n = pixels.len() / (c * h * w);
    let mut all = Vec::with_capacity(n * encoder.width());
    for part in pixels.chunks(1024 * c * h * w) {
        let shape = [part.len() / (c * h * w), c, h, w];
        let rows = encoder.forward(Tensor::<4>::from_data(TensorData::new(part.to_vec(), shape), device));
        all.extend(rows.into_data().iter::<f32>());
    }
    Array2::from_shape_vec((n, encoder.width()), all).expect("a row for each image")
}

/// The pixels of a view of each of these images; `draw` is the number of the view.
pub(super) fn viewed(set: &ImageSet, images: &[usize], recipe: &Augmentation, seed: u64, draw: u64) -> Vec<f32> {
    let view = |&image: &usize| {
        let mut rng = contrastive_data::augment::view_rng(seed, 0, image as u64, draw);
        recipe.apply(set.picture(image), &mut rng).picture.data
    };
    images.iter().flat_map(view).collect()
}

/// Rows divided by their lengths; zeros stay.
pub(super) fn units(mut rows: Array2<f32>) -> Array2<f32> {
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    rows
}

/// The clean images with their labels, by which an encoder is asked what it sees.
pub(super) struct Bank<'a> {
    pub train: &'a ImageSet,
    pub test: &'a ImageSet,
    pub labels: Vec<u32>,
    pub test_labels: Vec<u32>,
    pub device: Device,
}

/// Accuracy on clean images, success rate on marked ones, entanglement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub accuracy: f64,
    pub success: f64,
    pub entanglement: f64,
}

impl Bank<'_> {
    /// Test images that are not of the target class.
    pub fn others(&self, target: u32) -> Vec<usize> {
        (0..self.test.len()).filter(|image| self.test_labels[*image] != target).collect()
    }

    /// What `embed` makes of the bank, of the test images, and of `marked`, the test images of [`others`](Self::others) with a trigger.
    pub fn ask<S>(
        &self,
        audit: &Audit<S>,
        marked: &ImageSet,
        embed: &dyn Fn(&ImageSet) -> Result<Array2<f32>, VisionError>,
        others: &[usize],
        target: u32,
    ) -> Result<Outcome, VisionError> {
        let (bank, test, marked) = (embed(self.train)?, embed(self.test)?, embed(marked)?);
        let knn = Knn::new(audit.neighbours).with_temperature(audit.temperature);
        let classes = self.train.classes().len();
        let predict = |rows: ArrayView2<'_, f32>| -> Result<Vec<u32>, VisionError> {
            Ok(knn.classify(rows, bank.view(), &self.labels, classes)?.predictions())
        };
        let right = predict(test.view())?.iter().zip(&self.test_labels).filter(|(a, b)| a == b).count();
        let labels: Vec<u32> = others.iter().map(|image| self.test_labels[*image]).collect();
        let success = success_rate(&predict(marked.view())?, &labels, target);

        let of_target: Vec<usize> = (0..self.labels.len()).filter(|row| self.labels[*row] == target).collect();
        let centre: Array1<f32> = units(bank.select(Axis(0), &of_target)).sum_axis(Axis(0));
        let centre = &centre / centre.dot(&centre).sqrt().max(1e-12);
        let near = |rows: Array2<f32>| f64::from(units(rows).dot(&centre).mean().unwrap_or(f32::NAN));
        let entanglement = near(marked) - near(test.select(Axis(0), others));
        Ok(Outcome { accuracy: right as f64 / self.test.len() as f64, success, entanglement })
    }
}

/// Alignment of two views and uniformity, of poisoned and of clean images, at most 256 of each.
pub(super) fn shape_of(
    encoder: &Encoder,
    set: &ImageSet,
    poisoned: &[usize],
    recipe: &Augmentation,
    (step, seed): (usize, u64),
    device: &Device,
) -> Shape {
    let of = |images: Vec<usize>| -> [f64; 2] {
        if images.len() < 2 {
            return [f64::NAN; 2];
        }
        let view = |draw: u64| {
            let rows = embed_pixels(encoder, &viewed(set, &images, recipe, seed, draw), set.shape(), device);
            let shape = [rows.nrows(), rows.ncols()];
            unit_rows(Tensor::<2>::from_data(TensorData::new(rows.into_raw_vec_and_offset().0, shape), device))
        };
        let whole = unit_rows(encoder.forward(pictures(set, &images, device)));
        [alignment(&view(0), &view(1)).unwrap_or(f64::NAN), uniformity(&whole, 2.0).unwrap_or(f64::NAN)]
    };
    let clean = (0..set.len()).filter(|image| poisoned.binary_search(image).is_err());
    let every = (set.len() / 256).max(1);
    Shape {
        step,
        poisoned: of(poisoned.iter().copied().take(256).collect()),
        clean: of(clean.step_by(every).take(256).collect()),
    }
}
