//! Worlds that are small enough to be solved exactly, so that a method is measured against the truth.

pub mod grid;
mod lock;
mod tabular;

pub use lock::{LockGame, LockMdp, LockSettings};
pub use tabular::{Policy, Tables, TabularWorld, ZeroSumWorld, draw};

/// A number of contents: two data sets of one size are told apart by it (FNV-1a over the bits).
pub(crate) fn digest(values: impl Iterator<Item = f64>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in values.flat_map(|x| x.to_bits().to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{hash:016x}")
}
