//! What methods share.

use ndarray::{Array3, ArrayView3, Axis};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A random order of `0..n` (Fisher and Yates).
pub(super) fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, rng);
    order
}

pub(super) fn shuffle<T>(list: &mut [T], rng: &mut ChaCha8Rng) {
    for k in (1..list.len()).rev() {
        list.swap(k, rng.random_range(0..=k));
    }
}

/// Size and digest (FNV) of the data, so that a checkpoint of other data is refused.
pub(super) fn identity(values: ArrayView3<'_, f32>) -> serde_json::Value {
    let mut digest = 0xcbf2_9ce4_8422_2325u64;
    for value in &values {
        digest = (digest ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3);
    }
    let (n, t, f) = values.dim();
    serde_json::json!({ "series": n, "length": t, "channels": f, "digest": format!("{digest:016x}") })
}

pub(super) fn rows(values: &Array3<f32>, rows: &[usize]) -> Array3<f32> {
    values.select(Axis(0), rows)
}
