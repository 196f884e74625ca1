//! InfoNCE whose negatives are corrected for hidden positives, and weighted by how hard they are.

use crate::error::{ObjectiveError, not_negative};
use crate::host::{column, numbers, to_f64};
use crate::objective::distributed::{DistributedError, ObjectiveId, Ranks};
use crate::objective::engine::log_sums::{LogSums, row_products};
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::engine::views::stacked;
use crate::objective::{Evaluation, Gradients, Inputs, Wanted};
use crate::pairs::{Exclusions, PairLists, Pairs};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

/// Debiased contrastive loss (Chuang et al. 2020) and its form with hard negatives (Robinson et al. 2021), on two views of n samples. For each of the 2n rows, with its other view at the logit s+, the logits s of the
/// N = 2n - 2 other rows, and the share tau+ of them that belong to the row's own class unseen:
///
/// ```text
/// R = N sum e^{(1 + beta) s} / sum e^{beta s}                  (beta = 0: the plain sum)
/// G = max((R - tau+ N e^{s+}) / (1 - tau+), N e^{-1/T})        loss = log(1 + G / e^{s+})
/// ```
///
/// The weights of hard negatives carry gradient. Where the maximum takes its second argument, the row's negatives have
/// none. It is a function of the sums of each row, so memory is linear in n, and on the CPU each pair of rows is made once for both, as
/// for [`NtXent`](crate::objective::NtXent), unless beta is above 0 and `(1 + beta) / T` not below 30: then row by row. With tau+ = 0 and beta = 0 it is
/// NT-Xent.
#[derive(Clone, Debug)]
pub struct DebiasedInfoNce {
    function: kernel::Debiased,
}

impl DebiasedInfoNce {
    /// Cosine similarities at this temperature; `tau_plus` is tau+ (paper: 0.1 for ten classes).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN, or tau+ is not in `[0, 1)`.
    pub fn new(temperature: f64, tau_plus: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        not_negative("tau_plus, the share of positives among the negatives", tau_plus)?;
        if tau_plus >= 1.0 {
            return Err(ObjectiveError::Contradiction(
                "tau_plus, the share of positives among the negatives, must be below 1",
            ));
        }
        let function = kernel::Debiased { scale: 1.0 / temperature, tau_plus, hardness: 0.0 };
        Ok(Self { function })
    }

    /// Negatives are weighted with `e^{beta s}` (published values lie around 1; 0 weighs all alike).
    ///
    /// # Errors
    /// When beta is negative, infinite or NaN.
    pub fn with_hardness(mut self, beta: f64) -> Result<Self, ObjectiveError> {
        self.function.hardness = not_negative("hardness of negatives", beta)?;
        Ok(self)
    }

    /// Two views `[n, d]` of the same n samples; the mean over the 2n rows, `[1]`; of a single sample, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let table = stacked(first, second);
        let result = self.evaluate(&table, table.is_tracked());
        result.attach_to(&Inputs::self_contrast(table))
    }

    /// Value, row values and, if wanted, the gradient of both views stacked, `[2n, d]`.
    ///
    /// # Panics
    /// When the number of rows is odd or 0.
    pub fn evaluate(&self, table: &Tensor<2>, gradients: bool) -> Evaluation {
        let [rows, _] = table.dims();
        assert!(rows > 0 && rows.is_multiple_of(2), "two views in a table of {:?}", table.dims());
        let problem = Problem::new(&Inputs::self_contrast(table.clone()), &Pairs::TwoViews, Similarity::Cosine);
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        problem.evaluate(&self.function, wanted, mean_of_rows).0
    }

    /// The loss of the samples of all ranks together: each rank brings its own two views `[n, d]`, and the negatives of a row are the other
    /// samples of all. The value is `[1]`. Two log-sums (one for beta = 0) over ranks, then their gradients.
    ///
    /// # Errors
    /// When a rank is gone, or ranks disagree about choices, widths or types.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), of this rank's rows.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        first: Tensor<2>,
        second: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let table = stacked(first, second);
        let result = self.distributed_evaluate(ranks, &table)?;
        Ok(result.attach_to(&Inputs::self_contrast(table)))
    }

    fn distributed_evaluate(&self, ranks: &Ranks<'_>, table: &Tensor<2>) -> Result<Evaluation, DistributedError> {
        let [rows, d] = table.dims();
        let n = rows / 2;
        assert!(n > 0, "two views in a table of [{rows}, {d}]");
        let kernel::Debiased { scale, tau_plus, hardness } = self.function;
        let same = [
            ObjectiveId::DebiasedInfoNce.to_agree(),
            ("inverse temperature", scale),
            ("tau_plus, the share of positives among the negatives", tau_plus),
            ("hardness of negatives", hardness),
        ];
        let place = ranks.place(n, table.is_tracked(), &same)?;
        let (others, share) = ((2 * (place.all - 1)) as f64, 0.5 / place.all as f64);
        let compared = Compared::new(Similarity::Cosine, Inputs::self_contrast(table.clone()).plain().anchors);
        let unit = &compared.rows;
        let partner = |i: usize| if i < n { i + n } else { i - n };
        let partners = Tensor::cat(vec![unit.clone().slice([n..rows, 0..d]), unit.clone().slice([0..n, 0..d])], 0);
        let own = PairLists::one_each((0..rows).map(|i| partner(i) as u32).collect()).shifted(2 * place.first);
        let sums = LogSums::with_input_scale().with_exclusions(Exclusions::lists(own));
        let scaled = |factor: f64| Inputs::self_contrast(unit.clone()).with_scale(numbers(&[factor * scale], unit));
        // log R = log sum e^{(1 + beta) s} - log sum e^{beta s} + log N
        let hard = self.function.is_hard();
        let parts: Vec<(f64, Inputs)> = match hard {
            true => vec![(1.0, scaled(1.0 + hardness)), (-1.0, scaled(hardness))],
            false => vec![(1.0, scaled(1.0))],
        };
        let mut logs = vec![if hard { others.ln() } else { 0.0 }; rows];
        for (sign, inputs) in &parts {
            logs.iter_mut().zip(sums.distributed_values(ranks, inputs)?).for_each(|(log, part)| *log += sign * part);
        }
        let positives = to_f64(row_products(unit, &partners) * scale);
        let each: Vec<[f64; 3]> =
            positives.iter().zip(&logs).map(|(p, r)| self.function.value(*p, *r, others)).collect();
        // a sample alone has no negatives
        let each = if others > 0.0 { each } else { vec![[0.0; 3]; rows] };
        let of = |k: usize| each.iter().map(move |e| e[k] * share);
        let value = ranks.total(of(0).sum())?;
        let mut gradients = Gradients::default();
        if place.any {
            let pulls: Vec<f64> = of(2).collect();
            let pulls: Vec<f64> = (0..rows).map(|i| (pulls[i] + pulls[partner(i)]) * scale).collect();
            let mut sum = partners * column(&pulls, unit);
            for (sign, inputs) in &parts {
                let pushes = of(1).map(|push| sign * push).collect();
                let part = sums.distributed_weighted(ranks, inputs, pushes, Wanted::ALL)?.gradients.anchors;
                sum = sum + part.expect("a gradient that was wanted");
            }
            gradients.anchors = Some(compared.backward(sum));
        }
        let row_values: Vec<f64> = each.iter().map(|e| e[0]).collect();
        Ok(Evaluation { value: numbers(&[value], unit), rows: numbers(&row_values, unit), columns: None, gradients })
    }

    /// The same by plain, differentiable tensor operations: materialises several 2n x 2n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::self_contrast(stacked(first, second));
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
        let free = (r - p.clone() * others.clone() * self.tau_plus) * (1.0 / (1.0 - self.tau_plus));
        let least = (count - self.scale - top.clone()).exp();
        let below = free.clone().detach().lower_equal(least.clone());
        let negatives = free.mask_where(below, least);
        let value = (p + negatives).log() + top - own;
        let rows = value * any(&positive) * ones_above_zero(others);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

/// The larger of two; NaN on either side comes through.
fn larger(a: Tensor<1>, b: Tensor<1>) -> Tensor<1> {
    b.clone() + (a - b).clamp_min(0.0)
}
