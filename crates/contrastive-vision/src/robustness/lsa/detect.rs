//! Which samples are noisy: by their losses, and by a hyperplane among features.

use crate::VisionError;
use contrastive_eval::mixture::GaussianMixture;
use contrastive_eval::ndarray::Array2;
use contrastive_eval::probe::{ClassWeights, LogisticRegression, Targets};
use ndarray::Axis;
use serde::{Deserialize, Serialize};

/// What decides which samples are noisy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// A hyperplane in the space of features that follows the small-loss labels.
    Linear,
    /// The losses themselves.
    Loss,
    /// What is known to be noisy: the bound that no detector can pass.
    Oracle,
    /// None: everything counts as clean.
    Nothing,
}

/// The large-loss rule of the release: numbers are scaled to 0 to 1, a mixture of two normals is fitted (from two means; 10 steps, tolerance 0.01,
/// floor 5e-4).
///
/// `clip`: the share of numbers below which the rest is cut off before the scaling, 1 for none. Infinite numbers become the largest finite one.
pub(super) fn posterior_of_high(values: &[f64], clip: f64) -> Result<Vec<f64>, VisionError> {
    let values = scaled(values, clip);
    let mixture =
        GaussianMixture::new().with_two_means().with_steps(10).with_tolerance(1e-2).with_floor(5e-4).fit(&values)?;
    Ok(mixture.high(&values))
}

/// To 0 to 1; all 0 where they are equal to a millionth, which is rounding.
fn scaled(values: &[f64], clip: f64) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(&low), Some(&most)) = (sorted.first(), sorted.last()) else { return vec![0.0; values.len()] };
    let at = ((sorted.len() as f64 * clip).ceil() as usize).clamp(1, sorted.len());
    let high = if clip < 1.0 { sorted[at - 1] } else { most };
    let span = high - low;
    if span <= 1e-6 * high.abs() {
        return vec![0.0; values.len()];
    }
    values.iter().map(|value| (value.min(high) - low) / span).collect()
}

/// What a hyperplane says of all samples.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hyperplane {
    /// The probability of being noisy.
    pub chances: Vec<f64>,
    /// The hard prediction.
    pub noisy: Vec<bool>,
}

/// A logistic regression without a penalty, with balanced classes, at most 1,000 steps, from standardised features to the small-loss labels
/// of all samples. `None` where these are all alike.
pub(super) fn hyperplane(features: &Array2<f32>, trusted: &[bool]) -> Result<Option<Hyperplane>, VisionError> {
    let count = trusted.iter().filter(|noisy| **noisy).count();
    if count == 0 || count == trusted.len() {
        return Ok(None);
    }
    let x = standardised(features);
    let labels: Vec<u32> = trusted.iter().map(|noisy| u32::from(*noisy)).collect();
    let regression = LogisticRegression::without_penalty()
        .with_class_weights(ClassWeights::Balanced)
        .with_tolerance(1e-4)
        .with_max_iterations(1000);
    let model = regression.fit(x.view(), Targets::single(&labels, 2))?;
    let chances: Vec<f64> = model.probabilities(x.view())?.column(1).to_vec();
    let noisy = model.predict(x.view())?.into_iter().map(|class| class == 1).collect();
    Ok(Some(Hyperplane { chances, noisy }))
}

/// Columns of mean 0 and variance 1; those that do not vary are left out, unless none does.
fn standardised(x: &Array2<f32>) -> Array2<f64> {
    let x = x.mapv(f64::from);
    let (mean, deviation) = (x.mean_axis(Axis(0)).expect("rows"), x.std_axis(Axis(0), 0.0));
    let varies: Vec<usize> = (0..x.ncols()).filter(|&d| deviation[d] > 1e-8 * mean[d].abs().max(1e-6)).collect();
    if varies.is_empty() {
        return Array2::zeros((x.nrows(), 1));
    }
    let pick = |of: &ndarray::Array1<f64>| of.select(Axis(0), &varies);
    (x.select(Axis(1), &varies) - pick(&mean)) / pick(&deviation)
}

/// The weight of each pseudo-label: for noisy samples the probability that their pseudo-loss is one of the low ones, among the noisy; 1 for
/// clean samples, and for all where there are fewer than three noisy ones.
pub(super) fn confidence(pseudo: &[f64], noisy: &[bool]) -> Result<Vec<f32>, VisionError> {
    let mut weights = vec![1.0; noisy.len()];
    let rows: Vec<usize> = (0..noisy.len()).filter(|row| noisy[*row]).collect();
    if rows.len() < 3 {
        return Ok(weights);
    }
    let values: Vec<f64> = rows.iter().map(|&row| pseudo[row]).collect();
    let high = posterior_of_high(&values, 1.0)?;
    rows.iter().zip(high).for_each(|(&row, high)| weights[row] = (1.0 - high) as f32);
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lsa.md, check 3: constant dimensions are left out, and the scale of a feature does not matter.
    #[test]
    fn a_hyperplane_sees_no_scales_and_no_constants() {
        let at = |row: usize, d: usize| ((row * 37 + d * 11) % 17) as f32 / 8.0 - 1.0;
        let trusted: Vec<bool> = (0..60).map(|row| at(row, 0) + 0.4 * at(row, 1) + 0.9 * at(row, 3) > 0.5).collect();
        let plain = Array2::from_shape_fn((60, 3), |(row, d)| at(row, d));
        let scaled = Array2::from_shape_fn((60, 4), |(row, d)| match d {
            3 => 7.0,
            d => at(row, d) * 10f32.powi(d as i32 * 2 - 1) + 3.0 * d as f32,
        });
        let [a, b] = [plain, scaled].map(|x| hyperplane(&x, &trusted).unwrap().unwrap());
        assert_eq!(a.noisy, b.noisy);
        assert!(a.chances.iter().zip(&b.chances).all(|(a, b)| (a - b).abs() < 1e-3));
        let constant = hyperplane(&Array2::ones((60, 2)), &trusted).unwrap().unwrap();
        assert!(
            constant.chances.iter().all(|chance| (chance - 0.5).abs() < 1e-6),
            "balanced classes, and nothing to see"
        );
        assert_eq!(hyperplane(&Array2::ones((60, 2)), &[false; 60]).unwrap(), None);
    }

    /// Lsa.md, checks 2 and 5: equal losses are all clean; weights lie in 0 to 1 and are 1 on clean samples; infinite losses stand for the
    /// largest finite one.
    #[test]
    fn losses_that_say_nothing_make_nobody_noisy() {
        assert_eq!(posterior_of_high(&[0.7; 9], 1.0).unwrap(), [0.0; 9]);
        let losses = [0.1, 0.2, 0.15, 3.0, 2.9, f64::INFINITY];
        let high = posterior_of_high(&losses, 1.0).unwrap();
        assert!(high[..3].iter().all(|q| *q < 0.05) && high[3..].iter().all(|q| *q > 0.95), "{high:?}");
        let noisy = [false, true, true, true, true, true];
        let weights = confidence(&losses, &noisy).unwrap();
        assert_eq!(weights[0], 1.0);
        assert!(weights.iter().all(|w| (0.0..=1.0).contains(w)) && weights[1] > 0.9 && weights[5] < 0.1, "{weights:?}");
        assert_eq!(confidence(&losses, &[false, true, true, false, false, false]).unwrap(), [1.0; 6]);
        // one extreme loss squeezes the others together, unless it is cut off
        let mut many: Vec<f64> =
            (0..1000).map(|i| if i % 2 == 0 { 0.1 } else { 2.0 } + (i % 10) as f64 * 0.01).collect();
        many[0] = 1e6;
        let apart = |clip: f64| posterior_of_high(&many, clip).unwrap()[1] - posterior_of_high(&many, clip).unwrap()[2];
        assert!(apart(0.999) > 0.9 && apart(1.0) < 0.1, "{} {}", apart(0.999), apart(1.0));
    }
}
