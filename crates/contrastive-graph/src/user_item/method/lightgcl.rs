//! LightGCL (Cai et al., ICLR 2023): the second view is the low-rank reconstruction of the graph, nothing random.

use super::{Initialisation, Method, MethodConfig, TableConfig};
use crate::MethodError;
use crate::parts::{Candidates, Check, Side, cross_view_info_nce, propagate, ranking_loss, table_penalty};
use crate::user_item::augment;
use crate::user_item::data::{Interactions, TripleBatch, adjacency};
use crate::user_item::encoder::UserItemGraph;
use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::linear::{LowRankOperator, SparseOperator, SvdOptions, gather_rows, truncated_svd};
use contrastive_core::objective::PairObjective;
use contrastive_core::similarity::Similarity;
use contrastive_kernels::sparse::Csr;
use rand_chacha::ChaCha8Rng;

/// Settings of [`LightGcl`]; the defaults are those of the released code.
#[derive(Config, Debug, PartialEq)]
pub struct LightGclConfig {
    /// Number of propagations L.
    #[config(default = 2)]
    pub layers: usize,
    /// Rank q of the reconstructed view, 1 to min(users, items).
    #[config(default = 5)]
    pub rank: usize,
    /// Temperature of the contrast.
    #[config(default = 0.2)]
    pub temperature: f64,
    /// Weight of the contrast (lambda_1); 0 is LightGCN with the sum over layers.
    #[config(default = 0.2)]
    pub contrast_weight: f64,
    /// Weight of the squares of the whole table (lambda_2).
    #[config(default = 1e-7)]
    pub l2: f64,
    /// Share of edges dropped in each layer and direction of the main view, with the rest scaled up.
    #[config(default = 0.0)]
    pub edge_dropout: f64,
    /// Among whom an anchor finds itself.
    #[config(default = "Candidates::All")]
    pub candidates: Candidates,
    /// The node table and its training.
    #[config(default = "TableConfig::new().with_batch_size(4096).with_initialisation(Initialisation::XavierUniform)")]
    pub table: TableConfig,
    /// Seed of the randomised decomposition.
    #[config(default = 0)]
    pub svd_seed: u64,
}

/// Positive logits are clamped to this (released code).
const CLAMP: f64 = 5.0;
/// Added to every denominator (released code).
const OFFSET: f64 = 1e-8;

impl LightGclConfig {
    fn objective(&self) -> Result<PairObjective, MethodError> {
        let objective = PairObjective::new(self.temperature)?.with_similarity(Similarity::Dot);
        Ok(objective.with_positive_clamp(CLAMP)?.with_denominator_offset(OFFSET)?)
    }

    /// The method with a given low-rank view `[I, J]` of the interaction matrix instead of its own decomposition.
    ///
    /// # Errors
    /// When a setting is out of its range.
    ///
    /// # Panics
    /// When the view is not of shape users x items.
    pub fn build_with_view(&self, train: &Interactions, view: LowRankOperator) -> Result<LightGcl, MethodError> {
        self.validate()?;
        let graph = UserItemGraph::new(train);
        assert_eq!(view.shape(), [graph.users, graph.items], "the shapes of the low-rank view and of the interactions");
        let back = view.transpose();
        let objective = self.objective()?;
        Ok(LightGcl { config: self.clone(), graph, view, back, objective })
    }
}

impl MethodConfig for LightGclConfig {
    type Method = LightGcl;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("lightgcl");
        check.weight("contrast_weight", self.contrast_weight)?;
        check.weight("l2", self.l2)?;
        check.share("edge_dropout", self.edge_dropout)?;
        self.candidates.validate(&check)?;
        self.objective()?;
        Ok(self.table.validate(&check)?)
    }

    fn table(&self) -> &TableConfig {
        &self.table
    }

    fn table_mut(&mut self) -> &mut TableConfig {
        &mut self.table
    }

    fn build(&self, train: &Interactions) -> Result<LightGcl, MethodError> {
        let parts = adjacency::bipartite(train);
        let matrix = Csr::from_parts(parts.rows, parts.cols, parts.indptr, parts.indices, parts.values);
        let matrix = matrix.expect("adjacencies have ascending rows");
        let view = truncated_svd(&matrix, self.rank, &SvdOptions { seed: self.svd_seed, ..SvdOptions::default() })?;
        self.build_with_view(train, view.into())
    }
}

/// LightGCL: LightGCN's main view with the sum over layers, and beside it a view that propagates the same layers along
/// `P diag(s) Q^T`; each batch node of the second view finds itself among all nodes of the first.
#[derive(Clone, Debug)]
pub struct LightGcl {
    config: LightGclConfig,
    graph: UserItemGraph,
    view: LowRankOperator,
    back: LowRankOperator,
    objective: PairObjective,
}

/// The forward pass of [`LightGcl`].
#[derive(Clone, Debug)]
pub struct LightGclViews {
    /// `[I + J, d]`: the main view, the sum over layers 0 to L.
    pub embeddings: Tensor<2>,
    /// `[I + J, d]`: the sum over layers 0 to L - 1, what the low-rank view propagates.
    pub inner: Tensor<2>,
}

impl LightGcl {
    /// The graph of the main view.
    pub fn graph(&self) -> &UserItemGraph {
        &self.graph
    }

    /// `[I + J, d]`: the low-rank view of all nodes: users `U_0 + P S Q^T sum_l V_l`, items `V_0 + Q S P^T sum_l U_l`,
    /// l from 0 to L - 1.
    pub fn low_rank_view(&self, table: &Tensor<2>, views: &LightGclViews) -> Tensor<2> {
        let (users, items) = self.graph.split(views.inner.clone());
        if self.config.layers == 0 {
            return table.clone();
        }
        table.clone() + Tensor::cat(vec![self.view.apply(items), self.back.apply(users)], 0)
    }

    /// The low-rank view of some users (`items` false) or items, `[k, d]`.
    fn low_rank_rows(&self, table: &Tensor<2>, other_side: Tensor<2>, rows: &[u32], items: bool) -> Tensor<2> {
        let first = if items { self.graph.users as u32 } else { 0 };
        let nodes: Vec<u32> = rows.iter().map(|r| r + first).collect();
        let own = gather_rows(table.clone(), &nodes);
        if self.config.layers == 0 {
            return own;
        }
        let operator = if items { &self.back } else { &self.view };
        own + operator.apply_rows(other_side, rows)
    }

    fn dropped(&self, rng: &mut ChaCha8Rng) -> Vec<SparseOperator> {
        let share = self.config.edge_dropout;
        (0..self.config.layers)
            .map(|_| SparseOperator::new(augment::entry_dropout(self.graph.adjacency.to_f64(), share, rng)))
            .collect()
    }
}

impl Method for LightGcl {
    type Encoded = LightGclViews;

    fn name(&self) -> &'static str {
        "lightgcl"
    }

    fn encode(&mut self, table: &Tensor<2>, rng: &mut ChaCha8Rng) -> LightGclViews {
        let layers = self.config.layers;
        let sums = if self.config.edge_dropout > 0.0 && layers > 0 {
            propagate(table, &self.dropped(rng), layers)
        } else {
            propagate(table, self.graph.operators(), layers)
        };
        LightGclViews { embeddings: sums.all, inner: sums.before_last }
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        views: &LightGclViews,
        batch: &TripleBatch<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let mut losses = vec![("bpr", ranking_loss(&self.graph, &views.embeddings, batch))];
        let config = &self.config;
        if config.contrast_weight > 0.0 {
            let (inner_users, inner_items) = self.graph.split(views.inner.clone());
            let (users, items) = self.graph.split(views.embeddings.clone());
            let listed = batch.positives.iter().chain(batch.negatives).copied();
            let sides = [
                Side::new(batch.users.iter().copied(), users, |rows| {
                    self.low_rank_rows(table, inner_items.clone(), rows, false)
                }),
                Side::new(listed, items, |rows| self.low_rank_rows(table, inner_users.clone(), rows, true)),
            ];
            let contrast = cross_view_info_nce(&self.objective, sides, config.candidates, rng);
            losses.push(("contrast", contrast * config.contrast_weight));
        }
        if config.l2 > 0.0 {
            losses.push(("l2", table_penalty(table, config.l2)));
        }
        losses
    }

    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        propagate(table, self.graph.operators(), self.config.layers).all
    }
}
