//! One training by several ranks.

use crate::error::TrainError;
use crate::method::{Method, Step, Weighted};
use crate::options::FitOptions;
use crate::trainee::{Losses, Metrics, State, Trainee};
use crate::training::{Budget, Mode, Trained, Training};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use contrastive_core::attach::attach;
use contrastive_core::distributed::{Floats, Ranks, sum_gradients};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// A method that several ranks can train together: each makes its share ([`Step::share`]) of every global batch, and the losses are
/// those of the whole batch.
pub trait DistributedMethod: Method {
    /// The weighted losses of the global batch by name, of which this rank has its share: the values are the same on every rank,
    /// the gradients are this rank's part of a sum over ranks. So it is with the `distributed_loss` of the core's objectives;
    /// [`mean_over_ranks`] makes one of a mean over rows that do not meet each other.
    ///
    /// # Errors
    /// When a rank is gone, and whatever hinders the losses.
    fn distributed_losses(
        &mut self,
        model: &Self::Model,
        batch: &Self::Batch,
        step: Step,
        ranks: &Ranks<'_>,
    ) -> Result<Weighted, TrainError>;

    /// What follows a step, such as filling a queue with the rows of all ranks ([`gather_rows`]): afterwards the method's state
    /// must be the same on every rank. [`Method::after_step`] unless overridden.
    ///
    /// # Errors
    /// When a rank is gone.
    fn distributed_after_step(
        &mut self,
        model: &Self::Model,
        batch: &Self::Batch,
        step: Step,
        _ranks: &Ranks<'_>,
    ) -> Result<(), TrainError> {
        self.after_step(model, batch, step);
        Ok(())
    }
}

/// The mean over the rows of all ranks of a loss `[1]` that is the mean over `rows` rows here: the value is the same on every rank,
/// the gradient this rank's share.
///
/// # Errors
/// When a rank is gone.
pub fn mean_over_ranks(loss: &Tensor<1>, rows: usize, ranks: &Ranks<'_>) -> Result<Tensor<1>, TrainError> {
    let value = loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
    let own = if rows == 0 { 0.0 } else { value * rows as f64 };
    let sums = ranks.communicator().all_reduce(Floats::F64(vec![own, rows as f64]))?.into_f64();
    let kind = (&loss.clone().inner().device(), loss.dtype());
    let mean = Tensor::<1>::from_data([sums[0] / sums[1]], kind);
    if rows == 0 {
        return Ok(Tensor::from_inner(mean));
    }
    let share = Tensor::<1>::from_data([rows as f64 / sums[1]], kind);
    Ok(attach(mean, loss, share))
}

/// The rows `[n, d]` of all ranks, by rank, without gradients; ranks may have different numbers of rows.
///
/// # Errors
/// When a rank is gone.
pub fn gather_rows(rows: Tensor<2>, ranks: &Ranks<'_>) -> Result<Tensor<2>, TrainError> {
    let rows = rows.inner();
    let (width, device) = (rows.dims()[1], rows.device());
    let all = ranks.communicator().all_gather(Floats::of(rows))?;
    let parts = all.into_iter().filter(|part| !part.is_empty());
    let parts = parts.map(|part| {
        let count = part.len() / width;
        part.tensor([count, width], &device)
    });
    Ok(Tensor::cat(parts.collect(), 0))
}

/// A training by several ranks, each of which holds one of these, with the same method, model and settings. Parameters are equal on all
/// ranks at every step, and equal to those of one process up to the rounding of sums. The run folder is that of rank 0, which
/// hands checkpoints to the others; a run may be resumed with another number of ranks. A rank that fails ends all of them with an
/// error.
pub struct Distributed<'c, M: DistributedMethod> {
    training: Training<M>,
    ranks: Ranks<'c>,
}

impl<M: DistributedMethod> Training<M> {
    /// This training as one rank of a group.
    pub fn distributed(self, ranks: Ranks<'_>) -> Distributed<'_, M> {
        let communicator = ranks.communicator();
        Distributed { training: self.placed(communicator.rank(), communicator.world()), ranks }
    }
}

impl<M: DistributedMethod> Distributed<'_, M> {
    /// The training of this rank.
    pub fn training(&self) -> &Training<M> {
        &self.training
    }

    /// As [`Training::train_step`], with all ranks.
    ///
    /// # Errors
    /// As there, and when a rank is gone.
    pub fn train_step(&mut self) -> Result<Losses, TrainError> {
        self.training.train_step_in(&Over(self.ranks))
    }

    /// As [`Training::fit`], with all ranks. Progress is shown by rank 0.
    ///
    /// # Errors
    /// When the run cannot go on, here or on another rank.
    pub fn fit(mut self, options: &FitOptions) -> Result<Trained<M>, TrainError> {
        let communicator = self.ranks.communicator();
        let report = crate::fit::fit_distributed(&mut self, options, communicator)?;
        Ok(self.training.into_trained(report))
    }
}

/// The way of a step over ranks.
struct Over<'c>(Ranks<'c>);

impl<M: DistributedMethod> Mode<M> for Over<'_> {
    fn losses(&self, method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Result<Weighted, TrainError> {
        method.distributed_losses(model, batch, step, &self.0)
    }

    fn sum(&self, model: &M::Model, gradients: GradientsParams) -> Result<GradientsParams, TrainError> {
        Ok(sum_gradients(self.0.communicator(), model, gradients)?)
    }

    fn after_step(&self, method: &mut M, model: &M::Model, batch: &M::Batch, step: Step) -> Result<(), TrainError> {
        method.distributed_after_step(model, batch, step, &self.0)
    }
}

impl<M: DistributedMethod> Trainee for Distributed<'_, M> {
    fn name(&self) -> &str {
        self.training.name()
    }

    fn config(&self) -> serde_json::Value {
        Trainee::config(&self.training)
    }

    fn settle_budget(&mut self, asked: Option<Budget>) -> Budget {
        self.training.settle_budget(asked)
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.training.begin_epoch(epoch, rng)
    }

    fn resumes_within_epochs(&self) -> bool {
        true
    }

    fn resume_epoch(&mut self, epoch: usize, rng: ChaCha8Rng, done: usize) -> Result<usize, TrainError> {
        self.training.resume_epoch(epoch, rng, done)
    }

    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        self.training.step_in(step, &Over(self.ranks))
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        self.training.evaluate()
    }

    fn state(&self) -> State {
        self.training.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.training.load_state(state)
    }

    fn model(&self) -> State {
        Trainee::model(&self.training)
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        self.training.artifacts()
    }
}
