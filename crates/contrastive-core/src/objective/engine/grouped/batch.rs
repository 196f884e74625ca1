//! Small groups in batches of matrix products, for any backend: a block of groups at a time.

use super::*;
use crate::objective::MASKED;
use crate::objective::engine::spec::Spec;
use crate::temperature::Temperature;

/// What a group's pairs are, as numbers: `[b, n, m]`, or `[1, n, m]` where all groups have the same.
struct Masks {
    /// Target weights of the positives among the candidates.
    targets: Tensor<3>,
    /// 1 for what the denominators hold, else 0.
    denominators: Tensor<3>,
    /// `[b, n, 1]`: target weight of the anchor's own positive, which is not a candidate.
    own: Tensor<3>,
    /// `[b, n, 1]`: weights of the rows.
    rows: Tensor<3>,
}

impl Grouped {
    /// Are the choices those that the batch knows, and a group small enough for a block?
    pub(super) fn fits_a_batch(&self, n: usize, m: usize) -> bool {
        let o = &self.objective;
        n * m <= BLOCK_ELEMENTS / 4
            && o.direction == Direction::Forward
            && o.reduction != Reduction::MeanNonZero
            && o.placement == Placement::Outside
            && o.denominator != Denominator::OwnPositive
            && o.denominator_weights.is_none()
            && o.offset == 0.0
            && o.clamp.is_none()
    }

    /// All groups, a block of them at a time, with all gradients.
    pub(super) fn by_batches(
        &self,
        groups: usize,
        anchors: &Compared,
        candidates: Option<&Compared>,
        paired: Option<&Compared>,
        scale: Option<&Tensor<1>>,
        itself: bool,
        share: &impl Fn(usize) -> f64,
    ) -> Parts {
        let a = &anchors.rows;
        let [all, d] = a.dims();
        let n = all / groups;
        let c = candidates.map_or(a, |c| &c.rows);
        let m = c.dims()[0] / groups;
        let scale = match (self.objective.temperature, scale) {
            (Temperature::Fixed(t), None) => like(vec![1.0 / t], [1], a),
            (Temperature::Input, Some(scale)) => scale.clone(),
            (temperature, _) => panic!("a temperature {temperature:?}, and a scale among the inputs or not"),
        };
        let scale: Tensor<3> = scale.reshape([1, 1, 1]);
        let shared = self.pairs.is_none().then(|| self.masks(0..1, [n, m], itself, paired.is_some(), a));
        let mut parts = Parts::none();
        let block = (BLOCK_ELEMENTS / (n * m)).clamp(1, groups);
        for g0 in (0..groups).step_by(block) {
            let range = g0..groups.min(g0 + block);
            let b = range.len();
            let own_masks = shared.is_none().then(|| self.masks(range.clone(), [n, m], itself, paired.is_some(), a));
            let masks = shared.as_ref().or(own_masks.as_ref()).expect("one of the two");
            let rows_of = |x: &Tensor<2>, rows: usize| -> Tensor<3> {
                x.clone().slice([g0 * rows..(g0 + b) * rows, 0..d]).reshape([b, rows, d])
            };
            let (x, y) = (rows_of(a, n), rows_of(c, m));
            let p = paired.map(|p| rows_of(&p.rows, n));
            let shares = like(range.map(share).collect(), [b, 1, 1], a);
            let flat = |x: Tensor<3>, rows: usize| x.reshape([b * rows, d]);

            let dots = x.clone().matmul(y.clone().swap_dims(1, 2));
            let own_dots = p.clone().map(|p| (x.clone() * p).sum_dim(2));
            let group = Batch::new(masks, &dots, own_dots.as_ref(), &scale, self.objective.denominator);
            parts.rows.push(group.rows.clone().reshape([b * n]));
            parts.groups.push((group.rows * masks.rows.clone()).sum_dim(1).reshape([b]));

            let weights = masks.rows.clone() * shares;
            let slopes = group.slopes * weights.clone();
            let mut moment = (slopes.clone() * dots).sum();
            let slopes = slopes * scale.clone();
            let mut on_anchors = slopes.clone().matmul(y);
            let on_candidates = slopes.swap_dims(1, 2).matmul(x.clone());
            if let (Some(p), Some(own_dots), Some(own)) = (p, own_dots, group.own_slopes) {
                let own = own * weights;
                moment = moment + (own.clone() * own_dots).sum();
                let own = own * scale.clone();
                on_anchors = on_anchors + own.clone() * p;
                parts.paired.push(flat(own * x, n));
            }
            parts.scale.push(moment);
            if itself {
                on_anchors = on_anchors + on_candidates;
            } else {
                parts.candidates.push(flat(on_candidates, m));
            }
            parts.anchors.push(flat(on_anchors, n));
        }
        parts
    }

    fn masks(
        &self,
        groups: std::ops::Range<usize>,
        [n, m]: [usize; 2],
        itself: bool,
        paired: bool,
        at: &Tensor<2>,
    ) -> Masks {
        let b = groups.len();
        let (mut targets, mut denominators) = (Vec::with_capacity(b * n * m), Vec::with_capacity(b * n * m));
        let (mut own, mut rows) = (Vec::with_capacity(b * n), Vec::with_capacity(b * n));
        let negatives = self.objective.denominator == Denominator::NegativesOnly;
        for g in groups {
            let spec: Spec = self.of_group(g).spec([n, m], itself, false, Wanted::ALL, None);
            assert_eq!(paired, spec.paired, "positives beside the candidates: among the inputs, and in the pairs");
            let from = targets.len();
            targets.resize(from + n * m, 0.0);
            for i in 0..n {
                denominators.extend((0..m).map(|j| f64::from(u8::from(!spec.is_excluded(i, j)))));
                let count = spec.positives_of(i).count();
                for (at, j) in spec.positives_of(i) {
                    let place = from + i * m + j as usize;
                    targets[place] = spec.target(i, at, count);
                    if negatives {
                        denominators[place] = 0.0;
                    }
                }
                own.push(if paired { spec.own_target(i) } else { 0.0 });
            }
            rows.extend_from_slice(&spec.row_weights);
        }
        Masks {
            targets: like(targets, [b, n, m], at),
            denominators: like(denominators, [b, n, m], at),
            own: like(own, [b, n, 1], at),
            rows: like(rows, [b, n, 1], at),
        }
    }
}

/// Values of the rows, `[b, n, 1]`, and `d value / d logit`, `[b, n, m]` and `[b, n, 1]`.
struct Batch {
    rows: Tensor<3>,
    slopes: Tensor<3>,
    own_slopes: Option<Tensor<3>>,
}

impl Batch {
    fn new(
        masks: &Masks,
        dots: &Tensor<3>,
        own: Option<&Tensor<3>>,
        scale: &Tensor<3>,
        denominator: Denominator,
    ) -> Self {
        let logits = dots.clone() * scale.clone();
        let own = own.map(|own| own.clone() * scale.clone());
        let held = masks.denominators.clone();
        let masked = logits.clone() * held.clone() + (held.clone() - 1.0) * -MASKED;
        let mut top = masked.clone().max_dim(2);
        let in_denominator = own.clone().filter(|_| denominator == Denominator::WithPositives);
        if let Some(own) = &in_denominator {
            top = top.max_pair(own.clone());
        }
        let e = (masked - top.clone()).exp() * held;
        let own_e = in_denominator.map(|own| (own - top.clone()).exp());
        let sum = e.clone().sum_dim(2);
        let sum = own_e.clone().map_or(sum.clone(), |own| own + sum);
        // a row with nothing to compare has no value and no gradient
        let some = sum.clone().equal_elem(0.0).bool_not().float().cast(dots.dtype());
        let sum = sum + (some.clone() * -1.0 + 1.0);
        let mass = masks.targets.clone().sum_dim(2) + masks.own.clone();
        let mut rows = mass.clone() * (sum.clone().log() + top) - (masks.targets.clone() * logits).sum_dim(2);
        let factor = mass / sum;
        let slopes = (e * factor.clone() - masks.targets.clone()) * some.clone();
        let own_slopes = own.map(|own| {
            rows = rows.clone() - masks.own.clone() * own;
            let pushed = own_e.map_or_else(|| masks.own.zeros_like(), |own| own * factor);
            (pushed - masks.own.clone()) * some.clone()
        });
        Self { rows: rows * some, slopes, own_slopes }
    }
}
