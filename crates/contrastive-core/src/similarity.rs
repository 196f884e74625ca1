//! How alike two rows are.

use burn::tensor::Tensor;

/// The similarity of an anchor and a candidate, before the temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of the angle between them: both are scaled to length 1 and gradients are those of the raw rows. A row of
    /// length below 1e-12 is divided by 1e-12.
    #[default]
    Cosine,
    /// Their inner product.
    Dot,
}

/// Rows of length 1, and what their gradient needs.
pub(crate) struct UnitRows {
    /// `[n, d]`: the rows at length 1.
    pub rows: Tensor<2>,
    /// `[n, 1]`: the lengths before.
    lengths: Tensor<2>,
}

/// Lengths below this divide as this.
const SHORTEST: f64 = 1e-12;

impl UnitRows {
    pub(crate) fn new(x: Tensor<2>) -> Self {
        let lengths = (x.clone() * x.clone()).sum_dim(1).sqrt().clamp_min(SHORTEST);
        Self { rows: x / lengths.clone(), lengths }
    }

    /// The gradient of the raw rows from that of the unit rows: `(g - u (u . g)) / length`.
    pub(crate) fn backward(&self, gradient: Tensor<2>) -> Tensor<2> {
        let along = (self.rows.clone() * gradient.clone()).sum_dim(1);
        (gradient - self.rows.clone() * along) / self.lengths.clone()
    }
}

/// Rows scaled to length 1, differentiable by plain tensor operations (rows shorter than 1e-12 are divided by that).
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let lengths = (x.clone() * x.clone()).sum_dim(1).sqrt().clamp_min(SHORTEST);
    x / lengths
}
