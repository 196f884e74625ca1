//! AdaInf.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::Tensor;
use contrastive_core::objective::{Inputs, NtXent, PairObjective};
use contrastive_core::pairs::{Exclusions, Pairs};
use contrastive_core::sampler::{Copies, MixedSource};
use contrastive_data::image::ImageSet;
use contrastive_train::{Batches, Budget, Check, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// AdaInf (Wang et al. 2024): any method on real and generated images, the real ones so many times. The images are those of
/// [`inflated`](crate::data::inflated); the views, which should be weaker than without generated images, are the frame's
/// ([`presets::adainf`](contrastive_data::augment::presets::adainf)). The budget is in steps, so that generated images are no reason to train
/// longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaInfConfig<S> {
    /// The method.
    pub host: S,
    /// Real images: the first so many of the set.
    pub real: usize,
    /// Copies of each (paper: 10; 1 is plain inflation; 0 leaves the real ones out, which [`MixedSource::warning`] warns of).
    pub replicate: usize,
    /// How copies lie in an epoch (released code: all shuffled).
    pub copies: Copies,
}

impl<S> AdaInfConfig<S> {
    /// A method on a set whose first so many images are real.
    pub fn new(host: S, real: usize, replicate: usize) -> Self {
        Self { host, real, replicate, copies: Copies::Passes }
    }

    /// With copies in another order.
    #[must_use]
    pub fn with_copies(mut self, copies: Copies) -> Self {
        self.copies = copies;
        self
    }

    /// What is drawn from a set.
    ///
    /// # Errors
    /// When the set is smaller than its real part, or nothing can be drawn.
    pub fn source(&self, set: &ImageSet, batch: usize, seed: u64) -> Result<MixedSource, VisionError> {
        if self.real > set.len() {
            let what = format!("{} real images of {}", self.real, set.len());
            return Err(VisionError::images(set.name(), what));
        }
        let generated = set.len() - self.real;
        Ok(MixedSource::new(self.real, generated, self.replicate, batch, seed)?.with_copies(self.copies))
    }
}

impl<S: Settings> Settings for AdaInfConfig<S> {
    type Method = S::Method;

    fn name(&self) -> &'static str {
        match self.replicate {
            0 => "generated images alone",
            1 => "plain inflation",
            _ => "AdaInf",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        let steps = matches!(frame.training.budget, Budget::Steps(_));
        let budget = format!("{:?}", frame.training.budget);
        Check::new("AdaInf").that(
            steps,
            "budget",
            budget,
            "a number of steps, the same with and without generated images",
        )?;
        self.host.validate(frame)
    }

    fn batches(&self, set: &ImageSet, batch: usize, seed: u64) -> Result<Option<Batches>, VisionError> {
        Ok(Some(Batches::Mixed(self.source(set, batch, seed)?)))
    }

    fn start(&self, start: &Start<'_>) -> Result<(S::Method, <S::Method as VisionMethod>::Model), VisionError> {
        self.host.start(start)
    }
}

/// Settings of [`DistinctSimClr`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistinctSimClrConfig {
    /// Temperature (AdaInf: 0.2).
    pub temperature: f64,
}

impl DistinctSimClrConfig {
    /// With this temperature.
    pub fn new(temperature: f64) -> Self {
        Self { temperature }
    }
}

/// SimCLR in which copies of one image in a batch are no negatives of each other. (The released code lets them be.)
#[derive(Debug)]
pub struct DistinctSimClr {
    objective: PairObjective,
}

impl Settings for DistinctSimClrConfig {
    type Method = DistinctSimClr;

    fn name(&self) -> &'static str {
        "SimCLR, copies apart"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        NtXent::new(self.temperature)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(DistinctSimClr, Projected), VisionError> {
        let objective = NtXent::new(self.temperature)?.objective().clone().with_pairs(Pairs::TwoViews);
        Ok((DistinctSimClr { objective }, start.network(&start.head())?))
    }
}

impl VisionMethod for DistinctSimClr {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        if batch.images.iter().all(|image| *image == batch.images[0]) {
            let what = format!(
                "a batch of {} copies of image {}, which are no negatives of each other: there is nothing to contrast",
                batch.images.len(),
                batch.images[0]
            );
            return Err(TrainError::trainee(VisionError::images("SimCLR, copies apart", what)));
        }
        let [first, second] = batch.pair(|view| model.project(view));
        let ids: Vec<i64> = batch.images.iter().chain(&batch.images).map(|image| *image as i64).collect();
        let objective = self.objective.clone().with_exclusions(Exclusions::same_ids(&ids, &ids));
        let rows = Tensor::cat(vec![first, second], 0);
        Ok(vec![("contrast", objective.loss(&Inputs::self_contrast(rows)))])
    }
}
