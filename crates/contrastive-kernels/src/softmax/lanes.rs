//! What is done to a panel of pairs between its products ([`Panels`](crate::product::Panels)): each anchor is a lane, and the
//! candidates come one below the other, so that no reduction over an anchor's pairs crosses lanes.

use super::far;
use crate::vector::{Element, TwoExponentials, larger, total};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Calls the kernel's `of::<W>` with the number of lanes as a constant.
macro_rules! with_lanes {
    ($lanes:expr, $kernel:expr) => {
        match $lanes {
            4 => $kernel.of::<4>(),
            8 => $kernel.of::<8>(),
            16 => $kernel.of::<16>(),
            32 => $kernel.of::<32>(),
            other => panic!("panels of {other} anchors"),
        }
    };
}

/// `A kernel with its fields`, compiled for every instruction set and number of lanes.
macro_rules! kernel {
    ($name:ident { $($field:ident : $type:ty),* $(,)? } lanes $lanes:ident -> $output:ty, |$self:ident, $w:ident| $body:block) => {
        struct $name<'a, T> { $($field: $type),*, $lanes: usize, of: std::marker::PhantomData<&'a T> }
        impl<T: Element> $name<'_, T> {
            #[inline(always)]
            fn of<const $w: usize>($self) -> $output $body
        }
        impl<T: Element> WithSimd for $name<'_, T> {
            type Output = $output;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> $output {
                with_lanes!(self.$lanes, self)
            }
        }
    };
}

#[inline(always)]
fn array<T: Element, const W: usize>(x: &[T]) -> [T; W] {
    x[..W].try_into().expect("a number for each lane")
}

kernel! {
    Max { panel: &'a [T], scale: &'a [T], bias: &'a [T], out: &'a mut [T] } lanes lanes -> (), |self, W| {
        let mut max = [T::neg_infinity(); W];
        let (lines, _) = self.panel.as_chunks::<W>();
        if self.bias.is_empty() {
            for x in lines {
                for l in 0..W {
                    max[l] = larger(x[l], max[l]);
                }
            }
            let scale: [T; W] = array(self.scale);
            for l in 0..W {
                self.out[l] = max[l] * scale[l];
            }
            return;
        }
        let scale: [T; W] = array(self.scale);
        for (x, &bias) in lines.iter().zip(self.bias) {
            for l in 0..W {
                max[l] = larger(x[l].mul_add(scale[l], bias), max[l]);
            }
        }
        self.out[..W].copy_from_slice(&max);
    }
}

/// Each anchor's largest `scale * x + bias`, with a bias for each candidate or none; passes over NaN.
pub(super) fn max<T: Element>(panel: &[T], scale: &[T], bias: &[T], out: &mut [T]) {
    let lanes = out.len();
    Arch::new().dispatch(Max { panel, scale, bias, out, lanes, of: Default::default() });
}

kernel! {
    Exp { panel: &'a mut [T], scale: &'a [T], bias: &'a [T], shift: &'a [T], sums: &'a mut [T], dots: &'a mut [T] }
    lanes lanes -> (), |self, W| {
        let (scale, shift): ([T; W], [T; W]) = (array(self.scale), array(self.shift));
        let (mut sums, mut dots) = ([T::zero(); W], [T::zero(); W]);
        let (lines, _) = self.panel.as_chunks_mut::<W>();
        if self.bias.is_empty() {
            for x in lines {
                for l in 0..W {
                    let old = x[l];
                    let e = old.mul_add(scale[l], shift[l]).relative_exponential();
                    x[l] = e;
                    sums[l] += e;
                    dots[l] = e.mul_add(old, dots[l]);
                }
            }
        } else {
            for (x, &bias) in lines.iter_mut().zip(self.bias) {
                for l in 0..W {
                    let old = x[l];
                    let e = (old.mul_add(scale[l], bias) + shift[l]).relative_exponential();
                    x[l] = e;
                    sums[l] += e;
                    dots[l] = e.mul_add(old, dots[l]);
                }
            }
        }
        self.sums[..W].copy_from_slice(&sums);
        self.dots[..W].copy_from_slice(&dots);
    }
}

/// `x <- exp(scale * x + bias + shift)`; the sums of the results, and of result times old `x`, of each anchor.
pub(super) fn exp<T: Element>(panel: &mut [T], scale: &[T], bias: &[T], shift: &[T], [sums, dots]: [&mut [T]; 2]) {
    if bias.is_empty() && far::any(shift) {
        return far::exp(panel, scale, shift, [sums, dots]);
    }
    let lanes = shift.len();
    Arch::new().dispatch(Exp { panel, scale, bias, shift, sums, dots, lanes, of: Default::default() });
}

kernel! {
    Scale { panel: &'a mut [T], factors: &'a [T] } lanes lanes -> (), |self, W| {
        let factors: [T; W] = array(self.factors);
        for x in self.panel.as_chunks_mut::<W>().0 {
            for l in 0..W {
                x[l] *= factors[l];
            }
        }
    }
}

/// `x <- factor * x`, a factor for each anchor.
pub(super) fn scale<T: Element>(panel: &mut [T], factors: &[T]) {
    let lanes = factors.len();
    Arch::new().dispatch(Scale { panel, factors, lanes, of: Default::default() });
}

kernel! {
    AddScaled { part: &'a [T], factors: &'a [T], sums: &'a mut [T] } lanes lanes -> (), |self, W| {
        let factors: [T; W] = array(self.factors);
        for (x, sum) in self.part.as_chunks::<W>().0.iter().zip(self.sums.as_chunks_mut::<W>().0) {
            for l in 0..W {
                sum[l] = x[l].mul_add(factors[l], sum[l]);
            }
        }
    }
}

/// `sums += factor * part`, a factor for each anchor.
pub(super) fn add_scaled<T: Element>(part: &[T], factors: &[T], sums: &mut [T]) {
    let lanes = factors.len();
    Arch::new().dispatch(AddScaled { part, factors, sums, lanes, of: Default::default() });
}

kernel! {
    AddColumns { tile: &'a [T], candidates: usize, range: Range<usize>, factors: &'a [T], out: &'a mut [T] }
    lanes lanes -> (), |self, W| {
        let (c, mut j) = (self.candidates, self.range.start);
        while j < self.range.end {
            // the factors are loaded once for so many candidates; of those beyond the range, the last again
            let mut sums = [[T::zero(); W]; 4];
            let rows: [usize; 4] = std::array::from_fn(|k| (j + k).min(self.range.end - 1));
            for (panel, factors) in self.tile.chunks_exact(c * W).zip(self.factors.as_chunks::<W>().0) {
                for k in 0..4 {
                    let x: &[T; W] = panel[rows[k] * W..][..W].try_into().expect("a number for each lane");
                    for l in 0..W {
                        sums[k][l] = x[l].mul_add(factors[l], sums[k][l]);
                    }
                }
            }
            for (sum, out) in sums.iter().zip(&mut self.out[j..self.range.end]) {
                *out += total(*sum);
            }
            j += 4;
        }
    }
}

/// Adds each candidate's sum of factor times pair, over all panels `[candidates, lanes]` of a tile and a factor for each anchor,
/// for some of the candidates.
pub(super) fn add_columns<T: Element>(
    tile: &[T],
    [candidates, lanes]: [usize; 2],
    range: Range<usize>,
    factors: &[T],
    out: &mut [T],
) {
    Arch::new().dispatch(AddColumns { tile, candidates, range, factors, out, lanes, of: Default::default() });
}

kernel! {
    MaxBoth { panel: &'a [T], rows: &'a mut [T], columns: &'a mut [T] } lanes lanes -> (), |self, W| {
        let mut max = [T::neg_infinity(); W];
        let lines = self.panel.as_chunks::<W>().0;
        for (x, column) in lines.iter().zip(self.columns) {
            let mut across = *x;
            for l in 0..W {
                max[l] = larger(x[l], max[l]);
            }
            let mut width = W / 2;
            while width > 0 {
                for l in 0..width {
                    // passes over NaN, on either side
                    across[l] = if across[l].is_nan() { across[l + width] } else { larger(across[l + width], across[l]) };
                }
                width /= 2;
            }
            *column = larger(across[0], *column);
        }
        self.rows[..W].copy_from_slice(&max);
    }
}

/// The largest `x` of each anchor, and of each candidate if that is larger than what is there.
pub(super) fn max_both<T: Element>(panel: &[T], rows: &mut [T], columns: &mut [T]) {
    let lanes = rows.len();
    Arch::new().dispatch(MaxBoth { panel, rows, columns, lanes, of: Default::default() });
}

kernel! {
    SumExp { panel: &'a [T], scale: T, shift: T, rows: &'a mut [T], columns: &'a mut [T] } lanes lanes -> (), |self, W| {
        let Self { scale, shift, .. } = self;
        let mut sums = [T::zero(); W];
        let lines = self.panel.as_chunks::<W>().0;
        if self.columns.is_empty() {
            for x in lines {
                for l in 0..W {
                    sums[l] += x[l].mul_add(scale, shift).relative_exponential();
                }
            }
        } else {
            for (x, column) in lines.iter().zip(self.columns.as_chunks_mut::<W>().0) {
                for l in 0..W {
                    let e = x[l].mul_add(scale, shift).relative_exponential();
                    sums[l] += e;
                    column[l] += e;
                }
            }
        }
        self.rows[..W].copy_from_slice(&sums);
    }
}

/// The sums of `exp(scale * x + shift)` of each anchor, and, added to `columns` unless that is empty, the exponentials themselves: one
/// serves both sides, and what the panels of a tile have of a candidate is added up across lanes when the last has been summed.
pub(super) fn sum_exp<T: Element>(panel: &[T], [scale, shift]: [T; 2], rows: &mut [T], columns: &mut [T]) {
    if far::any(&[shift]) {
        return far::sum_exp(panel, [scale, shift], rows, columns);
    }
    let lanes = rows.len();
    Arch::new().dispatch(SumExp { panel, scale, shift, rows, columns, lanes, of: Default::default() });
}

kernel! {
    Totals { panel: &'a [T], out: &'a mut [T] } lanes lanes -> (), |self, W| {
        for (x, out) in self.panel.as_chunks::<W>().0.iter().zip(self.out) {
            *out += total(*x);
        }
    }
}

/// Adds each candidate's sum over the lanes of a panel.
pub(super) fn add_totals<T: Element>(panel: &[T], lanes: usize, out: &mut [T]) {
    Arch::new().dispatch(Totals { panel, out, lanes, of: Default::default() });
}

kernel! {
    SumExpApart {
        panel: &'a [T], scale: T, shifts: &'a [T], rows: &'a mut [T], column_shifts: &'a [T], columns: &'a mut [T],
    } lanes lanes -> (), |self, W| {
        let Self { scale, .. } = self;
        let shifts: [T; W] = array(self.shifts);
        let mut sums = [T::zero(); W];
        let lines = self.panel.as_chunks::<W>().0;
        for x in lines {
            for l in 0..W {
                sums[l] += x[l].mul_add(scale, shifts[l]).relative_exponential();
            }
        }
        for ((x, column), &shift) in lines.iter().zip(self.columns).zip(self.column_shifts) {
            let mut across = [T::zero(); W];
            for l in 0..W {
                across[l] = x[l].mul_add(scale, shift).relative_exponential();
            }
            *column += total(across);
        }
        self.rows[..W].copy_from_slice(&sums);
    }
}

/// The sums of exponentials of each anchor and, added to `columns` unless that is empty, of each candidate, each with a shift of its own.
pub(super) fn sum_exp_apart<T: Element>(
    panel: &[T],
    scale: T,
    shifts: &[T],
    rows: &mut [T],
    [column_shifts, columns]: [&mut [T]; 2],
) {
    if far::any(shifts) || far::any(column_shifts) {
        return far::sum_exp_apart(panel, scale, shifts, rows, (column_shifts, columns));
    }
    let lanes = rows.len();
    let column_shifts = &*column_shifts;
    let of = Default::default();
    Arch::new().dispatch(SumExpApart { panel, scale, shifts, rows, column_shifts, columns, lanes, of });
}

kernel! {
    TwoSided { panel: &'a mut [T], scale: T, shift: T, rows: &'a [T], columns: &'a [T] } lanes lanes -> T, |self, W| {
        let Self { scale, shift, .. } = self;
        let rows: [T; W] = array(self.rows);
        let mut dots = [T::zero(); W];
        for (x, &column) in self.panel.as_chunks_mut::<W>().0.iter_mut().zip(self.columns) {
            for l in 0..W {
                let old = x[l];
                let g = old.mul_add(scale, shift).relative_exponential() * (rows[l] + column);
                x[l] = g;
                dots[l] = g.mul_add(old, dots[l]);
            }
        }
        total(dots)
    }
}

/// `x <- exp(scale * x + shift) * (row + column)`; returns the sum of result times old `x`.
pub(super) fn two_sided<T: Element>(panel: &mut [T], [scale, shift]: [T; 2], rows: &[T], columns: &[T]) -> T {
    if far::any(&[shift]) {
        return far::two_sided(panel, [scale, shift], rows, columns);
    }
    let lanes = rows.len();
    Arch::new().dispatch(TwoSided { panel, scale, shift, rows, columns, lanes, of: Default::default() })
}

kernel! {
    SumHardAndSoft { panel: &'a [T], exp: TwoExponentials<T>, rows: [&'a mut [T]; 2], columns: [&'a mut [T]; 2] }
    lanes lanes -> (), |self, W| {
        let Self { exp, rows: [rows, soft_rows], columns: [columns, soft_columns], .. } = self;
        let mut sums = [[T::zero(); W]; 2];
        let lines = self.panel.as_chunks::<W>().0;
        if columns.is_empty() {
            for x in lines {
                for l in 0..W {
                    let [hard, soft] = exp.of(x[l]);
                    sums[0][l] += hard;
                    sums[1][l] += soft;
                }
            }
        } else {
            let columns = columns.as_chunks_mut::<W>().0.iter_mut().zip(soft_columns.as_chunks_mut::<W>().0);
            for (x, (column, soft_column)) in lines.iter().zip(columns) {
                for l in 0..W {
                    let [hard, soft] = exp.of(x[l]);
                    sums[0][l] += hard;
                    sums[1][l] += soft;
                    column[l] += hard;
                    soft_column[l] += soft;
                }
            }
        }
        rows[..W].copy_from_slice(&sums[0]);
        soft_rows[..W].copy_from_slice(&sums[1]);
    }
}

/// As [`sum_exp`], of two exponentials of each pair.
pub(super) fn sum_hard_and_soft<T: Element>(
    panel: &[T],
    exp: TwoExponentials<T>,
    rows: [&mut [T]; 2],
    columns: [&mut [T]; 2],
) {
    let lanes = rows[0].len();
    Arch::new().dispatch(SumHardAndSoft { panel, exp, rows, columns, lanes, of: Default::default() });
}

kernel! {
    TwoSidedHard {
        panel: &'a mut [T], exp: TwoExponentials<T>, rows: [&'a [T]; 2], columns: [&'a [T]; 2],
    } lanes lanes -> T, |self, W| {
        let Self { exp, columns: [columns, soft_columns], .. } = self;
        let rows: [[T; W]; 2] = self.rows.map(array);
        let mut dots = [T::zero(); W];
        let columns = columns.iter().zip(soft_columns);
        for (x, (&column, &soft_column)) in self.panel.as_chunks_mut::<W>().0.iter_mut().zip(columns) {
            for l in 0..W {
                let old = x[l];
                let [hard, soft] = exp.of(old);
                let g = hard.mul_add(rows[0][l] + column, soft * (rows[1][l] + soft_column));
                x[l] = g;
                dots[l] = g.mul_add(old, dots[l]);
            }
        }
        total(dots)
    }
}

/// `x <- hard * (row + column) + soft * (soft row + soft column)` of two exponentials of each pair; returns the sum of result times
/// old `x`.
pub(super) fn two_sided_hard<T: Element>(
    panel: &mut [T],
    exp: TwoExponentials<T>,
    rows: [&[T]; 2],
    columns: [&[T]; 2],
) -> T {
    let lanes = rows[0].len();
    Arch::new().dispatch(TwoSidedHard { panel, exp, rows, columns, lanes, of: Default::default() })
}

kernel! {
    TwoSidedApart {
        panel: &'a mut [T], scale: T, rows: &'a [T], shifts: &'a [T], columns: &'a [T], column_shifts: &'a [T],
    } lanes lanes -> T, |self, W| {
        let Self { scale, .. } = self;
        let (rows, shifts): ([T; W], [T; W]) = (array(self.rows), array(self.shifts));
        let mut dots = [T::zero(); W];
        let columns = self.columns.iter().zip(self.column_shifts);
        for (x, (&column, &shift)) in self.panel.as_chunks_mut::<W>().0.iter_mut().zip(columns) {
            for l in 0..W {
                let old = x[l];
                let row = rows[l] * old.mul_add(scale, shifts[l]).relative_exponential();
                let g = column.mul_add(old.mul_add(scale, shift).relative_exponential(), row);
                x[l] = g;
                dots[l] = g.mul_add(old, dots[l]);
            }
        }
        total(dots)
    }
}

/// `x <- row * exp(scale * x + shift of the row) + column * exp(scale * x + shift of the column)`; returns the sum of result times
/// old `x`.
pub(super) fn two_sided_apart<T: Element>(
    panel: &mut [T],
    scale: T,
    [rows, shifts]: [&[T]; 2],
    [columns, column_shifts]: [&[T]; 2],
) -> T {
    if far::any(shifts) || far::any(column_shifts) {
        return far::two_sided_apart(panel, scale, [rows, shifts], [columns, column_shifts]);
    }
    let lanes = rows.len();
    let of = Default::default();
    Arch::new().dispatch(TwoSidedApart { panel, scale, rows, shifts, columns, column_shifts, lanes, of })
}
