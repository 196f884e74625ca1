//! What the tests share.

use contrastive_eval::ndarray::Array2;
use contrastive_kernels::Real;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::path::PathBuf;

/// The cases of a golden file, from `$CONTRASTIVE_SHARED/golden` or `../shared/golden` beside the workspace; none, with a line saying so,
/// where there is no such file, unless `CONTRASTIVE_REQUIRE_SHARED=1`.
pub fn golden(name: &str) -> Vec<Value> {
    let shared = std::env::var_os("CONTRASTIVE_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let path = shared.join("golden").join(name).with_extension("json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let required = std::env::var("CONTRASTIVE_REQUIRE_SHARED").is_ok_and(|v| v == "1");
            assert!(!required, "{}: {error}", path.display());
            println!("{}: {error}; golden values not compared", path.display());
            return Vec::new();
        }
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name} has no cases");
    cases
}

/// Numbers of a golden tensor.
pub fn numbers<T: Real>(tensor: &Value) -> Vec<T> {
    tensor["data"].as_array().expect("data").iter().map(|v| T::of(v.as_f64().expect("a number"))).collect()
}

/// Integers of a golden tensor.
pub fn integers(tensor: &Value) -> Vec<u32> {
    tensor["data"].as_array().expect("data").iter().map(|v| v.as_u64().expect("an integer") as u32).collect()
}

/// A golden matrix; a list is one column.
pub fn matrix<T: Real>(tensor: &Value) -> Array2<T> {
    let size = |at: usize| tensor["shape"][at].as_u64().map(|size| size as usize);
    Array2::from_shape_vec((size(0).expect("rows"), size(1).unwrap_or(1)), numbers(tensor)).expect("a whole matrix")
}

/// Fails unless the two are within `tolerance`, absolute below 1 and relative above.
#[track_caller]
pub fn close(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{what}: {got} instead of {want}");
}

/// [`close`] for each pair.
#[track_caller]
pub fn all_close<'a>(
    what: &str,
    got: impl IntoIterator<Item = &'a f64>,
    want: impl IntoIterator<Item = &'a f64>,
    tolerance: f64,
) {
    let (got, want): (Vec<_>, Vec<_>) = (got.into_iter().collect(), want.into_iter().collect());
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    got.iter().zip(want).for_each(|(got, want)| close(what, **got, *want, tolerance));
}

/// Random input.
pub struct Random(pub ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// About normal: a sum of uniform numbers.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.0.random::<f64>()).sum::<f64>() - 6.0
    }

    pub fn table<T: Real>(&mut self, rows: usize, columns: usize) -> Array2<T> {
        Array2::from_shape_simple_fn((rows, columns), || T::of(self.normal()))
    }

    pub fn labels(&mut self, rows: usize, classes: usize) -> Vec<u32> {
        (0..rows).map(|_| self.below(classes) as u32).collect()
    }

    /// Rows about one centre for each class, and their labels; `noise` over the distance of centres.
    pub fn blobs<T: Real>(&mut self, rows: usize, width: usize, classes: usize, noise: f64) -> (Array2<T>, Vec<u32>) {
        let centres = self.table::<f64>(classes, width);
        let labels: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
        let x = Array2::from_shape_fn((rows, width), |(row, column)| {
            T::of(centres[[row % classes, column]] + noise * self.normal())
        });
        (x, labels)
    }
}

/// Runs `f` with each of these numbers of threads; the results must be equal.
pub fn same_on_all_threads<R: PartialEq + std::fmt::Debug + Send>(f: impl Fn() -> R + Sync) -> R {
    let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&f);
    let one = on(1);
    assert_eq!(one, on(3));
    one
}
