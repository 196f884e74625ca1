//! Functions of single similarities, given by points.

use super::{GenericRowLoss, RowPairs, Sums, compared, hide};
use crate::vector::Element;
use std::sync::Arc;

/// The sum over negatives of a function of the similarity, linear between equally spaced points of [-1, 1]; the derivatives of
/// positives are those of a function of their own, whose values do not count. Histogram loss (Ustinova and Lempitsky 2016) for
/// histograms that are known.
#[derive(Clone, Debug)]
pub struct PairCurves {
    /// Values at the points of positives and of negatives; two points at least, as many of both.
    pub points: [Arc<[f64]>; 2],
}

impl PairCurves {
    /// The point below similarity `s`, and how far it is on the way to the next.
    #[inline]
    pub fn place(s: f64, points: usize) -> (usize, f64) {
        let at = (s.clamp(-1.0, 1.0) + 1.0) * 0.5 * (points - 1) as f64;
        // NaN is at point 0, with a NaN part of the way
        let low = (at as usize).min(points - 2);
        (low, at - low as f64)
    }

    fn at(&self, s: f64, side: usize) -> (f64, f64) {
        let points = &self.points[side];
        let (low, part) = Self::place(s, points.len());
        let rise = points[low + 1] - points[low];
        (points[low] + part * rise, rise * 0.5 * (points.len() - 1) as f64)
    }
}

impl<T: Element> GenericRowLoss<T> for PairCurves {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let mut value = 0.0;
        for s in row.iter_mut() {
            if compared(*s) {
                let (cost, slope) = self.at(s.f64(), 1);
                value += cost;
                *s = T::of(slope);
            } else {
                *s = T::zero();
            }
        }
        for (j, s) in pairs.positives().zip(kept.iter()) {
            let (cost, slope) = self.at(s.f64(), 0);
            row[j] = T::of(slope);
            value += if cost.is_nan() { cost } else { 0.0 };
        }
        (value, Sums::default())
    }
}
