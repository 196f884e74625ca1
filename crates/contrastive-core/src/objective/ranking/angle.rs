//! The angle objective of AnglE.

use super::sentence_pairs::cosines;
use crate::error::ObjectiveError;
use crate::objective::{CoSent, computed};
use burn::tensor::Tensor;

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
        let second = computed(second);
        let (real, imaginary) = (second.clone().slice([0..n, 0..d / 2]), second.slice([0..n, d / 2..d]));
        // Re + Im of x conj(y) is the inner product of x with y turned by -45 degrees, times the root of 2
        let turned = Tensor::cat(vec![real.clone() - imaginary.clone(), real + imaginary], 1);
        (cosines(first, turned) * std::f64::consts::SQRT_2).abs()
    }
}
