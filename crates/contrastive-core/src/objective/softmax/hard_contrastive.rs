//! Contrastive losses over an interval of hard negatives.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::numbers;
use crate::objective::Inputs;
use crate::objective::MASKED;
use crate::objective::engine::rowwise::{Comparison, RowFunction};
use crate::objective::engine::views::stacked;
use crate::pairs::{Exclusions, PairLists, Pairs};
use crate::similarity::{Compared, Similarity, unit_rows};
use crate::temperature::Temperature;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_kernels::rowwise::{RowLoss, RowPairs, Sums};
use contrastive_kernels::softmax::Wanted;
use contrastive_kernels::vector::{self, Element, masked};
use std::cmp::Ordering;

/// The hard contrastive loss (Wang and Liu 2021, equation 10) and the simple one (their equation 6), of cosines: anchor i keeps, of
/// its negatives, those from its upper quantile on: the `k = floor(fraction * count)` largest, at least one, and every tie with the
/// smallest of them.
///
/// ```text
/// hard:    -log( e^{s_ip / tau} / (e^{s_ip / tau} + sum_kept e^{s_ik / tau}) )      fraction 1: InfoNCE
/// simple:  -s_ip + repulsion mean_kept s_ik                                         the limit of a large temperature
/// ```
///
/// Averaged over an anchor's positives, and over anchors; an anchor without positives or without negatives counts as 0. The selection
/// has no gradient. Small temperatures and small fractions both mine hard negatives; at a large temperature the interval keeps
/// features uniform *and* tolerant of rows that belong together. In batches start with the ordinary loss and keep at least a quarter:
/// mining a few hardest from scratch collapses.
///
/// The threshold of a row is found where the row is made; no n x m matrix.
#[derive(Clone, Debug)]
pub struct HardContrastive {
    function: Interval,
}

/// What is kept, and what it costs.
#[derive(Clone, Copy, Debug)]
struct Interval {
    fraction: f64,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Softmax { scale: f64 },
    Simple { repulsion: f64 },
}

impl HardContrastive {
    /// The hard contrastive loss at this temperature, over this fraction of the negatives (published: so that some 4,000 stay).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN, or the fraction not in `(0, 1]`.
    pub fn new(temperature: f64, fraction: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        Self::of(fraction, Form::Softmax { scale: 1.0 / temperature })
    }

    /// The simple loss; with the repulsion 1, attraction and repulsion balance. The mean over kept negatives makes it independent of
    /// their number.
    ///
    /// # Errors
    /// When the repulsion is negative or not finite, or the fraction not in `(0, 1]`.
    pub fn simple(repulsion: f64, fraction: f64) -> Result<Self, ObjectiveError> {
        Self::of(fraction, Form::Simple { repulsion: not_negative("repulsion", repulsion)? })
    }

    fn of(fraction: f64, form: Form) -> Result<Self, ObjectiveError> {
        if !(fraction > 0.0 && fraction <= 1.0) {
            let name = "fraction of the negatives";
            return Err(ObjectiveError::Outside { name, value: fraction, allowed: "(0, 1]" });
        }
        Ok(Self { function: Interval { fraction, form } })
    }

    /// Anchors `[n, d]` and candidates `[m, d]`, candidate i the positive of anchor i. The value is `[1]`.
    ///
    /// # Panics
    /// As [`loss_of`](Self::loss_of).
    pub fn loss(&self, anchors: Tensor<2>, candidates: Tensor<2>) -> Tensor<1> {
        self.loss_of(&Inputs::new(anchors, candidates), &Pairs::Diagonal, &Exclusions::none())
    }

    /// Two views `[n, d]` of the same n samples: each of the 2n rows among all others. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn loss_of_views(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        self.loss_of(&Inputs::self_contrast(stacked(first, second)), &Pairs::TwoViews, &Exclusions::none())
    }

    /// Any pairs and exclusions. The value is `[1]`.
    ///
    /// # Panics
    /// When shapes, pairs and exclusions do not fit each other, or the inputs have own positives, a scale or a bias.
    pub fn loss_of(&self, inputs: &Inputs, pairs: &Pairs, exclusions: &Exclusions) -> Tensor<1> {
        let comparison = comparison(inputs, pairs, exclusions);
        let plain = inputs.plain();
        let a = Compared::new(Similarity::Cosine, plain.anchors);
        let c = plain.candidates.map(|c| Compared::new(Similarity::Cosine, c));
        let tracked = inputs.anchors.is_tracked() || inputs.candidates.as_ref().is_some_and(Tensor::is_tracked);
        let wanted = if tracked { Wanted::ALL } else { Wanted::VALUE };
        let among = c.as_ref().unwrap_or(&a);
        let out = comparison.evaluate(&self.function, &a.rows, &among.rows, wanted);
        let share = 1.0 / a.rows.dims()[0] as f64;
        let value = numbers(&[out.value * share], &a.rows);
        let back = |x: &Compared, g: Tensor<2>| tracked.then(|| x.backward(g * share));
        match (&inputs.candidates, &c) {
            (Some(candidates), Some(c)) => attach_gradients(
                value,
                [(&inputs.anchors, back(&a, out.anchors)), (candidates, back(c, out.candidates))],
            ),
            _ => {
                let gradient = tracked.then(|| out.anchors + out.candidates);
                let gradient = gradient.and_then(|g| back(&a, g));
                attach_gradients(value, [(&inputs.anchors, gradient), (&inputs.anchors, None)])
            }
        }
    }

    /// The same by plain, differentiable tensor operations: materialises several n x m matrices.
    ///
    /// # Panics
    /// As [`loss_of`](Self::loss_of).
    pub fn dense(&self, inputs: &Inputs, pairs: &Pairs, exclusions: &Exclusions) -> Tensor<1> {
        let comparison = comparison(inputs, pairs, exclusions);
        let a = unit_rows(inputs.anchors.clone());
        let c = inputs.candidates.clone().map_or_else(|| a.clone(), unit_rows);
        let n = a.dims()[0];
        comparison.dense(&self.function, &a, &c).0 * (1.0 / n as f64)
    }
}

/// Who is compared with whom.
fn comparison(inputs: &Inputs, pairs: &Pairs, exclusions: &Exclusions) -> Comparison {
    let (n, m, itself) = inputs.check(pairs, &Temperature::Fixed(1.0));
    assert!(inputs.has_rows_alone(), "hard negatives of inputs with a scale, a bias or terms of pairs");
    let positives =
        pairs.resolve(n, m).unwrap_or_else(|| panic!("hard negatives of {n} anchors with positives beside"));
    let excluded: Option<PairLists> = exclusions.resolve(n, m, Some(&positives));
    Comparison { positives, excluded, own: exclusions.offset.or(itself.then_some(0)) }
}

impl Interval {
    /// How many of `count` negatives are kept, but for ties.
    fn kept(&self, count: usize) -> usize {
        ((self.fraction * count as f64).floor() as usize).clamp(1, count.max(1))
    }
}

impl<T: Element> RowLoss<T> for Interval {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        for j in pairs.positives() {
            kept.push(row[j]);
            row[j] = masked();
        }
        for j in pairs.excluded.iter().map(|&j| j as usize).chain(pairs.own) {
            row[j] = masked();
        }
        let positives = kept.len();
        let nothing = masked::<T>() * T::of(0.5);
        // NaN stays, so that it reaches the value
        kept.extend(row.iter().copied().filter(|s| *s > nothing || s.is_nan()));
        let count = kept.len() - positives;
        if positives == 0 || count == 0 {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        let k = self.kept(count);
        if k < count {
            let descending = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(Ordering::Equal);
            let threshold = *kept[positives..].select_nth_unstable_by(k - 1, descending).1;
            row.iter_mut().filter(|s| **s < threshold).for_each(|s| *s = masked());
        }
        let own = kept[..positives].iter().map(|s| s.f64());
        let share = 1.0 / positives as f64;
        let mut value = 0.0;
        match self.form {
            Form::Softmax { scale } => {
                let top = vector::top_logit(vector::max(row), scale);
                let (sum, _) = vector::exp_in_place(row, T::of(scale), T::of(-top));
                let all = top + sum.f64().ln();
                let mut pulled = 0.0;
                let mut pulls = Vec::with_capacity(positives);
                for s in own {
                    // log(e^x + e^all) - x
                    let gap = all - s * scale;
                    value += share * (gap.max(0.0) + (-gap.abs()).exp().ln_1p());
                    let pull = if gap >= 0.0 { 1.0 / (1.0 + (-gap).exp()) } else { gap.exp() / (1.0 + gap.exp()) };
                    pulls.push(-scale * share * pull);
                    pulled += share * pull;
                }
                vector::scale(row, T::of(scale * pulled / sum.f64()));
                pairs.positives().zip(pulls).for_each(|(j, pull)| row[j] = T::of(pull));
            }
            Form::Simple { repulsion } => {
                let (mut sum, mut left) = (0.0, 0usize);
                for s in row.iter().filter(|s| **s > nothing || s.is_nan()) {
                    (sum, left) = (sum + s.f64(), left + 1);
                }
                let push = repulsion / left as f64;
                value = push * sum - share * own.sum::<f64>();
                row.iter_mut().for_each(|s| *s = if *s <= nothing { T::zero() } else { T::of(push) });
                pairs.positives().for_each(|j| row[j] = T::of(-share));
            }
        }
        (value, Sums::default())
    }
}

impl RowFunction for Interval {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (device, dtype, [b, m]) = (s.device(), s.dtype(), s.dims());
        let counts: Vec<f64> = negative.clone().sum_dim(1).into_data().iter::<f64>().collect();
        let places: Vec<i64> = counts.iter().map(|c| self.kept(*c as usize) as i64 - 1).collect();
        let places = Tensor::<2, Int>::from_data(TensorData::new(places, [b, 1]), &device);
        let hidden = (negative.clone() * -1.0 + 1.0) * MASKED;
        let plain = s.clone().detach() * negative.clone() + hidden.clone();
        let threshold = plain.clone().sort_descending(1).gather(1, places);
        let kept =
            negative.clone().zeros_like().mask_fill(plain.greater_equal(threshold.repeat_dim(1, m)), 1.0) * negative;
        let positives = positive.clone().sum_dim(1);
        let defined = positives.clone().clamp_max(1.0) * kept.clone().sum_dim(1).clamp_max(1.0);
        let share = positive * positives.clamp_min(1.0).recip() * defined.clone();
        let rows = match self.form {
            Form::Softmax { scale } => {
                let x = s * scale;
                let logits = x.clone() * kept.clone() + (kept * -1.0 + 1.0) * MASKED;
                let top = logits.clone().detach().max_dim(1);
                let all = (logits - top.clone()).exp().sum_dim(1).log() + top * defined;
                let gap = all - x;
                (gap.clone().clamp_min(0.0) + (gap.abs() * -1.0).exp().log1p()) * share
            }
            Form::Simple { repulsion } => {
                let count = kept.clone().sum_dim(1).clamp_min(1.0);
                s.clone() * kept * count.recip() * defined * repulsion - s * share
            }
        };
        let none = Tensor::<1>::zeros([4], (&device, dtype));
        (rows.sum_dim(1).reshape([b]), none)
    }
}
