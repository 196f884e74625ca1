//! What the tests share.

#[path = "../../../../tests/golden/mod.rs"]
pub mod reference;

use contrastive_eval::ndarray::Array2;
use contrastive_kernels::Real;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// The cases of a golden file, to be compared with what is computed from `T`; none where there is no such file.
pub fn golden<T>(name: &str) -> Vec<Value> {
    let file = reference::golden(name);
    reference::computed_in(size_of::<T>());
    file.map_or(Vec::new(), |file| reference::cases(&file).to_vec())
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
    let [absolute, relative] = if want.abs() < 1.0 { [tolerance, 0.0] } else { [0.0, tolerance] };
    reference::close(what, &[got], &[want], absolute, relative);
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
