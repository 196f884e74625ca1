//! Embeddings as checked, contiguous rows of `f64`.

use crate::error::EvalError;
use contrastive_kernels::Real;
use contrastive_kernels::vector::dot;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Largest number that is let in: its square, and sums of such squares, stay finite.
const LARGEST: f64 = 1e100;

/// A table of `f64` rows, at least one row and one column.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub values: Vec<f64>,
    pub width: usize,
}

impl Rows {
    /// A copy of the array.
    pub fn new<T: Real>(what: &'static str, x: ArrayView2<'_, T>) -> Result<Self, EvalError> {
        if x.is_empty() {
            return Err(EvalError::Empty { what });
        }
        let values = x.iter().map(|v| v.f64()).collect::<Vec<f64>>();
        let rows = Self { values, width: x.ncols() };
        check_numbers(what, &rows.values, rows.width)?;
        Ok(rows)
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    pub fn iter(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.width)
    }

    /// Mean of every column.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.iter() {
            add(&mut mean, row);
        }
        mean.iter_mut().for_each(|m| *m /= self.len() as f64);
        mean
    }

    /// A point near the mean whose coordinates are multiples of the power of two below their spread: moving the origin there leaves
    /// numbers on a grid (counts, or 0 and 1) on it, so that equal distances stay equal.
    pub fn origin(&self) -> Vec<f64> {
        let mean = self.mean();
        let mut spread = vec![0.0f64; self.width];
        for row in self.iter() {
            spread.iter_mut().zip(row).zip(&mean).for_each(|((s, v), m)| *s = s.max((v - m).abs()));
        }
        let unit = |spread: f64| spread.log2().floor().exp2();
        let near =
            |(mean, spread): (f64, f64)| if spread > 0.0 { (mean / unit(spread)).round() * unit(spread) } else { mean };
        mean.into_iter().zip(spread).map(near).map(|m| if m.is_finite() { m } else { 0.0 }).collect()
    }

    /// The rows with `point` taken from each.
    pub fn shift(&mut self, point: &[f64]) {
        let width = self.width;
        self.values.par_chunks_exact_mut(width).for_each(|row| row.iter_mut().zip(point).for_each(|(v, p)| *v -= p));
    }

    /// The rows divided by their lengths; a row of zeros stays.
    pub fn unit(&mut self) {
        let width = self.width;
        self.values.par_chunks_exact_mut(width).for_each(unit);
    }

    /// Squared length of every row.
    pub fn squares(&self) -> Vec<f64> {
        self.values.par_chunks_exact(self.width).map(|row| dot(row, row)).collect()
    }

    pub fn into_array(self) -> Array2<f64> {
        Array2::from_shape_vec((self.len(), self.width), self.values).expect("whole rows")
    }
}

/// Divides a row by its length, unless that is 0.
pub(crate) fn unit(row: &mut [f64]) {
    // a row of tiny numbers would have the square 0
    let largest = row.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    if largest > 0.0 {
        row.iter_mut().for_each(|v| *v /= largest);
        let length = dot(row, row).sqrt();
        row.iter_mut().for_each(|v| *v /= length);
    }
}

/// `to <- to + from`.
pub(crate) fn add(to: &mut [f64], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
}

/// Fails with the first row that holds NaN, an infinity or a number above 1e100.
pub(crate) fn check_numbers<T: Real>(what: &'static str, values: &[T], width: usize) -> Result<(), EvalError> {
    // a comparison with NaN is false
    let good = |value: &T| value.f64().abs() <= LARGEST;
    match values.iter().position(|value| !good(value)) {
        Some(at) => Err(EvalError::BadNumber { what, row: at / width, value: values[at].f64() }),
        None => Ok(()),
    }
}

/// Fails unless both tables have the same number of columns.
pub(crate) fn check_width(
    what: &'static str,
    found: usize,
    of: &'static str,
    expected: usize,
) -> Result<(), EvalError> {
    if found == expected { Ok(()) } else { Err(EvalError::WidthMismatch { what, found, of, expected }) }
}
