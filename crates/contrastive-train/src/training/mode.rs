//! The way of a step: in one process, or by several ranks.

use crate::error::TrainError;
use crate::method::{Method, Step, Weighted};
use burn::optim::GradientsParams;

/// What differs between a training in one process and one by several ranks.
pub(crate) trait Mode<M: Method> {
    /// The losses of a batch.
    fn losses(&self, method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Result<Weighted, TrainError>;

    /// The gradients of all ranks together.
    fn sum(&self, model: &M::Model, gradients: GradientsParams) -> Result<GradientsParams, TrainError>;

    /// What follows a step.
    fn after_step(&self, method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Result<(), TrainError>;
}

/// In one process.
pub(crate) struct Alone;

impl<M: Method> Mode<M> for Alone {
    fn losses(&self, method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Result<Weighted, TrainError> {
        method.losses(model, batch, step)
    }

    fn sum(&self, _model: &M::Model, gradients: GradientsParams) -> Result<GradientsParams, TrainError> {
        Ok(gradients)
    }

    fn after_step(&self, method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Result<(), TrainError> {
        method.after_step(model, batch, step);
        Ok(())
    }
}
