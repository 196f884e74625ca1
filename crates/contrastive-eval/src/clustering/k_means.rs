//! k-means as an evaluation protocol: Lloyd's iterations from k-means++ seeds, the best of several restarts.

use super::report::{ClusterRuns, compare};
use crate::error::{EvalError, check_enough, check_length, check_setting};
use crate::neighbours::argmax;
use crate::rows::{Rows, add};
use crate::similarity::Scorer;
use contrastive_kernels::Real;
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// k-means clustering: centres that minimise the sum of squared distances of the rows to the nearest of them.
///
/// Restarts begin from k-means++ seeds (Arthur and Vassilvitskii 2007), each seed the best of `2 + ln k` draws; the restart with
/// the smallest sum wins. A cluster that loses all rows is moved to the row that is farthest from its centre. Equal seeds
/// give equal clusters, whatever the number of threads.
#[derive(Debug, Clone)]
pub struct KMeans {
    clusters: usize,
    restarts: usize,
    max_iterations: usize,
    unit_length: bool,
}

/// A clustering of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// Cluster of each row, in `0..k`.
    pub assignments: Vec<u32>,
    /// Means of the clusters, `[k, D]`.
    pub centres: Array2<f64>,
    /// Sum of the squared distances of the rows to their centres.
    pub inertia: f64,
    /// Lloyd iterations of the restart that won.
    pub iterations: usize,
    /// Whether the assignments no longer changed at the end.
    pub converged: bool,
}

impl KMeans {
    /// Into this many clusters; 10 restarts, at most 300 iterations each.
    pub fn new(clusters: usize) -> Self {
        Self { clusters, restarts: 10, max_iterations: 300, unit_length: false }
    }

    /// Number of restarts, at least 1.
    pub fn with_restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// Largest number of iterations of a restart, at least 1.
    pub fn with_max_iterations(mut self, iterations: usize) -> Self {
        self.max_iterations = iterations;
        self
    }

    /// Divides the rows by their lengths first, for embeddings that were trained with the cosine.
    pub fn with_unit_length(mut self, unit_length: bool) -> Self {
        self.unit_length = unit_length;
        self
    }

    /// Clusters the rows of `x`, `[rows, D]`.
    ///
    /// # Errors
    /// [`EvalError::Setting`]; [`EvalError::TooFew`] for more clusters than rows; [`EvalError::Empty`], [`EvalError::BadNumber`].
    pub fn fit<T: Real>(&self, x: ArrayView2<'_, T>, seed: u64) -> Result<Clusters, EvalError> {
        Ok(self.fit_rows(&self.prepare(x)?, seed))
    }

    /// Clusters once for each seed, and compares each clustering with the labels.
    ///
    /// # Errors
    /// As [`KMeans::fit`]; [`EvalError::LengthMismatch`] for the labels, [`EvalError::Empty`] for no seeds.
    pub fn evaluate<T: Real>(
        &self,
        x: ArrayView2<'_, T>,
        labels: &[u32],
        seeds: &[u64],
    ) -> Result<ClusterRuns, EvalError> {
        check_length("labels", labels.len(), "rows", x.nrows())?;
        if seeds.is_empty() {
            return Err(EvalError::Empty { what: "seeds" });
        }
        let data = self.prepare(x)?;
        let runs: Vec<Clusters> = seeds.iter().map(|&seed| self.fit_rows(&data, seed)).collect();
        let reports = runs.iter().map(|run| compare(labels, &run.assignments)).collect::<Result<Vec<_>, _>>()?;
        Ok(ClusterRuns::new(&reports, runs.iter().filter(|run| !run.converged).count()))
    }

    fn prepare<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Data, EvalError> {
        for (name, value) in
            [("clusters", self.clusters), ("restarts", self.restarts), ("max_iterations", self.max_iterations)]
        {
            check_setting(name, value as f64, value > 0, "at least 1")?;
        }
        let mut rows = Rows::new("embeddings", x)?;
        check_enough("clusters", self.clusters, rows.len())?;
        if self.unit_length {
            rows.unit();
        }
        let origin = rows.mean();
        rows.shift(&origin);
        Ok(Data { rows, origin })
    }

    fn fit_rows(&self, data: &Data, seed: u64) -> Clusters {
        let one = |restart| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(restart as u64);
            self.lloyd(&data.rows, seeds(&data.rows, self.clusters, &mut rng))
        };
        let mut restarts: Vec<Clusters> = (0..self.restarts).into_par_iter().map(one).collect();
        let sums = restarts.iter().map(|run| run.inertia);
        let (best, _) = sums.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("at least one restart");
        let mut best = restarts.swap_remove(best);
        best.centres.rows_mut().into_iter().for_each(|mut row| {
            row.iter_mut().zip(&data.origin).for_each(|(c, o)| *c += o);
        });
        best
    }

    fn lloyd(&self, rows: &Rows, mut centres: Rows) -> Clusters {
        let mut nearest = assign(rows, &centres);
        let (mut iterations, mut converged) = (0, false);
        while iterations < self.max_iterations && !converged {
            iterations += 1;
            centres = means(rows, &mut nearest, self.clusters);
            let next = assign(rows, &centres);
            converged = next.iter().zip(&nearest).all(|(a, b)| a.0 == b.0);
            nearest = next;
        }
        let inertia = nearest.iter().map(|n| n.1).sum();
        let assignments = nearest.into_iter().map(|n| n.0).collect();
        Clusters { assignments, centres: centres.into_array(), inertia, iterations, converged }
    }
}

/// The rows less their mean, and that.
struct Data {
    rows: Rows,
    origin: Vec<f64>,
}

/// k-means++: rows drawn in proportion to the squared distance to the nearest seed so far.
fn seeds(rows: &Rows, k: usize, rng: &mut ChaCha8Rng) -> Rows {
    let (n, width) = (rows.len(), rows.width);
    let mut chosen = rows.row(rng.random_range(0..n)).to_vec();
    let mut distances = vec![f64::INFINITY; n];
    nearer(rows, &chosen, &mut distances);
    let draws = 2 + (k as f64).ln() as usize;
    while chosen.len() < k * width {
        let total: f64 = distances.iter().sum();
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..draws {
            let row = draw(&distances, total, rng);
            let mut with = distances.clone();
            nearer(rows, rows.row(row), &mut with);
            let sum = with.iter().sum();
            if best.as_ref().is_none_or(|best| sum < best.0) {
                best = Some((sum, row, with));
            }
        }
        let (_, row, with) = best.expect("at least two draws");
        chosen.extend_from_slice(rows.row(row));
        distances = with;
    }
    Rows { values: chosen, width }
}

/// A row drawn with these weights; any row where all are 0.
fn draw(weights: &[f64], total: f64, rng: &mut ChaCha8Rng) -> usize {
    if total <= 0.0 {
        return rng.random_range(0..weights.len());
    }
    let mut left = rng.random::<f64>() * total;
    let hit = weights.iter().position(|&weight| {
        left -= weight;
        left < 0.0
    });
    hit.unwrap_or_else(|| weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0))
}

/// `distances <- min(distances, squared distance to point)`.
fn nearer(rows: &Rows, point: &[f64], distances: &mut [f64]) {
    let task = Rows::rows_of_task(rows.width);
    distances.par_iter_mut().zip(rows.values.par_chunks_exact(rows.width)).with_min_len(task).for_each(|(d, row)| {
        *d = d.min(squared(row, point));
    });
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The nearest centre of every row, the smaller of equally near ones, and the squared distance to it.
fn assign(rows: &Rows, centres: &Rows) -> Vec<(u32, f64)> {
    let scorer = Scorer::distances(rows, centres);
    scorer.map(|_, scores| {
        let best = argmax(scores);
        (best, -scores[best as usize])
    })
}

/// The means of the clusters. Empty clusters take the rows that are farthest from their centres, one each, out of clusters that
/// keep at least one row.
fn means(rows: &Rows, nearest: &mut [(u32, f64)], k: usize) -> Rows {
    let mut sizes = vec![0usize; k];
    nearest.iter().for_each(|n| sizes[n.0 as usize] += 1);
    if sizes.contains(&0) {
        let mut far: Vec<usize> = (0..nearest.len()).collect();
        far.sort_by(|&a, &b| nearest[b].1.total_cmp(&nearest[a].1));
        let mut far = far.into_iter();
        for empty in (0..k).filter(|&c| sizes[c] == 0).collect::<Vec<_>>() {
            let row = far.find(|&row| sizes[nearest[row].0 as usize] > 1).expect("at least as many rows as clusters");
            sizes[nearest[row].0 as usize] -= 1;
            nearest[row] = (empty as u32, 0.0);
            sizes[empty] = 1;
        }
    }
    let width = rows.width;
    let mut values = vec![0.0; k * width];
    for (row, n) in rows.iter().zip(nearest.iter()) {
        add(&mut values[n.0 as usize * width..][..width], row);
    }
    for (centre, &size) in values.chunks_exact_mut(width).zip(&sizes) {
        centre.iter_mut().for_each(|v| *v /= size as f64);
    }
    Rows { values, width }
}
