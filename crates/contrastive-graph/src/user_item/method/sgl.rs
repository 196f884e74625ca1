//! SGL (Wu et al., SIGIR 2021): LightGCN, and InfoNCE between two randomly thinned copies of its graph.

use super::losses::{Side, batch_penalty, cross_view_info_nce, ranking_loss};
use super::training::{Candidates, Initialisation, Sampling, TrainingConfig, training_config};
use super::{Method, MethodConfig};
use crate::MethodError;
use crate::error::Check;
use crate::user_item::augment::ViewKind;
use crate::user_item::data::{Interactions, NodeOrder, TripleBatch};
use crate::user_item::encoder::{Readout, UserItemGraph, operator, propagate};
use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::linear::{SparseOperator, gather_rows};
use contrastive_core::objective::PairObjective;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Sgl`]. BPR and penalty are means over the batch here (sums in the released code), so the contrast weight
/// is that of a mean, too.
#[derive(Config, Debug, PartialEq)]
pub struct SglConfig {
    /// Width of the embeddings.
    #[config(default = 64)]
    pub dim: usize,
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
    #[config(default = "Initialisation::XavierUniform")]
    pub initialisation: Initialisation,
    /// How nodes are numbered inside, for locality; the result is in the original order.
    #[config(default = "NodeOrder::Clusters")]
    pub node_order: NodeOrder,
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
    rng: ChaCha8Rng,
}

impl MethodConfig for SglConfig {
    type Method = Sgl;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check("sgl");
        check.weight("contrast_weight", self.contrast_weight)?;
        check.weight("l2", self.l2)?;
        check.share("drop_ratio", self.drop_ratio)?;
        self.candidates.validate(&check)?;
        PairObjective::new(self.temperature)?;
        self.training().validate(&check)
    }

    fn training(&self) -> TrainingConfig {
        training_config!(self)
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
            rng: ChaCha8Rng::seed_from_u64(0),
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
        self.config.readout.of(propagate(table, operators, layers).1, layers)
    }
}

impl Method for Sgl {
    type Encoded = SglViews;

    fn name(&self) -> &'static str {
        "sgl"
    }

    fn begin_epoch(&mut self, rng: ChaCha8Rng) -> Result<(), MethodError> {
        self.rng = rng;
        for view in &mut self.views {
            let parts =
                self.config.view.draw(&self.train, self.config.drop_ratio, self.config.layers.max(1), &mut self.rng)?;
            *view = parts.into_iter().map(operator).collect();
        }
        Ok(())
    }

    fn encode(&mut self, table: &Tensor<2>) -> SglViews {
        let views = [0, 1].map(|k| self.propagate(table, &self.views[k]));
        SglViews { embeddings: self.embed(table), views }
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        encoded: &SglViews,
        batch: &TripleBatch<'_>,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let mut losses = vec![("bpr", ranking_loss(&self.graph, &encoded.embeddings, batch))];
        let config = &self.config;
        if config.contrast_weight > 0.0 {
            let (users, items) = self.graph.split(encoded.views[1].clone());
            let anchors = |rows: &[u32], first: u32| {
                let nodes: Vec<u32> = rows.iter().map(|row| row + first).collect();
                gather_rows(encoded.views[0].clone(), &nodes)
            };
            let of_items = self.graph.users as u32;
            let sides = [
                Side::new(batch.users.iter().copied(), users, |rows| anchors(rows, 0)),
                Side::new(batch.positives.iter().copied(), items, |rows| anchors(rows, of_items)),
            ];
            let contrast = cross_view_info_nce(&self.objective, sides, config.candidates, &mut self.rng);
            losses.push(("contrast", contrast * config.contrast_weight));
        }
        if config.l2 > 0.0 {
            losses.push(("l2", batch_penalty(&self.graph, table, batch, config.l2)));
        }
        losses
    }

    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        self.propagate(table, std::slice::from_ref(&self.graph.adjacency))
    }
}
