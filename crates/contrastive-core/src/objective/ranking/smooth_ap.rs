//! Smooth-AP.

use crate::error::{ObjectiveError, positive};
use crate::host::to_f64;
use crate::objective::LabelledLoss;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_kernels::rowwise::{self as kernel, RankCost};

/// Smooth-AP (Brown et al. 2020, equation 7): one less the average precision of ranking all rows by their cosine with the anchor,
/// where a comparison is a sigmoid; the mean over anchors that have positives, 0 without any.
///
/// ```text
/// 1 - 1 / |P| sum_{j of P} R(j, P) / R(j, all)          R(j, S) = 1 + sum_{k of S, k != j} sigma((s_k - s_j) / temperature)
/// ```
///
/// P are the rows of the anchor's label, the anchor among them (as in the released code). Classes may differ in size, and rows come
/// in any order. P comparisons of each row: P n^2 steps beside the products, memory linear in n.
pub type SmoothAp = LabelledLoss<kernel::PositiveRanks>;

impl SmoothAp {
    /// The temperature (0.01).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        let temperature = positive("temperature", temperature)?;
        let function = kernel::PositiveRanks { temperature, cost: RankCost::AveragePrecision };
        Ok(Self { function })
    }
}

/// Cost of a positive that is number `p` among the positives, with `r` negatives before it.
fn cost(cost: RankCost, p: Tensor<2>, r: Tensor<2>) -> Tensor<2> {
    match cost {
        RankCost::AveragePrecision => r.clone() / (p + r),
        RankCost::Negatives => r,
        RankCost::Logarithm => r.log1p(),
        RankCost::Power(alpha) => (r.log1p() * -alpha).exp() * -1.0 + 1.0,
        RankCost::Increasing => (r.clone() + 1.0) * r.log1p(),
        RankCost::Bounded(b) => (r.clone() * b - (r * b).log1p()) * (1.0 / (b * b)),
    }
}

impl RowFunction for kernel::PositiveRanks {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [b, m] = s.dims();
        // what is not a negative: the positives and the anchor, as many places for each row as the largest has
        let mask = to_f64(negative.clone());
        let lists: Vec<Vec<usize>> = mask.chunks(m).map(|row| (0..m).filter(|j| row[*j] == 0.0).collect()).collect();
        let most = lists.iter().map(Vec::len).max().unwrap_or(0);
        let (mut places, mut valid) = (vec![0i32; b * most], vec![0.0; b * most]);
        for (at, list) in lists.iter().enumerate() {
            for (k, j) in list.iter().enumerate() {
                (places[at * most + k], valid[at * most + k]) = (*j as i32, 1.0);
            }
        }
        let places = Tensor::<2, Int>::from_data(TensorData::new(places, [b, most]), &s.device());
        let data = TensorData::new(valid, [b, most]).convert_dtype(s.dtype());
        let valid = Tensor::<2>::from_data(data, (&s.device(), s.dtype()));
        let items = s.clone().gather(1, places);
        let mut total = negative.clone().sum_dim(1) * 0.0;
        for k in 0..most {
            let column = |x: &Tensor<2>| x.clone().slice([0..b, k..k + 1]);
            let before = |x: &Tensor<2>, mask: &Tensor<2>| {
                let gaps = (x.clone() - column(&items)) * (1.0 / self.temperature);
                ((softplus(gaps * -1.0) * -1.0).exp() * mask.clone()).sum_dim(1)
            };
            // itself is half before itself, and number 1
            let place = before(&items, &valid) + 0.5;
            total = total + cost(self.cost, place, before(&s, &negative)) * column(&valid);
        }
        let some = any(&positive);
        let rows = (total / valid.sum_dim(1).clamp_min(1.0)).reshape([b]) * some.clone();
        (rows, sums(vec![some.sum()]))
    }

    fn share(rows: usize, sums: &kernel::Sums) -> f64 {
        mean_of_counted(rows, sums)
    }
}
