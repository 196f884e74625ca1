//! Alignment and uniformity on the hypersphere.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::{
    Denominator, Inputs, PairObjective, PositiveWeights, Reduction, Wanted, check_types, computed_in,
};
use crate::pairs::Pairs;
use crate::similarity::{Compared, Similarity};
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// Alignment (Wang and Isola 2020): `mean_i |x_i - y_i|^alpha`, of unit rows by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    alpha: f64,
    similarity: Similarity,
}

impl Alignment {
    /// With this power of the distance (paper: 2).
    ///
    /// # Errors
    /// When it is not a finite number of at least 1: below, the gradient has no limit as the distance shrinks.
    pub fn new(alpha: f64) -> Result<Self, ObjectiveError> {
        if !(alpha.is_finite() && alpha >= 1.0) {
            return Err(ObjectiveError::Outside {
                name: "power of the distance",
                value: alpha,
                allowed: "[1, infinity)",
            });
        }
        Ok(Self { alpha, similarity: Similarity::Cosine })
    }

    /// [`Similarity::Dot`]: the rows as they are instead of unit rows.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Rows `[n, d]` and their partners `[n, d]`; the value is `[1]`. Partners that coincide pull with no force.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let (value, [dx, dy]) = self.evaluate(&x, &y);
        attach_gradients(value, [(&x, dx), (&y, dy)])
    }

    /// The value and the gradients of inputs that have one; plain tensors.
    fn evaluate(&self, x: &Tensor<2>, y: &Tensor<2>) -> (Tensor<1>, [Option<Tensor<2>>; 2]) {
        let [n, d] = x.dims();
        assert_eq!([n, d], y.dims(), "the shapes of rows and partners");
        check_types(&[("rows", x.dtype()), ("partners", y.dtype())]);
        assert!(n > 0, "the alignment of no rows: [{n}, {d}]");
        let dtype = computed_in(x.dtype());
        let compared = |t: &Tensor<2>| Compared::new(self.similarity, t.clone().inner().cast(dtype));
        let (a, b) = (compared(x), compared(y));
        let gap = a.rows.clone() - b.rows.clone();
        let squares = (gap.clone() * gap.clone()).sum_dim(1);
        // |gap|^alpha and its derivative by the square, over alpha / 2: |gap|^(alpha - 2)
        let (powers, slopes) = if self.alpha == 2.0 {
            (squares.clone(), squares.ones_like())
        } else {
            let log = squares.clamp_min(SMALLEST).log();
            ((log.clone() * (self.alpha / 2.0)).exp(), (log * (self.alpha / 2.0 - 1.0)).exp())
        };
        let gradient = gap * (slopes * (self.alpha / n as f64));
        let dx = x.is_tracked().then(|| a.backward(gradient.clone()));
        drop(a);
        let dy = y.is_tracked().then(|| b.backward(gradient * -1.0));
        (powers.sum() * (1.0 / n as f64), [dx, dy])
    }
}

/// Squared distances below this count as this under powers other than 2.
const SMALLEST: f64 = 1e-30;

/// Uniformity (Wang and Isola 2020): `log mean_{i < j} e^{-t |x_i - x_j|^2}`, of unit rows by default.
///
/// Streaming: with `-t |x_i - x_j|^2 = 2t x_i . x_j - t |x_i|^2 - t |x_j|^2`, a row's sum is a log-denominator of the engine
/// with scale 2t and bias `-t |x_j|^2`, and the whole a log-sum-exp of the rows' `r_i`. With `w = softmax(r)` and the engine's
/// gradient of the anchors `g_i = sum_j p_ij 2t x_j`,
///
/// ```text
/// d / d x_i = 2 w_i g_i - 4t w_i x_i
/// ```
///
/// as the pairs' shares `w_i p_ij` are symmetric: an anchor's gradient takes its weight afterwards, and one evaluation is
/// enough. 4 n^2 d flops with the gradient, 2 without; no n x n matrix.
#[derive(Clone, Debug)]
pub struct Uniformity {
    pub(crate) t: f64,
    pub(crate) similarity: Similarity,
    pub(crate) engine: PairObjective,
}

impl Uniformity {
    /// With this sharpness of the kernel (paper: 2).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(t: f64) -> Result<Self, ObjectiveError> {
        let t = positive("sharpness of the kernel", t)?;
        // positives of zeros beside the candidates have the logit 0: a row's value is its log-denominator alone
        let engine = PairObjective::new(1.0 / (2.0 * t))?
            .with_similarity(Similarity::Dot)
            .with_pairs(Pairs::Beside)
            .with_denominator(Denominator::NegativesOnly)
            .with_reduction(Reduction::Sum);
        Ok(Self { t, similarity: Similarity::Cosine, engine })
    }

    /// [`Similarity::Dot`]: the rows as they are instead of unit rows.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Rows `[n, d]`; the value is `[1]`.
    ///
    /// # Panics
    /// When there are fewer than two rows.
    pub fn loss(&self, x: Tensor<2>) -> Tensor<1> {
        let (value, gradient) = self.evaluate(&x);
        attach_gradients(value, [(&x, gradient)])
    }

    /// The engine for n rows of one table. A row's value is its log-denominator alone: its one positive, the row after it, has
    /// the weight 0.
    fn within(&self, n: usize) -> PairObjective {
        let next = (0..n).map(|i| ((i + 1) % n) as u32).collect();
        let engine = self.engine.clone().with_pairs(Pairs::one_each(next)).with_denominator(Denominator::WithPositives);
        let engine = engine.with_positive_weights(PositiveWeights::PerAnchor(Arc::new(vec![0.0; n])));
        engine.with_denominator_weights(Arc::new(vec![1.0; n]))
    }

    /// The value and, if the input has one, its gradient; plain tensors.
    pub(super) fn evaluate(&self, x: &Tensor<2>) -> (Tensor<1>, Option<Tensor<2>>) {
        let [n, d] = x.dims();
        assert!(n > 1, "the uniformity of rows [{n}, {d}]: two at least");
        let plain = x.clone().inner().cast(computed_in(x.dtype()));
        let compared = Compared::new(self.similarity, plain);
        let options = (&compared.rows.device(), compared.rows.dtype());
        let rows = match self.similarity {
            Similarity::Cosine => compared.rows.clone(),
            // distances do not see the mean; the rounding of inner products does
            _ => compared.rows.clone() - compared.rows.clone().sum_dim(0) * (1.0 / n as f64),
        };
        let squares = (rows.clone() * rows.clone()).sum_dim(1) * self.t;
        let inputs = Inputs::self_contrast(rows.clone()).with_bias((squares.clone() * -1.0).reshape([n]));
        let result = self.within(n).evaluate(&inputs, Wanted { anchors: x.is_tracked(), candidates: false });
        let r: Vec<f64> = (result.rows - squares.reshape([n])).into_data().iter::<f64>().collect();
        let top = r.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = r.iter().map(|r| (r - top).exp()).sum();
        let total = top + sum.ln() - ((n * (n - 1)) as f64).ln();
        let gradient = result.gradients.anchors.map(|pulled| {
            let weights: Vec<f64> = r.iter().map(|r| (r - top).exp() / sum).collect();
            let weights = Tensor::<2>::from_data(TensorData::new(weights, [n, 1]), options);
            compared.backward((pulled * 2.0 - rows * (4.0 * self.t)) * weights)
        });
        (Tensor::from_data([total], options), gradient)
    }
}

/// Both (Wang and Isola 2020): `alignment(x, y) + weight (uniformity(x) + uniformity(y)) / 2`.
#[derive(Clone, Debug)]
pub struct AlignmentUniformity {
    pub(crate) alignment: Alignment,
    pub(crate) uniformity: Uniformity,
    pub(crate) weight: f64,
}

impl AlignmentUniformity {
    /// With these parts and this weight of the uniformity (paper: 1).
    ///
    /// # Errors
    /// When the weight is negative, infinite or NaN.
    pub fn new(alignment: Alignment, uniformity: Uniformity, weight: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { alignment, uniformity, weight: not_negative("weight of the uniformity", weight)? })
    }

    /// Views `[n, d]` of the same n samples; the value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are fewer than two rows.
    pub fn loss(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let (mut value, gradients) = self.alignment.evaluate(&x, &y);
        let share = self.weight / 2.0;
        // one gradient for each input: the parts are added as soon as they are there
        let mut both = |x: &Tensor<2>, gradient: Option<Tensor<2>>| {
            let (part, more) = self.uniformity.evaluate(x);
            value = value.clone() + part * share;
            gradient.zip(more).map(|(gradient, more)| gradient + more * share)
        };
        let [dx, dy] = gradients;
        let (dx, dy) = (both(&x, dx), both(&y, dy));
        attach_gradients(value, [(&x, dx), (&y, dy)])
    }
}
