//! Exponentials of logits so large that their rounding is not small.
//!
//! The vector loops multiply, subtract the largest logit and round once. The largest itself was rounded when it was found: from about 2^24 on (in
//! `f32`) the difference between it and the exact product is not small beside 1, and its exponential is infinite or 0. Here every logit is
//! rounded before the subtraction, so that the largest comes out as 0 and the rest is the softmax of the rounded logits, as plain tensor
//! operations give it. These loops have no constant number of lanes and are slower.

use crate::vector::{Element, FAR};
use pulp::Arch;

/// Is one of these shifts that of far logits? Minus infinity, that of an empty column, is not.
pub(super) fn any<T: Element>(shifts: &[T]) -> bool {
    let far = T::of(FAR);
    shifts.iter().any(|s| s.abs() >= far && s.is_finite())
}

#[inline(always)]
fn exponential<T: Element>(x: T, scale: T, shift: T) -> T {
    (x * scale + shift).relative_exponential()
}

/// As [`super::lanes::exp`] without a bias.
pub(super) fn exp<T: Element>(panel: &mut [T], scale: &[T], shift: &[T], [sums, dots]: [&mut [T]; 2]) {
    let lanes = shift.len();
    Arch::new().dispatch(|| {
        sums[..lanes].fill(T::zero());
        dots[..lanes].fill(T::zero());
        for line in panel.chunks_exact_mut(lanes) {
            for l in 0..lanes {
                let old = line[l];
                let e = exponential(old, scale[l], shift[l]);
                line[l] = e;
                sums[l] += e;
                dots[l] = e.mul_add(old, dots[l]);
            }
        }
    });
}

/// As [`super::lanes::sum_exp`].
pub(super) fn sum_exp<T: Element>(panel: &[T], [scale, shift]: [T; 2], rows: &mut [T], columns: &mut [T]) {
    let lanes = rows.len();
    Arch::new().dispatch(|| {
        rows.fill(T::zero());
        for (j, line) in panel.chunks_exact(lanes).enumerate() {
            for l in 0..lanes {
                let e = exponential(line[l], scale, shift);
                rows[l] += e;
                if !columns.is_empty() {
                    columns[j * lanes + l] += e;
                }
            }
        }
    });
}

/// As [`super::lanes::sum_exp_apart`].
pub(super) fn sum_exp_apart<T: Element>(
    panel: &[T],
    scale: T,
    shifts: &[T],
    rows: &mut [T],
    (column_shifts, columns): (&[T], &mut [T]),
) {
    let lanes = rows.len();
    Arch::new().dispatch(|| {
        rows.fill(T::zero());
        for line in panel.chunks_exact(lanes) {
            for l in 0..lanes {
                rows[l] += exponential(line[l], scale, shifts[l]);
            }
        }
        for ((line, column), &shift) in panel.chunks_exact(lanes).zip(columns).zip(column_shifts) {
            *column += line.iter().map(|&x| exponential(x, scale, shift)).sum::<T>();
        }
    });
}

/// As [`super::lanes::two_sided`].
pub(super) fn two_sided<T: Element>(panel: &mut [T], [scale, shift]: [T; 2], rows: &[T], columns: &[T]) -> T {
    let lanes = rows.len();
    Arch::new().dispatch(|| {
        let mut dot = T::zero();
        for (line, &column) in panel.chunks_exact_mut(lanes).zip(columns) {
            for l in 0..lanes {
                let old = line[l];
                line[l] = exponential(old, scale, shift) * (rows[l] + column);
                dot += line[l] * old;
            }
        }
        dot
    })
}

/// As [`super::lanes::two_sided_apart`].
pub(super) fn two_sided_apart<T: Element>(
    panel: &mut [T],
    scale: T,
    [rows, shifts]: [&[T]; 2],
    [columns, column_shifts]: [&[T]; 2],
) -> T {
    let lanes = rows.len();
    Arch::new().dispatch(|| {
        let mut dot = T::zero();
        for (line, (&column, &shift)) in panel.chunks_exact_mut(lanes).zip(columns.iter().zip(column_shifts)) {
            for l in 0..lanes {
                let old = line[l];
                let row = rows[l] * exponential(old, scale, shifts[l]);
                line[l] = column.mul_add(exponential(old, scale, shift), row);
                dot += line[l] * old;
            }
        }
        dot
    })
}
