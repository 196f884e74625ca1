//! Large arrays of the kernels, and what is asked of the machine for them.

use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Zeros, written by all threads at once. Memory that the allocator promises to be zero is either written by the calling thread, while all
/// others wait (3 % of the time of a loss at N = 4,096), or mapped by its first reader and once more by its first writer,
/// which interrupts every other thread (8 % at N = 16,384).
pub(crate) fn zeros<T: Real>(len: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    let room = &mut all.spare_capacity_mut()[..len];
    in_huge_pages(room);
    room.par_chunks_mut(1 << 14).for_each(|part| part.fill(MaybeUninit::new(T::zero())));
    // SAFETY: the capacity is at least `len`, and so many elements were written.
    unsafe { all.set_len(len) };
    all
}

/// Rows for one task: a few thousand numbers, enough to pay for the task.
pub(crate) fn rows_of_task(width: usize) -> usize {
    ((1 << 14) / width.max(1)).max(1)
}

/// A table `[rows, width]`, written once, by all threads, and a number for each row: `of_row` has the row's number and what gives its
/// elements.
pub(crate) fn map_rows<T: Real, G: Fn(usize) -> T>(
    [rows, width]: [usize; 2],
    of_row: impl Fn(usize) -> (T, G) + Sync,
) -> (Vec<T>, Vec<T>) {
    if width == 0 {
        return (Vec::new(), (0..rows).map(|i| of_row(i).0).collect());
    }
    let mut all = Vec::with_capacity(rows * width);
    let room = &mut all.spare_capacity_mut()[..rows * width];
    in_huge_pages(room);
    let each = room.par_chunks_exact_mut(width).enumerate().with_min_len(rows_of_task(width));
    let each = each.map(|(i, row)| Arch::new().dispatch(WriteRow(i, row, &of_row))).collect();
    // SAFETY: the capacity is at least that, and every element of every row was written.
    unsafe { all.set_len(rows * width) };
    (all, each)
}

/// Calls `change` with each row of a table, and its number.
pub(crate) fn each_row<T: Real>(table: &mut [T], width: usize, change: impl Fn(usize, &mut [T]) + Sync) {
    if width > 0 {
        let rows = table.par_chunks_exact_mut(width).enumerate().with_min_len(rows_of_task(width));
        rows.for_each(|(i, row)| change(i, row));
    }
}

struct WriteRow<'a, T, F>(usize, &'a mut [MaybeUninit<T>], &'a F);

impl<T: Real, G: Fn(usize) -> T, F: Fn(usize) -> (T, G)> WithSimd for WriteRow<'_, T, F> {
    type Output = T;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> T {
        let Self(i, row, of_row) = self;
        let (number, element) = of_row(i);
        for (k, x) in row.iter_mut().enumerate() {
            x.write(element(k));
        }
        number
    }
}

/// Scratch of each thread, made once: a fresh one for each task costs as much in page faults as its products.
pub(crate) struct PerThread<S>(Vec<Mutex<S>>);

impl<S> PerThread<S> {
    pub fn new(scratch: impl Fn() -> S) -> Self {
        Self((0..rayon::current_num_threads()).map(|_| Mutex::new(scratch())).collect())
    }

    /// That of the calling thread; it holds what the task before left in it.
    pub fn own(&self) -> MutexGuard<'_, S> {
        let own = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        // nothing in it outlives a task, so that of a panicked one is as good
        self.0[own].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the system for pages of 2 MiB where it has them: a block of similarities is larger than what the processor's table
/// of small pages covers, and a step from row to row is a step from page to page: 6 to 12 % of the time at N = 65,536.
fn in_huge_pages<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 2 << 20;
        let start = memory.as_mut_ptr() as usize;
        let (low, high) = (start.next_multiple_of(PAGE), (start + size_of_val(memory)) / PAGE * PAGE);
        if low < high {
            // SAFETY: the range lies inside `memory`, which is borrowed mutably, and the advice changes no content. That the
            // system may refuse it does not matter.
            unsafe { libc::madvise(low as *mut libc::c_void, high - low, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

/// Asks for the line at `at`; a hint that changes no result.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing into the program and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Asks for every line of `part`.
#[inline(always)]
pub(crate) fn prefetch_all<T>(part: &[T]) {
    part.chunks((64 / size_of::<T>()).max(1)).for_each(|line| prefetch(line.as_ptr()));
}
