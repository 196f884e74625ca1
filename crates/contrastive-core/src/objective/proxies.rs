//! Rows among labelled rows or among one learned row for each class (a proxy, a column of a classifier).

use super::metric_rows::*;
use super::{Evaluation, Inputs, PairObjective, Placement, PositiveWeights, Reduction};
use crate::error::{ObjectiveError, not_negative, positive};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{MarginSoftmax, MultiSimilarity, TargetMargin};
use contrastive_kernels::softmax::Wanted;
use std::collections::HashSet;

/// Class numbers of proxies `0..c`.
///
/// # Panics
/// When a label is none of them.
pub(super) fn classes(labels: &[i64], c: usize) -> Pairs {
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

    /// Rows `[n, d]` with a label each. The value is `[1]`; 0 where no row has a positive, or none a negative.
    ///
    /// # Panics
    /// When rows and labels differ in number, or there are no rows.
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

    fn inputs(rows: &Tensor<2>, labels: &[i64], weights: &Tensor<2>) -> (Inputs, Pairs) {
        let ([n, d], [c, e]) = (rows.dims(), weights.dims());
        assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and weights [{c}, {e}]");
        (Inputs::new(rows.clone(), weights.clone()), classes(labels, c))
    }

    /// Rows `[n, d]`, their class numbers, and a weight row for each class, `[c, d]`. The mean over rows, `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number, widths differ, or a label is no class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::new(rows.clone(), weights.clone());
        hang(&inputs, self.evaluate(&rows, labels, &weights, wanted(&inputs)))
    }

    /// Value, each row's value, and the gradients of rows (anchors) and weights (candidates) that are wanted; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], weights: &Tensor<2>, wanted: Wanted) -> Evaluation {
        let (inputs, pairs) = Self::inputs(rows, labels, weights);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        problem.evaluate(&self.function, wanted, mean_of_rows, self.portable).0
    }

    /// The same by plain, differentiable tensor operations: materialises several n x c matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        let (inputs, pairs) = Self::inputs(&rows, labels, &weights);
        dense(&self.function, &inputs, &pairs, Similarity::Cosine, mean_of_rows)
    }
}

/// Proxy-Anchor loss (Kim et al. 2020, equation 4) of unit rows: every class has a proxy, which pulls the rows of its class and pushes
/// all others.
///
/// ```text
/// 1 / C+ sum_{c with rows} log(1 + sum_{i of c} e^{-alpha (s_ci - margin)}) + 1 / C sum_c log(1 + sum_{i of others} e^{alpha (s_ci + margin)})
/// ```
///
/// C+ is the number of classes that have rows. A class without rows only pushes.
#[derive(Clone, Debug)]
pub struct ProxyAnchor {
    margin: f64,
    alpha: f64,
    portable: bool,
}

impl ProxyAnchor {
    /// The paper's values are 0.1 and 32.
    ///
    /// # Errors
    /// When the margin is negative, alpha not above 0, or either not finite.
    pub fn new(margin: f64, alpha: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: not_negative("margin", margin)?, alpha: positive("alpha", alpha)?, portable: false })
    }

    /// Uses the body of tensor operations also where a native kernel exists.
    pub fn portable(mut self, portable: bool) -> Self {
        self.portable = portable;
        self
    }

    fn parts(&self, rows: &Tensor<2>, labels: &[i64], proxies: &Tensor<2>) -> (Inputs, Pairs, MultiSimilarity) {
        let ([n, d], [c, e]) = (rows.dims(), proxies.dims());
        assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and proxies [{c}, {e}]");
        classes(labels, c);
        let named: HashSet<i64> = labels.iter().copied().collect();
        let function = MultiSimilarity {
            alpha: self.alpha,
            beta: self.alpha,
            bases: [self.margin, -self.margin],
            weights: [1.0 / named.len().max(1) as f64, 1.0 / c as f64],
            epsilon: None,
        };
        let pairs = Pairs::labels_between(&(0..c as i64).collect::<Vec<_>>(), labels);
        (Inputs::new(proxies.clone(), rows.clone()), pairs, function)
    }

    /// Rows `[n, d]`, their class numbers, and a proxy for each class, `[c, d]`. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, rows and labels differ in number, widths differ, or a label is no class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], proxies: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::new(proxies.clone(), rows.clone());
        hang(&inputs, self.evaluate(&rows, labels, &proxies, wanted(&inputs)))
    }

    /// Value, each proxy's part of it, and the gradients of proxies (anchors) and rows (candidates) that are wanted; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], proxies: &Tensor<2>, wanted: Wanted) -> Evaluation {
        let (inputs, pairs, function) = self.parts(rows, labels, proxies);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        problem.evaluate(&function, wanted, as_it_is, self.portable).0
    }

    /// The same by plain, differentiable tensor operations: materialises several c x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64], proxies: Tensor<2>) -> Tensor<1> {
        let (inputs, pairs, function) = self.parts(&rows, labels, &proxies);
        dense(&function, &inputs, &pairs, Similarity::Cosine, as_it_is)
    }
}
