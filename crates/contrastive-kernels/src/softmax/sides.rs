//! What is known of logits before they are made, and what [`super::two_sided()`] keeps of each row and column between its passes.

use super::{PositiveWeights, RowSets, RowValue, SoftmaxProblem};
use crate::vector::{self, Element};
use pulp::Arch;
use rayon::prelude::*;

/// Logits whose maxima differ by more than this do not share an exponential. In `f32` an exponential below e^-87 is 0, so that at this
/// range what is below e^-27 (2e-12) of a row's largest term is lost.
pub(super) const SHARED_RANGE: f64 = 60.0;

/// Scale times the largest lengths of both sides, if logits between it and its negative share an exponential.
pub(super) fn logit_bound<T: Element>(scale: T, sides: [&[T]; 2], d: usize) -> Option<T> {
    let longest = |x: &[T]| {
        let squares = x.par_chunks(d * 256).map(|rows| {
            // a NaN length is longer than every other
            let longer = |m: T, s: T| if s > m || s.is_nan() { s } else { m };
            rows.chunks_exact(d).map(|row| vector::dot(row, row)).fold(T::zero(), longer)
        });
        squares.reduce(T::zero, |a, b| if a > b || a.is_nan() { a } else { b }).sqrt()
    };
    let bound = scale * longest(sides[0]) * longest(sides[1]);
    ((bound + bound).f64() <= SHARED_RANGE).then_some(bound)
}

/// A running sum of exponentials relative to `reference`.
#[derive(Clone, Copy)]
pub(super) struct LogSum<T> {
    pub reference: T,
    pub sum: T,
}

impl<T: Element> LogSum<T> {
    pub fn empty() -> Self {
        Self { reference: T::neg_infinity(), sum: T::zero() }
    }

    /// What a NaN logit makes of a sum.
    pub fn nan() -> Self {
        Self { reference: T::zero(), sum: T::nan() }
    }

    #[inline(always)]
    pub fn add(&mut self, other: Self) {
        if other.sum == T::zero() {
            return;
        }
        if other.reference > self.reference {
            self.sum = self.sum * (self.reference - other.reference).exponential() + other.sum;
            self.reference = other.reference;
        } else {
            self.sum += other.sum * (other.reference - self.reference).exponential();
        }
    }

    pub fn log(&self) -> T {
        self.reference + self.sum.ln()
    }
}

/// Adds sums to running sums, with the instructions that the exponentials are compiled for.
pub(super) fn add_each<T: Element>(logs: &mut [LogSum<T>], others: impl Iterator<Item = LogSum<T>>) {
    Arch::new().dispatch(|| logs.iter_mut().zip(others).for_each(|(log, other)| log.add(other)));
}

/// Each side's share in the exponentials of a tile against `high`, none less than its logarithm; 0 where there is no side.
pub(super) fn shares<T: Element>(sides: &[Side<T>], high: T, out: &mut [T]) {
    let (there, missing) = out.split_at_mut(sides.len());
    missing.fill(T::zero());
    Arch::new().dispatch(|| {
        for (share, side) in there.iter_mut().zip(sides) {
            let none = side.coefficient == T::zero();
            *share = if none { T::zero() } else { side.coefficient * (high - side.log).exponential() };
        }
    });
}

/// A row or column in the second pass.
#[derive(Clone, Copy)]
pub(super) struct Side<T> {
    /// Logarithm of the sum of exponentials; with two exponentials a pair, the reference of the first.
    pub log: T,
    /// scale * weight * d value / d log: of a log-ratio the sum of target weights; 0 for an inactive row. With two exponentials a pair,
    /// over the sum of the first.
    pub coefficient: T,
    /// -scale * weight * d value / d positive logit: of a log-ratio the target weight of one positive.
    pub pull: T,
    /// As `coefficient`, of the second of two exponentials a pair.
    pub soft: T,
}

/// How a tile of logits becomes the slopes of its pairs.
#[derive(Clone, Copy)]
pub(super) enum Share<T> {
    /// No row and no column is active.
    Constant(T),
    /// One exponential, against this logarithm, serves both directions; or two against their own references.
    Shared(T),
    /// An exponential for each direction.
    Apart,
}

impl<T: Element> Share<T> {
    pub fn of(rows: &[Side<T>], columns: &[Side<T>]) -> Self {
        let active = || rows.iter().chain(columns).filter(|s| s.coefficient != T::zero()).map(|s| s.log);
        let (high, low) = active().fold((T::neg_infinity(), T::infinity()), |(h, l), x| (h.max(x), l.min(x)));
        if high == T::neg_infinity() {
            let nan = rows.iter().chain(columns).any(|s| s.log.is_nan());
            return Self::Constant(if nan { T::nan() } else { T::zero() });
        }
        if (high - low).f64() <= SHARED_RANGE { Self::Shared(high) } else { Self::Apart }
    }
}

/// Coefficients and shifts of sides that do not share an exponential; 0 and -inf where there is no side, or it is inactive.
pub(super) fn apart<T: Element>(sides: &[Side<T>], shares: &mut [T], shifts: &mut [T]) {
    shares[sides.len()..].fill(T::zero());
    shifts[sides.len()..].fill(T::neg_infinity());
    for ((share, shift), side) in shares.iter_mut().zip(shifts).zip(sides) {
        let none = side.coefficient == T::zero();
        (*share, *shift) = (side.coefficient, if none { T::neg_infinity() } else { -side.log });
    }
}

/// One direction's data.
pub(super) struct Direction<'a, T> {
    pub positives: RowSets<'a>,
    value: RowValue,
    weights: &'a [T],
    /// Target weight of one positive of each row.
    target: Vec<T>,
    /// Number of positives.
    counts: Vec<usize>,
    /// Number of those that a row is compared with.
    compared: usize,
}

/// What the first pass found of each row.
#[derive(Clone, Copy)]
pub(super) struct Found<'a, T> {
    pub logs: &'a [LogSum<T>],
    /// Of two exponentials a pair, the sums of the second, and their reference; empty without it.
    pub soft: (&'a [T], T),
    /// Sums of the positives' inner products.
    pub dots: &'a [T],
}

impl<'a, T: Element> Direction<'a, T> {
    /// Of the rows of `problem`; of its columns with their positives, and the number of `compared` rows.
    pub fn new(
        problem: &SoftmaxProblem<'a, T>,
        positives: RowSets<'a>,
        weights: &'a [T],
        (mean, value): (bool, RowValue),
        compared: usize,
    ) -> Self {
        let problem = SoftmaxProblem { positives: Some(positives), weights: PositiveWeights::Mean, ..*problem };
        let counts: Vec<usize> = (0..weights.len()).map(|i| problem.positive_count(i)).collect();
        let several = counts.iter().position(|&c| c > 1).filter(|_| value != RowValue::LogRatio);
        assert!(several.is_none(), "two-sided: {value:?} of row {several:?} with several positives");
        let target =
            counts.iter().map(|&c| if mean && c > 0 { T::one() / T::of(c as f64) } else { T::one() }).collect();
        Self { positives, value, weights, target, counts, compared }
    }

    /// Row values, and what the second pass needs.
    pub fn finish(&self, Found { logs, soft, dots }: Found<'_, T>, scale: T) -> (f64, Vec<T>, Vec<Side<T>>) {
        let mut value = 0f64;
        let mut rows = Vec::with_capacity(logs.len());
        let mut sides = Vec::with_capacity(logs.len());
        for (i, log) in logs.iter().enumerate() {
            // a sum that is NaN stays active: it must not be hidden
            let active = self.counts[i] > 0 && log.sum != T::zero();
            let none = Side { log: T::neg_infinity(), coefficient: T::zero(), pull: T::zero(), soft: T::zero() };
            if !active {
                rows.push(T::zero());
                sides.push(none);
                continue;
            }
            let weight = scale * self.weights[i];
            // of far logits the logarithm of the sum is lost beside the largest
            let relative = |log: &LogSum<T>, coefficient: T| match log.reference.abs() >= T::of(vector::FAR) {
                true => Side { log: log.reference, coefficient: coefficient / log.sum, ..none },
                false => Side { log: log.log(), coefficient, ..none },
            };
            let (l, side) = match self.value {
                RowValue::LogRatio => {
                    let total = self.target[i] * T::of(self.counts[i] as f64);
                    let l = total * log.log() - scale * self.target[i] * dots[i];
                    let (coefficient, pull) = (weight * total, weight * self.target[i]);
                    (l, Side { pull, ..relative(log, coefficient) })
                }
                RowValue::Debiased(corrected) => {
                    let others = (self.compared - self.counts[i]) as f64;
                    let positive = (scale * dots[i]).f64();
                    let hardness = corrected.hardness;
                    let soft_sum = if corrected.is_hard() { soft.0[i].f64() } else { others };
                    let log_sum = log.log().f64() + others.ln() - soft_sum.ln() - soft.1.f64();
                    let [l, by_sum, by_positive] = corrected.value(positive, log_sum, others);
                    let of = |x: f64| weight * T::of(x);
                    let pull = of(-by_positive);
                    let side = if corrected.is_hard() {
                        // relative to the one reference of all sums
                        let coefficient = of(by_sum * (1.0 + hardness) / log.sum.f64());
                        Side { log: log.reference, coefficient, pull, soft: of(-by_sum * hardness / soft_sum) }
                    } else {
                        Side { pull, ..relative(log, of(by_sum)) }
                    };
                    (T::of(l), side)
                }
            };
            value += self.weights[i].f64() * l.f64();
            rows.push(l);
            sides.push(side);
        }
        (value, rows, sides)
    }
}
