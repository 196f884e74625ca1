//! Products of a table whose rows lie apart with the lines of a panel.

use super::Lanes;
use super::block::{Output, Products};
use pulp::Arch;

/// The left side of a product: a matrix `[rows, depth]` whose right side is a panel `[depth, line]`.
pub(crate) struct Side<'a, T> {
    values: &'a [T],
    step: usize,
    rows: usize,
    depth: usize,
    down: bool,
}

impl<'a, T: Lanes> Side<'a, T> {
    /// `values[row * step + depth]`.
    pub fn across(values: &'a [T], step: usize, rows: usize, depth: usize) -> Self {
        Self { values, step, rows, depth, down: false }
    }

    /// `values[depth * step + row]`.
    pub fn down(values: &'a [T], step: usize, rows: usize, depth: usize) -> Self {
        Self { values, step, rows, depth, down: true }
    }

    /// `out [rows, line] = self * panel`.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    pub fn times(&self, panel: &[T], out: &mut [T]) {
        if self.rows == 0 || self.depth == 0 {
            return;
        }
        let line = super::Panels::new::<T>(1).line();
        assert!(out.len() >= self.rows * line, "a panel of {} for {} rows", out.len(), self.rows);
        self.run(panel, Output::from(out), line, line, None);
    }

    /// `out [rows, width] += self * panel`, rows of `out` being `step` apart.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    ///
    /// # Safety
    /// The rows of `out` are valid for reading and writing, and nobody else's.
    pub unsafe fn add_times(&self, panel: &[T], out: *mut T, step: usize, width: usize) {
        if self.rows == 0 || self.depth == 0 {
            return;
        }
        // SAFETY: the caller's promise.
        let out = unsafe { Output::new(out, (self.rows - 1) * step + width) };
        self.run(panel, out, step, width, Some(T::one()));
    }

    fn run(&self, panel: &[T], out: Output<T>, step: usize, width: usize, alpha: Option<T>) {
        let &Self { values, step: left_step, rows, depth, down } = self;
        macro_rules! product {
            ($down:literal) => {
                Arch::new().dispatch(Products::<T, $down> {
                    rows,
                    depth,
                    blocks: 1,
                    left: values,
                    left_step,
                    block_step: 0,
                    right: panel,
                    out,
                    step,
                    width,
                    alpha,
                })
            };
        }
        if down { product!(true) } else { product!(false) }
    }
}
