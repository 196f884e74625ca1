//! How likely a rule that looks at the surface alone proposes a pair, and what a pair is worth against it.

/// The law by which pairs of a pool are drawn.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Propensity {
    /// T_s, above 0; infinite: every pair is proposed alike.
    pub temperature: f64,
    /// g, at least 0: the power of the relevance.
    pub relevance: f64,
    /// The least propensity, as a share of `1 / pool`, in [0, 1].
    pub floor: f64,
}

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Positives: the naive rule proposes similar surfaces; the relevance is that of similar meaning.
    Positives,
    /// Negatives: random ones have other surfaces; the relevance is that of other meaning.
    Negatives,
}

impl Propensity {
    /// e of each pair of a pool: `softmax(sur / T_s)` of positives, `softmax((1 - sur) / T_s)` of negatives, at least
    /// `floor / pool`.
    pub fn propensities(&self, side: Side, surface: &[f64]) -> Vec<f64> {
        let logit = |sur: f64| match side {
            _ if self.temperature.is_infinite() => 0.0,
            Side::Positives => sur / self.temperature,
            Side::Negatives => (1.0 - sur) / self.temperature,
        };
        let logits: Vec<f64> = surface.iter().map(|sur| logit(*sur)).collect();
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - top).exp()).sum();
        let least = self.floor / surface.len() as f64;
        logits.iter().map(|logit| ((logit - top).exp() / sum).max(least)).collect()
    }

    /// rel of a pair: `sem^g` of positives, `(1 - sem)^g` of negatives.
    pub fn relevance(&self, side: Side, semantic: f64) -> f64 {
        match side {
            Side::Positives => semantic.powf(self.relevance),
            Side::Negatives => (1.0 - semantic).powf(self.relevance),
        }
    }

    /// pi of each pair of a pool: relevance over propensity, summing to 1; equal shares where nothing is relevant.
    ///
    /// # Panics
    /// When the lists have different lengths.
    pub fn law(&self, side: Side, semantic: &[f64], surface: &[f64]) -> Vec<f64> {
        assert_eq!(semantic.len(), surface.len(), "semantic and surface similarities of a pool");
        let propensities = self.propensities(side, surface);
        let weights: Vec<f64> =
            semantic.iter().zip(&propensities).map(|(sem, e)| self.relevance(side, *sem) / e).collect();
        let sum: f64 = weights.iter().sum();
        if sum > 0.0 {
            weights.iter().map(|weight| weight / sum).collect()
        } else {
            vec![1.0 / semantic.len() as f64; semantic.len()]
        }
    }
}
