//! Features for graphs that come without any, made from the graph itself.

use contrastive_kernels::sparse::Csr;

use super::features::Features;
use super::graph::Graph;
use super::operator::{Loops, Normalisation};

/// A 1 in one column of each row.
fn one_hot(columns: usize, column: Vec<u32>) -> Features {
    let nodes = column.len();
    let matrix = Csr::from_parts(nodes, columns, (0..=nodes).collect(), column, vec![1.0; nodes]);
    Features::Sparse(matrix.expect("one column in range for each row"))
}

impl Graph {
    /// The same graph with a feature column for every node, 1 for the node itself and 0 for all others; features it had are
    /// replaced.
    ///
    /// In front of a linear layer this is an embedding table: row i of the weight is what is learned of node i alone
    /// (Kipf, Welling 2017, call such a graph featureless). Nothing is learned for nodes that come later. The matrix is
    /// sparse, one entry a node; the weight of the first layer has a row for each node.
    pub fn with_identity_features(self) -> Self {
        let nodes = self.num_nodes() as u32;
        self.with_own_features(one_hot(nodes as usize, (0..nodes).collect()))
    }

    /// The same graph with the rows of its adjacency as features; features it had are replaced.
    ///
    /// Row i has an entry for each node with an edge to node i, its weight over the sum of the weights of the row: what reaches
    /// a node describes it, so that nodes with the same neighbours have the same features. Sparse, as many entries as edges.
    /// A node that nothing reaches, or only by edges of weight 0, has a row of zeros.
    pub fn with_adjacency_features(self) -> Self {
        let rows = self.matrix(Normalisation::Mean, Loops::AsIs).cast();
        self.with_own_features(Features::Sparse(rows))
    }

    /// The same graph with the number of other nodes that a node's edges lead to as features, one column for each number
    /// from 0 on and the last one for `most` and all above; features it had are replaced.
    ///
    /// There are no more columns than degrees that occur. Such features say what place a node has rather than where it is,
    /// and hold for nodes of other graphs.
    pub fn with_degree_features(self, most: u32) -> Self {
        let degree = |node: u32| (self.neighbours(node).len() - usize::from(self.has_edge(node, node))) as u32;
        let degrees: Vec<u32> = (0..self.num_nodes() as u32).map(|node| degree(node).min(most)).collect();
        let columns = degrees.iter().max().map_or(0, |&greatest| greatest as usize + 1);
        self.with_own_features(one_hot(columns, degrees))
    }

    fn with_own_features(self, features: Features) -> Self {
        self.with_features(features).expect("a finite row for each node")
    }
}
