//! Step 2 of [`super::rows`]: what the stripes found of a row becomes its value and its coefficients.

use super::rows::{Positive, Stripe, inside};
use super::{Denominator, PositiveWeights, SoftmaxOutput, SoftmaxProblem};
use crate::vector::{self, Element};
use rayon::prelude::*;

/// The positives of one row inside one stripe, summed.
#[derive(Clone, Copy)]
pub(super) struct Pull<T> {
    /// Sum of the target weights.
    weight: T,
    /// Outside: sum of weight times clamped logit. Inside: sum of weight times exponential relative to `max`.
    sum: T,
    /// The same sums with the inner product as a further factor, over the positives with a gradient of their own.
    moment: T,
    /// Largest logit of a positive with weight; not with the sum outside.
    max: T,
}

impl<T: Element> Pull<T> {
    pub fn none() -> Self {
        Self { weight: T::zero(), sum: T::zero(), moment: T::zero(), max: T::neg_infinity() }
    }

    pub fn of(problem: &SoftmaxProblem<'_, T>, positives: &[Positive<T>]) -> Self {
        let mut pull = Self::none();
        if inside(problem) {
            let weighted = positives.iter().filter(|p| p.weight != T::zero());
            pull.max = weighted.clone().fold(T::neg_infinity(), |m, p| m.max(p.logit));
            for p in weighted {
                let e = p.weight * (p.logit - pull.max).exp();
                pull.weight += p.weight;
                pull.sum += e;
                pull.moment += e * p.dot;
            }
            return pull;
        }
        for p in positives {
            let clamped = problem.clamped(p.logit);
            pull.weight += p.weight;
            pull.sum += p.weight * clamped;
            if clamped == p.logit {
                pull.moment += p.weight * p.dot;
            }
        }
        pull
    }

    fn join(&mut self, other: &Self, inside: bool) {
        self.weight += other.weight;
        if !inside {
            self.sum += other.sum;
            self.moment += other.moment;
        } else if other.weight != T::zero() {
            let max = self.max.max(other.max);
            let (a, b) = ((self.max - max).exp(), (other.max - max).exp());
            self.sum = self.sum * a + other.sum * b;
            self.moment = self.moment * a + other.moment * b;
            self.max = max;
        }
    }
}

/// What a row knows after its stripes are merged.
#[derive(Clone, Copy, Default)]
pub(super) struct Row<T> {
    /// `l_i`.
    pub value: T,
    /// d value / d scale_i.
    pub moment: T,
    /// Has it positives and a denominator?
    active: bool,
    /// Largest term of the denominator, and the sum relative to it.
    max: T,
    sum: T,
    /// Logarithm of the sum over positives, for the sum inside, or, of far logits, the largest of them with the sum relative to it; else 1.
    inner: T,
    inner_sum: T,
}

impl<T: Element> SoftmaxProblem<'_, T> {
    /// The logit of a positive as it stands in the value.
    fn clamped(&self, s: T) -> T {
        self.positive_clamp.map_or(s, |c| {
            if s > c {
                c
            } else if s < -c {
                -c
            } else {
                s
            }
        })
    }
}

/// d value / d logit of a positive, without its share in the denominator.
pub(super) fn coefficient<T: Element>(problem: &SoftmaxProblem<'_, T>, i: usize, row: &Row<T>, p: &Positive<T>) -> T {
    if !row.active || p.weight == T::zero() {
        return T::zero();
    }
    let weight = problem.row_weight(i) * p.weight;
    if inside(problem) {
        -weight * (p.logit - row.inner).exp() / row.inner_sum
    } else if problem.clamped(p.logit) == p.logit {
        -weight
    } else {
        T::zero()
    }
}

/// Merges the stripes of a block into row values, and writes each stripe's row factors. For a denominator of each positive
/// of a list, only the negatives are merged, and [`own_denominators`] does the rest.
pub(super) fn merge<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    i0: usize,
    counts: &[usize],
    state: &mut [Stripe<T>],
    merged: &mut [Row<T>],
    out: &mut SoftmaxOutput<T>,
) {
    let d = problem.width;
    let (zero, one) = (T::zero(), T::one());
    let inside = inside(problem);
    let own_of_lists = problem.denominator == Denominator::OwnPositive && problem.paired.is_none();
    let with_positive = problem.denominator != Denominator::NegativesOnly;
    let offset = if problem.offset > zero { problem.offset.ln() } else { T::neg_infinity() };

    let r = merged.len();
    let mut pulls = vec![Pull::none(); r];
    let mut highest = vec![offset; r];
    for stripe in state.iter() {
        vector::max_into(&mut highest, &stripe.max[..r]);
        if problem.positives.is_some() {
            pulls.iter_mut().zip(&stripe.pulls).for_each(|(all, part)| all.join(part, inside));
        }
    }
    let paired_of = |i: usize| {
        problem.paired.map(|p| {
            let dot = vector::dot(&problem.anchors[i * d..][..d], &p[i * d..][..d]);
            let weight = if let PositiveWeights::PerRow(t) = problem.weights { t[i] } else { one };
            Positive { row: 0, column: 0, weight, dot, logit: problem.scale.of(i) * dot, coefficient: zero }
        })
    };
    let pairs: Vec<Option<Positive<T>>> = (i0..i0 + r).map(paired_of).collect();
    for (p, highest) in pairs.iter().zip(&mut highest).filter(|_| with_positive) {
        // a maximum of numbers only: NaN comes back with the exponential
        *highest = p.map_or(*highest, |p| highest.max(if p.logit.is_nan() { zero } else { p.logit }));
    }
    let (mut sums, mut moments) = (vec![zero; r], vec![zero; r]);
    for stripe in state.iter_mut() {
        let totals = [&mut sums[..], &mut moments[..]];
        let parts = [&stripe.sum[..r], &stripe.dot[..r]];
        vector::join_sums(&highest, &mut stripe.factor[..r], totals, &stripe.max[..r], parts);
    }

    // what the factors of the stripes are multiplied by; none for a row without value
    let mut factors = vec![Some(one); r];
    for (k, row) in merged.iter_mut().enumerate() {
        let i = i0 + k;
        let (max, moment, paired) = (highest[k], moments[k], pairs[k]);
        *row = Row { max, sum: sums[k], ..Row::default() };
        let pull = paired.map_or(pulls[k], |p| Pull::of(problem, &[p]));
        let count = if paired.is_some() { 1 } else { counts[k] };
        let empty = max == T::neg_infinity() && !own_of_lists;
        row.active = count > 0 && !empty && !(inside && pull.weight == zero);
        if !row.active {
            factors[k] = None;
            continue;
        }
        row.moment = moment;
        if own_of_lists {
            continue;
        }
        if offset > T::neg_infinity() {
            row.sum += (offset - max).exp();
        }
        let share = paired.filter(|_| with_positive).map_or(zero, |p| (p.logit - max).exponential());
        row.sum += share;
        let weight = problem.row_weight(i);
        let total = if inside { one } else { problem.denominator_weights.map_or(pull.weight, |a| a[i]) };
        let common = weight * total / row.sum;
        let log = max + row.sum.ln();
        if inside {
            // of far logits the logarithm of the sum is lost beside the largest
            let far = pull.max.abs() >= T::of(vector::FAR);
            let inner = pull.max + pull.sum.ln();
            (row.inner, row.inner_sum) = if far { (pull.max, pull.sum) } else { (inner, one) };
            row.value = log - inner;
            row.moment = common * moment - weight * pull.moment / pull.sum;
        } else {
            row.value = total * log - pull.sum;
            row.moment = common * moment - weight * pull.moment;
        }
        factors[k] = Some(common);
        if let Some(p) = paired {
            row.moment += common * share * p.dot;
            if !out.paired.is_empty() {
                let g = (common * share + coefficient(problem, i, row, &p)) * problem.scale.of(i);
                let other = &problem.paired.unwrap_or_default()[i * d..][..d];
                vector::axpy(&mut out.paired[i * d..][..d], g, &problem.anchors[i * d..][..d]);
                vector::axpy(&mut out.anchors[i * d..][..d], g, other);
            }
        }
    }
    for stripe in state.iter_mut() {
        for (f, by) in stripe.factor.iter_mut().zip(&factors) {
            *f = by.map_or(zero, |by| *f * by);
        }
    }
}

/// A denominator of its own for each positive, `e^{s_p} + negatives`: row values, coefficients and factors.
pub(super) fn own_denominators<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    i0: usize,
    state: &mut [Stripe<T>],
    merged: &mut [Row<T>],
) {
    let zero = T::zero();
    // for each stripe and row: value, d value / d (sum of the negatives), and the positives' own moment
    let parts: Vec<Vec<[T; 3]>> = state
        .par_iter_mut()
        .with_max_len(1)
        .map(|stripe| {
            let mut parts = vec![[zero; 3]; if stripe.positives.is_empty() { 0 } else { merged.len() }];
            for p in &mut stripe.positives {
                let row = &merged[p.row as usize];
                let part = &mut parts[p.row as usize];
                let weight = problem.row_weight(i0 + p.row as usize) * p.weight;
                let max = if row.max > p.logit { row.max } else { p.logit };
                let own = (p.logit - max).exponential();
                let negatives = (row.max - max).exponential();
                let sum = own + negatives * row.sum;
                let clamped = problem.clamped(p.logit);
                let pull = if clamped == p.logit { weight } else { zero };
                p.coefficient = weight * own / sum - pull;
                part[0] += p.weight * (max + sum.ln() - clamped);
                part[1] += weight * negatives / sum;
                part[2] += p.coefficient * p.dot;
            }
            parts
        })
        .collect();
    for (k, row) in merged.iter_mut().enumerate().filter(|(_, row)| row.active) {
        let mut sums = [zero; 3];
        for part in parts.iter().filter_map(|parts| parts.get(k)) {
            (0..3).for_each(|q| sums[q] += part[q]);
        }
        row.value = sums[0];
        row.moment = row.moment * sums[1] + sums[2];
        state.iter_mut().for_each(|s| s.factor[k] *= sums[1]);
    }
}
