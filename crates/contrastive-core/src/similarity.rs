//! How alike two rows are.

use crate::objective::ops::PairOps;
use burn::backend::Dispatch;
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

/// Rows as they are compared, and what the gradient of the raw rows needs.
pub(crate) struct Compared {
    /// `[n, d]`: the rows whose inner products are the similarities.
    pub rows: Tensor<2>,
    /// `[n, 1]`: the lengths of the raw rows, where they were divided by them.
    lengths: Option<Tensor<2>>,
}

/// Lengths below this divide as this.
const SHORTEST: f64 = 1e-12;

impl Compared {
    pub(crate) fn new(similarity: Similarity, x: Tensor<2>) -> Self {
        match similarity {
            Similarity::Dot => Self { rows: x, lengths: None },
            Similarity::Cosine => {
                let (rows, lengths) = Dispatch::unit_rows(x.into_dispatch(), SHORTEST);
                Self { rows: Tensor::from_dispatch(rows), lengths: Some(Tensor::from_dispatch(lengths)) }
            }
        }
    }

    /// The gradient of the raw rows: of unit rows u it is `(g - u (u . g)) / length`.
    pub(crate) fn backward(&self, gradient: Tensor<2>) -> Tensor<2> {
        let Some(lengths) = &self.lengths else { return gradient };
        let (rows, lengths) = (self.rows.clone().into_dispatch(), lengths.clone().into_dispatch());
        Tensor::from_dispatch(Dispatch::unit_rows_backward(rows, lengths, gradient.into_dispatch()))
    }
}

/// Rows scaled to length 1, differentiable by plain tensor operations (rows shorter than 1e-12 are divided by that).
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let lengths = (x.clone() * x.clone()).sum_dim(1).sqrt().clamp_min(SHORTEST);
    x / lengths
}
