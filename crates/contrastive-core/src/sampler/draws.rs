//! Weighted draws without replacement.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// `count` different places of `weights` (all of them where there are fewer), in the order of the draws: each draw takes a place that is
/// left with probability proportional to its weight (Gumbel top-k; Efraimidis and Spirakis, 2006). A place of weight 0 is taken only when
/// no other is left.
///
/// # Panics
/// When a weight is negative or not finite.
pub fn weighted_draws(weights: &[f64], count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let key = |weight: &f64| {
        assert!(weight.is_finite() && *weight >= 0.0, "a weight of {weight}: it must be finite and at least 0");
        // log weight + Gumbel noise; 1 - u is never 0
        weight.ln() - (-(1.0 - rng.random::<f64>()).ln()).ln()
    };
    let keys: Vec<f64> = weights.iter().map(key).collect();
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by(|a, b| keys[*b].total_cmp(&keys[*a]));
    places.truncate(count);
    places
}
