//! Golden values for the tests of every crate: where they lie, how they are compared, and a report of what was compared.
#![allow(dead_code)]

use serde_json::Value;
use std::cell::RefCell;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// The folder of golden values and data sets: `$CONTRASTIVE_SHARED`, or `../shared` beside the workspace. `None`, with a line
/// saying so, where there is none.
///
/// # Panics
/// When there is none and `CONTRASTIVE_REQUIRE_SHARED=1`.
pub fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("CONTRASTIVE_SHARED").map(PathBuf::from);
    present(root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared")))
}

/// The path, or what [`shared`] does without it.
pub fn present(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("CONTRASTIVE_REQUIRE_SHARED").is_ok_and(|v| v == "1");
    assert!(!required, "{} is required and absent", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

/// The golden file `name` (`"svd"` or `"svd.json"`). From here on this test's comparisons are reported as the file's, in f64
/// unless [`computed_in`] says otherwise.
///
/// # Panics
/// When it is required and absent (see [`shared`]), or not JSON.
pub fn golden(name: &str) -> Option<Value> {
    let path = present(shared()?.join("golden").join(name).with_extension("json"))?;
    COMPARED.set((name.trim_end_matches(".json").to_string(), size_of::<f64>()));
    let read = || -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_str(&std::fs::read_to_string(&path)?)?) };
    Some(read().unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

thread_local! {
    /// The golden file this test has read, and the bytes of the numbers it computes with.
    static COMPARED: RefCell<(String, usize)> = const { RefCell::new((String::new(), 0)) };
}

/// The numbers of the comparisons that follow have this many bytes.
pub fn computed_in(bytes: usize) {
    COMPARED.with_borrow_mut(|compared| compared.1 = bytes);
}

/// Adds a comparison of values (got, wanted, allowed difference) to the file `$CONTRASTIVE_GOLDEN_REPORT`, of which
/// `golden_table` makes a table: golden file, crate, bits, largest error (of the larger of 1 and the value), its part of what is
/// allowed, and the tolerance, absolute and relative.
pub fn record([absolute, relative]: [f64; 2], compared: impl Iterator<Item = [f64; 3]>) {
    let Some(path) = std::env::var_os("CONTRASTIVE_GOLDEN_REPORT") else { return };
    let (file, bytes) = COMPARED.with_borrow(Clone::clone);
    if file.is_empty() {
        return;
    }
    let (mut worst, mut part) = (0f64, 0f64);
    for [got, want, allowed] in compared.filter(|[got, want, _]| got != want) {
        worst = worst.max((got - want).abs() / want.abs().max(1.0));
        part = part.max((got - want).abs() / allowed);
    }
    let (package, bits) = (env!("CARGO_PKG_NAME"), 8 * bytes);
    let line = format!("{file} {package} {bits} {worst:e} {part:e} {absolute:e} {relative:e}\n");
    let mut report = OpenOptions::new().create(true).append(true).open(path).expect("the report of golden comparisons");
    report.write_all(line.as_bytes()).expect("the report of golden comparisons");
}

/// Fails unless every value is within `absolute + relative * |expected|`.
#[track_caller]
pub fn close(what: &str, got: &[f64], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    let compared = || got.iter().zip(expected).map(|(&got, &want)| [got, want, absolute + relative * want.abs()]);
    record([absolute, relative], compared());
    for (at, [got, want, allowed]) in compared().enumerate() {
        let error = (got - want).abs();
        assert!(error <= allowed, "{what}[{at}]: {got:e} instead of {want:e} (off by {error:e})");
    }
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
