//! Log-sum-exps over candidates, the building block of objectives that combine several of them.

use crate::error::ObjectiveError;
use crate::host::to_f64;
use crate::objective::distributed::{DistributedError, Ranks};
use crate::objective::{Denominator, Evaluation, Inputs, PairObjective, PositiveWeights, Reduction, Wanted};
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use std::sync::Arc;

/// `L_i = log sum_j exp(sim(a_i, c_j) / tau)` over the candidates j that anchor i is compared with: the engine without
/// positives.
///
/// An objective whose value is any function f of a few such sums (at several temperatures, over several sets of candidates) is
/// evaluated in linear memory in two passes: [`values`](Self::values) of each, then [`weighted`](Self::weighted) of each with
/// `df / dL_i` as weights, which gives the exact gradient. ReSSL is written that way. Over ranks: [`distributed_values`](Self::distributed_values) and
/// [`distributed_weighted`](Self::distributed_weighted).
#[derive(Clone, Debug)]
pub struct LogSums(PairObjective);

impl LogSums {
    /// Cosine similarities at this temperature, over all candidates (a table compared with itself: all other rows).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        let objective =
            PairObjective::new(temperature)?.with_pairs(Pairs::Beside).with_denominator(Denominator::NegativesOnly);
        Ok(Self(objective))
    }

    /// Inner products of rows as they are; the inverse temperature is among the inputs.
    pub(crate) fn with_input_scale() -> Self {
        let objective = PairObjective::with_input_scale().with_similarity(Similarity::Dot);
        Self(objective.with_pairs(Pairs::Beside).with_denominator(Denominator::NegativesOnly))
    }

    /// How alike two rows are.
    pub fn with_similarity(self, similarity: Similarity) -> Self {
        Self(self.0.with_similarity(similarity))
    }

    /// Who is left out of the sums.
    pub fn with_exclusions(self, exclusions: Exclusions) -> Self {
        Self(self.0.with_exclusions(exclusions))
    }

    /// A constant inside each sum: `log(offset + sum_j ..)`.
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_offset(self, offset: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(self.0.with_denominator_offset(offset)?))
    }

    /// `sum_i w_i L_i`, `[1]`, attached to anchors, candidates, scale and bias as far as they carry gradients.
    ///
    /// # Panics
    /// As [`values`](Self::values), and when the number of weights is not that of the anchors.
    pub fn loss(&self, inputs: &Inputs, weights: Vec<f64>) -> Tensor<1> {
        let (objective, inputs) = self.problem(inputs, weights);
        objective.loss(&inputs)
    }

    /// `L_i` of each anchor, on the host; minus infinity for an anchor without candidates. 2 n m d flops.
    ///
    /// # Panics
    /// When shapes and exclusions do not fit, or the inputs have paired positives or a scale.
    pub fn values(&self, inputs: &Inputs) -> Vec<f64> {
        let n = inputs.anchors.dims()[0];
        let m = inputs.candidates.as_ref().map_or(n, |c| c.dims()[0]);
        let spec = self.0.spec([n, m], inputs.candidates.is_none(), false, Wanted::VALUE, None);
        let mut sums = to_f64(self.weighted(inputs, vec![1.0; n], Wanted::VALUE).rows);
        for (i, sum) in sums.iter_mut().enumerate() {
            let listed = spec.excluded.as_ref().map_or(&[][..], |e| e.of(i));
            let own = spec.self_offset.map(|o| i + o).filter(|&j| j < m && listed.binary_search(&(j as u32)).is_err());
            if spec.offset == 0.0 && listed.len() + usize::from(own.is_some()) == m {
                *sum = f64::NEG_INFINITY;
            }
        }
        sums
    }

    /// `sum_i w_i L_i` with its gradients; an anchor without candidates counts as 0. 6 n m d flops.
    ///
    /// # Panics
    /// As [`values`](Self::values), and when the number of weights is not that of the anchors.
    pub fn weighted(&self, inputs: &Inputs, weights: Vec<f64>, wanted: Wanted) -> Evaluation {
        let (objective, inputs) = self.problem(inputs, weights);
        let mut result = objective.evaluate(&inputs, wanted);
        result.gradients.paired = None;
        result
    }

    /// As [`values`](Self::values), over the candidates of all ranks: `L_i` of this rank's anchors. Exclusions mean what they mean in
    /// [`PairObjective::distributed_evaluate`].
    ///
    /// # Errors
    /// As [`PairObjective::distributed_evaluate`].
    ///
    /// # Panics
    /// As [`values`](Self::values).
    pub fn distributed_values(&self, ranks: &Ranks<'_>, inputs: &Inputs) -> Result<Vec<f64>, DistributedError> {
        let rows = |sums: &Self| {
            let ones = vec![1.0; inputs.anchors.dims()[0]];
            Ok::<_, DistributedError>(to_f64(sums.distributed_weighted(ranks, inputs, ones, Wanted::VALUE)?.rows))
        };
        let mut sums = rows(self)?;
        // so has an anchor that is compared with nothing; with 1 inside the sums, it alone
        let zeros = sums.iter().filter(|s| **s == 0.0).count();
        if self.0.offset == 0.0 && ranks.total(zeros as f64)? > 0.0 {
            let more = rows(&self.clone().with_offset(1.0)?)?;
            let nothing = |s: f64, more: f64| s == 0.0 && more == 0.0;
            sums.iter_mut().zip(more).filter(|(s, m)| nothing(**s, *m)).for_each(|(s, _)| *s = f64::NEG_INFINITY);
        }
        Ok(sums)
    }

    /// As [`weighted`](Self::weighted), over the candidates of all ranks: the value is the sum over the anchors of all ranks, weights and
    /// gradients are those of this rank's rows.
    ///
    /// # Errors
    /// As [`PairObjective::distributed_evaluate`].
    ///
    /// # Panics
    /// As [`weighted`](Self::weighted).
    pub fn distributed_weighted(
        &self,
        ranks: &Ranks<'_>,
        inputs: &Inputs,
        weights: Vec<f64>,
        wanted: Wanted,
    ) -> Result<Evaluation, DistributedError> {
        let (objective, inputs) = self.problem(inputs, weights);
        let mut result = objective.distributed_evaluate(ranks, &inputs, wanted)?;
        result.gradients.paired = None;
        Ok(result)
    }

    /// As [`loss`](Self::loss), over the anchors and candidates of all ranks.
    ///
    /// # Errors
    /// As [`PairObjective::distributed_evaluate`].
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        inputs: &Inputs,
        weights: Vec<f64>,
    ) -> Result<Tensor<1>, DistributedError> {
        let (objective, inputs) = self.problem(inputs, weights);
        objective.distributed_loss(ranks, &inputs)
    }

    /// As positives that count for nothing.
    fn problem(&self, inputs: &Inputs, weights: Vec<f64>) -> (PairObjective, Inputs) {
        assert!(inputs.paired.is_none(), "log-sum-exps over candidates have no paired positives");
        let n = inputs.anchors.dims()[0];
        let objective = self.0.clone().with_reduction(Reduction::Weighted(Arc::new(weights)));
        let objective = objective.with_positive_weights(PositiveWeights::PerAnchor(Arc::new(vec![0.0; n])));
        let objective = objective.with_denominator_weights(Arc::new(vec![1.0; n]));
        let nothing = inputs.anchors.clone().zeros_like();
        (objective, inputs.clone().with_paired(nothing))
    }
}

/// What makes a sum of row values the mean of those above 0.
pub(crate) fn mean_above_zero<const D: usize>(rows: &Tensor<D>) -> Vec<f64> {
    let rows = to_f64(rows.clone());
    let count = rows.iter().filter(|v| **v > 0.0).count().max(1);
    rows.iter().map(|v| f64::from(*v > 0.0) / count as f64).collect()
}

/// `[n, 1]`: the inner products of rows with rows.
pub(crate) fn row_products(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    (a.clone() * b.clone()).sum_dim(1)
}
