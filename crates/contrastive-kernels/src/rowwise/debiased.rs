//! Debiased and hard-negative InfoNCE.

use super::{RowLoss, RowPairs, Sums, hide, nothing};
use crate::real::Real;
use crate::vector::{self, Element};

/// Debiased InfoNCE (Chuang et al. 2020), and its form with hard negatives (Robinson et al. 2021), of a row with one positive (of
/// several, the first): with the logits `scale s`, `s+` that of the positive, and `N` negatives,
///
/// ```text
/// R = N sum e^{(1 + beta) s} / sum e^{beta s}                  (beta = 0: the plain sum)
/// G = max((R - hidden N e^{s+}) / (1 - hidden), N e^{-scale})      value = log(1 + G / e^{s+})
/// ```
///
/// A row without a positive or without negatives counts as 0.
#[derive(Clone, Copy, Debug)]
pub struct Debiased {
    /// Inverse temperature.
    pub scale: f64,
    /// The share of the negatives that are hidden positives, in `[0, 1)`.
    pub hidden: f64,
    /// beta.
    pub hardness: f64,
}

impl Debiased {
    /// A row's value, and its derivatives by log R and by the positive logit. All exponentials are taken relative to the larger
    /// of the two.
    fn value(&self, positive: f64, log_sum: f64, others: f64) -> [f64; 3] {
        let top = positive.max(log_sum);
        let (p, r) = ((positive - top).exp(), (log_sum - top).exp());
        let free = (r - self.hidden * others * p) / (1.0 - self.hidden);
        let least = (others.ln() - self.scale - top).exp();
        // in this order, so that what is not a number stays none
        let (negatives, by_sum, by_positive) = match free <= least {
            true => (least, 0.0, 0.0),
            false => (free, r / (1.0 - self.hidden), -self.hidden * others * p / (1.0 - self.hidden)),
        };
        let all = p + negatives;
        [all.ln() + top - positive, by_sum / all, (p + by_positive) / all - 1.0]
    }
}

impl<T: Element> RowLoss<T> for Debiased {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let none = pairs.excluded.len() + usize::from(pairs.own.is_some());
        let others = row.len().saturating_sub(kept.len() + none) as f64;
        let Some(at) = pairs.positives().next().filter(|_| others > 0.0) else {
            row.fill(T::zero());
            return (0.0, Sums::default());
        };
        let positive = self.scale * kept[0].f64();
        let highest = vector::max(row).f64();
        if highest <= nothing::<T>().f64() {
            // there are negatives, but no numbers
            row.fill(T::nan());
            return (f64::NAN, Sums::default());
        }
        let (hard, soft) = ((1.0 + self.hardness) * self.scale, self.hardness * self.scale);
        let (value, by_sum, by_positive);
        if self.hardness > 0.0 {
            // the exponentials of both sums are kept, one in a row of its own
            kept.resize(row.len(), T::zero());
            let scales = [hard, soft].map(T::of);
            let sums = vector::exp_both(row, kept, scales, [hard, soft].map(|scale| T::of(-scale * highest)));
            let [sum, weights] = sums.map(Real::f64);
            let log_sum = others.ln() + sum.ln() - weights.ln() + self.scale * highest;
            [value, by_sum, by_positive] = self.value(positive, log_sum, others);
            vector::combine(row, kept, [by_sum * hard / sum, -by_sum * soft / weights].map(T::of));
        } else {
            let (sum, _) = vector::exp_in_place(row, T::of(hard), T::of(-hard * highest));
            let sum = sum.f64();
            [value, by_sum, by_positive] = self.value(positive, sum.ln() + hard * highest, others);
            vector::scale(row, T::of(by_sum * hard / sum));
        }
        row[at] = T::of(by_positive * self.scale);
        (value, Sums::default())
    }
}
