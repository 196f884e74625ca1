//! Hydra: any two classes are alike, in the features that their gate lets through.

use super::{SynthesisError, add, blocks, rows_of};
use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::{column, to_f64};
use crate::objective::softplus;
use crate::objective::{Denominator, Inputs, PairObjective, Reduction, check_types, computed_in};
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::{Similarity, unit_rows};
use crate::temperature::Temperature;
use burn::tensor::{Tensor, TensorData};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// How alike two rows are behind the anchor's gate g.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatedSimilarity {
    /// `(n(z1) g^2) . n(z2)`, n = length 1 (the authors' present code): gates can shrink all logits.
    #[default]
    Projected,
    /// `cos(g z1, g z2)` (the paper).
    Cosine,
}

/// What the mean is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HydraAverage {
    /// Anchors.
    #[default]
    Anchors,
    /// Pairs of an anchor and a positive, so that frequent classes count more.
    Entries,
}

/// Hydra's objective (also SimLAP, "Rethinking Positive Pairs in Contrastive Learning", 2024). Anchor i of class y with paired
/// class y' finds each candidate of class y' among those of neither class:
///
/// ```text
/// l_i = mean over j with y_j = y'_i of  log(e^{l_ij} + sum over n with y_n not in {y_i, y'_i} of e^{l_in}) - l_ij
/// ```
///
/// with `l_ij` the gated similarity over the temperature. Candidates of the anchor's own class are left out, unless y' = y. Gradients flow into
/// both views and the gates. An anchor without a positive or without a negative is skipped and counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Hydra {
    temperature: f64,
    similarity: GatedSimilarity,
    average: HydraAverage,
    same_view: bool,
    penalty: f64,
}

/// What a batch was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HydraReport {
    /// Anchors that took part.
    pub anchors: usize,
    /// Anchors without a positive or without a negative.
    pub skipped: usize,
    /// The mean of the gates.
    pub gate_mean: f64,
    /// The mean entropy of a gate as a probability, in nats: 0 where gates are open or shut.
    pub gate_entropy: f64,
}

impl Hydra {
    /// At this temperature (authors' code: 0.1).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        let (similarity, average) = (GatedSimilarity::default(), HydraAverage::default());
        Ok(Self { temperature, similarity, average, same_view: false, penalty: 0.0 })
    }

    /// How alike two rows are.
    pub fn with_similarity(mut self, similarity: GatedSimilarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// What the mean is over.
    pub fn with_average(mut self, average: HydraAverage) -> Self {
        self.average = average;
        self
    }

    /// Both views are the same rows: a row is then no positive of itself.
    pub fn with_same_view(mut self) -> Self {
        self.same_view = true;
        self
    }

    /// Adds this times the mean of `g (1 - g)`, which drives gates to 0 or 1.
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_gate_penalty(mut self, weight: f64) -> Result<Self, ObjectiveError> {
        self.penalty = not_negative("gate penalty", weight)?;
        Ok(self)
    }

    /// Views `[n, d]`, gates `[n, d]` of the anchors (first views), labels and paired labels of n samples. The value is `[1]`.
    ///
    /// # Errors
    /// When there are fewer than three rows, or no anchor has both a positive and a negative.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn loss(
        &self,
        first: Tensor<2>,
        second: Tensor<2>,
        gates: Tensor<2>,
        labels: &[i64],
        paired: &[i64],
    ) -> Result<(Tensor<1>, HydraReport), SynthesisError> {
        let [n, d] = first.dims();
        assert_eq!([n, d], second.dims(), "the shapes of the two views");
        assert_eq!([n, d], gates.dims(), "the shapes of views and gates");
        check_types(&[
            ("the first view", first.dtype()),
            ("the second view", second.dtype()),
            ("gates", gates.dtype()),
        ]);
        assert_eq!([n; 2], [labels.len(), paired.len()], "[labels, paired labels] of {n} rows");
        if n < 3 {
            return Err(SynthesisError::Rows { what: "rows of a batch", rows: n, least: 3 });
        }
        let (weights, anchors) = self.weights(labels, paired)?;
        let squares = gates.clone() * gates.clone();
        let loss = match self.similarity {
            GatedSimilarity::Projected => {
                let anchors = unit_rows(first) * squares;
                let exclusions = Exclusions::same_ids(labels, labels);
                let exclusions = if self.same_view { exclusions.with_own_row(0) } else { exclusions };
                let objective = PairObjective::new(self.temperature)
                    .expect("a checked temperature")
                    .with_similarity(Similarity::Dot)
                    .with_pairs(Pairs::labels_between(paired, labels))
                    .with_exclusions(exclusions)
                    .with_denominator(Denominator::OwnPositive)
                    .with_reduction(Reduction::Weighted(Arc::new(weights)));
                objective.loss(&Inputs::new(anchors, unit_rows(second)))
            }
            GatedSimilarity::Cosine => {
                self.cosine(first, second, [gates.clone(), squares.clone()], labels, paired, &weights)
            }
        };
        let open = gates.clone().inner();
        let probabilities = to_f64(open);
        let entropy = |p: f64| if p > 0.0 && p < 1.0 { -p * p.ln() - (1.0 - p) * (1.0 - p).ln() } else { 0.0 };
        let count = probabilities.len() as f64;
        let report = HydraReport {
            anchors,
            skipped: n - anchors,
            gate_mean: probabilities.iter().sum::<f64>() / count,
            gate_entropy: probabilities.iter().map(|&p| entropy(p)).sum::<f64>() / count,
        };
        if self.penalty > 0.0 {
            let between = (gates.clone() - gates.clone() * gates).mean() * self.penalty;
            return Ok((loss + between, report));
        }
        Ok((loss, report))
    }

    /// The weight of each anchor's mean over positives, and the number of anchors that take part.
    fn weights(&self, labels: &[i64], paired: &[i64]) -> Result<(Vec<f64>, usize), SynthesisError> {
        let mut count: HashMap<i64, usize> = HashMap::new();
        labels.iter().for_each(|label| *count.entry(*label).or_default() += 1);
        let rows = labels.iter().zip(paired).map(|(own, other)| {
            let (same, of_other) = (own == other, count.get(other).copied().unwrap_or(0));
            let positives = of_other - usize::from(same && self.same_view);
            let negatives = labels.len() - count[own] - if same { 0 } else { of_other };
            if positives > 0 && negatives > 0 { positives } else { 0 }
        });
        let positives: Vec<usize> = rows.collect();
        let anchors = positives.iter().filter(|p| **p > 0).count();
        if anchors == 0 {
            return Err(SynthesisError::NoAnchor { anchors: labels.len() });
        }
        let total = positives.iter().sum::<usize>() as f64;
        let weight = |&p: &usize| match self.average {
            HydraAverage::Anchors => f64::from(p > 0) / anchors as f64,
            HydraAverage::Entries => p as f64 / total,
        };
        Ok((positives.iter().map(weight).collect(), anchors))
    }

    /// Which candidates of a block of anchors are positives, and which negatives: `[b, n]` of 0 and 1 each.
    fn masks(&self, range: &Range<usize>, labels: &[i64], paired: &[i64], like: &Tensor<2>) -> [Tensor<2>; 2] {
        let n = labels.len();
        let mut masks = [vec![0f32; range.len() * n], vec![0f32; range.len() * n]];
        for (k, i) in range.clone().enumerate() {
            for (j, label) in labels.iter().enumerate() {
                let positive = *label == paired[i];
                let itself = self.same_view && i == j;
                masks[0][k * n + j] = f32::from(u8::from(positive && !itself));
                masks[1][k * n + j] = f32::from(u8::from(!positive && *label != labels[i]));
            }
        }
        masks.map(|m| Tensor::from_data(TensorData::new(m, [range.len(), n]), (&like.device(), like.dtype())))
    }

    /// The cosine form, block by block: the lengths of gated candidates are one more product, of `g^2` with the squares of the
    /// candidates.
    fn cosine(
        &self,
        first: Tensor<2>,
        second: Tensor<2>,
        [gates, squares]: [Tensor<2>; 2],
        labels: &[i64],
        paired: &[i64],
        weights: &[f64],
    ) -> Tensor<1> {
        let n = labels.len();
        let anchors = unit_rows(first * gates.clone()) * gates;
        let dtype = computed_in(anchors.dtype());
        let plain = |x: &Tensor<2>| x.clone().inner().cast(dtype);
        let (a, c, g) = (plain(&anchors), plain(&second), plain(&squares));
        let lengths_of = c.clone() * c.clone();
        let (mut by_a, mut by_g) = (Vec::new(), Vec::new());
        let (mut by_c, mut by_squares) = (None, None);
        let mut value = 0.0;
        for range in blocks(n, n) {
            let (a, g) = (rows_of(&a, &range), rows_of(&g, &range));
            let square = g.clone().matmul(lengths_of.clone().transpose());
            let bounded = square.clone().lower_equal_elem(SHORTEST);
            // no direction where a candidate has no length; a length too large for its type is NaN
            let inverse = square.clone().clamp_min(SHORTEST).sqrt().recip() + square * 0.0;
            let inverse = inverse.mask_fill(bounded.clone(), 0.0);
            let s = a.clone().matmul(c.clone().transpose()) * inverse.clone();
            let masks = self.masks(&range, labels, paired, &a);
            let (rows, by_s) = self.rows(s.clone(), masks, &column(&weights[range], &a));
            value += rows;
            let by_product = by_s * inverse.clone();
            // d s / d square = -s / (2 square)
            let by_square = (by_product.clone() * s * inverse * -0.5).mask_fill(bounded, 0.0);
            by_a.push(by_product.clone().matmul(c.clone()));
            by_g.push(by_square.clone().matmul(lengths_of.clone()));
            add(&mut by_c, by_product.transpose().matmul(a));
            add(&mut by_squares, by_square.transpose().matmul(g));
        }
        let by_c = by_c.expect("at least one block") + by_squares.expect("at least one block") * c.clone() * 2.0;
        let value = Tensor::<1>::from_data([value], (&c.device(), anchors.dtype()));
        let by_rows = [(&anchors, Tensor::cat(by_a, 0)), (&squares, Tensor::cat(by_g, 0)), (&second, by_c)];
        attach_gradients(value, by_rows.map(|(input, gradient)| (input, Some(gradient))))
    }

    /// The weighted sum of the rows of a block of cosines `[b, n]`, and its derivative by them.
    fn rows(&self, s: Tensor<2>, [positive, negative]: [Tensor<2>; 2], weights: &Tensor<2>) -> (f64, Tensor<2>) {
        let logits = s * (1.0 / self.temperature);
        let among = logits.clone() * negative.clone() + (negative.clone() - 1.0) * 1e30;
        let top = among.clone().max_dim(1);
        let e = (among - top.clone()).exp() * negative;
        let sum = e.clone().sum_dim(1).clamp_min(1e-30);
        let gap = (sum.clone().log() + top) - logits;
        let share = positive.clone() * (weights.clone() / positive.sum_dim(1).clamp_min(1.0));
        let value = to_f64((softplus(gap.clone()) * share.clone()).sum())[0];
        let pull = ((gap * -1.0).exp() + 1.0).recip() * share;
        let by_logit = e / sum * pull.clone().sum_dim(1) - pull;
        (value, by_logit * (1.0 / self.temperature))
    }
}

/// Squared lengths below this are none.
const SHORTEST: f64 = 1e-24;
