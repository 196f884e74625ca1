//! AMCL: several heads, and a temperature for each pair and head.

use super::joined::products;
use super::pair_temperature::{Given, Learned, PairTemperature, Temperatures};
use super::{SynthesisError, add, blocks, rows_of};
use crate::attach::{attach, constant_beside};
use crate::error::{ObjectiveError, not_negative};
use crate::host::to_f64;
use crate::objective::MASKED;
use crate::objective::{Direction, check_types, computed_in};
use crate::similarity::unit_rows;
use burn::tensor::{Tensor, TensorData};
use std::ops::Range;

/// How an anchor's negatives are summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmclForm {
    /// Their log-sum-exp: with one temperature and no regulariser, the decoupled NT-Xent of cross-view negatives.
    #[default]
    Smooth,
    /// The most similar one alone (the paper's table).
    Max,
}

/// The two views of one head, unit rows `[n, d]`.
#[derive(Clone, Debug)]
pub struct AmclHead {
    /// First view.
    pub first: Tensor<2>,
    /// Second view.
    pub second: Tensor<2>,
}

/// Adaptive multi-head contrast (AMCL; Wang et al. 2024). The other view of a row is modelled as normal around it with variance
/// tau, which gives a pair the cost `-s / tau + beta Omega(tau)` with `Omega(tau) = 1 / tau + (d / 2) log tau`; for anchor i,
/// summed over the heads,
///
/// ```text
/// l_i = -s_ii / tau_ii + beta Omega(tau_ii) + log sum_{n != i} exp(s_in / tau_in - beta Omega(tau_in))
/// ```
///
/// Rows, temperatures and their network all carry gradients. Evaluated block by block: temperatures are made again from their
/// features, and no n x n matrix is held. Beta is 0.1 in the released code; 0.01 to 0.1 did well and 1 did not.
#[derive(Clone, Debug, PartialEq)]
pub struct Amcl {
    beta: f64,
    form: AmclForm,
    direction: Direction,
    with_positives: bool,
}

/// Value, and what became of the temperatures.
#[derive(Clone, Debug)]
pub struct AmclEvaluation {
    /// `[1]`: the sum over heads of the mean over anchors.
    pub loss: Tensor<1>,
    /// Of each head: value, mean temperature of positives, and of negatives.
    pub heads: Vec<[f64; 3]>,
}

impl Amcl {
    /// With this weight of the regulariser, the smooth form, negatives only in the denominator, the mean of both directions.
    ///
    /// # Errors
    /// When beta is negative, infinite or NaN.
    pub fn new(beta: f64) -> Result<Self, ObjectiveError> {
        let beta = not_negative("beta of the regulariser", beta)?;
        Ok(Self { beta, form: AmclForm::Smooth, direction: Direction::Both, with_positives: false })
    }

    /// How negatives are summed up.
    pub fn with_form(mut self, form: AmclForm) -> Self {
        self.form = form;
        self
    }

    /// First views among second views alone, or both ways.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// The positive among the candidates of the smooth form, for hosts with InfoNCE.
    pub fn with_positives(mut self) -> Self {
        self.with_positives = true;
        self
    }

    /// `Omega(tau) = 1 / tau + (d / 2) log tau`, smallest at `2 / d`.
    pub fn omega(tau: f64, width: usize) -> f64 {
        1.0 / tau + 0.5 * width as f64 * tau.ln()
    }

    /// `[n]`: `-s / tau + beta Omega(tau)` of pairs with similarities `[n]` and temperatures `[n]`, differentiable in both; its smallest
    /// value for beta = 1 is at `tau = 2 (1 - s) / d`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn pair_terms(&self, s: Tensor<1>, tau: Tensor<1>, width: usize) -> Tensor<1> {
        assert_eq!(s.dims(), tau.dims(), "similarities and temperatures");
        let inverse = tau.clone().recip();
        (s * -1.0 + self.beta) * inverse + tau.log() * (0.5 * self.beta * width as f64)
    }

    /// The form for SimSiam: predictions and projections of two views `[n, d]`; the mean over rows of `-s / (2 tau) + beta
    /// Omega(tau)`, summed over both directions. Projections are constants. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn simsiam_loss(
        &self,
        predictions: [Tensor<2>; 2],
        projections: [Tensor<2>; 2],
        network: &PairTemperature,
    ) -> Tensor<1> {
        let [n, width] = predictions[0].dims();
        assert!(n > 0 && width > 0, "predictions of views [{n}, {width}]");
        let tables = predictions.iter().chain(&projections);
        tables
            .for_each(|x| check_types(&[("the first predictions", predictions[0].dtype()), ("other rows", x.dtype())]));
        let [p0, p1] = predictions.map(unit_rows);
        let [z0, z1] = projections.map(|z| unit_rows(z.detach()));
        let term = |p: Tensor<2>, z: Tensor<2>| {
            let tau = network.of_pairs(&network.features(p.clone()), &network.features(z.clone()));
            self.pair_terms(products(&p, &z) * 0.5, tau, width).mean()
        };
        term(p0, z1) + term(p1, z0)
    }

    /// Value and gradients for the views of every head, with a network shared by the heads.
    ///
    /// # Errors
    /// When there are fewer than two rows, or no head.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn loss(&self, heads: &[AmclHead], network: &PairTemperature) -> Result<Tensor<1>, SynthesisError> {
        Ok(self.evaluate(heads, network)?.loss)
    }

    /// The same with a report of each head.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn evaluate(&self, heads: &[AmclHead], network: &PairTemperature) -> Result<AmclEvaluation, SynthesisError> {
        self.over(heads, |head, swap| {
            let (first, second) = (network.features(head.first.clone()), network.features(head.second.clone()));
            Box::new(if swap { Learned::new(network, second, first) } else { Learned::new(network, first, second) })
        })
    }

    /// The same with given temperatures `[n, n]` of each head, entry (i, j) of first row i and second row j. Gradients reach them.
    ///
    /// # Errors
    /// When there are fewer than two rows, or no head.
    ///
    /// # Panics
    /// When the shapes differ, or there are not as many matrices as heads.
    pub fn evaluate_given(
        &self,
        heads: &[AmclHead],
        temperatures: &[Tensor<2>],
    ) -> Result<AmclEvaluation, SynthesisError> {
        assert_eq!(heads.len(), temperatures.len(), "heads and their temperatures");
        let turned: Vec<Tensor<2>> = temperatures.iter().map(|tau| tau.clone().transpose()).collect();
        let mut of = temperatures.iter().zip(&turned).flat_map(|(tau, turned)| match self.direction {
            Direction::Forward => vec![tau],
            Direction::Both => vec![tau, turned],
        });
        self.over(heads, |_, _| Box::new(Given::new(of.next().expect("a matrix for every direction"))))
    }

    fn over<'a>(
        &self,
        heads: &[AmclHead],
        mut source: impl FnMut(&AmclHead, bool) -> Box<dyn Temperatures + 'a>,
    ) -> Result<AmclEvaluation, SynthesisError> {
        let Some(first) = heads.first() else {
            return Err(SynthesisError::Rows { what: "heads", rows: 0, least: 1 });
        };
        let mut loss = constant_beside(
            Tensor::zeros([1], (&first.first.clone().inner().device(), first.first.dtype())),
            &first.first,
        );
        let mut reports = Vec::with_capacity(heads.len());
        for head in heads {
            let ([n, d], second) = (head.first.dims(), head.second.dims());
            assert_eq!([n, d], second, "the shapes of a head's two views");
            let [own, other] = [head.first.dtype(), head.second.dtype()];
            check_types(&[("the first head", first.first.dtype()), ("a first view", own), ("a second view", other)]);
            if n < 2 {
                return Err(SynthesisError::Rows { what: "rows of a batch", rows: n, least: 2 });
            }
            let both = self.direction == Direction::Both;
            let share = if both { 0.5 } else { 1.0 } / n as f64;
            let mut report = [0.0; 3];
            for swap in [false, true].into_iter().take(1 + usize::from(both)) {
                let (a, c) = if swap { (&head.second, &head.first) } else { (&head.first, &head.second) };
                loss = self.direction(loss, a, c, source(head, swap), share, &mut report);
            }
            reports.push(report);
        }
        Ok(AmclEvaluation { loss, heads: reports })
    }

    /// `loss` plus one direction of one head.
    fn direction(
        &self,
        mut loss: Tensor<1>,
        a: &Tensor<2>,
        c: &Tensor<2>,
        mut source: Box<dyn Temperatures + '_>,
        share: f64,
        report: &mut [f64; 3],
    ) -> Tensor<1> {
        let [n, d] = a.dims();
        let dtype = computed_in(a.dtype());
        let plain = |x: &Tensor<2>| x.clone().inner().cast(dtype);
        let (rows, all) = (plain(a), plain(c));
        let wanted = a.is_tracked() || c.is_tracked() || source.is_tracked();
        let (mut by_a, mut by_c) = (Vec::new(), None);
        let mut value = 0.0;
        for range in blocks(n, n) {
            let anchors = rows_of(&rows, &range);
            let s = anchors.clone().matmul(all.clone().transpose());
            let tau = source.block(&range, [n, n]);
            let (block_value, by_s, by_tau) = self.block(s, tau, &range, d, share, report);
            value += block_value;
            if wanted {
                by_a.push(by_s.clone().matmul(all.clone()));
                add(&mut by_c, by_s.transpose().matmul(anchors));
                source.take(&range, by_tau);
            }
        }
        report[0] += value;
        let value = Tensor::<1>::from_data([value], (&rows.device(), loss.dtype()));
        loss = loss + constant_beside(value, a);
        match by_c {
            Some(by_c) => source.attached(attach(attach(loss, a, Tensor::cat(by_a, 0)), c, by_c)),
            None => loss,
        }
    }

    /// A block of rows: the value times `share`, and its derivatives by similarities and temperatures, `[b, n]` each.
    fn block(
        &self,
        s: Tensor<2>,
        tau: Tensor<2>,
        range: &Range<usize>,
        width: usize,
        share: f64,
        report: &mut [f64; 3],
    ) -> (f64, Tensor<2>, Tensor<2>) {
        let [b, n] = s.dims();
        let mask = |column: &dyn Fn(usize) -> usize| {
            let mut ones = vec![0f32; b * n];
            (0..b).for_each(|k| ones[k * n + column(k)] = 1.0);
            Tensor::<2>::from_data(TensorData::new(ones, [b, n]), (&s.device(), s.dtype()))
        };
        let own = mask(&|k| range.start + k);
        let half = 0.5 * self.beta * width as f64;
        let inverse = tau.clone().recip();
        let logits = (s.clone() - self.beta) * inverse.clone() - tau.clone().log() * half;
        let hidden = own.clone() * MASKED;
        let (rows, by_logit) = match self.form {
            AmclForm::Smooth => {
                let among = if self.with_positives { logits.clone() } else { logits.clone() + hidden };
                let top = among.clone().max_dim(1);
                let e = (among - top.clone()).exp();
                let sum = e.clone().sum_dim(1);
                let rows = sum.clone().log() + top - (logits * own.clone()).sum_dim(1);
                (rows, e / sum - own.clone())
            }
            AmclForm::Max => {
                let nearest: Vec<usize> =
                    (s.clone() + hidden).argmax(1).into_data().iter::<i64>().map(|j| j as usize).collect();
                let difference = mask(&|k| nearest[k]) - own.clone();
                ((logits * difference.clone()).sum_dim(1), difference)
            }
        };
        let [of_own, of_all] = [(tau.clone() * own).sum(), tau.sum()].map(|t| to_f64(t)[0]);
        report[1] += of_own * share;
        report[2] += (of_all - of_own) * share / (n - 1) as f64;
        let by_logit = by_logit * share;
        let by_s = by_logit.clone() * inverse.clone();
        let by_tau = by_logit * ((s * -1.0 + self.beta) * inverse.clone() - half) * inverse;
        (to_f64(rows).iter().sum::<f64>() * share, by_s, by_tau)
    }
}
