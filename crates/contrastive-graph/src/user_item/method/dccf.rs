//! DCCF (Ren et al., SIGIR 2023): intents that users and items share, and masks of the edges that are learned, in place of random views.

use super::{Initialisation, Method, MethodConfig, Sampling, Start, TableConfig};
use crate::MethodError;
use crate::parts::{
    Check, Side, batch_info_nce, batch_penalty, likeness, propagate, ranking_loss, row_shares, table_penalty,
};
use crate::user_item::data::{Interactions, TripleBatch};
use crate::user_item::encoder::UserItemGraph;
use burn::config::Config;
use burn::tensor::{Device, Tensor, activation};
use contrastive_core::linear::SparsePattern;
use contrastive_core::objective::PairObjective;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Dccf`]; the defaults are those of the released code, [`DccfConfig::sslrec`] those of the framework SSLRec.
#[derive(Config, Debug, PartialEq)]
pub struct DccfConfig {
    /// Number of layers L, 1 or more.
    #[config(default = 2)]
    pub layers: usize,
    /// Intents K of the users, and of the items; 1 or more.
    #[config(default = 128)]
    pub intents: usize,
    /// Temperature of the contrast. It and `contrast_weight` are one knob: at 1 the contrast of cosines is nearly linear.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Weight of the sum of the 6 L contrasts.
    #[config(default = 0.1)]
    pub contrast_weight: f64,
    /// Weight of the squares of the batch's rows of the table, summed over the batch: no mean, no half, as released.
    #[config(default = 2.5e-5)]
    pub l2: f64,
    /// Weight of the squares of the intents.
    #[config(default = 5e-3)]
    pub intent_l2: f64,
    /// Whether the intent view is there.
    #[config(default = true)]
    pub intent_view: bool,
    /// Whether the two masked views are there.
    #[config(default = true)]
    pub masked_views: bool,
    /// Whether a layer's input is added to its output.
    #[config(default = true)]
    pub residual: bool,
    /// The node table and its training. The released code draws 409,600 triples an epoch whatever the data; here it is as many as there
    /// are pairs.
    #[config(
        default = "TableConfig::new().with_batch_size(10240).with_initialisation(Initialisation::XavierNormal).with_sampling(Sampling::UniformUsers)"
    )]
    pub table: TableConfig,
}

impl DccfConfig {
    /// Temperature .2 and weight .01, as the framework SSLRec has them.
    pub fn sslrec() -> Self {
        Self::new().with_temperature(0.2).with_contrast_weight(1e-2)
    }

    /// Message passing alone: without intents, masks and residual. What is left is LightGCN with the sum over layers.
    pub fn plain(self) -> Self {
        self.with_intent_view(false).with_masked_views(false).with_residual(false)
    }
}

impl MethodConfig for DccfConfig {
    type Method = Dccf;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("dccf");
        check.count("layers", self.layers)?;
        check.count("intents", self.intents)?;
        check.positive("temperature", self.temperature)?;
        check.weight("contrast_weight", self.contrast_weight)?;
        check.weight("l2", self.l2)?;
        check.weight("intent_l2", self.intent_l2)?;
        Ok(self.table.validate(&check)?)
    }

    fn table(&self) -> &TableConfig {
        &self.table
    }

    fn table_mut(&mut self) -> &mut TableConfig {
        &mut self.table
    }

    fn build(&self, train: &Interactions) -> Result<Dccf, MethodError> {
        self.validate()?;
        let (objective, graph) = (PairObjective::new(self.temperature)?, UserItemGraph::new(train));
        let pattern = SparsePattern::new(graph.adjacency.to_f32());
        Ok(Dccf { config: self.clone(), objective, graph, pattern })
    }
}

/// DCCF. With `X_0` the table, `G` the degree-normalised graph and C the intents of a node's side, for l from 0 to L - 1:
///
/// ```text
/// Z = G X_l                          messages
/// S = softmax(X_l C) C^T             intents, a mixture of the K of the side
/// a_e = (cos of the ends + 1) / 2    the mask of an existing edge, once from Z, once from S; rows of it sum to 1
/// H = A X_l                          the two masked views
/// X_{l+1} = Z + S + H_Z + H_S + X_l
/// ```
///
/// What is ranked is the sum over `X_0` to `X_L`. Every different user and positive item of a batch finds its row of Z among those of S,
/// of `H_Z` and of `H_S` (6 L InfoNCE). The gradient goes through the masks; they are never cut or rounded. Users without a training item are
/// never drawn.
///
/// The released code adds 1e-8 inside both logarithms of the contrast; that is left out here.
#[derive(Clone, Debug)]
pub struct Dccf {
    config: DccfConfig,
    objective: PairObjective,
    graph: UserItemGraph,
    pattern: SparsePattern,
}

/// The views of a layer, `[I + J, d]` each.
#[derive(Clone, Debug)]
pub struct DccfLayer {
    /// Z.
    pub messages: Tensor<2>,
    /// S.
    pub intents: Option<Tensor<2>>,
    /// `H_Z` and, where there are intents, `H_S`.
    pub masked: Vec<Tensor<2>>,
    /// The masks `[nnz]` of the edges of [`Dccf::pattern`], before rows are brought to sum 1: from Z and, where there are intents, from S.
    pub masks: Vec<Tensor<1>>,
}

/// The forward pass of [`Dccf`].
#[derive(Clone, Debug)]
pub struct DccfViews {
    /// `[I + J, d]`: the sum over layers 0 to L.
    pub embeddings: Tensor<2>,
    /// The views of the layers 0 to L - 1; none where message passing is alone.
    pub layers: Vec<DccfLayer>,
}

impl Dccf {
    /// The graph it spreads along.
    pub fn graph(&self) -> &UserItemGraph {
        &self.graph
    }

    /// The places of the edges, both directions of each, to which the masks belong.
    pub fn pattern(&self) -> &SparsePattern {
        &self.pattern
    }

    /// `softmax(X C) C^T` of each side, for intents `[d, K]` of the users and of the items.
    fn intents(&self, x: &Tensor<2>, beside: &[Tensor<2>]) -> Tensor<2> {
        let (users, items) = self.graph.split(x.clone());
        let mixed = |rows: Tensor<2>, intents: &Tensor<2>| {
            activation::softmax(rows.matmul(intents.clone()), 1).matmul(intents.clone().transpose())
        };
        Tensor::cat(vec![mixed(users, &beside[0]), mixed(items, &beside[1])], 0)
    }

    fn layer(&self, x: &Tensor<2>, beside: &[Tensor<2>]) -> DccfLayer {
        let messages = self.graph.adjacency.apply(x.clone());
        let intents = self.config.intent_view.then(|| self.intents(x, beside));
        let (mut masked, mut masks) = (Vec::new(), Vec::new());
        if self.config.masked_views {
            for ends in [Some(&messages), intents.as_ref()].into_iter().flatten() {
                let mask = likeness(&self.pattern, ends.clone());
                masked.push(self.pattern.apply(row_shares(&self.pattern, mask.clone()), x.clone()));
                masks.push(mask);
            }
        }
        DccfLayer { messages, intents, masked, masks }
    }

    /// The forward pass over the table `[I + J, d]` and the intents `[d, K]` of users and of items.
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn views(&self, table: &Tensor<2>, beside: &[Tensor<2>]) -> DccfViews {
        let config = &self.config;
        if !(config.intent_view || config.masked_views || config.residual) {
            let embeddings = propagate(table, self.graph.operators(), config.layers).all;
            return DccfViews { embeddings, layers: Vec::new() };
        }
        let (mut x, mut embeddings, mut layers) = (table.clone(), table.clone(), Vec::new());
        for _ in 0..config.layers {
            let layer = self.layer(&x, beside);
            let added = layer.intents.iter().chain(&layer.masked).chain(config.residual.then_some(&x));
            x = added.fold(layer.messages.clone(), |sum, view| sum + view.clone());
            embeddings = embeddings + x.clone();
            layers.push(layer);
        }
        DccfViews { embeddings, layers }
    }

    /// The intents as they start, for who has no training.
    fn start(&self, like: &Tensor<2>) -> Vec<Tensor<2>> {
        let device: Device = like.device();
        self.beside().into_iter().map(|(_, start)| start.drawn(0, &device).cast(like.dtype())).collect()
    }

    /// The sum of the 6 L contrasts of a batch.
    fn contrast(&self, views: &DccfViews, batch: &TripleBatch<'_>) -> Option<Tensor<1>> {
        let terms = views.layers.iter().flat_map(|layer| {
            layer.intents.iter().chain(&layer.masked).map(|other| {
                let sides = Side::both(&self.graph, [&layer.messages, other], batch.users, batch.positives);
                batch_info_nce(&self.objective, sides.map(Side::equally_weighted))
            })
        });
        terms.reduce(|sum, term| sum + term)
    }
}

impl Method for Dccf {
    type Encoded = DccfViews;

    fn name(&self) -> &'static str {
        "dccf"
    }

    /// The intents of the users and of the items, `[d, K]` each.
    fn beside(&self) -> Vec<(&'static str, Start)> {
        if !self.config.intent_view {
            return Vec::new();
        }
        let (dim, count) = (self.config.table.dim, self.config.intents);
        let deviation = (2.0 / (dim + count) as f64).sqrt();
        let start = |stream| Start { shape: [dim, count], deviation, stream };
        vec![("user_intents", start(0)), ("item_intents", start(1))]
    }

    /// With the intents as seed 0 starts them.
    fn encode(&mut self, table: &Tensor<2>, _rng: &mut ChaCha8Rng) -> DccfViews {
        self.views(table, &self.start(table))
    }

    fn encode_beside(&mut self, table: &Tensor<2>, beside: &[Tensor<2>], _rng: &mut ChaCha8Rng) -> DccfViews {
        self.views(table, beside)
    }

    fn losses(
        &mut self,
        table: &Tensor<2>,
        views: &DccfViews,
        batch: &TripleBatch<'_>,
        _rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let config = &self.config;
        let mut losses = vec![("bpr", ranking_loss(&self.graph, &views.embeddings, batch))];
        if config.contrast_weight > 0.0 {
            losses.extend(self.contrast(views, batch).map(|sum| ("contrast", sum * config.contrast_weight)));
        }
        if config.l2 > 0.0 {
            // a sum over the batch, where the part is half of a mean
            let weight = 2.0 * batch.users.len() as f64 * config.l2;
            losses.push(("l2", batch_penalty(&self.graph, table, batch, weight)));
        }
        losses
    }

    fn losses_beside(
        &mut self,
        table: &Tensor<2>,
        beside: &[Tensor<2>],
        views: &DccfViews,
        batch: &TripleBatch<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let (mut losses, weight) = (self.losses(table, views, batch, rng), self.config.intent_l2);
        if weight > 0.0 {
            let terms = beside.iter().map(|intents| table_penalty(intents, weight));
            losses.extend(terms.reduce(|sum, term| sum + term).map(|sum| ("intent_l2", sum)));
        }
        losses
    }

    /// With the intents as seed 0 starts them.
    fn embed(&self, table: &Tensor<2>) -> Tensor<2> {
        self.views(table, &self.start(table)).embeddings
    }

    fn embed_beside(&self, table: &Tensor<2>, beside: &[Tensor<2>]) -> Tensor<2> {
        self.views(table, beside).embeddings
    }
}
