//! What the tests of this crate share.
#![allow(dead_code)]

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;
use std::path::PathBuf;

/// The shared folder, or `None` (said aloud) where it is absent.
///
/// # Panics
/// When it is absent and `CONTRASTIVE_REQUIRE_SHARED=1`.
pub fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("CONTRASTIVE_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var("CONTRASTIVE_REQUIRE_SHARED").is_err(), "{} is missing", root.display());
    eprintln!("skipped: no {}", root.display());
    None
}

/// A golden file.
pub fn golden(name: &str) -> Option<Value> {
    let text =
        std::fs::read_to_string(shared()?.join("golden").join(name).with_extension("json")).expect("a golden file");
    Some(serde_json::from_str(&text).expect("golden files are JSON"))
}

/// Numbers of a golden tensor.
pub fn numbers(tensor: &Value) -> Vec<f64> {
    tensor["data"].as_array().expect("a tensor").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Does the device compute in f64?
pub fn has_f64() -> bool {
    !matches!(std::env::var("BURN_DEVICE").as_deref(), Ok("wgpu" | "vulkan" | "metal" | "webgpu"))
}

/// A tracked matrix on the device under test.
pub fn tracked(values: Vec<f64>, shape: [usize; 2], dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::default().autodiff(), dtype)).require_grad()
}

/// All values of a tensor.
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

/// Fails unless every value is within `absolute + relative * |expected|`.
pub fn close(what: &str, got: &[f64], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= absolute + relative * e.abs(), "{what}[{i}]: {g} instead of {e}");
    }
}
