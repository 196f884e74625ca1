//! What the tests of this crate share.
#![allow(dead_code, unused_imports)]

pub mod directions;
#[path = "../../../../../tests/golden/mod.rs"]
mod golden;

use burn::tensor::{DType, Device, Tensor, TensorData};

pub use golden::*;

/// Does the device compute in f64?
pub fn has_f64() -> bool {
    !matches!(std::env::var("BURN_DEVICE").as_deref(), Ok("wgpu" | "vulkan" | "metal" | "webgpu"))
}

/// A tracked matrix on the device under test; golden comparisons that follow are of its type.
pub fn tracked(values: Vec<f64>, shape: [usize; 2], dtype: DType) -> Tensor<2> {
    computed_in(dtype.size());
    Tensor::from_data(TensorData::new(values, shape), (&Device::default().autodiff(), dtype)).require_grad()
}

/// All values of a tensor.
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}
