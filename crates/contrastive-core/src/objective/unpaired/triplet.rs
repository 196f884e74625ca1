//! Triplets: a positive is to be nearer than a negative, by a margin.

use super::beside;
use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative};
use crate::objective::computed_in;
use crate::similarity::{Compared, Similarity};
use burn::tensor::{Tensor, TensorData, activation::relu};
use contrastive_kernels::real::gemm;
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

/// The triplet loss of a labelled batch (Weinberger and Saul 2009; Schroff et al. 2015, whose
/// distances are squared): the mean of
/// `max(0, d_ap - d_an + margin)` over triplets, of Euclidean distances of unit rows unless told otherwise.
///
/// Computed on the host in f64, by blocks of anchors: 2 n^2 d flops for the distances and 4 n^2 d for the gradient, as matrix
/// products; memory is that of two blocks of anchors x n, 50 MB, never n^3 nor n^2. The hinge over an anchor's P N triplets
/// takes `(P + N) log P` steps by sorting the positives; the smooth form and [`with_swap`](Self::with_swap) take P N, the latter
/// times d.
#[derive(Clone, Debug, PartialEq)]
pub struct Triplet {
    margin: f64,
    mining: Mining,
    smooth: bool,
    swap: bool,
    over_all: bool,
    similarity: Similarity,
}

/// Numbers of a block of anchors against all rows: all rows are read for each block.
const BLOCK: usize = 3 << 20;

/// Most anchors of a task.
const STRIP: usize = 64;
/// Squared distances below this share of the squared lengths are computed from differences: in the expansion by inner products they
/// would lose digits.
const CLOSE: f64 = 1e-3;

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

    /// The nearer of `d_an` and `d_pn` instead of `d_an` (Balntas et al. 2016).
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
    /// When there are not as many labels as rows, or no rows.
    pub fn loss(&self, x: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let [n, d] = x.dims();
        assert!(n > 0, "triplets of no rows: [{n}, {d}]");
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
        let squares: Vec<f64> = (0..n).map(|i| dot(row(rows, d, i), row(rows, d, i))).collect();
        let block = (BLOCK / n.max(1)).clamp(1, n.max(1));
        let mut distances = vec![0.0; block * n];
        let mut pulls = vec![0.0; block * n];
        for first in (0..n).step_by(block) {
            let count = block.min(n - first);
            let anchors = &rows[first * d..(first + count) * d];
            let (distances, pulls) = (&mut distances[..count * n], &mut pulls[..count * n]);
            // inner products first, for a strip of anchors in each task
            let strip = count.div_ceil(8).min(STRIP);
            distances.par_chunks_mut(strip * n).zip(anchors.par_chunks(strip * d)).for_each(|(to, a)| {
                gemm([a.len() / d, n, d], to, [n, 1], a, [d, 1], rows, [1, d], 0.0, 1.0);
            });
            let shares: Vec<Share> = distances
                .par_chunks_mut(n)
                .zip(pulls.par_chunks_mut(n))
                .enumerate()
                .map(|(k, (distances, pulls))| {
                    let a = first + k;
                    for (j, distance) in distances.iter_mut().enumerate() {
                        let (sum, square) = (squares[a] + squares[j], squares[a] + squares[j] - 2.0 * *distance);
                        let exact = square > CLOSE * sum;
                        *distance = if exact { square.sqrt() } else { apart(row(rows, d, a), row(rows, d, j)) };
                    }
                    self.anchor(rows, d, labels, a, distances, pulls)
                })
                .collect();
            for share in shares {
                total.sum += share.sum;
                total.active += share.active;
                total.all += share.all;
            }
            if wanted {
                collect(&mut gradient, rows, d, first, pulls);
            }
        }
        let share = 1.0 / (if self.over_all { total.all } else { total.active }).max(1) as f64;
        gradient.iter_mut().for_each(|g| *g *= share);
        (total.sum * share, gradient)
    }

    /// The triplets of anchor `a` at these distances `[n]`; `pulls [n]` becomes the derivative of their sum by each distance,
    /// over that distance.
    fn anchor(&self, rows: &[f64], d: usize, labels: &[i64], a: usize, distances: &[f64], pulls: &mut [f64]) -> Share {
        let mut positives: Vec<usize> = (0..labels.len()).filter(|&j| j != a && labels[j] == labels[a]).collect();
        let negatives: Vec<usize> = (0..labels.len()).filter(|&j| labels[j] != labels[a]).collect();
        pulls.fill(0.0);
        if positives.is_empty() || negatives.is_empty() {
            return Share::default();
        }
        let share = if self.swap {
            let between = |p: usize, n: usize| apart(row(rows, d, p), row(rows, d, n));
            self.swapped(a, distances, &positives, &negatives, between, pulls)
        } else if matches!(self.mining, Mining::BatchHard | Mining::BatchEasySemihard) {
            self.single(distances, &positives, &negatives, pulls)
        } else {
            positives.sort_unstable_by(|&i, &j| distances[i].total_cmp(&distances[j]));
            self.mined(distances, &positives, &negatives, pulls)
        };
        for (pull, distance) in pulls.iter_mut().zip(distances) {
            *pull = if *distance > 0.0 { *pull / distance } else { 0.0 };
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

    /// One positive and one negative.
    fn single(&self, distances: &[f64], positives: &[usize], negatives: &[usize], pulls: &mut [f64]) -> Share {
        let by_distance = |i: &&usize, j: &&usize| distances[**i].total_cmp(&distances[**j]);
        let (positive, least) = match self.mining {
            Mining::BatchHard => (positives.iter().max_by(by_distance), f64::NEG_INFINITY),
            _ => {
                let nearest = positives.iter().min_by(by_distance);
                (nearest, nearest.map_or(0.0, |&p| distances[p]))
            }
        };
        let negative = negatives.iter().filter(|&&n| distances[n] > least).min_by(by_distance);
        let (Some(&p), Some(&n)) = (positive, negative) else { return Share::default() };
        let (cost, slope) = self.cost(distances[p] - distances[n] + self.margin);
        (pulls[p], pulls[n]) = (slope, -slope);
        Share { sum: cost, active: usize::from(cost > 0.0), all: 1 }
    }

    /// The positives ascending: the triplets of a negative that count are a run of positives, those above 0 among them the end
    /// of it, so that their sum is one of limits `d_ap + margin` less as many times `d_an`.
    fn mined(&self, distances: &[f64], positives: &[usize], negatives: &[usize], pulls: &mut [f64]) -> Share {
        let sorted: Vec<f64> = positives.iter().map(|&p| distances[p]).collect();
        let mut sums = vec![0.0];
        sums.extend(sorted.iter().scan(0.0, |sum, d| {
            *sum += d + self.margin;
            Some(*sum)
        }));
        let mut starts = vec![0.0; sorted.len() + 1];
        let mut share = Share::default();
        for &n in negatives {
            let at = distances[n];
            let nearer = || sorted.partition_point(|&p| p < at);
            let beyond = || sorted.partition_point(|&p| p + self.margin < at);
            let (low, high) = match self.mining {
                Mining::Hard => (nearer(), sorted.len()),
                Mining::Semihard => (beyond(), nearer()),
                Mining::Easy => (0, beyond()),
                _ => (0, sorted.len()),
            };
            let low = low.min(high);
            share.all += high - low;
            if self.smooth {
                for (k, p) in (low..high).map(|k| (k, sorted[k])) {
                    let (cost, slope) = self.cost(p - at + self.margin);
                    share.sum += cost;
                    pulls[positives[k]] += slope;
                    pulls[n] -= slope;
                }
                share.active += high - low;
                continue;
            }
            let low = sorted.partition_point(|&p| p + self.margin <= at).clamp(low, high);
            let count = (high - low) as f64;
            share.sum += sums[high] - sums[low] - count * at;
            share.active += high - low;
            pulls[n] -= count;
            starts[low] += 1.0;
            starts[high] -= 1.0;
        }
        let mut pull = 0.0;
        for (&p, start) in positives.iter().zip(&starts) {
            pull += start;
            pulls[p] += pull;
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

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// The distance of two rows, by differences.
fn apart(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
}

/// Adds `w_ij (x_i - x_j)` to the gradient of i and its negative to that of j, for the anchors i of a block, which starts at
/// `first`, and all rows j. The output is cut among threads.
fn collect(gradient: &mut [f64], rows: &[f64], d: usize, first: usize, pulls: &[f64]) {
    let n = rows.len() / d;
    let count = pulls.len() / n;
    let anchors = &rows[first * d..(first + count) * d];
    gradient.par_chunks_mut(STRIP * d).enumerate().for_each(|(strip, to)| {
        let (start, height) = (strip * STRIP, to.len() / d);
        // as candidates: minus w' x, and x_j times the sum of column j
        gemm([height, d, count], to, [d, 1], &pulls[start..], [1, n], anchors, [d, 1], 1.0, -1.0);
        let mut own = vec![0.0; height];
        for pulls in pulls.chunks(n) {
            own.iter_mut().zip(&pulls[start..start + height]).for_each(|(own, pull)| *own += pull);
        }
        // as anchors: minus w x, and x_i times the sum of row i
        let (low, high) = (start.max(first), (start + height).min(first + count));
        if low < high {
            let mine = &pulls[(low - first) * n..(high - first) * n];
            let to = &mut to[(low - start) * d..(high - start) * d];
            gemm([high - low, d, n], to, [d, 1], mine, [n, 1], rows, [d, 1], 1.0, -1.0);
            mine.chunks(n).zip(&mut own[low - start..]).for_each(|(w, own)| *own += w.iter().sum::<f64>());
        }
        for (k, (to, own)) in to.chunks_mut(d).zip(own).enumerate() {
            to.iter_mut().zip(row(rows, d, start + k)).for_each(|(to, x)| *to += own * x);
        }
    });
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
