//! k-means: Lloyd's iteration from k-means++ seeds, by Euclidean distance or by cosine.
//!
//! An iteration takes `2 n k width` operations in tiles of similarities, and memory linear in rows, clusters and width. Labels are cut
//! by rows, centroids by clusters, and every sum runs in a fixed order: the result depends on the seed, never on the number of
//! threads.

use crate::real::gemm;
use crate::unit::unit_rows;
use crate::vector::{self, Element};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

mod batches;
mod error;
mod frame;

pub(crate) use batches::k_means_in_batches_generic;
pub use batches::{MiniBatches, k_means_in_batches};
pub use error::KMeansError;
pub use frame::k_means_from;
pub(crate) use frame::k_means_from_generic;

use frame::Frame;

/// Rows of a task: their tile of similarities with a few hundred clusters stays in the cache.
const ROWS: usize = 256;
/// Clusters of a tile.
const COLUMNS: usize = 512;
/// Rows shorter than this are divided by it.
const SHORTEST: f64 = 1e-12;

/// How to cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// Number of clusters.
    pub clusters: usize,
    /// Most iterations of one start.
    pub iterations: usize,
    /// An iteration that lowers the sum of squared distances by no more than this share of it is the last one; 0 stops when
    /// no label changes.
    pub tolerance: f64,
    /// Starts, of which the one with the smallest sum of squared distances is taken.
    pub restarts: usize,
    /// Rows tried for each seed after the first, of which the one that lowers the sum of squared distances most is taken: 1 is
    /// k-means++, `2 + ln k` its greedy form (Arthur and Vassilvitskii 2007, section 7), better seeds for as many times the work.
    pub draws: usize,
    /// By cosine: rows and centroids of length 1 (Dhillon and Modha 2001). Rows of length 0 stay there and go to cluster 0 or
    /// wherever equal distances send them.
    pub spherical: bool,
    /// Of the random seeds.
    pub seed: u64,
}

impl KMeans {
    /// One start of at most 100 iterations from plain k-means++, by Euclidean distance.
    pub fn new(clusters: usize, seed: u64) -> Self {
        Self { clusters, iterations: 100, tolerance: 1e-6, restarts: 1, draws: 1, spherical: false, seed }
    }
}

/// What was found, with centroids in a container of the caller's kind: numbers row by row, an array, a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Clustering<C> {
    /// clusters x width; of length 1 in the spherical form.
    pub centroids: C,
    /// n: the cluster of each row, the nearest centroid, of equal ones the first.
    pub labels: Vec<u32>,
    /// Rows of each cluster. A cluster is empty only where there are fewer different rows than clusters.
    pub sizes: Vec<usize>,
    /// Sum of the squared distances to the centroids (spherical: of the unit rows, `2 (1 - cos)` each).
    pub inertia: f64,
    /// Iterations made by the start that was taken.
    pub iterations: usize,
    /// Did it stop by itself?
    pub converged: bool,
}

impl<C> Clustering<C> {
    /// The same with the centroids in another container.
    pub fn map<D>(self, centroids: impl FnOnce(C) -> D) -> Clustering<D> {
        let Self { centroids: before, labels, sizes, inertia, iterations, converged } = self;
        Clustering { centroids: centroids(before), labels, sizes, inertia, iterations, converged }
    }
}

/// Clusters the rows of `x` (`[n, width]`, row-major).
///
/// Seeds are drawn by k-means++ (Arthur and Vassilvitskii 2007). A cluster that loses all its rows takes the row farthest from
/// its own centroid, as long as that distance is above 0.
///
/// # Errors
/// When the shape, the settings or the values are not as [`KMeansError`] says.
pub fn k_means<T: Element>(x: &[T], width: usize, settings: &KMeans) -> Result<Clustering<Vec<T>>, KMeansError> {
    T::k_means(x, width, settings)
}

pub(crate) fn k_means_generic<T: Element>(
    x: &[T],
    width: usize,
    settings: &KMeans,
) -> Result<Clustering<Vec<T>>, KMeansError> {
    let n = check(x, width, settings)?;
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let frame = Frame::new(x, width, settings.spherical);
    let mut best: Option<Clustering<Vec<T>>> = None;
    for _ in 0..settings.restarts {
        let seeding = Seeding { rows: &frame.rows, squares: &frame.squares, width };
        let found = frame.run(n, seeding.seeds(settings, &mut rng)).lloyd(settings);
        if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
            best = Some(found);
        }
    }
    Ok(frame.restore(best.expect("at least one start")))
}

/// The nearest centroid of each row, of equal ones the first: rows `[n, width]`, centroids `[k, width]`. In the spherical form the
/// one of largest cosine, whatever the lengths.
///
/// # Errors
/// When the shapes or the values of the rows are not as [`KMeansError`] says.
pub fn nearest_centroids<T: Element>(
    x: &[T],
    centroids: &[T],
    width: usize,
    spherical: bool,
) -> Result<Vec<u32>, KMeansError> {
    T::nearest_centroids(x, centroids, width, spherical)
}

pub(crate) fn nearest_centroids_generic<T: Element>(
    x: &[T],
    centroids: &[T],
    width: usize,
    spherical: bool,
) -> Result<Vec<u32>, KMeansError> {
    let n = whole_rows(x, width)?;
    let k = whole_rows(centroids, width)?;
    if k == 0 {
        return Err(KMeansError::Clusters { clusters: 0, rows: n });
    }
    finite(x, width)?;
    let shortest = T::of(SHORTEST);
    let (rows, centroids) = match spherical {
        true => (unit_rows(x, width, shortest).0, unit_rows(centroids, width, shortest).0),
        false => {
            let (rows, centre) = centred(x, width);
            let mut moved = centroids.to_vec();
            moved.chunks_exact_mut(width).for_each(|c| vector::axpy(c, -T::one(), &centre));
            (rows, moved)
        }
    };
    let (mut labels, mut distances) = (vec![0; n], vec![T::zero(); n]);
    assign(&rows, &vec![T::zero(); n], &centroids, width, &mut labels, &mut distances);
    Ok(labels)
}

fn whole_rows<T>(x: &[T], width: usize) -> Result<usize, KMeansError> {
    match width > 0 && x.len().is_multiple_of(width) {
        true => Ok(x.len() / width),
        false => Err(KMeansError::Shape { values: x.len(), width }),
    }
}

fn finite<T: Element>(x: &[T], width: usize) -> Result<(), KMeansError> {
    match x.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(KMeansError::NonFinite { row: at / width, column: at % width }),
        None => Ok(()),
    }
}

fn check<T: Element>(x: &[T], width: usize, settings: &KMeans) -> Result<usize, KMeansError> {
    let rows = whole_rows(x, width)?;
    let clusters = settings.clusters;
    if clusters == 0 || clusters > rows || u32::try_from(clusters).is_err() {
        return Err(KMeansError::Clusters { clusters, rows });
    }
    if settings.iterations == 0 {
        return Err(KMeansError::Iterations);
    }
    if settings.restarts == 0 {
        return Err(KMeansError::Restarts);
    }
    if settings.draws == 0 {
        return Err(KMeansError::Draws);
    }
    finite(x, width)?;
    Ok(rows)
}

/// Rows around their mean, and the mean: distances by inner products would lose their digits far from the origin.
fn centred<T: Element>(x: &[T], width: usize) -> (Vec<T>, Vec<T>) {
    let n = x.len() / width;
    let mut sums = vec![0.0; width];
    for row in x.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += v.f64() / n as f64);
    }
    let centre: Vec<T> = sums.into_iter().map(T::of).collect();
    let mut rows = x.to_vec();
    rows.par_chunks_mut(width).with_min_len(64).for_each(|row| vector::axpy(row, -T::one(), &centre));
    (rows, centre)
}

fn squared_distance<T: Element>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::zero(), |sum, (&a, &b)| sum + (a - b) * (a - b))
}

/// Rows to draw seeds from, with their squared lengths.
struct Seeding<'a, T> {
    rows: &'a [T],
    squares: &'a [T],
    width: usize,
}

impl<T: Element> Seeding<'_, T> {
    /// k-means++: the first seed is any row, every other one a row drawn in proportion to its squared distance from the nearest
    /// seed so far, the best of some draws.
    fn seeds(&self, settings: &KMeans, rng: &mut ChaCha8Rng) -> Vec<T> {
        let n = self.squares.len();
        let mut nearest = vec![T::infinity(); n];
        let mut centroids = Vec::with_capacity(settings.clusters * self.width);
        let mut next = rng.random_range(0..n);
        for made in 1..=settings.clusters {
            centroids.extend_from_slice(self.row(next));
            if made == settings.clusters {
                break;
            }
            let parts = nearest.par_chunks_mut(ROWS).enumerate().map(|(block, nearest)| {
                let distances = nearest.iter_mut().zip(self.distances(block, next));
                distances
                    .map(|(nearest, distance)| {
                        *nearest = nearest.min(distance);
                        nearest.f64()
                    })
                    .sum::<f64>()
            });
            let parts: Vec<f64> = parts.collect();
            next = draw(&parts, &nearest, rng);
            if settings.draws > 1 {
                let others = (1..settings.draws).map(|_| draw(&parts, &nearest, rng));
                let drawn = std::iter::once(next).chain(others.collect::<Vec<_>>());
                let left = drawn.map(|row| (self.left(&nearest, row), row));
                // the first of equal ones
                next = left.min_by(|a, b| a.0.total_cmp(&b.0)).expect("at least one draw").1;
            }
        }
        centroids
    }

    fn row(&self, at: usize) -> &[T] {
        &self.rows[at * self.width..][..self.width]
    }

    /// Squared distances of the rows of a block to a row; of a row at its place exactly 0.
    fn distances(&self, block: usize, seed: usize) -> impl Iterator<Item = T> {
        let (square, two, first) = (self.squares[seed], T::of(2.0), block * ROWS);
        let rows = self.rows[first * self.width..].chunks_exact(self.width);
        let rows = rows.zip(&self.squares[first..]).take(ROWS);
        rows.map(move |(row, own)| ((*own + square) - two * vector::dot(row, self.row(seed))).max(T::zero()))
    }

    /// The sum of squared distances from the nearest seed with this row among the seeds.
    fn left(&self, nearest: &[T], seed: usize) -> f64 {
        let parts = nearest.par_chunks(ROWS).enumerate().map(|(block, nearest)| {
            let distances = nearest.iter().zip(self.distances(block, seed));
            distances.map(|(nearest, distance)| nearest.min(distance).f64()).sum::<f64>()
        });
        parts.collect::<Vec<f64>>().into_iter().sum()
    }
}

/// A row in proportion to its weight; `parts` are the weights' sums over blocks of [`ROWS`]. Any row where all weights are 0.
fn draw<T: Element>(parts: &[f64], weights: &[T], rng: &mut ChaCha8Rng) -> usize {
    let total: f64 = parts.iter().sum();
    let mut left = rng.random::<f64>() * total;
    if total <= 0.0 {
        return rng.random_range(0..weights.len());
    }
    let mut part = 0;
    while part + 1 < parts.len() && left >= parts[part] {
        left -= parts[part];
        part += 1;
    }
    let block = &weights[part * ROWS..weights.len().min((part + 1) * ROWS)];
    let mut last = None;
    for (at, weight) in block.iter().enumerate().filter(|(_, w)| **w > T::zero()) {
        last = Some(at);
        left -= weight.f64();
        if left < 0.0 {
            break;
        }
    }
    // rounding may end in a block without weight: then the last row before it that has one
    let found = last.map(|at| part * ROWS + at);
    found.or_else(|| weights.iter().rposition(|w| *w > T::zero())).unwrap_or(0)
}

/// Labels and squared distances: the largest `<x, c> - |c|^2 / 2`, by tiles.
fn assign<T: Element>(
    rows: &[T],
    squares: &[T],
    centroids: &[T],
    width: usize,
    labels: &mut [u32],
    distances: &mut [T],
) {
    let k = centroids.len() / width;
    let halves: Vec<T> = centroids.chunks_exact(width).map(|c| vector::dot(c, c) * T::of(0.5)).collect();
    let columns = COLUMNS.min(k);
    let parts = labels.par_chunks_mut(ROWS).zip(distances.par_chunks_mut(ROWS));
    let parts = parts.zip(rows.par_chunks(ROWS * width).zip(squares.par_chunks(ROWS)));
    parts.for_each_init(
        || vec![T::zero(); ROWS * columns],
        |tile, ((labels, distances), (rows, squares))| {
            let r = labels.len();
            // the best so far
            distances.fill(T::neg_infinity());
            labels.fill(0);
            for j0 in (0..k).step_by(columns) {
                let c = columns.min(k - j0);
                let tile = &mut tile[..r * c];
                gemm(
                    [r, c, width],
                    tile,
                    [c, 1],
                    rows,
                    [width, 1],
                    &centroids[j0 * width..],
                    [1, width],
                    T::zero(),
                    T::one(),
                );
                for ((row, label), best) in tile.chunks_exact_mut(c).zip(labels.iter_mut()).zip(distances.iter_mut()) {
                    vector::axpy(row, -T::one(), &halves[j0..j0 + c]);
                    let most = vector::max(row);
                    if most > *best {
                        let at = row.iter().position(|score| *score == most);
                        (*best, *label) = (most, (j0 + at.expect("the largest is one of them")) as u32);
                    }
                }
            }
            for (distance, square) in distances.iter_mut().zip(squares) {
                *distance = (*square - *distance - *distance).max(T::zero());
            }
        },
    );
}

/// One start.
struct Run<'a, T> {
    rows: &'a [T],
    squares: &'a [T],
    width: usize,
    centroids: Vec<T>,
    labels: Vec<u32>,
    distances: Vec<T>,
    spherical: bool,
}

impl<T: Element> Run<'_, T> {
    fn lloyd(&mut self, settings: &KMeans) -> Clustering<Vec<T>> {
        let mut before = f64::INFINITY;
        let mut former = Vec::new();
        let (mut iterations, mut converged) = (0, false);
        let sizes = loop {
            self.assign();
            let sizes = self.fill_empty();
            if iterations > 0 {
                let now = self.distances.iter().map(|d| d.f64()).sum::<f64>();
                let gained = before - now;
                let little = before.is_finite() && (0.0..=settings.tolerance * before).contains(&gained);
                converged = little || self.labels == former;
                before = now;
            }
            if converged || iterations == settings.iterations {
                break sizes;
            }
            former.clone_from(&self.labels);
            self.update(&sizes);
            iterations += 1;
        };
        let (rows, centroids, width) = (self.rows, &self.centroids, self.width);
        let exact = rows.par_chunks(width).zip(&self.labels).with_min_len(64);
        let exact: Vec<f64> = exact
            .map(|(row, &label)| squared_distance(row, &centroids[label as usize * width..][..width]).f64())
            .collect();
        Clustering {
            centroids: self.centroids.clone(),
            labels: self.labels.clone(),
            sizes,
            inertia: exact.iter().sum(),
            iterations,
            converged,
        }
    }

    fn assign(&mut self) {
        assign(self.rows, self.squares, &self.centroids, self.width, &mut self.labels, &mut self.distances);
    }

    /// Every empty cluster takes the row farthest from its centroid, of a cluster that has others. Returns the sizes.
    fn fill_empty(&mut self) -> Vec<usize> {
        let mut sizes = vec![0; self.centroids.len() / self.width];
        self.labels.iter().for_each(|&label| sizes[label as usize] += 1);
        for empty in 0..sizes.len() {
            if sizes[empty] > 0 {
                continue;
            }
            let others = (0..self.labels.len()).filter(|&i| sizes[self.labels[i] as usize] > 1);
            // the first of equal ones; what rounding leaves of a distance of 0 is none
            let far = others.fold(None, |far: Option<usize>, i| match far {
                Some(j) if self.distances[j] >= self.distances[i] => Some(j),
                _ => Some(i),
            });
            let Some(i) = far.filter(|&i| self.apart(i)) else { break };
            sizes[self.labels[i] as usize] -= 1;
            sizes[empty] = 1;
            self.labels[i] = empty as u32;
            self.distances[i] = T::zero();
            let row = &self.rows[i * self.width..][..self.width];
            self.centroids[empty * self.width..][..self.width].copy_from_slice(row);
        }
        sizes
    }

    /// Is row i at another place than its centroid?
    fn apart(&self, i: usize) -> bool {
        let centroid = &self.centroids[self.labels[i] as usize * self.width..][..self.width];
        let row = &self.rows[i * self.width..][..self.width];
        squared_distance(row, centroid) > T::of(64.0) * T::epsilon() * T::epsilon() * self.squares[i]
    }

    /// Centroids become the means of their rows (of length 1 in the spherical form), summed in f64 in the order of the rows. An
    /// empty cluster, and one whose unit rows cancel, keeps its place.
    fn update(&mut self, sizes: &[usize]) {
        let starts: Vec<usize> = sizes
            .iter()
            .scan(0, |next, size| {
                *next += size;
                Some(*next - size)
            })
            .collect();
        let mut next = starts.clone();
        let mut order = vec![0u32; self.labels.len()];
        for (i, &label) in self.labels.iter().enumerate() {
            order[next[label as usize]] = i as u32;
            next[label as usize] += 1;
        }
        let (rows, width, spherical) = (self.rows, self.width, self.spherical);
        self.centroids.par_chunks_mut(width).enumerate().filter(|(c, _)| sizes[*c] > 0).for_each(|(c, centroid)| {
            let mut sums = vec![0.0; width];
            for &i in &order[starts[c]..][..sizes[c]] {
                let row = &rows[i as usize * width..][..width];
                sums.iter_mut().zip(row).for_each(|(s, v)| *s += v.f64());
            }
            let length = match spherical {
                true => sums.iter().map(|s| s * s).sum::<f64>().sqrt(),
                false => sizes[c] as f64,
            };
            if length > SHORTEST {
                centroid.iter_mut().zip(sums).for_each(|(c, s)| *c = T::of(s / length));
            }
        });
    }
}
