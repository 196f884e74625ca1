//! Rows as they are clustered, and k-means from given centroids.

use super::{Clustering, KMeans, KMeansError, Run, SHORTEST, centred, check};
use crate::unit::unit_rows;
use crate::vector::{self, Element};
use rayon::prelude::*;

/// [`k_means`](super::k_means) from given centroids (`[clusters, width]`, row-major) instead of drawn seeds: one start, whatever the settings say of
/// restarts, draws and seed. Centroids of rows that moved little are a good start: few iterations are left to do.
///
/// # Errors
/// As [`k_means`](super::k_means); when the centroids are not `clusters` rows, or one is not finite.
pub fn k_means_from<T: Element>(
    x: &[T],
    width: usize,
    centroids: &[T],
    settings: &KMeans,
) -> Result<Clustering<Vec<T>>, KMeansError> {
    T::k_means_from(x, width, centroids, settings)
}

pub(crate) fn k_means_from_generic<T: Element>(
    x: &[T],
    width: usize,
    centroids: &[T],
    settings: &KMeans,
) -> Result<Clustering<Vec<T>>, KMeansError> {
    let n = check(x, width, settings)?;
    let frame = Frame::new(x, width, settings.spherical);
    let centroids = frame.centroids(centroids, settings.clusters)?;
    Ok(frame.restore(frame.run(n, centroids).lloyd(settings)))
}

/// Rows as they are clustered: around their mean, or of length 1.
pub(super) struct Frame<T> {
    pub rows: Vec<T>,
    pub squares: Vec<T>,
    centre: Vec<T>,
    width: usize,
    spherical: bool,
}

impl<T: Element> Frame<T> {
    pub fn new(x: &[T], width: usize, spherical: bool) -> Self {
        let (rows, centre) = match spherical {
            true => (unit_rows(x, width, T::of(SHORTEST)).0, vec![T::zero(); width]),
            false => centred(x, width),
        };
        let squares = rows.par_chunks(width).with_min_len(64).map(|row| vector::dot(row, row)).collect();
        Self { rows, squares, centre, width, spherical }
    }

    /// Given centroids in this frame.
    pub fn centroids(&self, given: &[T], clusters: usize) -> Result<Vec<T>, KMeansError> {
        if given.len() != clusters * self.width {
            return Err(KMeansError::Centroids { values: given.len(), clusters, width: self.width });
        }
        if let Some(at) = given.iter().position(|v| !v.is_finite()) {
            return Err(KMeansError::NonFiniteCentroid { centroid: at / self.width, column: at % self.width });
        }
        if self.spherical {
            return Ok(unit_rows(given, self.width, T::of(SHORTEST)).0);
        }
        let mut moved = given.to_vec();
        moved.chunks_exact_mut(self.width).for_each(|c| vector::axpy(c, -T::one(), &self.centre));
        Ok(moved)
    }

    pub fn run(&self, n: usize, centroids: Vec<T>) -> Run<'_, T> {
        Run {
            rows: &self.rows,
            squares: &self.squares,
            width: self.width,
            centroids,
            labels: vec![0; n],
            distances: vec![T::zero(); n],
            spherical: self.spherical,
        }
    }

    /// Back to where the rows were.
    pub fn restore(&self, mut found: Clustering<Vec<T>>) -> Clustering<Vec<T>> {
        found.centroids.chunks_exact_mut(self.width).for_each(|c| vector::axpy(c, T::one(), &self.centre));
        found
    }
}
