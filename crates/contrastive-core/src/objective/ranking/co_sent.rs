//! CoSENT.

use super::sentence_pairs::{check, cosines};
use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, positive};
use crate::host::to_vec;
use crate::objective::engine::metric_rows::log_sum_exp;
use burn::tensor::{Tensor, TensorData};

/// CoSENT (Su 2022): pairs of a higher label are to be more similar than those of a lower one. Of n pairs with similarities s and labels
/// y:
///
/// ```text
/// log(1 + sum_{i, j: y_i < y_j} e^{scale (s_i - s_j)})
/// ```
///
/// Only the order of the labels counts; without two different ones the value is 0. The double sum is a sum of products over pairs in
/// the order of their labels: n log n steps, memory linear in n, on the host in f64.
#[derive(Clone, Copy, Debug)]
pub struct CoSent {
    scale: f64,
}

impl CoSent {
    /// The scale of the similarities (20).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(scale: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { scale: positive("scale", scale)? })
    }

    /// Pairs `[n, d]` and `[n, d]`, compared by cosine, and a label for each. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, the labels are not n finite numbers, or there are no pairs.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, labels: &[f64]) -> Tensor<1> {
        self.loss_of_scores(cosines(first, second), labels)
    }

    /// The same of similarities `[n]` of any kind.
    ///
    /// # Panics
    /// When the labels are not n finite numbers, or there are none.
    pub fn loss_of_scores(&self, scores: Tensor<1>, labels: &[f64]) -> Tensor<1> {
        let plain = scores.clone().inner();
        let similarities: Vec<f64> = to_vec(&plain);
        let (value, gradient) = self.evaluate(&similarities, labels);
        let number = |x: Vec<f64>| {
            let n = x.len();
            Tensor::<1>::from_data(TensorData::new(x, [n]), (&plain.device(), plain.dtype()))
        };
        attach_gradients(number(vec![value]), [(&scores, Some(number(gradient)))])
    }

    /// Value and gradient of the similarities; NaN if one of them is NaN.
    ///
    /// # Panics
    /// As [`loss_of_scores`](Self::loss_of_scores).
    pub fn evaluate(&self, scores: &[f64], labels: &[f64]) -> (f64, Vec<f64>) {
        check(scores.len(), labels);
        if scores.iter().any(|s| s.is_nan()) {
            return (f64::NAN, vec![f64::NAN; scores.len()]);
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&i, &j| labels[i].total_cmp(&labels[j]));
        // -0 and 0 are one label
        let groups: Vec<&[usize]> = order.chunk_by(|&i, &j| labels[i] == labels[j]).collect();
        let logit = |i: usize| self.scale * scores[i];
        // of each pair the log-sum over what it is compared with, on either side
        let (mut lower, mut higher) = (vec![f64::NEG_INFINITY; scores.len()], vec![f64::NEG_INFINITY; scores.len()]);
        let (mut below, mut above) = (LogSum::default(), LogSum::default());
        for group in &groups {
            group.iter().for_each(|&j| lower[j] = below.value());
            group.iter().for_each(|&j| below.add(logit(j)));
        }
        for group in groups.iter().rev() {
            group.iter().for_each(|&i| higher[i] = above.value());
            group.iter().for_each(|&i| above.add(-logit(i)));
        }
        let mut total = LogSum::default();
        total.add(0.0);
        order.iter().for_each(|&j| total.add(lower[j] - logit(j)));
        let total = total.value();
        let slope =
            |i: usize| ((logit(i) + higher[i] - total).exp() - (lower[i] - logit(i) - total).exp()) * self.scale;
        (total, (0..scores.len()).map(slope).collect())
    }

    /// The same of similarities `[n]` by plain, differentiable tensor operations: materialises n x n matrices.
    ///
    /// # Panics
    /// As [`loss_of_scores`](Self::loss_of_scores).
    pub fn dense(&self, scores: Tensor<1>, labels: &[f64]) -> Tensor<1> {
        let n = labels.len();
        check(scores.dims()[0], labels);
        let ordered: Vec<f32> = (0..n * n).map(|at| f32::from(u8::from(labels[at / n] < labels[at % n]))).collect();
        let data = TensorData::new(ordered, [n, n]).convert_dtype(scores.dtype());
        let mask = Tensor::<2>::from_data(data, (&scores.device(), scores.dtype()));
        let s = scores * self.scale;
        let gaps = s.clone().reshape([n, 1]) - s.reshape([1, n]);
        log_sum_exp(gaps.reshape([1, n * n]), mask.reshape([1, n * n]), true)
    }
}

/// `log sum e^x` of what was added.
struct LogSum {
    top: f64,
    sum: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self { top: f64::NEG_INFINITY, sum: 0.0 }
    }
}

impl LogSum {
    fn add(&mut self, x: f64) {
        if x == f64::NEG_INFINITY {
            return;
        }
        if x > self.top {
            self.sum = self.sum * (self.top - x).exp() + 1.0;
            self.top = x;
        } else {
            self.sum += (x - self.top).exp();
        }
    }

    fn value(&self) -> f64 {
        self.top + self.sum.ln()
    }
}
