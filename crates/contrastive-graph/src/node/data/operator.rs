//! The matrices that encoders multiply with.
//!
//! Row `t` of every matrix gathers what reaches node `t`: entry `(t, s)` belongs to the edge `s -> t`. For an undirected
//! graph that is the same either way.

use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;

use super::clean::Rows;
use super::graph::Graph;

/// The diagonal of a propagation matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loops {
    /// The graph's own self-loops.
    #[default]
    AsIs,
    /// A self-loop of weight 1 at every node that has none.
    Add,
    /// No self-loops.
    Remove,
}

/// How a propagation matrix is scaled. Degrees are sums of the weights of a row, after [`Loops`]; a row without entries
/// stays empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalisation {
    /// The weights themselves.
    #[default]
    None,
    /// `D^-1/2 A D^-1/2` (Kipf, Welling 2017, eq. 2), with the degree of the receiving side for both ends.
    Symmetric,
    /// `D^-1 A`: the mean over what reaches a node (Hamilton et al. 2017).
    Mean,
}

/// The factor of a degree, 0 for degree 0.
pub(super) fn inverse(degree: f64, power: fn(f64) -> f64) -> f64 {
    if degree > 0.0 { 1.0 / power(degree) } else { 0.0 }
}

/// Scales a square matrix by the sums of its rows.
pub(crate) fn scaled(matrix: &Csr<f64>, normalisation: Normalisation) -> Csr<f64> {
    let power: fn(f64) -> f64 = match normalisation {
        Normalisation::None => return matrix.clone(),
        Normalisation::Symmetric => f64::sqrt,
        Normalisation::Mean => |degree| degree,
    };
    let scale: Vec<f64> = (0..matrix.rows()).map(|row| inverse(matrix.row(row).1.iter().sum(), power)).collect();
    // both factors first: the product does not depend on their order, so a symmetric matrix stays exactly symmetric
    matrix.map_entries(|row, column, weight| match normalisation {
        Normalisation::Symmetric => weight * (scale[row] * scale[column]),
        _ => weight * scale[row],
    })
}

/// Rows as a matrix, with the diagonal asked for.
pub(super) fn with_loops(rows: &Rows, loops: Loops, loop_weight: f64) -> Csr<f64> {
    looped(&rows.indptr, &rows.indices, |at| rows.weight(at), loops, loop_weight)
}

/// Compressed rows as a square matrix, with the diagonal asked for.
pub(crate) fn looped(
    starts: &[usize],
    columns: &[u32],
    weight: impl Fn(usize) -> f64,
    loops: Loops,
    loop_weight: f64,
) -> Csr<f64> {
    let nodes = starts.len() - 1;
    let mut indptr = Vec::with_capacity(nodes + 1);
    let (mut indices, mut values) = (Vec::with_capacity(columns.len() + nodes), Vec::new());
    values.reserve(columns.len() + nodes);
    indptr.push(0);
    for node in 0..nodes {
        let mut pending = loops == Loops::Add;
        for at in starts[node]..starts[node + 1] {
            let to = columns[at];
            if to as usize == node && loops == Loops::Remove {
                continue;
            }
            if pending && to as usize >= node {
                pending = false;
                if to as usize > node {
                    indices.push(node as u32);
                    values.push(loop_weight);
                }
            }
            indices.push(to);
            values.push(weight(at));
        }
        if pending {
            indices.push(node as u32);
            values.push(loop_weight);
        }
        indptr.push(indices.len());
    }
    Csr::from_parts(nodes, nodes, indptr, indices, values).expect("rows are sorted, in range and finite")
}

impl Graph {
    /// The propagation matrix `[nodes, nodes]`.
    pub fn matrix(&self, normalisation: Normalisation, loops: Loops) -> Csr<f64> {
        let matrix = if self.is_directed() {
            with_loops(&self.rows.transposed(), loops, 1.0)
        } else {
            with_loops(&self.rows, loops, 1.0)
        };
        match normalisation {
            Normalisation::None => matrix,
            _ => scaled(&matrix, normalisation),
        }
    }

    /// [`matrix`](Self::matrix) as an operator.
    pub fn operator(&self, normalisation: Normalisation, loops: Loops) -> SparseOperator {
        SparseOperator::new(self.matrix(normalisation, loops))
    }

    /// The propagation of a GCN: `D^-1/2 (A + I) D^-1/2` (Kipf, Welling 2017).
    pub fn gcn_operator(&self) -> SparseOperator {
        self.operator(Normalisation::Symmetric, Loops::Add)
    }

    /// The mean over the nodes that reach a node, itself not included unless it has a self-loop (GraphSAGE).
    pub fn mean_operator(&self) -> SparseOperator {
        self.operator(Normalisation::Mean, Loops::AsIs)
    }

    /// The weights themselves: the sum over the nodes that reach a node.
    pub fn adjacency_operator(&self, loops: Loops) -> SparseOperator {
        self.operator(Normalisation::None, loops)
    }
}
