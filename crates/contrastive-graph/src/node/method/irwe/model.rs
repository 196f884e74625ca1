//! The networks: identity from statistics of patterns, position from walks.

use super::statistics::{WalkIndex, WalkStatistics};
use crate::parts::to_tensor;
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use contrastive_core::linear::gather_rows;
use contrastive_nn::encoder::{Mlp, MlpConfig, Transformer, TransformerConfig};
use contrastive_nn::layer::{
    AttentionOptions, LayerNorm, LayerNormConfig, Linear, LinearConfig, Reach, attention, attention_biased,
};
use contrastive_nn::{Pass, Ragged, SettingError};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// Identity: what role a node has.
#[derive(Module, Debug)]
pub struct IdentityNet {
    /// Codes of patterns to embeddings.
    pub encode_pattern: Mlp,
    /// And back.
    pub decode_pattern: Mlp,
    /// Statistics to queries.
    pub query: Mlp,
    /// Maps of queries, keys, values and of what the heads give.
    pub maps: Vec<Linear>,
    /// Of the sum of query and attention.
    pub norm: LayerNorm,
    /// Embeddings to statistics.
    pub decode: Mlp,
    heads: usize,
}

/// Position: where a node is.
#[derive(Module, Debug)]
pub struct PositionNet {
    /// Codes of nodes to tokens.
    pub token: Mlp,
    /// Over the tokens of a walk.
    pub walk: Transformer,
    /// Identities to queries over walks.
    pub query: Linear,
    /// Mean identities of walks to keys.
    pub key: Linear,
    /// Positions to contexts.
    pub context: Mlp,
    dropout: f64,
}

/// Both.
#[derive(Module, Debug)]
pub struct IrweModel {
    /// Roles.
    pub identity: IdentityNet,
    /// Places.
    pub position: PositionNet,
}

/// A network's inputs for all nodes of a graph, on a device.
#[derive(Clone, Debug)]
pub struct IrweInput {
    /// One-hot codes of the patterns, `[patterns, (steps + 1)^2]`.
    pub codes: Tensor<2>,
    /// Shares of patterns and degrees, `[nodes, patterns + bins]`.
    pub statistics: Tensor<2>,
    /// The same with each part divided by its greatest, what is reconstructed.
    pub targets: Tensor<2>,
    /// Codes of positions, rows of length `sqrt(dim)`, `[nodes, dim]`.
    pub positions: Tensor<2>,
    /// Number of patterns.
    pub patterns: usize,
}

impl IrweInput {
    /// Of statistics, with position codes of width `dim`.
    pub fn new(
        index: &WalkIndex,
        statistics: &WalkStatistics,
        dim: usize,
        seed: u64,
        known: Option<&[Option<u32>]>,
        device: &Device,
    ) -> Self {
        let all: Vec<u32> = (0..statistics.num_nodes() as u32).collect();
        let mut positions = statistics.positions(dim, seed, known);
        for mut row in positions.rows_mut() {
            let length = row.dot(&row).sqrt();
            if length > 0.0 {
                row *= (dim as f32).sqrt() / length;
            }
        }
        Self {
            codes: to_tensor(index.codes().view(), device),
            statistics: to_tensor(statistics.rows(&all, false).view(), device),
            targets: to_tensor(statistics.rows(&all, true).view(), device),
            positions: to_tensor(positions.view(), device),
            patterns: index.num_patterns(),
        }
    }

    /// On the side of autodiff, in this type.
    pub(super) fn tracked(&self, dtype: DType) -> Self {
        let into = |x: &Tensor<2>| {
            let x = if x.dtype() == dtype { x.clone() } else { x.clone().cast(dtype) };
            if x.is_autodiff() { x } else { Tensor::from_inner(x) }
        };
        Self {
            codes: into(&self.codes),
            statistics: into(&self.statistics),
            targets: into(&self.targets),
            positions: into(&self.positions),
            patterns: self.patterns,
        }
    }
}

/// Sizes of the networks.
pub(super) struct Sizes {
    pub length: usize,
    pub patterns: usize,
    pub bins: usize,
    pub dim: usize,
    pub heads: usize,
    pub layers: usize,
    pub dropout: f64,
}

impl IrweModel {
    pub(super) fn new(sizes: &Sizes, rng: &mut ChaCha8Rng, device: &Device) -> Result<Self, SettingError> {
        let &Sizes { length, patterns, bins, dim, heads, layers, dropout } = sizes;
        let (code, wide, statistics) = (length * length, 2 * dim, patterns + bins);
        let mut mlp = |widths: [usize; 3]| MlpConfig::new(widths.to_vec()).init(rng, device);
        let (encode_pattern, decode_pattern) = (mlp([code, wide, dim])?, mlp([dim, wide, code])?);
        let (query, decode) = (mlp([statistics, wide, dim])?, mlp([dim, wide, statistics])?);
        let (token, context) = (mlp([dim, wide, dim])?, mlp([dim, wide, dim])?);
        let mut linear = || LinearConfig::new(dim, dim).init(rng, device);
        let maps = (0..4).map(|_| linear()).collect::<Result<_, _>>()?;
        let (to_query, key) = (linear()?, linear()?);
        let config = TransformerConfig::bert(dim, heads, wide, layers).with_dropout(dropout).with_epsilon(1e-5);
        let walk = config.init(rng, device)?;
        let norm = LayerNormConfig::new(dim).init(device)?;
        let identity = IdentityNet { encode_pattern, decode_pattern, query, maps, norm, decode, heads };
        Ok(Self { identity, position: PositionNet { token, walk, query: to_query, key, context, dropout } })
    }
}

impl IdentityNet {
    /// Embeddings of the patterns, `[patterns, dim]`.
    pub fn patterns(&self, input: &IrweInput) -> Tensor<2> {
        self.encode_pattern.forward(input.codes.clone(), &mut Pass::evaluation())
    }

    /// psi of some nodes, `[nodes.len(), dim]`: their queries attend to all patterns, logits shifted by `ln(share + 1e-8)`, so
    /// that a pattern that a node's walks never have gets no weight.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn forward(&self, input: &IrweInput, nodes: &[u32], patterns: Tensor<2>) -> Tensor<2> {
        let statistics = gather_rows(input.statistics.clone(), nodes);
        let shares = statistics.clone().narrow(1, 0, input.patterns);
        let query = self.query.forward(statistics, &mut Pass::evaluation());
        let bias: Tensor<3> = (shares + 1e-8).log().unsqueeze_dim::<3>(0).repeat_dim(0, self.heads);
        let lists = |rows: usize| Ragged::from_lengths(&[rows]);
        let reach = Reach::across(&lists(nodes.len()), &lists(input.patterns));
        let [q, k, v] =
            [0, 1, 2].map(|map| self.maps[map].forward(if map == 0 { query.clone() } else { patterns.clone() }));
        let options = AttentionOptions::new(self.heads);
        let heads = attention_biased(q, k, v, bias, &reach, &options, &mut Pass::evaluation());
        self.norm.forward(query + self.maps[3].forward(heads))
    }

    /// The auto-encoder's loss, `mean over codes and entries (code' - code)^2`, `[1]`.
    pub fn pattern_loss(&self, input: &IrweInput, patterns: Tensor<2>) -> Tensor<1> {
        let decoded = activation::sigmoid(self.decode_pattern.forward(patterns, &mut Pass::evaluation()));
        (decoded - input.codes.clone()).powi_scalar(2).mean().reshape([1])
    }

    /// The loss of statistics, `mean over nodes |s' - s|^2 + |delta' - delta|^2`, rows scaled to a greatest of 1, `[1]`.
    pub fn statistics_loss(&self, input: &IrweInput, nodes: &[u32], psi: Tensor<2>) -> Tensor<1> {
        let decoded = self.decode.forward(psi, &mut Pass::evaluation());
        let targets = gather_rows(input.targets.clone(), nodes);
        ((decoded - targets).powi_scalar(2).sum() / nodes.len() as f64).reshape([1])
    }
}

/// Codes of steps, `[steps, width]` (Vaswani et al., 2017): sines and cosines of `t / 10000^(2 k / width)`.
fn step_codes(steps: usize, width: usize) -> Array2<f32> {
    Array2::from_shape_fn((steps, width), |(t, at)| {
        let angle = t as f64 / 10_000f64.powf((at / 2 * 2) as f64 / width as f64);
        (if at % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
    })
}

impl PositionNet {
    /// gamma of nodes, rows of length 1, `[nodes, dim]`, from `walks`, `per_node` walks of `length` nodes each; `psi` are the
    /// identities of all nodes, `[all nodes, dim]`.
    ///
    /// # Panics
    /// When the walks do not have whole numbers of nodes and walks, or name a node that is not there.
    pub fn forward(
        &self,
        input: &IrweInput,
        walks: &[u32],
        [per_node, length]: [usize; 2],
        psi: &Tensor<2>,
        pass: &mut Pass,
    ) -> Tensor<2> {
        let (count, dim) = (walks.len() / length, psi.dims()[1]);
        assert_eq!(walks.len(), count * length, "walks of {length} nodes");
        let nodes = count / per_node;
        assert_eq!(count, nodes * per_node, "{per_node} walks a node");
        let device = input.positions.device();
        // the map of a node does not depend on the step: once a node, not once a token
        let tokens = self.token.forward(input.positions.clone(), pass);
        let steps = to_tensor(step_codes(length, dim).view(), &device);
        let steps = if tokens.is_autodiff() && !steps.is_autodiff() { Tensor::from_inner(steps) } else { steps };
        let at: Vec<u32> = (0..walks.len()).map(|token| (token % length) as u32).collect();
        let tokens = gather_rows(tokens, walks) + gather_rows(steps.cast(psi.dtype()), &at);
        let first: Vec<u32> = (0..count).map(|walk| (walk * length) as u32).collect();
        let read = self.walk.forward_at(tokens, &Ragged::even(count, length), &first, pass);
        let met: Tensor<3> = gather_rows(psi.clone(), walks).reshape([count, length, dim]);
        let met: Tensor<2> = met.mean_dim(1).reshape([count, dim]);
        let own = first.iter().step_by(per_node).map(|&token| walks[token as usize]).collect::<Vec<u32>>();
        let query = self.query.forward(gather_rows(psi.clone(), &own));
        let reach = Reach::across(&Ragged::even(nodes, 1), &Ragged::even(nodes, per_node));
        let options = AttentionOptions { dropout: self.dropout, ..AttentionOptions::new(1) };
        let gamma = attention(query, self.key.forward(met), read, &reach, &options, pass);
        let length = (gamma.clone().powi_scalar(2).sum_dim(1) + 1e-12).sqrt();
        gamma / length
    }

    /// Contexts of positions, `[nodes, dim]`.
    pub fn contexts(&self, gamma: Tensor<2>) -> Tensor<2> {
        self.context.forward(gamma, &mut Pass::evaluation())
    }
}

/// Binary noise-contrastive estimation with soft targets, every pair of anchor and context weighed, `[1]`:
///
/// ```text
/// - sum_ij [p_ij ln sigmoid(x_ij) + Q n_j ln sigmoid(-x_ij)] / number of pairs with p_ij > 0
/// ```
///
/// This is the expectation of DeepWalk's negative sampling; its minimum over free x is `ln p_ij - ln(Q n_j)`.
///
/// # Shapes
/// - x, targets: `[anchors, contexts]`
/// - noise: `[1, contexts]`, `Q n_j`
///
/// # Panics
/// When a shape does not fit.
pub fn soft_binary_nce(x: Tensor<2>, targets: Tensor<2>, noise: Tensor<2>) -> Tensor<1> {
    let pairs = targets.clone().greater_elem(0.0).float().cast(x.dtype()).sum().clamp_min(1.0);
    let falls = activation::log_sigmoid(x.clone()) * targets;
    let rises = activation::log_sigmoid(x * -1.0) * noise;
    ((falls + rises).sum() * -1.0 / pairs).reshape([1])
}

/// A table of numbers on a device.
pub(super) fn table(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
