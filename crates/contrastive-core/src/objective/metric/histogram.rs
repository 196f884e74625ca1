//! Histogram loss.

use crate::error::ObjectiveError;
use crate::host::to_vec;
use crate::objective::engine::labelled::loss_of;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Wanted};
use crate::similarity::Similarity;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_kernels::rowwise::PairCurves;
use rayon::prelude::*;

/// Similarities of a block.
const BLOCK_ELEMENTS: usize = 1 << 20;
/// Rows that are counted together.
const PART: usize = 32;

/// Histogram loss (Ustinova and Lempitsky 2016, equations 1 to 4): the probability that a negative pair is more similar than a positive
/// one, of cosines under labels, estimated from soft histograms over [-1, 1]:
///
/// ```text
/// sum_r h-_r sum_{q <= r} h+_q          h+, h-: what the similarities of positive and negative pairs, shared between the two nearest
///                                       of the points -1, -1 + 2 / bins, .., 1, leave at each
/// ```
///
/// 0 without positive or without negative pairs. Piecewise linear in the similarities.
///
/// Two passes, the first of which counts: 8 n^2 d flops, memory linear in rows and bins.
#[derive(Clone, Debug)]
pub struct Histogram {
    bins: usize,
}

impl Histogram {
    /// The number of steps from -1 to 1 (the paper's values are 100 to 200; PyTorch Metric Learning's default is 100).
    ///
    /// # Errors
    /// When there are none, or more than 65536.
    pub fn new(bins: usize) -> Result<Self, ObjectiveError> {
        if bins == 0 || bins > 1 << 16 {
            return Err(ObjectiveError::Outside { name: "bins", value: bins as f64, allowed: "1 to 65536" });
        }
        Ok(Self { bins })
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        loss_of(rows, |rows, gradients| self.evaluate(rows, labels, gradients))
    }

    /// Value, each row's part of it, and, if wanted, the gradient of the rows (as that of the anchors); no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], gradients: bool) -> Evaluation {
        let (inputs, pairs) = labelled(rows, labels);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        let [near, far] = self.counts(problem.rows()[0], labels);
        let totals = problem.counts();
        let share = 1.0 / (totals[0] * totals[1]);
        let share = if share.is_finite() { share } else { 0.0 };
        // the negatives at a point and after it, the positives at it and before
        let mut after: Vec<f64> = far.iter().rev().scan(0.0, |sum, c| add(sum, c * share)).collect();
        after.reverse();
        let before: Vec<f64> = near.iter().scan(0.0, |sum, c| add(sum, c * share)).collect();
        let function = PairCurves { points: [after.into(), before.into()] };
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        problem.evaluate(&function, wanted, as_it_is).0
    }

    /// What the pairs of unit rows leave at each point, positives and negatives.
    fn counts(&self, rows: &Tensor<2>, labels: &[i64]) -> [Vec<f64>; 2] {
        let ([n, d], points) = (rows.dims(), self.bins + 1);
        let block = (BLOCK_ELEMENTS / n).clamp(1, n);
        let mut counts = [vec![0.0; points], vec![0.0; points]];
        for i0 in (0..n).step_by(block) {
            let b = block.min(n - i0);
            let s = rows.clone().slice([i0..i0 + b, 0..d]).matmul(rows.clone().transpose());
            let s: Vec<f64> = to_vec(&s);
            let parts: Vec<[Vec<f64>; 2]> = s
                .par_chunks(PART * n)
                .enumerate()
                .map(|(part, s)| {
                    let mut counts = [vec![0.0; points], vec![0.0; points]];
                    for (k, s) in s.chunks_exact(n).enumerate() {
                        let i = i0 + part * PART + k;
                        for (j, s) in s.iter().enumerate().filter(|(j, _)| *j != i) {
                            let (low, share) = PairCurves::place(*s, points);
                            let counts = &mut counts[usize::from(labels[i] != labels[j])];
                            counts[low] += 1.0 - share;
                            counts[low + 1] += share;
                        }
                    }
                    counts
                })
                .collect();
            for (side, total) in counts.iter_mut().enumerate() {
                for part in &parts {
                    total.iter_mut().zip(&part[side]).for_each(|(total, x)| *total += x);
                }
            }
        }
        counts
    }
}

fn add(sum: &mut f64, x: f64) -> Option<f64> {
    *sum += x;
    Some(*sum)
}

impl RowFunction for PairCurves {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let ([b, m], points) = (s.dims(), self.points[0].len());
        let at = (s.clamp(-1.0, 1.0) + 1.0) * (0.5 * (points - 1) as f64);
        let low = at.clone().detach().floor().clamp(0.0, (points - 2) as f64);
        let part = at - low.clone();
        // NaN has no place; it stays in `part`
        let unplaced = low.clone().is_nan();
        let places: Tensor<1, Int> = low.mask_fill(unplaced, 0.0).int().reshape([b * m]);
        let value = |side: usize| {
            let table = TensorData::new(self.points[side].to_vec(), [points]).convert_dtype(part.dtype());
            let table = Tensor::<1>::from_data(table, (&part.device(), part.dtype()));
            let of = |places: Tensor<1, Int>| table.clone().select(0, places).reshape([b, m]);
            let (below, above) = (of(places.clone()), of(places.clone() + 1));
            below.clone() + (above - below) * part.clone()
        };
        let near = value(0) * positive;
        let slopes = near.clone() - near.detach();
        let rows = sum_rows(value(1) * negative + slopes);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}
