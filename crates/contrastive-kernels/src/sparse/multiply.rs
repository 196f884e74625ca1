//! Sparse times dense.
//!
//! `out = A x` with `nnz` entries and width `w` reads `nnz` rows of `x` in an order given by the graph and writes every
//! output row once: it is bound by memory traffic, not by its `2 nnz w` flops. So the sums of a row stay in registers, 64
//! columns at a time, and the rows that come next are asked for ahead of time.

use super::{Csr, Entry};
use crate::{Real, memory};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Entries of a row above which it is cut in segments that threads share. The cut is the same for any number of threads.
const SEGMENT: usize = 1 << 15;
/// Entries ahead of the current one whose row of `x` is asked for.
const AHEAD: usize = 8;
/// Multiply-adds that are worth a task of their own.
const TASK: usize = 1 << 15;

impl<T: Real> Csr<T> {
    /// `out = A x`: `x` is `cols x width`, `out` is `rows x width`, both row-major; old contents of `out` are overwritten.
    ///
    /// # Panics
    /// When `x` or `out` does not have that size.
    pub fn multiply(&self, x: &[T], width: usize, out: &mut [T]) {
        T::csr_propagate(self, x, width, None, out);
    }

    /// `out = base + A x`: `x` is `cols x width`, `base` and `out` are `rows x width`, all row-major; old contents of `out`
    /// are overwritten.
    ///
    /// # Panics
    /// When `x`, `base` or `out` does not have that size.
    pub fn multiply_add(&self, x: &[T], width: usize, base: &[T], out: &mut [T]) {
        T::csr_propagate(self, x, width, Some(base), out);
    }

    pub(crate) fn propagate_generic(&self, x: &[T], width: usize, base: Option<&[T]>, out: &mut [T]) {
        let (rows, cols) = (self.rows(), self.cols());
        assert_eq!(x.len(), cols * width, "{rows} x {cols} matrix times {} numbers of width {width}", x.len());
        assert_eq!(out.len(), rows * width, "{rows} x {cols} matrix into {} numbers of width {width}", out.len());
        if let Some(base) = base {
            assert_eq!(base.len(), rows * width, "{} numbers plus {rows} x {cols} matrix of width {width}", base.len());
        }
        if width == 0 || rows == 0 {
            return;
        }
        let cuts = self.cuts(width);
        let mut rest = &mut *out;
        let mut tasks = Vec::with_capacity(cuts.len());
        for pair in cuts.windows(2) {
            let (head, tail) = rest.split_at_mut((pair[1] - pair[0]) * width);
            tasks.push(Rows { matrix: self, x, width, base, first: pair[0], out: head });
            rest = tail;
        }
        if tasks.len() == 1 {
            tasks.into_iter().for_each(|task| Arch::new().dispatch(task));
        } else {
            tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task));
        }
        for row in (0..rows).filter(|&row| self.row(row).0.len() > SEGMENT) {
            let at = row * width..(row + 1) * width;
            self.long_row(row, x, width, base.map(|base| &base[at.clone()]), &mut out[at.clone()]);
        }
    }

    /// One row with more than [`SEGMENT`] entries: segments in parallel, then their sum in order.
    fn long_row(&self, row: usize, x: &[T], width: usize, base: Option<&[T]>, out: &mut [T]) {
        let (start, end) = (self.indptr()[row], self.indptr()[row + 1]);
        let mut partial = vec![T::zero(); (end - start).div_ceil(SEGMENT) * width];
        partial.par_chunks_mut(width).enumerate().for_each(|(k, out)| {
            let first = start + k * SEGMENT;
            let range = [first, (first + SEGMENT).min(end)];
            Arch::new().dispatch(Segment { matrix: self, x, width, range, out });
        });
        match base {
            Some(base) => out.copy_from_slice(base),
            None => out.fill(T::zero()),
        }
        for segment in partial.chunks(width) {
            out.iter_mut().zip(segment).for_each(|(sum, &part)| *sum += part);
        }
    }
}

impl<T: Entry> Csr<T> {
    /// Boundaries of row ranges of about equal work, where a row costs its entries and one more for writing it.
    pub(super) fn cuts(&self, width: usize) -> Vec<usize> {
        let (rows, indptr) = (self.rows(), self.indptr());
        let work = self.nnz() + rows;
        let tasks = (work * width / TASK).clamp(1, 16 * rayon::current_num_threads());
        let mut cuts = vec![0];
        for task in 1..tasks {
            let target = work * task / tasks;
            let (mut low, mut high) = (cuts[cuts.len() - 1], rows);
            while low < high {
                let middle = low.midpoint(high);
                if indptr[middle] + middle < target { low = middle + 1 } else { high = middle }
            }
            if low > cuts[cuts.len() - 1] && low < rows {
                cuts.push(low);
            }
        }
        cuts.push(rows);
        cuts
    }
}

/// Consecutive rows of the product, long rows left out.
struct Rows<'a, T> {
    matrix: &'a Csr<T>,
    x: &'a [T],
    width: usize,
    base: Option<&'a [T]>,
    first: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Rows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { matrix, x, width, base, first, out } = self;
        for (k, out) in out.chunks_exact_mut(width).enumerate() {
            let row = first + k;
            let range = [matrix.indptr()[row], matrix.indptr()[row + 1]];
            if range[1] - range[0] <= SEGMENT {
                let base = base.map(|base| &base[row * width..(row + 1) * width]);
                sum_entries(matrix, x, width, range, base, out);
            }
        }
    }
}

/// The sum over a range of entries of one row.
struct Segment<'a, T> {
    matrix: &'a Csr<T>,
    x: &'a [T],
    width: usize,
    range: [usize; 2],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Segment<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        sum_entries(self.matrix, self.x, self.width, self.range, None, self.out);
    }
}

/// `out = base + sum over entries of value * x[column]`, in blocks of 64 columns and then of halves of that.
#[inline(always)]
fn sum_entries<T: Real>(matrix: &Csr<T>, x: &[T], width: usize, range: [usize; 2], base: Option<&[T]>, out: &mut [T]) {
    let mut column = 0;
    while width - column >= 64 {
        sum_block::<T, 64>(matrix, x, width, range, base, out, column);
        column += 64;
    }
    let rest = width - column;
    if rest & 32 != 0 {
        sum_block::<T, 32>(matrix, x, width, range, base, out, column);
        column += 32;
    }
    if rest & 16 != 0 {
        sum_block::<T, 16>(matrix, x, width, range, base, out, column);
        column += 16;
    }
    if rest & 8 != 0 {
        sum_block::<T, 8>(matrix, x, width, range, base, out, column);
        column += 8;
    }
    if rest & 4 != 0 {
        sum_block::<T, 4>(matrix, x, width, range, base, out, column);
        column += 4;
    }
    if rest & 2 != 0 {
        sum_block::<T, 2>(matrix, x, width, range, base, out, column);
        column += 2;
    }
    if rest & 1 != 0 {
        sum_block::<T, 1>(matrix, x, width, range, base, out, column);
    }
}

/// `D` columns from `column` on, their sums in registers.
#[inline(always)]
fn sum_block<T: Real, const D: usize>(
    matrix: &Csr<T>,
    x: &[T],
    width: usize,
    [start, end]: [usize; 2],
    base: Option<&[T]>,
    out: &mut [T],
    column: usize,
) {
    let (indices, values) = (matrix.indices(), matrix.values());
    let mut sums = match base {
        Some(base) => block::<T, D>(base, column),
        None => [T::zero(); D],
    };
    let (coming, now) = (&indices[(start + AHEAD).min(indices.len())..], &indices[start..end]);
    for (k, (&row, &value)) in now.iter().zip(&values[start..end]).enumerate() {
        if let Some(&next) = coming.get(k) {
            prefetch::<T, D>(x, next as usize * width + column);
        }
        let entry = block::<T, D>(x, row as usize * width + column);
        for d in 0..D {
            sums[d] = entry[d].mul_add(value, sums[d]);
        }
    }
    out[column..column + D].copy_from_slice(&sums);
}

#[inline(always)]
fn block<T: Real, const D: usize>(x: &[T], at: usize) -> [T; D] {
    *x[at..].first_chunk().expect("a block within the row")
}

/// Asks for `D` elements at `at`; a hint that changes no result.
#[inline(always)]
fn prefetch<T, const D: usize>(x: &[T], at: usize) {
    let start = x.as_ptr().wrapping_add(at);
    for element in (0..D).step_by(64 / size_of::<T>()) {
        memory::prefetch(start.wrapping_add(element));
    }
}
