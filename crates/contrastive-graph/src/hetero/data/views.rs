//! Normalised and masked copies of what a meta-path gives.

use crate::draw::{keep_exactly, share_of};
use crate::node::data::Features;
use contrastive_kernels::sparse::Csr;
use rand_chacha::ChaCha8Rng;

/// `D^-1/2 C^T D^-1/2` with the row sums of C in D, as the released code of MEOW has it; of a symmetric C the usual normalisation. Rows that sum
/// to 0 become 0.
///
/// # Panics
/// When the matrix is not square.
pub fn normalised(counts: &Csr<f64>) -> Csr<f64> {
    assert_eq!(counts.rows(), counts.cols(), "normalisation of {} x {} counts", counts.rows(), counts.cols());
    let factor = |row: usize| {
        let sum: f64 = counts.row(row).1.iter().sum();
        if sum > 0.0 { 1.0 / sum.sqrt() } else { 0.0 }
    };
    let factors: Vec<f64> = (0..counts.rows()).map(factor).collect();
    counts.transpose().map_entries(|row, column, count| count * (factors[row] * factors[column]))
}

/// The masked copy of a meta-path's counts: the diagonal left out, a share of the other entries dropped, each direction by itself (exactly the
/// floor of that share), the rest ones, and ones on the diagonal. Normalise it next.
///
/// # Panics
/// When the matrix is not square, or the share not in 0 to 1.
pub fn masked_copy(counts: &Csr<f64>, share: f64, rng: &mut ChaCha8Rng) -> Csr<f64> {
    assert!(counts.rows() == counts.cols() && (0.0..=1.0).contains(&share), "a share {share} of edges");
    let nodes = counts.rows();
    let others: usize =
        (0..nodes).map(|row| counts.row(row).0.iter().filter(|&&column| column as usize != row).count()).sum();
    let mut kept = keep_exactly(rng, others, others - share_of(others, share)).into_iter();
    let (mut indptr, mut indices) = (vec![0], Vec::new());
    for row in 0..nodes {
        let mut own: Vec<u32> = counts.row(row).0.iter().copied().filter(|&column| column as usize != row).collect();
        own.retain(|_| kept.next().expect("a decision for each entry"));
        own.insert(own.partition_point(|&column| (column as usize) < row), row as u32);
        indices.extend(own);
        indptr.push(indices.len());
    }
    let values = vec![1.0; indices.len()];
    Csr::from_parts(nodes, nodes, indptr, indices, values).expect("ascending rows")
}

/// The features with a share of the values that are not 0 set to 0 (exactly the floor of that share).
///
/// # Panics
/// When the share is not in 0 to 1.
pub fn masked_features(features: &Features, share: f64, rng: &mut ChaCha8Rng) -> Features {
    assert!((0.0..=1.0).contains(&share), "a share {share} of features");
    let count = features.num_nonzero();
    let mut kept = keep_exactly(rng, count, count - share_of(count, share)).into_iter();
    let mut masked =
        |value: f32| if value == 0.0 || kept.next().expect("a decision for each value") { value } else { 0.0 };
    match features {
        Features::Dense(rows) => Features::Dense(rows.mapv(&mut masked)),
        Features::Sparse(rows) => Features::Sparse(rows.map_entries(|_, _, value| masked(value))),
    }
}
