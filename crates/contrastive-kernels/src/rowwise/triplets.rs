//! Triplets of an anchor: all, or those that a miner keeps.

use super::{GenericRowLoss, RowPairs, Sums, compared, hide, nothing};
use crate::distance::square_within;
use crate::scalar::{logistic, softplus};
use crate::vector::{self, Element, LANES, PIECE, masked, total};
use pulp::{Arch, Simd, WithSimd};
use std::sync::Arc;

/// Which triplets of an anchor a, a positive p and a negative n count; `d` are distances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mining {
    /// All.
    #[default]
    All,
    /// Those whose negative is no farther than the positive: `d_an <= d_ap`.
    Hard,
    /// Those whose negative is farther, but within the margin: `d_ap < d_an <= d_ap + margin` (Schroff et al. 2015,
    /// section 3.2).
    Semihard,
    /// Those beyond the margin, which only the smooth form has a gradient for.
    Easy,
    /// One for each anchor: its farthest positive and its nearest negative (Hermans et al. 2017, equation 5).
    BatchHard,
    /// One for each anchor: its nearest positive and the nearest negative beyond that; none where there is no such negative.
    BatchEasySemihard,
}

/// Rows whose distances are to be had from themselves.
#[derive(Clone, Debug)]
pub struct Points {
    /// Row by row.
    pub rows: Arc<[f64]>,
    /// Their width.
    pub width: usize,
}

impl Points {
    fn of(&self, i: usize) -> &[f64] {
        &self.rows[i * self.width..][..self.width]
    }
}

/// Triplet loss (Weinberger and Saul 2009; Schroff et al. 2015) of rows of a table under labels, on Euclidean distances d:
/// `max(0, d_ap - d_an + margin)` or, smooth, `log(1 + e^{d_ap - d_an + margin})`, summed over an anchor's triplets. Distances of 0 have no
/// derivative.
///
/// An anchor of P positives and N negatives takes P N steps of vector code, and from 64 positives on, unless it is smooth, N log P by a search
/// among the sorted positives.
///
/// Sums: how many triplets are above 0, and how many count.
#[derive(Clone, Debug)]
pub struct Triplets {
    /// The margin.
    pub margin: f64,
    /// Which triplets count.
    pub mining: Mining,
    /// `log(1 + e^x)` instead of the hinge.
    pub smooth: bool,
    /// Are similarities those of unit rows, `s = 1 - d^2 / 2`? Else `s = -d^2`.
    pub unit: bool,
    /// The rows. If similarities are `-d^2`, distances below a thousandth of the rows' lengths are taken from them: as inner products they
    /// would have lost digits.
    pub points: Option<Points>,
    /// The nearer of `d_an` and `d_pn` instead of `d_an` (Balntas et al. 2016); of all triplets, and it takes P N times the width.
    /// Needs the points.
    pub swap: bool,
}

/// With more positives, the hinge searches.
const FEW: usize = 64;
/// Squared distances below this share of the squared lengths have lost digits.
const CLOSE: f64 = 1e-3;

/// The distance of a similarity; NaN comes through.
#[inline(always)]
fn distance_of<T: Element>(s: T, unit: bool) -> T {
    let (zero, two) = (T::zero(), T::of(2.0));
    let squared = if unit { two - two * s } else { -s };
    (if squared < zero { zero } else { squared }).sqrt()
}

/// `d distance / d similarity`. As with the other losses on distances of unit rows (equation 5 of [`super::MarginBased`]), these have no
/// direction below 1e-3 in f32 and 1e-7 in f64.
#[inline(always)]
fn derivative_of<T: Element>(d: T, unit: bool) -> T {
    let (zero, one) = (T::zero(), T::one());
    let least = if !unit {
        zero
    } else if size_of::<T>() < 8 {
        T::of(1e-3)
    } else {
        T::of(1e-7)
    };
    let derivative = -one / if unit { d } else { d + d };
    if d <= least { zero } else { derivative }
}

impl<T: Element> GenericRowLoss<T> for Triplets {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        if let (Some(points), Some(own), false) = (&self.points, pairs.own, self.unit) {
            apart(points, own, row);
        }
        hide(pairs, row, kept);
        let bad = |row: &[T]| row.iter().chain(kept.iter()).any(|s| s.is_nan());
        if kept.is_empty() || !(vector::max(row) > nothing() || bad(row)) {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        let single = matches!(self.mining, Mining::BatchHard | Mining::BatchEasySemihard);
        let searched = !self.smooth && kept.len() > FEW;
        if (single || searched || self.swap) && bad(row) {
            row.fill(T::nan());
            return (f64::NAN, [1.0, 1.0, 0.0, 0.0]);
        }
        let [value, active, all] = if self.swap {
            self.swapped(pairs, row, kept)
        } else if single {
            self.single(pairs, row, kept)
        } else if searched {
            self.searched(pairs, row, kept)
        } else {
            self.each(pairs, row, kept)
        };
        (value, [active, all, 0.0, 0.0])
    }
}

/// Similarities of row `own` with rows nearby, from differences.
fn apart<T: Element>(points: &Points, own: usize, row: &mut [T]) {
    let x = points.of(own);
    // rows so near are about as long as this one
    let limit = T::of(-2.0 * CLOSE * vector::dot(x, x));
    Arch::new().dispatch(|| {
        for (j, s) in row.iter_mut().enumerate().filter(|(_, s)| **s > limit) {
            *s = T::of(-square_within(points.of(j), x));
        }
    });
}

impl Triplets {
    /// Value and derivative of a triplet with this violation.
    fn cost(&self, violation: f64) -> (f64, f64) {
        match self.smooth {
            true => (softplus(violation), logistic(violation)),
            false => (violation.max(0.0), f64::from(violation > 0.0)),
        }
    }

    /// Every positive with every negative: value, how many are above 0, how many count.
    pub(super) fn each<T: Element>(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut [T]) -> [f64; 3] {
        let (margin, zero) = (T::of(self.margin), T::zero());
        // what does not count; NaN does
        match self.mining {
            Mining::Hard => self.each_of(pairs, row, kept, |p, d| p < d),
            Mining::Semihard => self.each_of(pairs, row, kept, move |p, d| (p >= d) | (p - d + margin < zero)),
            Mining::Easy => self.each_of(pairs, row, kept, move |p, d| p - d + margin >= zero),
            _ => self.each_of(pairs, row, kept, |_, _| false),
        }
    }

    /// [`each`](Self::each), but for pairs of a positive and a negative, given their distances, that are `out`.
    fn each_of<T: Element>(
        &self,
        pairs: RowPairs<'_>,
        row: &mut [T],
        kept: &mut [T],
        out: impl Fn(T, T) -> bool + Copy,
    ) -> [f64; 3] {
        let (margin, zero, one) = (T::of(self.margin), T::zero(), T::one());
        let unit = self.unit;
        let hinge = move |p: T, d: T| {
            let over = p - d + margin;
            let none = (over <= zero) | out(p, d);
            let of = |x: T| if none { zero } else { x };
            [of(over), of(one), if out(p, d) { zero } else { one }]
        };
        let soft = move |p: T, d: T| {
            let (value, slope) = vector::softplus(p - d + margin);
            let of = |x: T| if out(p, d) { zero } else { x };
            [of(value), of(slope), of(one)]
        };
        kept.iter_mut().for_each(|s| *s = distance_of(*s, unit));
        let mut slopes = vec![[zero; LANES]; kept.len()];
        let mut sums = [0.0; 2];
        for piece in row.chunks_mut(PIECE) {
            let more = match self.smooth {
                true => Arch::new().dispatch(Against { row: piece, near: kept, slopes: &mut slopes, unit, pair: soft }),
                false => {
                    Arch::new().dispatch(Against { row: piece, near: kept, slopes: &mut slopes, unit, pair: hinge })
                }
            };
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more.f64());
        }
        let mut active = 0.0;
        for ((j, d), slopes) in pairs.positives().zip(kept.iter()).zip(slopes) {
            let slope = total(slopes);
            active += slope.f64();
            row[j] = slope * derivative_of(*d, unit);
        }
        [sums[0], if self.smooth { sums[1] } else { active }, sums[1]]
    }

    /// As [`each`](Self::each), of the hinge: the triplets of a negative that count are a run of the sorted positives, those above 0 the end of
    /// it, so that their sum is one of limits `d_ap + margin` less as many times `d_an`.
    pub(super) fn searched<T: Element>(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut [T]) -> [f64; 3] {
        let (unit, margin, nothing) = (self.unit, T::of(self.margin), nothing::<T>());
        let order = |a: &T, b: &T| a.f64().total_cmp(&b.f64());
        kept.iter_mut().for_each(|s| *s = distance_of(*s, unit));
        let mut near = kept.to_vec();
        near.sort_unstable_by(order);
        let limits: Vec<T> = near.iter().map(|d| *d + margin).collect();
        let mut sums = vec![0.0];
        sums.extend(limits.iter().scan(0.0, |sum, limit| {
            *sum += limit.f64();
            Some(*sum)
        }));
        let mut starts = vec![0.0; near.len() + 1];
        let (mut value, mut active, mut all) = (0.0, 0.0, 0.0);
        for s in row.iter_mut() {
            if *s <= nothing {
                *s = T::zero();
                continue;
            }
            let d = distance_of(*s, unit);
            let nearer = || near.partition_point(|p| *p < d);
            let (low, high) = match self.mining {
                Mining::Hard => (nearer(), near.len()),
                Mining::Semihard => (limits.partition_point(|l| *l < d), nearer()),
                Mining::Easy => (0, limits.partition_point(|l| *l < d)),
                _ => (0, near.len()),
            };
            let low = low.min(high);
            all += (high - low) as f64;
            let low = limits.partition_point(|l| *l <= d).clamp(low, high);
            let count = (high - low) as f64;
            active += count;
            value += sums[high] - sums[low] - count * d.f64();
            starts[low] += 1.0;
            starts[high] -= 1.0;
            *s = T::of(-count) * derivative_of(d, unit);
        }
        let mut pull = 0.0;
        starts.iter_mut().for_each(|start| {
            pull += *start;
            *start = pull;
        });
        // equal positives have the same limits, and the same triplets
        for (j, d) in pairs.positives().zip(kept.iter()) {
            let place = near.partition_point(|p| order(p, d).is_lt());
            row[j] = T::of(starts[place]) * derivative_of(*d, unit);
        }
        [value, active, all]
    }

    /// One positive and one negative.
    fn single<T: Element>(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &[T]) -> [f64; 3] {
        let by_similarity = |a: &(usize, T), b: &(usize, T)| a.1.f64().total_cmp(&b.1.f64());
        let mut positives = pairs.positives().zip(kept.iter().copied());
        let (positive, limit) = match self.mining {
            Mining::BatchHard => (positives.min_by(by_similarity), T::infinity()),
            _ => {
                let nearest = positives.by_ref().max_by(by_similarity);
                (nearest, nearest.map_or(T::infinity(), |p| p.1))
            }
        };
        let negatives = row.iter().copied().enumerate().filter(|(_, s)| *s > nothing() && *s < limit);
        let negative = negatives.max_by(by_similarity);
        row.fill(T::zero());
        let (Some((p, near)), Some((n, far))) = (positive, negative) else { return [0.0; 3] };
        let [near, far] = [near, far].map(|s| distance_of(s, self.unit));
        let (cost, slope) = self.cost(near.f64() - far.f64() + self.margin);
        row[p] = T::of(slope) * derivative_of(near, self.unit);
        row[n] = T::of(-slope) * derivative_of(far, self.unit);
        [cost, f64::from(u8::from(cost > 0.0)), 1.0]
    }

    /// With swapping (a, p, n) and (p, a, n) are the same: whichever of a and p is nearer to n has both, at a tie each has its own.
    fn swapped<T: Element>(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut [T]) -> [f64; 3] {
        let points = self.points.as_ref().expect("points for the swapped triplet loss");
        let own = points.of(pairs.own.expect("rows of a table against itself"));
        let negatives: Vec<usize> = (0..row.len()).filter(|j| compared(row[*j])).collect();
        let distance = |x: &[f64], j: usize| square_within(points.of(j), x).sqrt();
        let mut sums = [0.0; 3];
        let mut pushes = vec![0.0; negatives.len()];
        let derivative = |d: f64| derivative_of(T::of(d), self.unit);
        Arch::new().dispatch(|| {
            let far: Vec<f64> = negatives.iter().map(|n| distance(own, *n)).collect();
            for (p, slot) in pairs.positives().zip(kept.iter_mut()) {
                let (positive, near, mut pull) = (points.of(p), distance(own, p), 0.0);
                for ((n, d), push) in negatives.iter().zip(&far).zip(&mut pushes) {
                    let other = distance(positive, *n);
                    if *d > other {
                        continue;
                    }
                    let times = if *d < other { 2.0 } else { 1.0 };
                    let (cost, slope) = self.cost(near - d + self.margin);
                    sums[0] += times * cost;
                    sums[1] += if cost > 0.0 { times } else { 0.0 };
                    sums[2] += times;
                    pull += times * slope;
                    *push += times * slope;
                }
                *slot = T::of(pull) * derivative(near);
            }
            row.fill(T::zero());
            for ((n, d), push) in negatives.iter().zip(far).zip(&pushes) {
                row[*n] = T::of(-push) * derivative(d);
            }
        });
        pairs.positives().zip(kept.iter()).for_each(|(j, slope)| row[j] = *slope);
        sums
    }
}

/// Every negative's similarity becomes its derivative, from the triplets with all positives, whose distances are `near`; returns value and
/// number of the triplets that count, and adds what they pull at each positive to `slopes`.
struct Against<'a, T, F> {
    row: &'a mut [T],
    near: &'a [T],
    slopes: &'a mut [[T; LANES]],
    unit: bool,
    /// Of the distances of a positive and a negative: value, slope, and whether it counts.
    pair: F,
}

impl<T: Element, F: Fn(T, T) -> [T; 3]> Against<'_, T, F> {
    /// The similarities of a chunk; adds to the sums.
    #[inline(always)]
    fn chunk(&mut self, chunk: &mut [T; LANES], sums: &mut [[T; LANES]; 2]) {
        let (zero, nothing) = (T::zero(), nothing::<T>());
        let mut open = [zero; LANES];
        let mut distances = [zero; LANES];
        let mut pulls = [zero; LANES];
        for l in 0..LANES {
            open[l] = if chunk[l] <= nothing { zero } else { T::one() };
            distances[l] = distance_of(chunk[l], self.unit);
        }
        for (p, slopes) in self.near.iter().zip(self.slopes.iter_mut()) {
            for l in 0..LANES {
                let [value, slope, counted] = (self.pair)(*p, distances[l]);
                sums[0][l] = value.mul_add(open[l], sums[0][l]);
                sums[1][l] = counted.mul_add(open[l], sums[1][l]);
                let slope = slope * open[l];
                pulls[l] += slope;
                slopes[l] += slope;
            }
        }
        for l in 0..LANES {
            chunk[l] = -pulls[l] * derivative_of(distances[l], self.unit);
        }
    }
}

impl<T: Element, F: Fn(T, T) -> [T; 3]> WithSimd for Against<'_, T, F> {
    type Output = [T; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> [T; 2] {
        let mut sums = [[T::zero(); LANES]; 2];
        let (chunks, rest) = std::mem::take(&mut self.row).as_chunks_mut::<LANES>();
        for chunk in chunks {
            self.chunk(chunk, &mut sums);
        }
        if !rest.is_empty() {
            let mut chunk = [masked(); LANES];
            chunk[..rest.len()].copy_from_slice(rest);
            self.chunk(&mut chunk, &mut sums);
            rest.copy_from_slice(&chunk[..rest.len()]);
        }
        sums.map(total)
    }
}
