//! Products of tiles of pairs, near the rate of the machine's multiply-add units.
//!
//! All of them are one register block: a few numbers of the left side, each broadcast, times a line of the right side, summed
//! over a depth. How the operands lie decides the rest: a line of the right side must be next to the one before, so that the
//! first-level cache holds them all whatever the width of the tables. [`Panels`] keeps a tile of pairs so that every one of its
//! three products reads it that way.

mod block;
mod panels;
mod side;

pub(crate) use block::{Output, Products};
pub use panels::Panels;
pub(crate) use side::Side;

use crate::real::Real;
use pulp::Simd;

/// Vector operations of an element type.
pub trait Lanes: Real {
    /// As many elements as the instruction set takes at once.
    type Vector<S: Simd>: Copy;
    /// `x` in all lanes.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// `a * b + c`.
    fn multiply_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
}

impl Lanes for f32 {
    type Vector<S: Simd> = S::f32s;
    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: f32) -> S::f32s {
        simd.splat_f32s(x)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }
}

impl Lanes for f64 {
    type Vector<S: Simd> = S::f64s;
    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: f64) -> S::f64s {
        simd.splat_f64s(x)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(a, b, c)
    }
}

/// Elements of a vector.
const fn lanes<T: Lanes, S: Simd>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

/// Vectors of a line: two of the wide ones, whose latency the sums of a block then hide; four of 16 bytes and less.
const fn vectors<T: Lanes, S: Simd>() -> usize {
    if size_of::<T::Vector<S>>() >= 32 { 2 } else { 4 }
}

/// Elements of a line.
pub(crate) const fn line<T: Lanes, S: Simd>() -> usize {
    vectors::<T, S>() * lanes::<T, S>()
}

/// Most elements of a line: two vectors of 64 bytes.
pub(crate) const LONGEST: usize = 32;
