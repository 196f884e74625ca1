//! Tables on their way from a device to the host and back.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};

/// The numbers of a table `[rows, columns]` on the host, in f32 whatever the type on the device.
pub fn to_array(table: &Tensor<2>) -> Array2<f32> {
    let [rows, columns] = table.dims();
    let values: Vec<f32> = table.clone().into_data().iter::<f32>().collect();
    Array2::from_shape_vec((rows, columns), values).expect("as many numbers as the shape says")
}

/// A table on a device.
pub fn to_tensor(values: ArrayView2<'_, f32>, device: &Device) -> Tensor<2> {
    let shape = [values.nrows(), values.ncols()];
    Tensor::from_data(TensorData::new(values.iter().copied().collect::<Vec<f32>>(), shape), device)
}
