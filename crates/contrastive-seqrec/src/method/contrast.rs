//! The contrast that all methods share: NT-Xent of inner products over two views.

use burn::tensor::Tensor;
use contrastive_core::error::ObjectiveError;
use contrastive_core::objective::{Inputs, NtXent, PairObjective};
use contrastive_core::pairs::Exclusions;
use contrastive_core::similarity::Similarity;

/// NT-Xent over the 2n rows of two views, inner products, with or without equal ids among the negatives. A view of a single row has nothing
/// to be told from: 0.
#[derive(Clone, Debug)]
pub(super) struct Contrast {
    objective: PairObjective,
}

impl Contrast {
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        let objective = NtXent::new(temperature)?.with_similarity(Similarity::Dot).objective().clone();
        Ok(Self { objective })
    }

    /// Two views `[n, d]`: `[1]`, the mean over 2n rows.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        self.with_ids(first, second, None)
    }

    /// The same; rows with the same id (one for each of the n) are no negatives of each other.
    pub fn with_ids(&self, first: Tensor<2>, second: Tensor<2>, ids: Option<&[u32]>) -> Tensor<1> {
        assert_eq!(first.dims(), second.dims(), "the shapes of two views");
        let n = first.dims()[0];
        let rows = Tensor::cat(vec![first, second], 0);
        if n < 2 {
            return (rows * 0.0).sum();
        }
        let objective = match ids {
            None => self.objective.clone(),
            Some(ids) => {
                assert_eq!(ids.len(), n, "ids of {n} rows");
                let both: Vec<i64> = ids.iter().chain(ids).map(|id| i64::from(*id)).collect();
                self.objective.clone().with_exclusions(Exclusions::same_ids(&both, &both))
            }
        };
        objective.loss(&Inputs::self_contrast(rows))
    }
}
