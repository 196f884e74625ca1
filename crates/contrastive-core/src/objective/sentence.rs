//! Losses of given pairs of sentences with a label or a score each. All are linear in the number of pairs: CoSENT and AnglE, which
//! compare every pair with every other, by sorting.

use super::metric_rows::log_sum_exp;
use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::similarity::unit_rows;
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
        let host: Vec<f64> = plain.to_data().iter::<f64>().collect();
        let (value, gradient) = self.evaluate(&host, labels);
        let number = |x: Vec<f64>| {
            let n = x.len();
            Tensor::<1>::from_data(TensorData::new(x, [n]), (&plain.device(), plain.dtype()))
        };
        let value = number(vec![value]);
        let value = if scores.is_autodiff() { Tensor::from_inner(value) } else { value };
        attach(value, &scores, number(gradient))
    }

    /// Value and gradient of the similarities; not a number if one of them is none.
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

fn check(scores: usize, labels: &[f64]) {
    assert!(scores > 0 && labels.len() == scores, "{} labels for {scores} pairs", labels.len());
    assert!(labels.iter().all(|l| l.is_finite()), "labels of pairs must be finite");
}

/// `[n, 1]` cosines of rows with rows.
fn cosine_column(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
    let ([n, d], [m, e]) = (first.dims(), second.dims());
    assert!(n > 0 && d > 0 && (n, d) == (m, e), "pairs of rows [{n}, {d}] and [{m}, {e}]");
    (unit_rows(first) * unit_rows(second)).sum_dim(1)
}

fn cosines(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
    let n = first.dims()[0];
    cosine_column(first, second).reshape([n])
}

/// The angle objective of AnglE (Li and Li 2024, equation 8): CoSENT of how far two sentences turn from each other as complex vectors,
/// whose real parts are the first half of the columns and imaginary parts the second. The similarity of x and y is
///
/// ```text
/// | sum of real and imaginary parts of (x / |x|) conj(y / |y|) |
/// ```
///
/// Unlike a cosine it does not flatten where two sentences are nearly alike. AnglE adds it to [`CoSent`] of cosines and an
/// in-batch contrastive loss.
#[derive(Clone, Copy, Debug)]
pub struct AnglE(CoSent);

impl AnglE {
    /// The scale of the similarities (20).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(scale: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(CoSent::new(scale)?))
    }

    /// Pairs `[n, d]` and `[n, d]` of an even width, and a label for each. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, the width is odd, the labels are not n finite numbers, or there are no pairs.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, labels: &[f64]) -> Tensor<1> {
        self.0.loss_of_scores(Self::similarity(first, second), labels)
    }

    /// The similarities `[n]` of pairs `[n, d]` and `[n, d]`.
    ///
    /// # Panics
    /// When the shapes differ, the width is odd, or there are no pairs.
    pub fn similarity(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let [n, d] = second.dims();
        assert_eq!(first.dims(), [n, d], "the shapes of the rows of pairs");
        assert!(d.is_multiple_of(2), "complex rows of an odd width, {d}");
        let (real, imaginary) = (second.clone().slice([0..n, 0..d / 2]), second.slice([0..n, d / 2..d]));
        // Re + Im of x conj(y) is the inner product of x with y turned by -45 degrees, times the root of 2
        let turned = Tensor::cat(vec![real.clone() - imaginary.clone(), real + imaginary], 1);
        (cosines(first, turned) * std::f64::consts::SQRT_2).abs()
    }
}

/// The mean squared difference of cosines and given scores (Sentence-BERT, Reimers and Gurevych 2019, section 3): pairs `[n, d]` and
/// `[n, d]`, a score for each. The value is `[1]`.
///
/// # Panics
/// When the shapes differ, the scores are not n finite numbers, or there are no pairs.
pub fn cosine_regression(first: Tensor<2>, second: Tensor<2>, scores: &[f64]) -> Tensor<1> {
    let cosines = cosines(first, second);
    check(cosines.dims()[0], scores);
    let wanted = TensorData::new(scores.to_vec(), [scores.len()]);
    let gap = cosines.clone() - Tensor::from_data(wanted, (&cosines.device(), cosines.dtype()));
    (gap.clone() * gap).sum() * (1.0 / scores.len() as f64)
}

/// Contrastive loss of given pairs that are alike or not (Hadsell et al. 2006, equation 4), of cosine distances `d = 1 - cos`: `d^2` of a
/// pair that is alike, `max(0, margin - d)^2` of one that is not; half the mean over the pairs.
#[derive(Clone, Copy, Debug)]
pub struct ListedPairs {
    margin: f64,
    online: bool,
}

impl ListedPairs {
    /// The margin (0.5).
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: not_negative("margin", margin)?, online: false })
    }

    /// The online form of sentence-transformers: the sum (no half, no mean) over unlike pairs that are closer than the farthest
    /// alike one, and alike pairs that are farther than the closest unlike one. Where a side has a single pair or none, the other is
    /// measured at its own mean instead.
    pub fn online(mut self) -> Self {
        self.online = true;
        self
    }

    /// Pairs `[n, d]` and `[n, d]`, and which of them are alike. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, there are not n marks, or there are no pairs.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, alike: &[bool]) -> Tensor<1> {
        let distances = cosine_column(first, second) * -1.0 + 1.0;
        let n = distances.dims()[0];
        assert_eq!(alike.len(), n, "marks and pairs");
        let host: Vec<f64> = distances.to_data().iter::<f64>().collect();
        let counts = self.counting(&host, alike);
        let column = |side: bool| {
            let of = |k: usize| f64::from(u8::from(counts[k] && alike[k] == side));
            let data = TensorData::new((0..n).map(of).collect::<Vec<f64>>(), [n, 1]);
            Tensor::<2>::from_data(data, (&distances.device(), distances.dtype()))
        };
        let under = (distances.clone() * -1.0 + self.margin).clamp_min(0.0);
        let near = distances.clone() * distances.clone() * column(true);
        let total = (near + under.clone() * under * column(false)).sum();
        total * if self.online { 1.0 } else { 0.5 / n as f64 }
    }

    /// Which pairs count. One whose distance is no number does, so that it reaches the value.
    fn counting(&self, distances: &[f64], alike: &[bool]) -> Vec<bool> {
        if !self.online {
            return vec![true; alike.len()];
        }
        let side = |of: bool| -> Vec<f64> {
            distances.iter().zip(alike).filter(|(_, a)| **a == of).map(|(d, _)| *d).collect()
        };
        let (near, far) = (side(true), side(false));
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let farthest = if near.len() > 1 { near.iter().copied().fold(f64::MIN, f64::max) } else { mean(&far) };
        let closest = if far.len() > 1 { far.iter().copied().fold(f64::MAX, f64::min) } else { mean(&near) };
        let counts = |(d, alike): (&f64, &bool)| d.is_nan() || if *alike { *d > closest } else { *d < farthest };
        distances.iter().zip(alike).map(counts).collect()
    }
}
