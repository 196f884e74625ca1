//! The register block, and the products that are made of it.

use super::{LONGEST, Lanes, lanes, line, vectors};
use pulp::{Simd, WithSimd};

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

/// What a product writes to, which may be the columns of one task in a table of several.
pub(crate) struct Output<'a, T> {
    start: *mut T,
    len: usize,
    borrowed: std::marker::PhantomData<&'a mut [T]>,
}

impl<'a, T> From<&'a mut [T]> for Output<'a, T> {
    fn from(out: &'a mut [T]) -> Self {
        Self { start: out.as_mut_ptr(), len: out.len(), borrowed: std::marker::PhantomData }
    }
}

impl<T> Output<'_, T> {
    /// # Safety
    /// Of the `len` elements from `start`, those that the product writes are valid, and nobody else's.
    pub unsafe fn new(start: *mut T, len: usize) -> Self {
        Self { start, len, borrowed: std::marker::PhantomData }
    }
}

/// `out[row] (+)= sum over blocks and depth of left(block, depth, row) * right[block][depth]`, lines of `out` being `step` apart.
pub(crate) struct Products<'a, T, const DOWN: bool> {
    pub rows: usize,
    pub depth: usize,
    pub blocks: usize,
    pub left: &'a [T],
    /// As of the register block, and from one block of depths to the next.
    pub left_step: usize,
    pub block_step: usize,
    /// The lines of all depths of all blocks, one after the other.
    pub right: &'a [T],
    pub out: Output<'a, T>,
    pub step: usize,
    /// Elements of a line that the output has.
    pub width: usize,
    /// Factor of what is added; what is there is overwritten without.
    pub alpha: Option<T>,
}

impl<T: Lanes, const DOWN: bool> Products<'_, T, DOWN> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let line = line::<T, S>();
        let [down, across] = if DOWN { [self.left_step, 1] } else { [1, self.left_step] };
        let apart = self.block_step;
        let furthest = (self.blocks - 1) * apart + (self.depth - 1) * down + (self.rows - 1) * across;
        assert!(self.left.len() > furthest, "left side of {} for {} x {}", self.left.len(), self.rows, self.depth);
        assert!(self.right.len() >= self.blocks * self.depth * line, "right side of {} lines", self.right.len() / line);
        assert!(self.width <= V * lanes::<T, S>() && V * lanes::<T, S>() <= line, "{} of a line of {line}", self.width);
        assert!(self.out.len >= (self.rows - 1) * self.step + self.width, "output of {}", self.out.len);
        let alpha = self.alpha;
        let (left, right, out) = (self.left.as_ptr(), self.right.as_ptr(), self.out.start);
        let mut whole = [T::zero(); 12 * LONGEST];
        let mut row = 0;
        while row < self.rows {
            let rows = next(self.rows - row, most_rows::<S, V>());
            macro_rules! block {
                ($c:literal) => {{
                    let mut sums = [[T::splat(simd, T::zero()); V]; $c];
                    for b in 0..self.blocks {
                        let at = Operands {
                            left: left.wrapping_add(b * apart + row * across),
                            left_step: self.left_step,
                            right: right.wrapping_add(b * self.depth * line),
                            right_step: line,
                        };
                        // SAFETY: the slices hold these rows of all depths of all blocks, as asserted.
                        sums = unsafe { accumulate::<T, S, DOWN, $c, V>(simd, sums, self.depth, at) };
                    }
                    if self.width == line {
                        let to = out.wrapping_add(row * self.step);
                        // SAFETY: the output, the caller's alone, holds these rows, as asserted.
                        unsafe { put::<T, S, $c, V>(simd, sums, to, self.step, alpha) };
                    } else {
                        // SAFETY: the array has room for `V` vectors of 12 lines.
                        unsafe { put::<T, S, $c, V>(simd, sums, whole.as_mut_ptr(), line, None) };
                        for c in 0..$c {
                            for (l, &sum) in whole[c * line..][..self.width].iter().enumerate() {
                                let to = out.wrapping_add((row + c) * self.step + l);
                                // SAFETY: the output, the caller's alone, holds the width of these rows, as asserted.
                                unsafe { *to = alpha.map_or(sum, |alpha| alpha.mul_add(sum, *to)) };
                            }
                        }
                    }
                }};
            }
            with_rows!(rows, block);
            row += rows;
        }
    }
}

impl<T: Lanes, const DOWN: bool> WithSimd for Products<'_, T, DOWN> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.rows == 0 || self.depth == 0 || self.blocks == 0 {
            return;
        }
        // of the last line of a width, which may be a few elements, only the vectors that it has
        match self.width.div_ceil(lanes::<T, S>()) {
            1 => self.run::<S, 1>(simd),
            2 => self.run::<S, 2>(simd),
            _ if vectors::<T, S>() == 2 => panic!("{} elements of a line of two vectors", self.width),
            _ => self.run::<S, 4>(simd),
        }
    }
}

/// Most numbers of the left side in a block of `V` vectors: 12 if their sums, a line of the right side and one number stay in the registers.
const fn most_rows<S: Simd, const V: usize>() -> usize {
    if 12 * V + V < S::REGISTER_COUNT { 12 } else { 6 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_number_of_rows() {
        for most in [6, 12] {
            for all in 1..100 {
                let mut left = all;
                while left > 0 {
                    let rows = next(left, most);
                    assert!(rows >= 1 && rows <= left && (rows <= 6 || rows == 12), "{rows} of {left}");
                    left -= rows;
                }
            }
        }
    }
}
