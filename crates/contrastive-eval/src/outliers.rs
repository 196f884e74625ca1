//! Which rows of an embedding do not belong: scores, larger for what is more suspicious, without labels.
//!
//! | score | what is suspicious |
//! |---|---|
//! | [`spectral`] | a large part along the main direction of its cluster (Tran et al. 2018) |
//! | [`density`] | very near neighbours: a clump |
//! | [`two_means`] | the smaller of two groups that a cluster falls into (Chen et al. 2018, activation clustering) |
//!
//! ```
//! use contrastive_eval::ndarray::array;
//! use contrastive_eval::outliers::spectral;
//!
//! let x = array![[0.1, 0.0], [-0.1, 0.1], [0.0, -0.1], [3.0, 0.0]];
//! let scores = spectral(x.view(), &[0, 0, 0, 0])?;
//! assert!(scores[..3].iter().all(|score| *score < scores[3]));
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::clustering::{Distance, KMeans, silhouettes};
use crate::error::{EvalError, check_enough, check_length, check_setting};
use crate::ranking::ItemSets;
use crate::rows::Rows;
use contrastive_kernels::Real;
use contrastive_kernels::top_k::top_k;
use contrastive_kernels::vector::{axpy, dot};
use ndarray::{Array2, ArrayView2};
use std::collections::BTreeMap;

/// The squared part of each centred row along the top singular vector of its cluster; 0 in a cluster of equal rows. `x`: `[n, d]`,
/// `clusters`: one id a row. Time of order `n d`.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`].
pub fn spectral<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32]) -> Result<Vec<f64>, EvalError> {
    check_length("clusters", clusters.len(), "rows", x.nrows())?;
    let rows = Rows::new("embeddings", x)?;
    let mut scores = vec![0.0; rows.len()];
    for members in members(clusters).values() {
        let values = members.iter().flat_map(|&row| rows.row(row)).copied().collect();
        let mut own = Rows { values, width: rows.width };
        let mean = own.mean();
        own.shift(&mean);
        let direction = top_direction(&own);
        for (&row, values) in members.iter().zip(own.iter()) {
            scores[row] = dot(values, &direction).powi(2);
        }
    }
    Ok(scores)
}

/// The mean cosine of each row with its `k` nearest others: high in a clump. `x`: `[n, d]`, `k` below n. Time of order `n^2 d`.
///
/// # Errors
/// [`EvalError::Setting`], [`EvalError::TooFew`], [`EvalError::Empty`], [`EvalError::BadNumber`].
pub fn density<T: Real>(x: ArrayView2<'_, T>, k: usize) -> Result<Vec<f64>, EvalError> {
    check_setting("k", k as f64, k > 0, "at least 1")?;
    check_enough("neighbours", k, x.nrows().saturating_sub(1))?;
    let mut rows = Rows::new("embeddings", x)?;
    rows.unit();
    let own: Vec<u32> = (0..rows.len() as u32).collect();
    let offsets: Vec<usize> = (0..=rows.len()).collect();
    let itself = ItemSets::new(&offsets, &own)?;
    let best = top_k(&rows.values, &rows.values, rows.width, k, Some((itself, &own)));
    Ok((0..rows.len()).map(|row| best.row(row).1.iter().sum::<f64>() / k as f64).collect())
}

/// Each cluster is cut in two by k-means; rows of the smaller part score the mean silhouette of the cut, plus a hundredth of their own,
/// those of the larger part minus that. A cluster of fewer than four rows, or of equal ones, scores 0. Parts of equal size: the one with the
/// first row is the larger.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`].
pub fn two_means<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32], seed: u64) -> Result<Vec<f64>, EvalError> {
    check_length("clusters", clusters.len(), "rows", x.nrows())?;
    let rows = Rows::new("embeddings", x)?;
    let mut scores = vec![0.0; rows.len()];
    for members in members(clusters).values().filter(|members| members.len() > 3) {
        let values: Vec<f64> = members.iter().flat_map(|&row| rows.row(row)).copied().collect();
        let own = Array2::from_shape_vec((members.len(), rows.width), values).expect("whole rows");
        let parts = KMeans::new(2).with_restarts(3).fit(own.view(), seed)?.labels;
        let ones = parts.iter().filter(|part| **part == 1).count();
        let zeros = parts.len() - ones;
        if ones == 0 || zeros == 0 {
            continue;
        }
        let smaller = match ones.cmp(&zeros) {
            std::cmp::Ordering::Less => 1,
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Equal => 1 - parts[0],
        };
        let each = silhouettes(own.view(), &parts, Distance::Euclidean)?;
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        for ((&row, part), silhouette) in members.iter().zip(&parts).zip(&each) {
            let score = mean + 0.01 * silhouette;
            scores[row] = if *part == smaller { score } else { -score };
        }
    }
    Ok(scores)
}

fn members(clusters: &[u32]) -> BTreeMap<u32, Vec<usize>> {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    clusters.iter().enumerate().for_each(|(row, cluster)| members.entry(*cluster).or_default().push(row));
    members
}

/// The top right singular vector, by powers of the product with its transpose, from the row of largest length.
fn top_direction(rows: &Rows) -> Vec<f64> {
    let length = |v: &[f64]| dot(v, v).sqrt();
    let longest = rows.iter().max_by(|a, b| length(a).total_cmp(&length(b))).expect("a row");
    let mut direction = longest.to_vec();
    crate::rows::unit(&mut direction);
    for _ in 0..200 {
        let mut next = vec![0.0; rows.width];
        rows.iter().for_each(|row| axpy(&mut next, dot(row, &direction), row));
        crate::rows::unit(&mut next);
        let turned = dot(&next, &direction);
        if length(&next) == 0.0 {
            break;
        }
        direction = next;
        if 1.0 - turned < 1e-14 {
            break;
        }
    }
    direction
}
