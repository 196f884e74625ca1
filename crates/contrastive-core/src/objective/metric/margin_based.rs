//! Margin-based loss.

use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative};
use crate::host::{numbers, to_f64};
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Wanted};
use crate::similarity::Similarity;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::rowwise as kernel;
use std::collections::HashMap;

/// Margin-based loss (Wu et al. 2017, equation 5) of unit rows under labels: over all triplets (a, p, n) with distances d,
///
/// ```text
/// max(0, d_ap - beta + margin) + max(0, beta - d_an + margin)
/// ```
///
/// the sum divided by the number of terms above 0 (PyTorch Metric Learning's reading; 0 where none is). The boundary beta is an input, one
/// number or one for each class, and has a gradient.
///
/// Memory linear in the rows: an anchor's triplets add up by its positives and its negatives.
#[derive(Clone, Debug)]
pub struct MarginBased {
    margin: f64,
    penalty: f64,
}

impl MarginBased {
    /// The margin on either side of beta (0.2; beta starts at 1.2).
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: not_negative("margin", margin)?, penalty: 0.0 })
    }

    /// Adds `penalty beta` (the paper's nu, equation 6; 0): of one beta just that, of betas of classes the sum over the triplets'
    /// anchors, divided like the loss. Without triplets nothing.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_penalty(mut self, penalty: f64) -> Result<Self, ObjectiveError> {
        self.penalty = not_negative("penalty", penalty)?;
        Ok(self)
    }

    /// Rows `[n, d]` with a label each, compared by direction, and the betas: `[1]`, or `[c]` for labels that are class numbers. The
    /// value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, rows and labels differ in number, or a label has no beta.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], betas: Tensor<1>) -> Tensor<1> {
        let (inputs, pairs) = labelled(&rows, labels);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        let table = to_f64(betas.clone().inner());
        let shared = table.len() == 1;
        let class = |label: i64| match shared {
            true => 0,
            false => {
                let inside = label >= 0 && (label as usize) < table.len();
                assert!(inside, "label {label} for the betas of {} classes", table.len());
                label as usize
            }
        };
        let of: Vec<usize> = labels.iter().map(|&l| class(l)).collect();
        let each = of.iter().map(|&c| table[c]).collect();
        let function = kernel::MarginBased { margin: self.margin, betas: each, by_beta: false };
        let (result, sums) = problem.evaluate(&function, wanted(&inputs), mean_of_counted);
        let share = mean_of_counted(labels.len(), &sums);

        let triplets = triplets(labels);
        let all: f64 = triplets.iter().sum();
        let penalties: Vec<f64> = match (shared, all > 0.0) {
            (_, false) => vec![0.0; table.len()],
            (true, _) => vec![self.penalty],
            (false, _) => {
                let mut weights = vec![0.0; table.len()];
                of.iter().zip(&triplets).for_each(|(&c, t)| weights[c] += self.penalty * share * t);
                weights
            }
        };
        let penalty: f64 = penalties.iter().zip(&table).map(|(w, beta)| w * beta).sum();
        let like = problem.rows()[0].clone();
        let result = Evaluation { value: result.value + numbers(&[penalty], &like), ..result };
        let value = result.attach_to(&inputs);
        if !betas.is_tracked() {
            return value;
        }
        let function = kernel::MarginBased { by_beta: true, ..function };
        let slopes = problem.evaluate(&function, Wanted::VALUE, as_it_is).0;
        let mut gradient = penalties;
        to_f64(slopes.rows).iter().zip(&of).for_each(|(slope, &c)| gradient[c] += share * slope);
        let data = TensorData::new(gradient, [table.len()]).convert_dtype(betas.dtype());
        attach(value, &betas, Tensor::from_data(data, (&betas.device().inner(), betas.dtype())))
    }
}

/// How many triplets each row is the anchor of.
fn triplets(labels: &[i64]) -> Vec<f64> {
    let mut sizes: HashMap<i64, f64> = HashMap::new();
    labels.iter().for_each(|l| *sizes.entry(*l).or_default() += 1.0);
    labels.iter().map(|l| (sizes[l] - 1.0) * (labels.len() as f64 - sizes[l])).collect()
}

impl RowFunction for kernel::MarginBased {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [b, m] = s.dims();
        let compared = positive.clone() + negative.clone();
        // an anchor is the one row that it is not compared with
        let data = TensorData::new(self.betas.to_vec(), [1, m]).convert_dtype(s.dtype());
        let betas = Tensor::<2>::from_data(data, (&s.device(), s.dtype()));
        let betas = ((compared.clone() * -1.0 + 1.0) * betas).sum_dim(1);
        let d = distances(s, compared) - betas;
        let near = (d.clone() + self.margin).clamp_min(0.0) * positive.clone();
        let far = (d * -1.0 + self.margin).clamp_min(0.0) * negative.clone();
        let partners = [sum_rows(negative), sum_rows(positive)];
        let by_partners = |x: Tensor<2>, y: Tensor<2>, sign: f64| {
            sum_rows(x) * partners[0].clone() * sign + sum_rows(y) * partners[1].clone()
        };
        let count = |x: &Tensor<2>| ones_above_zero(x.clone());
        let total = by_partners(count(&near), count(&far), 1.0).sum();
        let rows = match self.by_beta {
            true => by_partners(count(&near), count(&far), -1.0),
            false => by_partners(near, far, 1.0),
        };
        (rows.reshape([b]), sums(vec![total]))
    }
}
