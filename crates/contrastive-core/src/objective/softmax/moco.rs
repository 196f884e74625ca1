//! MoCo: queries find their keys among a queue of past keys.

use crate::attach::attach_gradients;
use crate::error::ObjectiveError;
use crate::memory::Queue;
use crate::objective::{Inputs, PairObjective, check_types};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;

/// MoCo's InfoNCE (He et al. 2020, equation 1): the candidates of query i are its own key and the rows of a queue, which hold
/// keys of earlier batches; keys of other queries of the batch are not compared.
///
/// Keys come from a momentum encoder ([`Ema`](crate::memory::Ema)) and are pushed into the [`Queue`] after the loss. A gradient
/// flows into every input that is tracked; a queue's rows never are.
#[derive(Clone, Debug)]
pub struct Moco(PairObjective);

impl Moco {
    /// Cosine similarities at this temperature (MoCo v1: 0.07, v2: 0.2).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.with_pairs(Pairs::Beside)))
    }

    /// Inner products instead of cosines, of rows that are already normalised.
    pub fn with_similarity(self, similarity: Similarity) -> Self {
        Self(self.0.with_similarity(similarity))
    }

    /// The objective behind the name, with the keys as paired positives.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Queries `[n, d]`, their keys `[n, d]`, against a queue. The value is `[1]`; against an empty queue there is nothing to
    /// tell a key from, and it is 0.
    ///
    /// # Panics
    /// When the shapes do not fit, or there are no queries.
    pub fn loss(&self, queries: Tensor<2>, keys: Tensor<2>, queue: &Queue) -> Tensor<1> {
        assert_eq!(queries.dims(), keys.dims(), "the shapes of queries and keys");
        check_types(&[("queries", queries.dtype()), ("keys", keys.dtype()), ("the queue", queue.dtype())]);
        assert!(queries.dims()[0] > 0, "no queries: {:?}", queries.dims());
        match queue.rows() {
            Some(rows) => self.loss_among(queries, keys, rows),
            None => {
                let zero = Tensor::zeros([1], (&queries.clone().inner().device(), queries.dtype()));
                let none = |x: &Tensor<2>| Some(x.clone().inner().zeros_like());
                attach_gradients(zero, [(&queries, none(&queries)), (&keys, none(&keys))])
            }
        }
    }

    /// The same against negatives `[m, d]` of any origin.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss_among(&self, queries: Tensor<2>, keys: Tensor<2>, negatives: Tensor<2>) -> Tensor<1> {
        self.0.loss(&Inputs::new(queries, negatives).with_paired(keys))
    }
}
