//! Rows of a dense table by index.

use crate::Real;
use rayon::prelude::*;

/// Elements that are worth a task of their own.
const TASK: usize = 1 << 14;

/// `out[k] = table[index[k]]`, rows of `width` elements.
///
/// # Panics
/// When `out` does not hold `index.len()` rows, `table` is not a whole number of rows, or an index is not below that number.
pub fn gather_rows<T: Real>(table: &[T], width: usize, index: &[u32], out: &mut [T]) {
    T::gather_rows(table, width, index, out)
}

pub(crate) fn gather_rows_generic<T: Real>(table: &[T], width: usize, index: &[u32], out: &mut [T]) {
    assert_eq!(out.len(), index.len() * width, "{} rows of width {width} into {} numbers", index.len(), out.len());
    if width == 0 || index.is_empty() {
        return;
    }
    let rows = table.len() / width;
    assert_eq!(table.len(), rows * width, "table of {} numbers for width {width}", table.len());
    let per = (TASK / width).max(1);
    out.par_chunks_mut(per * width).zip(index.par_chunks(per)).for_each(|(out, index)| {
        for (out, &row) in out.chunks_exact_mut(width).zip(index) {
            let row = row as usize;
            assert!(row < rows, "row {row} of a table of {rows} rows");
            out.copy_from_slice(&table[row * width..(row + 1) * width]);
        }
    });
}

/// `out[index[k]] += grad[k]` for every `k`, rows of `width` elements; `out` has `rows` rows and keeps what it held.
/// The adjoint of [`gather_rows`]. Every output row is summed in the order of `k`, whatever the number of threads.
///
/// # Panics
/// When `grad` does not hold `index.len()` rows, `out` does not hold `rows`, or an index is not below `rows`.
pub fn scatter_add_rows<T: Real>(grad: &[T], width: usize, index: &[u32], rows: usize, out: &mut [T]) {
    T::scatter_add_rows(grad, width, index, rows, out)
}

pub(crate) fn scatter_add_rows_generic<T: Real>(grad: &[T], width: usize, index: &[u32], rows: usize, out: &mut [T]) {
    assert_eq!(grad.len(), index.len() * width, "{} rows of width {width} from {} numbers", index.len(), grad.len());
    assert_eq!(out.len(), rows * width, "table of {} numbers for {rows} rows of width {width}", out.len());
    if let Some(row) = index.iter().find(|&&row| row as usize >= rows) {
        panic!("row {row} of a table of {rows} rows");
    }
    if width == 0 {
        return;
    }
    let add = |at: usize, sum: &mut [T]| {
        sum.iter_mut().zip(&grad[at * width..(at + 1) * width]).for_each(|(sum, &part)| *sum += part);
    };
    if index.len() * width <= TASK || rayon::current_num_threads() == 1 {
        for (at, &row) in index.iter().enumerate() {
            let start = row as usize * width;
            add(at, &mut out[start..start + width]);
        }
        return;
    }
    // Sorted by (row, position): each output row meets its parts in the order of `index`.
    let mut order: Vec<(u32, usize)> = index.iter().copied().zip(0..).collect();
    order.par_sort_unstable();
    let mut tasks = Vec::new();
    let (mut left, mut tail, mut passed) = (&order[..], out, 0usize);
    while !left.is_empty() {
        let mut count = (TASK / width).clamp(1, left.len());
        while count < left.len() && left[count].0 == left[count - 1].0 {
            count += 1;
        }
        let (now, later) = left.split_at(count);
        let end = now[count - 1].0 as usize + 1;
        let (head, rest) = tail.split_at_mut((end - passed) * width);
        tasks.push((passed, now, head));
        (left, tail, passed) = (later, rest, end);
    }
    tasks.into_par_iter().for_each(|(first, parts, out)| {
        for &(row, at) in parts {
            let start = (row as usize - first) * width;
            add(at, &mut out[start..start + width]);
        }
    });
}
