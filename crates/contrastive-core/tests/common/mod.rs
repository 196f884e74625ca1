//! What several test files need.
#![allow(dead_code)]

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;
use std::path::PathBuf;

/// The reference values `golden/{name}.json`, or `None` (said aloud) where the folder is absent.
///
/// # Panics
/// When `CONTRASTIVE_REQUIRE_SHARED=1` and the file is missing.
pub fn golden(name: &str) -> Option<Value> {
    let root = std::env::var_os("CONTRASTIVE_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let path = root.join("golden").join(format!("{name}.json"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("golden files are JSON")),
        Err(error) => {
            assert!(std::env::var("CONTRASTIVE_REQUIRE_SHARED").is_err(), "{}: {error}", path.display());
            eprintln!("skipped: no reference values at {}", path.display());
            None
        }
    }
}

/// The device under test: the CPU, or what `BURN_DEVICE` names.
pub fn device() -> Device {
    Device::default()
}

/// Does the device compute in f64?
pub fn has_f64() -> bool {
    !matches!(std::env::var("BURN_DEVICE").as_deref(), Ok("wgpu" | "vulkan" | "metal" | "webgpu"))
}

/// Row-major numbers of a golden tensor.
pub fn numbers(tensor: &Value) -> Vec<f64> {
    let number = |v: &Value| match v.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => v.as_f64().expect("a number"),
    };
    match &tensor["data"] {
        Value::Array(all) => all.iter().map(number).collect(),
        one => vec![number(one)],
    }
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

/// A tracked tensor.
pub fn tracked<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (&device().autodiff(), dtype)).require_grad()
}

/// All values of a tensor.
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

/// Fails unless every value is within `absolute + relative * |expected|`.
pub fn close(what: &str, got: &[f64], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let error = (g - e).abs();
        assert!(error <= absolute + relative * e.abs(), "{what}[{i}]: {g} instead of {e} (off by {error:e})");
    }
}
