//! k-means on tensors and arrays.
//!
//! The work is done on the host by [`contrastive_kernels::k_means`], in memory linear in rows and clusters, the same for any number of
//! threads; tensors of other devices are brought there once.

use crate::native::{like, numbers_of};
use burn::tensor::{DType, Element as BurnElement, Tensor};
use contrastive_kernels::k_means as kernel;
use contrastive_kernels::vector::Element;
use ndarray::{Array2, ArrayView2};

pub use kernel::{Clustering, KMeans, KMeansError, MiniBatches};

/// Clusters of the rows of a tensor.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// `[k, d]`, on the device and in the type of the rows (f16 and bf16 are computed in f32), outside autodiff.
    pub centroids: Tensor<2>,
    /// n: the cluster of each row.
    pub labels: Vec<u32>,
    /// k: rows of each cluster.
    pub sizes: Vec<usize>,
    /// Sum of the squared distances to the centroids (spherical: of the unit rows, `2 (1 - cos)` each).
    pub inertia: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Did it stop by itself?
    pub converged: bool,
}

/// Clusters the rows of a tensor `[n, d]`; no gradient.
///
/// # Errors
/// When there are fewer rows than clusters, no clusters, iterations or starts, no width, or a value is not finite.
pub fn k_means(x: &Tensor<2>, settings: &KMeans) -> Result<Clusters, KMeansError> {
    clustered(x, settings, Start::Drawn)
}

/// The same from given centroids `[clusters, d]` instead of drawn seeds, such as those of the epoch before: one start, few iterations.
///
/// # Errors
/// As [`k_means`]; when the centroids are not `clusters` rows of the same width, or not finite.
pub fn k_means_from(x: &Tensor<2>, centroids: &Tensor<2>, settings: &KMeans) -> Result<Clusters, KMeansError> {
    clustered(x, settings, Start::From(centroids))
}

/// k-means in mini-batches (Sculley 2010), from given centroids `[clusters, d]` or from k-means++ seeds.
///
/// # Errors
/// As [`k_means_from`]; when there are no batches, or no rows in one.
pub fn k_means_in_batches(
    x: &Tensor<2>,
    centroids: Option<&Tensor<2>>,
    settings: &KMeans,
    batches: MiniBatches,
) -> Result<Clusters, KMeansError> {
    clustered(x, settings, Start::Batches(centroids, batches))
}

/// Where k-means starts, and how it goes on.
enum Start<'a> {
    Drawn,
    From(&'a Tensor<2>),
    Batches(Option<&'a Tensor<2>>, MiniBatches),
}

fn clustered(x: &Tensor<2>, settings: &KMeans, start: Start<'_>) -> Result<Clusters, KMeansError> {
    fn run<T: Element + BurnElement>(
        x: &Tensor<2>,
        settings: &KMeans,
        start: Start<'_>,
    ) -> Result<Clusters, KMeansError> {
        let d = x.dims()[1];
        let rows = numbers_of::<2, T>(x);
        let given = |centroids: &Tensor<2>| numbers_of::<2, T>(&centroids.clone().inner());
        let found = match start {
            Start::Drawn => kernel::k_means(&rows, d, settings)?,
            Start::From(centroids) => kernel::k_means_from(&rows, d, &given(centroids), settings)?,
            Start::Batches(centroids, batches) => {
                let centroids = centroids.map(given);
                kernel::k_means_in_batches(&rows, d, centroids.as_deref(), settings, batches)?
            }
        };
        Ok(Clusters {
            centroids: like(found.centroids, [settings.clusters, d], x),
            labels: found.labels,
            sizes: found.sizes,
            inertia: found.inertia,
            iterations: found.iterations,
            converged: found.converged,
        })
    }
    let x = x.clone().inner();
    if x.dtype() == DType::F64 { run::<f64>(&x, settings, start) } else { run::<f32>(&x, settings, start) }
}

/// The nearest centroid of each row: rows `[n, d]`, centroids `[k, d]`; by largest cosine in the spherical form. Of equal ones the
/// first; no gradient.
///
/// # Errors
/// When there are no centroids, or a value of the rows is not finite.
///
/// # Panics
/// When the widths differ.
pub fn nearest_centroids(x: &Tensor<2>, centroids: &Tensor<2>, spherical: bool) -> Result<Vec<u32>, KMeansError> {
    let ([n, d], [k, e]) = (x.dims(), centroids.dims());
    assert_eq!(d, e, "the widths of rows [{n}, {d}] and centroids [{k}, {e}]");
    let (x, centroids) = (x.clone().inner(), centroids.clone().inner());
    match x.dtype() {
        DType::F64 => kernel::nearest_centroids::<f64>(&numbers_of(&x), &numbers_of(&centroids), d, spherical),
        _ => kernel::nearest_centroids::<f32>(&numbers_of(&x), &numbers_of(&centroids), d, spherical),
    }
}

/// Clusters the rows of an array `[n, d]`. The centroids `[k, d]` stand beside the rest of what was found, which keeps them too.
///
/// # Errors
/// As [`k_means`].
pub fn k_means_array<T: Element>(
    x: ArrayView2<'_, T>,
    settings: &KMeans,
) -> Result<(Array2<T>, Clustering<T>), KMeansError> {
    let rows = x.as_standard_layout();
    let found = kernel::k_means(rows.as_slice().expect("in standard layout"), x.ncols(), settings)?;
    let shape = (settings.clusters, x.ncols());
    let centroids = Array2::from_shape_vec(shape, found.centroids.clone()).expect("as many numbers as the shape says");
    Ok((centroids, found))
}
