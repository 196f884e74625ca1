//! What the objectives on rows of similarities share: tensor operations of their definitions, and the way from inputs to a value
//! with its gradients.

use super::rowwise::{Comparison, RowFunction};
use crate::host::numbers;
use crate::objective::{Evaluation, Gradients, Inputs};
use crate::pairs::Pairs;
use crate::similarity::{Compared, Sides, Similarity, defined};
use crate::temperature::Temperature;
use burn::tensor::{DType, Tensor};
use contrastive_kernels::rowwise as kernel;
use contrastive_kernels::softmax::Wanted;

// Burn's own softplus is linear from 20 on, an error of 2e-9
pub(crate) use crate::objective::{MASKED, softplus};

/// `[b]` sums of rows.
pub(crate) fn sum_rows(x: Tensor<2>) -> Tensor<1> {
    let b = x.dims()[0];
    x.sum_dim(1).reshape([b])
}

/// What a row function adds up, at most four numbers.
pub(crate) fn sums(parts: Vec<Tensor<1>>) -> Tensor<1> {
    let (device, dtype) = (parts[0].device(), parts[0].dtype());
    let rest = Tensor::<1>::zeros([4 - parts.len()], (&device, dtype));
    let full = parts.len() == 4;
    let mut all: Vec<Tensor<1>> = parts.into_iter().map(Tensor::detach).collect();
    if !full {
        all.push(rest);
    }
    Tensor::cat(all, 0)
}

pub(crate) fn no_sums(like: &Tensor<1>) -> Tensor<1> {
    Tensor::zeros([4], (&like.device(), like.dtype()))
}

/// Distances of unit rows where `mask` is 1, else of orthogonal ones.
pub(crate) fn distances(s: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
    // below this a squared distance is rounding
    let least = if s.dtype() == DType::F64 { 1e-14 } else { 1e-6 };
    ((s * mask) * -2.0 + 2.0).clamp_min(least).sqrt()
}

/// `x` where `mask` is 1, else [`MASKED`].
pub(crate) fn only(x: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
    x * mask.clone() + (mask * -1.0 + 1.0) * MASKED
}

/// `log(offset + sum e^x)` over a row, of the logits where `mask` is 1; 0 or below -1e20 where there is none.
pub(crate) fn log_sum_exp(x: Tensor<2>, mask: Tensor<2>, offset: bool) -> Tensor<1> {
    let b = x.dims()[0];
    let x = only(x, mask);
    let top = x.clone().detach().max_dim(1).clamp_min(if offset { 0.0 } else { -1e25 });
    let mut sum = (x - top.clone()).exp().sum_dim(1);
    if offset {
        sum = sum + (top.clone() * -1.0).exp();
    } else {
        let none = sum.clone().detach().lower_equal_elem(0.0);
        sum = sum.mask_fill(none, 1.0);
    }
    (sum.log() + top).reshape([b])
}

/// 1 for rows that have one.
pub(crate) fn any(mask: &Tensor<2>) -> Tensor<1> {
    let b = mask.dims()[0];
    mask.clone().max_dim(1).reshape([b])
}

pub(crate) fn ones_above_zero<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let (device, dtype) = (x.device(), x.dtype());
    let shape = x.shape();
    Tensor::<D>::zeros(shape, (&device, dtype)).mask_fill(x.greater_elem(0.0), 1.0)
}

/// The cosines of angles that are `margin` larger (negative: smaller); beyond half a turn `cos - margin sin(margin)`.
pub(crate) fn turned(cosines: Tensor<2>, margin: f64) -> Tensor<2> {
    let cosines = cosines.clamp(-1.0 + 1e-7, 1.0 - 1e-7);
    let sine = (cosines.clone() * cosines.clone() * -1.0 + 1.0).sqrt();
    let turned = cosines.clone() * margin.cos() - sine * margin.sin();
    if margin <= 0.0 {
        return turned;
    }
    let beyond = cosines.clone().detach().lower_elem(-margin.cos());
    turned.mask_where(beyond, cosines - margin * margin.sin())
}

/// How a sum over rows becomes a loss: what the value and the gradients are multiplied with.
pub(crate) type Share = fn(rows: usize, sums: &kernel::Sums) -> f64;

pub(crate) fn mean_of_rows(rows: usize, _: &kernel::Sums) -> f64 {
    1.0 / rows as f64
}

/// The mean over what the first sum counts; 0 if that is nothing.
pub(crate) fn mean_of_counted(_: usize, sums: &kernel::Sums) -> f64 {
    if sums[0] > 0.0 { 1.0 / sums[0] } else { 0.0 }
}

pub(crate) fn as_it_is(_: usize, _: &kernel::Sums) -> f64 {
    1.0
}

/// Rows of one table under labels.
pub(crate) fn labelled(rows: &Tensor<2>, labels: &[i64]) -> (Inputs, Pairs) {
    let [n, d] = rows.dims();
    assert_eq!(labels.len(), n, "labels and rows [{n}, {d}]");
    (Inputs::self_contrast(rows.clone()), Pairs::labels(labels))
}

/// Which gradients the inputs need.
pub(crate) fn wanted(inputs: &Inputs) -> Wanted {
    let candidates = inputs.candidates.as_ref().is_some_and(Tensor::is_tracked);
    Wanted { anchors: inputs.anchors.is_tracked(), candidates }
}

/// Rows as they are compared, and which pairs.
pub(crate) struct Problem {
    pub comparison: Comparison,
    pub anchors: Compared,
    /// Absent for a table against itself whose rows are the same on both sides.
    pub candidates: Option<Compared>,
    /// A table against itself?
    pub itself: bool,
}

impl Problem {
    /// # Panics
    /// When inputs and pairs do not fit, or the inputs have what a row function does not know.
    pub fn new(inputs: &Inputs, pairs: &Pairs, similarity: Similarity) -> Self {
        assert!(inputs.has_rows_alone(), "row losses have neither scale nor bias nor terms of pairs among the inputs");
        let (n, m, itself) = inputs.check(pairs, &Temperature::Fixed(1.0));
        let positives = pairs.resolve(n, m).expect("positives among the candidates");
        let plain = inputs.plain();
        let Sides { anchors, candidates, .. } = Sides::new(similarity, plain.anchors, plain.candidates, None);
        Self {
            comparison: Comparison { positives, excluded: None, own: itself.then_some(0) },
            anchors,
            candidates,
            itself,
        }
    }

    /// The rows of anchors and candidates.
    pub fn rows(&self) -> [&Tensor<2>; 2] {
        let a = &self.anchors.rows;
        [a, self.candidates.as_ref().map_or(a, |c| &c.rows)]
    }

    /// How many pairs are positive and how many negative.
    pub fn counts(&self) -> [f64; 2] {
        let [n, m] = self.rows().map(|x| x.dims()[0]);
        let own = |i: usize| self.comparison.own.map(|o| i + o).filter(|j| *j < m);
        let of = |i: usize| self.comparison.positives.of(i);
        let listed = |i: usize, j: usize| of(i).binary_search(&(j as u32)).is_ok();
        let mut counts = [0.0, n as f64 * m as f64];
        for i in 0..n {
            let itself = own(i);
            let positives = of(i).len() - usize::from(itself.is_some_and(|j| listed(i, j)));
            counts[0] += positives as f64;
            counts[1] -= (positives + usize::from(itself.is_some())) as f64;
        }
        counts
    }

    /// Value, rows and gradients (of a table compared with itself, the whole as that of the anchors), and the sums; rows are
    /// not multiplied with the share.
    pub fn evaluate(&self, function: &impl RowFunction, wanted: Wanted, share: Share) -> (Evaluation, kernel::Sums) {
        let [a, c] = self.rows();
        // a table against itself: its gradient has both parts
        let any = self.itself && (wanted.anchors || wanted.candidates);
        let wanted = Wanted { anchors: wanted.anchors || any, candidates: wanted.candidates || any };
        let out = match &self.candidates {
            None => self.comparison.evaluate_table(function, a, any),
            Some(_) => self.comparison.evaluate(function, a, c, wanted),
        };
        let share = share(a.dims()[0], &out.sums);
        let mut gradients = Gradients::default();
        match &self.candidates {
            None => gradients.anchors = any.then(|| self.anchors.backward(out.anchors * share)),
            Some(candidates) if self.itself => {
                let both = || self.anchors.backward(out.anchors * share) + candidates.backward(out.candidates * share);
                gradients.anchors = any.then(both);
            }
            Some(candidates) => {
                gradients.anchors = wanted.anchors.then(|| self.anchors.backward(out.anchors * share));
                gradients.candidates = wanted.candidates.then(|| candidates.backward(out.candidates * share));
            }
        }
        let (value, rows) = (numbers(&[out.value * share], a), numbers(&out.rows, a));
        (Evaluation { value, rows, columns: None, gradients }, out.sums)
    }
}

/// The definition of the same, with the whole matrix, by differentiable tensor operations.
pub(crate) fn dense(
    function: &impl RowFunction,
    inputs: &Inputs,
    pairs: &Pairs,
    similarity: Similarity,
    share: Share,
) -> Tensor<1> {
    let problem = Problem::new(inputs, pairs, similarity);
    let a = defined(similarity, &inputs.anchors, true);
    let c = defined(similarity, inputs.candidates.as_ref().unwrap_or(&inputs.anchors), false);
    let (value, sums) = problem.comparison.dense(function, &a, &c);
    let mut host = kernel::Sums::default();
    host.iter_mut().zip(sums.into_data().iter::<f64>()).for_each(|(t, s)| *t = s);
    value * share(a.dims()[0], &host)
}
