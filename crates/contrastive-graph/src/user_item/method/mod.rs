//! Published methods on user-item graphs.
//!
//! A [`Method`] says how a node table becomes embeddings and what a batch of triples costs; [`Training`] owns the table, the
//! optimiser and the sampler, and steps. [`MethodConfig::fit`] runs a training with progress, checkpoints and a run
//! folder; an own loop calls [`train_epoch`](contrastive_train::Training::train_epoch) or
//! [`train_step`](contrastive_train::Training::train_step), or the method itself.

mod dccf;
mod lightgcl;
mod lightgcn;
mod mf;
mod sgl;
mod table;
mod training;
mod xsimgcl;

pub use dccf::{Dccf, DccfConfig, DccfLayer, DccfViews};
pub use lightgcl::{LightGcl, LightGclConfig};
pub use lightgcn::{LightGcn, LightGcnConfig};
pub use mf::MfBprConfig;
pub use sgl::{Sgl, SglConfig};
pub use table::TableConfig;
pub use training::{Embedded, Initialisation, NodeTable, Parts, Ranking, Sampling, Start, Training};
pub use xsimgcl::{XSimGcl, XSimGclConfig};

use super::Embeddings;
use super::data::{Dataset, Interactions, NodeOrder, TripleBatch};
use crate::MethodError;
use burn::tensor::Tensor;
use contrastive_train::FitOptions;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The settings of a [`Method`], and how they become one.
pub trait MethodConfig: Serialize + Sized {
    /// What they configure.
    type Method: Method;

    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it. What depends on the data, such as a rank,
    /// is checked by [`build`](Self::build).
    fn validate(&self) -> Result<(), MethodError>;

    /// The node table and its training.
    fn table(&self) -> &TableConfig;

    /// The same, to be changed.
    fn table_mut(&mut self) -> &mut TableConfig;

    /// Sets the width of the embeddings.
    fn with_dim(mut self, dim: usize) -> Self {
        self.table_mut().dim = dim;
        self
    }

    /// Sets the learning rate of Adam.
    fn with_learning_rate(mut self, rate: f64) -> Self {
        self.table_mut().training.learning_rate = rate;
        self
    }

    /// Sets the number of triples in a batch.
    fn with_batch_size(mut self, size: usize) -> Self {
        self.table_mut().training.batch_size = size;
        self
    }

    /// Sets how triples are drawn.
    fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.table_mut().sampling = sampling;
        self
    }

    /// Sets how the table starts.
    fn with_initialisation(mut self, initialisation: Initialisation) -> Self {
        self.table_mut().initialisation = initialisation;
        self
    }

    /// Sets how nodes are numbered inside.
    fn with_node_order(mut self, order: NodeOrder) -> Self {
        self.table_mut().node_order = order;
        self
    }

    /// The method on the graph of `train`.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for this data.
    fn build(&self, train: &Interactions) -> Result<Self::Method, MethodError>;

    /// A training that can be stepped by hand.
    ///
    /// # Errors
    /// When a setting is out of its range, or the data cannot be sampled.
    fn training_on(&self, data: &Dataset, options: &FitOptions) -> Result<Training<Self::Method>, MethodError> {
        self.validate()?;
        let mut config = serde_json::to_value(self).unwrap_or_default();
        if let Some(table) = config.get_mut("table").and_then(|table| table.as_object_mut()) {
            // the training adds its own, without the budget, so that a run may be extended
            table.remove("training");
        }
        Training::new(self.table(), config, data, options, |train| self.build(train))
    }

    /// Trains on `data.train`, evaluates on its other parts, and returns the embeddings.
    ///
    /// # Errors
    /// When a setting is out of its range, the data cannot be sampled, or the run cannot go on.
    fn fit(&self, data: &Dataset, options: &FitOptions) -> Result<Embeddings, MethodError> {
        self.training_on(data, options)?.fit(options)
    }
}

/// What a method adds to a node table, an optimiser and a sampler.
pub trait Method {
    /// What a forward pass leaves for the losses.
    type Encoded;

    /// The method's name, for files and messages.
    fn name(&self) -> &'static str;

    /// Draws what holds for an epoch (augmented graphs).
    ///
    /// # Errors
    /// When a setting does not fit the data.
    fn begin_epoch(&mut self, _rng: ChaCha8Rng) -> Result<(), MethodError> {
        Ok(())
    }

    /// The forward pass over the node table `[I + J, d]`: users, then items. What is drawn for a step comes from its generator, here
    /// and in [`losses`](Self::losses), which gets the same one after it.
    fn encode(&mut self, table: &Tensor<2>, rng: &mut ChaCha8Rng) -> Self::Encoded;

    /// The weighted losses of a batch by name; their sum is minimised.
    fn losses(
        &mut self,
        table: &Tensor<2>,
        encoded: &Self::Encoded,
        batch: &TripleBatch<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)>;

    /// The final embeddings `[I + J, d]` of a node table: what is ranked by inner product.
    fn embed(&self, table: &Tensor<2>) -> Tensor<2>;

    /// Parameters that the method has beside the node table, such as the intents of DCCF: a name for files, and how each starts. None
    /// unless it says so. They are trained by the same optimiser, and are part of checkpoints; the functions below hand them over.
    fn beside(&self) -> Vec<(&'static str, Start)> {
        Vec::new()
    }

    /// [`encode`](Self::encode) with the present parameters beside the table.
    fn encode_beside(&mut self, table: &Tensor<2>, _beside: &[Tensor<2>], rng: &mut ChaCha8Rng) -> Self::Encoded {
        self.encode(table, rng)
    }

    /// [`losses`](Self::losses) with the present parameters beside the table.
    fn losses_beside(
        &mut self,
        table: &Tensor<2>,
        _beside: &[Tensor<2>],
        encoded: &Self::Encoded,
        batch: &TripleBatch<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        self.losses(table, encoded, batch, rng)
    }

    /// [`embed`](Self::embed) with the present parameters beside the table.
    fn embed_beside(&self, table: &Tensor<2>, _beside: &[Tensor<2>]) -> Tensor<2> {
        self.embed(table)
    }
}
