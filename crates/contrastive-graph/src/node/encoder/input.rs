//! What goes into the first layer.

use super::linear::add_bias;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::linear::SparseOperator;
use contrastive_core::settings::{Check, SettingError};
use contrastive_kernels::sparse::Csr;
use contrastive_nn::Pass;
use contrastive_nn::encoder::Mlp;
use contrastive_nn::layer::Linear;
use std::sync::Arc;

/// Features of the nodes: all numbers, or a sparse matrix that is never written out.
// One a forward pass; a box would only cost its users.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum NodeFeatures {
    /// `[nodes, features]`.
    Dense(Tensor<2>),
    /// `[nodes, features]`, a bag of words, say.
    Sparse(SparseOperator),
}

/// Input of an encoder: features, and which of their columns are masked.
///
/// Masked columns scale rows of the weight that the features meet, so that a view of the features costs no copy of them.
#[derive(Clone, Debug)]
pub struct NodeInput {
    features: NodeFeatures,
    keep: Option<Arc<[bool]>>,
}

impl From<Tensor<2>> for NodeInput {
    fn from(x: Tensor<2>) -> Self {
        Self { features: NodeFeatures::Dense(x), keep: None }
    }
}

impl From<SparseOperator> for NodeInput {
    fn from(x: SparseOperator) -> Self {
        Self { features: NodeFeatures::Sparse(x), keep: None }
    }
}

impl From<Csr<f64>> for NodeInput {
    fn from(x: Csr<f64>) -> Self {
        SparseOperator::new(x).into()
    }
}

impl NodeInput {
    /// The features, masked columns included.
    pub fn features(&self) -> &NodeFeatures {
        &self.features
    }

    /// `[nodes, features]`.
    pub fn shape(&self) -> [usize; 2] {
        match &self.features {
            NodeFeatures::Dense(x) => x.dims(),
            NodeFeatures::Sparse(x) => x.shape(),
        }
    }

    /// The same features with only these columns; takes the place of an earlier choice.
    ///
    /// # Errors
    /// When there is not one decision for each column.
    pub fn with_columns(mut self, keep: &[bool]) -> Result<Self, SettingError> {
        let columns = self.shape()[1];
        let fine = keep.len() == columns;
        Check::new("node input").that(
            fine,
            "number of column decisions",
            keep.len(),
            format!("one for each of {columns}"),
        )?;
        self.keep = Some(keep.into());
        Ok(self)
    }

    /// The same choice of columns of other features.
    pub(super) fn replaced(&self, features: Tensor<2>) -> Self {
        Self { features: NodeFeatures::Dense(features), keep: self.keep.clone() }
    }

    /// `X W`, differentiable in `W` and in dense features.
    ///
    /// # Shapes
    /// - weight: `[features, width]`
    /// - output: `[nodes, width]`
    ///
    /// # Panics
    /// When the weight does not have a row for each feature.
    pub fn multiply(&self, weight: Tensor<2>) -> Tensor<2> {
        let ([_, columns], dims) = (self.shape(), weight.dims());
        assert_eq!(columns, dims[0], "features of shape {:?} times a weight of shape {dims:?}", self.shape());
        let weight = match &self.keep {
            None => weight,
            Some(keep) => {
                let factors: Vec<f32> = keep.iter().map(|&keep| f32::from(u8::from(keep))).collect();
                let factors = TensorData::new(factors, [columns, 1]);
                weight.clone() * Tensor::from_data(factors, (&weight.device(), weight.dtype()))
            }
        };
        match &self.features {
            NodeFeatures::Dense(x) => x.clone().matmul(weight),
            NodeFeatures::Sparse(x) => x.apply(weight),
        }
    }

    /// `X W + b`.
    ///
    /// # Shapes
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When the features have another width than the map.
    pub fn mapped(&self, map: &Linear) -> Tensor<2> {
        add_bias(self.multiply(map.weight.val()), &map.bias)
    }

    /// The output of a network `[nodes, last width]` on these features.
    ///
    /// # Panics
    /// When the features have another width than the first map.
    pub fn through(&self, network: &Mlp, pass: &mut Pass) -> Tensor<2> {
        network.after_first(self.mapped(&network.maps[0]), pass)
    }
}
