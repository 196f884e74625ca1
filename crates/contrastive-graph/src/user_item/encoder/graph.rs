//! Users and items as the nodes of one graph.

use crate::user_item::data::{AdjacencyParts, Interactions, TripleBatch, adjacency};
use burn::tensor::Tensor;
use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;

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

    /// The adjacency as the one operator of all layers.
    pub fn operators(&self) -> &[SparseOperator] {
        std::slice::from_ref(&self.adjacency)
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
