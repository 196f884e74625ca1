//! Which training images look poisoned, to an encoder that was trained on them: scores, larger for what is more suspicious. No label is seen.

use super::measure::{embed_pixels, units, viewed};
use crate::VisionError;
use crate::encoder::{Encoder, embed};
use burn::tensor::Device;
use contrastive_data::augment::Augmentation;
use contrastive_data::image::ImageSet;
use contrastive_eval::clustering::KMeans;
use contrastive_eval::ndarray::{Array2, Axis};
use contrastive_eval::outliers::{density, spectral, two_means};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fmt;

/// What looks for poisoned images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// The part along the main direction of each cluster ([`spectral`]).
    Spectral,
    /// The mean cosine with the 10 nearest images ([`density`]).
    Density,
    /// The smaller of two parts of each cluster ([`two_means`]).
    TwoMeans,
    /// How much further strong views are from their image than light ones: four of each.
    Consistency,
    /// The window that decides an image's place is put on 30 others: how many move to its cluster.
    PatchSearch,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Spectral, Self::Density, Self::TwoMeans, Self::Consistency, Self::PatchSearch];
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spectral => "spectral",
            Self::Density => "density",
            Self::TwoMeans => "two means",
            Self::Consistency => "consistency",
            Self::PatchSearch => "patch search",
        })
    }
}

/// What detectors look at.
pub(super) struct Suspects<'a> {
    pub encoder: &'a Encoder,
    /// The images that the encoder was trained on.
    pub set: &'a ImageSet,
    pub light: &'a Augmentation,
    pub strong: &'a Augmentation,
    pub clusters: usize,
    pub seed: u64,
    pub device: &'a Device,
}

/// Views of each kind that are compared.
const DRAWS: u64 = 4;
/// Images that a window is put on.
const PASTES: usize = 30;

impl Suspects<'_> {
    /// A score for each image by each of these detectors.
    pub fn scores(&self, detectors: &[Detector]) -> Result<Vec<Vec<f64>>, VisionError> {
        let rows = units(embed(self.encoder, self.set, self.device)?);
        let found = KMeans::new(self.clusters).with_restarts(3).fit(rows.view(), self.seed)?;
        let of = |detector: &Detector| -> Result<Vec<f64>, VisionError> {
            Ok(match detector {
                Detector::Spectral => spectral(rows.view(), &found.labels)?,
                Detector::Density => density(rows.view(), 10.min(rows.nrows() - 1))?,
                Detector::TwoMeans => two_means(rows.view(), &found.labels, self.seed)?,
                Detector::Consistency => self.consistency(&rows),
                Detector::PatchSearch => self.patch_search(&rows, &found.labels),
            })
        };
        detectors.iter().map(of).collect()
    }

    fn consistency(&self, rows: &Array2<f32>) -> Vec<f64> {
        let all: Vec<usize> = (0..self.set.len()).collect();
        let mut gaps = vec![0.0; all.len()];
        for (recipe, sign, first) in [(self.light, 1.0, 0), (self.strong, -1.0, DRAWS)] {
            for draw in first..first + DRAWS {
                let pixels = viewed(self.set, &all, recipe, self.seed, draw);
                let views = units(embed_pixels(self.encoder, &pixels, self.set.shape(), self.device));
                for (gap, (view, row)) in gaps.iter_mut().zip(views.rows().into_iter().zip(rows.rows())) {
                    *gap += sign * f64::from(view.dot(&row)) / DRAWS as f64;
                }
            }
        }
        gaps
    }

    fn patch_search(&self, rows: &Array2<f32>, clusters: &[u32]) -> Vec<f64> {
        let [channels, height, width] = self.set.shape();
        let (size, side) = (channels * height * width, (height.min(width) / 4).max(2).min(height.min(width)));
        let count = clusters.iter().max().map_or(1, |most| *most as usize + 1);
        let mut centres = Array2::<f32>::zeros((count, rows.ncols()));
        for (row, cluster) in rows.rows().into_iter().zip(clusters) {
            let mut centre = centres.row_mut(*cluster as usize);
            centre += &row;
        }
        let centres = units(centres);
        let nearest = |rows: Array2<f32>| -> Vec<u32> {
            let similar = units(rows).dot(&centres.t());
            let best =
                |row: ndarray::ArrayView1<'_, f32>| (1..row.len()).fold(0, |a, b| if row[b] > row[a] { b } else { a });
            similar.rows().into_iter().map(|row| best(row) as u32).collect()
        };
        let pixels: Vec<f32> = self.set.rows().into_iter().collect();
        let mean = Array2::from_shape_vec((self.set.len(), size), pixels.clone())
            .expect("whole rows")
            .mean_axis(Axis(0))
            .expect("rows");
        let mut order: Vec<usize> = (0..self.set.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed ^ 0x9a7));
        let bases = &order[..PASTES.min(order.len())];
        let near = nearest(rows.clone());
        let places: Vec<[usize; 2]> = (0..=height - side)
            .step_by(side)
            .chain([height - side])
            .flat_map(|top| (0..=width - side).step_by(side).chain([width - side]).map(move |left| [top, left]))
            .collect();
        let window = |[top, left]: [usize; 2]| {
            (0..channels * side * side).map(move |at| {
                let (channel, place) = (at / (side * side), at % (side * side));
                (channel * height + top + place / side) * width + left + place % side
            })
        };
        let score = |image: usize| {
            let own = &pixels[image * size..][..size];
            let mut hidden = Vec::with_capacity(places.len() * size);
            for place in &places {
                let start = hidden.len();
                hidden.extend_from_slice(own);
                window(*place).for_each(|at| hidden[start + at] = mean[at]);
            }
            let seen = units(embed_pixels(self.encoder, &hidden, self.set.shape(), self.device)).dot(&rows.row(image));
            let salient = (1..places.len()).fold(0, |a, b| if seen[b] < seen[a] { b } else { a });
            let mut pasted = Vec::with_capacity(bases.len() * size);
            for base in bases {
                let start = pasted.len();
                pasted.extend_from_slice(&pixels[base * size..][..size]);
                window(places[salient]).for_each(|at| pasted[start + at] = own[at]);
            }
            let after = nearest(embed_pixels(self.encoder, &pasted, self.set.shape(), self.device));
            let moved =
                after.iter().zip(bases).filter(|(after, base)| **after == near[image] && near[**base] != near[image]);
            moved.count() as f64 / bases.len() as f64
        };
        (0..self.set.len()).map(score).collect()
    }
}
