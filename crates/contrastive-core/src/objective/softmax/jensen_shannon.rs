//! The Jensen-Shannon estimator of mutual information.

use crate::host::numbers;
use crate::objective::engine::metric_rows::*;
use crate::objective::{Evaluation, Inputs, Wanted};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::Sigmoid;
use std::f64::consts::LN_2;

/// The Jensen-Shannon estimator (Nowozin et al. 2016; Deep InfoMax, Hjelm et al. 2019, equation 4; InfoGraph, MVGRL, PyGCL's JSD):
///
/// ```text
/// mean over negative pairs of (log(1 + e^s) - log 2) - mean over positive pairs of (log 2 - log(1 + e^-s))
/// ```
///
/// `s` is the inner product of raw rows by default. Both directions have the same value. A side without pairs is 0.
#[derive(Clone, Debug)]
pub struct JensenShannon {
    similarity: Similarity,
    pairs: Pairs,
}

impl JensenShannon {
    /// Inner products; candidate i belongs to anchor i.
    pub fn new() -> Self {
        Self { similarity: Similarity::Dot, pairs: Pairs::Diagonal }
    }

    /// Which pairs are positive (nodes and the graphs they are of: [`Pairs::labels_between`]). Positives beside the candidates are
    /// not supported.
    pub fn with_pairs(mut self, pairs: Pairs) -> Self {
        self.pairs = pairs;
        self
    }

    /// How alike two rows are.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// The function of a row, and what is taken from the sum.
    fn parts(&self, inputs: &Inputs) -> (Problem, Sigmoid, f64) {
        let problem = Problem::new(inputs, &self.pairs, self.similarity);
        let weights = problem.counts().map(|c| if c > 0.0 { 1.0 / c } else { 0.0 });
        let sides = weights.iter().filter(|w| **w > 0.0).count() as f64;
        (problem, Sigmoid { scale: 1.0, bias: 0.0, weights }, sides * LN_2)
    }

    /// The value `[1]`, attached to anchors and candidates where they carry a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, inputs: &Inputs) -> Tensor<1> {
        self.evaluate(inputs, wanted(inputs)).attach_to(inputs)
    }

    /// Value, each anchor's part of the two means without the logarithms of 2, and the gradients that are wanted; no tape.
    ///
    /// # Panics
    /// When shapes and pairs do not fit, or the inputs have a scale, a bias or paired positives.
    pub fn evaluate(&self, inputs: &Inputs, wanted: Wanted) -> Evaluation {
        let (problem, function, offset) = self.parts(inputs);
        let (mut result, _) = problem.evaluate(&function, wanted, as_it_is);
        result.value = result.value - numbers(&[offset], &problem.anchors.rows);
        result
    }

    /// The same by plain, differentiable tensor operations: materialises several n x m matrices.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn dense(&self, inputs: &Inputs) -> Tensor<1> {
        let (_, function, offset) = self.parts(inputs);
        dense(&function, inputs, &self.pairs, self.similarity, as_it_is) - offset
    }
}

impl Default for JensenShannon {
    fn default() -> Self {
        Self::new()
    }
}
