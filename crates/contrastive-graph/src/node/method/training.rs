//! A node method as a method of [`contrastive_train`], and its training.

use super::data::largest;
use super::{NodeEmbeddings, NodeMethod};
use crate::MethodError;
use crate::parts::to_array;
use burn::module::Module;
use contrastive_train::{FitOptions, Method, Metrics, Step, TrainError, Training, TrainingConfig, Weighted, epoch_rng};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::ops::{Deref, DerefMut};
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

/// A node method with its settings: what [`contrastive_train::Training`] trains.
pub struct Whole<M> {
    method: M,
    config: serde_json::Value,
    rng: ChaCha8Rng,
    evaluator: Option<Evaluator>,
    forward: Duration,
}

impl<M: NodeMethod> Method for Whole<M> {
    type Model = M::Model;
    /// The generator of the step's views: that of the epoch in its first step.
    type Batch = ChaCha8Rng;

    fn name(&self) -> &str {
        self.method.name()
    }

    fn config(&self) -> serde_json::Value {
        self.config.clone()
    }

    fn data(&self) -> serde_json::Value {
        self.method.data()
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.rng = rng;
        Ok(self.method.begin_epoch(epoch))
    }

    fn batch(&mut self, step: Step) -> Result<ChaCha8Rng, TrainError> {
        Ok(if step.batch == 0 { self.rng.clone() } else { step.rng() })
    }

    fn losses(&mut self, model: &M::Model, rng: &ChaCha8Rng, step: Step) -> Result<Weighted, TrainError> {
        let start = Instant::now();
        let encoded = self.method.encode(model, step.batch, &mut rng.clone()).map_err(MethodError::in_training)?;
        self.forward += start.elapsed();
        self.method.losses(model, encoded, step.epoch).map_err(MethodError::in_training)
    }

    fn update_model(&mut self, model: M::Model, step: Step) -> M::Model {
        self.method.update_target(model, step.global)
    }

    /// The number of clusters that are not empty, where a method has clusters, and what the evaluator says.
    fn evaluate(&mut self, model: &M::Model) -> Result<Option<Metrics>, TrainError> {
        let mut metrics = Metrics::new();
        if let Some(shares) = self.method.shares(model) {
            let mut clusters = largest(&to_array(&shares));
            clusters.sort_unstable();
            clusters.dedup();
            metrics.insert("clusters".into(), clusters.len() as f64);
        }
        if let Some(evaluator) = &mut self.evaluator {
            metrics.extend(evaluator(&to_array(&self.method.embed(model)))?);
        }
        Ok(Some(metrics).filter(|metrics| !metrics.is_empty()))
    }

    fn artifacts(&self, model: &M::Model) -> Vec<(String, Array2<f32>)> {
        let shares = self.method.shares(model).map(|shares| ("shares".to_string(), to_array(&shares)));
        let nodes = ("nodes".to_string(), to_array(&self.method.embed(model)));
        std::iter::once(nodes).chain(shares).collect()
    }
}

/// A node method in training: a [`contrastive_train::Training`], to which it dereferences, and what comes out of it.
pub struct NodeTraining<M: NodeMethod>(Training<Whole<M>>);

impl<M: NodeMethod> Deref for NodeTraining<M> {
    type Target = Training<Whole<M>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<M: NodeMethod> DerefMut for NodeTraining<M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<M: NodeMethod> NodeTraining<M> {
    /// A training of a model on an autodiff device; `config` are all settings, for checkpoints, and `seed` is that of the views.
    ///
    /// # Errors
    /// When a setting of the training is out of range.
    pub fn new(
        method: M,
        model: M::Model,
        training: &TrainingConfig,
        config: &impl Serialize,
        seed: u64,
    ) -> Result<Self, MethodError> {
        let mut config = serde_json::to_value(config).unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            // the training adds its own, without the budget, so that a run may be extended
            config.remove("training");
        }
        let whole = Whole { method, config, rng: epoch_rng(seed, 1), evaluator: None, forward: Duration::ZERO };
        Ok(Self(Training::new(whole, model, training, seed)?))
    }

    /// Evaluates the embeddings whenever [`fit`](Self::fit) evaluates.
    pub fn with_evaluator(
        mut self,
        evaluator: impl FnMut(&Array2<f32>) -> Result<Metrics, TrainError> + 'static,
    ) -> Self {
        self.0.method_mut().evaluator = Some(Box::new(evaluator));
        self
    }

    /// The method.
    pub fn method(&self) -> &M {
        &self.0.method().method
    }

    /// The training within.
    pub fn into_inner(self) -> Training<Whole<M>> {
        self.0
    }

    /// Where the time went.
    pub fn parts(&self) -> NodeParts {
        let (timing, forward) = (self.0.timing(), self.0.method().forward);
        let backward = timing.backward + timing.optimiser;
        NodeParts { forward, objective: timing.losses.saturating_sub(forward), backward }
    }

    /// One epoch; returns the loss before it, the mean over its steps where it has several.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] for a loss that is not finite: the parameters are those before the step then. Whatever
    /// hinders the views.
    pub fn train_epoch(&mut self) -> Result<f64, MethodError> {
        Ok(self.0.train_epoch()?[0].1)
    }

    /// The present embeddings, `[nodes, dim]`.
    pub fn embed(&self) -> Array2<f32> {
        to_array(&self.method().embed(&self.model().valid()))
    }

    /// The present shares of the nodes in clusters, `[nodes, clusters]`, of a method that has clusters.
    pub fn shares(&self) -> Option<Array2<f32>> {
        self.method().shares(&self.model().valid()).as_ref().map(to_array)
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
        let report = contrastive_train::fit(&mut self.0, options)?;
        Ok(NodeEmbeddings { nodes: self.embed(), shares: self.shares(), report })
    }
}
