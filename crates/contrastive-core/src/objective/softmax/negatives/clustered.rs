//! Negatives that count by how many clusterings put them apart (MEOW, Yu et al., SDM 2023).

use super::NegativesError;
use crate::error::ObjectiveError;
use crate::objective::{Inputs, LogSums};
use crate::pairs::Exclusions;
use crate::similarity::unit_rows;
use burn::tensor::{Tensor, TensorData};

/// ```text
/// L = -mean_i [ u_i . v_i / tau - log sum_j g_ij e^{u_i . v_j / tau} ]      g_ij = number of clusterings with i and j in different clusters
/// ```
///
/// Cosines; the positive is not in the denominator, since `g_ii = 0`. Weights are constants. They are never written out: the sum is one of
/// T sums, each of which leaves out the rows of the anchor's own cluster. Each clustering is a pass for its sums and one for the gradients:
/// `8 T n^2 d` operations, memory linear in n and in the sum of the squares of the sizes of clusters.
#[derive(Clone, Debug)]
pub struct ClusteredNegatives {
    temperature: f64,
}

impl ClusteredNegatives {
    /// At this temperature.
    ///
    /// # Errors
    /// When it is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        LogSums::new(temperature)?;
        Ok(Self { temperature })
    }

    fn check(&self, n: usize, clusterings: &[Vec<u32>]) -> Result<(), NegativesError> {
        let wrong = |found: String, allowed: String| Err(NegativesError::Clusterings { found, allowed });
        match clusterings.iter().find(|labels| labels.len() != n) {
            _ if clusterings.is_empty() => wrong("no clusterings".into(), "one or more".into()),
            Some(labels) => wrong(format!("a clustering of {} rows", labels.len()), format!("{n}, as there are rows")),
            None => Ok(()),
        }
    }

    /// The loss `[1]`, differentiable in both tables.
    ///
    /// # Shapes
    /// - u: `[n, d]`, the anchors
    /// - v: `[n, d]`, the candidates; row i is the positive of anchor i
    /// - clusterings: the cluster of each row, n each
    ///
    /// # Errors
    /// [`NegativesError::NoNegatives`] with the first anchor that no clustering puts apart from anybody; when there are no clusterings or one is
    /// of another number of rows.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn loss(&self, u: &Tensor<2>, v: &Tensor<2>, clusterings: &[Vec<u32>]) -> Result<Tensor<1>, NegativesError> {
        assert_eq!(u.dims(), v.dims(), "the shapes of anchors and candidates");
        let n = u.dims()[0];
        self.check(n, clusterings)?;
        let inputs = Inputs::new(u.clone(), v.clone());
        let sums = clusterings.iter().map(|labels| -> Result<LogSums, NegativesError> {
            let ids: Vec<i64> = labels.iter().map(|&label| label.into()).collect();
            Ok(LogSums::new(self.temperature)?.with_exclusions(Exclusions::same_ids(&ids, &ids)))
        });
        let sums = sums.collect::<Result<Vec<_>, _>>()?;
        let values: Vec<Vec<f64>> = sums.iter().map(|sums| sums.values(&inputs)).collect();
        let mut total = vec![0.0; n];
        for (row, total) in total.iter_mut().enumerate() {
            let of = || values.iter().map(|values| values[row]);
            let top = of().fold(f64::NEG_INFINITY, f64::max);
            if top == f64::NEG_INFINITY {
                return Err(NegativesError::NoNegatives { row, clusterings: clusterings.len() });
            }
            *total = top + of().map(|value| (value - top).exp()).sum::<f64>().ln();
        }
        // d total_i / d L_it is the share of clustering t in the sum of anchor i; the value of these weighted sums is not that of the loss
        let (mut loss, mut value) = (None::<Tensor<1>>, total.iter().sum::<f64>() / n as f64);
        for (sums, values) in sums.iter().zip(&values) {
            let weights: Vec<f64> = values.iter().zip(&total).map(|(v, t)| (v - t).exp() / n as f64).collect();
            value -= weights.iter().zip(values).filter(|(w, _)| **w > 0.0).map(|(w, v)| w * v).sum::<f64>();
            let part = sums.loss(&inputs, weights);
            loss = Some(loss.map_or(part.clone(), |sum| sum + part));
        }
        let loss = loss.expect("one clustering or more");
        Ok(loss + value - self.positives(u, v))
    }

    /// `mean_i u_i . v_i / tau`.
    fn positives(&self, u: &Tensor<2>, v: &Tensor<2>) -> Tensor<1> {
        (unit_rows(u.clone()) * unit_rows(v.clone())).sum_dim(1).mean() * (1.0 / self.temperature)
    }

    /// The same with the n x n weights written out: the definition, and the oracle of the tests.
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn dense(&self, u: &Tensor<2>, v: &Tensor<2>, clusterings: &[Vec<u32>]) -> Tensor<1> {
        let n = u.dims()[0];
        let weight = |at: usize| clusterings.iter().filter(|labels| labels[at / n] != labels[at % n]).count() as f64;
        let weights = TensorData::new((0..n * n).map(weight).collect::<Vec<f64>>(), [n, n]);
        let weights = Tensor::<2>::from_data(weights, (&u.device(), u.dtype()));
        let s = unit_rows(u.clone()).matmul(unit_rows(v.clone()).transpose()) * (1.0 / self.temperature);
        (s.exp() * weights).sum_dim(1).log().mean() - self.positives(u, v)
    }
}
