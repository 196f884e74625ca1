//! Tables on their way from a device to the host and back.

use burn::tensor::{Device, Tensor, TensorData};
pub use contrastive_core::host::to_array;
use ndarray::ArrayView2;

/// A table on a device.
pub fn to_tensor(values: ArrayView2<'_, f32>, device: &Device) -> Tensor<2> {
    let shape = [values.nrows(), values.ncols()];
    Tensor::from_data(TensorData::new(values.iter().copied().collect::<Vec<f32>>(), shape), device)
}
