//! From counts to embeddings: positive pointwise mutual information and its factors.

use super::edges::Graphlets;
use crate::node::augment::normalise::row_normalised;
use crate::node::data::{Features, Graph, GraphError};
use crate::node::method::powers;
use contrastive_core::linear::{SvdError, SvdOptions, truncated_svd};
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;

/// Which factors become embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Sides {
    /// `U sqrt(S)`: of the rows.
    #[default]
    Left,
    /// `[U sqrt(S) | V sqrt(S)]`: of rows and columns, for a matrix that is not symmetric; twice the rank.
    Both,
}

/// Positive pointwise mutual information `max(0, log(M_ij total / (row_i column_j)) - shift)` of counts; what is 0 is not stored. The
/// closed-form optimum of skip-gram with `exp(shift)` negative samples, cut at 0 (Levy and Goldberg 2014).
///
/// # Panics
/// When an entry is negative.
pub fn ppmi(counts: &Csr<f64>, shift: f64) -> Csr<f64> {
    let mut columns = vec![0f64; counts.cols()];
    let mut rows = vec![0f64; counts.rows()];
    for (row, total) in rows.iter_mut().enumerate() {
        let (at, values) = counts.row(row);
        for (&column, &value) in at.iter().zip(values) {
            assert!(value >= 0.0, "a count of {value} at ({row}, {column})");
            columns[column as usize] += value;
            *total += value;
        }
    }
    let total: f64 = rows.iter().sum();
    let mut entries = Vec::new();
    for row in 0..counts.rows() {
        let (at, values) = counts.row(row);
        for (&column, &value) in at.iter().zip(values) {
            let information = (value * total / (rows[row] * columns[column as usize])).ln() - shift;
            if value > 0.0 && information > 0.0 {
                entries.push((row as u32, column, information));
            }
        }
    }
    Csr::from_triplets(counts.rows(), counts.cols(), &entries).expect("entries of a matrix")
}

/// The leading factors of a matrix as embeddings, `[rows, rank]` or, of [both sides](Sides::Both), `[rows, 2 rank]`: each singular
/// vector times the square root of its value. A matrix without entries has embeddings of zeros. Equal seeds give equal factors.
///
/// # Errors
/// When the rank is 0 or above the size of the matrix, or values overflow.
pub fn factorise(matrix: &Csr<f64>, rank: usize, sides: Sides, seed: u64) -> Result<Array2<f32>, SvdError> {
    let width = if sides == Sides::Both { 2 * rank } else { rank };
    if matrix.nnz() == 0 && (1..=matrix.rows().min(matrix.cols())).contains(&rank) {
        return Ok(Array2::zeros((matrix.rows(), width)));
    }
    let svd = truncated_svd(matrix, rank, &SvdOptions { seed, ..Default::default() })?;
    Ok(Array2::from_shape_fn((matrix.rows(), width), |(row, column)| {
        let (side, at) = if column < rank { (&svd.left, column) } else { (&svd.right, column - rank) };
        (side[[row, at]] * svd.singular_values[at].sqrt()) as f32
    }))
}

/// What walks of up to `steps` steps see: `D (P + P^2 + ...)` with `P = D^-1 A`, expected co-occurrences of a node and those its walks
/// visit, for comparison with orbits (DeepWalk as Qiu et al., WSDM 2018, write it).
///
/// # Panics
/// When the matrix is not square or `steps` is 0.
pub fn walk_counts(adjacency: &Csr<f64>, steps: usize) -> Csr<f64> {
    let sum = powers(&row_normalised(adjacency), steps, true, None);
    let degree: Vec<f64> = (0..adjacency.rows()).map(|row| adjacency.row(row).1.iter().sum()).collect();
    sum.map_entries(|row, _, value| value * degree[row])
}

impl Graph {
    /// The same graph with the logarithms `ln(1 + x)` of how often each node lies on each of the 15 orbits of graphlets with up to four nodes
    /// as features ([`Graphlets::node_degrees`]); features it had are replaced. They say what role a node has rather than where it is, and
    /// hold for nodes of other graphs.
    ///
    /// # Errors
    /// As [`Graphlets::new`].
    pub fn with_graphlet_features(self) -> Result<Self, GraphError> {
        let degrees = Graphlets::new(&self)?.node_degrees();
        self.with_features(Features::Dense(degrees.mapv(|count| (count as f64).ln_1p() as f32)))
    }
}
