//! Truncated singular value decomposition of a sparse matrix by random projection.

use contrastive_kernels::sparse::Csr;
use nalgebra::DMatrix;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The leading singular triplets of a matrix: `A ~ left diag(singular_values) right^T`.
///
/// Signs are canonical: the entry of largest magnitude of every left vector is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct TruncatedSvd {
    /// Left singular vectors in columns, `[rows, rank]`.
    pub left: Array2<f64>,
    /// Singular values, largest first.
    pub singular_values: Vec<f64>,
    /// Right singular vectors in columns, `[cols, rank]`.
    pub right: Array2<f64>,
}

/// Effort and seed of [`truncated_svd`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvdOptions {
    /// Columns of the random projection beyond the rank.
    pub oversampling: usize,
    /// Multiplications by `A A^T` that sharpen the subspace.
    pub power_iterations: usize,
    /// Seed of the projection.
    pub seed: u64,
}

impl Default for SvdOptions {
    /// Oversampling 10, 4 power iterations, seed 0.
    fn default() -> Self {
        Self { oversampling: 10, power_iterations: 4, seed: 0 }
    }
}

/// Why a matrix has no such decomposition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SvdError {
    /// Rank 0 was asked for.
    #[error("truncated SVD of rank 0 of a matrix of {rows} x {cols} (allowed: 1 to {})", rows.min(cols))]
    RankZero {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// A rank above what the shape allows was asked for.
    #[error("truncated SVD of rank {rank} of a matrix of {rows} x {cols} (allowed: 1 to {})", rows.min(cols))]
    RankTooLarge {
        /// The rank.
        rank: usize,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// The matrix has no entries.
    #[error("truncated SVD of a matrix of {rows} x {cols} without entries (allowed: at least one)")]
    Empty {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// The computation left the range of `f64`: entries so large that their products overflow.
    #[error(
        "truncated SVD overflows: the largest entry has magnitude {largest:e} (allowed: products of entries within f64)"
    )]
    NonFinite {
        /// Largest magnitude of an entry.
        largest: f64,
    },
}

/// The leading `rank` singular triplets of `matrix`, by a random projection with re-orthonormalised power iterations
/// (Halko, Martinsson, Tropp, "Finding structure with randomness", 2011, algorithms 4.4 and 5.1).
///
/// Costs `2 (rank + oversampling) (power_iterations + 1)` passes over the entries, and memory for `rank + oversampling`
/// columns of each side. The result depends on the seed, not on the number of threads.
///
/// # Errors
/// [`SvdError`]: a rank of 0 or above `min(rows, cols)`, a matrix without entries, or entries that overflow.
pub fn truncated_svd(matrix: &Csr<f64>, rank: usize, options: &SvdOptions) -> Result<TruncatedSvd, SvdError> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    if matrix.nnz() == 0 {
        return Err(SvdError::Empty { rows, cols });
    }
    if rank == 0 {
        return Err(SvdError::RankZero { rows, cols });
    }
    if rank > rows.min(cols) {
        return Err(SvdError::RankTooLarge { rank, rows, cols });
    }
    let width = rank.saturating_add(options.oversampling).min(rows.min(cols));
    let transpose = matrix.transpose();
    let largest = matrix.values().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let finite = |columns: DMatrix<f64>| match columns.iter().all(|v| v.is_finite()) {
        true => Ok(columns),
        false => Err(SvdError::NonFinite { largest }),
    };

    let mut range = orthonormal(finite(product(matrix, &gaussian(cols, width, options.seed)))?);
    for _ in 0..options.power_iterations {
        let domain = orthonormal(finite(product(&transpose, &range))?);
        range = orthonormal(finite(product(matrix, &domain))?);
    }
    // A^T Q = Q' R gives A ~ Q R^T Q'^T, so that only the small R^T is decomposed.
    let (domain, triangle) = finite(product(&transpose, &range))?.qr().unpack();
    let small = triangle.transpose().svd(true, true);
    let (Some(u), Some(v)) = (small.u, small.v_t) else { unreachable!("both sides were asked for") };
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| small.singular_values[b].total_cmp(&small.singular_values[a]));
    order.truncate(rank);
    let left = range * u.select_columns(&order);
    let right = domain * v.select_rows(&order).transpose();
    let signs: Vec<f64> =
        left.column_iter().map(|column| if column[column.iamax()] < 0.0 { -1.0 } else { 1.0 }).collect();
    let signed = |side: &DMatrix<f64>| Array2::from_shape_fn(side.shape(), |(i, k)| side[(i, k)] * signs[k]);
    let singular_values = order.iter().map(|&k| small.singular_values[k]).collect();
    Ok(TruncatedSvd { left: signed(&left), singular_values, right: signed(&right) })
}

/// Independent standard normal numbers by the polar form of Box and Muller.
fn gaussian(rows: usize, cols: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut spare = None;
    DMatrix::from_fn(rows, cols, |_, _| {
        spare.take().unwrap_or_else(|| {
            loop {
                let (x, y) = (2.0 * rng.random::<f64>() - 1.0, 2.0 * rng.random::<f64>() - 1.0);
                let square = x * x + y * y;
                if square > 0.0 && square < 1.0 {
                    let factor = (-2.0 * square.ln() / square).sqrt();
                    spare = Some(y * factor);
                    return x * factor;
                }
            }
        })
    })
}

fn orthonormal(columns: DMatrix<f64>) -> DMatrix<f64> {
    columns.qr().q()
}

/// `matrix` times `x`. The kernel reads rows, `DMatrix` stores columns: the transposes are copies of the thin sides.
fn product(matrix: &Csr<f64>, x: &DMatrix<f64>) -> DMatrix<f64> {
    let (x, width) = (x.transpose(), x.ncols());
    let mut out = vec![0.0; matrix.rows() * width];
    matrix.multiply(x.as_slice(), width, &mut out);
    DMatrix::from_row_slice(matrix.rows(), width, &out)
}
