//! A method in training: what `fit` and an own loop step.

use super::data::largest;
use super::parameters::Parameters;
use super::{NodeEmbeddings, NodeMethod, Settings};
use crate::MethodError;
use crate::parts::to_array;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_train::{FitOptions, Losses, Metrics, State, TrainError, Trainee, epoch_rng};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

/// Time spent in the parts of training, summed over epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeParts {
    /// Drawing views and the forward pass of the model.
    pub forward: Duration,
    /// The losses with their gradients with respect to what the model gave.
    pub objective: Duration,
    /// The backward pass of the model and the optimiser.
    pub backward: Duration,
}

/// Evaluates embeddings between epochs.
type Evaluator = Box<dyn FnMut(&Array2<f32>) -> Result<Metrics, TrainError>>;

/// A method in training: its parameters and their optimiser.
pub struct NodeTraining<M: NodeMethod> {
    method: M,
    parameters: Parameters<M::Model>,
    seed: u64,
    epoch: usize,
    rng: ChaCha8Rng,
    losses: Losses,
    evaluator: Option<Evaluator>,
    parts: NodeParts,
}

impl<M: NodeMethod> NodeTraining<M> {
    /// A training of a model on an autodiff device; `seed` is that of the views.
    ///
    /// # Panics
    /// When the learning rate or the weight decay is out of range.
    pub fn new(method: M, model: M::Model, settings: Settings, seed: u64) -> Self {
        let parameters = Parameters::new(model, settings);
        let (rng, losses, parts) = (epoch_rng(seed, 1), Losses::new(), NodeParts::default());
        Self { method, parameters, seed, epoch: 0, rng, losses, evaluator: None, parts }
    }

    /// Evaluates the embeddings whenever [`fit`](Self::fit) evaluates.
    pub fn with_evaluator(
        mut self,
        evaluator: impl FnMut(&Array2<f32>) -> Result<Metrics, TrainError> + 'static,
    ) -> Self {
        self.evaluator = Some(Box::new(evaluator));
        self
    }

    /// The method.
    pub fn method(&self) -> &M {
        &self.method
    }

    /// The parameters, on an autodiff device.
    pub fn model(&self) -> &M::Model {
        &self.parameters.model
    }

    /// Number of epochs so far.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// The losses of the last step by name, from before it, the total first; empty where there was none.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Where the time went.
    pub fn parts(&self) -> NodeParts {
        self.parts
    }

    /// One epoch; returns the loss before it, the mean over its steps where it has several.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] for a loss that is not finite: the parameters are those before the step then. Whatever
    /// hinders the views.
    pub fn step(&mut self) -> Result<f64, MethodError> {
        let steps = self.begin(self.epoch + 1, epoch_rng(self.seed, self.epoch + 1));
        let mut sum = 0.0;
        for step in 0..steps {
            sum += self.advance(step)?[0].1;
        }
        Ok(sum / steps as f64)
    }

    fn begin(&mut self, epoch: usize, rng: ChaCha8Rng) -> usize {
        (self.epoch, self.rng) = (epoch, rng);
        self.method.begin_epoch(epoch)
    }

    /// A step of the epoch that `self.epoch` and `self.rng` stand for. The total is the first of the losses.
    fn advance(&mut self, step: usize) -> Result<Losses, MethodError> {
        let (start, epoch) = (Instant::now(), self.epoch);
        let encoded = self.method.encode(&self.parameters.model, step, &mut self.rng)?;
        let forward = Instant::now();
        let losses = self.method.losses(self.model(), encoded, epoch)?;
        let host = |loss: &Tensor<1>| loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let values: Losses = losses.iter().map(|(name, loss)| (*name, host(loss))).collect();
        let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss");
        let values = [vec![("loss", values.iter().map(|(_, value)| value).sum())], values].concat();
        if let Some(&(name, value)) = values.iter().find(|(_, value)| !value.is_finite()) {
            return Err(TrainError::NonFinite { epoch, step, loss: name.to_string(), value }.into());
        }
        let objective = Instant::now();
        self.parameters.optimizer_step(&total, epoch);
        self.parameters.model = self.method.update_target(self.parameters.model.clone(), epoch);
        self.parts.forward += forward - start;
        self.parts.objective += objective - forward;
        self.parts.backward += objective.elapsed();
        self.losses.clone_from(&values);
        Ok(values)
    }

    /// The present embeddings, `[nodes, dim]`.
    pub fn embed(&self) -> Array2<f32> {
        to_array(&self.method.embed(&self.model().valid()))
    }

    /// The present shares of the nodes in clusters, `[nodes, clusters]`, of a method that has clusters.
    pub fn shares(&self) -> Option<Array2<f32>> {
        self.method.shares(&self.model().valid()).as_ref().map(to_array)
    }

    /// The cluster with the largest share of each node, of equal ones the first; `None` for a method without clusters.
    pub fn clusters(&self) -> Option<Vec<u32>> {
        self.shares().as_ref().map(largest)
    }

    /// Trains with progress, checkpoints and a run folder, and returns the embeddings. Views are drawn from the seed of
    /// `options`; parameters are those that the training has now.
    ///
    /// # Errors
    /// When the run cannot go on.
    pub fn fit(mut self, options: &FitOptions) -> Result<NodeEmbeddings, MethodError> {
        let report = contrastive_train::fit(&mut self, options)?;
        Ok(NodeEmbeddings { nodes: self.embed(), shares: self.shares(), report })
    }
}

impl<M: NodeMethod> Trainee for NodeTraining<M> {
    fn name(&self) -> &str {
        self.method.name()
    }

    fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "method": self.method.name(),
            "settings": self.parameters.settings.config,
            "data": self.method.data(),
        })
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.begin(epoch, rng))
    }

    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        self.advance(step).map_err(|error| match error {
            MethodError::Train(error) => error,
            other => TrainError::trainee(other),
        })
    }

    /// The number of clusters that are not empty, where a method has clusters, and what the evaluator says.
    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        let mut metrics = Metrics::new();
        if let Some(mut clusters) = self.clusters() {
            clusters.sort_unstable();
            clusters.dedup();
            metrics.insert("clusters".into(), clusters.len() as f64);
        }
        let embeddings = self.evaluator.is_some().then(|| self.embed());
        if let (Some(evaluator), Some(embeddings)) = (&mut self.evaluator, embeddings) {
            metrics.extend(evaluator(&embeddings)?);
        }
        Ok(Some(metrics).filter(|metrics| !metrics.is_empty()))
    }

    fn state(&self) -> State {
        self.parameters.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.parameters.load(state)
    }

    fn model(&self) -> State {
        self.parameters.tensors()
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        let shares = self.shares().map(|shares| ("shares".to_string(), shares));
        std::iter::once(("nodes".to_string(), self.embed())).chain(shares).collect()
    }
}
