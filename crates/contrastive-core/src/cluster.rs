//! k-means on tensors and arrays.
//!
//! The work is done on the host by [`contrastive_kernels::k_means`], in memory linear in rows and clusters, the same for any number of
//! threads; tensors of other devices are brought there once.

use crate::host::{like, to_vec};
use burn::tensor::{DType, Element as BurnElement, Tensor};
use contrastive_kernels::k_means as kernel;
use contrastive_kernels::vector::Element;
use ndarray::{Array2, ArrayView2};

pub use kernel::{Clustering, KMeans, KMeansError, MiniBatches};

/// Clusters the rows of a tensor `[n, d]`; no gradient. The centroids `[k, d]` are on the device and in the type of the rows (f16 and bf16
/// are computed in f32), outside autodiff.
///
/// # Errors
/// When there are fewer rows than clusters, no clusters, iterations or starts, no width, or a value is not finite.
pub fn k_means(x: &Tensor<2>, settings: &KMeans) -> Result<Clustering<Tensor<2>>, KMeansError> {
    clustered(x, settings, Start::Drawn)
}

/// The same from given centroids `[clusters, d]` instead of drawn seeds, such as those of the epoch before: one start, few iterations.
///
/// # Errors
/// As [`k_means`]; when the centroids are not `clusters` rows of the same width, or not finite.
pub fn k_means_from(
    x: &Tensor<2>,
    centroids: &Tensor<2>,
    settings: &KMeans,
) -> Result<Clustering<Tensor<2>>, KMeansError> {
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
) -> Result<Clustering<Tensor<2>>, KMeansError> {
    clustered(x, settings, Start::Batches(centroids, batches))
}

/// Where k-means starts, and how it goes on.
enum Start<'a> {
    Drawn,
    From(&'a Tensor<2>),
    Batches(Option<&'a Tensor<2>>, MiniBatches),
}

fn clustered(x: &Tensor<2>, settings: &KMeans, start: Start<'_>) -> Result<Clustering<Tensor<2>>, KMeansError> {
    fn run<T: Element + BurnElement>(
        x: &Tensor<2>,
        settings: &KMeans,
        start: Start<'_>,
    ) -> Result<Clustering<Tensor<2>>, KMeansError> {
        let d = x.dims()[1];
        let rows = to_vec::<2, T>(x);
        let given = |centroids: &Tensor<2>| to_vec::<2, T>(&centroids.clone().inner());
        let found = match start {
            Start::Drawn => kernel::k_means(&rows, d, settings)?,
            Start::From(centroids) => kernel::k_means_from(&rows, d, &given(centroids), settings)?,
            Start::Batches(centroids, batches) => {
                let centroids = centroids.map(given);
                kernel::k_means_in_batches(&rows, d, centroids.as_deref(), settings, batches)?
            }
        };
        Ok(found.map(|centroids| like(centroids, [settings.clusters, d], x)))
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
        DType::F64 => kernel::nearest_centroids::<f64>(&to_vec(&x), &to_vec(&centroids), d, spherical),
        _ => kernel::nearest_centroids::<f32>(&to_vec(&x), &to_vec(&centroids), d, spherical),
    }
}

/// Clusters the rows of an array `[n, d]`; the centroids are `[k, d]`.
///
/// # Errors
/// As [`k_means`].
pub fn k_means_array<T: Element>(
    x: ArrayView2<'_, T>,
    settings: &KMeans,
) -> Result<Clustering<Array2<T>>, KMeansError> {
    let rows = x.as_standard_layout();
    let found = kernel::k_means(rows.as_slice().expect("in standard layout"), x.ncols(), settings)?;
    let shape = (settings.clusters, x.ncols());
    Ok(found.map(|centroids| Array2::from_shape_vec(shape, centroids).expect("as many numbers as the shape says")))
}
