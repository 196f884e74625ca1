//! SogCLR and iSogCLR.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::attach::attach_gradients;
use contrastive_core::objective::{AverageWeight, ISogClr as Objective, Remembered, TemperatureRule, Views};
use contrastive_train::{Metrics, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`ISogClr`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ISogClrConfig {
    /// Where the temperature of an image starts, and the interval it stays in (0.1; 0.05 to 1).
    pub temperature: f64,
    /// The interval of the temperatures.
    pub range: [f64; 2],
    /// rho: how far the softmax over an image's negatives is to be from uniform, a divergence in nats (0.1 to 0.5; 0.4).
    pub radius: f64,
    /// eta, the learning rate of the temperatures (0.03); 0 is SogCLR.
    pub rate: f64,
    /// beta, the share of a new derivative in its moving average (0.5).
    pub share: f64,
    /// Derivatives of temperatures are cut to this size (3; LibAUC: not at all).
    pub clip: Option<f64>,
    /// gamma, the share of a new denominator in its moving average (0.8).
    pub average: f64,
    /// gamma falls from 1 to this value on a cosine over so many epochs, as LibAUC has it.
    pub average_epochs: Option<usize>,
    /// Averages of similarities themselves instead of their differences to the positive's, as the released code for images has it.
    pub as_released: bool,
    /// Denominators follow when temperatures change.
    pub rescale: bool,
}

impl Default for ISogClrConfig {
    /// The released code's numbers for images.
    fn default() -> Self {
        Self {
            temperature: 0.1,
            range: [0.05, 1.0],
            radius: 0.4,
            rate: 0.03,
            share: 0.5,
            clip: Some(3.0),
            average: 0.8,
            average_epochs: None,
            as_released: false,
            rescale: false,
        }
    }
}

impl ISogClrConfig {
    /// SogCLR: one temperature, which stays.
    pub fn fixed(temperature: f64) -> Self {
        Self { temperature, range: [temperature; 2], rate: 0.0, radius: 0.0, ..Self::default() }
    }

    /// With another radius of the divergence.
    #[must_use]
    pub fn with_radius(mut self, radius: f64) -> Self {
        self.radius = radius;
        self
    }

    fn objective(&self, images: usize) -> Result<Objective, VisionError> {
        let rule = TemperatureRule::unimodal()
            .with_range(self.temperature, self.range[0], self.range[1])?
            .with_radius(self.radius)?
            .with_rate(self.rate)?
            .with_momentum(self.share)?
            .with_clip(self.clip)?
            .with_rescaling(self.rescale);
        let average = match self.average_epochs {
            Some(epochs) => AverageWeight::cosine(self.average, epochs)?,
            None => AverageWeight::constant(self.average)?,
        };
        let remembered = if self.as_released { Remembered::Similarities } else { Remembered::Differences };
        let objective = Objective::new(images, rule, Views::Alike)?;
        Ok(objective.with_average(average).with_remembered(remembered))
    }
}

/// iSogCLR (Qiu et al. 2023), and SogCLR (Yuan et al. 2022): contrast with all images of the data from small batches, by a moving average of
/// the denominator of each image, and a temperature of each image that learns. Both views of an image share its state.
#[derive(Debug)]
pub struct ISogClr {
    objective: Objective,
    images: usize,
    /// Objective over the data and divergence of the last step.
    seen: Option<[f64; 2]>,
}

impl Settings for ISogClrConfig {
    type Method = ISogClr;

    fn name(&self) -> &'static str {
        if self.rate == 0.0 { "SogCLR" } else { "iSogCLR" }
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        self.objective(1).map(|_| ())
    }

    fn start(&self, start: &Start<'_>) -> Result<(ISogClr, Projected), VisionError> {
        let images = start.set.len();
        Ok((ISogClr { objective: self.objective(images)?, images, seen: None }, start.network(&start.head())?))
    }
}

impl ISogClr {
    /// The temperature of every image, in the order of the set.
    pub fn temperatures(&self) -> Vec<f64> {
        (0..self.images).map(|image| self.objective.temperature(false, image)).collect()
    }

    /// The objective with its state of every image.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl VisionMethod for ISogClr {
    type Model = Projected;

    /// A surrogate: its gradient is the estimate, its value means nothing. What to watch are the metrics `objective` and `divergence`.
    fn losses(&mut self, model: &Projected, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let [first, second] = batch.pair(|view| model.project(view));
        self.objective.begin_epoch(step.epoch.saturating_sub(1));
        let found = self.objective.evaluate(&first, &second, &batch.images).map_err(TrainError::trainee)?;
        self.seen = Some([found.objective, found.divergence]);
        let pulls = [(&first, Some(found.first)), (&second, Some(found.second))];
        Ok(vec![("surrogate", attach_gradients(found.value, pulls))])
    }

    fn observed(&self) -> Metrics {
        let Some([objective, divergence]) = self.seen else { return Metrics::new() };
        let temperatures = self.temperatures();
        let mean = temperatures.iter().sum::<f64>() / temperatures.len() as f64;
        let named = [("objective", objective), ("divergence", divergence), ("mean temperature", mean)];
        named.map(|(name, value)| (name.to_string(), value)).into()
    }

    fn state(&self) -> State {
        self.objective.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.objective.load_state(&state).map_err(TrainError::trainee)
    }
}
