//! InfoNCE whose negatives are corrected for hidden positives, and weighted by how hard they are.

use super::metric_rows::*;
use super::rowwise::RowFunction;
use super::{Evaluation, Inputs, Wanted, presets::stacked};
use crate::error::{ObjectiveError, not_negative};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use crate::temperature::Temperature;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Debiased contrastive loss (Chuang et al. 2020) and its form with hard negatives (Robinson et al. 2021), on two views of n things. For each of the 2n rows, with its other view at the logit s+, the logits s of the
/// N = 2n - 2 other rows, and the share tau+ of them that belong to the row's own class unseen:
///
/// ```text
/// R = N sum e^{(1 + beta) s} / sum e^{beta s}                  (beta = 0: the plain sum)
/// G = max((R - tau+ N e^{s+}) / (1 - tau+), N e^{-1/T})        loss = log(1 + G / e^{s+})
/// ```
///
/// The weights of hard negatives carry gradient. Where the maximum takes its second argument, the row's negatives have
/// none. It is a function of the sums of each row, so memory is linear in n, and on the CPU each pair of rows is made once for both, as
/// for [`NtXent`](super::NtXent), unless beta is above 0 and `(1 + beta) / T` not below 30: then row by row. With tau+ = 0 and beta = 0 it is
/// NT-Xent.
#[derive(Clone, Debug)]
pub struct DebiasedInfoNce {
    function: kernel::Debiased,
    portable: bool,
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
        let function = kernel::Debiased { scale: 1.0 / temperature, hidden: hidden_positives, hardness: 0.0 };
        Ok(Self { function, portable: false })
    }

    /// Negatives are weighted with `e^{beta s}` (published values lie around 1; 0 weighs all alike).
    ///
    /// # Errors
    /// When beta is negative, infinite or NaN.
    pub fn with_hardness(mut self, beta: f64) -> Result<Self, ObjectiveError> {
        self.function.hardness = not_negative("hardness of negatives", beta)?;
        Ok(self)
    }

    /// Uses the body of tensor operations also where a native kernel exists.
    pub fn portable(mut self, portable: bool) -> Self {
        self.portable = portable;
        self
    }

    /// Two views `[n, d]` of the same n things; the mean over the 2n rows, `[1]`; of a single thing, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let table = stacked(first, second);
        let result = self.evaluate(&table, table.is_tracked());
        hang(&Inputs::within(table), result)
    }

    /// Value, row values and, if wanted, the gradient of both views stacked, `[2n, d]`.
    ///
    /// # Panics
    /// When the number of rows is odd or 0.
    pub fn evaluate(&self, table: &Tensor<2>, gradients: bool) -> Evaluation {
        let [rows, _] = table.dims();
        assert!(rows > 0 && rows.is_multiple_of(2), "two views in a table of {:?}", table.dims());
        let problem = Problem::new(&Inputs::within(table.clone()), &Pairs::TwoViews, Similarity::Cosine);
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        problem.evaluate(&self.function, wanted, mean_of_rows, self.portable).0
    }

    /// The same by plain, differentiable tensor operations: materialises several 2n x 2n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::within(stacked(first, second));
        dense(&self.function, &inputs, &Pairs::TwoViews, Similarity::Cosine, mean_of_rows)
    }
}

impl RowFunction for kernel::Debiased {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let others = sum_rows(negative.clone());
        let count = others.clone().clamp_min(1.0).log();
        let own = sum_rows(s.clone() * positive.clone()) * self.scale;
        let mut all = log_sum_exp(s.clone() * ((1.0 + self.hardness) * self.scale), negative.clone(), false);
        if self.hardness > 0.0 {
            all = all + count.clone() - log_sum_exp(s * (self.hardness * self.scale), negative, false);
        }
        let top = larger(own.clone().detach(), all.clone().detach());
        let (p, r) = ((own.clone() - top.clone()).exp(), (all - top.clone()).exp());
        let free = (r - p.clone() * others.clone() * self.hidden) * (1.0 / (1.0 - self.hidden));
        let least = (count - self.scale - top.clone()).exp();
        let below = free.clone().detach().lower_equal(least.clone());
        let negatives = free.mask_where(below, least);
        let value = (p + negatives).log() + top - own;
        let rows = value * any(&positive) * ones_above_zero(others);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

/// The larger of two; what is no number on either side comes through.
fn larger(a: Tensor<1>, b: Tensor<1>) -> Tensor<1> {
    b.clone() + (a - b).clamp_min(0.0)
}
