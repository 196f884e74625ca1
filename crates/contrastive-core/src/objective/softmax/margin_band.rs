//! MCLRec's regulariser of two views, alone or beside the contrast it works against.

use crate::error::{ObjectiveError, not_negative};
use crate::linear::gather_rows;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::engine::views::stacked;
use crate::objective::metric::hardest_negatives;
use crate::objective::{Evaluation, Inputs, Wanted, computed};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Two views of n things, 2n rows, inner products at temperature 1: row i with positive score p (its other view), negatives `n_j` (the
/// 2n - 2 others), the largest of them m (MCLRec, Qin et al. 2023, in the form of the released code):
///
/// ```text
/// R     = mean_i ( [p - min(p, m)]_+ + mean_j [max(p, m) - n_j]_+ )
/// value = contrast * NT-Xent + band * R
/// ```
///
/// R works against the contrast on purpose: it holds positives and negatives within a band, so that views stay informative. Value and
/// gradients of both come from one pass over the scores, in memory linear in n. R is differentiated through p, every `n_j` and m.
/// A single thing has no negatives: the value is 0. A constant added to all scores changes nothing of R.
#[derive(Clone, Debug)]
pub struct MarginBand {
    function: kernel::MarginBand,
}

impl MarginBand {
    /// R alone, with factor 1.
    pub fn new() -> Self {
        Self { function: kernel::MarginBand { contrast: 0.0, band: 1.0 } }
    }

    /// The weighted sum of NT-Xent (inner products, temperature 1) and R.
    ///
    /// # Errors
    /// When a factor is negative, infinite or NaN.
    pub fn with_contrast(contrast: f64, band: f64) -> Result<Self, ObjectiveError> {
        let contrast = not_negative("factor of the contrast", contrast)?;
        let band = not_negative("factor of the margin band", band)?;
        Ok(Self { function: kernel::MarginBand { contrast, band } })
    }

    /// Two views `[n, d]` of the same n things. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::self_contrast(stacked(first, second));
        let result = self.evaluate(&inputs.anchors, inputs.anchors.is_tracked());
        result.attach_to(&inputs)
    }

    /// Value, each row's part before the division, and, if wanted, the gradient, of 2n rows `[2n, d]`: one view after the other.
    ///
    /// # Panics
    /// When the number of rows is odd or 0.
    pub fn evaluate(&self, rows: &Tensor<2>, gradients: bool) -> Evaluation {
        let problem = Problem::new(&Inputs::self_contrast(rows.clone()), &Pairs::TwoViews, Similarity::Dot);
        let wanted = Wanted { anchors: gradients, candidates: gradients };
        problem.evaluate(&self.function, wanted, mean_of_rows).0
    }

    /// The same by plain, differentiable tensor operations: materialises several 2n x 2n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::self_contrast(stacked(first, second));
        dense(&self.function, &inputs, &Pairs::TwoViews, Similarity::Dot, mean_of_rows)
    }
}

impl Default for MarginBand {
    fn default() -> Self {
        Self::new()
    }
}

impl RowFunction for kernel::MarginBand {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let b = s.dims()[0];
        let row = |x: Tensor<2>| x.reshape([b]);
        let (has, count) = (any(&negative) * any(&positive), sum_rows(negative.clone()));
        let p = sum_rows(s.clone() * positive.clone());
        let m = row(only(s.clone(), negative.clone()).max_dim(1)) * has.clone();
        let mean = sum_rows(s.clone() * negative.clone()) / count.clamp_min(1.0);
        let above = (p.clone() - m.clone()).clamp_min(0.0);
        // max(p, m) is m plus what p is above it
        let band = (above.clone() * 2.0 + m - mean) * has.clone();
        let cross = (log_sum_exp(s, positive + negative, false) - p) * has;
        let sums = sums(vec![cross.clone().sum(), band.clone().sum()]);
        (cross * self.contrast + band * self.band, sums)
    }
}

/// The paper's form of the regulariser (equation 14 and above), with one band for the batch: of 2n rows, p the 2n positive scores, n the
/// negative ones,
///
/// ```text
/// lo = min(min p, max n)    hi = max(min p, max n)
/// R  = mean [p - lo]_+ + mean [hi - n]_+  =  mean p - mean n + |min p - max n|
/// ```
///
/// of two views `[n, d]`. The value is `[1]`; 0 for a single thing. Memory is linear in n: the mean of all negatives is that of inner
/// products of sums, and the largest one is searched.
///
/// # Panics
/// When the shapes differ, or there are no rows.
pub fn margin_band_of_batch(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
    let n = first.dims()[0];
    let rows = computed(stacked(first.clone(), second.clone()));
    if n < 2 {
        return (rows * 0.0).sum();
    }
    let count = 2 * n;
    let positives = (computed(first) * computed(second)).sum_dim(1).reshape([n]);
    let total = rows.clone().sum_dim(0);
    let squares = (total.clone() * total).sum() - (rows.clone() * rows.clone()).sum() - positives.clone().sum() * 2.0;
    let mean = squares * (1.0 / (count as f64 * (count - 2) as f64));
    // the largest negative, by the search; its score again, with a gradient
    let plain = rows.clone().inner();
    let pairs: Vec<u32> =
        (0..count as u32).map(|i| if (i as usize) < n { i + n as u32 } else { i - n as u32 }).collect();
    let found = hardest_of(&plain, pairs);
    let (a, b) = (gather_rows(rows.clone(), &[found.0]), gather_rows(rows, &[found.1]));
    let largest = (a * b).sum();
    let least = positives.clone().min();
    positives.mean() - mean + (least - largest).abs()
}

/// The two rows of the largest negative score.
fn hardest_of(rows: &Tensor<2>, pairs: Vec<u32>) -> (u32, u32) {
    let n = pairs.len();
    let best = hardest_negatives(&Inputs::self_contrast(rows.clone()), &Pairs::one_each(pairs), Similarity::Dot, 1);
    let first = |i: &usize| best.row(*i).1.first().copied().unwrap_or(f64::NEG_INFINITY);
    let top = (0..n).max_by(|a, b| first(a).total_cmp(&first(b)).then(b.cmp(a))).expect("at least two rows");
    (top as u32, best.row(top).0[0])
}
