//! NNCLR: the nearest neighbour in a support set takes the place of the first view.

use crate::error::ObjectiveError;
use crate::memory::Queue;
use crate::objective::engine::nearest::nearest_rows;
use crate::objective::{Inputs, PairObjective, check_types};
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::Tensor;

/// NNCLR's objective (Dwibedi et al. 2021, equation 3): `nn(z_i)`, the row of the support nearest to z_i by cosine, finds the
/// other view of sample i among the other views of the batch.
///
/// ```text
/// l_i = -log exp(cos(nn(z_i), p_i) / T) / sum_k exp(cos(nn(z_i), p_k) / T)
/// ```
///
/// Neighbours are constants: no gradient reaches z. The support is a [`Queue`] of past first views.
#[derive(Clone, Debug)]
pub struct NnClr(PairObjective);

impl NnClr {
    /// Cosine similarities at this temperature (paper: 0.1).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?))
    }

    /// The objective behind the name, of neighbours among the other views.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// `[n, d]`: the nearest rows of the support, as they are there.
    ///
    /// # Panics
    /// When the support is empty or of another width.
    pub fn neighbours(&self, views: Tensor<2>, support: &Queue) -> Tensor<2> {
        let rows =
            support.rows().unwrap_or_else(|| panic!("neighbours of {:?} rows in an empty support", views.dims()));
        let nearest = nearest_rows(views.clone(), rows.clone(), Similarity::Cosine);
        // a NaN row has no neighbour: its result is NaN
        let beyond = unit_rows(views.inner()).sum_dim(1).cast(rows.dtype()) * 0.0;
        rows.select(0, nearest) + beyond
    }

    /// First views (projections) `[n, d]`, which pick the neighbours, and second views (predictions) `[n, d]`, which carry the
    /// gradient. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or the support is empty or of another width.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, support: &Queue) -> Tensor<1> {
        assert_eq!(first.dims(), second.dims(), "the shapes of the two views");
        let [of_first, of_second] = [first.dtype(), second.dtype()];
        check_types(&[("the first view", of_first), ("the second view", of_second), ("the support", support.dtype())]);
        self.0.loss(&Inputs::new(self.neighbours(first, support), second))
    }

    /// The mean of both ways round (the paper's training): projections and predictions `[n, d]` of two views. The value is
    /// `[1]`.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn symmetric_loss(
        &self,
        projections: [Tensor<2>; 2],
        predictions: [Tensor<2>; 2],
        support: &Queue,
    ) -> Tensor<1> {
        let ([z0, z1], [p0, p1]) = (projections, predictions);
        (self.loss(z0, p1, support) + self.loss(z1, p0, support)) * 0.5
    }
}
