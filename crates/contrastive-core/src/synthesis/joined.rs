//! InfoNCE over several kinds of negatives at once, some of them an anchor's own.

use super::{blocks, rows_of};
use crate::attach::{attach, attach_gradients};
use crate::error::ObjectiveError;
use crate::host::{column, numbers, to_f64};
use crate::objective::{Denominator, Inputs, LogSums, Wanted, check_types, computed_in};
use crate::pairs::Exclusions;
use crate::similarity::Similarity;
use crate::temperature::Temperature;
use burn::tensor::Tensor;
use std::ops::Range;

/// Makes the own rows `[range, each, d]` of a range of anchors.
pub type MakeRows<'a> = dyn Fn(Range<usize>) -> Tensor<3> + 'a;

/// One kind of negatives. Similarities are inner products: rows come normalised if cosines are wanted.
pub enum Negatives<'a> {
    /// Candidates `[m, d]` of all anchors `[n, d]`, but for the exclusions.
    Shared {
        /// `[n, d]`.
        anchors: Tensor<2>,
        /// `[m, d]`.
        candidates: Tensor<2>,
        /// Pairs that are not compared.
        exclusions: Exclusions,
    },
    /// Each anchor's own rows.
    Own {
        /// `[n, d]`.
        anchors: Tensor<2>,
        /// `[n, s, d]`.
        rows: Tensor<3>,
    },
    /// Each anchor's own rows, made when they are needed and dropped again; they are constants.
    Made {
        /// `[n, d]`.
        anchors: Tensor<2>,
        /// Rows of each anchor, s.
        each: usize,
        /// Makes those of a range of anchors, `[range, s, d]`.
        rows: &'a MakeRows<'a>,
    },
    /// Each anchor's own rows, constants, whose sums at the objective's temperature are known already.
    Summed {
        /// `[n, d]`.
        anchors: Tensor<2>,
        /// n: the log-sum-exp of each anchor's logits; minus infinity for none.
        log_sums: Vec<f64>,
        /// n: the largest similarity of each anchor.
        largest: Vec<f64>,
        /// `[n, d]`: the mean of an anchor's rows under their softmax.
        mean: Tensor<2>,
    },
}

/// InfoNCE whose denominator is put together from several kinds of negatives: shared ones (a queue) and an anchor's own (mixtures,
/// mined or hallucinated rows).
///
/// ```text
/// l_i = log(e^{p_i / T} + sum over kinds k  sum over the negatives j of i in k  e^{a^k_i . c_j / T}) - p_i / T
/// ```
///
/// Each kind may have anchors of its own. The sums are log-sum-exps that are joined, so that value and gradient are exact in
/// linear memory: shared negatives go through [`LogSums`], own ones block by block.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedInfoNce {
    temperature: f64,
    decoupled: bool,
}

/// What a [`JoinedInfoNce`] adds up.
#[derive(Clone, Debug)]
pub struct JoinedEvaluation {
    /// `[1]`: the mean over anchors, attached to everything that carries a gradient.
    pub loss: Tensor<1>,
    /// The n values.
    pub rows: Vec<f64>,
    /// Of each kind, the log-sum-exp of every anchor's logits.
    pub log_sums: Vec<Vec<f64>>,
    /// Of each kind of own negatives, the largest similarity of every anchor; empty for shared ones.
    pub largest: Vec<Vec<f64>>,
}

/// What one kind contributes, before the kinds are joined.
struct Part {
    logs: Vec<f64>,
    largest: Vec<f64>,
    /// `[n, d]`: the mean of own rows under their softmax.
    mean: Option<Tensor<2>>,
    /// `[n, s]`: that softmax, where own rows carry a gradient.
    shares: Option<Tensor<2>>,
}

impl JoinedInfoNce {
    /// At this temperature, with the positive in the denominator.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        Ok(Self { temperature, decoupled: false })
    }

    /// Another denominator: with positives, or negatives only. (There is one positive, so that its own is the former.)
    pub fn with_denominator(mut self, denominator: Denominator) -> Self {
        self.decoupled = denominator == Denominator::NegativesOnly;
        self
    }

    /// The mean over anchors, `[1]`; see [`evaluate`](Self::evaluate).
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, positives: Tensor<1>, negatives: &[Negatives]) -> Tensor<1> {
        self.evaluate(positives, negatives).loss
    }

    /// Similarities of the n anchors and their positives `[n]`, which carry the positives' gradient, and the negatives. An
    /// anchor without negatives counts as 0.
    ///
    /// # Panics
    /// When there is no anchor, or shapes do not fit.
    pub fn evaluate(&self, positives: Tensor<1>, negatives: &[Negatives]) -> JoinedEvaluation {
        let n = positives.dims()[0];
        assert!(n > 0, "an objective of no anchors");
        let parts: Vec<Part> = negatives.iter().map(|kind| self.part(kind, n)).collect();
        let logits: Vec<f64> = to_f64(positives.clone().inner()).iter().map(|s| s / self.temperature).collect();
        let (mut rows, mut own) = (vec![0.0; n], vec![0.0; n]);
        let mut weights = vec![vec![0.0; n]; parts.len()];
        for i in 0..n {
            let all = parts.iter().map(|part| part.logs[i]);
            let first = if self.decoupled { f64::NEG_INFINITY } else { logits[i] };
            // not a fold of `max`, which would swallow NaN
            let top = all.clone().fold(first, |a, b| if b <= a { a } else { b });
            if parts.iter().all(|part| part.logs[i] == f64::NEG_INFINITY) {
                continue;
            }
            let sum = (first - top).exp() + all.map(|l| (l - top).exp()).sum::<f64>();
            let log = sum.ln() + top;
            rows[i] = log - logits[i];
            own[i] = (first - log).exp() - 1.0;
            weights.iter_mut().zip(&parts).for_each(|(w, part)| w[i] = (part.logs[i] - log).exp() / n as f64);
        }
        let plain = positives.clone().inner().reshape([n, 1]);
        let value = numbers(&[rows.iter().sum::<f64>() / n as f64], &plain);
        let share = 1.0 / (n as f64 * self.temperature);
        let own: Vec<f64> = own.iter().map(|g| g * share).collect();
        let mut loss = attach_gradients(value, [(&positives, Some(numbers(&own, &plain)))]);
        loss = attach_gradients(loss, negatives.iter().map(|kind| (kind.anchors(), None)));
        for ((kind, part), weights) in negatives.iter().zip(&parts).zip(weights) {
            loss = self.attached(loss, kind, part, weights);
        }
        let (log_sums, largest) = parts.into_iter().map(|part| (part.logs, part.largest)).unzip();
        JoinedEvaluation { loss, rows, log_sums, largest }
    }

    fn shared(&self, exclusions: &Exclusions) -> LogSums {
        let sums = LogSums::new(self.temperature).expect("a checked temperature");
        sums.with_similarity(Similarity::Dot).with_exclusions(exclusions.clone())
    }

    fn part(&self, kind: &Negatives, n: usize) -> Part {
        let ([rows, d], dtype) = (kind.anchors().dims(), computed_in(kind.anchors().dtype()));
        assert_eq!(rows, n, "anchors [{rows}, {d}] of a kind of negatives, and positives [{n}]");
        match kind {
            Negatives::Shared { anchors, candidates, exclusions } => {
                let logs = self.shared(exclusions).values(&Inputs::new(anchors.clone(), candidates.clone()));
                Part { logs, largest: Vec::new(), mean: None, shares: None }
            }
            Negatives::Own { anchors, rows } => {
                let [m, s, e] = rows.dims();
                assert_eq!([m, e], [n, d], "anchors [{n}, {d}] and their own rows [{m}, {s}, {e}]");
                check_types(&[("anchors", anchors.dtype()), ("their own rows", rows.dtype())]);
                let plain = rows.clone().inner();
                self.own(anchors, s, rows.is_tracked(), dtype, &|r| plain.clone().slice([r, 0..s, 0..d]))
            }
            Negatives::Made { anchors, each, rows } => self.own(anchors, *each, false, dtype, rows),
            Negatives::Summed { log_sums, largest, mean, .. } => {
                assert_eq!([log_sums.len(), largest.len()], [n; 2], "sums of {n} anchors");
                assert_eq!(mean.dims(), [n, d], "the shape of the mean rows of anchors [{n}, {d}]");
                let mean = Some(mean.clone().inner().cast(dtype));
                Part { logs: log_sums.clone(), largest: largest.clone(), mean, shares: None }
            }
        }
    }

    /// Own rows, block by block.
    fn own(&self, anchors: &Tensor<2>, s: usize, keep: bool, dtype: burn::tensor::DType, make: &MakeRows) -> Part {
        let [n, d] = anchors.dims();
        if s == 0 {
            let none = vec![f64::NEG_INFINITY; n];
            return Part { logs: none.clone(), largest: none, mean: None, shares: None };
        }
        let anchors = anchors.clone().inner().cast(dtype);
        let (mut logs, mut largest, mut means, mut shares) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for range in blocks(n, s * d) {
            let b = range.len();
            let rows = make(range.clone()).inner().cast(dtype);
            assert_eq!(rows.dims(), [b, s, d], "the own rows of anchors {range:?}");
            let q = rows_of(&anchors, &range).reshape([b, d, 1]);
            let logits = rows.clone().matmul(q).reshape([b, s]) * (1.0 / self.temperature);
            let top = logits.clone().max_dim(1);
            let e = (logits - top.clone()).exp();
            let sum = e.clone().sum_dim(1);
            logs.extend(to_f64(sum.clone().log() + top.clone()));
            largest.extend(to_f64(top).iter().map(|l| l * self.temperature));
            let share = e / sum;
            means.push(share.clone().reshape([b, 1, s]).matmul(rows).reshape([b, d]));
            if keep {
                shares.push(share);
            }
        }
        let shares = keep.then(|| Tensor::cat(shares, 0));
        Part { logs, largest, mean: Some(Tensor::cat(means, 0)), shares }
    }

    /// The gradients of one kind, which are `weights` times those of its log-sum-exps.
    fn attached(&self, loss: Tensor<1>, kind: &Negatives, part: &Part, weights: Vec<f64>) -> Tensor<1> {
        match kind {
            Negatives::Shared { anchors, candidates, exclusions } => {
                let wanted = Wanted { anchors: anchors.is_tracked(), candidates: candidates.is_tracked() };
                if wanted == Wanted::VALUE {
                    return loss;
                }
                let inputs = Inputs::new(anchors.clone(), candidates.clone());
                let gradients = self.shared(exclusions).weighted(&inputs, weights, wanted).gradients;
                attach_gradients(loss, [(anchors, gradients.anchors), (candidates, gradients.candidates)])
            }
            Negatives::Own { anchors, .. } | Negatives::Made { anchors, .. } | Negatives::Summed { anchors, .. } => {
                let Some(mean) = &part.mean else { return loss };
                let by_logit: Vec<f64> = weights.iter().map(|w| w / self.temperature).collect();
                let weights = column(&by_logit, mean);
                let loss = attach(loss, anchors, mean.clone() * weights.clone());
                let (Negatives::Own { rows, .. }, Some(shares)) = (kind, &part.shares) else { return loss };
                let [n, s, d] = rows.dims();
                let q = anchors.clone().inner().cast(mean.dtype()).reshape([n, 1, d]);
                attach(loss, rows, (shares.clone() * weights).reshape([n, s, 1]) * q)
            }
        }
    }
}

impl Negatives<'_> {
    /// The anchors that are compared with these negatives.
    pub fn anchors(&self) -> &Tensor<2> {
        match self {
            Self::Shared { anchors, .. }
            | Self::Own { anchors, .. }
            | Self::Made { anchors, .. }
            | Self::Summed { anchors, .. } => anchors,
        }
    }
}

/// `[n]`: the inner products of rows with rows.
pub(super) fn products(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "the shapes of rows and of their positives");
    check_types(&[("rows", a.dtype()), ("their positives", b.dtype())]);
    let n = a.dims()[0];
    (a.clone() * b.clone()).sum_dim(1).reshape([n])
}

/// The value 0 with gradients of zero.
pub(super) fn nothing(inputs: [&Tensor<2>; 2]) -> Tensor<1> {
    let zero = Tensor::zeros([1], (&inputs[0].clone().inner().device(), inputs[0].dtype()));
    attach_gradients(zero, inputs.map(|x| (x, Some(x.clone().inner().zeros_like()))))
}
