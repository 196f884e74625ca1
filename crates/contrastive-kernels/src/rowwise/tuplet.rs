//! Tuplet margin loss.

use super::{GenericRowLoss, RowPairs, Sums, TargetMargin, hide, shares};
use crate::scalar::{logistic, softplus};
use crate::vector::{self, Element};

/// Tuplet margin loss (Yu and Tao 2019, equation 5): for each positive p of the row, `log(1 + sum_n e^{scale (s_n - y_p)})` with
/// `y_p = cos(angle_p - margin)`. Cosines beyond 1 - 1e-7 count as that.
///
/// Sums: the number of positives.
#[derive(Clone, Copy, Debug)]
pub struct TupletMargin {
    /// How much closer positives count, in radians.
    pub margin: f64,
    /// Inverse temperature.
    pub scale: f64,
}

impl<T: Element> GenericRowLoss<T> for TupletMargin {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let count = [kept.len() as f64, 0.0, 0.0, 0.0];
        let Some((all, _)) = shares(row, self.scale) else {
            return (kept.iter().filter(|s| s.is_nan()).map(|s| s.f64()).sum(), count);
        };
        let (mut value, mut push) = (0.0, 0.0);
        for s in kept.iter_mut() {
            let (cosine, slope) = TargetMargin::Angle(-self.margin).of(s.f64());
            let gap = all - self.scale * cosine;
            let share = logistic(gap);
            value += softplus(gap);
            push += share;
            *s = T::of(-share * slope);
        }
        vector::scale(row, T::of(push));
        pairs.positives().zip(kept.iter()).for_each(|(j, slope)| row[j] = *slope);
        (value, count)
    }

    fn factor(&self) -> f64 {
        self.scale
    }
}
