//! The objective of D-SLA (Kim, Baek, Hwang, NeurIPS 2022): how different, not only whether.

use crate::settings::{Check, SettingError};
use burn::tensor::{DType, Tensor, TensorData, activation};

/// Discrepancy learning: an original is told from its perturbed copies, its distances to them are in proportion to the edits, and
/// other originals are farther than any weak copy by a margin.
///
/// ```text
/// discrimination = mean_b  -log softmax(scores_b)_0
/// edits          = mean_b mean_{i<j} (d_bi / e_bi - d_bj / e_bj)^2        d_bi = |h_b0 - h_bi|
/// margin         = mean_{b, b' != b, i weak} max(0, m + d_bi - |h_b0 - h_b'0|)
/// loss           = discrimination + 0.7 edits + 0.5 margin
/// ```
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DiscrepancyLearning {
    /// Weight of the edits, 0.7.
    pub edit_weight: f64,
    /// Weight of the margin, 0.5.
    pub margin_weight: f64,
    /// m, in units of the embeddings: 5 for molecules, 10 for proteins, with D 300. Other widths, poolings or norms need another.
    pub margin: f64,
}

impl Default for DiscrepancyLearning {
    fn default() -> Self {
        Self { edit_weight: 0.7, margin_weight: 0.5, margin: 5.0 }
    }
}

/// The three terms, `[1]` each, weights not applied.
#[derive(Clone, Debug)]
pub struct DiscrepancyTerms {
    /// Cross-entropy over the candidates of a graph.
    pub discrimination: Tensor<1>,
    /// Distances against edits.
    pub edits: Tensor<1>,
    /// Other originals.
    pub margin: Tensor<1>,
}

/// `sqrt(x)` with slope 0 where x is 0.
fn root<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let zero = x.clone().lower_equal_elem(0.0).float().cast(x.dtype());
    (x.clamp_min(0.0) + zero.clone()).sqrt() * (zero * -1.0 + 1.0)
}

impl DiscrepancyLearning {
    /// Checks weights and margin, for `candidates` of a graph and `graphs` in a batch.
    ///
    /// # Errors
    /// When a weight or the margin is negative or not finite, there are fewer than two candidates (three, where distances are compared
    /// with edits), or one graph has no other to keep away from.
    pub fn validate(&self, candidates: usize, graphs: usize) -> Result<(), SettingError> {
        let check = Check::new("D-SLA");
        check.weight("edit_weight", self.edit_weight)?;
        check.weight("margin_weight", self.margin_weight)?;
        check.weight("margin", self.margin)?;
        check.that(candidates >= 2, "candidates", candidates, "2 or more, the original among them")?;
        let compared = self.edit_weight == 0.0 || candidates >= 3;
        check.that(compared, "candidates", candidates, "3 or more, or an edit_weight of 0: two copies are compared")?;
        let apart = self.margin_weight == 0.0 || graphs >= 2;
        check.that(apart, "graphs of a batch", graphs, "2 or more, or a margin_weight of 0: one has no other")
    }

    /// The terms, differentiable in scores and embeddings. Copies without an edit take no part in the term of edits; it is 0 where no graph has
    /// two copies with some. Distances of 0 have slope 0.
    ///
    /// The memory is `B (B weak + C D)` numbers: distances between originals come from their products, no table of differences is
    /// made.
    ///
    /// # Shapes
    /// - scores: `[B, C]`, candidate 0 the original
    /// - embeddings: `[B C, D]`, candidates of a graph one after the other
    /// - edits: B lists of C numbers, the first 0
    ///
    /// # Panics
    /// When a shape does not fit, `weak` is not below C, or [`validate`](Self::validate) refuses the sizes.
    pub fn terms(&self, scores: Tensor<2>, embeddings: Tensor<2>, edits: &[f32], weak: usize) -> DiscrepancyTerms {
        let ([graphs, candidates], [rows, width]) = (scores.dims(), embeddings.dims());
        self.validate(candidates, graphs).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!([rows, edits.len()], [graphs * candidates; 2], "rows of embeddings and numbers of edits");
        assert!(weak < candidates, "{weak} weak copies among {candidates} candidates");
        let on = (&embeddings.device(), embeddings.dtype());
        let discrimination = (activation::log_softmax(scores, 1).narrow(1, 0, 1).mean() * -1.0).reshape([1]);
        let stacked: Tensor<3> = embeddings.reshape([graphs, candidates, width]);
        let originals = stacked.clone().narrow(1, 0, 1);
        let copies = stacked.narrow(1, 1, candidates - 1);
        let squared: Tensor<2> = (copies - originals.clone()).powi_scalar(2).sum_dim(2).squeeze_dim::<2>(2);
        let distances = root(squared);
        let edit_term = self.against_edits(distances.clone(), edits, [graphs, candidates]);
        let originals: Tensor<2> = originals.reshape([graphs, width]);
        let margin = if self.margin_weight == 0.0 || weak == 0 {
            Tensor::zeros([1], on)
        } else {
            let originals_in_f64 = originals.dtype() == DType::F64;
            let norms = originals.clone().powi_scalar(2).sum_dim(1);
            let products = originals.clone().matmul(originals.transpose());
            let sums = norms.clone() + norms.transpose();
            let squared = sums.clone() - products * 2.0;
            // below this a difference of products is rounding: equal rows are at distance 0, with slope 0
            let rounding = if originals_in_f64 { 1e-14 } else { 1e-6 };
            let apart = squared.clone().greater(sums * rounding).float().cast(squared.dtype());
            let between = root(squared * apart);
            let others: Vec<f32> = (0..graphs * graphs).map(|at| f32::from(at / graphs != at % graphs)).collect();
            let others = Tensor::<3>::from_data(TensorData::new(others, [graphs, graphs, 1]), on);
            let near: Tensor<3> = distances.narrow(1, 0, weak).unsqueeze_dim::<3>(1);
            let hinge = activation::relu(near - between.unsqueeze_dim::<3>(2) + self.margin) * others;
            (hinge.sum() / (graphs * (graphs - 1) * weak) as f64).reshape([1])
        };
        DiscrepancyTerms { discrimination, edits: edit_term, margin }
    }

    fn against_edits(&self, distances: Tensor<2>, edits: &[f32], [graphs, candidates]: [usize; 2]) -> Tensor<1> {
        let on = (&distances.device(), distances.dtype());
        let copies = candidates - 1;
        let of = |b: usize, i: usize| edits[b * candidates + 1 + i];
        let (mut inverse, mut pairs) = (vec![0f32; graphs * copies], vec![0f32; graphs * copies * copies]);
        for b in 0..graphs {
            for i in 0..copies {
                if of(b, i) > 0.0 {
                    inverse[b * copies + i] = 1.0 / of(b, i);
                }
                for j in i + 1..copies {
                    if of(b, i) > 0.0 && of(b, j) > 0.0 {
                        pairs[(b * copies + i) * copies + j] = 1.0;
                    }
                }
            }
        }
        let count: f32 = pairs.iter().sum();
        if self.edit_weight == 0.0 || count == 0.0 {
            return Tensor::zeros([1], on);
        }
        let x = distances * Tensor::<2>::from_data(TensorData::new(inverse, [graphs, copies]), on);
        let differences: Tensor<3> = x.clone().unsqueeze_dim::<3>(2) - x.unsqueeze_dim::<3>(1);
        let pairs = Tensor::<3>::from_data(TensorData::new(pairs, [graphs, copies, copies]), on);
        ((differences.powi_scalar(2) * pairs).sum() / f64::from(count)).reshape([1])
    }
}
