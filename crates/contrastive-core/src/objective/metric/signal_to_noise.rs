//! Contrastive loss on signal-to-noise ratios.

use super::pair_contrastive::mean_beyond;
use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::numbers;
use crate::objective::engine::metric_rows::labelled;
use crate::objective::engine::rowwise::Comparison;
use crate::objective::{Inputs, Wanted, computed};
use crate::similarity::unit_rows;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{Margins, Measure};

/// Variances of a unit row's coordinates, times the width, below this count as this.
const LEAST: f64 = 1e-6;

/// The contrastive loss of signal-to-noise distances (Yuan et al. 2019, equations 3 and 12) of unit rows under labels:
/// `d_ij = var(x_i - x_j) / var(x_i)` over the coordinates, `max(0, d - m+)` for a positive pair and `max(0, m- - d)` for a negative one;
/// the mean over the positive pairs that cost something plus the mean over the negative pairs that do.
///
/// The distance is not symmetric: row i is the signal. With centred rows h it is an inner product,
/// `d = 1 + (|h_j|^2 - 2 h_i . h_j) / |h_i|^2`, so memory is linear in the rows. `|h_i|^2` below 1e-6 counts as that.
#[derive(Clone, Debug)]
pub struct SignalToNoise {
    margins: [f64; 2],
}

impl SignalToNoise {
    /// Distances of positives beyond `positive` and those of negatives within `negative` cost (0 and 1).
    ///
    /// # Errors
    /// When a margin is negative or not finite.
    pub fn new(positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        let margins = [not_negative("margin of positives", positive)?, not_negative("margin of negatives", negative)?];
        Ok(Self { margins })
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let [n, d] = rows.dims();
        assert!(n > 0 && d > 0, "rows [{n}, {d}]");
        let (_, pairs) = labelled(&rows, labels);
        let x = unit_rows(computed(rows));
        let h = x.clone() - x.mean_dim(1);
        let square = (h.clone() * h.clone()).sum_dim(1);
        let least = square.clone().clamp_min(LEAST);
        let one = square.ones_like();
        // inner products are minus the distances
        let signal = square.clone() / least.clone() * -1.0;
        let anchors = Tensor::cat(vec![h.clone() * 2.0 / least.clone(), one.clone() * -1.0 / least, signal], 1);
        let candidates = Tensor::cat(vec![h, square, one], 1);
        let plain = Inputs::new(anchors.clone(), candidates.clone()).plain();
        let (a, c) = (plain.anchors, plain.candidates.expect("candidates"));
        let positives = pairs.resolve(n, n).expect("labels are lists");
        let comparison = Comparison { positives, excluded: None, own: Some(0) };
        let [positive, negative] = self.margins.map(|m| -m);
        let function = Margins { measure: Measure::Similarity, positive, negative, weights: [1.0; 2] };
        let wanted = if anchors.is_tracked() { Wanted::ALL } else { Wanted::VALUE };
        let out = mean_beyond(&comparison, function, [&a, &c], wanted);
        let some = |x: Tensor<2>| anchors.is_tracked().then_some(x);
        let gradients = [(&anchors, some(out.anchors)), (&candidates, some(out.candidates))];
        attach_gradients(numbers(&[out.value], &a), gradients)
    }
}
