//! What the tests of this crate share.
#![allow(dead_code, unused_imports)]

/// Finite differences and tight identities need f64; without it there is nothing to run.
macro_rules! needs_f64 {
    () => {
        if !crate::common::has_f64() {
            println!("no f64 on this device; not compared");
            return;
        }
    };
}

pub mod digits;
#[path = "../../../../../tests/golden/mod.rs"]
mod golden;
pub mod numeric;

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;

pub use golden::*;

/// Shape of a golden tensor.
///
/// # Panics
/// When it is not a matrix.
pub fn matrix_shape(value: &Value) -> [usize; 2] {
    let shape: Vec<usize> = serde_json::from_value(value["shape"].clone()).expect("golden shape");
    shape.try_into().expect("golden matrix")
}

/// [`close`], with what is compared last.
pub fn assert_close(got: &[f64], want: &[f64], absolute: f64, relative: f64, what: &str) {
    close(what, got, want, absolute, relative);
}

/// The device under test: the CPU, or what `BURN_DEVICE` names.
pub fn device() -> Device {
    Device::default()
}

/// Does the device compute in f64?
pub fn has_f64() -> bool {
    !matches!(std::env::var("BURN_DEVICE").as_deref(), Ok("wgpu" | "vulkan" | "metal" | "webgpu"))
}

/// Is the device burn-ndarray's? It has no half precision, and its `erf`, and so GELU, rounds to f32.
pub fn on_ndarray() -> bool {
    std::env::var("BURN_DEVICE").as_deref() == Ok("ndarray")
}

/// Integers of a golden tensor.
pub fn integers(tensor: &Value) -> Vec<i64> {
    tensor["data"].as_array().expect("an array").iter().map(|v| v.as_i64().expect("an integer")).collect()
}

/// A golden matrix as a tracked tensor of the given type.
pub fn matrix(tensor: &Value, dtype: DType) -> Tensor<2> {
    let shape: Vec<usize> = tensor["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    tracked(numbers(tensor), [shape[0], shape[1]], dtype)
}

/// A tracked tensor; golden comparisons that follow are of its type.
pub fn tracked<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    computed_in(dtype.size());
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (&device().autodiff(), dtype)).require_grad()
}

/// All values of a tensor.
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}
