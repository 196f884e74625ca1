//! Margin-based loss.

use super::losses::{distance, distance_of};
use super::{GenericRowLoss, RowPairs, Sums, compared, hide, nothing};
use crate::vector::{self, Element};
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

impl<T: Element> GenericRowLoss<T> for MarginBased {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        let beta = self.betas[pairs.own.expect("rows of a table against itself")];
        hide(pairs, row, kept);
        let (near, far) = (kept.len() as f64, row.iter().filter(|s| compared(**s)).count() as f64);
        if near == 0.0 || far == 0.0 {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        // costs and their numbers, of positives and negatives; each stands in as many triplets as there are of the others
        let (level, weight, one, zero) = (T::of(beta + self.margin), T::of(near), T::one(), T::zero());
        let nothing = nothing();
        let [far_cost, far_count] = vector::map_sums(row, move |s| {
            let (d, derivative) = distance_of(s);
            let (over, slope) = (level - d, -weight * derivative);
            let none = (over <= zero) | (s <= nothing);
            let of = |x: T| if none { zero } else { x };
            (of(slope), [of(over), of(one)])
        });
        let (mut near_cost, mut near_count) = (0.0, 0.0);
        for (j, s) in pairs.positives().zip(kept.iter()) {
            let (d, derivative) = distance(*s);
            let over = d - beta + self.margin;
            if over > 0.0 || over.is_nan() {
                (near_cost, near_count) = (near_cost + over, near_count + 1.0);
                row[j] = T::of(derivative * far);
            }
        }
        let value = match self.by_beta {
            true => near * far_count - far * near_count,
            false => far * near_cost + near * far_cost,
        };
        (value, [far * near_count + near * far_count, 0.0, 0.0, 0.0])
    }
}
