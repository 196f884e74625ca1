//! Two corrupted copies of a graph, and the encoder and projector that both go through.

use super::{NodeMethod, NodeMethodError};
use crate::augment::AugmentError;
use crate::augment::edges::{EdgeDraw, drop_edges_weighted};
use crate::augment::features::{FeatureView, draw_columns_weighted};
use crate::encoder::{Activation, Encoder, EncoderConfig, LayerKind, Mlp, MlpConfig, NodeInput, Propagation};
use crate::method::error::Check;
use crate::node::{Features, Graph, Loops, Normalisation};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_kernels::sparse::Csr;
use rand_chacha::ChaCha8Rng;

/// A graph as node methods use it: the adjacency without self loops, row `i` listing the nodes that send to node `i`, and the
/// features on a device.
#[derive(Clone, Debug)]
pub struct NodeData {
    adjacency: Csr<f64>,
    features: Features,
    input: NodeInput,
    summary: serde_json::Value,
}

impl NodeData {
    /// Takes a graph over. `normalise` divides every feature row by its sum first ([`Features::row_normalised`]).
    ///
    /// # Errors
    /// When there are fewer than two nodes, no edge between two of them, or no features.
    pub fn new(method: &'static str, graph: &Graph, normalise: bool, device: &Device) -> Result<Self, NodeMethodError> {
        let nodes = graph.num_nodes();
        if nodes < 2 {
            return Err(NodeMethodError::TooFewNodes { method, nodes });
        }
        let adjacency = graph.matrix(Normalisation::None, Loops::Remove);
        if adjacency.nnz() == 0 {
            return Err(NodeMethodError::NoEdges { method, nodes });
        }
        let features = graph.require_features()?;
        let features = if normalise { features.row_normalised() } else { features.clone() };
        let input = match (&features, features.operator()) {
            (_, Some(operator)) => operator.into(),
            (Features::Dense(rows), None) => {
                let shape = [rows.nrows(), rows.ncols()];
                let data = TensorData::new(rows.iter().copied().collect::<Vec<f32>>(), shape);
                Tensor::<2>::from_data(data, &device.clone().inner()).into()
            }
            (Features::Sparse(_), None) => unreachable!("sparse features have an operator"),
        };
        let summary = serde_json::json!({
            "name": graph.name(), "nodes": nodes, "entries": adjacency.nnz(), "features": features.num_features(),
        });
        Ok(Self { adjacency, features, input, summary })
    }

    /// Number of nodes.
    pub fn num_nodes(&self) -> usize {
        self.adjacency.rows()
    }

    /// Number of feature columns.
    pub fn num_features(&self) -> usize {
        self.features.num_features()
    }

    /// The adjacency, without self loops.
    pub fn adjacency(&self) -> &Csr<f64> {
        &self.adjacency
    }

    /// The features, normalised if that was asked for.
    pub fn feature_view(&self) -> FeatureView<'_, f32> {
        match &self.features {
            Features::Dense(rows) => FeatureView::Dense(rows.view()),
            Features::Sparse(rows) => FeatureView::Sparse(rows),
        }
    }

    /// The features as an encoder takes them.
    pub fn input(&self) -> &NodeInput {
        &self.input
    }

    /// Name and size, for checkpoints.
    pub fn summary(&self) -> &serde_json::Value {
        &self.summary
    }
}

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

/// A corrupted copy of a graph.
#[derive(Clone, Debug)]
pub struct View {
    /// The entries that stay.
    pub adjacency: Csr<f64>,
    /// Which feature columns stay.
    pub columns: Vec<bool>,
}

/// Two views of one graph: what GRACE and its descendants draw anew in every epoch.
#[derive(Clone, Debug)]
pub struct TwoViews {
    /// The graph.
    pub data: NodeData,
    /// How the views are drawn.
    pub rules: [ViewRule; 2],
    /// Who shares a draw of an edge.
    pub draw: EdgeDraw,
    whole: Propagation,
}

impl TwoViews {
    /// Views of a graph for an encoder of this kind of layer.
    ///
    /// # Errors
    /// When a probability is not in `0..=1`, there is not one for each thing, or a directed graph is to be drawn per pair.
    pub fn new(
        data: NodeData,
        rules: [ViewRule; 2],
        draw: EdgeDraw,
        layer: LayerKind,
    ) -> Result<Self, NodeMethodError> {
        let whole = layer.prepare(&data.adjacency);
        let views = Self { data, rules, draw, whole };
        let mut rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(0);
        views.rules.iter().try_for_each(|rule| views.view(rule, &mut rng).map(drop))?;
        Ok(views)
    }

    fn view(&self, rule: &ViewRule, rng: &mut ChaCha8Rng) -> Result<View, AugmentError> {
        let edges = rule.edges.each(self.data.adjacency.nnz());
        let adjacency = drop_edges_weighted(&self.data.adjacency, &edges, self.draw, rng)?;
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

    /// Both views of an epoch through encoder and projector, `[nodes, width]` each.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn projections(
        &self,
        model: &ProjectedEncoder,
        rng: &mut ChaCha8Rng,
    ) -> Result<[Tensor<2>; 2], NodeMethodError> {
        let mut project = |rule| -> Result<Tensor<2>, NodeMethodError> {
            let View { adjacency, columns } = self.view(rule, rng)?;
            let input = self.data.input.clone().with_columns(&columns)?;
            Ok(model.project(&model.encoder.prepare(&adjacency), &input))
        };
        Ok([project(&self.rules[0])?, project(&self.rules[1])?])
    }

    /// Embeddings of the whole graph, `[nodes, dim]`: the encoder alone.
    pub fn embed(&self, model: &ProjectedEncoder) -> Tensor<2> {
        model.encoder.forward(&self.whole, &self.data.input)
    }
}

/// A method that compares the projections of two views of a graph, row i of one with row i of the other: all it adds is what
/// the comparison costs.
pub trait TwoViewMethod {
    /// The method's name, for files and messages.
    fn method_name(&self) -> &'static str;

    /// The graph and the rules of its views.
    fn views(&self) -> &TwoViews;

    /// The loss `[1]` of the projections `[nodes, dim]` in epoch `epoch`, counted from 1.
    ///
    /// # Errors
    /// When a setting of the epoch is out of range.
    fn contrast(&self, projections: [Tensor<2>; 2], epoch: usize) -> Result<Tensor<1>, NodeMethodError>;
}

impl<M: TwoViewMethod> NodeMethod for M {
    type Model = ProjectedEncoder;
    type Encoded = [Tensor<2>; 2];

    fn name(&self) -> &'static str {
        self.method_name()
    }

    fn data(&self) -> serde_json::Value {
        self.views().data.summary().clone()
    }

    fn encode(
        &self,
        model: &ProjectedEncoder,
        _epoch: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<[Tensor<2>; 2], NodeMethodError> {
        self.views().projections(model, rng)
    }

    fn losses(&self, encoded: [Tensor<2>; 2], epoch: usize) -> Result<Vec<(&'static str, Tensor<1>)>, NodeMethodError> {
        Ok(vec![("contrast", self.contrast(encoded, epoch)?)])
    }

    fn embed(&self, model: &ProjectedEncoder) -> Tensor<2> {
        self.views().embed(model)
    }
}

/// An encoder and the projector between it and the objective.
#[derive(Module, Debug)]
pub struct ProjectedEncoder {
    /// What is kept.
    pub encoder: Encoder,
    /// What is discarded after training: linear, ELU, linear.
    pub projector: Mlp,
}

impl ProjectedEncoder {
    /// Projections `[nodes, dim]`.
    pub fn project(&self, graph: &Propagation, input: &NodeInput) -> Tensor<2> {
        self.projector.forward(&self.encoder.forward(graph, input).into())
    }
}

/// The sizes and choices of a [`ProjectedEncoder`] and its training that GRACE and its descendants share.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub layer: LayerKind,
    pub layers: usize,
    pub dim: usize,
    pub projection: usize,
    pub activation: Activation,
}

impl Shape {
    /// `[features, 2 d, ..., d]`.
    fn encoder(&self, features: usize) -> EncoderConfig {
        let mut widths = vec![2 * self.dim; self.layers + 1];
        (widths[0], widths[self.layers]) = (features, self.dim);
        EncoderConfig::new(widths).with_layer(self.layer).with_activation(self.activation)
    }

    fn projector(&self) -> MlpConfig {
        MlpConfig::new(vec![self.dim, self.projection, self.dim]).with_activation(Activation::Elu)
    }

    pub fn validate(&self, check: &Check) -> Result<(), NodeMethodError> {
        check.count("layers", self.layers)?;
        check.count("dim", self.dim)?;
        check.count("projection", self.projection)?;
        self.encoder(1).validate()?;
        Ok(self.projector().validate()?)
    }

    pub fn init(
        &self,
        features: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<ProjectedEncoder, NodeMethodError> {
        let encoder = self.encoder(features).init(rng, device)?;
        Ok(ProjectedEncoder { encoder, projector: self.projector().init(rng, device)? })
    }
}

/// Every probability is one.
pub(super) fn shares(check: &Check, setting: &'static str, values: &[f64]) -> Result<(), NodeMethodError> {
    let fine = |value: &&f64| !(0.0..=1.0).contains(*value);
    match values.iter().find(fine) {
        Some(value) => Ok(check.that(false, setting, value, "0 to 1")?),
        None => Ok(()),
    }
}
