//! k-means in mini-batches.

use super::frame::Frame;
use super::{Clustering, KMeans, KMeansError, Seeding, assign, check};
use crate::vector::{self, Element};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How many rows a mini-batch has, and how many batches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiniBatches {
    /// Rows of a batch, drawn with replacement; at least 1.
    pub rows: usize,
    /// Number of batches; at least 1.
    pub batches: usize,
}

/// Mini-batch k-means (Sculley 2010, algorithm 1): of each batch every row is assigned to its nearest centroid, and every centroid
/// becomes the mean of all rows that were ever assigned to it (the step of a row is 1 / the number of rows its centroid has had). In the
/// end all rows are assigned once, and clusters that stayed empty take the farthest rows, as in [`k_means`](super::k_means).
///
/// Starts from `centroids` (`[clusters, width]`) or, without them, from k-means++ seeds. Costs `2 rows batches k width` operations for the
/// batches and `2 n k width` for the assignment. Of the settings, restarts, iterations and tolerance are not used. In the result
/// `iterations` is the number of batches, `converged` false.
///
/// # Errors
/// As [`k_means_from`](super::k_means_from); when there are no batches, or no rows in one.
pub fn k_means_in_batches<T: Element>(
    x: &[T],
    width: usize,
    centroids: Option<&[T]>,
    settings: &KMeans,
    batches: MiniBatches,
) -> Result<Clustering<Vec<T>>, KMeansError> {
    T::k_means_in_batches(x, width, centroids, settings, batches)
}

pub(crate) fn k_means_in_batches_generic<T: Element>(
    x: &[T],
    width: usize,
    centroids: Option<&[T]>,
    settings: &KMeans,
    batches: MiniBatches,
) -> Result<Clustering<Vec<T>>, KMeansError> {
    let n = check(x, width, settings)?;
    if batches.rows == 0 || batches.batches == 0 {
        return Err(KMeansError::Batches);
    }
    let frame = Frame::new(x, width, settings.spherical);
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut centroids = match centroids {
        Some(given) => frame.centroids(given, settings.clusters)?,
        None => Seeding { rows: &frame.rows, squares: &frame.squares, width }.seeds(settings, &mut rng),
    };
    let size = batches.rows;
    let mut seen = vec![0usize; settings.clusters];
    let (mut rows, mut squares) = (vec![T::zero(); size * width], vec![T::zero(); size]);
    let (mut labels, mut distances) = (vec![0u32; size], vec![T::zero(); size]);
    for _ in 0..batches.batches {
        for (row, square) in rows.chunks_exact_mut(width).zip(&mut squares) {
            let i = rng.random_range(0..n);
            row.copy_from_slice(&frame.rows[i * width..][..width]);
            *square = frame.squares[i];
        }
        assign(&rows, &squares, &centroids, width, &mut labels, &mut distances);
        for (row, &label) in rows.chunks_exact(width).zip(&labels) {
            let label = label as usize;
            seen[label] += 1;
            let step = T::of(1.0 / seen[label] as f64);
            let centroid = &mut centroids[label * width..][..width];
            centroid.iter_mut().zip(row).for_each(|(c, &v)| *c = *c + (v - *c) * step);
        }
        if settings.spherical {
            for centroid in centroids.chunks_exact_mut(width) {
                let length = vector::dot(centroid, centroid).sqrt();
                if length > T::of(super::SHORTEST) {
                    vector::scale(centroid, T::one() / length);
                }
            }
        }
    }
    // one assignment of everything, without an iteration
    let mut found = frame.run(n, centroids).lloyd(&KMeans { iterations: 0, ..settings.clone() });
    found.iterations = batches.batches;
    Ok(frame.restore(found))
}
