//! Ranks of the positives, smoothed.

use super::{GenericRowLoss, RowPairs, Sums, hide};
use crate::scalar::logistic;
use crate::vector::{self, Element};

/// What a positive costs that is number `p` among the positives, with `r` negatives before it; both are smooth, p from 1 on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RankCost {
    /// `r / (p + r)`: one less average precision (Smooth-AP, Brown et al. 2020, equation 7).
    AveragePrecision,
    /// `r` (PNP, Li et al. 2021: the original function; so all below).
    Negatives,
    /// `log(1 + r)`: the slowly decreasing function.
    Logarithm,
    /// `1 - (1 + r)^-alpha`: the quickly decreasing one.
    Power(f64),
    /// `(1 + r) log(1 + r)`: the unboundedly increasing one.
    Increasing,
    /// `(b r - log(1 + b r)) / b^2`: the boundedly increasing one.
    Bounded(f64),
}

impl RankCost {
    /// Cost and derivatives by p and r.
    fn of(self, p: f64, r: f64) -> (f64, f64, f64) {
        let all = p + r;
        match self {
            Self::AveragePrecision => (r / all, -r / (all * all), p / (all * all)),
            Self::Negatives => (r, 0.0, 1.0),
            Self::Logarithm => (r.ln_1p(), 0.0, 1.0 / (1.0 + r)),
            Self::Power(alpha) => {
                let share = (-alpha * r.ln_1p()).exp();
                (1.0 - share, 0.0, alpha * share / (1.0 + r))
            }
            Self::Increasing => ((1.0 + r) * r.ln_1p(), 0.0, r.ln_1p() + 1.0),
            Self::Bounded(b) => ((b * r - (b * r).ln_1p()) / (b * b), 0.0, r / (1.0 + b * r)),
        }
    }
}

/// The mean cost of an anchor's positives at their places in the ranking by similarity, the anchor itself one of them: of positive j
/// `p = 1 + sum_k sigma((s_k - s_j) / temperature)` over the other positives, and r the same sum over the negatives.
///
/// P positives among m candidates take P m steps. A row without positives other than itself is 0. Sums: how many rows have one.
#[derive(Clone, Copy, Debug)]
pub struct PositiveRanks {
    /// How smooth ranks are.
    pub temperature: f64,
    /// What they cost.
    pub cost: RankCost,
}

impl<T: Element> GenericRowLoss<T> for PositiveRanks {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        let itself = pairs.own.map(|j| (j, row[j].f64()));
        hide(pairs, row, kept);
        if kept.is_empty() {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        let positives = pairs.positives().zip(kept.iter().map(|s| s.f64()));
        let positives: Vec<(usize, f64)> = itself.into_iter().chain(positives).collect();
        let (sharpness, share) = (1.0 / self.temperature, 1.0 / positives.len() as f64);
        let negatives = row.to_vec();
        let mut shares = negatives.clone();
        let mut slopes = vec![0.0; positives.len()];
        let mut value = 0.0;
        row.fill(T::zero());
        for (j, &(_, s)) in positives.iter().enumerate() {
            shares.copy_from_slice(&negatives);
            let (_, before, _) = vector::sigmoid_in_place(&mut shares, T::of(sharpness), T::of(-s * sharpness));
            let among = |k: usize| if k == j { 0.0 } else { logistic((positives[k].1 - s) * sharpness) };
            let place = 1.0 + (0..positives.len()).map(among).sum::<f64>();
            let (cost, by_place, by_before) = self.cost.of(place, before.f64());
            value += cost * share;
            let (by_place, by_before) = (by_place * sharpness * share, by_before * sharpness * share);
            let factor = T::of(by_before);
            let mut total = T::zero();
            for (slope, &x) in row.iter_mut().zip(&shares) {
                let bend = x * (T::one() - x);
                *slope = bend.mul_add(factor, *slope);
                total += bend;
            }
            slopes[j] -= total.f64() * by_before;
            for k in 0..positives.len() {
                let x = among(k);
                slopes[k] += by_place * x * (1.0 - x);
                slopes[j] -= by_place * x * (1.0 - x);
            }
        }
        positives.iter().zip(slopes).for_each(|(&(j, _), slope)| row[j] = T::of(slope));
        (value, [1.0, 0.0, 0.0, 0.0])
    }
}
