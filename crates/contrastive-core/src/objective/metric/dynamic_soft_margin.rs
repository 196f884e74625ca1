//! Dynamic soft margin.

use crate::error::{ObjectiveError, positive};
use crate::host::{column, to_f64};
use crate::objective::engine::log_sums::row_products;
use crate::objective::{Inputs, check_types, computed, hardest_negatives};
use crate::pairs::Pairs;
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Dynamic soft margin (Zhang and Rusinkiewicz 2019, section 3.3) of pairs of unit rows: no margin to choose. Each pair meets the nearest
/// row of another pair, seen from either side; with distances d, `v_i = d+_i - d-_i` is weighted by the share of the pairs so far that
/// were easier:
///
/// ```text
/// 1 / n sum_i F(v_i) v_i          F: the cumulative histogram of v over the batches, a moving average
/// ```
///
/// The weights are constants to the gradient. The histogram is state: it is all there is to keep with a checkpoint.
///
/// The nearest rows are found as in [`hardest_negatives`]: 4 n^2 d flops, memory linear in n.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DynamicSoftMargin {
    momentum: f64,
    /// At points of [-2, 2].
    histogram: Vec<f64>,
    seen: bool,
}

impl DynamicSoftMargin {
    /// The number of steps of the histogram from -2 to 2, and the weight of each pair of a new batch in it, against one less that for all
    /// before (PyTorch Metric Learning's defaults are 10 and 0.01). Of the first batch nothing was before.
    ///
    /// # Errors
    /// When there are no steps, or more than 65536, or the weight is not above 0 and at most 1.
    pub fn new(bins: usize, momentum: f64) -> Result<Self, ObjectiveError> {
        if bins == 0 || bins > 1 << 16 {
            return Err(ObjectiveError::Outside { name: "bins", value: bins as f64, allowed: "1 to 65536" });
        }
        if positive("momentum", momentum)? > 1.0 {
            return Err(ObjectiveError::Outside { name: "momentum", value: momentum, allowed: "0 to 1" });
        }
        Ok(Self { momentum, histogram: vec![0.0; bins + 1], seen: false })
    }

    /// The shares of the pairs so far at the points -2, -2 + 4 / bins, .., 2; all 0 before the first batch.
    pub fn histogram(&self) -> &[f64] {
        &self.histogram
    }

    /// Anchors `[n, d]` and their positives `[n, d]`, of different samples each, compared by direction; the batch enters the histogram
    /// first. The value is `[1]`; 0 of a single pair, which has no negative.
    ///
    /// # Errors
    /// When a distance is NaN, which the histogram would keep; it stays as it was.
    ///
    /// # Panics
    /// When there are no pairs, or the shapes differ.
    pub fn loss(&mut self, anchors: Tensor<2>, positives: Tensor<2>) -> Result<Tensor<1>, ObjectiveError> {
        let [n, d] = anchors.dims();
        assert!(n > 0 && d > 0, "pairs of rows [{n}, {d}]");
        assert_eq!([n, d], positives.dims(), "the shapes of anchors and positives");
        check_types(&[("anchors", anchors.dtype()), ("positives", positives.dtype())]);
        let (a, p) = (unit_rows(computed(anchors)), unit_rows(computed(positives)));
        if !to_f64((a.clone() + p.clone()).inner().sum())[0].is_finite() {
            return Err(ObjectiveError::Contradiction("rows that are not finite: the histogram would keep them"));
        }
        if n == 1 {
            return Ok((a + p).sum() * 0.0);
        }
        let nearest = |x: &Tensor<2>, y: &Tensor<2>| {
            let inputs = Inputs::new(x.clone().inner(), y.clone().inner());
            hardest_negatives(&inputs, &Pairs::Diagonal, Similarity::Cosine, 1)
        };
        let (of_anchors, of_positives) = (nearest(&a, &p), nearest(&p, &a));
        // rows of both sides, one after the other: of each pair which two are nearest
        let both = Tensor::cat(vec![a.clone(), p.clone()], 0);
        let closest = |i: usize| match of_anchors.scores[i] >= of_positives.scores[i] {
            true => (i as i32, n as i32 + of_anchors.indices[i] as i32),
            false => ((n + i) as i32, of_positives.indices[i] as i32),
        };
        let (from, to): (Vec<i32>, Vec<i32>) = (0..n).map(closest).unzip();
        let rows = |places: Vec<i32>| {
            let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &both.device());
            both.clone().select(0, places)
        };
        let gaps = distance(a, p) - distance(rows(from), rows(to));
        let values = to_f64(gaps.clone().inner());
        self.count(&values);
        let weights: Vec<f64> = values.iter().map(|v| self.easier(*v) / n as f64).collect();
        Ok((gaps.clone() * column(&weights, &gaps)).sum())
    }

    /// The point below, and the share of the next.
    fn place(&self, value: f64) -> (usize, f64) {
        let steps = self.histogram.len() - 1;
        let at = ((value + 2.0) * 0.25 * steps as f64).clamp(0.0, steps as f64);
        (at as usize, at - at.floor())
    }

    fn count(&mut self, values: &[f64]) {
        let new = if self.seen { self.momentum } else { 1.0 };
        self.seen = true;
        self.histogram.iter_mut().for_each(|h| *h *= 1.0 - new);
        for value in values {
            let (low, share) = self.place(*value);
            self.histogram[low] += new * (1.0 - share);
            if share > 0.0 {
                self.histogram[low + 1] += new * share;
            }
        }
        let total: f64 = self.histogram.iter().sum();
        self.histogram.iter_mut().for_each(|h| *h /= total);
    }

    /// The share of pairs up to the point below.
    fn easier(&self, value: f64) -> f64 {
        self.histogram[..=self.place(value).0].iter().sum()
    }
}

/// `[n, 1]` distances of rows, whose slope at 0 is 0.
fn distance(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let gap = x - y;
    row_products(&gap, &gap).clamp_min(1e-16).sqrt()
}
