//! What the tests of this crate share.
#![allow(dead_code)]

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;
use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// The golden file `name` (`"svd.json"`), from `$CONTRASTIVE_SHARED/golden` or `../shared/golden` beside the workspace.
/// `None`, with a line saying so, where there is none.
///
/// # Panics
/// When there is none and `CONTRASTIVE_REQUIRE_SHARED=1`, or when it is not JSON.
pub fn golden(name: &str) -> Option<Value> {
    let shared = match std::env::var_os("CONTRASTIVE_SHARED") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = shared.join("golden").join(name).with_extension("json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let required = std::env::var("CONTRASTIVE_REQUIRE_SHARED").is_ok_and(|v| v == "1");
            assert!(!required, "{}: {error}", path.display());
            println!("{}: {error}; golden values not compared", path.display());
            return None;
        }
    };
    FILE.set(name.trim_end_matches(".json").to_string());
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

thread_local! {
    /// The golden file this test reads.
    static FILE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Adds a comparison to the file `$CONTRASTIVE_GOLDEN_REPORT`, of which `golden_table` makes a table: golden file, type, and the
/// largest error as a part of what is allowed and as such. Numbers that may be off by 1e-7 and more are f32.
fn record(absolute: f64, relative: f64, pairs: impl Iterator<Item = (f64, f64)>) {
    let Some(path) = std::env::var_os("CONTRASTIVE_GOLDEN_REPORT") else { return };
    let file = FILE.with_borrow(String::clone);
    if file.is_empty() {
        return;
    }
    let kind = if absolute.max(relative) < 1e-7 { "f64" } else { "f32" };
    let (mut worst, mut part) = (0f64, 0f64);
    for (got, want) in pairs.filter(|(got, want)| got != want) {
        worst = worst.max((got - want).abs() / want.abs().max(1.0));
        part = part.max((got - want).abs() / (absolute + relative * want.abs()));
    }
    let line = format!("{file} {kind} {worst:e} {part:e}\n");
    let mut report = OpenOptions::new().create(true).append(true).open(path).expect("the report of golden comparisons");
    report.write_all(line.as_bytes()).expect("the report of golden comparisons");
}

/// The cases of a golden file.
///
/// # Panics
/// When there are none.
pub fn cases(file: &Value) -> &[Value] {
    let cases = file["cases"].as_array().expect("golden cases");
    assert!(!cases.is_empty(), "golden file without cases");
    cases
}

/// Numbers of a golden tensor or list; `"nan"`, `"inf"` and `"-inf"` stand for those.
///
/// # Panics
/// When it holds anything else.
pub fn numbers(value: &Value) -> Vec<f64> {
    let scalar = [value["data"].clone()];
    let list = value["data"].as_array().or(value.as_array()).map_or(&scalar[..], Vec::as_slice);
    let number = |v: &Value| match v.as_str() {
        Some(word) => word.parse().unwrap_or_else(|_| panic!("no golden number: {v}")),
        None => v.as_f64().unwrap_or_else(|| panic!("no golden number: {v}")),
    };
    list.iter().map(number).collect()
}

/// Shape of a golden tensor.
///
/// # Panics
/// When it is not a matrix.
pub fn matrix_shape(value: &Value) -> [usize; 2] {
    let shape: Vec<usize> = serde_json::from_value(value["shape"].clone()).expect("golden shape");
    shape.try_into().expect("golden matrix")
}

/// Panics unless every `got` is within `absolute + relative * |want|` of `want`.
pub fn assert_close(got: &[f64], want: &[f64], absolute: f64, relative: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    record(absolute, relative, got.iter().copied().zip(want.iter().copied()));
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= absolute + relative * w.abs(), "{what}: at {k} {g:e} instead of {w:e}");
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
    record(absolute, relative, got.iter().copied().zip(expected.iter().copied()));
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let error = (g - e).abs();
        assert!(error <= absolute + relative * e.abs(), "{what}[{i}]: {g} instead of {e} (off by {error:e})");
    }
}
