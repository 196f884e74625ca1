//! XSimGCL (Yu et al., TKDE 2023): noise in every layer of one propagation, and a contrast of one layer with the mean of all.

use super::{Initialisation, Method, MethodConfig, TableConfig};
use crate::MethodError;
use crate::parts::{Check, Layers, Noise, Side, batch_info_nce, batch_penalty, propagate_with, ranking_loss};
use crate::user_item::data::{Interactions, TripleBatch};
use crate::user_item::encoder::UserItemGraph;
use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::objective::PairObjective;
use rand_chacha::ChaCha8Rng;

/// Settings of [`XSimGcl`]; the defaults are those of the released code.
#[derive(Config, Debug, PartialEq)]
pub struct XSimGclConfig {
    /// Number of propagations L, 1 or more.
    #[config(default = 2)]
    pub layers: usize,
    /// The layer l* that is contrasted with the mean over layers 1 to L; 1 to L.
    #[config(default = 1)]
    pub contrast_layer: usize,
    /// Length of the noise added to every row of every layer.
    #[config(default = 0.2)]
    pub epsilon: f64,
    /// Temperature of the contrast.
    #[config(default = 0.2)]
    pub temperature: f64,
    /// Weight of the contrast (lambda).
    #[config(default = 0.2)]
    pub contrast_weight: f64,
    /// Weight of the penalty on the batch's layer-0 rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// The node table and its training.
    #[config(default = "TableConfig::new().with_initialisation(Initialisation::XavierUniform)")]
    pub table: TableConfig,
}

/// XSimGCL: `x_l = A x_{l-1} + epsilon sign(A x_{l-1}) u`, where the rows of u are uniform noise scaled to length 1; BPR on the mean
/// over layers 1 to L; each different node of the batch (users, positive items) finds its mean among the rows of layer l*.
#[derive(Clone, Debug)]
pub struct XSimGcl {
    config: XSimGclConfig,
    objective: PairObjective,
    graph: UserItemGraph,
    /// A tensor `[I + J, d]` in `[0, 1)` for each layer of each step.
    pub noise: Noise,
}

impl MethodConfig for XSimGclConfig {
    type Method = XSimGcl;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("xsimgcl");
        let layer = self.contrast_layer;
        check.that((1..=self.layers).contains(&layer), "contrast_layer", layer, "1 to the number of layers")?;
        check.weight("epsilon", self.epsilon)?;
        check.weight("contrast_weight", self.contrast_weight)?;
        check.weight("l2", self.l2)?;
        PairObjective::new(self.temperature)?;
        Ok(self.table.validate(&check)?)
    }

    fn table(&self) -> &TableConfig {
        &self.table
    }

    fn table_mut(&mut self) -> &mut TableConfig {
        &mut self.table
    }

    fn build(&self, train: &Interactions) -> Result<XSimGcl, MethodError> {
        self.validate()?;
        let (objective, graph) = (PairObjective::new(self.temperature)?, UserItemGraph::new(train));
        Ok(XSimGcl { config: self.clone(), objective, graph, noise: Noise::seeded(0) })
    }
}

impl Method for XSimGcl {
    type Encoded = Layers;

    fn name(&self) -> &'static str {
        "xsimgcl"
    }

    fn encode(&mut self, table: &Tensor<2>, rng: &mut ChaCha8Rng) -> Layers {
        let (epsilon, noise) = (self.config.epsilon, &mut self.noise);
        noise.reseed(rng);
        propagate_with(table, self.graph.operators(), self.config.layers, |_, x| {
            x.clone() + Tensor::from_inner(noise.unit_rows_like(&x) * x.inner().sign() * epsilon)
        })
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        layers: &Layers,
        batch: &TripleBatch<'_>,
        _rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let (config, graph) = (&self.config, &self.graph);
        let embeddings = layers.mean(1..=config.layers);
        let views = [&embeddings, &layers.layer(config.contrast_layer)];
        let sides = Side::both(graph, views, batch.users, batch.positives).map(Side::equally_weighted);
        let contrast = batch_info_nce(&self.objective, sides) * config.contrast_weight;
        let penalty = batch_penalty(graph, table, batch, config.l2);
        vec![("bpr", ranking_loss(graph, &embeddings, batch)), ("contrast", contrast), ("l2", penalty)]
    }

    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        propagate_with(table, self.graph.operators(), self.config.layers, |_, x| x).mean(1..=self.config.layers)
    }
}
