//! Cosines fitted to given scores.

use super::sentence_pairs::{check, cosines};
use burn::tensor::{Tensor, TensorData};

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
