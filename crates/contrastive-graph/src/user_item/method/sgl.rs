//! SGL (Wu et al., SIGIR 2021): LightGCN, and InfoNCE between two randomly thinned copies of its graph.

use super::{Initialisation, Method, MethodConfig, TableConfig};
use crate::MethodError;
use crate::parts::{Candidates, Check, Readout, Side, batch_penalty, cross_view_info_nce, propagate, ranking_loss};
use crate::user_item::augment::ViewKind;
use crate::user_item::data::{Interactions, TripleBatch};
use crate::user_item::encoder::{UserItemGraph, operator};
use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::linear::SparseOperator;
use contrastive_core::objective::PairObjective;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Sgl`]. BPR and penalty are means over the batch here (sums in the released code), so the contrast weight
/// is that of a mean, too.
#[derive(Config, Debug, PartialEq)]
pub struct SglConfig {
    /// Number of propagations L.
    #[config(default = 3)]
    pub layers: usize,
    /// How layers become one embedding.
    #[config(default = "Readout::Mean")]
    pub readout: Readout,
    /// Which random views.
    #[config(default = "ViewKind::EdgeDropout")]
    pub view: ViewKind,
    /// Share of edges (or nodes) dropped in each view.
    #[config(default = 0.1)]
    pub drop_ratio: f64,
    /// Temperature of the contrast.
    #[config(default = 0.2)]
    pub temperature: f64,
    /// Weight of the contrast.
    #[config(default = 0.1)]
    pub contrast_weight: f64,
    /// Weight of the penalty on the batch's layer-0 rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// Among whom an anchor finds itself.
    #[config(default = "Candidates::All")]
    pub candidates: Candidates,
    /// The node table and its training.
    #[config(default = "TableConfig::new().with_initialisation(Initialisation::XavierUniform)")]
    pub table: TableConfig,
}

/// SGL: two thinned graphs a epoch, each with its own degrees; every batch node of the first view finds itself among all
/// nodes of the second, by cosine, users and items apart.
#[derive(Clone, Debug)]
pub struct Sgl {
    config: SglConfig,
    objective: PairObjective,
    train: Interactions,
    graph: UserItemGraph,
    views: [Vec<SparseOperator>; 2],
}

impl MethodConfig for SglConfig {
    type Method = Sgl;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("sgl");
        check.weight("contrast_weight", self.contrast_weight)?;
        check.weight("l2", self.l2)?;
        check.share("drop_ratio", self.drop_ratio)?;
        self.candidates.validate(&check)?;
        PairObjective::new(self.temperature)?;
        Ok(self.table.validate(&check)?)
    }

    fn table(&self) -> &TableConfig {
        &self.table
    }

    fn table_mut(&mut self) -> &mut TableConfig {
        &mut self.table
    }

    fn build(&self, train: &Interactions) -> Result<Sgl, MethodError> {
        self.validate()?;
        let graph = UserItemGraph::new(train);
        let main = vec![graph.adjacency.clone()];
        Ok(Sgl {
            config: self.clone(),
            objective: PairObjective::new(self.temperature)?,
            train: train.clone(),
            graph,
            views: [main.clone(), main],
        })
    }
}

/// The forward passes of [`Sgl`], `[I + J, d]` each.
#[derive(Clone, Debug)]
pub struct SglViews {
    /// On the whole graph.
    pub embeddings: Tensor<2>,
    /// On the two thinned graphs.
    pub views: [Tensor<2>; 2],
}

impl Sgl {
    fn propagate(&self, table: &Tensor<2>, operators: &[SparseOperator]) -> Tensor<2> {
        let layers = self.config.layers;
        self.config.readout.of(propagate(table, operators, layers).all, layers)
    }
}

impl Method for Sgl {
    type Encoded = SglViews;

    fn name(&self) -> &'static str {
        "sgl"
    }

    fn begin_epoch(&mut self, mut rng: ChaCha8Rng) -> Result<(), MethodError> {
        for view in &mut self.views {
            let parts =
                self.config.view.draw(&self.train, self.config.drop_ratio, self.config.layers.max(1), &mut rng)?;
            *view = parts.into_iter().map(operator).collect();
        }
        Ok(())
    }

    fn encode(&mut self, table: &Tensor<2>, _rng: &mut ChaCha8Rng) -> SglViews {
        let views = [0, 1].map(|k| self.propagate(table, &self.views[k]));
        SglViews { embeddings: self.embed(table), views }
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        encoded: &SglViews,
        batch: &TripleBatch<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let mut losses = vec![("bpr", ranking_loss(&self.graph, &encoded.embeddings, batch))];
        let config = &self.config;
        if config.contrast_weight > 0.0 {
            let [anchors, candidates] = &encoded.views;
            let sides = Side::both(&self.graph, [anchors, candidates], batch.users, batch.positives);
            let contrast = cross_view_info_nce(&self.objective, sides, config.candidates, rng);
            losses.push(("contrast", contrast * config.contrast_weight));
        }
        if config.l2 > 0.0 {
            losses.push(("l2", batch_penalty(&self.graph, table, batch, config.l2)));
        }
        losses
    }

    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        self.propagate(table, self.graph.operators())
    }
}
