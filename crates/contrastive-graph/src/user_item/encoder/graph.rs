//! Users and items as the nodes of one graph, and what spreads along it.

use crate::user_item::data::{AdjacencyParts, Interactions, TripleBatch, adjacency};
use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;

/// How layers become one embedding.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Readout {
    /// The mean over layers 0 to L (LightGCN).
    Mean,
    /// The sum over layers 0 to L (LightGCL).
    Sum,
}

/// A user-item graph: users are nodes 0 to I - 1, items are nodes I to I + J - 1.
#[derive(Clone, Debug)]
pub struct UserItemGraph {
    /// I.
    pub users: usize,
    /// J.
    pub items: usize,
    /// (I + J) x (I + J), symmetric, entry `1 / sqrt(d_u d_i)`.
    pub adjacency: SparseOperator,
}

impl UserItemGraph {
    /// The degree-normalised graph of the interactions.
    pub fn new(interactions: &Interactions) -> Self {
        let adjacency = operator(adjacency::joint(interactions));
        Self { users: interactions.num_users(), items: interactions.num_items(), adjacency }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.users + self.items
    }

    /// `[3b]`: the nodes of a batch: its users, then its positives, then its negatives.
    pub fn batch_nodes(&self, batch: &TripleBatch<'_>) -> Vec<u32> {
        let item = |i: &u32| self.users as u32 + i;
        batch
            .users
            .iter()
            .copied()
            .chain(batch.positives.iter().map(item))
            .chain(batch.negatives.iter().map(item))
            .collect()
    }

    /// Users and items of a node table `[I + J, d]`.
    pub fn split(&self, table: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [nodes, d] = table.dims();
        (table.clone().slice([0..self.users, 0..d]), table.slice([self.users..nodes, 0..d]))
    }
}

/// The sparse operator of an adjacency.
pub fn operator(parts: AdjacencyParts) -> SparseOperator {
    let AdjacencyParts { rows, cols, indptr, indices, values } = parts;
    SparseOperator::new(Csr::from_parts(rows, cols, indptr, indices, values).expect("adjacencies have ascending rows"))
}

/// The sum over layers 0 to L - 1 and over layers 0 to L of `x_l = A_l x_{l-1}`, `x_0 = x`.
///
/// One operator serves all `layers`, or there is one for each layer (the last serves the rest). With one operator, the
/// sums follow `s_l = x + A s_{l-1}`, so no layer is kept.
pub(crate) fn propagate(x: &Tensor<2>, operators: &[SparseOperator], layers: usize) -> (Tensor<2>, Tensor<2>) {
    let (mut before, mut sum) = (x.clone(), x.clone());
    if let [one] = operators {
        for _ in 0..layers {
            before = sum.clone();
            sum = one.apply_add(sum, x.clone());
        }
        return (before, sum);
    }
    let mut layer = x.clone();
    for l in 0..layers {
        layer = operators[l.min(operators.len() - 1)].apply(layer);
        before = sum.clone();
        sum = sum + layer.clone();
    }
    (before, sum)
}

impl Readout {
    /// The embedding from the sum over `layers + 1` layers.
    pub(crate) fn of(self, sum: Tensor<2>, layers: usize) -> Tensor<2> {
        match self {
            Self::Mean if layers > 0 => sum * (1.0 / (layers + 1) as f64),
            _ => sum,
        }
    }
}
