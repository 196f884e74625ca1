//! The nearest row of a table, exactly and without the matrix.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use crate::extension::*;
use crate::similarity::{Sides, Similarity};
use burn::backend::{Dispatch, tensor::IntTensor};
use burn::tensor::{Int, Shape, Slice, Tensor};

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// Nearest rows on a backend: native on the CPU backend, backend operations on blocks elsewhere.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
)]
pub trait NearestOps: Backend {
    /// `[n]`: of each query `[n, d]` the row of the table `[m, d]` with the largest inner product.
    fn largest_product(queries: FloatTensor<Self>, table: FloatTensor<Self>) -> IntTensor<Self> {
        portable::<Self>(queries, table)
    }
}

default_bodies!(NearestOps);

#[cfg(feature = "flex")]
impl NearestOps for burn::backend::Flex {
    fn largest_product(queries: FloatTensor<Self>, table: FloatTensor<Self>) -> IntTensor<Self> {
        use burn::backend::flex::FlexTensor;
        use burn::tensor::{DType, Element, TensorData};
        use contrastive_kernels::top_k::{Score, top_k};
        fn native<T: Score + Element>(queries: FlexTensor, table: FlexTensor) -> FlexTensor {
            let (queries, table) = (queries.to_contiguous(), table.to_contiguous());
            let (rows, among) = (queries.as_slice::<T>(), table.as_slice::<T>());
            let (rows, among) = rows.zip(among).expect("contiguous tensors of the element type");
            let best = top_k(rows, among, queries.shape()[1], 1, None);
            let places: Vec<i32> = best.indices.iter().map(|&i| i32::try_from(i).expect("rows below 2^31")).collect();
            let n = places.len();
            FlexTensor::from_data(TensorData::new(places, [n]))
        }
        match queries.dtype() {
            DType::F32 => native::<f32>(queries, table),
            DType::F64 => native::<f64>(queries, table),
            _ => portable::<Self>(queries, table),
        }
    }
}

fn portable<B: Backend>(queries: FloatTensor<B>, table: FloatTensor<B>) -> IntTensor<B> {
    let (n, d, m) = (queries.shape()[0], queries.shape()[1], table.shape()[0]);
    let transposed = B::float_transpose(table);
    let block = (BLOCK_ELEMENTS / m.max(1)).clamp(1, n.max(1));
    let blocks = (0..n).step_by(block).map(|i0| {
        let r = block.min(n - i0);
        let rows = B::float_slice(queries.clone(), &[Slice::from(i0..i0 + r), Slice::from(0..d)]);
        let products = B::float_matmul(rows, transposed.clone());
        let int = burn::backend::get_device_settings::<B>(&products.device()).int_dtype;
        B::int_reshape(B::float_argmax(products, 1, int), Shape::new([r]))
    });
    B::int_cat(blocks.collect(), 0)
}

/// `[n]`: of each query `[n, d]` the row of the support `[m, d]` that is most similar; by cosine, the larger one of equal
/// directions is no nearer. Exact; no n x m matrix; no gradient. Of equal similarities the smaller place wins on the CPU.
///
/// # Panics
/// When the widths or the element types differ, or there are no rows.
pub fn nearest_rows(queries: Tensor<2>, support: Tensor<2>, similarity: Similarity) -> Tensor<1, Int> {
    let ([n, d], [m, e]) = (queries.dims(), support.dims());
    assert!(n > 0 && m > 0 && d == e && d > 0, "nearest rows of queries [{n}, {d}] in a support [{m}, {e}]");
    crate::objective::check_types(&[("queries", queries.dtype()), ("support", support.dtype())]);
    let dtype = crate::objective::computed_in(queries.dtype());
    let plain = |x: Tensor<2>| x.inner().cast(dtype);
    let sides = Sides::new(similarity, plain(queries), Some(plain(support)), None);
    let support = sides.candidates.expect("a support").rows.into_dispatch();
    Tensor::from_dispatch(Dispatch::largest_product(sides.anchors.rows.into_dispatch(), support))
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::{Flex, flex::FlexTensor};
    use burn::tensor::TensorData;

    #[test]
    fn both_bodies_find_the_same_rows() {
        // 2,100 x 2,100 products: more than one block
        let (n, d) = (2100, 3);
        let table = |seed: usize| {
            let values: Vec<f64> = (0..n * d).map(|k| (((k + seed) * 7919) % 10007) as f64 / 5003.0 - 1.0).collect();
            FlexTensor::from_data(TensorData::new(values, [n, d]))
        };
        let (queries, rows) = (table(1), table(123));
        let native = Flex::largest_product(queries.clone(), rows.clone());
        let portable = portable::<Flex>(queries, rows);
        let numbers = |x: FlexTensor| x.into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(numbers(portable), numbers(native));
    }
}
