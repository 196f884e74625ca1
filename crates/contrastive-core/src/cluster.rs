//! k-means on tensors and arrays.
//!
//! The work is done on the host by [`contrastive_kernels::k_means`], in memory linear in rows and clusters, the same for any number of
//! threads; tensors of other devices are brought there once.

use crate::host::{like, to_vec};
use burn::tensor::{DType, Element as BurnElement, Tensor};
use contrastive_kernels::k_means as kernel;
use contrastive_kernels::vector::Element;
use ndarray::{Array2, ArrayView2};

pub use kernel::{Clustering, KMeans, KMeansError};

/// Clusters the rows of a tensor `[n, d]`; no gradient. The centroids `[k, d]` are on the device and in the type of the rows (f16 and bf16
/// are computed in f32), outside autodiff.
///
/// # Errors
/// When there are fewer rows than clusters, no clusters, iterations or starts, no width, or a value is not finite.
pub fn k_means(x: &Tensor<2>, settings: &KMeans) -> Result<Clustering<Tensor<2>>, KMeansError> {
    fn run<T: Element + BurnElement>(x: &Tensor<2>, settings: &KMeans) -> Result<Clustering<Tensor<2>>, KMeansError> {
        let d = x.dims()[1];
        let found = kernel::k_means(&to_vec::<2, T>(x), d, settings)?;
        Ok(found.map(|centroids| like(centroids, [settings.clusters, d], x)))
    }
    let x = x.clone().inner();
    if x.dtype() == DType::F64 { run::<f64>(&x, settings) } else { run::<f32>(&x, settings) }
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
