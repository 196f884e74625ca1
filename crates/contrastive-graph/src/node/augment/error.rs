//! What can be wrong with an augmentation of a graph or of its features.

use contrastive_kernels::Real;
use contrastive_kernels::sparse::Csr;
use thiserror::Error;

/// Why a view could not be made.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AugmentError {
    /// A setting outside of its range.
    #[error("{setting} is {value}; allowed is {allowed}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A list that is too long or too short.
    #[error("{found} {what}, but the graph has {expected}")]
    Length {
        /// What is counted.
        what: &'static str,
        /// The number given.
        found: usize,
        /// The number needed.
        expected: usize,
    },
    /// A number in a list that is not allowed there.
    #[error("{what} {at} is {value}; allowed is {allowed}")]
    Value {
        /// What the list holds.
        what: &'static str,
        /// Its place in the list.
        at: usize,
        /// The number.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// An adjacency matrix that is not square.
    #[error("an adjacency matrix of {rows} x {cols}; it must be square")]
    NotSquare {
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
    },
    /// An edge whose other direction is absent or differs, where an undirected graph is needed.
    #[error("edge ({row}, {column}) has no equal edge ({column}, {row}); an undirected graph stores both directions")]
    NotSymmetric {
        /// The row of the edge.
        row: usize,
        /// The column of the edge.
        column: usize,
    },
    /// A graph without edges, where some are needed.
    #[error("a graph of {nodes} nodes without edges; at least one is needed")]
    NoEdges {
        /// The number of nodes.
        nodes: usize,
    },
    /// A node that is not there.
    #[error("node {node} of a graph of {nodes} nodes")]
    NoSuchNode {
        /// The node.
        node: u32,
        /// The number of nodes.
        nodes: usize,
    },
}

pub(crate) fn share(setting: &'static str, value: f64) -> Result<(), AugmentError> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(AugmentError::Setting { setting, value, allowed: "0 to 1" }),
    }
}

pub(crate) fn length(what: &'static str, found: usize, expected: usize) -> Result<(), AugmentError> {
    if found == expected { Ok(()) } else { Err(AugmentError::Length { what, found, expected }) }
}

/// Every value satisfies `fine`.
pub(crate) fn all(
    what: &'static str,
    values: &[f64],
    allowed: &'static str,
    fine: impl Fn(f64) -> bool,
) -> Result<(), AugmentError> {
    match values.iter().position(|&value| !fine(value)) {
        None => Ok(()),
        Some(at) => Err(AugmentError::Value { what, at, value: values[at], allowed }),
    }
}

pub(crate) fn not_negative(what: &'static str, values: &[f64]) -> Result<(), AugmentError> {
    all(what, values, "a finite number of at least 0", |v| v.is_finite() && v >= 0.0)
}

pub(crate) fn square<T: Real>(graph: &Csr<T>) -> Result<(), AugmentError> {
    let (rows, cols) = (graph.rows(), graph.cols());
    if rows == cols { Ok(()) } else { Err(AugmentError::NotSquare { rows, cols }) }
}

/// For each entry (i, j) the place of (j, i). `Err` names an entry that has none.
pub(crate) fn mirrors<T: Real>(graph: &Csr<T>) -> Result<Vec<usize>, AugmentError> {
    square(graph)?;
    // Rows ascend, so the entries that mirror those of row j come in the order in which row j stores them.
    let (indptr, indices) = (graph.indptr(), graph.indices());
    let mut next = indptr.to_vec();
    let mut mirror = vec![0; graph.nnz()];
    for row in 0..graph.rows() {
        for entry in indptr[row]..indptr[row + 1] {
            let column = indices[entry] as usize;
            let other = next[column];
            if other >= indptr[column + 1] || indices[other] as usize != row {
                return Err(AugmentError::NotSymmetric { row, column });
            }
            mirror[entry] = other;
            next[column] += 1;
        }
    }
    Ok(mirror)
}

/// An undirected graph with edges of finite weight of at least 0: equal to its transpose, and not empty.
pub(crate) fn undirected(graph: &Csr<f64>) -> Result<(), AugmentError> {
    let mirror = mirrors(graph)?;
    not_negative("edge weight", graph.values())?;
    if !graph.values().iter().any(|&weight| weight > 0.0) {
        return Err(AugmentError::NoEdges { nodes: graph.rows() });
    }
    let unequal = mirror.iter().zip(graph.values()).position(|(&other, &weight)| graph.values()[other] != weight);
    match unequal {
        None => Ok(()),
        Some(entry) => {
            let row = graph.indptr().partition_point(|&start| start <= entry) - 1;
            Err(AugmentError::NotSymmetric { row, column: graph.indices()[entry] as usize })
        }
    }
}
