//! Prototypes: rows of a table that features are scored against.

use super::seeded::Seeded;
use super::{HeadError, at_least};
use crate::similarity::unit_rows;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions};

/// SwAV's prototypes (Caron et al. 2020, section 3.1): a linear map without bias whose k rows are kept at length 1.
///
/// The released code normalises the rows outside the graph before every step and differentiates the product alone: call
/// [`normalised`](Self::normalised) after every optimiser step. During the first steps their gradient is dropped
/// ([`fixed_scores`](Self::fixed_scores); 313 steps of 4,096 images, about an epoch).
#[derive(Module, Debug)]
pub struct Prototypes {
    /// `[k, d]`.
    pub rows: Param<Tensor<2>>,
}

impl Prototypes {
    /// `count` prototypes (paper: 3,000, or ten times the classes of small data) of features of one width, in random
    /// directions.
    ///
    /// # Errors
    /// When either is 0.
    pub fn new(count: usize, width: usize, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<Self, HeadError> {
        at_least(&[("prototypes", count, 1), ("width of the features", width, 1)])?;
        Ok(Self::from_rows(Seeded::new(seed, on).normal([count, width], 1.0)))
    }

    /// Prototypes `[k, d]` in the directions of these rows.
    pub fn from_rows(rows: Tensor<2>) -> Self {
        Self { rows: Param::from_tensor(unit_rows(rows).detach()) }
    }

    /// The rows brought back to length 1, outside the graph.
    pub fn normalised(self) -> Self {
        let rows = self.rows.map(|rows| {
            let (autodiff, trained) = (rows.is_autodiff(), rows.is_require_grad());
            let unit = unit_rows(rows.inner());
            let unit = if autodiff { Tensor::from_inner(unit) } else { unit };
            if trained { unit.require_grad() } else { unit }
        });
        Self { rows }
    }

    /// Inner products of unit features with the prototypes.
    ///
    /// # Shapes
    /// - features: `[n, d]`, brought to length 1 here
    /// - output: `[n, k]`
    ///
    /// # Panics
    /// When the widths differ.
    pub fn scores(&self, features: Tensor<2>) -> Tensor<2> {
        self.scored(features, self.rows.val())
    }

    /// The same without a gradient of the prototypes.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn fixed_scores(&self, features: Tensor<2>) -> Tensor<2> {
        self.scored(features, self.rows.val().detach())
    }

    /// The same of plain features, without any gradient.
    pub(crate) fn inner_scores(&self, features: Tensor<2>) -> Tensor<2> {
        self.scored(features.inner(), self.rows.val().inner())
    }

    fn scored(&self, features: Tensor<2>, rows: Tensor<2>) -> Tensor<2> {
        let ([n, d], [k, e]) = (features.dims(), rows.dims());
        assert_eq!(d, e, "features [{n}, {d}] and prototypes [{k}, {e}]");
        unit_rows(features).matmul(rows.transpose())
    }
}
