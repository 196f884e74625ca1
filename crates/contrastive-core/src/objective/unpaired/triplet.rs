//! Triplets: a positive is to be nearer than a negative, by a margin.

use super::beside;
use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative};
use crate::objective::computed_in;
use crate::similarity::{Compared, Similarity};
use burn::tensor::{Tensor, TensorData, activation::relu};
use rayon::prelude::*;

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

/// The triplet loss of a labelled batch (Weinberger and Saul 2009; Schroff et al. 2015, equation 2): the mean of
/// `max(0, d_ap - d_an + margin)` over triplets, of Euclidean distances of unit rows unless told otherwise.
///
/// Computed on the host in f64, by blocks of anchors: n^2 d / 2 multiplications for the distances and up to as many again
/// for the gradient; memory is that of a block of anchors x n, at most 8 MB, never n^3 nor n^2. The hinge over an anchor's
/// P N triplets takes `(P + N) log N` steps by sorting the negatives; the smooth form and [`with_swap`](Self::with_swap)
/// take P N, the latter times d.
#[derive(Clone, Debug, PartialEq)]
pub struct Triplet {
    margin: f64,
    mining: Mining,
    smooth: bool,
    swap: bool,
    over_all: bool,
    similarity: Similarity,
}

/// Numbers of a block of anchors against all rows.
const BLOCK: usize = 1 << 20;

/// What an anchor adds: the sum of its triplets' values, how many are above 0, and how many there are.
#[derive(Clone, Copy, Default)]
struct Share {
    sum: f64,
    active: usize,
    all: usize,
}

impl Triplet {
    /// All triplets with this margin; the mean over those above 0.
    ///
    /// # Errors
    /// When the margin is negative, infinite or NaN.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        Ok(Self {
            margin: not_negative("margin", margin)?,
            mining: Mining::All,
            smooth: false,
            swap: false,
            over_all: false,
            similarity: Similarity::Cosine,
        })
    }

    /// Which triplets count.
    ///
    /// # Errors
    /// When swapping was chosen, which needs all.
    pub fn with_mining(mut self, mining: Mining) -> Result<Self, ObjectiveError> {
        self.mining = mining;
        self.checked()
    }

    /// `log(1 + e^{d_ap - d_an + margin})` instead of the hinge.
    pub fn smooth(mut self) -> Self {
        self.smooth = true;
        self
    }

    /// The nearer of `d_an` and `d_pn` instead of `d_an` (Balntas et al. 2016, section 3.2).
    ///
    /// # Errors
    /// When triplets are mined: swapping needs all.
    pub fn with_swap(mut self) -> Result<Self, ObjectiveError> {
        self.swap = true;
        self.checked()
    }

    /// The mean over all triplets that count, instead of those above 0.
    pub fn over_all(mut self) -> Self {
        self.over_all = true;
        self
    }

    /// [`Similarity::Dot`]: distances of the rows as they are instead of unit rows.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    fn checked(self) -> Result<Self, ObjectiveError> {
        match self.swap && self.mining != Mining::All {
            true => Err(ObjectiveError::Contradiction("the swapped triplet loss needs all triplets")),
            false => Ok(self),
        }
    }

    /// Rows `[n, d]` and a label for each: rows of one label are each other's positives, all others negatives. The value is
    /// `[1]`; 0 where there is no triplet. Rows at the same place do not push each other.
    ///
    /// # Panics
    /// When there are not as many labels as rows.
    pub fn loss(&self, x: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let [n, d] = x.dims();
        assert_eq!(labels.len(), n, "labels and rows [{n}, {d}]");
        let compared = Compared::new(self.similarity, x.clone().inner().cast(computed_in(x.dtype())));
        let options = (&compared.rows.device(), compared.rows.dtype());
        let rows: Vec<f64> = compared.rows.to_data().iter::<f64>().collect();
        let (value, gradient) = self.evaluate(&rows, d, labels, x.is_tracked());
        let value = beside(Tensor::from_data([value], options), &[&x]);
        if !x.is_tracked() {
            return value;
        }
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, [n, d]), options);
        attach(value, &x, compared.backward(gradient))
    }

    /// Value and gradient of rows as they are compared.
    fn evaluate(&self, rows: &[f64], d: usize, labels: &[i64], wanted: bool) -> (f64, Vec<f64>) {
        let n = labels.len();
        if rows.iter().any(|v| !v.is_finite()) {
            return (f64::NAN, vec![f64::NAN; n * d]);
        }
        let mut gradient = vec![0.0; if wanted { n * d } else { 0 }];
        let mut total = Share::default();
        let block = (BLOCK / n.max(1)).clamp(1, n.max(1));
        let mut pulls = vec![0.0; block * n];
        for first in (0..n).step_by(block) {
            let count = block.min(n - first);
            let pulls = &mut pulls[..count * n];
            let shares: Vec<Share> = pulls
                .par_chunks_mut(n)
                .enumerate()
                .map(|(k, pulls)| self.anchor(rows, d, labels, first + k, pulls))
                .collect();
            for share in shares {
                total.sum += share.sum;
                total.active += share.active;
                total.all += share.all;
            }
            // pulls hold the derivative by a distance over that distance: every row collects its own
            let pulls = &*pulls;
            gradient.par_chunks_mut(d.max(1)).enumerate().for_each(|(j, to)| {
                let mut add = |other: usize, pull: f64| {
                    if pull != 0.0 {
                        let (x, y) = (row(rows, d, j), row(rows, d, other));
                        to.iter_mut().zip(x.iter().zip(y)).for_each(|(t, (x, y))| *t += pull * (x - y));
                    }
                };
                if (first..first + count).contains(&j) {
                    let own = &pulls[(j - first) * n..(j - first + 1) * n];
                    own.iter().enumerate().for_each(|(other, &pull)| add(other, pull));
                }
                (0..count).for_each(|k| add(first + k, pulls[k * n + j]));
            });
        }
        let share = 1.0 / (if self.over_all { total.all } else { total.active }).max(1) as f64;
        gradient.iter_mut().for_each(|g| *g *= share);
        (total.sum * share, gradient)
    }

    /// The triplets of anchor `a`; `pulls [n]` becomes the derivative of their sum by each distance from a, over that distance.
    fn anchor(&self, rows: &[f64], d: usize, labels: &[i64], a: usize, pulls: &mut [f64]) -> Share {
        let distances: Vec<f64> = (0..labels.len()).map(|j| distance(row(rows, d, a), row(rows, d, j))).collect();
        let positives: Vec<usize> = (0..labels.len()).filter(|&j| j != a && labels[j] == labels[a]).collect();
        let mut negatives: Vec<usize> = (0..labels.len()).filter(|&j| labels[j] != labels[a]).collect();
        pulls.fill(0.0);
        if positives.is_empty() || negatives.is_empty() {
            return Share::default();
        }
        let share = if self.swap {
            let between = |p: usize, n: usize| distance(row(rows, d, p), row(rows, d, n));
            self.swapped(a, &distances, &positives, &negatives, between, pulls)
        } else {
            negatives.sort_by(|&i, &j| distances[i].total_cmp(&distances[j]));
            self.mined(&distances, &positives, &negatives, pulls)
        };
        for (pull, distance) in pulls.iter_mut().zip(distances) {
            *pull = if distance > 0.0 { *pull / distance } else { 0.0 };
        }
        share
    }

    /// Value and derivative of a triplet with this violation.
    fn cost(&self, violation: f64) -> (f64, f64) {
        if self.smooth {
            let e = (-violation.abs()).exp();
            let slope = if violation > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
            (violation.max(0.0) + e.ln_1p(), slope)
        } else {
            (violation.max(0.0), f64::from(violation > 0.0))
        }
    }

    /// Without swapping, the negatives ascending: the triplets that count are a run of negatives for each positive.
    fn mined(&self, distances: &[f64], positives: &[usize], negatives: &[usize], pulls: &mut [f64]) -> Share {
        let sorted: Vec<f64> = negatives.iter().map(|&n| distances[n]).collect();
        let up_to = |limit: f64| sorted.partition_point(|&d| d <= limit);
        let by_distance = |i: &&usize, j: &&usize| distances[**i].total_cmp(&distances[**j]);
        let runs: Vec<(usize, usize, usize)> = match self.mining {
            Mining::BatchHard => {
                let farthest = *positives.iter().max_by(by_distance).expect("a positive");
                vec![(farthest, 0, 1)]
            }
            Mining::BatchEasySemihard => {
                let nearest = *positives.iter().min_by(by_distance).expect("a positive");
                let beyond = up_to(distances[nearest]);
                vec![(nearest, beyond, (beyond + 1).min(sorted.len()))]
            }
            _ => positives
                .iter()
                .map(|&p| {
                    let (near, far) = (up_to(distances[p]), up_to(distances[p] + self.margin));
                    match self.mining {
                        Mining::Hard => (p, 0, near),
                        Mining::Semihard => (p, near, far),
                        Mining::Easy => (p, far, sorted.len()),
                        _ => (p, 0, sorted.len()),
                    }
                })
                .collect(),
        };
        let mut share = Share::default();
        if self.smooth {
            for (p, low, high) in runs {
                for k in low..high {
                    let (cost, slope) = self.cost(distances[p] - sorted[k] + self.margin);
                    share.sum += cost;
                    pulls[p] += slope;
                    pulls[negatives[k]] -= slope;
                }
                share.all += high - low;
                share.active += high - low;
            }
            return share;
        }
        let mut sums = vec![0.0];
        sums.extend(sorted.iter().scan(0.0, |sum, d| {
            *sum += d;
            Some(*sum)
        }));
        let mut starts = vec![0.0; sorted.len() + 1];
        for (p, low, high) in runs {
            share.all += high - low;
            let limit = distances[p] + self.margin;
            let high = high.min(sorted.partition_point(|&d| d < limit)).max(low);
            let count = (high - low) as f64;
            share.sum += count * limit - (sums[high] - sums[low]);
            share.active += high - low;
            pulls[p] += count;
            starts[low] -= 1.0;
            starts[high] += 1.0;
        }
        let mut pull = 0.0;
        for (&n, start) in negatives.iter().zip(&starts) {
            pull += start;
            pulls[n] += pull;
        }
        share
    }

    /// With swapping (a, p, n) and (p, a, n) are the same: whichever of a and p is nearer to n has both.
    fn swapped(
        &self,
        a: usize,
        distances: &[f64],
        positives: &[usize],
        negatives: &[usize],
        between: impl Fn(usize, usize) -> f64,
        pulls: &mut [f64],
    ) -> Share {
        let mut share = Share::default();
        for &p in positives {
            for &n in negatives {
                let other = between(p, n);
                if distances[n] < other || (distances[n] == other && a < p) {
                    let (cost, slope) = self.cost(distances[p] - distances[n] + self.margin);
                    share.sum += 2.0 * cost;
                    share.active += if cost > 0.0 { 2 } else { 0 };
                    share.all += 2;
                    pulls[p] += 2.0 * slope;
                    pulls[n] -= 2.0 * slope;
                }
            }
        }
        share
    }
}

fn row(rows: &[f64], d: usize, i: usize) -> &[f64] {
    &rows[i * d..(i + 1) * d]
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    // eight sums side by side, so that the compiler may use vectors
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (x, y) in x.iter().zip(y) {
        (0..8).for_each(|k| sums[k] += (x[k] - y[k]) * (x[k] - y[k]));
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| (x - y) * (x - y)).sum();
    (sums.iter().sum::<f64>() + rest).sqrt()
}

/// The mean over rows of `max(0, |a - p| - |a - n| + margin)`, of given triplets: anchors, positives and negatives `[n, d]`. With
/// `swap`, the nearer of `|a - n|` and `|p - n|`. As in torch, 1e-6 is added to each difference, which keeps the gradient of
/// equal rows finite. The value is `[1]`.
///
/// # Errors
/// When the margin is negative, infinite or NaN.
///
/// # Panics
/// When the shapes differ.
pub fn triplet_margin(
    anchors: Tensor<2>,
    positives: Tensor<2>,
    negatives: Tensor<2>,
    margin: f64,
    swap: bool,
) -> Result<Tensor<1>, ObjectiveError> {
    not_negative("margin", margin)?;
    assert_eq!(anchors.dims(), positives.dims(), "the shapes of anchors and positives");
    assert_eq!(anchors.dims(), negatives.dims(), "the shapes of anchors and negatives");
    let distance = |x: &Tensor<2>, y: &Tensor<2>| {
        let gap = x.clone() - y.clone() + 1e-6;
        (gap.clone() * gap).sum_dim(1).sqrt()
    };
    let mut far = distance(&anchors, &negatives);
    if swap {
        far = far.min_pair(distance(&positives, &negatives));
    }
    let share = 1.0 / anchors.dims()[0].max(1) as f64;
    Ok(relu(distance(&anchors, &positives) - far + margin).sum() * share)
}
