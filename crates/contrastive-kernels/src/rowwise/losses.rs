//! Published functions of a row of similarities.

use super::{GenericRowLoss, RowPairs, Sums, compared, hide, nothing};
use crate::scalar::{logistic, softplus};
use crate::vector::{self, Element, masked};

/// The distance of two unit rows of inner product `s`, and its derivative. Distances are resolved to the root of the type's
/// precision: below 1e-3 in f32 and 1e-7 in f64 they have no direction, and the derivative is 0.
#[inline(always)]
pub(super) fn distance_of<T: Element>(s: T) -> (T, T) {
    let (two, zero) = (T::of(2.0), T::zero());
    let squared = two - two * s;
    let least = T::of(if size_of::<T>() < 8 { 1e-6 } else { 1e-14 });
    let d = (if squared < zero { zero } else { squared }).sqrt();
    let derivative = -T::one() / d;
    (d, if squared < least { zero } else { derivative })
}

/// [`distance_of`], in `f64`.
pub(super) fn distance<T: Element>(s: T) -> (f64, f64) {
    let (d, derivative) = distance_of(s);
    (d.f64(), derivative.f64())
}

/// `log(offset + sum e^x)` of the logits, which become their derivatives.
fn log_sum_exp(logits: &mut [f64], offset: bool) -> f64 {
    let floor = if offset { 0.0 } else { f64::NEG_INFINITY };
    let top = logits.iter().copied().fold(floor, f64::max);
    let start = if offset { (-top).exp() } else { 0.0 };
    let sum = start + logits.iter().map(|x| (x - top).exp()).sum::<f64>();
    logits.iter_mut().for_each(|x| *x = (*x - top).exp() / sum);
    top + sum.ln()
}

/// Sigmoid loss of every pair (SigLIP, Zhai et al. 2023, equation 1): with `x = scale s + bias`, `log(1 + e^-x)` of
/// positives and `log(1 + e^x)` of negatives, each side with its weight.
///
/// Sums: d value / d scale, d value / d bias.
#[derive(Clone, Copy, Debug)]
pub struct Sigmoid {
    /// Inverse temperature.
    pub scale: f64,
    /// Added to every logit.
    pub bias: f64,
    /// Weights of positives and negatives.
    pub weights: [f64; 2],
}

impl<T: Element> GenericRowLoss<T> for Sigmoid {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let (value, bias, scale) = vector::sigmoid_in_place(row, T::of(self.scale), T::of(self.bias));
        let [near, far] = self.weights;
        let (mut value, mut bias, mut scale) = (value.f64() * far, bias.f64() * far, scale.f64() * far);
        if far != 1.0 {
            vector::scale(row, T::of(far));
        }
        for (j, s) in pairs.positives().zip(kept.iter()) {
            let x = self.scale * s.f64() + self.bias;
            let slope = -logistic(-x) * near;
            value += softplus(-x) * near;
            bias += slope;
            scale += slope * s.f64();
            row[j] = T::of(slope);
        }
        (value, [scale, bias, 0.0, 0.0])
    }

    fn factor(&self) -> f64 {
        self.scale
    }
}

/// What a margin is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Similarities s: `max(0, positive - s)` of positives, `max(0, s - negative)` of negatives.
    Similarity,
    /// Distances d of unit rows: `max(0, d - positive)` of positives, `max(0, negative - d)` of negatives.
    Distance,
}

impl Measure {
    /// How far the pair is beyond the margin, and its derivative; `sign` is 1 for a positive, -1 for a negative.
    fn excess<T: Element>(self, s: T, margin: f64, sign: f64) -> (f64, f64) {
        match self {
            Self::Similarity => ((margin - s.f64()) * sign, -sign),
            Self::Distance => {
                let (d, derivative) = distance(s);
                ((d - margin) * sign, derivative * sign)
            }
        }
    }
}

/// Contrastive loss of pairs (Hadsell et al. 2006): what positives and negatives are beyond their margins, each side with its
/// weight.
///
/// Sums: the unweighted value of positives, how many of them are above 0, and the same of negatives.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    /// What the margins are measured in.
    pub measure: Measure,
    /// The margin of the positives.
    pub positive: f64,
    /// The margin of the negatives.
    pub negative: f64,
    /// Weights of positives and negatives.
    pub weights: [f64; 2],
}

impl<T: Element> GenericRowLoss<T> for Margins {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let mut sums = Sums::default();
        let (margin, weight, one, zero) = (T::of(self.negative), T::of(self.weights[1]), T::one(), T::zero());
        // a NaN cost is not below 0
        let hinge = move |cost: T, slope: T| {
            let none = cost <= zero;
            let of = |x: T| if none { zero } else { x };
            (of(slope), [of(cost), of(one)])
        };
        [sums[2], sums[3]] = match self.measure {
            Measure::Similarity => vector::map_sums(row, move |s| hinge(s - margin, weight)),
            Measure::Distance => vector::map_sums(row, move |s| {
                let (d, derivative) = distance_of(s);
                hinge(margin - d, -derivative * weight)
            }),
        };
        for (j, s) in pairs.positives().zip(kept.iter()) {
            let (cost, derivative) = self.measure.excess(*s, self.positive, 1.0);
            if cost > 0.0 {
                (sums[0], sums[1]) = (sums[0] + cost, sums[1] + 1.0);
                row[j] = T::of(derivative * self.weights[0]);
            } else if s.is_nan() {
                sums[0] = f64::NAN;
            }
        }
        (self.weights[0] * sums[0] + self.weights[1] * sums[2], sums)
    }
}

/// `log(1 + sum_p e^{-alpha (s_p - base)})` of the positives and `log(1 + sum_n e^{beta (s_n - base)})` of the negatives, each side
/// with its base and weight: multi-similarity loss (Wang et al. 2019, equation 15; weights `1 / alpha` and `1 / beta`), and
/// Proxy-Anchor (Kim et al. 2020, equation 4), whose anchors are proxies.
#[derive(Clone, Copy, Debug)]
pub struct MultiSimilarity {
    /// Sharpness among positives.
    pub alpha: f64,
    /// Sharpness among negatives.
    pub beta: f64,
    /// The similarities positives and negatives are measured from.
    pub bases: [f64; 2],
    /// Weights of positives and negatives.
    pub weights: [f64; 2],
    /// The miner of the paper (equations 11 and 12): keeps a negative if it comes within this of the hardest positive, and
    /// a positive if it comes within this of the hardest negative.
    pub epsilon: Option<f64>,
}

impl<T: Element> GenericRowLoss<T> for MultiSimilarity {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let mut highest = vector::max(row);
        let nothing = nothing();
        let hardest_negative = if highest > nothing { highest.f64() } else { f64::NEG_INFINITY };
        if let Some(epsilon) = self.epsilon {
            // nothing is mined among NaN
            if row.iter().chain(kept.iter()).any(|s| s.is_nan()) {
                row.fill(T::nan());
                return (f64::NAN, Sums::default());
            }
            let lowest = kept.iter().fold(f64::INFINITY, |a, s| a.min(s.f64()));
            let bound = T::of(lowest - epsilon);
            row.iter_mut().filter(|s| **s <= bound || lowest == f64::INFINITY).for_each(|s| *s = masked());
            highest = vector::max(row);
        }
        let mut value = 0.0;
        let scale = T::of(self.beta);
        let top = match (highest > nothing, vector::top_logit(highest, self.beta)) {
            (true, far) if far.abs() >= vector::FAR => far - self.bases[1] * self.beta,
            (true, _) => (highest.f64() - self.bases[1]) * self.beta,
            (false, _) => f64::NEG_INFINITY,
        };
        if top > f64::NEG_INFINITY {
            let top = top.max(0.0);
            let (sum, _) = vector::exp_in_place(row, scale, T::of(-self.beta * self.bases[1] - top));
            let sum = sum.f64() + (-top).exp();
            value += (top + sum.ln()) * self.weights[1];
            vector::scale(row, T::of(self.weights[1] * self.beta / sum));
        } else {
            let nan = row.iter().any(|s| s.is_nan());
            value += if nan { f64::NAN } else { 0.0 };
            row.fill(T::zero());
        }
        let used = |s: &T| self.epsilon.is_none_or(|e| s.f64() - e < hardest_negative);
        let logit = |s: &T| if used(s) { -self.alpha * (s.f64() - self.bases[0]) } else { f64::NEG_INFINITY };
        let mut logits: Vec<f64> = kept.iter().map(logit).collect();
        if logits.iter().any(|x| *x > f64::NEG_INFINITY || x.is_nan()) {
            value += log_sum_exp(&mut logits, true) * self.weights[0];
            let slope = -self.weights[0] * self.alpha;
            pairs.positives().zip(&logits).for_each(|(j, g)| row[j] = T::of(slope * g));
        }
        (value, Sums::default())
    }
}

/// Circle loss (Sun et al. 2020, equation 6): `log(1 + sum_n e^{gamma a_n (s_n - m)} sum_p e^{-gamma a_p (s_p - 1 + m)})` with the
/// weights `a_n = max(0, s_n + m)`, `a_p = max(0, 1 + m - s_p)`, constants to the gradient.
///
/// Sums: how many rows are above 0.
#[derive(Clone, Copy, Debug)]
pub struct Circle {
    /// The margin m.
    pub margin: f64,
    /// The scale gamma.
    pub gamma: f64,
}

impl<T: Element> GenericRowLoss<T> for Circle {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        if kept.is_empty() || !row.iter().any(|s| compared(*s)) {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        let (m, gamma) = (self.margin, self.gamma);
        let (margin, sharpness, zero, nothing) = (T::of(m), T::of(gamma), T::zero(), nothing());
        let weight = move |s: T| {
            let over = s + margin;
            sharpness * if over < zero { zero } else { over }
        };
        let logit = move |s: T| {
            let logit = weight(s) * (s - margin);
            if s <= nothing { T::neg_infinity() } else { logit }
        };
        let top = vector::max_of(row, logit);
        let [sum] = vector::map_sums(row, move |s| {
            let e = (logit(s) - top).relative_exponential();
            (e * weight(s), [e])
        });
        let mut positives: Vec<f64> =
            kept.iter().map(|s| -gamma * (1.0 + m - s.f64()).max(0.0) * (s.f64() - (1.0 - m))).collect();
        let all = top.f64() + sum.ln() + log_sum_exp(&mut positives, false);
        let value = softplus(all);
        let slope = logistic(all);
        vector::scale(row, T::of(slope / sum));
        for ((j, s), share) in pairs.positives().zip(kept.iter()).zip(&positives) {
            row[j] = T::of(-slope * share * gamma * (1.0 + m - s.f64()).max(0.0));
        }
        (value, [f64::from(u8::from(value > 0.0)), 0.0, 0.0, 0.0])
    }
}

/// Generalised lifted structure loss (Hermans et al. 2017, equation 9) on distances d of unit rows:
/// `max(0, log sum_p e^{d_p} + log sum_n e^{margin - d_n})`; a sum without terms counts as 1.
#[derive(Clone, Copy, Debug)]
pub struct LiftedStructure {
    /// The margin of the negatives.
    pub margin: f64,
}

impl<T: Element> GenericRowLoss<T> for LiftedStructure {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        // the nearest has the largest term
        let nearest = vector::max(row);
        let negatives = row.iter().any(|s| compared(*s));
        let (top, zero, nothing) = (distance_of(nearest).0, T::zero(), nothing());
        let [sum] = vector::map_sums(row, move |s| {
            let (d, derivative) = distance_of(s);
            let e = (top - d).relative_exponential();
            let e = if s <= nothing { zero } else { e };
            (-derivative * e, [e])
        });
        let mut positives: Vec<f64> = kept.iter().map(|s| distance(*s).0).collect();
        let near = if positives.is_empty() { 0.0 } else { log_sum_exp(&mut positives, false) };
        let all = near + if negatives { self.margin - top.f64() + sum.ln() } else { 0.0 };
        if all <= 0.0 {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        if negatives {
            vector::scale(row, T::of(1.0 / sum));
        }
        for ((j, s), share) in pairs.positives().zip(kept.iter()).zip(&positives) {
            row[j] = T::of(share * distance(*s).1);
        }
        (all, Sums::default())
    }
}

/// What the right class has to be ahead by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TargetMargin {
    /// Taken from the cosine (CosFace).
    Cosine(f64),
    /// Added to the angle, in radians (ArcFace); beyond half a turn `cos - margin sin(margin)`.
    Angle(f64),
}

impl TargetMargin {
    /// The cosine that counts for a right class of cosine `s`, and its derivative.
    pub(super) fn of(self, s: f64) -> (f64, f64) {
        match self {
            Self::Cosine(m) => (s - m, 1.0),
            Self::Angle(m) => {
                // near 1 the angle has no derivative
                let s = s.clamp(-1.0 + 1e-7, 1.0 - 1e-7);
                if s.acos() + m <= std::f64::consts::PI {
                    let sine = (1.0 - s * s).sqrt();
                    (s * m.cos() - sine * m.sin(), m.cos() + s / sine * m.sin())
                } else {
                    (s - m * m.sin(), 1.0)
                }
            }
        }
    }
}

/// Cross-entropy of scaled cosines with a margin for the positive: `log(e^{y} + sum_n e^{scale s_n}) - y`, where `y` is the
/// scaled cosine of the first positive after its margin. A row without positives is 0.
#[derive(Clone, Copy, Debug)]
pub struct MarginSoftmax {
    /// Inverse temperature.
    pub scale: f64,
    /// For the positive.
    pub margin: TargetMargin,
}

impl<T: Element> GenericRowLoss<T> for MarginSoftmax {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let (Some(target), Some(s)) = (pairs.positives().next(), kept.first()) else {
            row.fill(T::zero());
            return (0.0, Sums::default());
        };
        let (cosine, slope) = self.margin.of(s.f64());
        let own = cosine * self.scale;
        let top = vector::top_logit(vector::max(row), self.scale).max(own);
        let (sum, _) = vector::exp_in_place(row, T::of(self.scale), T::of(-top));
        let share = (own - top).exp();
        let sum = sum.f64() + share;
        vector::scale(row, T::of(1.0 / sum));
        row[target] = T::of((share / sum - 1.0) * slope);
        (top + sum.ln() - own, Sums::default())
    }

    fn factor(&self) -> f64 {
        self.scale
    }
}
