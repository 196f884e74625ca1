//! What scores do during training.

use super::joined::products;
use crate::host::to_f64;
use crate::objective::{Inputs, LogSums, computed_in};
use crate::similarity::Similarity;
use burn::tensor::Tensor;

/// The scores of a step, sample by sample (Zhu et al. 2021, section 3): enough to draw the distribution of positive and negative
/// scores over training, and to see from it why a setting fails. Nothing of size samples x negatives is held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreTrace {
    /// The score of each sample with its positive.
    pub positive: Vec<f64>,
    /// The mean over negatives of each sample's scores.
    pub negative_mean: Vec<f64>,
    /// Their variance, of 1 / m.
    pub negative_variance: Vec<f64>,
    /// `log mean_u exp(negative score / T)`: the logarithm, since at small T the mean itself leaves f32.
    pub log_mean_exp: Vec<f64>,
    /// The temperature T.
    pub temperature: f64,
}

/// The four curves of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreSummary {
    /// The mean over samples of the mean negative score.
    pub negative_mean: f64,
    /// The mean over samples of the variance of the negative scores. A good setting lowers it slowly.
    pub negative_variance: f64,
    /// The mean positive score.
    pub positive_mean: f64,
    /// Its variance over samples.
    pub positive_variance: f64,
}

impl ScoreTrace {
    /// Scores of `anchors` `[n, d]` with `negatives` `[m, d]`, and of `queries` with `keys`, both `[n, d]`; inner products. Mean and
    /// variance come from the mean and the d x d covariance of the negatives: `m d^2 + n d^2` multiplications.
    ///
    /// # Panics
    /// When shapes do not fit, there is no row, or the temperature is not above 0.
    pub fn record(
        anchors: &Tensor<2>,
        queries: &Tensor<2>,
        keys: &Tensor<2>,
        negatives: &Tensor<2>,
        temperature: f64,
    ) -> Self {
        let dtype = computed_in(anchors.dtype());
        let plain = |x: &Tensor<2>| x.clone().inner().cast(dtype);
        let (a, c) = (plain(anchors), plain(negatives));
        let ([n, d], [m, e]) = (a.dims(), c.dims());
        assert!(n > 0 && m > 0 && d == e, "scores of anchors [{n}, {d}] with negatives [{m}, {e}]");
        let share = 1.0 / m as f64;
        let mean = c.clone().sum_dim(0) * share;
        let gap = c.clone() - mean.clone();
        let covariance = gap.clone().transpose().matmul(gap) * share;
        let sums = LogSums::new(temperature).unwrap_or_else(|e| panic!("{e}")).with_similarity(Similarity::Dot);
        let count = (m as f64).ln();
        Self {
            positive: to_f64(products(&plain(queries), &plain(keys))),
            negative_mean: to_f64((a.clone() * mean).sum_dim(1)),
            negative_variance: to_f64((a.clone().matmul(covariance) * a.clone()).sum_dim(1).clamp_min(0.0)),
            log_mean_exp: sums.values(&Inputs::new(a, c)).iter().map(|l| l - count).collect(),
            temperature,
        }
    }

    /// `exp(positive score / T)` of each sample.
    pub fn positive_exp(&self) -> Vec<f64> {
        self.positive.iter().map(|s| (s / self.temperature).exp()).collect()
    }

    /// Means over the samples.
    pub fn summary(&self) -> ScoreSummary {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let positive_mean = mean(&self.positive);
        let squares: Vec<f64> = self.positive.iter().map(|s| (s - positive_mean).powi(2)).collect();
        ScoreSummary {
            negative_mean: mean(&self.negative_mean),
            negative_variance: mean(&self.negative_variance),
            positive_mean,
            positive_variance: mean(&squares),
        }
    }
}
