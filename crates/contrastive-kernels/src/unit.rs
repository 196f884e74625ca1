//! Rows scaled to length 1, and back to the gradient of the raw rows: one pass each, bound by memory traffic.

use crate::memory::{each_row, map_rows};
use crate::vector::{self, Element, dot_within};

/// Unit rows and the lengths they were divided by, of the rows of `x` (`[n, width]`, row-major). A row shorter than
/// `shortest` has no direction: it becomes zeros, as if it were infinitely long, and has no gradient. A row whose
/// squared length is too large for its type becomes NaN.
///
/// # Panics
/// When `x` is not a whole number of rows.
pub fn unit_rows<T: Element>(x: &[T], width: usize, shortest: T) -> (Vec<T>, Vec<T>) {
    T::unit_rows(x, width, shortest)
}

pub(crate) fn unit_rows_generic<T: Element>(x: &[T], width: usize, shortest: T) -> (Vec<T>, Vec<T>) {
    assert!(x.len().is_multiple_of(width.max(1)), "unit_rows: {} numbers in rows of {width}", x.len());
    map_rows(
        [x.len() / width.max(1), width],
        #[inline(always)]
        |i| {
            let row = &x[i * width..][..width];
            let own = dot_within(row, row).sqrt();
            // a NaN length stays NaN, and one too large for its type becomes NaN
            let length = if own < shortest { T::infinity() } else { own + own * T::zero() };
            let share = T::one() / length;
            (
                length,
                #[inline(always)]
                move |k| row[k] * share,
            )
        },
    )
}

/// In place of the gradient of unit rows that of the raw rows: `(g - u (u . g)) / length`, all `[n, width]`.
///
/// # Panics
/// When the shapes differ.
pub fn unit_rows_backward<T: Element>(unit: &[T], lengths: &[T], gradient: &mut [T], width: usize) {
    T::unit_rows_backward(unit, lengths, gradient, width)
}

pub(crate) fn unit_rows_backward_generic<T: Element>(unit: &[T], lengths: &[T], gradient: &mut [T], width: usize) {
    assert_eq!(unit.len(), gradient.len(), "unit_rows_backward: rows and their gradient");
    assert_eq!(unit.len(), lengths.len() * width, "unit_rows_backward: rows and {} lengths of {width}", lengths.len());
    each_row(gradient, width, |i, gradient| {
        let (unit, share) = (&unit[i * width..][..width], T::one() / lengths[i]);
        let along = vector::dot(unit, gradient);
        vector::scale(gradient, share);
        vector::axpy(gradient, -along * share, unit);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for (n, width) in [(1, 1), (3, 5), (700, 33)] {
            let x = numbers(n * width, 1);
            let g = numbers(n * width, 2);
            let (unit, lengths) = unit_rows(&x, width, 1e-12);
            for row in unit.chunks(width) {
                assert!((vector::dot(row, row) - 1.0).abs() < 1e-12);
            }
            let mut raw = g.clone();
            unit_rows_backward(&unit, &lengths, &mut raw, width);
            for at in (0..x.len()).step_by(x.len().div_ceil(40)) {
                let step = 1e-6;
                let value = |by: f64| {
                    let mut x = x.clone();
                    x[at] += by;
                    vector::dot(&unit_rows(&x, width, 1e-12).0, &g)
                };
                let difference = (value(step) - value(-step)) / (2.0 * step);
                assert!((raw[at] - difference).abs() < 1e-6, "{} at {at}, by differences {difference}", raw[at]);
            }
        }
    }

    #[test]
    fn short_rows_and_rows_that_are_no_numbers() {
        let (unit, lengths) = unit_rows(&[0.0, 0.0, 3.0, 4.0, f32::NAN, 1.0], 2, 1e-12);
        assert_eq!(unit[..4], [0.0, 0.0, 0.6, 0.8]);
        assert_eq!(lengths[..2], [f32::INFINITY, 5.0]);
        let mut raw = [7.0, -1.0, 1.0, 0.0];
        unit_rows_backward(&unit[..4], &lengths[..2], &mut raw, 2);
        assert_eq!(raw[..2], [0.0, 0.0]);
        assert!((raw[2] - 0.128).abs() < 1e-6 && (raw[3] + 0.096).abs() < 1e-6, "{raw:?}");
        assert!(unit[4..].iter().all(|x| x.is_nan()));
        assert!(unit_rows::<f32>(&[], 0, 1e-12).0.is_empty());
    }
}
