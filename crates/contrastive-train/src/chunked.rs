//! Batches larger than memory: the exact gradient of a big batch, one chunk at a time.

use crate::error::TrainError;
use crate::method::{Method, Step, Weighted};
use crate::trainee::Losses;
use crate::training::{Training, value_of};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use contrastive_core::gradient_cache::{CacheError, Chunk, GradientCache, Tower, untaped};
use rand::RngExt;
use std::cell::RefCell;

/// A method whose batch can pass its encoders in chunks, so that a [`GradientCache`] can keep the memory at that of one chunk.
pub trait ChunkedMethod: Method {
    /// Rows of the batch for each encoder, or each view.
    fn towers(&self, batch: &Self::Batch) -> Vec<usize>;

    /// The representations `[k, d]` of the k rows of a chunk. What is random must come from the chunk's seed.
    fn encode(&self, model: &Self::Model, batch: &Self::Batch, chunk: &Chunk) -> Tensor<2>;

    /// The weighted losses of the representations `[rows, d]` of all towers, by name.
    ///
    /// # Errors
    /// Whatever hinders the losses; ends the run.
    fn objective(
        &mut self,
        model: &Self::Model,
        representations: &[Tensor<2>],
        batch: &Self::Batch,
        step: Step,
    ) -> Result<Weighted, TrainError>;
}

/// Values and gradients of a batch by chunks.
pub(crate) type Chunked<M> = fn(
    &mut M,
    &<M as Method>::Model,
    &<M as Method>::Batch,
    Step,
    &GradientCache,
    f64,
) -> Result<(Losses, GradientsParams), TrainError>;

impl<M: ChunkedMethod> Training<M> {
    /// Passes each batch through the encoders in chunks of at most `rows` rows: the gradients are those of the whole batch, the
    /// memory that of one chunk, the price a second forward pass.
    ///
    /// # Errors
    /// When `rows` is 0.
    pub fn with_gradient_cache(self, rows: usize) -> Result<Self, TrainError> {
        let cache = GradientCache::new(rows).map_err(|_| TrainError::setting("rows of a chunk", rows, "1 or more"))?;
        Ok(self.chunked(cache, step_by_chunks::<M>))
    }
}

fn step_by_chunks<M: ChunkedMethod>(
    method: &mut M,
    model: &M::Model,
    batch: &M::Batch,
    step: Step,
    cache: &GradientCache,
    factor: f64,
) -> Result<(Losses, GradientsParams), TrainError> {
    let plain = untaped(model);
    let rows = method.towers(batch);
    // encoding and objective take turns
    let method = RefCell::new(method);
    let encode = |chunk: &Chunk| method.borrow().encode(if chunk.taped { model } else { &plain }, batch, chunk);
    let towers: Vec<Tower<'_>> = rows.into_iter().map(|rows| Tower::new(rows, &encode)).collect();
    let mut values = Losses::new();
    let mut accumulator = GradientsAccumulator::new();
    let objective = |representations: &[Tensor<2>]| -> Result<Tensor<1>, TrainError> {
        let losses = method.borrow_mut().objective(model, representations, batch, step)?;
        values = losses.iter().map(|(name, loss)| (*name, value_of(loss))).collect();
        let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss");
        Ok(if factor == 1.0 { total } else { total * factor })
    };
    let receive = |gradients| accumulator.accumulate(model, GradientsParams::from_grads(gradients, model));
    let cache = cache.clone().with_seed(step.rng().random());
    cache.backward(&towers, objective, receive).map_err(|error| match error {
        CacheError::Objective(error) => error,
        replay => TrainError::trainee(replay),
    })?;
    Ok((values, accumulator.grads()))
}
