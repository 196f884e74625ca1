//! From scores of importance to probabilities of being dropped.

use super::AugmentError;
use super::error::{all, share};

/// `log x`, where an `x` of 0 counts as the smallest one above 0.
pub(super) fn logarithms(x: &[f64]) -> Vec<f64> {
    let least = x.iter().copied().filter(|&x| x > 0.0).fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 1.0 };
    x.iter().map(|&x| x.max(least).ln()).collect()
}

/// Probabilities of dropping things of these scores (GCA, equations 2 and 3):
/// `min(w / mean(w) * probability, cut)` with `w = (max - s) / (max - mean)`.
///
/// Equal scores, for which `w` is 0 / 0, all get `probability`.
///
/// # Errors
/// When a score is not finite, or `probability` or `cut` is not in `0..=1`.
pub fn adaptive(scores: &[f64], probability: f64, cut: f64) -> Result<Vec<f64>, AugmentError> {
    share("drop probability", probability)?;
    share("cut of drop probabilities", cut)?;
    all("score", scores, "a finite number", f64::is_finite)?;
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let distance: Vec<f64> = scores.iter().map(|score| largest - score).collect();
    Ok(scaled(&distance, probability, cut))
}

/// `min(w / mean(w) * probability, cut)`; all `probability` where the weights are 0 up to rounding of numbers near 1.
pub(super) fn scaled(weights: &[f64], probability: f64, cut: f64) -> Vec<f64> {
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    let flat = weights.iter().all(|&weight| weight <= 1e-12);
    weights.iter().map(|&weight| if flat { probability } else { (weight / mean * probability).min(cut) }).collect()
}
