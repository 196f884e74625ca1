//! Does an embedding use its dimensions, or has it collapsed?
//!
//! ```
//! use contrastive_eval::ndarray::array;
//! use contrastive_eval::spread::Spread;
//!
//! let crossed = array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
//! let spread = Spread::of(crossed.view())?;
//! assert!((spread.effective_rank_covariance - 2.0).abs() < 1e-12);
//! let collapsed = Spread::of(array![[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]].view())?;
//! assert!(collapsed.unit_column_deviation < 1e-12 && (collapsed.effective_rank - 1.0).abs() < 1e-9);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::EvalError;
use crate::rows::Rows;
use contrastive_kernels::Real;
use nalgebra::DMatrix;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// What RankMe adds to every share of the spectrum.
const RANKME: f64 = 1e-7;

/// How an embedding `[n, d]` is spread over its dimensions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean over columns of the standard deviation (1/n) of the rows, each divided by its length: about `1 / sqrt(d)` where they are
    /// spread evenly, 0 where all point one way (Chen and He, 2021: the collapse monitor of SimSiam).
    pub unit_column_deviation: f64,
    /// `exp` of the entropy of the singular values' shares of their sum (Roy and Vetterli, 2007), of the rows as they are.
    pub effective_rank: f64,
    /// The same with 1e-7 added to each share (Garrido et al., 2023: RankMe).
    pub rank_me: f64,
    /// `exp` of the entropy of the shares of the covariance's eigenvalues; 0 where all rows are equal.
    pub effective_rank_covariance: f64,
    /// `(sum of eigenvalues)^2 / sum of their squares` of the covariance; 0 where all rows are equal.
    pub participation_ratio: f64,
    /// Largest over smallest singular value of the rows; infinite where that is 0.
    pub condition_number: f64,
    /// Singular values of the rows, the largest first, `min(n, d)`.
    pub singular_values: Vec<f64>,
}

impl Spread {
    /// Of the rows of `x`, `[n, d]`. A row of zeros stays one where rows are divided by their lengths. Time of order `n d min(n, d)`.
    ///
    /// # Errors
    /// [`EvalError::Empty`], [`EvalError::BadNumber`].
    pub fn of<T: Real>(x: ArrayView2<'_, T>) -> Result<Self, EvalError> {
        let rows = Rows::new("embeddings", x)?;
        let mut values = singular_values(&rows);
        let length = values.iter().map(|s| s * s).sum::<f64>().sqrt();
        // what rounding leaves of values that are 0
        let rounding = length * f64::EPSILON * rows.len().max(rows.width) as f64;
        let clean = |values: &mut [f64]| values.iter_mut().filter(|s| **s <= rounding).for_each(|s| *s = 0.0);
        clean(&mut values);
        let mut centred = rows.clone();
        centred.shift(&rows.mean());
        let mut deviations = singular_values(&centred);
        clean(&mut deviations);
        let eigenvalues: Vec<f64> = deviations.iter().map(|s| s * s).collect();
        let (sum, squares) = eigenvalues.iter().fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
        let [largest, smallest] = [values.first(), values.last()].map(|s| s.copied().unwrap_or(0.0));
        Ok(Self {
            unit_column_deviation: unit_column_deviation(rows),
            effective_rank: rank(&values, 0.0),
            rank_me: rank(&values, RANKME),
            effective_rank_covariance: rank(&eigenvalues, 0.0),
            participation_ratio: if sum > 0.0 { sum * sum / squares } else { 0.0 },
            condition_number: if smallest > 0.0 { largest / smallest } else { f64::INFINITY },
            singular_values: values,
        })
    }
}

/// `exp` of the entropy of each value's share of the sum plus `more`; 0 where the sum is 0.
fn rank(values: &[f64], more: f64) -> f64 {
    let sum: f64 = values.iter().sum();
    if sum <= 0.0 {
        return 0.0;
    }
    let share = |value: &f64| value / sum + more;
    let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    values.iter().map(|value| entropy(share(value))).sum::<f64>().exp()
}

/// Those of the triangular factor, the rows or the columns being reduced to it first, whichever are more.
fn singular_values(rows: &Rows) -> Vec<f64> {
    let whole = DMatrix::from_row_slice(rows.len(), rows.width, &rows.values);
    let tall = if whole.nrows() >= whole.ncols() { whole } else { whole.transpose() };
    let triangle = tall.qr().r();
    let mut values: Vec<f64> = triangle.svd(false, false).singular_values.iter().copied().collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn unit_column_deviation(mut rows: Rows) -> f64 {
    rows.unit();
    let mean = rows.mean();
    let mut squares = vec![0.0; rows.width];
    for row in rows.iter() {
        squares.iter_mut().zip(row).zip(&mean).for_each(|((sum, x), mean)| *sum += (x - mean) * (x - mean));
    }
    squares.iter().map(|sum| (sum / rows.len() as f64).sqrt()).sum::<f64>() / rows.width as f64
}
