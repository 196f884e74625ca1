//! What can be done about a poisoned encoder.

use super::detect::Detector;
use super::measure::viewed;
use super::run::Victim;
use super::{Audit, at_epoch_start};
use crate::VisionError;
use crate::encoder::Encoder;
use crate::method::{Settings, VisionModel};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::similarity::unit_rows;
use contrastive_data::augment::Views;
use contrastive_data::image::ImageSet;
use contrastive_train::{Check, MethodConfig, OptimiserConfig, Parameters, Trainee};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fmt;

/// A mitigation, each measured by accuracy and success rate after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mitigation {
    /// The images with the highest scores of a detector are removed, 1.5 times as many as are poisoned, and the encoder trained anew.
    Removal(Detector),
    /// The encoder is trained anew with the audit's strong views.
    StrongViews,
    /// A new encoder learns the embeddings of the poisoned one on a clean share of the images.
    Distillation {
        /// The share, 0 to 1.
        share: f64,
        /// Steps.
        steps: usize,
    },
    /// The poisoned training goes on, on a clean share of the images.
    FineTuning {
        /// The share, 0 to 1.
        share: f64,
        /// Steps.
        steps: usize,
    },
    /// Nothing is trained: each image is embedded as the mean of several light views.
    Averaging {
        /// Views.
        draws: usize,
    },
}

impl fmt::Display for Mitigation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removal(detector) => write!(f, "removal by {detector}"),
            Self::StrongViews => write!(f, "strong views"),
            Self::Distillation { share, .. } => write!(f, "distillation on {:.0} %", 100.0 * share),
            Self::FineTuning { share, .. } => write!(f, "fine-tuning on {:.0} %", 100.0 * share),
            Self::Averaging { draws } => write!(f, "mean of {draws} views"),
        }
    }
}

impl Mitigation {
    pub(super) fn validate(&self, detectors: &[Detector]) -> Result<(), VisionError> {
        let check = Check::new("mitigation");
        match self {
            Self::Removal(detector) => {
                let allowed = "a detector that the audit runs";
                check.that(detectors.contains(detector), "removal by", detector, allowed)?;
            }
            Self::Distillation { share, steps } | Self::FineTuning { share, steps } => {
                check.that(*share > 0.0 && *share <= 1.0, "share", share, "0 to 1, 0 excluded")?;
                check.count("steps", *steps)?;
            }
            Self::Averaging { draws } => check.count("draws", *draws)?,
            Self::StrongViews => {}
        }
        Ok(())
    }
}

impl<S: Settings> Audit<S> {
    /// The encoder after a mitigation, and how many views of an image it is asked for.
    pub(super) fn mitigated(
        &self,
        mitigation: &Mitigation,
        victim: &Victim,
        poisoned: &ImageSet,
        rows: &[usize],
        scores: &[Vec<f64>],
        (seed, device): (u64, &Device),
    ) -> Result<(Encoder, usize), VisionError> {
        match mitigation {
            Mitigation::Removal(detector) => {
                let at = self.detectors.iter().position(|known| known == detector).expect("a checked mitigation");
                let scores = &scores[at];
                let mut order: Vec<usize> = (0..scores.len()).collect();
                order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
                let mut rest = order.split_off(rows.len() + rows.len() / 2);
                rest.sort_unstable();
                Ok((self.pretrain(&poisoned.select(&rest)?, None, seed, device, &mut |_, _| ())?.encoder, 1))
            }
            Mitigation::StrongViews => {
                let views = Views { each: vec![self.strong.clone(); self.frame.views.len()] };
                Ok((self.pretrain(poisoned, Some(views), seed, device, &mut |_, _| ())?.encoder, 1))
            }
            Mitigation::Distillation { share, steps } => {
                let clean = clean_share(poisoned, rows, *share, self.frame.training.batch_size, seed)?;
                Ok((self.distil(&victim.encoder, &clean, *steps, seed, device)?, 1))
            }
            Mitigation::FineTuning { share, steps } => {
                let clean = clean_share(poisoned, rows, *share, self.frame.training.batch_size, seed)?;
                let config = self.frame.train(self.settings.clone());
                let mut training = config.build(&clean, seed.wrapping_add(31), device)?;
                training.load_state(at_epoch_start(victim.state.clone()))?;
                for _ in 0..*steps {
                    training.train_step()?;
                }
                Ok((training.trained_model().encoder().clone(), 1))
            }
            Mitigation::Averaging { draws } => Ok((victim.encoder.clone(), *draws)),
        }
    }

    /// A new encoder whose embeddings of views of clean images point where the teacher's of the images do.
    fn distil(
        &self,
        teacher: &Encoder,
        clean: &ImageSet,
        steps: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Encoder, VisionError> {
        let (plain, on) = (device.clone().inner(), (device.clone().inner().autodiff(), DType::F32));
        let student = self.frame.encoder.init(clean.shape(), seed.wrapping_add(977), &on)?;
        let mut parameters = Parameters::new(student, &OptimiserConfig::adam(), &[])?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xd15);
        let [c, h, w] = clean.shape();
        let batch = self.frame.training.batch_size.min(clean.len());
        for step in 0..steps {
            let images: Vec<usize> = (0..batch).map(|_| rng.random_range(0..clean.len())).collect();
            let pixels = viewed(clean, &images, &self.frame.views.each[0], seed ^ 0xd15, step as u64);
            let views = Tensor::<4>::from_data(TensorData::new(pixels, [batch, c, h, w]), &plain);
            let wanted = Tensor::from_inner(unit_rows(teacher.forward(views.clone())));
            let rows = unit_rows(parameters.model().forward(Tensor::from_inner(views)));
            let loss = (rows * wanted).sum_dim(1).mean().neg();
            parameters.optimizer_step(&loss, self.frame.training.learning_rate);
        }
        Ok(parameters.into_model().valid())
    }
}

/// A share of the images that are not poisoned, at least a batch of them.
fn clean_share(set: &ImageSet, rows: &[usize], share: f64, batch: usize, seed: u64) -> Result<ImageSet, VisionError> {
    let mut clean: Vec<usize> = (0..set.len()).filter(|image| rows.binary_search(image).is_err()).collect();
    clean.shuffle(&mut ChaCha8Rng::seed_from_u64(seed ^ 0xc1e));
    let count = ((share * clean.len() as f64).round() as usize).max(batch).min(clean.len());
    clean.truncate(count);
    clean.sort_unstable();
    Ok(set.select(&clean)?)
}
