//! MoCo v2.

use super::{Frame, KeyQueue, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::Tensor;
use contrastive_core::memory::Ema;
use contrastive_core::objective::Moco as Objective;
use contrastive_train::{State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`Moco`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MocoConfig {
    /// Temperature (v2: 0.2; CIFAR: 0.1).
    pub temperature: f64,
    /// Keys in the queue, at most the images of the data (paper: 65,536; CIFAR: 4,096).
    pub queue: usize,
    /// Momentum of the key encoder (paper: 0.999; CIFAR: 0.99).
    pub momentum: f64,
    /// Both views as queries, and both as keys.
    pub symmetric: bool,
    /// Keys are encoded in another order than queries: with ghost norms their statistics come from other images then.
    pub shuffle: bool,
}

impl MocoConfig {
    /// With this queue, at temperature 0.2 and momentum 0.99, one way round, keys shuffled.
    pub fn new(queue: usize) -> Self {
        Self { temperature: 0.2, queue, momentum: 0.99, symmetric: false, shuffle: true }
    }

    /// With another temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// With both ways round.
    #[must_use]
    pub fn symmetric(mut self) -> Self {
        self.symmetric = true;
        self
    }
}

/// MoCo v2 (Chen et al. 2020, after algorithm 1 of He et al. 2020): queries find their keys, which a momentum encoder makes, among a queue
/// of former ones. The queue starts with random unit rows.
#[derive(Debug)]
pub struct Moco {
    symmetric: bool,
    objective: Objective,
    keys: KeyQueue,
}

impl Settings for MocoConfig {
    type Method = Moco;

    fn name(&self) -> &'static str {
        "MoCo"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Objective::new(self.temperature)?;
        Ema::constant(self.momentum)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Moco, Projected), VisionError> {
        let head = start.head();
        let model = start.network(&head)?;
        let keys = KeyQueue::start(start, &model, [self.queue, head.output], self.momentum, self.shuffle)?;
        Ok((Moco { symmetric: self.symmetric, objective: Objective::new(self.temperature)?, keys }, model))
    }
}

impl VisionMethod for Moco {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let ways = if self.symmetric { vec![[0, 1], [1, 0]] } else { vec![[0, 1]] };
        let share = 1.0 / ways.len() as f64;
        let mut all: Option<Tensor<1>> = None;
        for [query, key] in ways {
            let keys = self.keys.make(batch.view(key), step);
            let loss = self.objective.loss(model.project(batch.view(query)), keys, self.keys.queue()) * share;
            all = Some(match all {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        Ok(vec![("contrast", all.expect("one way round at least"))])
    }

    fn after_step(&mut self, model: &Projected, step: Step) {
        self.keys.after_step(model, step);
    }

    fn state(&self) -> State {
        self.keys.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.keys.load_state(state)
    }
}
