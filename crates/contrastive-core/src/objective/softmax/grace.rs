//! GRACE: two views of the nodes of a graph, compared within and between the views.

use crate::error::ObjectiveError;
use crate::objective::engine::views::stacked;
use crate::objective::{Direction, Inputs, PairObjective};
use crate::pairs::Pairs;
use burn::tensor::Tensor;

/// GRACE's objective (Zhu et al. 2020, equations 1 and 2): node i of a view finds its other view among all nodes of the
/// other view and all other nodes of its own; the mean over both views.
///
/// ```text
/// l(u_i, v_i) = -log e^{cos(u_i, v_i)/T} / (sum_k e^{cos(u_i, v_k)/T} + sum_{k != i} e^{cos(u_i, u_k)/T})
/// J = 1/2N sum_i (l(u_i, v_i) + l(v_i, u_i))
/// ```
///
/// With both views joined as candidates and the own row left out that is NT-Xent; the name is kept because graph papers
/// use it, and because of the forms without one of the two kinds of negatives. The projection head is the caller's.
#[derive(Clone, Debug)]
pub struct Grace(PairObjective);

impl Grace {
    /// Cosine similarities at this temperature (paper: 0.4 to 0.9).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self(PairObjective::new(temperature)?.with_pairs(Pairs::TwoViews)))
    }

    /// Negatives of the other view only: symmetric InfoNCE between the views (CLIP's objective).
    pub fn with_inter_view_only(self) -> Self {
        Self(self.0.with_pairs(Pairs::Diagonal).with_direction(Direction::Both))
    }

    /// The objective behind the name: on the two views stacked, or, without negatives within a view, on the first among the
    /// second.
    pub fn objective(&self) -> &PairObjective {
        &self.0
    }

    /// Two views `[n, d]` of the same n nodes. The value is `[1]`; of a single node, which has no negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        assert_eq!(first.dims(), second.dims(), "the shapes of the two views");
        match self.0.direction {
            Direction::Both => self.0.loss(&Inputs::new(first, second)),
            Direction::Forward => self.0.loss(&Inputs::self_contrast(stacked(first, second))),
        }
    }
}
