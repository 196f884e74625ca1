//! What a method on a graph of nodes is, and what its settings are.

use super::NodeTraining;
use super::data::largest;
use crate::MethodError;
use crate::node::data::Graph;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_train::{Budget, FitOptions, RunReport, TrainingConfig};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// What a method adds to parameters and an optimiser. Most make one step of the whole graph an epoch.
pub trait NodeMethod {
    /// The parameters.
    type Model: Module;
    /// What a forward pass leaves for the losses.
    type Encoded;

    /// The method's name, for files and messages.
    fn name(&self) -> &'static str;

    /// Name and size of the graph, for checkpoints.
    fn data(&self) -> serde_json::Value;

    /// Prepares epoch `epoch`, counted from 1, whichever was the last, and returns its number of steps.
    fn begin_epoch(&mut self, _epoch: usize) -> usize {
        1
    }

    /// Draws what step `step` of the epoch, counted from 0, compares, and passes it through the model.
    ///
    /// # Errors
    /// When a view cannot be drawn.
    fn encode(&self, model: &Self::Model, step: usize, rng: &mut ChaCha8Rng) -> Result<Self::Encoded, MethodError>;

    /// The weighted losses of a step of epoch `epoch` by name, `[1]` each; their sum is minimised.
    ///
    /// # Errors
    /// When a setting of the epoch is out of range.
    fn losses(
        &self,
        model: &Self::Model,
        encoded: Self::Encoded,
        epoch: usize,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError>;

    /// The model after an optimiser's step: where one part of it follows another. Steps are counted from 0 over the whole run.
    fn update_target(&self, model: Self::Model, _global_step: usize) -> Self::Model {
        model
    }

    /// Embeddings of the whole graph, `[nodes, dim]`.
    fn embed(&self, model: &Self::Model) -> Tensor<2>;

    /// Shares of the nodes in clusters, `[nodes, clusters]`, of a method that has clusters.
    fn shares(&self, _model: &Self::Model) -> Option<Tensor<2>> {
        None
    }
}

/// The settings of a [`NodeMethod`], and how they become one.
pub trait NodeMethodConfig: Serialize + Sized {
    /// What they configure.
    type Method: NodeMethod;

    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    fn validate(&self) -> Result<(), MethodError>;

    /// The settings every training has: those of the publication, where it says.
    fn training(&self) -> &TrainingConfig;

    /// The same, to be changed.
    fn training_mut(&mut self) -> &mut TrainingConfig;

    /// The epochs of a full training; a run does as many as its options say, if they do.
    fn epochs(&self) -> usize {
        match self.training().budget {
            Budget::Epochs(count) | Budget::Steps(count) => count,
        }
    }

    /// Sets the epochs of a full training.
    fn with_epochs(mut self, epochs: usize) -> Self {
        self.training_mut().budget = Budget::Epochs(epochs);
        self
    }

    /// Sets the learning rate.
    fn with_learning_rate(mut self, rate: f64) -> Self {
        self.training_mut().learning_rate = rate;
        self
    }

    /// Sets the weight decay of the optimiser.
    fn with_weight_decay(mut self, decay: f64) -> Self {
        self.training_mut().optimiser = self.training().optimiser.with_weight_decay(decay);
        self
    }

    /// Sets the number of nodes in a batch, for methods that have batches.
    fn with_batch_size(mut self, size: usize) -> Self {
        self.training_mut().batch_size = size;
        self
    }

    /// A training that can be stepped by hand. Equal seeds give equal runs.
    ///
    /// # Errors
    /// When a setting is out of its range, or the graph lacks what the method needs (see each).
    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Self::Method>, MethodError>;

    /// Trains with the seed and on the device of `options`, for its epochs or else those of the settings, and returns the embeddings.
    /// Calling [`NodeTraining::train_epoch`] as many times on what [`build`](Self::build) gives for this seed gives the same.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when the run cannot go on.
    fn fit(&self, graph: &Graph, options: &FitOptions) -> Result<NodeEmbeddings, MethodError> {
        self.build(graph, options.seed_value(), options.device())?.fit(options)
    }
}

/// What a training leaves behind.
#[derive(Clone, Debug)]
pub struct NodeEmbeddings {
    /// `[nodes, dim]`.
    pub nodes: Array2<f32>,
    /// Shares of the nodes in clusters, `[nodes, clusters]`, of a method that has clusters.
    pub shares: Option<Array2<f32>>,
    /// What the training reported.
    pub report: RunReport,
}

impl NodeEmbeddings {
    /// The cluster with the largest share of each node, of equal ones the first; `None` for a method without clusters.
    pub fn clusters(&self) -> Option<Vec<u32>> {
        self.shares.as_ref().map(largest)
    }
}
