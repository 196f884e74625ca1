//! The two element types of the kernels.

use std::fmt::{Debug, Display};
use std::iter::Sum;

/// `f32` or `f64`: an element type the kernels are compiled for.
pub trait Real:
    num_traits::Float
    + num_traits::NumAssign
    + Default
    + Debug
    + Display
    + Sum
    + Send
    + Sync
    + pulp::bytemuck::Pod
    + crate::compiled::Tables
    + crate::sparse::Entry
    + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// This value as `f64`, exactly.
    fn f64(self) -> f64;
}

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
}

/// `c (m x n) = beta * c + alpha * a (m x k) * b (k x n)`, one thread, explicit strides given as (row, column).
///
/// # Panics
/// When a slice is too short for its shape and strides.
#[inline]
pub fn gemm<T: Real>(
    [m, n, k]: [usize; 3],
    c: &mut [T],
    [c_row, c_col]: [usize; 2],
    a: &[T],
    [a_row, a_col]: [usize; 2],
    b: &[T],
    [b_row, b_col]: [usize; 2],
    beta: T,
    alpha: T,
) {
    if m == 0 || n == 0 {
        return;
    }
    let fits = |len: usize, [rows, columns]: [usize; 2], [row, column]: [usize; 2]| {
        let last = (rows - 1).checked_mul(row).zip((columns - 1).checked_mul(column));
        last.and_then(|(row, column)| row.checked_add(column)).is_some_and(|last| last < len)
    };
    assert!(fits(c.len(), [m, n], [c_row, c_col]), "gemm: output of {} for {m} x {n}", c.len());
    assert!(k == 0 || fits(a.len(), [m, k], [a_row, a_col]), "gemm: left side of {} for {m} x {k}", a.len());
    assert!(k == 0 || fits(b.len(), [k, n], [b_row, b_col]), "gemm: right side of {} for {k} x {n}", b.len());
    // SAFETY: the shapes were checked against their slices, of which the output is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c_col as isize,
            c_row as isize,
            beta != T::zero(),
            a.as_ptr(),
            a_col as isize,
            a_row as isize,
            b.as_ptr(),
            b_col as isize,
            b_row as isize,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
