//! Hinges of similarities or distances at two margins: the definition behind [`PairContrastive`](crate::objective::PairContrastive).

use crate::objective::engine::metric_rows::{distances, ones_above_zero, sum_rows, sums};
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{Margins, Measure};

impl RowFunction for Margins {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        // distances grow where similarities fall
        let (far, near) = match self.measure {
            Measure::Similarity => (s.clone() * -1.0 + self.positive, s - self.negative),
            Measure::Distance => {
                let d = distances(s, positive.clone() + negative.clone());
                (d.clone() - self.positive, d * -1.0 + self.negative)
            }
        };
        let (far, near) = (far.clamp_min(0.0) * positive, near.clamp_min(0.0) * negative);
        let sums = sums(vec![
            far.clone().sum(),
            ones_above_zero(far.clone()).sum(),
            near.clone().sum(),
            ones_above_zero(near.clone()).sum(),
        ]);
        (sum_rows(far * self.weights[0] + near * self.weights[1]), sums)
    }
}
