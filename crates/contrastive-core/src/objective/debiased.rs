//! InfoNCE whose negatives are corrected for hidden positives, and weighted by how hard they are.

use super::log_sums::{LogSums, attached, beside, column, host, numbers};
use super::{Evaluation, Gradients, Inputs, Wanted, presets::stacked};
use crate::error::{ObjectiveError, not_negative};
use crate::pairs::{Exclusions, PairLists};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::tensor::Tensor;

/// Debiased contrastive loss (Chuang et al. 2020) and its form with hard negatives (Robinson et al. 2021), on two views of n things. For each of the 2n rows, with its other view at the logit s+, the logits s of the
/// N = 2n - 2 other rows, and the share tau+ of them that belong to the row's own class unseen:
///
/// ```text
/// R = N sum e^{(1 + beta) s} / sum e^{beta s}                  (beta = 0: the plain sum)
/// G = max((R - tau+ N e^{s+}) / (1 - tau+), N e^{-1/T})        loss = log(1 + G / e^{s+})
/// ```
///
/// The weights of hard negatives carry gradient. Where the maximum takes its second argument, the row's negatives have
/// none. Everything is a function of two log-sum-exps a row, so memory is linear in n; with tau+ = 0 and beta = 0 it is
/// NT-Xent.
#[derive(Clone, Debug)]
pub struct DebiasedInfoNce {
    temperature: f64,
    hidden: f64,
    hardness: f64,
}

impl DebiasedInfoNce {
    /// Cosine similarities at this temperature; `hidden_positives` is tau+ (paper: 0.1 for ten classes).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN, or tau+ is not in `[0, 1)`.
    pub fn new(temperature: f64, hidden_positives: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        not_negative("share of hidden positives", hidden_positives)?;
        if hidden_positives >= 1.0 {
            return Err(ObjectiveError::Contradiction("the share of hidden positives must be below 1"));
        }
        Ok(Self { temperature, hidden: hidden_positives, hardness: 0.0 })
    }

    /// Negatives are weighted with `e^{beta s}` (published values lie around 1; 0 weighs all alike).
    ///
    /// # Errors
    /// When beta is negative, infinite or NaN.
    pub fn with_hardness(mut self, beta: f64) -> Result<Self, ObjectiveError> {
        self.hardness = not_negative("hardness of negatives", beta)?;
        Ok(self)
    }

    /// Two views `[n, d]` of the same n things; the mean over the 2n rows, `[1]`; of a single thing, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let table = stacked(first, second);
        let result = self.evaluate(&table, table.is_tracked());
        attached(result.value, [(&table, result.gradients.anchors), (&table, None)])
    }

    /// Value, row values and, if wanted, the gradient of both views stacked, `[2n, d]`.
    ///
    /// # Panics
    /// When the number of rows is odd or 0.
    pub fn evaluate(&self, table: &Tensor<2>, gradients: bool) -> Evaluation {
        let rows = table.dims()[0];
        assert!(rows > 0 && rows.is_multiple_of(2), "two views in a table of {:?}", table.dims());
        let half = rows / 2;
        let compared = Compared::new(Similarity::Cosine, Inputs::within(table.clone()).plain().anchors);
        let unit = compared.rows.clone();
        let width = unit.dims()[1];
        let twins =
            Tensor::cat(vec![unit.clone().slice([half..rows, 0..width]), unit.clone().slice([0..half, 0..width])], 0);
        let positive: Vec<f64> = host(beside(&unit, &twins)).iter().map(|s| s / self.temperature).collect();

        // weights that differ by less than rounding are all alike; the engine knows no temperature so high
        let hardness = if self.hardness < 1e-8 * self.temperature { 0.0 } else { self.hardness };
        let sums = |scale: f64| {
            let twin = PairLists::one_each((0..rows as u32).map(|i| (i + half as u32) % rows as u32).collect());
            let sums = LogSums::new(self.temperature / scale).expect("a checked temperature");
            sums.similarity(Similarity::Dot).exclusions(Exclusions::lists(twin).and_own_row(0))
        };
        let inputs = Inputs::within(unit.clone());
        let (hard, soft) = (sums(1.0 + hardness), (hardness > 0.0).then(|| sums(hardness)));
        let others = (rows - 2) as f64;
        let mut reweighted = hard.values(&inputs);
        if let Some(soft) = &soft {
            let soft = soft.values(&inputs);
            reweighted.iter_mut().zip(soft).for_each(|(r, soft)| *r += others.ln() - soft);
        }
        let rows_of: Vec<Row> = (0..rows).map(|i| self.row(positive[i], reweighted[i], others)).collect();
        let values: Vec<f64> = rows_of.iter().map(|r| r.value).collect();
        let value = numbers(&[values.iter().sum::<f64>() / rows as f64], &unit);
        let mut result =
            Evaluation { value, rows: numbers(&values, &unit), columns: None, gradients: Gradients::default() };
        if gradients {
            let share = 1.0 / rows as f64;
            let weights = |sign: f64| rows_of.iter().map(|r| sign * share * r.by_sum).collect::<Vec<f64>>();
            let of = |sums: &LogSums, w: Vec<f64>| sums.weighted(&inputs, w, Wanted::ALL).gradients.anchors;
            let mut gradient = of(&hard, weights(1.0)).expect("the gradient of the anchors");
            if let Some(soft) = &soft {
                gradient = gradient + of(soft, weights(-1.0)).expect("the gradient of the anchors");
            }
            // a row is the positive of its other view: both ends of the pair
            let own =
                column(&rows_of.iter().map(|r| r.by_positive * share / self.temperature).collect::<Vec<_>>(), &unit);
            let (low, high) = (own.clone().slice([0..half, 0..1]), own.clone().slice([half..rows, 0..1]));
            let both = own + Tensor::cat(vec![high, low], 0);
            result.gradients.anchors = Some(compared.backward(gradient + twins * both));
        }
        result
    }

    /// One row, from its positive logit and log R. All exponentials are taken relative to the larger of the two.
    fn row(&self, positive: f64, log_sum: f64, others: f64) -> Row {
        if others == 0.0 {
            return Row { value: 0.0, by_sum: 0.0, by_positive: 0.0 };
        }
        let top = positive.max(log_sum);
        let (p, r) = ((positive - top).exp(), (log_sum - top).exp());
        let free = (r - self.hidden * others * p) / (1.0 - self.hidden);
        let least = (others.ln() - 1.0 / self.temperature - top).exp();
        // in this order, so that what is not a number stays none
        let (negatives, by_sum, by_positive) = match free <= least {
            true => (least, 0.0, 0.0),
            false => (free, r / (1.0 - self.hidden), -self.hidden * others * p / (1.0 - self.hidden)),
        };
        let all = p + negatives;
        Row { value: all.ln() + top - positive, by_sum: by_sum / all, by_positive: (p + by_positive) / all - 1.0 }
    }
}

/// Value of a row, and its derivatives by log R and by the positive logit.
struct Row {
    value: f64,
    by_sum: f64,
    by_positive: f64,
}
