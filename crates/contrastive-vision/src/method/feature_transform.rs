//! FT: feature transformation.

use super::{Frame, KeyQueue, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::Tensor;
use contrastive_core::memory::Ema;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::{FeatureTransform as Objective, NegativesUse, ScoreTrace};
use contrastive_train::{Metrics, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`FeatureTransform`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureTransformConfig {
    /// Temperature (0.2 with MoCo v2).
    pub temperature: f64,
    /// Keys in the queue, at most the images of the data (paper: 65,536).
    pub queue: usize,
    /// Momentum of the key encoder (paper: 0.999 on ImageNet, 0.99 on a tenth of it).
    pub momentum: f64,
    /// a of the Beta law of the positives' extrapolation (paper: 2); `None`: off.
    pub extrapolation: Option<f64>,
    /// a of the Beta law of the negatives' interpolation (paper: 1.6); `None`: off.
    pub interpolation: Option<f64>,
    /// Whether negatives are compared with the query as it was, not with the extrapolated one (the paper's equation; the code: extrapolated).
    pub raw_negatives: bool,
    /// The first step that transforms.
    pub from_step: usize,
}

impl FeatureTransformConfig {
    /// Both transformations with the paper's laws, a queue of so many keys at temperature 0.2, momentum 0.99, from the first step on.
    pub fn new(queue: usize) -> Self {
        Self {
            temperature: 0.2,
            queue,
            momentum: 0.99,
            extrapolation: Some(2.0),
            interpolation: Some(1.6),
            raw_negatives: false,
            from_step: 0,
        }
    }

    /// With another temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Other transformations of positives and of negatives; `None` for none.
    #[must_use]
    pub fn with_transforms(mut self, extrapolation: Option<f64>, interpolation: Option<f64>) -> Self {
        (self.extrapolation, self.interpolation) = (extrapolation, interpolation);
        self
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let objective = Objective::new(self.temperature)?.with_extrapolation(self.extrapolation)?;
        let negatives = if self.raw_negatives { NegativesUse::Raw } else { NegativesUse::Extrapolated };
        Ok(objective.with_interpolation(self.interpolation)?.with_negatives(negatives).with_start(self.from_step))
    }
}

/// FT (Zhu et al., ICCV 2021): MoCo whose positives are pushed apart and whose negatives are mixed at random. The original keys enter the
/// queue. Metrics: means and variances of the scores that the loss saw, and `raw_positive_mean`, `shift` (raw less transformed positive
/// scores, the mean) and `expected_shift` (`2 lambda (lambda - 1) (1 - s)`, the mean).
#[derive(Debug)]
pub struct FeatureTransform {
    objective: Objective,
    temperature: f64,
    keys: KeyQueue,
    seed: u64,
    observed: Metrics,
    trace: Option<[ScoreTrace; 2]>,
}

impl FeatureTransform {
    /// The scores of the last step, as they were and as the loss saw them: for histograms.
    pub fn trace(&self) -> Option<&[ScoreTrace; 2]> {
        self.trace.as_ref()
    }
}

impl Settings for FeatureTransformConfig {
    type Method = FeatureTransform;

    fn name(&self) -> &'static str {
        match (self.extrapolation, self.interpolation) {
            (Some(_), Some(_)) => "FT",
            (Some(_), None) => "FT, positives only",
            (None, Some(_)) => "FT, negatives only",
            (None, None) => "FT, neither",
        }
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        self.objective()?;
        Ema::constant(self.momentum)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(FeatureTransform, Projected), VisionError> {
        let head = start.head();
        let model = start.network(&head)?;
        let keys = KeyQueue::start(start, &model, [self.queue, head.output], self.momentum, true)?;
        let (objective, temperature, seed) = (self.objective()?, self.temperature, start.seed);
        Ok((FeatureTransform { objective, temperature, keys, seed, observed: Metrics::new(), trace: None }, model))
    }
}

impl VisionMethod for FeatureTransform {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let keys = self.keys.make(batch.view(1), step);
        let queries = unit_rows(model.project(batch.view(0)));
        let rows = Tensor::from_inner(self.keys.rows());
        let draw = self.objective.draw(queries.dims(), rows.dims()[0], step.global, self.seed);
        let draw = draw.map_err(TrainError::trainee)?;
        let raw = ScoreTrace::record(&queries, &queries, &keys, &rows, self.temperature);
        let found = self.objective.loss_of(queries, keys, rows, &draw).map_err(TrainError::trainee);
        let (loss, seen) = found?;
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let (sum, count) = values.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
            sum / count
        };
        let lambda = |at: usize| draw.extrapolation[at % draw.extrapolation.len()];
        let expected = |(at, s): (usize, &f64)| 2.0 * lambda(at) * (lambda(at) - 1.0) * (1.0 - s);
        let summary = seen.summary();
        let pairs = raw.positive.iter().zip(&seen.positive);
        let metrics = [
            ("positive_mean", summary.positive_mean),
            ("positive_variance", summary.positive_variance),
            ("negative_mean", summary.negative_mean),
            ("negative_variance", summary.negative_variance),
            ("raw_positive_mean", raw.summary().positive_mean),
            ("shift", mean(&mut pairs.map(|(raw, seen)| raw - seen))),
            ("expected_shift", mean(&mut raw.positive.iter().enumerate().map(expected))),
        ];
        self.observed = metrics.into_iter().map(|(name, x)| (name.to_string(), x)).collect();
        self.trace = Some([raw, seen]);
        Ok(vec![("contrast", loss)])
    }

    fn after_step(&mut self, model: &Projected, step: Step) {
        self.keys.after_step(model, step);
    }

    fn observed(&self) -> Metrics {
        self.observed.clone()
    }

    fn state(&self) -> State {
        self.keys.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.keys.load_state(state)
    }
}
