//! Anchors and their negatives in linear memory, each anchor at its own temperature.

use crate::host::{column, numbers, to_f64};
use crate::objective::engine::log_sums::row_products;
use crate::objective::{Denominator, Evaluation, Inputs, PairObjective, Reduction, Wanted};
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use std::sync::Arc;

/// Unit rows to compare: anchors `[n, d]` with candidates `[m, d]` but for the excluded, relative to positives `[n, d]`.
pub(super) struct Contrast {
    pub anchors: Tensor<2>,
    pub candidates: Tensor<2>,
    pub positives: Tensor<2>,
    pub exclusions: Exclusions,
    /// Candidates of each anchor.
    pub negatives: usize,
    /// One for each anchor.
    pub temperatures: Vec<f64>,
    /// Are similarities taken relative to the positive's?
    pub relative: bool,
}

/// With `h_ij = a_i . c_j`, less `a_i . positive_i` if relative, and `p_ij = softmax_j(h_ij / tau_i)`, for each anchor:
pub(super) struct Statistics {
    /// `log mean_j e^{h_ij / tau_i}`.
    pub log_mean: Vec<f64>,
    /// `sum_j p_ij h_ij`.
    pub mean: Vec<f64>,
    /// `a_i . positive_i` if it is not in h, else 0.
    pub apart: Vec<f64>,
    /// `[n, d]`: `sum_j p_ij c_j / tau_i`.
    pulled: Tensor<2>,
}

/// Gradients of anchors, candidates and positives.
pub(super) struct Pulls {
    pub anchors: Tensor<2>,
    pub candidates: Tensor<2>,
    pub positives: Tensor<2>,
}

impl Contrast {
    /// The engine without positives: the logit of a row of zeros is 0, and a row's value its log-denominator alone.
    fn engine(&self, weights: Vec<f64>, wanted: Wanted) -> Evaluation {
        let inverse: Vec<f64> = self.temperatures.iter().map(|t| 1.0 / t).collect();
        let inputs = Inputs::new(self.anchors.clone(), self.candidates.clone())
            .with_paired(self.anchors.zeros_like())
            .with_scale(numbers(&inverse, &self.anchors));
        PairObjective::with_input_scale()
            .with_similarity(Similarity::Dot)
            .with_pairs(Pairs::Beside)
            .with_denominator(Denominator::NegativesOnly)
            .with_exclusions(self.exclusions.clone())
            .with_reduction(Reduction::Weighted(Arc::new(weights)))
            .evaluate(&inputs, wanted)
    }

    /// 4 n m d flops. The mean similarity is the derivative of the log-denominator by the inverse temperature.
    pub fn statistics(&self) -> Statistics {
        let n = self.temperatures.len();
        let result = self.engine(vec![1.0; n], Wanted { anchors: true, candidates: false });
        let own = to_f64(row_products(&self.anchors, &self.positives));
        let mean = to_f64(result.gradients.scale.expect("the gradient of the inverse temperatures"));
        let count = (self.negatives as f64).ln();
        let log_mean = to_f64(result.rows);
        let (own, apart) = if self.relative { (own, vec![0.0; n]) } else { (vec![0.0; n], own) };
        Statistics {
            log_mean: (0..n).map(|i| log_mean[i] - own[i] / self.temperatures[i] - count).collect(),
            mean: mean.iter().zip(own).map(|(mean, own)| mean - own).collect(),
            apart,
            pulled: result.gradients.anchors.expect("the gradient of the anchors"),
        }
    }

    /// The gradients of `sum_i shares_i sum_j p_ij a_i . c_j - own_i a_i . positive_i` with p held fast. 4 n m d flops.
    pub fn pulls(&self, statistics: &Statistics, shares: &[f64], own: &[f64]) -> Pulls {
        let scaled: Vec<f64> = shares.iter().zip(&self.temperatures).map(|(q, t)| q * t).collect();
        let own = column(own, &self.anchors);
        let pulled = statistics.pulled.clone() * column(&scaled, &self.anchors);
        let anchors = pulled - self.positives.clone() * own.clone();
        let positives = self.anchors.clone() * own * -1.0;
        let result = self.engine(scaled, Wanted { anchors: false, candidates: true });
        Pulls { anchors, candidates: result.gradients.candidates.expect("the gradient of the candidates"), positives }
    }
}
