//! What the tests of decoding and of code search share.

use burn::tensor::{DType, Device, Tensor};

/// The CPU device.
pub fn device() -> Device {
    Device::default()
}

/// The numbers of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).try_to_vec().unwrap()
}

/// All lists of so many tokens below `n`.
pub fn lists_of(n: u32, length: usize) -> Vec<Vec<u32>> {
    match length {
        0 => vec![Vec::new()],
        _ => {
            let longer = |list: Vec<u32>| (0..n).map(move |token| [&list[..], &[token]].concat());
            lists_of(n, length - 1).into_iter().flat_map(longer).collect()
        }
    }
}
