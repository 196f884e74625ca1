//! Scores of clusters that need no labels: how compact they are, and how far apart.

use super::contingency::{Part, compact};
use crate::error::{EvalError, check_length};
use crate::rows::{Rows, add};
use crate::similarity::{Scorer, Similarity};
use contrastive_kernels::Real;
use ndarray::ArrayView2;
use rayon::prelude::*;

/// How far apart two rows are, for [`silhouettes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// The length of their difference.
    Euclidean,
    /// 1 minus the cosine of their angle; 1 where one of them is a row of zeros.
    Cosine,
    /// The sum of the sizes of their differences.
    Manhattan,
}

/// The mean silhouette coefficient, in [-1, 1] (Rousseeuw 1987), under the Euclidean distance: the mean of [`silhouettes`].
///
/// `x`: `[rows, D]`, `clusters`: one id a row. Time `2 rows^2 D` operations; memory linear in the rows.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`], [`EvalError::OneClass`] for fewer than two clusters.
pub fn silhouette<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32]) -> Result<f64, EvalError> {
    let values = silhouettes(x, clusters, Distance::Euclidean)?;
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// The silhouette coefficient of each row, in [-1, 1] (Rousseeuw 1987): of a row with mean distance `a` to the others of its cluster and
/// `b` to the rows of the nearest other cluster, `(b - a) / max(a, b)`; 0 for a row that is alone, and where both are 0.
///
/// # Errors
/// As [`silhouette`].
pub fn silhouettes<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32], distance: Distance) -> Result<Vec<f64>, EvalError> {
    let (rows, parts, order) = by_cluster(x, clusters)?;
    let starts: Vec<usize> = parts.iter().scan(0, |end, part| Some(std::mem::replace(end, *end + part.size))).collect();
    let value = |row: usize, apart: &dyn Fn(usize) -> f64| {
        let own = starts.partition_point(|&start| start <= row) - 1;
        if parts[own].size == 1 {
            return 0.0;
        }
        let (mut within, mut nearest) = (0.0, f64::INFINITY);
        for (cluster, (&start, part)) in starts.iter().zip(&parts).enumerate() {
            let total: f64 = (start..start + part.size).map(|at| if at == row { 0.0 } else { apart(at) }).sum();
            if cluster == own {
                within = total / (part.size - 1) as f64;
            } else {
                nearest = nearest.min(total / part.size as f64);
            }
        }
        let largest = within.max(nearest);
        if largest > 0.0 { (nearest - within) / largest } else { 0.0 }
    };
    let sorted: Vec<f64> = match distance {
        Distance::Euclidean => Scorer::new(Similarity::Euclidean, rows, None)
            .map(|row, scores| value(row, &|at: usize| (-scores[at]).sqrt())),
        Distance::Cosine => {
            Scorer::new(Similarity::Cosine, rows, None).map(|row, scores| value(row, &|at: usize| 1.0 - scores[at]))
        }
        Distance::Manhattan => (0..rows.len())
            .into_par_iter()
            .map(|row| {
                let of = |at: usize| rows.row(row).iter().zip(rows.row(at)).map(|(a, b)| (a - b).abs()).sum();
                value(row, &of)
            })
            .collect(),
    };
    let mut values = vec![0.0; sorted.len()];
    order.iter().zip(sorted).for_each(|(&row, value)| values[row] = value);
    Ok(values)
}

/// The Davies-Bouldin index, at least 0, smaller is better (Davies and Bouldin 1979): the mean over the clusters of the worst
/// `(s_i + s_j) / d_ij`, with `s` the mean distance of a cluster's rows to their mean and `d` the distance of two means.
/// Infinite when two clusters of different rows have one mean; 0 for clusters of equal rows.
///
/// # Errors
/// As [`silhouette`].
pub fn davies_bouldin<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32]) -> Result<f64, EvalError> {
    let (rows, parts, _) = by_cluster(x, clusters)?;
    let width = rows.width;
    let mut centres = Rows { values: vec![0.0; parts.len() * width], width };
    let mut scatter = Vec::with_capacity(parts.len());
    let mut start = 0;
    for (part, centre) in parts.iter().zip(centres.values.chunks_exact_mut(width)) {
        let own = &rows.values[start * width..(start + part.size) * width];
        own.chunks_exact(width).for_each(|row| add(centre, row));
        centre.iter_mut().for_each(|c| *c /= part.size as f64);
        let centre = &*centre;
        let distances: Vec<f64> = own.par_chunks_exact(width).map(|row| distance(row, centre)).collect();
        scatter.push(distances.iter().sum::<f64>() / part.size as f64);
        start += part.size;
    }
    let worst = Scorer::new(Similarity::Euclidean, centres, None).map(|i, scores| {
        let others = (0..parts.len()).filter(|&j| j != i);
        let ratio = |j: usize| {
            let spread = scatter[i] + scatter[j];
            if spread > 0.0 { spread / (-scores[j]).sqrt() } else { 0.0 }
        };
        others.map(ratio).fold(0.0, f64::max)
    });
    Ok(worst.iter().sum::<f64>() / worst.len() as f64)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// The rows in the order of their clusters, these, and the place of each row in `x`.
fn by_cluster<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32]) -> Result<(Rows, Vec<Part>, Vec<usize>), EvalError> {
    check_length("clusters", clusters.len(), "rows", x.nrows())?;
    let rows = Rows::new("embeddings", x)?;
    let (of_row, parts) = compact(clusters);
    if parts.len() < 2 {
        return Err(EvalError::OneClass { what: "rows", class: parts[0].id });
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&row| of_row[row]);
    let values = order.iter().flat_map(|&row| rows.row(row)).copied().collect();
    Ok((Rows { values, width: rows.width }, parts, order))
}
