//! Deep metric learning: losses of pairs and rows under labels, and the sigmoid loss of all pairs. None holds the
//! anchors x candidates matrix; every type has its definition beside it as `dense`.

use super::log_sums::numbers;
use super::rowwise::{Comparison, Evaluated, RowFunction};
use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::pairs::{PairLists, Pairs};
use crate::similarity::{Compared, Similarity, unit_rows};
use burn::tensor::{DType, Tensor};
use contrastive_kernels::rowwise as kernel;
use contrastive_kernels::softmax::Wanted;

/// Stands for minus infinity in a logit.
const NOTHING: f64 = -1e30;

/// `log(1 + e^x)`; Burn's own is linear from 20 on, 2e-9 beside the truth.
fn softplus(x: Tensor<2>) -> Tensor<2> {
    x.clone().clamp_min(0.0) + (x.abs() * -1.0).exp().log1p()
}

/// `[b]` sums of rows.
fn sum_rows(x: Tensor<2>) -> Tensor<1> {
    let b = x.dims()[0];
    x.sum_dim(1).reshape([b])
}

fn sums(parts: Vec<Tensor<1>>) -> Tensor<1> {
    let (device, dtype) = (parts[0].device(), parts[0].dtype());
    let rest = Tensor::<1>::zeros([4 - parts.len()], (&device, dtype));
    let empty = parts.len() == 4;
    let mut all: Vec<Tensor<1>> = parts.into_iter().map(Tensor::detach).collect();
    if !empty {
        all.push(rest);
    }
    Tensor::cat(all, 0)
}

fn no_sums(like: &Tensor<1>) -> Tensor<1> {
    Tensor::zeros([4], (&like.device(), like.dtype()))
}

/// Distances of unit rows where `mask` is 1, else of orthogonal ones.
fn distances(s: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
    // below this a squared distance is rounding
    let least = if s.dtype() == DType::F64 { 1e-14 } else { 1e-6 };
    ((s * mask) * -2.0 + 2.0).clamp_min(least).sqrt()
}

/// `log(offset + sum e^x)` over a row, of the logits where `mask` is 1; 0 or below -1e20 where there is none.
fn log_sum_exp(x: Tensor<2>, mask: Tensor<2>, offset: bool) -> Tensor<1> {
    let b = x.dims()[0];
    let x = x * mask.clone() + (mask * -1.0 + 1.0) * NOTHING;
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
fn any(mask: &Tensor<2>) -> Tensor<1> {
    let b = mask.dims()[0];
    mask.clone().max_dim(1).reshape([b])
}

fn ones_above_zero<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let (device, dtype) = (x.device(), x.dtype());
    let shape = x.shape();
    Tensor::<D>::zeros(shape, (&device, dtype)).mask_fill(x.greater_elem(0.0), 1.0)
}

impl RowFunction for kernel::Sigmoid {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let x = s.clone() * self.scale + self.bias;
        let rows = softplus(x.clone()) * negative.clone() + softplus(x.clone() * -1.0) * positive.clone();
        // a backend's own sigmoid may round to f32
        let share = (softplus(x * -1.0) * -1.0).exp();
        let slope = share.clone() * negative + (share - 1.0) * positive;
        (sum_rows(rows), sums(vec![(slope.clone() * s).sum(), slope.sum()]))
    }
}

impl RowFunction for kernel::Margins {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        // distances grow where similarities fall
        let (far, near) = match self.measure {
            kernel::Measure::Similarity => (s.clone() * -1.0 + self.positive, s - self.negative),
            kernel::Measure::Distance => {
                let d = distances(s, positive.clone() + negative.clone());
                (d.clone() - self.positive, d * -1.0 + self.negative)
            }
        };
        let (far, near) = (far.clamp_min(0.0) * positive, near.clamp_min(0.0) * negative);
        let sums = sums(vec![
            far.clone().sum(),
            ones_above_zero(far.clone()).sum(),
            near.clone().sum(),
            ones_above_zero(near.clone()).sum(),
        ]);
        (sum_rows(far * self.weights[0] + near * self.weights[1]), sums)
    }
}

impl RowFunction for kernel::MultiSimilarity {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (mut positive, mut negative) = (positive, negative);
        if let Some(epsilon) = self.epsilon {
            let aside = |mask: &Tensor<2>| (mask.clone() * -1.0 + 1.0) * -NOTHING;
            let plain = s.clone().detach();
            let easiest = (plain.clone() + aside(&positive)).min_dim(1);
            let hardest = (plain.clone() - aside(&negative)).max_dim(1);
            negative = negative * ones_above_zero(plain.clone() - easiest + epsilon);
            positive = positive * ones_above_zero(hardest - plain + epsilon);
        }
        let from = s - self.base;
        let near = log_sum_exp(from.clone() * -self.alpha, positive, true) * (1.0 / self.alpha);
        let rows = near + log_sum_exp(from * self.beta, negative, true) * (1.0 / self.beta);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

impl RowFunction for kernel::Circle {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (m, gamma) = (self.margin, self.gamma);
        let both = any(&positive) * any(&negative);
        let plain = s.clone().detach();
        let near = (plain.clone() * -1.0 + (1.0 + m)).clamp_min(0.0) * (s.clone() - (1.0 - m)) * -gamma;
        let far = (plain + m).clamp_min(0.0) * (s - m) * gamma;
        let all = log_sum_exp(far, negative, false) + log_sum_exp(near, positive, false);
        let b = both.dims()[0];
        let rows = softplus((all * both.clone()).reshape([b, 1])).reshape([b]) * both;
        let sums = sums(vec![ones_above_zero(rows.clone()).sum()]);
        (rows, sums)
    }
}

impl RowFunction for kernel::LiftedStructure {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [some, others] = [any(&positive), any(&negative)];
        let d = distances(s, positive.clone() + negative.clone());
        let near = log_sum_exp(d.clone(), positive, false) * some;
        let rows = (near + log_sum_exp(d * -1.0 + self.margin, negative, false) * others).clamp_min(0.0);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

impl RowFunction for kernel::MarginSoftmax {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let own = (s.clone() * positive.clone()).sum_dim(1);
        let own = match self.margin {
            kernel::TargetMargin::Cosine(m) => own - m,
            kernel::TargetMargin::Angle(m) => {
                let own = own.clamp(-1.0 + 1e-7, 1.0 - 1e-7);
                let sine = (own.clone() * own.clone() * -1.0 + 1.0).sqrt();
                let turned = own.clone() * m.cos() - sine * m.sin();
                let beyond = own.clone().detach().lower_elem(-m.cos());
                turned.mask_where(beyond, own - m * m.sin())
            }
        } * self.scale;
        let [b, m] = s.dims();
        let others = s * self.scale * negative.clone() + (negative * -1.0 + 1.0) * NOTHING;
        let all = Tensor::cat(vec![own.clone(), others], 1);
        let mask = Tensor::ones([b, m + 1], (&all.device(), all.dtype()));
        let rows = (log_sum_exp(all, mask, false) - own.reshape([b])) * any(&positive);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

/// How a sum over rows becomes a loss: what the value and the gradients are multiplied with.
type Share = fn(rows: usize, sums: &kernel::Sums) -> f64;

fn mean_of_rows(rows: usize, _: &kernel::Sums) -> f64 {
    1.0 / rows as f64
}

/// The mean over what is above 0, which the first sum counts; 0 if nothing is.
fn mean_above_zero(_: usize, sums: &kernel::Sums) -> f64 {
    if sums[0] > 0.0 { 1.0 / sums[0] } else { 0.0 }
}

fn labelled(rows: &Tensor<2>, labels: &[i64]) -> Comparison {
    let n = rows.dims()[0];
    assert_eq!(labels.len(), n, "labels and rows");
    let positives = Pairs::labels(labels).resolve(n, n).expect("labels are lists");
    Comparison { positives, excluded: None, own: Some(0) }
}

/// The loss of unit rows under labels, attached to the raw rows.
fn within(function: &impl RowFunction, rows: &Tensor<2>, labels: &[i64], share: Share, portable: bool) -> Tensor<1> {
    let compared = Compared::new(Similarity::Cosine, rows.clone().inner());
    let x = compared.rows.clone();
    let wanted = if rows.is_tracked() { Wanted::ALL } else { Wanted::VALUE };
    let comparison = labelled(rows, labels);
    let Evaluated { value, sums, anchors, candidates, .. } = comparison.evaluate(function, &x, &x, wanted, portable);
    let share = share(labels.len(), &sums);
    let value = numbers(&[value * share], &rows.clone().inner());
    if !rows.is_tracked() {
        return value;
    }
    attach(value, rows, compared.backward((anchors + candidates).cast(rows.dtype()) * share))
}

/// The definition of the same, with the whole matrix.
fn dense_within(function: &impl RowFunction, rows: &Tensor<2>, labels: &[i64], share: Share) -> Tensor<1> {
    let x = unit_rows(rows.clone());
    let (value, sums) = labelled(rows, labels).dense(function, &x, &x);
    let mut numbers = kernel::Sums::default();
    numbers.iter_mut().zip(sums.into_data().iter::<f64>()).for_each(|(t, s)| *t = s);
    value * share(labels.len(), &numbers)
}

macro_rules! row_loss {
    ($(#[$doc:meta])* $name:ident, $share:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            function: kernel::$name,
            portable: bool,
        }

        impl $name {
            /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
            ///
            /// # Panics
            /// When rows and labels differ in number.
            pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
                within(&self.function, &rows, labels, $share, self.portable)
            }

            /// Uses the body of tensor operations also where a native kernel exists.
            pub fn portable(mut self, portable: bool) -> Self {
                self.portable = portable;
                self
            }
        }
    };
}

macro_rules! dense_row_loss {
    ($name:ident, $share:ident) => {
        impl $name {
            /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
            ///
            /// # Panics
            /// As `loss`.
            pub fn dense(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
                dense_within(&self.function, &rows, labels, $share)
            }
        }
    };
}

row_loss!(
    /// Multi-similarity loss (Wang et al. 2019, equation 15): `log(1 + sum_p e^{-alpha (s_p - base)}) / alpha +
    /// log(1 + sum_n e^{beta (s_n - base)}) / beta`, the mean over rows.
    MultiSimilarity,
    mean_of_rows
);
dense_row_loss!(MultiSimilarity, mean_of_rows);

impl MultiSimilarity {
    /// The paper's values are 2, 50 and 0.5 (its base is 1 on its own data).
    ///
    /// # Errors
    /// When alpha or beta is no finite number above 0, or the base not finite.
    pub fn new(alpha: f64, beta: f64, base: f64) -> Result<Self, ObjectiveError> {
        positive("alpha", alpha)?;
        positive("beta", beta)?;
        not_negative("base", base.abs())?;
        Ok(Self { function: kernel::MultiSimilarity { alpha, beta, base, epsilon: None }, portable: false })
    }

    /// Only the pairs the paper's miner keeps (equations 11 and 12): negatives within `epsilon` of the hardest positive,
    /// positives within `epsilon` of the hardest negative (0.1).
    ///
    /// # Errors
    /// When epsilon is negative or not finite.
    pub fn mined(mut self, epsilon: f64) -> Result<Self, ObjectiveError> {
        self.function.epsilon = Some(not_negative("epsilon", epsilon)?);
        Ok(self)
    }
}

row_loss!(
    /// Circle loss (Sun et al. 2020, equation 6), the mean over rows whose value is above 0.
    Circle,
    mean_above_zero
);
dense_row_loss!(Circle, mean_above_zero);

impl Circle {
    /// The paper's values are a margin of 0.25 and gamma 256 for faces; PyTorch Metric Learning's are 0.4 and 80.
    ///
    /// # Errors
    /// When the margin is negative, gamma not above 0, or either not finite.
    pub fn new(margin: f64, gamma: f64) -> Result<Self, ObjectiveError> {
        not_negative("margin", margin)?;
        positive("gamma", gamma)?;
        Ok(Self { function: kernel::Circle { margin, gamma }, portable: false })
    }
}

row_loss!(
    /// Generalised lifted structure loss (Hermans et al. 2017, equation 9) on distances of unit rows, the mean over rows;
    /// for a row without positives (or negatives) that part is 0.
    LiftedStructure,
    mean_of_rows
);
dense_row_loss!(LiftedStructure, mean_of_rows);

impl LiftedStructure {
    /// Negatives farther than the margin weigh little (1).
    ///
    /// # Errors
    /// When the margin is negative or not finite.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        let margin = not_negative("margin", margin)?;
        Ok(Self { function: kernel::LiftedStructure { margin }, portable: false })
    }
}

/// Sigmoid loss of all pairs (SigLIP, Zhai et al. 2023, equation 1): image i belongs to text i and to no other; the sum over
/// all pairs divided by their number of images.
#[derive(Clone, Debug, Default)]
pub struct SigLip {
    pub(super) portable: bool,
}

impl SigLip {
    /// Cosines; scale and bias are inputs of the loss (the paper starts them at 10 and -10).
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses the body of tensor operations also where a native kernel exists.
    pub fn portable(mut self, portable: bool) -> Self {
        self.portable = portable;
        self
    }

    fn parts(
        images: &Tensor<2>,
        texts: &Tensor<2>,
        scale: &Tensor<1>,
        bias: &Tensor<1>,
    ) -> (Comparison, kernel::Sigmoid) {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        assert_eq!([scale.dims(), bias.dims()], [[1], [1]], "the shapes of scale and bias");
        let number = |x: &Tensor<1>| x.to_data().iter::<f64>().next().expect("a number");
        let positives = PairLists::one_each((0..images.dims()[0] as u32).collect());
        (
            Comparison { positives, excluded: None, own: None },
            kernel::Sigmoid { scale: number(scale), bias: number(bias) },
        )
    }

    /// Images `[n, d]` and their texts `[n, d]`, the scale `[1]` (not its logarithm) and the bias `[1]`. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>) -> Tensor<1> {
        let (comparison, function) = Self::parts(&images, &texts, &scale, &bias);
        let [a, c] = [&images, &texts].map(|x| Compared::new(Similarity::Cosine, x.clone().inner()));
        let tracked = images.is_tracked() || texts.is_tracked();
        let wanted = if tracked { Wanted::ALL } else { Wanted::VALUE };
        let out = comparison.evaluate(&function, &a.rows, &c.rows, wanted, self.portable);
        let share = 1.0 / images.dims()[0] as f64;
        let plain = &a.rows;
        let mut value = numbers(&[out.value * share], plain);
        if tracked {
            let back = |x: &Compared, g: Tensor<2>| x.backward(g.cast(images.dtype()) * share);
            value = attach(value, &images, back(&a, out.anchors));
            value = attach(value, &texts, back(&c, out.candidates));
        }
        for (input, sum) in [(&scale, out.sums[0]), (&bias, out.sums[1])] {
            value = attach(value, input, numbers(&[sum * share], plain));
        }
        value
    }

    /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>) -> Tensor<1> {
        let n = images.dims()[0];
        let logits =
            unit_rows(images).matmul(unit_rows(texts).transpose()) * scale.reshape([1, 1]) + bias.reshape([1, 1]);
        let sign = Tensor::<2>::eye(n, &logits.device()).cast(logits.dtype());
        let sign = sign * -2.0 + 1.0;
        softplus(logits * sign).sum() * (1.0 / n as f64)
    }
}
