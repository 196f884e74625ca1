//! The softmax of a panel of logits, its lanes being queries.

use super::Attention;
use crate::layer::dropout::RowMask;
use crate::product::LONGEST;
use crate::vector::{Element, larger, masked};
use pulp::{Arch, Simd, WithSimd};

/// Some queries of a list, for one head.
pub(super) struct Panel<'a> {
    pub problem: &'a Attention<'a>,
    /// The first query, and how many there are.
    pub first: usize,
    pub count: usize,
    pub head: usize,
    /// Lanes of the panel.
    pub line: usize,
}

impl Panel<'_> {
    /// Without gradients: logits `[keys, line]` become weights before they are divided by their sums, dropped ones 0. Returns what to
    /// multiply each lane's results by.
    ///
    /// With the gradients of the weights: logits become weights as they meet the values, gradients those of the logits. What it returns
    /// is 1 then.
    pub fn softmax<T: Element>(&self, logits: &mut [T], gradients: Option<&mut [T]>) -> [T; LONGEST] {
        match self.line {
            8 => self.run::<T, 8>(logits, gradients),
            16 => self.run::<T, 16>(logits, gradients),
            32 => self.run::<T, 32>(logits, gradients),
            line => panic!("a panel of {line} lanes"),
        }
    }

    fn run<T: Element, const W: usize>(&self, logits: &mut [T], gradients: Option<&mut [T]>) -> [T; LONGEST] {
        let all = (logits.len() / W) as u32;
        let mut visible = [all; W];
        if let Some(seen) = self.problem.visible {
            visible[..self.count].copy_from_slice(&seen[self.first..self.first + self.count]);
        }
        let whole = visible.iter().copied().min().unwrap_or(all) as usize;
        let mask = self.problem.mask.map(|mask| {
            let rows = [0; W].map(|_| mask.row(0));
            let mut lanes = Lanes { rows, factor: T::of(mask.factor()) };
            for l in 0..self.count {
                lanes.rows[l] = mask.row(((self.first + l) * self.problem.heads + self.head) as u64);
            }
            lanes
        });
        let inverse = Arch::new().dispatch(Softmax { logits, gradients, visible, whole, mask });
        let mut out = [T::zero(); LONGEST];
        out[..W].copy_from_slice(&inverse);
        out
    }
}

/// The dropout of each lane.
struct Lanes<T, const W: usize> {
    rows: [RowMask; W],
    factor: T,
}

struct Softmax<'a, T, const W: usize> {
    logits: &'a mut [T],
    gradients: Option<&'a mut [T]>,
    visible: [u32; W],
    /// Keys that all lanes see.
    whole: usize,
    mask: Option<Lanes<T, W>>,
}

impl<T: Element, const W: usize> WithSimd for Softmax<'_, T, W> {
    type Output = [T; W];
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [T; W] {
        let Self { logits, gradients, visible, whole, mask } = self;
        let rows = logits.as_chunks_mut::<W>().0;
        let (seen, partly) = rows.split_at_mut(whole);
        let mut most = [masked::<T>(); W];
        for row in seen.iter() {
            for l in 0..W {
                most[l] = larger(row[l], most[l]);
            }
        }
        for (k, row) in partly.iter_mut().enumerate() {
            for l in 0..W {
                row[l] = if (whole + k) as u32 >= visible[l] { masked() } else { row[l] };
                most[l] = larger(row[l], most[l]);
            }
        }
        let mut sums = [T::zero(); W];
        for row in seen {
            for l in 0..W {
                row[l] = (row[l] - most[l]).relative_exponential();
                sums[l] += row[l];
            }
        }
        for (k, row) in partly.iter_mut().enumerate() {
            for l in 0..W {
                let e = (row[l] - most[l]).relative_exponential();
                row[l] = if (whole + k) as u32 >= visible[l] { T::zero() } else { e };
                sums[l] += row[l];
            }
        }
        // a query that sees nothing has weights of 0
        let mut inverse = sums.map(|sum| if sum == T::zero() { T::zero() } else { T::one() / sum });
        let Some(gradients) = gradients else {
            if let Some(mask) = mask {
                for (k, row) in rows.iter_mut().enumerate() {
                    for l in 0..W {
                        row[l] = if mask.rows[l].keeps(k as u32) { row[l] } else { T::zero() };
                    }
                }
                inverse = inverse.map(|inverse| inverse * mask.factor);
            }
            return inverse;
        };
        let of_rows = gradients.as_chunks_mut::<W>().0;
        let mut dots = [T::zero(); W];
        match mask {
            None => {
                for (row, of_row) in rows.iter_mut().zip(of_rows.iter_mut()) {
                    for l in 0..W {
                        row[l] *= inverse[l];
                        dots[l] = row[l].mul_add(of_row[l], dots[l]);
                    }
                }
                for (row, of_row) in rows.iter_mut().zip(of_rows) {
                    for l in 0..W {
                        of_row[l] = row[l] * (of_row[l] - dots[l]);
                    }
                }
            }
            Some(mask) => {
                for (k, (row, of_row)) in rows.iter_mut().zip(of_rows.iter_mut()).enumerate() {
                    for l in 0..W {
                        row[l] *= inverse[l];
                        let factor = if mask.rows[l].keeps(k as u32) { mask.factor } else { T::zero() };
                        of_row[l] *= factor;
                        dots[l] = row[l].mul_add(of_row[l], dots[l]);
                    }
                }
                for (k, (row, of_row)) in rows.iter_mut().zip(of_rows).enumerate() {
                    for l in 0..W {
                        of_row[l] = row[l] * (of_row[l] - dots[l]);
                        let factor = if mask.rows[l].keeps(k as u32) { mask.factor } else { T::zero() };
                        row[l] *= factor;
                    }
                }
            }
        }
        [T::one(); W]
    }
}
