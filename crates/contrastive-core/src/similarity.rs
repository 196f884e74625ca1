//! How alike two rows are.

use crate::objective::computed;
use crate::objective::engine::ops::PairOps;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use std::convert::Infallible;

/// The similarity of an anchor and a candidate, before the temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of the angle between them: both are scaled to length 1 and gradients are those of the raw rows. A row
    /// shorter than 1e-12 has no direction: its cosine to everything is 0, and it has no gradient. One whose squared length is too large
    /// for its type (from 1.8e19 in f32) is NaN.
    #[default]
    Cosine,
    /// Their inner product.
    Dot,
    /// `-|a - c|^2`: the logits of a Gaussian kernel (t-SNE's and NCA's similarity, uniformity's potential). Computed as
    /// `2 a . c - |a|^2 - |c|^2` of rows measured from the candidates' mean, without `|a|^2` where it cancels, so it is exact to rounding of
    /// the squared spread of the rows. Types that compare rows through their distances anyway take it for [`Similarity::Dot`].
    NegativeSquaredDistance,
}

/// Rows as they are compared, and what the gradient of the raw rows needs.
pub(crate) struct Compared {
    /// `[n, d]`: the rows whose inner products are the similarities; `[n, d + 2]` for distances.
    pub rows: Tensor<2>,
    form: Form,
}

enum Form {
    Raw,
    /// `[n, 1]`: the lengths of the raw rows, which were divided by them.
    Unit(Box<Tensor<2>>),
    /// Are they anchors?
    Distance(bool),
}

/// Rows shorter than this have no direction.
const SHORTEST: f64 = 1e-12;

impl Compared {
    pub(crate) fn new(similarity: Similarity, x: Tensor<2>) -> Self {
        match similarity {
            Similarity::Dot | Similarity::NegativeSquaredDistance => Self { rows: x, form: Form::Raw },
            Similarity::Cosine => {
                let (rows, lengths) = Dispatch::unit_rows(x.into_dispatch(), SHORTEST);
                Self { rows: Tensor::from_dispatch(rows), form: Form::Unit(Box::new(Tensor::from_dispatch(lengths))) }
            }
        }
    }

    /// Rows whose inner products with those of the other side are negative squared distances.
    fn distance(x: Tensor<2>, centre: &Tensor<2>, anchors: bool) -> Self {
        let rows = Dispatch::distance_rows(x.into_dispatch(), centre.clone().into_dispatch(), anchors);
        Self { rows: Tensor::from_dispatch(rows), form: Form::Distance(anchors) }
    }

    /// The gradient of the raw rows: of unit rows u it is `(g - u (u . g)) / length`.
    pub(crate) fn backward(&self, gradient: Tensor<2>) -> Tensor<2> {
        match &self.form {
            Form::Raw => gradient,
            Form::Unit(lengths) => {
                let (rows, lengths) = (self.rows.clone().into_dispatch(), Tensor::clone(lengths).into_dispatch());
                Tensor::from_dispatch(Dispatch::unit_rows_backward(rows, lengths, gradient.into_dispatch()))
            }
            Form::Distance(anchors) => {
                let rows = self.rows.clone().into_dispatch();
                Tensor::from_dispatch(Dispatch::distance_rows_backward(rows, gradient.into_dispatch(), *anchors))
            }
        }
    }
}

/// `[x sqrt(2), -|x|^2, -1]` for sign -1, `[x sqrt(2), 1, |x|^2]` for sign 1; the inner product of one of each is
/// `2 a . c - |a|^2 - |c|^2`.
fn squares_beside(x: Tensor<2>, sign: f64) -> Tensor<2> {
    let square = (x.clone() * x.clone()).sum_dim(1);
    let one = square.clone().detach().zeros_like() + sign;
    let pair = if sign < 0.0 { [square * -1.0, one] } else { [one, square] };
    let [square, one] = pair;
    Tensor::cat(vec![x * std::f64::consts::SQRT_2, square, one], 1)
}

/// The two sides of a comparison, and what stands beside each anchor.
pub(crate) struct Sides {
    pub anchors: Compared,
    /// Absent for a table compared with itself whose rows are the same on both sides.
    pub candidates: Option<Compared>,
    pub paired: Option<Compared>,
}

impl Sides {
    pub(crate) fn new(
        similarity: Similarity,
        anchors: Tensor<2>,
        candidates: Option<Tensor<2>>,
        paired: Option<Tensor<2>>,
    ) -> Self {
        let centre = |candidates: &Tensor<2>| Ok::<_, Infallible>(mean_row(candidates));
        Self::measured(similarity, anchors, candidates, paired, centre).unwrap_or_else(|never| match never {})
    }

    /// The same, where distances are measured from the `centre` `[1, d]` of the candidates.
    pub(crate) fn measured<E>(
        similarity: Similarity,
        anchors: Tensor<2>,
        candidates: Option<Tensor<2>>,
        paired: Option<Tensor<2>>,
        centre: impl FnOnce(&Tensor<2>) -> Result<Tensor<2>, E>,
    ) -> Result<Self, E> {
        if similarity != Similarity::NegativeSquaredDistance {
            let compared = |x: Tensor<2>| Compared::new(similarity, x);
            return Ok(Self {
                anchors: compared(anchors),
                candidates: candidates.map(compared),
                paired: paired.map(compared),
            });
        }
        let candidates = candidates.unwrap_or_else(|| anchors.clone());
        // distances do not depend on where they are measured from
        let centre = centre(&candidates)?;
        Ok(Self {
            anchors: Compared::distance(anchors, &centre, true),
            candidates: Some(Compared::distance(candidates, &centre, false)),
            paired: paired.map(|p| Compared::distance(p, &centre, false)),
        })
    }
}

/// The mean row `[1, d]`.
pub(crate) fn mean_row(x: &Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::mean_row(x.clone().into_dispatch()))
}

/// The rows of both sides whose inner products are the similarities, by differentiable tensor operations: the definition.
pub(crate) fn defined(similarity: Similarity, x: &Tensor<2>, anchor: bool) -> Tensor<2> {
    match similarity {
        Similarity::Cosine => unit_rows(x.clone()),
        Similarity::Dot => x.clone(),
        Similarity::NegativeSquaredDistance => squares_beside(x.clone(), if anchor { -1.0 } else { 1.0 }),
    }
}

/// Rows scaled to length 1, differentiable by plain tensor operations; rows shorter than 1e-12 become zeros, without a gradient.
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let dtype = x.dtype();
    let x = computed(x);
    // clamped before the root, whose slope at 0 is infinite
    let squares = (x.clone() * x.clone()).sum_dim(1);
    let none = squares.clone().detach().lower_elem(SHORTEST * SHORTEST);
    // a length too large for its type becomes NaN
    let beyond = squares.clone().detach() * 0.0;
    let unit = x / (squares.clamp_min(SHORTEST * SHORTEST).sqrt().mask_fill(none, f64::INFINITY) + beyond);
    if unit.dtype() == dtype { unit } else { unit.cast(dtype) }
}
