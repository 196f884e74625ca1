//! Rows whose inner products are negative squared distances, and back to the gradient of the raw rows: one pass each, bound by
//! memory traffic.
//!
//! With `x` measured from a common centre, an anchor is `[x sqrt(2), -|x|^2, -1]` and a candidate `[x sqrt(2), 1, |x|^2]`; the inner product of
//! one of each is `2 a . c - |a|^2 - |c|^2 = -|a - c|^2`. Where a term of the anchor alone cancels, [`centred_rows`] under twice the scale and a
//! bias are cheaper.

use crate::memory::{each_row, map_rows, rows_of_task, zeros};
use crate::vector::{self, Element, LANES, total};
use pulp::Arch;
use rayon::prelude::*;

/// The mean row of `x` (`[n, width]`, row-major); zeros of no rows.
///
/// # Panics
/// When `x` is not a whole number of rows.
pub fn mean_row<T: Element>(x: &[T], width: usize) -> Vec<T> {
    T::mean_row(x, width)
}

pub(crate) fn mean_row_generic<T: Element>(x: &[T], width: usize) -> Vec<T> {
    assert!(x.len().is_multiple_of(width.max(1)), "mean_row: {} numbers in rows of {width}", x.len());
    let mut mean = vec![T::zero(); width];
    if x.is_empty() {
        return mean;
    }
    let share = T::one() / T::of((x.len() / width) as f64);
    let sums = x.par_chunks(rows_of_task(width) * width).map(|rows| {
        let mut sum = vec![T::zero(); width];
        rows.chunks_exact(width).for_each(|row| vector::axpy(&mut sum, share, row));
        sum
    });
    // in the order of the rows, whatever the number of threads
    sums.collect::<Vec<_>>().iter().for_each(|sum| vector::axpy(&mut mean, T::one(), sum));
    mean
}

/// Rows `x` (`[n, width]`) measured from a centre, and their squared distances from it; NaN where these are too large for their type.
///
/// # Panics
/// When `x` is not a whole number of rows as long as the centre.
pub fn centred_rows<T: Element>(x: &[T], centre: &[T]) -> (Vec<T>, Vec<T>) {
    T::centred_rows(x, centre)
}

pub(crate) fn centred_rows_generic<T: Element>(x: &[T], centre: &[T]) -> (Vec<T>, Vec<T>) {
    let width = centre.len();
    assert!(x.len().is_multiple_of(width.max(1)), "centred_rows: {} numbers in rows of {width}", x.len());
    map_rows(
        [x.len() / width.max(1), width],
        #[inline(always)]
        |i| {
            let row = &x[i * width..][..width];
            let square = square_within(row, centre);
            (
                square + square * T::zero(),
                #[inline(always)]
                move |k| row[k] - centre[k],
            )
        },
    )
}

/// `|x - centre|^2`.
#[inline(always)]
pub(crate) fn square_within<T: Element>(x: &[T], centre: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let ((x, x_rest), (c, c_rest)) = (x.as_chunks::<LANES>(), centre.as_chunks::<LANES>());
    for (x, c) in x.iter().zip(c) {
        for l in 0..LANES {
            let apart = x[l] - c[l];
            sums[l] = apart.mul_add(apart, sums[l]);
        }
    }
    x_rest.iter().zip(c_rest).fold(total(sums), |s, (&x, &c)| (x - c).mul_add(x - c, s))
}

/// To the gradient of the rows of [`centred_rows`], adds what the gradient of their squares has: `2 g x`, for rows `[n, width]`.
///
/// # Panics
/// When the shapes differ.
pub fn centred_rows_backward<T: Element>(rows: &[T], gradient: &mut [T], of_squares: &[T], width: usize) {
    T::centred_rows_backward(rows, gradient, of_squares, width)
}

pub(crate) fn centred_rows_backward_generic<T: Element>(
    rows: &[T],
    gradient: &mut [T],
    of_squares: &[T],
    width: usize,
) {
    assert_eq!(gradient.len(), rows.len(), "centred_rows_backward: rows and their gradient");
    let n = of_squares.len();
    assert_eq!(rows.len(), n * width, "centred_rows_backward: rows and the gradient of {n} squares of rows of {width}");
    each_row(gradient, width, |i, gradient| {
        vector::axpy(gradient, of_squares[i] + of_squares[i], &rows[i * width..][..width]);
    });
}

/// The rows of anchors or of candidates (`[n, width]`) as they are compared, `[n, width + 2]`.
///
/// # Panics
/// When `x` is not a whole number of rows as long as the centre.
pub fn distance_rows<T: Element>(x: &[T], centre: &[T], anchors: bool) -> Vec<T> {
    T::distance_rows(x, centre, anchors)
}

pub(crate) fn distance_rows_generic<T: Element>(x: &[T], centre: &[T], anchors: bool) -> Vec<T> {
    let width = centre.len();
    assert!(x.len().is_multiple_of(width.max(1)), "distance_rows: {} numbers in rows of {width}", x.len());
    let n = x.len() / width.max(1);
    let mut out = zeros(n * (width + 2));
    let (rows, root) = (rows_of_task(width), T::of(std::f64::consts::SQRT_2));
    if width > 0 {
        out.par_chunks_mut(rows * (width + 2)).zip(x.par_chunks(rows * width)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(width + 2).zip(x.chunks_exact(width)) {
                let (own, pair) = out.split_at_mut(width);
                Arch::new().dispatch(|| {
                    own.iter_mut().zip(x.iter().zip(centre)).for_each(|(y, (&x, &c))| *y = (x - c) * root)
                });
                let square = vector::dot(own, own) * T::of(0.5);
                pair.copy_from_slice(&if anchors { [-square, -T::one()] } else { [T::one(), square] });
            }
        });
    }
    out
}

/// The gradient `[n, width]` of the raw rows, from the compared rows and their gradient, both `[n, width + 2]`.
///
/// # Panics
/// When the shapes differ, or the rows are shorter than 2.
pub fn distance_rows_backward<T: Element>(compared: &[T], gradient: &[T], width: usize, anchors: bool) -> Vec<T> {
    T::distance_rows_backward(compared, gradient, width, anchors)
}

pub(crate) fn distance_rows_backward_generic<T: Element>(
    compared: &[T],
    gradient: &[T],
    width: usize,
    anchors: bool,
) -> Vec<T> {
    assert_eq!(compared.len(), gradient.len(), "distance_rows_backward: rows and their gradient");
    let wide = width + 2;
    assert!(
        compared.len().is_multiple_of(wide),
        "distance_rows_backward: {} numbers in rows of {wide}",
        compared.len()
    );
    let mut raw = zeros(compared.len() / wide * width);
    let rows = rows_of_task(width);
    let root = T::of(std::f64::consts::SQRT_2);
    if width > 0 {
        let from = compared.par_chunks(rows * wide).zip(gradient.par_chunks(rows * wide));
        raw.par_chunks_mut(rows * width).zip(from).for_each(|(raw, (compared, gradient))| {
            let each = compared.chunks_exact(wide).zip(gradient.chunks_exact(wide));
            for (raw, (compared, gradient)) in raw.chunks_exact_mut(width).zip(each) {
                let of_square = if anchors { -gradient[width] } else { gradient[width + 1] };
                vector::scaled(raw, root, &gradient[..width]);
                vector::axpy(raw, root * of_square, &compared[..width]);
            }
        });
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|k| (((k + seed) * 7919 + 13) % 1009) as f64 / 504.5 - 1.0).collect()
    }

    #[test]
    fn inner_products_are_distances_and_the_gradient_is_that_of_finite_differences() {
        for (n, d) in [(1, 1), (3, 5), (1100, 33)] {
            let (a, c) = (numbers(n * d, 1), numbers(n * d, 77));
            let centre = mean_row(&c, d);
            for (t, mean) in centre.iter().enumerate() {
                let want = c.iter().skip(t).step_by(d).sum::<f64>() / n as f64;
                assert!((mean - want).abs() < 1e-12, "column {t}");
            }
            let [rows, others] = [(&a, true), (&c, false)].map(|(x, anchors)| distance_rows(x, &centre, anchors));
            let i = n - 1;
            let apart: f64 = (0..d).map(|t| (a[i * d + t] - c[t]).powi(2)).sum();
            let got = vector::dot(&rows[i * (d + 2)..], &others[..d + 2]);
            assert!((got + apart).abs() < 1e-12 * (1.0 + apart), "{got} for -{apart}");
            let (moved, squares) = centred_rows(&a, &centre);
            assert!((0..d).all(|t| moved[i * d + t] == a[i * d + t] - centre[t]));
            assert!((squares[i] - vector::dot(&moved[i * d..], &moved[i * d..])).abs() < 1e-12 * (1.0 + squares[i]));
            let g = numbers(n * (d + 1), 3);
            let mut raw = g[..n * d].to_vec();
            centred_rows_backward(&moved, &mut raw, &g[n * d..], d);
            for at in [0, n * d / 2, n * d - 1] {
                let value = |by: f64| {
                    let mut x = a.clone();
                    x[at] += by;
                    let (rows, squares) = centred_rows(&x, &centre);
                    vector::dot(&rows, &g[..n * d]) + vector::dot(&squares, &g[n * d..])
                };
                let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
                assert!((raw[at] - difference).abs() < 1e-6, "{} at {at}, by differences {difference}", raw[at]);
            }
            let g = numbers(n * (d + 2), 5);
            for (x, anchors) in [(&a, true), (&c, false)] {
                let raw = distance_rows_backward(&distance_rows(x, &centre, anchors), &g, d, anchors);
                for at in (0..x.len()).step_by(x.len().div_ceil(30)) {
                    let value = |by: f64| {
                        let mut x = x.clone();
                        x[at] += by;
                        vector::dot(&distance_rows(&x, &centre, anchors), &g)
                    };
                    let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
                    assert!((raw[at] - difference).abs() < 1e-6, "{} at {at}, by differences {difference}", raw[at]);
                }
            }
        }
        assert!(centred_rows(&[1e30f32], &[0.0]).1[0].is_nan());
        assert!(mean_row::<f32>(&[], 3) == [0.0; 3] && distance_rows::<f32>(&[], &[], true).is_empty());
    }
}
