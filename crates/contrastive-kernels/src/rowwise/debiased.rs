//! Debiased and hard-negative InfoNCE, row by row, and of a table against itself by tiles.

use super::{GenericRowLoss, RowOutput, RowPairs, RowProblem, Sums, hide, nothing};
use crate::real::Real;
pub use crate::softmax::Debiased;
use crate::softmax::{Denominator, RowValue, TwoSidedProblem, two_sided};
use crate::vector::{self, Element};

impl<T: Element> GenericRowLoss<T> for Debiased {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let none = pairs.excluded.len() + usize::from(pairs.own.is_some());
        let others = row.len().saturating_sub(kept.len() + none) as f64;
        let Some(at) = pairs.positives().next().filter(|_| others > 0.0) else {
            row.fill(T::zero());
            return (0.0, Sums::default());
        };
        let positive = self.scale * kept[0].f64();
        let top = vector::max(row);
        let highest = top.f64();
        if highest <= nothing::<T>().f64() {
            // there are negatives, but all are NaN
            row.fill(T::nan());
            return (f64::NAN, Sums::default());
        }
        let hardness = if self.is_hard() { self.hardness } else { 0.0 };
        let (hard, soft) = ((1.0 + hardness) * self.scale, hardness * self.scale);
        let (value, by_sum, by_positive);
        if self.is_hard() {
            // the exponentials of both sums are kept, one in a row of its own
            kept.resize(row.len(), T::zero());
            let scales = [hard, soft].map(T::of);
            let shift = |scale: f64| T::of(-vector::top_logit(top, scale));
            let sums = vector::exp_both(row, kept, scales, [hard, soft].map(shift));
            let [sum, weights] = sums.map(Real::f64);
            let log_sum = others.ln() + sum.ln() - weights.ln() + self.scale * highest;
            [value, by_sum, by_positive] = self.value(positive, log_sum, others);
            vector::combine(row, kept, [by_sum * hard / sum, -by_sum * soft / weights].map(T::of));
        } else {
            let (sum, _) = vector::exp_in_place(row, T::of(hard), T::of(-vector::top_logit(top, hard)));
            let sum = sum.f64();
            [value, by_sum, by_positive] = self.value(positive, sum.ln() + hard * highest, others);
            vector::scale(row, T::of(by_sum * hard / sum));
        }
        row[at] = T::of(by_positive * self.scale);
        (value, Sums::default())
    }

    fn table(&self, problem: &RowProblem<'_, T>) -> Option<RowOutput<T>> {
        let n = problem.anchors.len() / problem.width;
        // each row's positive has that row as its own, and neither has another
        let paired = |i: usize| {
            let mut own = problem.pairs(i).positives();
            let back = |j: usize| problem.pairs(j).positives().next() == Some(i);
            own.next().is_none_or(back) && own.next().is_none()
        };
        if problem.excluded.is_some() || !(0..n).all(paired) {
            return None;
        }
        let ones = vec![T::one(); n];
        let sides = TwoSidedProblem {
            anchors: problem.anchors,
            candidates: None,
            width: problem.width,
            scale: T::of(self.scale),
            positives: problem.positives,
            column_positives: None,
            mean: false,
            value: RowValue::Debiased(*self),
            denominator: Denominator::NegativesOnly,
            row_weights: &ones,
            column_weights: &[],
            gradients: problem.wanted.any(),
        };
        sides.is_in_range().then(|| {
            let out = two_sided(&sides);
            RowOutput { value: out.value, rows: out.rows, anchors: out.anchors, ..RowOutput::default() }
        })
    }
}
