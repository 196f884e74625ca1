//! A graph with features as node methods take it in, and tables on their way to a device and back.

use crate::MethodError;
use crate::node::augment::features::FeatureView;
use crate::node::data::{Features, Graph, Loops, Normalisation};
use crate::node::encoder::{Encoder, LayerKind, NodeInput, Propagation};
use crate::parts::to_tensor;
use burn::tensor::{Device, Tensor};
use contrastive_kernels::sparse::Csr;
use ndarray::{Array2, Axis};

/// A graph as node methods use it: the adjacency without self loops, row `i` listing the nodes that send to node `i`, prepared for
/// one kind of layer, and the features on a device.
#[derive(Clone, Debug)]
pub struct NodeData {
    adjacency: Csr<f64>,
    features: Features,
    input: NodeInput,
    layer: LayerKind,
    whole: Propagation,
    device: Device,
    summary: serde_json::Value,
}

impl NodeData {
    /// Takes a graph over for encoders of this kind of layer. `normalise` divides every feature row by its sum first
    /// ([`Features::row_normalised`]).
    ///
    /// # Errors
    /// When there are fewer than two nodes, no edge between two of them, or no features.
    pub fn new(
        method: &'static str,
        graph: &Graph,
        normalise: bool,
        layer: LayerKind,
        device: &Device,
    ) -> Result<Self, MethodError> {
        let nodes = graph.num_nodes();
        if nodes < 2 {
            return Err(MethodError::TooFewNodes { method, nodes });
        }
        let adjacency = graph.matrix(Normalisation::None, Loops::Remove);
        if adjacency.nnz() == 0 {
            return Err(MethodError::NoEdges { method, nodes });
        }
        let features = graph.require_features()?;
        let features = if normalise { features.row_normalised() } else { features.clone() };
        let (whole, device) = (layer.prepare(&adjacency), device.clone().inner());
        let (input, summary) = (input(&features, &device), summary(graph, adjacency.nnz())?);
        Ok(Self { adjacency, features, input, layer, whole, device, summary })
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

    /// The kind of layer it is prepared for.
    pub fn layer(&self) -> LayerKind {
        self.layer
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

    /// The features of other nodes, in this order, as an encoder takes them.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn input_of(&self, nodes: &[u32]) -> NodeInput {
        input(&select(&self.features, nodes), &self.device)
    }

    /// An encoder's output for features `input` along all edges, `[nodes, width]`.
    ///
    /// # Panics
    /// When the encoder is of another kind of layer or takes another number of features.
    pub fn forward(&self, encoder: &Encoder, input: &NodeInput) -> Tensor<2> {
        encoder.forward(&self.whole, input)
    }

    /// Embeddings of the whole graph, `[nodes, dim]`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn embed(&self, encoder: &Encoder) -> Tensor<2> {
        self.forward(encoder, &self.input)
    }

    /// Name and size, for checkpoints.
    pub fn summary(&self) -> &serde_json::Value {
        &self.summary
    }
}

/// Name, size and digest of a graph whose edges take part with this many entries, for checkpoints.
pub(super) fn summary(graph: &Graph, entries: usize) -> Result<serde_json::Value, MethodError> {
    let (nodes, features) = (graph.num_nodes(), graph.require_features()?.num_features());
    Ok(serde_json::json!({
        "name": graph.name(),
        "nodes": nodes,
        "entries": entries,
        "features": features,
        "digest": graph.digest().to_string(),
    }))
}

/// Features as an encoder takes them in.
pub(super) fn input(features: &Features, device: &Device) -> NodeInput {
    match (features, features.operator()) {
        (_, Some(operator)) => operator.into(),
        (features, None) => to_tensor(features.to_dense().view(), device).into(),
    }
}

/// The place of the largest number of each row, of equal ones the first.
pub(super) fn largest(shares: &Array2<f32>) -> Vec<u32> {
    let best = |row: ndarray::ArrayView1<'_, f32>| {
        (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as u32
    };
    shares.rows().into_iter().map(best).collect()
}

/// The features of some nodes, in this order.
pub(super) fn select(features: &Features, nodes: &[u32]) -> Features {
    match features {
        Features::Dense(rows) => {
            let at: Vec<usize> = nodes.iter().map(|node| *node as usize).collect();
            Features::Dense(rows.select(Axis(0), &at))
        }
        Features::Sparse(rows) => {
            let (mut indptr, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
            for &node in nodes {
                let (own, weights) = rows.row(node as usize);
                columns.extend_from_slice(own);
                values.extend_from_slice(weights);
                indptr.push(columns.len());
            }
            let rows = Csr::from_parts(nodes.len(), rows.cols(), indptr, columns, values);
            Features::Sparse(rows.expect("rows of a matrix"))
        }
    }
}
