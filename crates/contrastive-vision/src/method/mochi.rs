//! MoCHi.

use super::{Frame, KeyQueue, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use contrastive_core::memory::Ema;
use contrastive_core::synthesis::Mochi as Objective;
use contrastive_train::{Metrics, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`Mochi`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MochiConfig {
    /// Temperature (paper: 0.2).
    pub temperature: f64,
    /// Keys in the queue, at most the images of the data (paper: 65,536).
    pub queue: usize,
    /// Momentum of the key encoder (paper: 0.999).
    pub momentum: f64,
    /// The pool: so many rows of the queue, the most similar to a query (paper: 1,024), at most the queue.
    pub hardest: usize,
    /// Mixtures of two rows of the pool, for each query (paper: 512 or 1,024).
    pub mixed: usize,
    /// Mixtures of the query and a row of the pool (paper: 128 or 256).
    pub with_query: usize,
    /// Steps of plain MoCo at the start (paper: 10 to 15 epochs): early mixtures are near-positives.
    pub warm_up: usize,
}

impl MochiConfig {
    /// (64, 32, 16) of a queue of so many keys at temperature 0.2, momentum 0.99, after 100 steps: of the small studies.
    pub fn new(queue: usize) -> Self {
        Self { temperature: 0.2, queue, momentum: 0.99, hardest: 64, mixed: 32, with_query: 16, warm_up: 100 }
    }

    /// With another temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Without mixtures: MoCo, watched in the same way.
    #[must_use]
    pub fn without_mixtures(mut self) -> Self {
        (self.mixed, self.with_query) = (0, 0);
        self
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let objective = Objective::new(self.temperature, self.hardest, self.mixed, self.with_query)?;
        Ok(objective.with_warm_up(self.warm_up))
    }
}

/// MoCHi (Kalantidis et al., NeurIPS 2020): MoCo with negatives that are mixed of the hardest ones. The original keys enter the queue. Metrics:
/// `proxy_accuracy` (the positive is above all negatives, mixed ones included), `hardest_real`, `hardest_synthetic`.
#[derive(Debug)]
pub struct Mochi {
    objective: Objective,
    keys: KeyQueue,
    seed: u64,
    observed: Metrics,
}

impl Settings for MochiConfig {
    type Method = Mochi;

    fn name(&self) -> &'static str {
        if self.mixed + self.with_query > 0 { "MoCHi" } else { "MoCo, watched" }
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        self.objective()?;
        Ema::constant(self.momentum)?;
        let (pool, queue) = (self.hardest, self.queue);
        let allowed = format!("at most {queue}, the keys of the queue");
        Ok(contrastive_train::Check::new("MoCHi").that(pool <= queue, "hardest", pool, allowed)?)
    }

    fn start(&self, start: &Start<'_>) -> Result<(Mochi, Projected), VisionError> {
        let head = start.head();
        let model = start.network(&head)?;
        let keys = KeyQueue::start(start, &model, [self.queue, head.output], self.momentum, true)?;
        Ok((Mochi { objective: self.objective()?, keys, seed: start.seed, observed: Metrics::new() }, model))
    }
}

impl VisionMethod for Mochi {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let keys = self.keys.make(batch.view(1), step);
        let queries = model.project(batch.view(0));
        let found = self.objective.evaluate(queries, keys, self.keys.queue(), None, step.global, self.seed);
        let found = found.map_err(TrainError::trainee)?;
        let largest = found.hardest_real.max(found.hardest_synthetic);
        let seen = [
            ("proxy_accuracy", found.proxy_accuracy),
            ("hardest_real", found.hardest_real),
            ("hardest_synthetic", if found.hardest_synthetic.is_finite() { found.hardest_synthetic } else { f64::NAN }),
            ("hardest", largest),
        ];
        self.observed =
            seen.into_iter().filter(|(_, x)| x.is_finite()).map(|(name, x)| (name.to_string(), x)).collect();
        Ok(vec![("contrast", found.loss)])
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
