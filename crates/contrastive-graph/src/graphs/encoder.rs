//! Isomorphism networks with edge embeddings, on unions of graphs.

use super::data::GraphUnion;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor, activation};
use contrastive_core::linear::gather_rows;
use contrastive_core::settings::{Check, SettingError};
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_nn::init::Initial;
use rand_chacha::ChaCha8Rng;

/// Settings of [`GraphEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct GraphEncoderConfig {
    /// Node labels, a mask's included.
    pub node_labels: usize,
    /// Edge labels.
    pub edge_labels: usize,
    /// Width D.
    pub dim: usize,
    /// Layers.
    #[config(default = 3)]
    pub layers: usize,
}

impl GraphEncoderConfig {
    /// The encoder, all weights drawn from `rng`: embeddings and maps Glorot-uniform.
    ///
    /// # Errors
    /// When a number is 0.
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<GraphEncoder, SettingError> {
        let &Self { node_labels, edge_labels, dim, layers } = self;
        let wide = MlpConfig::new(vec![dim, 2 * dim, dim]);
        wide.validate()?;
        for (setting, value) in [("node_labels", node_labels), ("edge_labels", edge_labels), ("layers", layers)] {
            Check::new("graph encoder").count(setting, value)?;
        }
        let table = |rows: usize, rng: &mut ChaCha8Rng| {
            Param::from_tensor(Initial::GlorotUniform.tensor([rows, dim], [rows, dim], rng, device))
        };
        let nodes = table(node_labels, rng);
        let mut layer = || -> Result<EdgeGin, SettingError> {
            Ok(EdgeGin {
                edges: table(edge_labels, rng),
                network: wide.init(rng, device)?,
                norm: BatchNormConfig::new(dim).init(device),
            })
        };
        Ok(GraphEncoder { layers: (0..layers).map(|_| layer()).collect::<Result<_, _>>()?, nodes })
    }
}

/// One layer: `norm(mlp(x_i + sum over neighbours j of (x_j + e_ij)))`, e_ij the embedding of the edge's label (GIN of Xu et al., ICLR 2019,
/// with epsilon 0, and edges as Hu et al., ICLR 2020).
///
/// The sum of edge embeddings is the number of a node's edges of each label times the table, so that no row for each edge is made.
#[derive(Module, Debug)]
pub struct EdgeGin {
    /// A row for each edge label, `[labels, width]`.
    pub edges: Param<Tensor<2>>,
    /// The network behind the sum.
    pub network: Mlp,
    /// Of the columns over all nodes of the batch.
    pub norm: BatchNorm,
}

impl EdgeGin {
    /// What the network sees and gives, without the norm.
    ///
    /// # Shapes
    /// - x, output: `[nodes, width]`
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn messages(&self, union: &GraphUnion, x: Tensor<2>) -> Tensor<2> {
        let sum = union.adjacency.apply_add(x.clone(), x) + union.edge_counts.apply(self.edges.val());
        self.network.forward(sum, &mut Pass::evaluation())
    }
}

/// Embeddings of node labels, layers with ReLU between them, and the mean over the nodes of each graph.
///
/// All graphs of a union share the statistics of the norm: originals and their copies belong into one union, or the statistics tell
/// them apart.
#[derive(Module, Debug)]
pub struct GraphEncoder {
    /// A row for each node label, `[labels, width]`.
    pub nodes: Param<Tensor<2>>,
    /// The layers.
    pub layers: Vec<EdgeGin>,
}

impl GraphEncoder {
    /// Embeddings of graphs, `[graphs, width]`.
    ///
    /// # Panics
    /// When a label is out of range.
    pub fn forward(&self, union: &GraphUnion) -> Tensor<2> {
        let mut x = gather_rows(self.nodes.val(), &union.labels);
        for (at, layer) in self.layers.iter().enumerate() {
            x = layer.norm.forward(layer.messages(union, x));
            if at + 1 < self.layers.len() {
                x = activation::relu(x);
            }
        }
        union.pooling.apply(x)
    }

    /// Width of the embeddings.
    pub fn width(&self) -> usize {
        self.nodes.val().dims()[1]
    }
}
