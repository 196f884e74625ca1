//! Lifted structure loss of pairs.

use super::losses::{distance, distance_of};
use super::{GenericRowLoss, RowPairs, Sums, compared, hide};
use crate::scalar::{logistic, softplus};
use crate::vector::{self, Element};
use std::sync::Arc;

/// Lifted structured embedding (Song et al. 2016, equation 4) on distances d of unit rows: of every positive pair (i, p) half of
/// `max(0, J)^2` with `J = d_ip - positive + log(e^{L_i} + e^{L_p})`, where `L_i = log sum_n e^{negative - d_in}` over the negatives of
/// i. Rows of one table against themselves.
///
/// The derivative of the sum over all rows is complete: a row has what its own `L` does in the rows of its positives, too. Sums: the
/// number of positive pairs.
#[derive(Clone, Debug)]
pub struct LiftedPairs {
    /// Distances of positives up to here are free.
    pub positive: f64,
    /// Negatives farther than this weigh little.
    pub negative: f64,
    /// `L` of every row, minus infinity for one without negatives; while they are not known, that is the value of a row.
    pub levels: Option<Arc<[f64]>>,
}

impl LiftedPairs {
    /// `L` of a row; nothing is left of it.
    fn level<T: Element>(&self, negatives: &mut [T]) -> f64 {
        if !negatives.iter().any(|s| compared(*s)) {
            return f64::NEG_INFINITY;
        }
        // the nearest has the largest term; those of what is hidden vanish
        let top = distance_of(vector::max(negatives)).0;
        let [sum] = vector::map_sums(negatives, move |s| {
            let e = (top - distance_of(s).0).relative_exponential();
            (e, [e])
        });
        self.negative - top.f64() + sum.ln()
    }
}

impl<T: Element> GenericRowLoss<T> for LiftedPairs {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let count = [kept.len() as f64, 0.0, 0.0, 0.0];
        let Some(levels) = &self.levels else { return (self.level(row), count) };
        let own = levels[pairs.own.expect("rows of a table against itself")];
        if own == f64::NEG_INFINITY {
            row.fill(T::zero());
            return (0.0, count);
        }
        let (mut value, mut push) = (0.0, 0.0);
        for (j, s) in pairs.positives().zip(kept.iter_mut()) {
            let (d, derivative) = distance(*s);
            let over = d - self.positive + own + softplus(levels[j] - own);
            *s = T::zero();
            if over > 0.0 || over.is_nan() {
                value += 0.5 * over * over;
                // once here, once in the positive's own row
                push += 2.0 * over * logistic(own - levels[j]);
                *s = T::of(over * derivative);
            }
        }
        let (push, level) = (T::of(push), T::of(self.negative - own));
        let [] = vector::map_sums(row, move |s| {
            let (d, derivative) = distance_of(s);
            (-push * (level - d).relative_exponential() * derivative, [])
        });
        pairs.positives().zip(kept.iter()).for_each(|(j, slope)| row[j] = *slope);
        (value, count)
    }
}
