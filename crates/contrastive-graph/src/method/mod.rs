//! Published methods on user-item graphs.
//!
//! A [`Method`] says how a node table becomes embeddings and what a batch of triples costs; [`Training`] owns the table, the
//! optimiser and the sampler, and steps. A configuration's `fit` runs a training with progress, checkpoints and a run
//! folder; an own loop calls [`Training::begin_epoch`](contrastive_train::Trainee::begin_epoch) and
//! [`Training::step`](contrastive_train::Trainee::step), or the method itself.

mod error;
mod graph;
mod lightgcl;
mod lightgcn;
mod losses;
mod mf;
mod model;
mod sgl;
mod training;

pub use error::MethodError;
pub use graph::{Graph, Readout, operator};
pub use lightgcl::{LightGcl, LightGclConfig};
pub use lightgcn::{LightGcn, LightGcnConfig};
pub use mf::MfBprConfig;
pub use model::Embeddings;
pub use sgl::{Sgl, SglConfig};
pub use training::{Candidates, Initialisation, Sampling, Training, TrainingConfig};

use crate::data::TripleBatch;
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

/// What a method adds to a node table, an optimiser and a sampler.
pub trait Method {
    /// What a forward pass leaves for the losses.
    type Encoded;

    /// The method's name, for files and messages.
    fn name(&self) -> &'static str;

    /// Draws what holds for an epoch (augmented graphs), and takes over its generator.
    ///
    /// # Errors
    /// When a setting does not fit the data.
    fn begin_epoch(&mut self, rng: ChaCha8Rng) -> Result<(), MethodError>;

    /// The forward pass over the node table `[I + J, d]`: users, then items.
    fn encode(&mut self, table: &Tensor<2>) -> Self::Encoded;

    /// The weighted losses of a batch by name; their sum is minimised.
    fn losses(
        &mut self,
        table: &Tensor<2>,
        encoded: &Self::Encoded,
        batch: &TripleBatch<'_>,
    ) -> Vec<(&'static str, Tensor<1>)>;

    /// The final embeddings `[I + J, d]` of a node table: what is ranked by inner product.
    fn embed(&self, table: &Tensor<2>) -> Tensor<2>;
}
