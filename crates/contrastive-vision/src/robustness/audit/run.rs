//! The order of an audit: the clean run, which fixes thresholds, then each family at each rate.

use super::detect::Suspects;
use super::measure::{Bank, collapsed, embed_pixels, shape_of, viewed};
use super::report::{Cell, Detection, Mitigated, Report, Shape};
use super::trigger::{Trigger, finer, unlabelled};
use super::{Audit, Family};
use crate::VisionError;
use crate::encoder::{Encoder, embed};
use crate::method::{Settings, VisionModel};
use burn::tensor::Device;
use contrastive_data::augment::Views;
use contrastive_data::image::ImageSet;
use contrastive_eval::ndarray::Array2;
use contrastive_eval::scores::{precision_at, roc_auc};
use contrastive_train::{Budget, MethodConfig, State, Trainee};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A trained encoder, and the state of its training.
pub(super) struct Victim {
    pub encoder: Encoder,
    pub state: State,
}

impl<S: Settings> Audit<S> {
    /// Runs the audit on training images and test images, both labelled; labels serve the choice of what is poisoned and the scores, training
    /// sees none. `references`: images of the training part that the search draws marked ones to, of the target class.
    ///
    /// Each family at each rate costs a training, and one more for each removal and for strong views; the search another
    /// `rounds x (inner + outer)` steps. Equal seeds give equal reports.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and when a training cannot go on.
    pub fn run(
        &self,
        [train, test]: [&ImageSet; 2],
        references: &[usize],
        seed: u64,
        device: &Device,
    ) -> Result<Report, VisionError> {
        self.validate([train, test], references)?;
        let (train, test) = (finer(train)?, finer(test)?);
        let plain = device.clone().inner();
        let bank = Bank {
            train: &train,
            test: &test,
            labels: train.labelled().1,
            test_labels: test.labelled().1,
            device: plain.clone(),
        };
        let blind = unlabelled(&train)?;
        let others = bank.others(self.target);
        let clean = self.pretrain(&blind, None, seed, device, &mut |_, _| ())?;
        let scores = self.suspects(&clean.encoder, &blind, seed, &plain).scores(&self.detectors)?;
        let thresholds: Vec<f64> = scores.iter().map(|scores| high(scores, 0.05)).collect();
        let declared = *self.rates.last().expect("checked rates");
        let mut order: Vec<usize> = (0..train.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed ^ 0x0a11));
        let mut some = order[..((declared * train.len() as f64).round() as usize).max(1)].to_vec();
        some.sort_unstable();
        let null = self.detections(&scores, &some, &thresholds, train.len())?;
        let accuracy =
            bank.ask(self, &test.select(&others)?, &|set| embed(&clean.encoder, set, &plain), &others, self.target)?;

        let mut report =
            Report { clean: accuracy.accuracy, null, cells: Vec::new(), declared, margin: self.margin / 100.0 };
        for family in &self.families {
            for &rate in &self.rates {
                let cell = self.cell(
                    *family,
                    rate,
                    (&bank, &blind, &clean.encoder),
                    (references, &others, &thresholds),
                    (seed, device),
                )?;
                report
                    .cells
                    .push(Cell { collapsed: collapsed(cell.accuracy, report.clean, train.classes().len()), ..cell });
            }
        }
        Ok(report)
    }

    #[allow(clippy::too_many_lines)]
    fn cell(
        &self,
        family: Family,
        rate: f64,
        (bank, blind, clean): (&Bank<'_>, &ImageSet, &Encoder),
        (references, others, thresholds): (&[usize], &[usize], &[f64]),
        (seed, device): (u64, &Device),
    ) -> Result<Cell, VisionError> {
        let plain = &bank.device;
        let mut rows: Vec<usize> = (0..blind.len()).filter(|row| bank.labels[*row] == self.target).collect();
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed ^ 0xb01));
        rows.truncate((rate * blind.len() as f64).round() as usize);
        rows.sort_unstable();

        let (trigger, rounds) = match Trigger::fixed(family, blind.shape()) {
            Some(trigger) => (trigger, Vec::new()),
            None => self.search(blind, &rows, references, seed, device)?,
        };
        let poisoned = trigger.on(blind, &rows, seed, plain)?;
        let marked = trigger.only(bank.test, others, seed ^ 0x7e5, plain)?;
        let change = |(set, row): (&ImageSet, usize), other: (&ImageSet, usize)| {
            let pairs = set.bytes(row).iter().zip(other.0.bytes(other.1));
            pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
        };
        let of_test = others.iter().enumerate().map(|(at, row)| change((bank.test, *row), (&marked, at)));
        let of_train = rows.iter().map(|row| change((blind, *row), (&poisoned, *row)));
        let largest = of_test.chain(of_train).max().unwrap_or(0);

        let mut shapes: Vec<Shape> = Vec::new();
        let recipe = &self.frame.views.each[0];
        // without poison another seed, so that the comparison with the clean encoder says what chance does
        let own = if rows.is_empty() { seed.wrapping_add(1) } else { seed };
        let victim = self.pretrain(&poisoned, None, own, device, &mut |step, encoder| {
            shapes.push(shape_of(encoder, &poisoned, &rows, recipe, (step, seed), plain));
        })?;
        let by = |encoder: &Encoder, draws: usize| {
            bank.ask(self, &marked, &|set| self.embedded(encoder, set, draws, seed, plain), others, self.target)
        };
        let (after, before) = (by(&victim.encoder, 1)?, by(clean, 1)?);
        let scores = self.suspects(&victim.encoder, &poisoned, seed, plain).scores(&self.detectors)?;
        let detections = self.detections(&scores, &rows, thresholds, blind.len())?;
        let mut mitigated = Vec::with_capacity(self.mitigations.len());
        // there is nothing to mitigate without poison
        for mitigation in self.mitigations.iter().filter(|_| !rows.is_empty()) {
            let (encoder, draws) = self.mitigated(mitigation, &victim, &poisoned, &rows, &scores, (own, device))?;
            let found = by(&encoder, draws)?;
            mitigated.push(Mitigated { mitigation: *mitigation, accuracy: found.accuracy, success: found.success });
        }
        let small = blind.shape()[1].max(blind.shape()[2]) <= 32;
        let thumbnails = (0..marked.len().min(4)).filter(|_| small).map(|image| marked.png(image)).collect();
        Ok(Cell {
            family,
            rate,
            poisoned: rows.len(),
            accuracy: after.accuracy,
            success: after.success,
            base: before.success,
            entanglement: after.entanglement,
            collapsed: false,
            largest_change: f64::from(largest) / f64::from(blind.white()),
            shapes,
            detections,
            mitigated,
            rounds,
            thumbnails,
        })
    }

    /// A training by the recipe, or with other views; `watch` sees the encoder at four moments.
    pub(super) fn pretrain(
        &self,
        set: &ImageSet,
        views: Option<Views>,
        seed: u64,
        device: &Device,
        watch: &mut dyn FnMut(usize, &Encoder),
    ) -> Result<Victim, VisionError> {
        let mut frame = self.frame.clone();
        frame.views = views.unwrap_or(frame.views);
        let steps = match frame.training.budget {
            Budget::Steps(steps) => steps,
            Budget::Epochs(epochs) => epochs * (set.len() / frame.training.batch_size).max(1),
        };
        let mut training = frame.train(self.settings.clone()).build(set, seed, device)?;
        for step in 1..=steps {
            training.train_step()?;
            if step % (steps / 4).max(1) == 0 {
                watch(step, training.trained_model().encoder());
            }
        }
        Ok(Victim { encoder: training.trained_model().encoder().clone(), state: training.state() })
    }

    fn suspects<'a>(&'a self, encoder: &'a Encoder, set: &'a ImageSet, seed: u64, device: &'a Device) -> Suspects<'a> {
        let (light, strong, clusters) = (&self.frame.views.each[0], &self.strong, self.clusters);
        Suspects { encoder, set, light, strong, clusters, seed, device }
    }

    fn detections(
        &self,
        scores: &[Vec<f64>],
        rows: &[usize],
        thresholds: &[f64],
        n: usize,
    ) -> Result<Vec<Detection>, VisionError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut positive = vec![false; n];
        rows.iter().for_each(|row| positive[*row] = true);
        let of = |((detector, scores), threshold): ((&super::Detector, &Vec<f64>), &f64)| {
            let above = |wanted: bool| {
                let of = (0..n).filter(|row| positive[*row] == wanted);
                let count = of.clone().count().max(1);
                of.filter(|row| scores[*row] > *threshold).count() as f64 / count as f64
            };
            Ok(Detection {
                detector: *detector,
                auc: roc_auc(&positive, scores)?,
                precision: precision_at(&positive, scores, rows.len())?,
                caught: above(true),
                false_alarms: above(false),
            })
        };
        self.detectors.iter().zip(scores).zip(thresholds).map(of).collect()
    }

    /// Embeddings, or the mean of those of several light views.
    fn embedded(
        &self,
        encoder: &Encoder,
        set: &ImageSet,
        draws: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Array2<f32>, VisionError> {
        if draws < 2 {
            return embed(encoder, set, device);
        }
        let images: Vec<usize> = (0..set.len()).collect();
        let mut sum = Array2::zeros((set.len(), encoder.width()));
        for draw in 0..draws as u64 {
            let pixels = viewed(set, &images, &self.frame.views.each[0], seed ^ 0xa7e, draw);
            sum += &embed_pixels(encoder, &pixels, set.shape(), device);
        }
        Ok(sum / draws as f32)
    }
}

/// The number that this share of all are above.
fn high(scores: &[f64], share: f64) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(((1.0 - share) * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}
