//! Lifted structure loss of pairs.

use super::losses::{distance, logistic, softplus};
use super::{RowLoss, RowPairs, Sums, compared, hide};
use crate::vector::Element;
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
    fn level<T: Element>(&self, negatives: &[T]) -> f64 {
        let logits = || negatives.iter().filter(|s| compared(**s)).map(|s| self.negative - distance(*s).0);
        let top = logits().fold(f64::NEG_INFINITY, f64::max);
        match negatives.iter().any(|s| s.is_nan()) {
            true => f64::NAN,
            false if top == f64::NEG_INFINITY => top,
            false => top + logits().map(|x| (x - top).exp()).sum::<f64>().ln(),
        }
    }
}

impl<T: Element> RowLoss<T> for LiftedPairs {
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
        for s in row.iter_mut() {
            let (d, derivative) = distance(*s);
            *s = T::of(if compared(*s) { -push * (self.negative - d - own).exp() * derivative } else { 0.0 });
        }
        pairs.positives().zip(kept.iter()).for_each(|(j, slope)| row[j] = *slope);
        (value, count)
    }
}
