//! Copies of tensors to the host and back, and which tensors the CPU kernels can read without a copy.

use burn::tensor::{Element, Tensor, TensorData};
use ndarray::Array2;

/// The rows of a table `[n, d]` as an array in `f32`, copied to the host; for evaluation, files and figures.
pub fn to_array(table: &Tensor<2>) -> Array2<f32> {
    let [n, d] = table.dims();
    Array2::from_shape_vec((n, d), to_vec(table)).expect("as many numbers as the shape says")
}

/// All numbers of a tensor, row by row, converted to `T` and copied to the host.
pub fn to_vec<const D: usize, T: Element>(tensor: &Tensor<D>) -> Vec<T> {
    let data = tensor.clone().into_data().convert_dtype(T::dtype());
    data.as_slice::<T>().expect("the type it was converted to").to_vec()
}

/// All numbers of a tensor in `f64`.
pub(crate) fn to_f64<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// A plain tensor of these numbers, on the device and in the type of `like`.
pub(crate) fn like<const D: usize, const E: usize, T: Element>(
    values: Vec<T>,
    shape: [usize; D],
    like: &Tensor<E>,
) -> Tensor<D> {
    let data = TensorData::new(values, shape).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device().inner(), like.dtype()))
}

/// `[n, 1]`, on the device and in the type of `like`.
pub(crate) fn column(values: &[f64], like: &Tensor<2>) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), (&like.device(), like.dtype()))
}

/// `[n]`, on the device and in the type of `like`.
pub(crate) fn numbers(values: &[f64], like: &Tensor<2>) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&like.device(), like.dtype()))
}

/// Is this tensor on the CPU backend, whose memory the kernels can read? (Tests may switch the kernels off.)
#[cfg(feature = "flex")]
pub(crate) fn is_native<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == burn::tensor::Device::flex() && !crate::testing::is_portable()
}

/// Without the CPU backend nothing is.
#[cfg(not(feature = "flex"))]
pub(crate) fn is_native<const D: usize>(_: &Tensor<D>) -> bool {
    false
}
