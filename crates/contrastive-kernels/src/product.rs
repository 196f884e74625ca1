//! The product that carries a tile of pairs into the gradient of its columns: `out += alpha * tile^T rows`.
//!
//! A general matrix product reads such a tile down its columns, a new page with every row, which no hardware prefetcher
//! follows: 130 to 148 GF per CPU second on tiles that come from the third-level cache, where 205 is reached inside the
//! second. This one takes a few columns at a time, keeps their sums in registers, and asks for the columns after them
//! while it works: 155 to 170. (Two cores, AVX-512, 192 x 1024 tiles of a block of 50 MB, D = 128.)

use crate::memory::prefetch;
use crate::real::{Real, gemm};
use pulp::{Arch, Simd, WithSimd};

/// Rows that are summed before the sums are added to the output: their part of the right side (16 KiB in f32) stays in the
/// first-level cache. 64 and 96 do equally well, 192 is 20 % slower.
const DEPTH: usize = 64;
/// Columns of the tile whose sums are in registers at a time.
const COLUMNS: usize = 6;
/// Vectors of the right side beside them: 6 x 4 sums of the 32 registers of AVX-512 and NEON, 6 x 2 of 16.
const VECTORS: usize = 4;

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

/// The operands of [`add_transposed`]: `depth` rows of the tile, `stride` apart, and of the right side, `width` apart.
#[derive(Clone, Copy)]
struct Operands<T> {
    depth: usize,
    tile: *const T,
    stride: usize,
    right: *const T,
    out: *mut T,
    width: usize,
    alpha: T,
}

/// `C` columns of the tile with `V` vectors of the right side.
///
/// # Safety
/// The pointers are valid for `depth` rows of `C` elements (tile) and `V` vectors (right), and `out` for `C` rows of `V`
/// vectors that nothing else refers to.
#[inline(always)]
unsafe fn register_block<T: Lanes, S: Simd, const C: usize, const V: usize>(simd: S, at: Operands<T>) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let line = 64 / size_of::<T>();
    let mut sums = [[T::splat(simd, T::zero()); V]; C];
    for k in 0..at.depth {
        let (tile, right) = (at.tile.wrapping_add(k * at.stride), at.right.wrapping_add(k * at.width));
        prefetch(tile.wrapping_add(line));
        for v in 0..V {
            // SAFETY: the right side has V vectors in row k < depth.
            let b = unsafe { right.add(v * lanes).cast::<T::Vector<S>>().read_unaligned() };
            for c in 0..C {
                // SAFETY: the tile has C elements in row k < depth.
                let a = T::splat(simd, unsafe { *tile.add(c) });
                sums[c][v] = T::multiply_add(simd, a, b, sums[c][v]);
            }
        }
    }
    let alpha = T::splat(simd, at.alpha);
    for (c, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            let to = at.out.wrapping_add(c * at.width + v * lanes).cast::<T::Vector<S>>();
            // SAFETY: the output has C rows of V vectors, and nobody else's.
            unsafe { to.write_unaligned(T::multiply_add(simd, alpha, sum, to.read_unaligned())) };
        }
    }
}

/// The product cut into register blocks: [`DEPTH`] rows at a time, a few columns of them with all vectors of the right side.
struct Blocks<'a, T> {
    rows: usize,
    columns: usize,
    width: usize,
    out: &'a mut [T],
    tile: &'a [T],
    stride: usize,
    right: &'a [T],
    alpha: T,
}

impl<T: Lanes> Blocks<'_, T> {
    /// `C` columns from `j` on, rows from `k` on.
    #[inline(always)]
    fn columns<S: Simd, const C: usize>(&mut self, simd: S, [j, k]: [usize; 2]) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let out = self.out.as_mut_ptr();
        let operands = |at: usize| Operands {
            depth: DEPTH.min(self.rows - k),
            tile: self.tile.as_ptr().wrapping_add(k * self.stride + j),
            stride: self.stride,
            right: self.right.as_ptr().wrapping_add(k * self.width + at),
            out: out.wrapping_add(j * self.width + at),
            width: self.width,
            alpha: self.alpha,
        };
        let mut at = 0;
        while S::REGISTER_COUNT >= 32 && at + VECTORS * lanes <= self.width {
            // SAFETY: columns j..j + C are in the tile, and as many vectors from `at` on in the width; both were checked against
            // their slices by `add_transposed`. The output is borrowed mutably.
            unsafe { register_block::<T, S, C, VECTORS>(simd, operands(at)) };
            at += VECTORS * lanes;
        }
        while at + 2 * lanes <= self.width {
            // SAFETY: as above.
            unsafe { register_block::<T, S, C, 2>(simd, operands(at)) };
            at += 2 * lanes;
        }
        if at + lanes <= self.width {
            // SAFETY: as above.
            unsafe { register_block::<T, S, C, 1>(simd, operands(at)) };
        }
    }
}

impl<T: Lanes> WithSimd for Blocks<'_, T> {
    type Output = usize;
    /// How much of the width is done: whole vectors.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> usize {
        let whole = self.columns / COLUMNS * COLUMNS;
        for k in (0..self.rows).step_by(DEPTH) {
            for j in (0..whole).step_by(COLUMNS) {
                self.columns::<S, COLUMNS>(simd, [j, k]);
            }
            for j in whole..self.columns {
                self.columns::<S, 1>(simd, [j, k]);
            }
        }
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        self.width / lanes * lanes
    }
}

/// `out (c x d) += alpha * tile^T (c x r) * right (r x d)`, one thread; the rows of the tile are `stride` apart.
///
/// # Panics
/// When a slice is too short for its shape.
pub fn add_transposed<T: Lanes>(
    [c, d, r]: [usize; 3],
    out: &mut [T],
    tile: &[T],
    stride: usize,
    right: &[T],
    alpha: T,
) {
    if c == 0 || d == 0 || r == 0 {
        return;
    }
    assert!(c <= stride || r == 1, "transposed product: {c} columns of a tile with rows {stride} apart");
    assert!(out.len() >= c * d, "transposed product: output of {} for {c} x {d}", out.len());
    assert!(tile.len() >= (r - 1) * stride + c, "transposed product: tile of {} for {r} x {c}", tile.len());
    assert!(right.len() >= r * d, "transposed product: right side of {} for {r} x {d}", right.len());
    let out = &mut out[..c * d];
    let blocks = Blocks { rows: r, columns: c, width: d, out: &mut *out, tile, stride, right, alpha };
    let done = Arch::new().dispatch(blocks);
    if done < d {
        gemm([c, d - done, r], &mut out[done..], [d, 1], tile, [1, stride], &right[done..], [d, 1], T::one(), alpha);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close<T: Lanes>(shape @ [c, d, r]: [usize; 3], stride: usize) -> f64 {
        let value = |k: usize| T::of((((k * 7919 + 13) % 1009) as f64 / 504.5) - 1.0);
        let tile: Vec<T> = (0..r * stride).map(value).collect();
        let right: Vec<T> = (0..r * d).map(|k| value(k + 31)).collect();
        let before: Vec<T> = (0..c * d).map(|k| value(k + 77)).collect();
        let mut out = before.clone();
        add_transposed(shape, &mut out, &tile, stride, &right, T::of(-0.5));
        let exact = |j: usize, t: usize| -> f64 {
            let sum: f64 = (0..r).map(|k| tile[k * stride + j].f64() * right[k * d + t].f64()).sum();
            before[j * d + t].f64() - 0.5 * sum
        };
        (0..c * d).map(|k| (out[k].f64() - exact(k / d, k % d)).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn equals_the_sum_written_out_for_every_remainder() {
        for c in [1, 5, 6, 7, 13, 31] {
            for d in [1, 3, 8, 16, 17, 33, 64, 100, 131] {
                for r in [1, 2, 63, 64, 65, 130] {
                    let (single, double) = (close::<f32>([c, d, r], c + 3), close::<f64>([c, d, r], c));
                    assert!(single < 3e-5 && double < 1e-13, "{c} x {d} x {r}: {single:e}, {double:e}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "tile of 11 for 3 x 4")]
    fn a_short_tile_is_refused() {
        add_transposed([4, 2, 3], &mut [0.0; 8], &[0.0; 11], 4, &[0.0; 6], 1.0);
    }
}
