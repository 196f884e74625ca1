//! Where tensors are, and their numbers on the host.

use burn::tensor::{Element, Tensor, TensorData};

/// Is this tensor on the CPU backend, whose memory the kernels can read?
#[cfg(feature = "flex")]
pub(crate) fn is_native<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == burn::tensor::Device::flex()
}

/// Without the CPU backend nothing is.
#[cfg(not(feature = "flex"))]
pub(crate) fn is_native<const D: usize>(_: &Tensor<D>) -> bool {
    false
}

/// All numbers of a tensor, in its own type.
pub(crate) fn numbers_of<const D: usize, T: Element>(x: &Tensor<D>) -> Vec<T> {
    let data = x.clone().into_data().convert_dtype(T::dtype());
    data.as_slice::<T>().expect("the type it was converted to").to_vec()
}

/// A plain tensor of these numbers, beside `like` and of its type.
pub(crate) fn like<const D: usize, const E: usize, T: Element>(
    values: Vec<T>,
    shape: [usize; D],
    like: &Tensor<E>,
) -> Tensor<D> {
    let data = TensorData::new(values, shape).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device().inner(), like.dtype()))
}
