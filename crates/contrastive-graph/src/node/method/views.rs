//! Two corrupted copies of a graph, and methods that compare what a network makes of them.

use super::{NodeData, NodeMethod};
use crate::MethodError;
use crate::node::augment::AugmentError;
use crate::node::augment::edges::{EdgeDraw, drop_edges_weighted};
use crate::node::augment::features::draw_columns_weighted;
use crate::node::data::Graph;
use crate::node::encoder::{Encoder, LayerKind, NodeInput, Propagation};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_kernels::sparse::Csr;
use contrastive_train::{Check, SettingError};
use rand_chacha::ChaCha8Rng;

/// With which probabilities things are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Drops {
    /// All with the same.
    Uniform(f64),
    /// Each with its own.
    Each(Vec<f64>),
}

impl Drops {
    /// One probability for each of `count` things.
    pub fn each(&self, count: usize) -> Vec<f64> {
        match self {
            Self::Uniform(p) => vec![*p; count],
            Self::Each(p) => p.clone(),
        }
    }
}

/// How a view is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewRule {
    /// Of the entries of the adjacency.
    pub edges: Drops,
    /// Of the feature columns, whole.
    pub columns: Drops,
}

impl ViewRule {
    /// The rules of two views that drop all edges, and all columns, with the same probability.
    pub fn uniform(edges: [f64; 2], columns: [f64; 2]) -> [Self; 2] {
        [0, 1].map(|k| Self { edges: Drops::Uniform(edges[k]), columns: Drops::Uniform(columns[k]) })
    }
}

/// A corrupted copy of a graph.
#[derive(Clone, Debug)]
pub struct View {
    /// The entries that stay.
    pub adjacency: Csr<f64>,
    /// Which feature columns stay.
    pub columns: Vec<bool>,
}

/// Two views of one graph: what GRACE, its descendants, BGRL and graph Barlow Twins draw anew in every epoch.
#[derive(Clone, Debug)]
pub struct TwoViews {
    /// The graph.
    pub data: NodeData,
    /// How the views are drawn.
    pub rules: [ViewRule; 2],
    /// Who shares a draw of an edge.
    pub draw: EdgeDraw,
}

impl TwoViews {
    /// Views of a graph.
    ///
    /// # Errors
    /// When a probability is not in `0..=1`, there is not one for each thing, or a directed graph is to be drawn per pair.
    pub fn new(data: NodeData, rules: [ViewRule; 2], draw: EdgeDraw) -> Result<Self, MethodError> {
        let views = Self { data, rules, draw };
        views.draw(&mut rand_chacha::rand_core::SeedableRng::seed_from_u64(0))?;
        Ok(views)
    }

    fn view(&self, rule: &ViewRule, rng: &mut ChaCha8Rng) -> Result<View, AugmentError> {
        let edges = rule.edges.each(self.data.adjacency().nnz());
        let adjacency = drop_edges_weighted(self.data.adjacency(), &edges, self.draw, rng)?;
        let columns = draw_columns_weighted(&rule.columns.each(self.data.num_features()), rng)?;
        Ok(View { adjacency, columns })
    }

    /// The two views of an epoch.
    ///
    /// # Errors
    /// As [`new`](Self::new), when rules were changed since.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Result<[View; 2], AugmentError> {
        Ok([self.view(&self.rules[0], rng)?, self.view(&self.rules[1], rng)?])
    }

    /// The two views of an epoch as an encoder takes them in.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn inputs(&self, rng: &mut ChaCha8Rng) -> Result<[(Propagation, NodeInput); 2], MethodError> {
        let [first, second] = self.draw(rng)?;
        let input = |view: View| -> Result<_, MethodError> {
            let features = self.data.input().clone().with_columns(&view.columns)?;
            Ok((self.data.layer().prepare(&view.adjacency), features))
        };
        Ok([input(first)?, input(second)?])
    }

    /// Embeddings of the whole graph, `[nodes, dim]`: the encoder alone.
    pub fn embed(&self, model: &impl ViewModel) -> Tensor<2> {
        self.data.embed(model.encoder())
    }
}

/// Settings of two views that drop all edges, and all feature columns, with the same probability.
#[derive(Config, Debug, PartialEq)]
pub struct UniformViews {
    /// Shares of edges dropped in the two views, 0 to 1.
    pub edge_drop: [f64; 2],
    /// Shares of feature columns set to 0 in the two views, 0 to 1.
    pub feature_drop: [f64; 2],
    /// Whether both directions of an edge are dropped together.
    #[config(default = "EdgeDraw::PerPair")]
    pub edge_draw: EdgeDraw,
    /// Whether feature rows are divided by their sum first.
    #[config(default = true)]
    pub normalise_features: bool,
}

impl UniformViews {
    pub(super) fn validate(&self, check: &Check) -> Result<(), SettingError> {
        check.probabilities("edge_drop", &self.edge_drop)?;
        check.probabilities("feature_drop", &self.feature_drop)
    }

    /// The views of a graph for encoders of this kind of layer.
    pub(super) fn of(
        &self,
        method: &'static str,
        graph: &Graph,
        layer: LayerKind,
        device: &Device,
    ) -> Result<TwoViews, MethodError> {
        let data = NodeData::new(method, graph, self.normalise_features, layer, device)?;
        TwoViews::new(data, ViewRule::uniform(self.edge_drop, self.feature_drop), self.edge_draw)
    }
}

/// A network whose outputs for two views are compared.
pub trait ViewModel: Module {
    /// The part that is kept after training.
    fn encoder(&self) -> &Encoder;

    /// What is compared, `[nodes, width]`, of what the encoder gives.
    fn head(&self, encoded: Tensor<2>) -> Tensor<2> {
        encoded
    }

    /// What is compared, `[nodes, width]`.
    fn compared(&self, graph: &Propagation, input: &NodeInput) -> Tensor<2> {
        self.head(self.encoder().forward(graph, input))
    }
}

impl ViewModel for Encoder {
    fn encoder(&self) -> &Encoder {
        self
    }
}

/// A method that compares what one network makes of two views of a graph, row i of one with row i of the other: all it adds is
/// what the comparison costs.
pub trait TwoViewMethod {
    /// The network.
    type Model: ViewModel;

    /// The method's name, for files and messages.
    fn method_name(&self) -> &'static str;

    /// The graph and the rules of its views.
    fn views(&self) -> &TwoViews;

    /// The loss `[1]` of the outputs `[nodes, width]` in epoch `epoch`, counted from 1.
    ///
    /// # Errors
    /// When a setting of the epoch is out of range.
    fn contrast(&self, outputs: [Tensor<2>; 2], epoch: usize) -> Result<Tensor<1>, MethodError>;

    /// Further weighted losses by name, of the model, both views, and what the encoder gave for them; none by default.
    ///
    /// # Errors
    /// When something does not fit the model or a view.
    fn further(&self, _model: &Self::Model, _seen: &SeenViews) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        Ok(Vec::new())
    }
}

/// Both views of a step, and what a model's encoder gave for them, `[nodes, dim]` each, before any projector.
#[derive(Clone, Debug)]
pub struct SeenViews {
    /// The views as the encoder took them in.
    pub inputs: [(Propagation, NodeInput); 2],
    /// What it gave.
    pub encoded: [Tensor<2>; 2],
}

impl<M: TwoViewMethod> NodeMethod for M {
    type Model = M::Model;
    type Encoded = SeenViews;

    fn name(&self) -> &'static str {
        self.method_name()
    }

    fn data(&self) -> serde_json::Value {
        self.views().data.summary().clone()
    }

    fn encode(&self, model: &M::Model, _step: usize, rng: &mut ChaCha8Rng) -> Result<SeenViews, MethodError> {
        let inputs = self.views().inputs(rng)?;
        let encoded = inputs.each_ref().map(|(graph, input)| model.encoder().forward(graph, input));
        Ok(SeenViews { inputs, encoded })
    }

    fn losses(
        &self,
        model: &M::Model,
        seen: SeenViews,
        epoch: usize,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        let outputs = seen.encoded.clone().map(|encoded| model.head(encoded));
        let mut losses = vec![("contrast", self.contrast(outputs, epoch)?)];
        losses.extend(self.further(model, &seen)?);
        Ok(losses)
    }

    fn embed(&self, model: &M::Model) -> Tensor<2> {
        self.views().embed(model)
    }
}
