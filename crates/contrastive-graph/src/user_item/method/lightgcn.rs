//! LightGCN (He et al., SIGIR 2020): embeddings spread along the graph, nothing else; BPR.

use super::losses::{batch_penalty, ranking_loss};
use super::training::{Embedded, Initialisation, Sampling, TrainingConfig, training_config};
use super::{Method, MethodConfig};
use crate::MethodError;
use crate::error::Check;
use crate::user_item::data::{Interactions, NodeOrder, TripleBatch};
use crate::user_item::encoder::{Readout, UserItemGraph, propagate};
use burn::config::Config;
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

/// Settings of [`LightGcn`]; the defaults are the published ones.
#[derive(Config, Debug, PartialEq)]
pub struct LightGcnConfig {
    /// Width of the embeddings.
    #[config(default = 64)]
    pub dim: usize,
    /// Number of propagations L; 0 is matrix factorisation.
    #[config(default = 3)]
    pub layers: usize,
    /// How layers become one embedding.
    #[config(default = "Readout::Mean")]
    pub readout: Readout,
    /// Weight of the penalty on the batch's layer-0 rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// Learning rate of Adam.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Triples in a batch.
    #[config(default = 2048)]
    pub batch_size: usize,
    /// How triples are drawn.
    #[config(default = "Sampling::Pairs")]
    pub sampling: Sampling,
    /// How the table starts.
    #[config(default = "Initialisation::Normal { deviation: 0.1 }")]
    pub initialisation: Initialisation,
    /// How nodes are numbered inside, for locality; the result is in the original order.
    #[config(default = "NodeOrder::Clusters")]
    pub node_order: NodeOrder,
}

/// LightGCN: `x_l = A x_{l-1}`, the mean (or sum) over layers, BPR, and a penalty on the batch's rows of layer 0.
#[derive(Clone, Debug)]
pub struct LightGcn {
    pub(crate) config: LightGcnConfig,
    pub(crate) graph: UserItemGraph,
    pub(crate) name: &'static str,
}

impl MethodConfig for LightGcnConfig {
    type Method = LightGcn;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check("lightgcn");
        check.weight("l2", self.l2)?;
        self.training().validate(&check)
    }

    fn training(&self) -> TrainingConfig {
        training_config!(self)
    }

    fn build(&self, train: &Interactions) -> Result<LightGcn, MethodError> {
        self.validate()?;
        Ok(LightGcn { config: self.clone(), graph: UserItemGraph::new(train), name: "lightgcn" })
    }
}

impl LightGcn {
    /// The graph it spreads along.
    pub fn graph(&self) -> &UserItemGraph {
        &self.graph
    }
}

impl Method for LightGcn {
    type Encoded = Embedded;

    fn name(&self) -> &'static str {
        self.name
    }

    fn begin_epoch(&mut self, _: ChaCha8Rng) -> Result<(), MethodError> {
        Ok(())
    }

    fn encode(&mut self, table: &Tensor<2>) -> Embedded {
        Embedded(self.embed(table))
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        encoded: &Embedded,
        batch: &TripleBatch<'_>,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let mut losses = vec![("bpr", ranking_loss(&self.graph, &encoded.0, batch))];
        if self.config.l2 > 0.0 {
            losses.push(("l2", batch_penalty(&self.graph, table, batch, self.config.l2)));
        }
        losses
    }

    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        let layers = self.config.layers;
        let (_, sum) = propagate(table, std::slice::from_ref(&self.graph.adjacency), layers);
        self.config.readout.of(sum, layers)
    }
}
