//! Products of tiles of pairs, near the rate of the machine's multiply-add units.
//!
//! All of them are one register block: a few numbers of the left side, each broadcast, times a line of the right side, summed
//! over a depth. How the operands lie decides the rest: a line of the right side must be next to the one before, so that the
//! first-level cache holds them all whatever the width of the tables. [`Panels`] keeps a tile of pairs so that every one of its
//! three products reads it that way.

mod panels;

pub(crate) use panels::LONGEST;
pub use panels::Panels;

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
const fn line<T: Lanes, S: Simd>() -> usize {
    vectors::<T, S>() * lanes::<T, S>()
}

/// Most numbers of the left side in a block of `V` vectors: 6 whole lines of sums fill 16 registers (or, of four vectors, 32), 12 of two
/// vectors 32; of part of a line 12.
const fn most_rows<T: Lanes, S: Simd, const V: usize>() -> usize {
    let part = V < vectors::<T, S>();
    if part || (S::REGISTER_COUNT >= 32 && V == 2) { 12 } else { 6 }
}

/// How many of `left` rows the next block takes: no block of one or two where it can be helped.
#[inline(always)]
fn next(left: usize, most: usize) -> usize {
    match left {
        0..=6 => left,
        7..=11 => left.div_ceil(2),
        _ => most,
    }
}

/// Where a block's operands lie.
#[derive(Clone, Copy)]
struct Operands<T> {
    left: *const T,
    /// From one row of the block to the next, the depths being next to each other; with `DOWN` from one depth to the next,
    /// the rows being next to each other.
    left_step: usize,
    right: *const T,
    /// From one line to the next.
    right_step: usize,
}

/// Sums of `C` rows of `V` vectors: `sums[c] + sum_k left(k, c) * right[k]`.
///
/// The sums are passed by value, here and in [`put`]: with an address they would not stay in registers.
///
/// # Safety
/// `left` is valid for `depth` steps of `C` elements, `right` for `depth` lines of `V` vectors.
#[inline(always)]
unsafe fn accumulate<T: Lanes, S: Simd, const DOWN: bool, const C: usize, const V: usize>(
    simd: S,
    mut sums: [[T::Vector<S>; V]; C],
    depth: usize,
    at: Operands<T>,
) -> [[T::Vector<S>; V]; C] {
    // one of both steps is known when compiled, or their addresses take as many instructions as the sums
    let [down, across] = if DOWN { [at.left_step, 1] } else { [1, at.left_step] };
    for k in 0..depth {
        let (left, right) = (at.left.wrapping_add(k * down), at.right.wrapping_add(k * at.right_step));
        let mut b = [T::splat(simd, T::zero()); V];
        for v in 0..V {
            // SAFETY: line k < depth of the right side has V vectors.
            b[v] = unsafe { right.add(v * lanes::<T, S>()).cast::<T::Vector<S>>().read_unaligned() };
        }
        // each number of the left side is loaded once: with the vectors outside it is half as fast where there are 16 registers
        for c in 0..C {
            // SAFETY: the left side has C elements at depth k.
            let a = T::splat(simd, unsafe { *left.add(c * across) });
            for v in 0..V {
                sums[c][v] = T::multiply_add(simd, a, b[v], sums[c][v]);
            }
        }
    }
    sums
}

/// Writes (or adds `alpha` times) the sums to lines `step` apart.
///
/// # Safety
/// `out` is valid for `C` lines of `V` vectors, and nothing else refers to them.
#[inline(always)]
unsafe fn put<T: Lanes, S: Simd, const C: usize, const V: usize>(
    simd: S,
    sums: [[T::Vector<S>; V]; C],
    out: *mut T,
    step: usize,
    alpha: Option<T>,
) {
    for c in 0..C {
        for v in 0..V {
            let to = out.wrapping_add(c * step + v * lanes::<T, S>()).cast::<T::Vector<S>>();
            // SAFETY: the output has V vectors in line c, and they are the caller's alone.
            unsafe {
                match alpha {
                    Some(alpha) => {
                        let alpha = T::splat(simd, alpha);
                        to.write_unaligned(T::multiply_add(simd, alpha, sums[c][v], to.read_unaligned()));
                    }
                    None => to.write_unaligned(sums[c][v]),
                }
            }
        }
    }
}

/// Calls `$run!(C)` with the number of rows as a literal.
macro_rules! with_rows {
    ($rows:expr, $run:ident) => {
        match $rows {
            1 => $run!(1),
            2 => $run!(2),
            3 => $run!(3),
            4 => $run!(4),
            5 => $run!(5),
            6 => $run!(6),
            _ => $run!(12),
        }
    };
}
use with_rows;
