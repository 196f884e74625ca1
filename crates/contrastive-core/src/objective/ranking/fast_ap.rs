//! FastAP.

use crate::error::ObjectiveError;
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// FastAP (Cakir et al. 2019, equations 5 to 7): one less the average precision of ranking all other rows by their distance to
/// the anchor, the mean over anchors that have positives; 0 without any.
///
/// ```text
/// h_l, t_l  what bin l of [0, 4] holds of the positives' and of all squared distances 2 - 2 s, shared between two bins
/// 1 - 1 / P sum_l h_l H_l / T_l        H_l, T_l: sums of h and t up to bin l
/// ```
///
/// Piecewise smooth: its gradient jumps where a distance passes the middle of a bin.
pub type FastAp = LabelledLoss<kernel::FastAp>;

impl FastAp {
    /// The number of bin widths in [0, 4] (10).
    ///
    /// # Errors
    /// When there are none, or more than 65536.
    pub fn new(bins: usize) -> Result<Self, ObjectiveError> {
        if bins == 0 || bins > 1 << 16 {
            return Err(ObjectiveError::Outside { name: "bins", value: bins as f64, allowed: "1 to 65536" });
        }
        Ok(Self { function: kernel::FastAp { bins } })
    }
}

impl RowFunction for kernel::FastAp {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let bins = self.bins as f64;
        let at = ((s * -2.0 + 2.0) * (bins / 4.0)).clamp(0.0, bins);
        let some = any(&positive);
        let zeros = || some.clone() * 0.0;
        let (mut value, mut near, mut all) = (zeros(), zeros(), zeros());
        for bin in 0..=self.bins {
            let pulse = ((at.clone() - bin as f64).abs() * -1.0 + 1.0).clamp_min(0.0);
            let held = sum_rows(pulse.clone() * positive.clone());
            near = near + held.clone();
            all = all + held.clone() + sum_rows(pulse * negative.clone());
            let none = all.clone().detach().lower_equal_elem(0.0);
            value = value + held * near.clone() / all.clone().mask_fill(none, 1.0);
        }
        let rows = (value / sum_rows(positive).clamp_min(1.0) * -1.0 + 1.0) * some.clone();
        (rows, sums(vec![some.sum()]))
    }

    fn share(rows: usize, sums: &kernel::Sums) -> f64 {
        mean_of_counted(rows, sums)
    }
}
