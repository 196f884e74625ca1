//! Lifted structured embedding: the published form, of pairs.

use crate::error::{ObjectiveError, not_negative};
use crate::host::to_f64;
use crate::objective::engine::labelled::loss_of;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Wanted};
use crate::similarity::Similarity;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::rowwise::LiftedPairs;

/// Lifted structured embedding (Song et al. 2016, equation 4) of unit rows under labels: for each positive pair (a, p) with distances d
///
/// ```text
/// J = d_ap - m+ + log( sum_n e^{m- - d_an} + sum_n e^{m- - d_pn} )          max(0, J)^2 / 2
/// ```
///
/// over the negatives n of either; the mean over positive pairs, 0 without any or without negatives.
/// [`LiftedStructure`](crate::objective::LiftedStructure) is the generalised form of Hermans et al., a hinge for each row.
///
/// Two passes, the first of which takes each row's sum over negatives: 8 n^2 d flops, memory linear in n.
#[derive(Clone, Debug)]
pub struct LiftedStructuredEmbedding {
    function: LiftedPairs,
}

impl LiftedStructuredEmbedding {
    /// The margin of the negatives (1); distances of positives are measured from 0.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        let function = LiftedPairs { positive: 0.0, negative: not_negative("margin", margin)?, levels: None };
        Ok(Self { function })
    }

    /// Distances of positives are measured from this margin.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_positive_margin(mut self, margin: f64) -> Result<Self, ObjectiveError> {
        self.function.positive = not_negative("margin of positives", margin)?;
        Ok(self)
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        loss_of(rows, |rows, gradients| self.evaluate(rows, labels, gradients))
    }

    /// Value, each row's part before the division, and, if wanted, the gradient of the rows (as that of the anchors); no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], gradients: bool) -> Evaluation {
        let (inputs, pairs) = labelled(rows, labels);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        let first = problem.evaluate(&self.function, Wanted::VALUE, as_it_is).0;
        let level = |l: f64| if l < 0.5 * MASKED { f64::NEG_INFINITY } else { l };
        let levels = to_f64(first.rows).into_iter().map(level).collect();
        let function = LiftedPairs { levels: Some(levels), ..self.function.clone() };
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        problem.evaluate(&function, wanted, mean_of_counted).0
    }
}

impl RowFunction for LiftedPairs {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [b, m] = s.dims();
        let count = sums(vec![positive.clone().sum()]);
        let d = distances(s, positive.clone() + negative.clone());
        let own = log_sum_exp(d.clone() * -1.0 + self.negative, negative.clone(), false);
        let Some(levels) = &self.levels else { return (own, count) };
        let some = any(&negative);
        let own = (own * some.clone()).reshape([b, 1]);
        let levels: Vec<f64> = levels.iter().map(|l| if l.is_infinite() { 0.0 } else { *l }).collect();
        let data = TensorData::new(levels, [1, m]).convert_dtype(d.dtype());
        let theirs = Tensor::<2>::from_data(data, (&d.device(), d.dtype()));
        let gap = theirs - own.clone();
        let over = (d - self.positive + own.clone() + softplus(gap.clone())).clamp_min(0.0) * positive;
        // what the row's own level does in the rows of its positives
        let share = (softplus(gap) * -1.0).exp();
        let push = (over.clone() * share).sum_dim(1).detach();
        let elsewhere = (own.clone() - own.detach()) * push;
        let rows = sum_rows(over.clone() * over * 0.5) + elsewhere.reshape([b]);
        (rows * some, count)
    }
}
