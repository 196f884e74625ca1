//! MoCo v2.

use super::{Frame, Momentum, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::objective::Moco as Objective;
use contrastive_core::similarity::unit_rows;
use contrastive_train::{State, Step, TrainError, Weighted};
use rand::seq::SliceRandom;
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
    config: MocoConfig,
    objective: Objective,
    keys: Momentum,
    queue: Queue,
    /// The keys of this step, which enter the queue after it.
    pending: Vec<Tensor<2>>,
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
        let (device, dtype) = start.plain();
        let (head, seed) = (start.head(), start.seed.wrapping_add(300));
        let queue = Queue::random_units(self.queue, head.output, seed, (&device, dtype))?;
        let model = start.network(&head)?;
        let moco = Moco {
            config: *self,
            objective: Objective::new(self.temperature)?,
            keys: Momentum::of(&model, Ema::constant(self.momentum)?),
            queue: queue.with_dataset_size(start.set.len())?,
            pending: Vec::new(),
        };
        Ok((moco, model))
    }
}

impl Moco {
    /// The keys of a view, unit rows, encoded in another order.
    fn keys(&self, view: Tensor<4>, step: Step) -> Tensor<2> {
        let n = view.dims()[0];
        let mut order: Vec<i32> = (0..n as i32).collect();
        if self.config.shuffle {
            order.shuffle(&mut step.rng());
        }
        let mut back = vec![0; n];
        order.iter().enumerate().for_each(|(at, image)| back[*image as usize] = at as i32);
        let device = view.device();
        let list = |list: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(list, [n]), &device);
        unit_rows(self.keys.project(view.select(0, list(order))).select(0, list(back)))
    }
}

impl VisionMethod for Moco {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let ways = if self.config.symmetric { vec![[0, 1], [1, 0]] } else { vec![[0, 1]] };
        let share = 1.0 / ways.len() as f64;
        self.pending.clear();
        let mut all: Option<Tensor<1>> = None;
        for [query, key] in ways {
            let keys = self.keys(batch.view(key), step);
            let loss = self.objective.loss(model.project(batch.view(query)), keys.clone(), &self.queue) * share;
            self.pending.push(keys.inner());
            all = Some(match all {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        Ok(vec![("contrast", all.expect("one way round at least"))])
    }

    fn after_step(&mut self, model: &Projected, step: Step) {
        for keys in self.pending.drain(..) {
            self.queue.push(keys);
        }
        self.keys.follow(model, step.global);
    }

    fn state(&self) -> State {
        let mut state = self.queue.state();
        self.keys.save(&mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.keys.load(&mut state)?;
        self.queue.load_state(&state).map_err(TrainError::trainee)
    }
}
