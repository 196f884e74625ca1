//! Published objectives: each a point of the family under its own name, with the inputs its paper speaks of.

use super::log_sums::{mean_above_zero, numbers};
use super::{Denominator, Direction, Inputs, PairObjective, PositiveWeights, Reduction};
use crate::error::{ObjectiveError, positive};
use crate::pairs::Pairs;
use crate::similarity::{Similarity, defined, unit_rows};
use crate::temperature::Temperature;
use burn::tensor::{Tensor, activation::softmax};
use std::sync::Arc;

/// InfoNCE (van den Oord et al. 2018, equation 4): each query finds its positive among the candidates.
#[derive(Clone, Debug)]
pub struct InfoNce(PairObjective);

impl InfoNce {
    /// Cosine similarities at this temperature, the mean over queries.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?))
    }

    /// Inner products instead of cosines.
    pub fn with_similarity(self, similarity: Similarity) -> Self {
        Self(self.0.similarity(similarity))
    }

    /// Another reduction than the mean.
    pub fn with_reduction(self, reduction: Reduction) -> Self {
        Self(self.0.reduction(reduction))
    }

    /// The objective behind the name.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Queries `[n, d]`, positives `[n, d]`: the other queries' positives are the negatives. The value is `[1]`; of a single
    /// pair, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, queries: Tensor<2>, positives: Tensor<2>) -> Tensor<1> {
        assert_eq!(queries.dims(), positives.dims(), "the shapes of queries and positives");
        self.0.loss(&Inputs::new(queries, positives))
    }

    /// Queries `[n, d]`, positives `[n, d]`, negatives `[m, d]` shared by all queries (a queue, MoCo): the other queries'
    /// positives are not compared. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss_with_negatives(&self, queries: Tensor<2>, positives: Tensor<2>, negatives: Tensor<2>) -> Tensor<1> {
        self.0.clone().pairs(Pairs::Beside).loss(&Inputs::new(queries, negatives).with_paired(positives))
    }

    /// Queries `[n, d]`, positives `[n, d]`, and k negatives of its own for each query, `[n, k, d]`. There is no matrix to
    /// avoid here: the n k similarities are as many as the negatives. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes do not fit, or the temperature is an input.
    pub fn loss_with_own_negatives(&self, queries: Tensor<2>, positives: Tensor<2>, negatives: Tensor<3>) -> Tensor<1> {
        let ([n, d], [n2, k, d2]) = (queries.dims(), negatives.dims());
        assert_eq!([n, d], positives.dims(), "the shapes of queries and positives");
        assert_eq!([n, d], [n2, d2], "queries and [n, k, d] negatives");
        let objective = &self.0;
        let rows = |x: &Tensor<2>, anchor: bool| defined(objective.similarity, x, anchor);
        let (q, p) = (rows(&queries, true), rows(&positives, false));
        let d = q.dims()[1];
        let negatives: Tensor<3> = rows(&negatives.reshape([n * k, d2]), false).reshape([n, k, d]);
        let temperature = match objective.temperature {
            Temperature::Fixed(t) => t,
            Temperature::Input => panic!("own negatives need a fixed temperature"),
        };
        let others: Tensor<2> = negatives.matmul(q.clone().reshape([n, d, 1])).reshape([n, k]);
        let logits = Tensor::cat(vec![(q * p).sum_dim(1), others], 1) * (1.0 / temperature);
        let top = logits.clone().detach().max_dim(1);
        let log = (logits.clone() - top.clone()).exp().sum_dim(1).log() + top;
        let rows = log - logits.slice([0..n, 0..1]);
        match objective.reduction {
            Reduction::Sum => rows.sum(),
            Reduction::Mean | Reduction::MeanWithPositives | Reduction::MeanOverPairs => rows.mean(),
            Reduction::MeanNonZero => {
                let weights = mean_above_zero(&rows.clone().inner());
                (rows.clone().reshape([n]) * numbers(&weights, &rows)).sum()
            }
            Reduction::Weighted(ref w) => {
                assert_eq!(w.len(), n, "row weights and queries");
                (rows.clone().reshape([n]) * numbers(w, &rows)).sum()
            }
        }
    }
}

/// Two views of the same things, one after the other.
pub(super) fn stacked(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
    assert_eq!(first.dims(), second.dims(), "the shapes of the two views");
    Tensor::cat(vec![first, second], 0)
}

/// # Panics
/// When a view holds less than two things.
fn two_things(objective: &str, view: &Tensor<2>) {
    let [n, d] = view.dims();
    assert!(n >= 2, "{objective} of views of shape [{n}, {d}]: two things at least, a single one has no negatives");
}

/// NT-Xent (SimCLR, Chen et al. 2020, equation 1): 2N rows, each finds its other view among the 2N - 1 others.
#[derive(Clone, Debug)]
pub struct NtXent(PairObjective);

impl NtXent {
    /// Cosine similarities at this temperature, the mean over the 2N rows.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.pairs(Pairs::TwoViews)))
    }

    /// Inner products instead of cosines.
    pub fn with_similarity(self, similarity: Similarity) -> Self {
        Self(self.0.similarity(similarity))
    }

    /// The objective behind the name, on the two views stacked.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Two views `[n, d]` of the same n things. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are less than two things: a single one has no negatives.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        two_things("NT-Xent", &first);
        self.0.loss(&Inputs::within(stacked(first, second)))
    }

    /// Rows `[n, d]` with a label each: every positive pair is a term of its own, whose denominator holds that positive and
    /// the negatives but not the other positives; the mean over positive pairs (PyTorch Metric Learning's reading). The
    /// value is `[1]`; 0 where no two rows have the same label, or all have.
    ///
    /// # Panics
    /// When rows and labels differ in number, or there are no rows.
    pub fn loss_with_labels(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let objective = self.0.clone().pairs(Pairs::labels(labels)).denominator(Denominator::OwnPositive);
        let objective = objective.positive_weights(PositiveWeights::Sum).reduction(Reduction::MeanOverPairs);
        objective.loss(&Inputs::within(rows))
    }
}

/// Supervised contrastive loss (Khosla et al. 2020, L_out, equation 2): the mean over an anchor's positives, the
/// denominator over all others; the mean over anchors that have a positive.
#[derive(Clone, Debug)]
pub struct SupCon(PairObjective);

impl SupCon {
    /// Cosine similarities at this temperature.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.reduction(Reduction::MeanWithPositives)))
    }

    /// The objective behind the name; its pairs are those of the labels.
    pub fn objective(&self, labels: &[i64]) -> PairObjective {
        self.0.clone().pairs(Pairs::labels(labels))
    }

    /// Rows `[n, d]` (all views stacked) with a label each. The value is `[1]`; 0 where no anchor has a positive.
    ///
    /// # Panics
    /// When rows and labels differ in number, or there are no rows.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        self.objective(labels).loss(&Inputs::within(rows))
    }
}

/// Symmetric InfoNCE (CLIP, Radford et al. 2021, figure 3): images among texts and texts among images, the mean of both.
#[derive(Clone, Debug)]
pub struct Clip(PairObjective);

impl Clip {
    /// Cosine similarities at a fixed temperature.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.direction(Direction::Both)))
    }

    /// The logit scale is an input of the loss (see [`LogitScale`](crate::temperature::LogitScale)).
    pub fn with_logit_scale() -> Self {
        Self(PairObjective::with_input_scale().direction(Direction::Both))
    }

    /// The objective behind the name.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Images `[n, d]` and their texts `[n, d]`. The value is `[1]`; of a single pair, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, there are no rows, or the logit scale is an input.
    pub fn loss(&self, images: Tensor<2>, texts: Tensor<2>) -> Tensor<1> {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        self.0.loss(&Inputs::new(images, texts))
    }

    /// The same with the logit scale `[1]` (the inverse temperature, not its logarithm). A logit bias common to all pairs
    /// leaves both softmaxes as they are; that is why there is none.
    ///
    /// # Panics
    /// When the shapes differ, or the temperature is fixed.
    pub fn loss_with_scale(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>) -> Tensor<1> {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        self.0.loss(&Inputs::new(images, texts).with_scale(scale))
    }
}

/// Decoupled contrastive loss (Yeh et al. 2022, equation 6): NT-Xent whose denominator leaves the positive out.
#[derive(Clone, Debug)]
pub struct Dcl {
    objective: PairObjective,
    sigma: Option<f64>,
    differentiated: bool,
}

impl Dcl {
    /// Cosine similarities at this temperature, the mean over the 2N rows.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        let objective = PairObjective::new(temperature)?.pairs(Pairs::TwoViews).denominator(Denominator::NegativesOnly);
        Ok(Self { objective, sigma: None, differentiated: false })
    }

    /// DCLW (section 3.3): the positive term of thing i weighs `2 - N softmax_i(z0_i . z1_i / sigma)`, a constant to the
    /// gradient; `sigma` is 0.5 in the paper.
    ///
    /// # Errors
    /// When sigma is not a finite number above 0.
    pub fn weighted(mut self, sigma: f64) -> Result<Self, ObjectiveError> {
        self.sigma = Some(positive("sigma of DCLW", sigma)?);
        Ok(self)
    }

    /// Do DCLW's weights carry gradients? The paper does not say; unless asked, they are constants.
    pub fn with_differentiated_weights(mut self, differentiated: bool) -> Self {
        self.differentiated = differentiated;
        self
    }

    /// The objective behind the name, on the two views stacked (without DCLW's weights, which depend on the batch).
    pub fn objective(&self) -> &PairObjective {
        &self.objective
    }

    /// DCLW's weight of each thing's positive, of mean 1; `None` for DCL, whose weights are all 1.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn weights(&self, first: &Tensor<2>, second: &Tensor<2>) -> Option<Vec<f64>> {
        let sigma = self.sigma?;
        let n = first.dims()[0] as f64;
        let share = softmax(cosines(first.clone().inner(), second.clone().inner()) * (1.0 / sigma), 0);
        Some(share.into_data().iter::<f64>().map(|p| 2.0 - n * p).collect())
    }

    /// Two views `[n, d]` of the same n things. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are less than two things: a single one has no negatives.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        two_things("DCL", &first);
        let mut objective = self.objective.clone();
        if let Some(weights) = self.weights(&first, &second) {
            let weights = [&weights[..], &weights].concat();
            objective = objective.denominator_weights(Arc::new(vec![1.0; weights.len()]));
            objective = objective.positive_weights(PositiveWeights::PerAnchor(Arc::new(weights)));
        }
        let value = objective.loss(&Inputs::within(stacked(first.clone(), second.clone())));
        match (self.sigma, objective.temperature) {
            (Some(sigma), Temperature::Fixed(t)) if self.differentiated => {
                // of the positive terms -w_i s_i / (n t) the part that moves with w_i = 2 - n p_i
                let s = cosines(first, second);
                let pushed = (softmax(s.clone() * (1.0 / sigma), 0) * s.detach()).sum() * (1.0 / t);
                value + pushed.clone() - pushed.detach()
            }
            _ => value,
        }
    }
}

/// `[n]`: the cosine of each row with its other view.
fn cosines(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
    let n = first.dims()[0];
    assert_eq!(first.dims(), second.dims(), "the shapes of the two views");
    (unit_rows(first) * unit_rows(second)).sum_dim(1).reshape([n])
}
