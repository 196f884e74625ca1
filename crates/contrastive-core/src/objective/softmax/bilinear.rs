//! InfoNCE with a learned bilinear similarity.

use crate::error::ObjectiveError;
use crate::objective::{Inputs, PairObjective, check_types, computed};
use crate::similarity::Similarity;
use burn::tensor::Tensor;

/// InfoNCE of `a_i W c_j` (CPC, van den Oord et al. 2018, equation 3; CURL, Laskin et al. 2020): the diagonal
/// holds the positives; nothing is normalised.
#[derive(Clone, Debug)]
pub struct BilinearInfoNce(PairObjective);

impl BilinearInfoNce {
    /// As published: without a temperature, which W learns.
    pub fn new() -> Self {
        Self::with_temperature(1.0).expect("1 is a temperature")
    }

    /// The similarities divided by a temperature.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn with_temperature(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.with_similarity(Similarity::Dot)))
    }

    /// The objective behind the name, on anchors that were multiplied with W.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Anchors `[n, d]`, positives `[m, e]` of which row i belongs to anchor i and rows from n on are negatives of all,
    /// weight `[d, e]`. The value is `[1]`; without negatives 0. The product with W is left to autodiff; it is `[n, e]`.
    ///
    /// # Panics
    /// When the shapes do not fit, or there are no rows.
    pub fn loss(&self, anchors: Tensor<2>, positives: Tensor<2>, weight: Tensor<2>) -> Tensor<1> {
        let ([n, d], [m, e], w) = (anchors.dims(), positives.dims(), weight.dims());
        assert_eq!([d, e], w, "a weight {w:?} between anchors [{n}, {d}] and positives [{m}, {e}]");
        check_types(&[
            ("anchors", anchors.dtype()),
            ("positives", positives.dtype()),
            ("the weight between them", weight.dtype()),
        ]);
        self.0.loss(&Inputs::new(computed(anchors).matmul(computed(weight)), positives))
    }
}

impl Default for BilinearInfoNce {
    fn default() -> Self {
        Self::new()
    }
}
