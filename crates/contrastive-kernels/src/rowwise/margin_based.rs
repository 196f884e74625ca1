//! Margin-based loss.

use super::losses::distance;
use super::{RowLoss, RowPairs, Sums, compared, hide};
use crate::vector::Element;
use std::sync::Arc;

/// Margin-based loss (Wu et al. 2017, equation 5) of distances d of unit rows, over triplets (a, p, n):
/// `max(0, d_ap - beta + margin) + max(0, beta - d_an + margin)`, the sum over an anchor's triplets. Rows of one table against
/// themselves.
///
/// Sums: how many of the terms are above 0.
#[derive(Clone, Debug)]
pub struct MarginBased {
    /// How far from beta distances are to be.
    pub margin: f64,
    /// The boundary between positives and negatives, of each anchor.
    pub betas: Arc<[f64]>,
    /// The row's value is the derivative by its beta instead; for values alone.
    pub by_beta: bool,
}

impl<T: Element> RowLoss<T> for MarginBased {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        let beta = self.betas[pairs.own.expect("rows of a table against itself")];
        hide(pairs, row, kept);
        let (near, far) = (kept.len() as f64, row.iter().filter(|s| compared(**s)).count() as f64);
        if near == 0.0 || far == 0.0 {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        // costs and their numbers, of positives and negatives; each stands in as many triplets as there are of the others
        let mut costs = [[0.0; 2]; 2];
        let mut cost = |s: T, side: usize| {
            let (d, derivative) = distance(s);
            let sign = if side == 0 { 1.0 } else { -1.0 };
            let over = sign * (d - beta) + self.margin;
            if over > 0.0 || over.is_nan() {
                costs[side] = [costs[side][0] + over, costs[side][1] + 1.0];
                return T::of(sign * derivative * if side == 0 { far } else { near });
            }
            T::zero()
        };
        for s in row.iter_mut() {
            *s = if compared(*s) { cost(*s, 1) } else { T::zero() };
        }
        for (j, s) in pairs.positives().zip(kept.iter()) {
            row[j] = cost(*s, 0);
        }
        let [[near_cost, near_count], [far_cost, far_count]] = costs;
        let value = match self.by_beta {
            true => near * far_count - far * near_count,
            false => far * near_cost + near * far_cost,
        };
        (value, [far * near_count + near * far_count, 0.0, 0.0, 0.0])
    }
}
