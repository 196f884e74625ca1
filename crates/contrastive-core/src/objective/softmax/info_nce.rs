//! InfoNCE: queries, their positives, and negatives of the batch, of a queue or of each query's own.

use crate::error::ObjectiveError;
use crate::host::numbers;
use crate::objective::engine::log_sums::mean_above_zero;
use crate::objective::{Inputs, PairObjective, Reduction, check_types, computed};
use crate::pairs::Pairs;
use crate::similarity::{Similarity, defined};
use crate::temperature::Temperature;
use burn::tensor::Tensor;

/// InfoNCE (van den Oord et al. 2018, equation 4): each query finds its positive among the candidates.
#[derive(Clone, Debug)]
pub struct InfoNce(PairObjective);

impl InfoNce {
    /// Cosine similarities at this temperature, the mean over queries.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?))
    }

    /// Inner products instead of cosines.
    pub fn with_similarity(self, similarity: Similarity) -> Self {
        Self(self.0.with_similarity(similarity))
    }

    /// Another reduction than the mean.
    pub fn with_reduction(self, reduction: Reduction) -> Self {
        Self(self.0.with_reduction(reduction))
    }

    /// The objective behind the name.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Queries `[n, d]`, positives `[n, d]`: the other queries' positives are the negatives. The value is `[1]`; of a single
    /// pair, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, queries: Tensor<2>, positives: Tensor<2>) -> Tensor<1> {
        assert_eq!(queries.dims(), positives.dims(), "the shapes of queries and positives");
        self.0.loss(&Inputs::new(queries, positives))
    }

    /// Queries `[n, d]`, positives `[n, d]`, negatives `[m, d]` shared by all queries (a queue, MoCo): the other queries'
    /// positives are not compared. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss_with_negatives(&self, queries: Tensor<2>, positives: Tensor<2>, negatives: Tensor<2>) -> Tensor<1> {
        self.0.clone().with_pairs(Pairs::Beside).loss(&Inputs::new(queries, negatives).with_paired(positives))
    }

    /// Queries `[n, d]`, positives `[n, d]`, and k negatives of its own for each query, `[n, k, d]`. There is no matrix to
    /// avoid here: the n k similarities are as many as the negatives. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes do not fit, or the temperature is an input.
    pub fn loss_with_own_negatives(&self, queries: Tensor<2>, positives: Tensor<2>, negatives: Tensor<3>) -> Tensor<1> {
        let ([n, d], [n2, k, d2]) = (queries.dims(), negatives.dims());
        assert!(n > 0 && d > 0, "InfoNCE of queries [{n}, {d}]");
        assert_eq!([n, d], positives.dims(), "the shapes of queries and positives");
        assert_eq!([n, d], [n2, d2], "queries and [n, k, d] negatives");
        check_types(&[
            ("queries", queries.dtype()),
            ("positives", positives.dtype()),
            ("negatives", negatives.dtype()),
        ]);
        let (queries, positives, negatives) = (computed(queries), computed(positives), computed(negatives));
        let objective = &self.0;
        let rows = |x: &Tensor<2>, anchor: bool| defined(objective.similarity, x, anchor);
        let (q, p) = (rows(&queries, true), rows(&positives, false));
        let d = q.dims()[1];
        let negatives: Tensor<3> = rows(&negatives.reshape([n * k, d2]), false).reshape([n, k, d]);
        let temperature = match objective.temperature {
            Temperature::Fixed(t) => t,
            Temperature::Input => panic!("own negatives need a fixed temperature"),
        };
        let others: Tensor<2> = negatives.matmul(q.clone().reshape([n, d, 1])).reshape([n, k]);
        let logits = Tensor::cat(vec![(q * p).sum_dim(1), others], 1) * (1.0 / temperature);
        let top = logits.clone().detach().max_dim(1);
        let log = (logits.clone() - top.clone()).exp().sum_dim(1).log() + top;
        let rows = log - logits.slice([0..n, 0..1]);
        match objective.reduction {
            Reduction::Sum => rows.sum(),
            Reduction::Mean | Reduction::MeanWithPositives | Reduction::MeanOverPairs => rows.mean(),
            Reduction::MeanNonZero => {
                let weights = mean_above_zero(&rows.clone().inner());
                (rows.clone().reshape([n]) * numbers(&weights, &rows)).sum()
            }
            Reduction::Weighted(ref w) => {
                assert_eq!(w.len(), n, "row weights and queries");
                (rows.clone().reshape([n]) * numbers(w, &rows)).sum()
            }
        }
    }
}
