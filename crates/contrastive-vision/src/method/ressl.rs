//! ReSSL.

use super::{Frame, Momentum, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::Tensor;
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::objective::ReSsl as Objective;
use contrastive_core::similarity::unit_rows;
use contrastive_train::{State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Settings of [`ReSsl`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReSslConfig {
    /// The student's temperature (paper: 0.1).
    pub student: f64,
    /// The teacher's, the sharper one (paper: 0.04).
    pub teacher: f64,
    /// Rows of the queue (paper: 131,072), at most the images of the data.
    pub queue: usize,
    /// Momentum of the teacher (paper: 0.999; 0.99 for small data).
    pub momentum: f64,
}

/// ReSSL (Zheng et al. 2021): the student sees the same relations of a view to a queue as the teacher does of the other view. The first view
/// is the student's, the second the teacher's, for which the paper has a weaker recipe.
#[derive(Debug)]
pub struct ReSsl {
    objective: Objective,
    teacher: Momentum,
    queue: Queue,
    pending: Option<Tensor<2>>,
}

impl Settings for ReSslConfig {
    type Method = ReSsl;

    fn name(&self) -> &'static str {
        "ReSSL"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Objective::new(self.student, self.teacher)?;
        Ema::constant(self.momentum)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(ReSsl, Projected), VisionError> {
        let ((device, dtype), head) = (start.plain(), start.head());
        let queue = Queue::random_units(self.queue, head.output, start.seed.wrapping_add(300), (&device, dtype))?;
        let (queue, model) = (queue.with_dataset_size(start.set.len())?, start.network(&head)?);
        let teacher = Momentum::of(&model, Ema::constant(self.momentum)?);
        Ok((ReSsl { objective: Objective::new(self.student, self.teacher)?, teacher, queue, pending: None }, model))
    }
}

impl VisionMethod for ReSsl {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let teacher = self.teacher.project(batch.view(1));
        self.pending = Some(unit_rows(teacher.clone().inner()));
        Ok(vec![("relations", self.objective.loss(model.project(batch.view(0)), teacher, &self.queue))])
    }

    fn after_step(&mut self, model: &Projected, step: Step) {
        self.pending.take().into_iter().for_each(|rows| self.queue.push(rows));
        self.teacher.follow(model, step.global);
    }

    fn state(&self) -> State {
        let mut state = self.queue.state();
        self.teacher.save(&mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.teacher.load(&mut state)?;
        self.queue.load_state(&state).map_err(TrainError::trainee)
    }
}
