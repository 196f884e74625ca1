//! Rows among labelled rows or among one learned row for each class (a proxy, a column of a classifier).

use super::log_sums::numbers;
use super::rowwise::Comparison;
use super::{Inputs, PairObjective, Placement, PositiveWeights, Reduction};
use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::pairs::{PairLists, Pairs};
use crate::similarity::{Compared, Similarity};
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{MarginSoftmax, TargetMargin};
use contrastive_kernels::softmax::Wanted;

/// Class numbers of proxies `0..c`.
fn classes(labels: &[i64], c: usize) -> Pairs {
    let largest = labels.iter().max();
    let inside = labels.iter().all(|&l| l >= 0 && (l as usize) < c);
    assert!(inside, "labels from {:?} to {largest:?} for {c} classes", labels.iter().min());
    Pairs::one_each(labels.iter().map(|&l| l as u32).collect())
}

/// Neighbourhood component analysis (Goldberger et al. 2004) of unit rows: `-log` of the share of an anchor's own label in the
/// softmax of `-scale d^2` over all others; the mean over anchors that have a positive.
#[derive(Clone, Debug)]
pub struct Nca(PairObjective);

impl Nca {
    /// The scale of the squared distances (1).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(scale: f64) -> Result<Self, ObjectiveError> {
        // -scale d^2 = 2 scale s - 2 scale
        let objective = PairObjective::new(0.5 / positive("scale", scale)?)?.placement(Placement::Inside);
        Ok(Self(objective.positive_weights(PositiveWeights::Sum).reduction(Reduction::MeanWithPositives)))
    }

    /// Rows `[n, d]` with a label each. The value is `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        self.0.clone().pairs(Pairs::labels(labels)).loss(&Inputs::within(rows))
    }

    /// Proxy-NCA (Movshovitz-Attias et al. 2017, with the positive in the denominator): rows `[n, d]` among one proxy for each
    /// class, `[c, d]`; labels are class numbers. The value is `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number, or a label is no class.
    pub fn loss_with_proxies(&self, rows: Tensor<2>, labels: &[i64], proxies: Tensor<2>) -> Tensor<1> {
        let pairs = classes(labels, proxies.dims()[0]);
        self.0.clone().pairs(pairs).loss(&Inputs::new(rows, proxies))
    }
}

/// Cross-entropy of cosines with one weight row for each class, with a margin for the right one: normalised softmax (Zhai and
/// Wu 2019), CosFace (Wang et al. 2018, equation 4), ArcFace (Deng et al. 2019, equation 3).
#[derive(Clone, Debug)]
pub struct ClassMargin {
    function: MarginSoftmax,
    portable: bool,
}

impl ClassMargin {
    /// Normalised softmax: no margin (the paper's temperature is 0.05).
    ///
    /// # Errors
    /// When the temperature is not a finite number above 0.
    pub fn normalized_softmax(temperature: f64) -> Result<Self, ObjectiveError> {
        Self::cosface(0.0, 1.0 / positive("temperature", temperature)?)
    }

    /// CosFace: the margin is taken from the cosine (0.35, scale 64).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, or either not finite.
    pub fn cosface(margin: f64, scale: f64) -> Result<Self, ObjectiveError> {
        Self::new(TargetMargin::Cosine(not_negative("margin", margin)?), scale)
    }

    /// ArcFace: the margin is added to the angle, in radians (0.5, scale 64). Where angle and margin exceed half a turn together,
    /// `cos - margin sin(margin)` goes on falling instead (the released code).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, or either not finite.
    pub fn arcface(margin: f64, scale: f64) -> Result<Self, ObjectiveError> {
        Self::new(TargetMargin::Angle(not_negative("margin", margin)?), scale)
    }

    fn new(margin: TargetMargin, scale: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { function: MarginSoftmax { scale: positive("scale", scale)?, margin }, portable: false })
    }

    /// Uses the body of tensor operations also where a native kernel exists.
    pub fn portable(mut self, portable: bool) -> Self {
        self.portable = portable;
        self
    }

    /// Rows `[n, d]`, their class numbers, and a weight row for each class, `[c, d]`. The mean over rows, `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number, widths differ, or a label is no class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        let ([n, d], [c, e]) = (rows.dims(), weights.dims());
        assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and weights [{c}, {e}]");
        let positives: PairLists = classes(labels, c).resolve(n, c).expect("lists");
        let [a, w] = [&rows, &weights].map(|x| Compared::new(Similarity::Cosine, x.clone().inner()));
        let tracked = rows.is_tracked() || weights.is_tracked();
        let wanted = if tracked { Wanted::ALL } else { Wanted::VALUE };
        let comparison = Comparison { positives, excluded: None, own: None };
        let out = comparison.evaluate(&self.function, &a.rows, &w.rows, wanted, self.portable);
        let share = 1.0 / n as f64;
        let value = numbers(&[out.value * share], &a.rows);
        if !tracked {
            return value;
        }
        let value = attach(value, &rows, a.backward(out.anchors.cast(rows.dtype()) * share));
        attach(value, &weights, w.backward(out.candidates.cast(weights.dtype()) * share))
    }
}
