#![doc = include_str!("../README.md")]

mod error;
pub mod evaluate;
pub mod method;
pub mod world;

pub use error::RlError;

/// The numbers of a table `[rows, columns]` on the host.
pub(crate) fn to_array(table: &burn::tensor::Tensor<2>) -> ndarray::Array2<f32> {
    let [rows, columns] = table.dims();
    let values: Vec<f32> = table.clone().into_data().iter::<f32>().collect();
    ndarray::Array2::from_shape_vec((rows, columns), values).expect("as many numbers as the shape says")
}
