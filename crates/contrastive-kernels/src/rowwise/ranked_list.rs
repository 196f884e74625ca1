//! Ranked list loss.

use super::losses::distance;
use super::{GenericRowLoss, RowPairs, Sums, compared, hide};
use crate::vector::Element;

/// Ranked list loss (Wang et al. 2019, equations 6 to 12) on distances d of unit rows: positives beyond `alpha - margin` and negatives
/// within `alpha` cost what they are beyond it, x; on each side the mean of x weighted by `e^{temperature x}`.
///
/// To the sum of the weights is added 1e-5 for each candidate, as in the released code.
#[derive(Clone, Copy, Debug)]
pub struct RankedList {
    /// Positives are to be nearer than `alpha - margin`.
    pub margin: f64,
    /// Negatives are to be farther than this.
    pub alpha: f64,
    /// Weights of positives and negatives.
    pub weights: [f64; 2],
    /// Temperatures of positives and negatives.
    pub temperatures: [f64; 2],
}

impl RankedList {
    /// What is added to the sum of the weights for each candidate.
    pub const OFFSET: f64 = 1e-5;

    /// The weighted mean of `costs` (what is beyond, and its derivative by the similarity), which become derivatives.
    fn mean(&self, costs: &mut [(f64, f64)], side: usize, candidates: usize) -> f64 {
        let t = self.temperatures[side];
        let top = costs.iter().fold(0.0, |top: f64, (x, _)| top.max(t * x));
        let weight = |x: f64| if x > 0.0 || x.is_nan() { (t * x - top).exp() } else { 0.0 };
        let (mut sum, mut dot) = (Self::OFFSET * candidates as f64 * (-top).exp(), 0.0);
        for (x, _) in costs.iter() {
            sum += weight(*x);
            dot += weight(*x) * x.max(0.0);
            // the maximum with 0 hides NaN
            dot += if x.is_nan() { f64::NAN } else { 0.0 };
        }
        let mean = if sum > 0.0 { dot / sum } else { dot };
        for (x, slope) in costs {
            *slope *= self.weights[side] * weight(*x) * (1.0 + t * (*x - mean)) / sum.max(f64::MIN_POSITIVE);
        }
        mean * self.weights[side]
    }
}

impl<T: Element> GenericRowLoss<T> for RankedList {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let m = row.len();
        let beyond = |s: T, side: usize| {
            let (d, derivative) = distance(s);
            match side {
                0 => (d - (self.alpha - self.margin), derivative),
                _ => (self.alpha - d, -derivative),
            }
        };
        let mut near: Vec<(f64, f64)> = kept.iter().map(|s| beyond(*s, 0)).collect();
        let mut far: Vec<(f64, f64)> = row.iter().filter(|s| compared(**s)).map(|s| beyond(*s, 1)).collect();
        let value = self.mean(&mut near, 0, m) + self.mean(&mut far, 1, m);
        let mut slopes = far.into_iter();
        for s in row.iter_mut() {
            let slope = if compared(*s) { slopes.next() } else { None };
            *s = T::of(slope.map_or(0.0, |f| f.1));
        }
        pairs.positives().zip(near).for_each(|(j, (_, slope))| row[j] = T::of(slope));
        (value, Sums::default())
    }
}
