//! Intra-pair variance loss.

use crate::error::{ObjectiveError, not_negative};
use crate::objective::engine::labelled::loss_of;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Wanted, computed};
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::rowwise::SquaredMargins;
use std::collections::BTreeMap;

/// Intra-pair variance loss (Yu and Tao 2019, section 3.3) of unit rows under labels: the mean over positive pairs of
/// `max(0, (1 - eps+) m+ - s)^2` plus the mean over negative pairs of `max(0, s - (1 + eps-) m-)^2`, where `m+` and `m-` are the mean
/// similarities of positive and negative pairs. A side without pairs is 0.
///
/// The means, and their part of the gradient, take n d steps: they are those of class sums.
#[derive(Clone, Debug)]
pub struct IntraPairVariance {
    epsilons: [f64; 2],
}

impl IntraPairVariance {
    /// How far from the means pairs may be without cost, positives and negatives (0.01 and 0.01).
    ///
    /// # Errors
    /// When one is negative, infinite or NaN.
    pub fn new(positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        let epsilons =
            [not_negative("epsilon of positives", positive)?, not_negative("epsilon of negatives", negative)?];
        Ok(Self { epsilons })
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
        let counts = problem.counts();
        let classes = Classes::new(&problem.anchors.rows, labels);
        let share = counts.map(|c| if c > 0.0 { 1.0 / c } else { 0.0 });
        let factors = [1.0 - self.epsilons[0], 1.0 + self.epsilons[1]];
        let totals = classes.totals();
        let [positive, negative] = [0, 1].map(|side| factors[side] * totals[side] * share[side]);
        let function = SquaredMargins { positive, negative, weights: share };
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        let (mut result, sums) = problem.evaluate(&function, wanted, as_it_is);
        // what moves the margins: a hinge rises with the one and falls with the other
        let pulls = [0, 1].map(|side| 2.0 * factors[side] * sums[side] * share[side] * share[side]);
        let means = || problem.anchors.backward(classes.slope([pulls[0], -pulls[1]], &problem.anchors.rows));
        result.gradients.anchors = result.gradients.anchors.map(|g| g + means());
        result
    }

    /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        labelled(&rows, labels);
        let n = labels.len();
        let x = unit_rows(computed(rows));
        let s = x.clone().matmul(x.transpose());
        let mask = |same: bool| {
            let of = |at: usize| (labels[at / n] == labels[at % n]) == same && at / n != at % n;
            let ones: Vec<f32> = (0..n * n).map(|at| f32::from(u8::from(of(at)))).collect();
            let data = TensorData::new(ones, [n, n]).convert_dtype(s.dtype());
            Tensor::<2>::from_data(data, (&s.device(), s.dtype()))
        };
        let mean = |x: Tensor<2>, mask: &Tensor<2>| (x * mask.clone()).sum() / mask.clone().sum().clamp_min(1.0);
        let (near, far) = (mask(true), mask(false));
        let bound = |mask: &Tensor<2>, factor: f64| (mean(s.clone(), mask) * factor).reshape([1, 1]);
        let under = (bound(&near, 1.0 - self.epsilons[0]) - s.clone()).clamp_min(0.0);
        let over = (s.clone() - bound(&far, 1.0 + self.epsilons[1])).clamp_min(0.0);
        mean(under.clone() * under, &near) + mean(over.clone() * over, &far)
    }
}

/// Unit rows and the sums of their classes, in f64.
struct Classes<'a> {
    labels: &'a [i64],
    rows: Vec<f64>,
    sums: BTreeMap<i64, Vec<f64>>,
    all: Vec<f64>,
}

impl<'a> Classes<'a> {
    fn new(rows: &Tensor<2>, labels: &'a [i64]) -> Self {
        let d = rows.dims()[1];
        let rows: Vec<f64> = rows.to_data().iter::<f64>().collect();
        let mut sums: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        let mut all = vec![0.0; d];
        for (row, label) in rows.chunks_exact(d).zip(labels) {
            let class = sums.entry(*label).or_insert_with(|| vec![0.0; d]);
            row.iter().zip(class).zip(&mut all).for_each(|((x, class), all)| (*class, *all) = (*class + x, *all + x));
        }
        Self { labels, rows, sums, all }
    }

    /// The sums of similarities over all positive pairs and over all negative pairs.
    fn totals(&self) -> [f64; 2] {
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let within: f64 = self.sums.values().map(|sum| square(sum)).sum();
        [within - square(&self.rows), square(&self.all) - within]
    }

    /// The gradient of the totals times the weights.
    fn slope(&self, weights: [f64; 2], like: &Tensor<2>) -> Tensor<2> {
        let d = self.all.len();
        let of = |(row, label): (&[f64], &i64)| -> Vec<f64> {
            let each = row.iter().zip(&self.sums[label]).zip(&self.all);
            each.map(|((x, class), all)| 2.0 * (weights[0] * (class - x) + weights[1] * (all - class))).collect()
        };
        let slopes: Vec<f64> = self.rows.chunks_exact(d).zip(self.labels).flat_map(of).collect();
        let data = TensorData::new(slopes, like.dims()).convert_dtype(like.dtype());
        Tensor::from_data(data, (&like.device(), like.dtype()))
    }
}

impl RowFunction for SquaredMargins {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let under = (s.clone() * -1.0 + self.positive).clamp_min(0.0);
        let over = (s - self.negative).clamp_min(0.0);
        let (under, over) = (under * positive, over * negative);
        let hinges = sums(vec![under.clone().sum(), over.clone().sum()]);
        let rows = under.clone() * under * self.weights[0] + over.clone() * over * self.weights[1];
        (sum_rows(rows), hinges)
    }
}
