//! LightGCN (He et al., SIGIR 2020): embeddings spread along the graph, nothing else; BPR.

use super::{Embedded, Method, MethodConfig, TableConfig};
use crate::MethodError;
use crate::parts::{Check, Readout, batch_penalty, propagate, ranking_loss};
use crate::user_item::data::{Interactions, TripleBatch};
use crate::user_item::encoder::UserItemGraph;
use burn::config::Config;
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

/// Settings of [`LightGcn`]; the defaults are the published ones.
#[derive(Config, Debug, PartialEq)]
pub struct LightGcnConfig {
    /// Number of propagations L; 0 is matrix factorisation.
    #[config(default = 3)]
    pub layers: usize,
    /// How layers become one embedding.
    #[config(default = "Readout::Mean")]
    pub readout: Readout,
    /// Weight of the penalty on the batch's layer-0 rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// The node table and its training.
    #[config(default = "TableConfig::new()")]
    pub table: TableConfig,
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
        let check = Check::new("lightgcn");
        check.weight("l2", self.l2)?;
        Ok(self.table.validate(&check)?)
    }

    fn table(&self) -> &TableConfig {
        &self.table
    }

    fn table_mut(&mut self) -> &mut TableConfig {
        &mut self.table
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

    fn encode(&mut self, table: &Tensor<2>, _rng: &mut ChaCha8Rng) -> Embedded {
        Embedded(self.embed(table))
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        encoded: &Embedded,
        batch: &TripleBatch<'_>,
        _rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let mut losses = vec![("bpr", ranking_loss(&self.graph, &encoded.0, batch))];
        if self.config.l2 > 0.0 {
            losses.push(("l2", batch_penalty(&self.graph, table, batch, self.config.l2)));
        }
        losses
    }

    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        let layers = self.config.layers;
        let sums = propagate(table, self.graph.operators(), layers);
        self.config.readout.of(sums.all, layers)
    }
}
