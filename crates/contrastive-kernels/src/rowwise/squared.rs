//! Squared hinges of similarities.

use super::{GenericRowLoss, RowPairs, Sums, hide};
use crate::vector::{self, Element};

/// `max(0, positive - s)^2` of positives and `max(0, s - negative)^2` of negatives, each side with its weight: intra-pair variance
/// loss (Yu and Tao 2019) when the margins are shares of the mean similarities.
///
/// Sums: the hinges of positives and of negatives, neither squared nor weighted.
#[derive(Clone, Copy, Debug)]
pub struct SquaredMargins {
    /// The margin of the positives.
    pub positive: f64,
    /// The margin of the negatives.
    pub negative: f64,
    /// Weights of positives and negatives.
    pub weights: [f64; 2],
}

impl<T: Element> GenericRowLoss<T> for SquaredMargins {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let [near, far] = self.weights;
        let (margin, slope, zero) = (T::of(self.negative), T::of(2.0 * far), T::zero());
        let [squares, overs] = vector::map_sums(row, move |s| {
            let over = s - margin;
            let over = if over <= zero { zero } else { over };
            (slope * over, [over * over, over])
        });
        let (mut value, mut sums) = (far * squares, [0.0, overs, 0.0, 0.0]);
        for (j, s) in pairs.positives().zip(kept.iter()) {
            let under = self.positive - s.f64();
            if under > 0.0 || under.is_nan() {
                value += near * under * under;
                sums[0] += under;
                row[j] = T::of(-2.0 * near * under);
            }
        }
        (value, sums)
    }
}
