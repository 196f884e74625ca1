//! A block of anchors against all candidates: what is listed, the sums of its rows, and their slopes.

use super::{Body, larger, largest, sigmoid, softplus, sum_rows};
use crate::objective::MASKED;
use crate::objective::engine::spec::Spec;
use burn::backend::{
    Backend,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{DType, IndexingUpdateOp};
use contrastive_kernels::softmax::{Denominator, Placement};

/// Below every true row maximum, above every masked logit: rows without candidates sum to zero.
const FLOOR: f64 = -1e20;

/// Positions and weights of a block's positives.
pub(super) struct Listed<B: Backend> {
    pub at: IntTensor<B>,
    row: IntTensor<B>,
    weight: FloatTensor<B>,
}

impl<B: Backend> Listed<B> {
    /// `[k, 1]`: the number `[r, 1]` of each positive's row.
    fn pick(&self, rows: &FloatTensor<B>) -> FloatTensor<B> {
        B::float_select(rows.clone(), 0, self.row.clone())
    }

    /// `[r, 1]`: the sums of numbers `[k, 1]` of positives over their rows.
    fn sums(&self, body: &Body<B>, r: usize, x: FloatTensor<B>) -> FloatTensor<B> {
        B::float_select_assign(body.zeros([r, 1]), 0, self.row.clone(), x, IndexingUpdateOp::Add)
    }
}

/// What is listed of the anchors `i0..i0 + r`, as positions in the flattened block `[r, m]`.
pub(super) struct Lists<B: Backend> {
    pub positives: Option<Listed<B>>,
    /// Pairs that are in no denominator.
    pub masked: Option<IntTensor<B>>,
    /// r: 1 for anchors that have a positive.
    has: Vec<f64>,
    /// r: target weights of the anchors' own positives, which are not candidates.
    own_weight: Vec<f64>,
    /// r: sums of target weights.
    total: Vec<f64>,
}

impl<B: Backend> Lists<B> {
    pub fn new(body: &Body<B>, spec: &Spec, i0: usize, r: usize, m: usize) -> Self {
        let (mut at, mut of_row, mut weight, mut masked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut has = vec![f64::from(spec.paired); r];
        let own_weight: Vec<f64> = (i0..i0 + r).map(|i| if spec.paired { spec.own_target(i) } else { 0.0 }).collect();
        let mut total = own_weight.clone();
        let inside = spec.placement == Placement::Inside;
        for k in 0..r {
            let i = i0 + k;
            let count = spec.positives_of(i).count();
            for (entry, j) in spec.positives_of(i) {
                let t = spec.target(i, entry, count);
                at.push((k * m + j as usize) as i32);
                of_row.push(k as i32);
                weight.push(t);
                has[k] = 1.0;
                total[k] += t;
            }
            if inside && !spec.paired && total[k] == 0.0 {
                has[k] = 0.0;
            }
            let own = spec.self_offset.map(|o| i + o).filter(|j| *j < m);
            if let Some(excluded) = &spec.excluded {
                masked.extend(
                    excluded.of(i).iter().filter(|j| own != Some(**j as usize)).map(|&j| (k * m + j as usize) as i32),
                );
            }
            masked.extend(own.map(|j| (k * m + j) as i32));
        }
        if spec.denominator != Denominator::WithPositives {
            masked.extend(&at);
        }
        let positives =
            (!at.is_empty()).then(|| Listed { at: body.ints(at), row: body.ints(of_row), weight: body.column(weight) });
        Self { positives, masked: (!masked.is_empty()).then(|| body.ints(masked)), has, own_weight, total }
    }
}

/// The own positive of each anchor of a block, which is not a candidate.
pub(super) struct Own<B: Backend> {
    /// `[r, 1]`.
    pub logit: FloatTensor<B>,
    /// `[r, 1]`.
    pub dot: FloatTensor<B>,
    /// `[r, d]`.
    pub rows: FloatTensor<B>,
}

impl<B: Backend> Own<B> {
    /// Of anchors `[r, d]`, the rows beside them, and the scale `[r, 1]` or `[1, 1]`.
    pub fn new(anchors: &FloatTensor<B>, rows: FloatTensor<B>, scale: &FloatTensor<B>) -> Self {
        let dot = sum_rows::<B>(B::float_mul(anchors.clone(), rows.clone()));
        Self { logit: B::float_mul(dot.clone(), scale.clone()), dot, rows }
    }
}

/// The sums of a block's rows; all `[r, 1]` but the exponentials.
pub(super) struct RowSums<B: Backend> {
    /// `[r, m]`: `e^{logit - top}`.
    pub exponentials: FloatTensor<B>,
    /// The logarithm of the denominator.
    log: FloatTensor<B>,
    /// The denominator relative to `e^top`; 1 where it holds nothing.
    safe: FloatTensor<B>,
    /// 1 where the denominator holds nothing.
    empty: FloatTensor<B>,
    /// The part of the anchor's own positive, which is not a candidate.
    own_share: Option<FloatTensor<B>>,
    /// 1 for rows that count.
    active: FloatTensor<B>,
    /// Row weights of rows that count.
    weights: FloatTensor<B>,
    /// Weights of the denominators.
    total: FloatTensor<B>,
}

/// What a block's rows are worth, and `d value / d logit`.
pub(super) struct Slopes<B: Backend> {
    /// `[r, 1]`.
    pub values: FloatTensor<B>,
    /// `[r, 1]`: what the exponentials are multiplied with.
    pub factor: FloatTensor<B>,
    /// `[k, 1]`: added at the listed positives.
    pub positives: Option<FloatTensor<B>>,
    /// `[r, 1]`: of the anchor's own positive, which is not a candidate.
    pub own: Option<FloatTensor<B>>,
}

impl<B: Backend> RowSums<B> {
    /// Of logits `[r, m]`, those of no denominator masked.
    pub fn new(
        body: &Body<B>,
        spec: &Spec,
        lists: &Lists<B>,
        logits: FloatTensor<B>,
        own: Option<&Own<B>>,
        i0: usize,
    ) -> Self {
        let r = lists.has.len();
        let own_in_denominator = own.filter(|_| spec.denominator != Denominator::NegativesOnly);
        let mut top = B::float_clamp_min(B::float_max_dim(logits.clone(), 1), FLOOR.into());
        if let Some(own) = own_in_denominator {
            top = larger::<B>(top, own.logit.clone());
        }
        if spec.offset > 0.0 {
            top = B::float_clamp_min(top, spec.offset.ln().into());
        }
        let exponentials = B::float_exp(B::float_sub(logits, top.clone()));
        let mut sum = sum_rows::<B>(exponentials.clone());
        if spec.offset > 0.0 {
            sum = B::float_add(
                sum,
                B::float_exp(B::float_neg(B::float_sub_scalar(top.clone(), spec.offset.ln().into()))),
            );
        }
        let own_share = own_in_denominator.map(|own| B::float_exp(B::float_sub(own.logit.clone(), top.clone())));
        if let Some(share) = &own_share {
            sum = B::float_add(sum, share.clone());
        }
        // 1 where the denominator holds something
        let some = B::float_clamp(
            B::float_mul_scalar(sum.clone(), 1e300_f64.min(largest(body.dtype)).into()),
            0.0.into(),
            1.0.into(),
        );
        let empty = B::float_add_scalar(B::float_neg(some.clone()), 1.0.into());
        let safe = B::float_add(sum, empty.clone());
        let log = B::float_add(top, B::float_log(safe.clone()));
        let weights = body.column(spec.row_weights[i0..i0 + r].to_vec());
        let has = body.column(lists.has.clone());
        let active = if each_positive_alone(spec) { has } else { B::float_mul(has, some) };
        let weights = B::float_mul(weights, active.clone());
        let total = match (&spec.denominator_weights, spec.placement == Placement::Inside) {
            (_, true) => vec![1.0; r],
            (Some(a), _) => a[i0..i0 + r].to_vec(),
            _ => lists.total.clone(),
        };
        Self { exponentials, log, safe, empty, own_share, active, weights, total: body.column(total) }
    }

    /// `positives`: the logits of the listed positives `[k, 1]`, before masking.
    pub fn slopes(
        &self,
        body: &Body<B>,
        spec: &Spec,
        lists: &Lists<B>,
        positives: Option<&FloatTensor<B>>,
        own: Option<&Own<B>>,
        m: usize,
    ) -> Slopes<B> {
        let listed = lists.positives.as_ref().zip(positives);
        let mut slopes = match (each_positive_alone(spec), spec.placement) {
            (true, _) => self.own_denominators(body, spec, lists.has.len(), listed),
            (false, Placement::Inside) => self.inside(body, lists.has.len(), m, listed),
            (false, Placement::Outside) => self.outside(body, spec, lists.has.len(), listed),
        };
        if let Some(own) = own {
            let (s, own_weight) = (&own.logit, body.column(lists.own_weight.clone()));
            let pulled = B::float_mul(clamp::<B>(spec, s.clone()), own_weight.clone());
            slopes.values = B::float_sub(slopes.values, B::float_mul(pulled, self.active.clone()));
            let mut g = B::float_neg(B::float_mul(self.weights.clone(), own_weight));
            if let Some(free) = free::<B>(spec, body.dtype, s.clone()) {
                g = B::float_mul(g, free);
            }
            if let Some(share) = &self.own_share {
                g = B::float_add(g, B::float_mul(slopes.factor.clone(), share.clone()));
            }
            slopes.own = Some(g);
        }
        slopes
    }

    /// A denominator for each listed positive.
    fn own_denominators(
        &self,
        body: &Body<B>,
        spec: &Spec,
        r: usize,
        listed: Option<(&Listed<B>, &FloatTensor<B>)>,
    ) -> Slopes<B> {
        let (mut values, mut factor, mut positives) = (body.zeros([r, 1]), body.zeros([r, 1]), None);
        if let Some((p, s)) = listed {
            // log(e^s + e^log) - s = softplus(log - s); nothing when there are no negatives
            let gap = B::float_sub(p.pick(&self.log), s.clone());
            let some = B::float_add_scalar(B::float_neg(p.pick(&self.empty)), 1.0.into());
            let share = B::float_mul(sigmoid::<B>(gap.clone()), some.clone());
            let w = B::float_mul(p.weight.clone(), p.pick(&self.weights));
            let term = B::float_mul(softplus::<B>(gap), some);
            let term = B::float_add(term, B::float_sub(s.clone(), clamp::<B>(spec, s.clone())));
            values = p.sums(body, r, B::float_mul(p.weight.clone(), term));
            let pushed = B::float_mul(w.clone(), share);
            factor = p.sums(body, r, pushed.clone());
            let mut g = B::float_neg(pushed);
            if let Some(free) = free::<B>(spec, body.dtype, s.clone()) {
                // d clamp(s) is missing where it is clamped, d log D stays
                g = B::float_add(g, B::float_mul(w, B::float_add_scalar(B::float_neg(free), 1.0.into())));
            }
            positives = Some(g);
        }
        Slopes { values, factor: B::float_div(factor, self.safe.clone()), positives, own: None }
    }

    /// `weight log D`, and its factor.
    fn denominators(&self) -> (FloatTensor<B>, FloatTensor<B>) {
        let values = B::float_mul(B::float_mul(self.total.clone(), self.log.clone()), self.active.clone());
        (values, B::float_div(B::float_mul(self.weights.clone(), self.total.clone()), self.safe.clone()))
    }

    /// The sum over positives outside the logarithm.
    fn outside(
        &self,
        body: &Body<B>,
        spec: &Spec,
        r: usize,
        listed: Option<(&Listed<B>, &FloatTensor<B>)>,
    ) -> Slopes<B> {
        let ((mut values, factor), mut positives) = (self.denominators(), None);
        if let Some((p, s)) = listed {
            let pulled = B::float_mul(p.weight.clone(), clamp::<B>(spec, s.clone()));
            values = B::float_sub(values, B::float_mul(p.sums(body, r, pulled), self.active.clone()));
            let mut g = B::float_mul(p.weight.clone(), p.pick(&self.weights));
            if let Some(free) = free::<B>(spec, body.dtype, s.clone()) {
                g = B::float_mul(g, free);
            }
            positives = Some(B::float_neg(g));
        }
        Slopes { values, factor, positives, own: None }
    }

    /// The sum over positives inside the logarithm.
    fn inside(&self, body: &Body<B>, r: usize, m: usize, listed: Option<(&Listed<B>, &FloatTensor<B>)>) -> Slopes<B> {
        let ((mut values, factor), mut positives) = (self.denominators(), None);
        if let Some((p, s)) = listed {
            // the largest positive of each row: its logits alone in an otherwise empty block
            let alone = B::float_add_scalar(body.zeros([r, m]), MASKED.into());
            let lift = B::float_add_scalar(B::float_mul_scalar(s.clone(), 0.0.into()), (-MASKED).into());
            let alone = body.add_at(body.add_at(alone, &p.at, lift), &p.at, s.clone());
            let top = B::float_clamp_min(B::float_max_dim(alone, 1), FLOOR.into());
            let share = B::float_mul(p.weight.clone(), B::float_exp(B::float_sub(s.clone(), p.pick(&top))));
            let sum = p.sums(body, r, share.clone());
            let none = B::float_add_scalar(B::float_neg(self.active.clone()), 1.0.into());
            let safe = B::float_add(sum, none);
            let inner = B::float_mul(B::float_add(top, B::float_log(safe.clone())), self.active.clone());
            values = B::float_sub(values, inner);
            let g = B::float_div(B::float_mul(share, p.pick(&self.weights)), p.pick(&safe));
            positives = Some(B::float_neg(g));
        }
        Slopes { values, factor, positives, own: None }
    }
}

/// Has each listed positive a denominator of its own?
fn each_positive_alone(spec: &Spec) -> bool {
    spec.denominator == Denominator::OwnPositive && !spec.paired
}

fn clamp<B: Backend>(spec: &Spec, s: FloatTensor<B>) -> FloatTensor<B> {
    match spec.clamp {
        Some(c) => B::float_clamp(s, (-c).into(), c.into()),
        None => s,
    }
}

/// 1 where the clamp lets the gradient through.
fn free<B: Backend>(spec: &Spec, dtype: DType, s: FloatTensor<B>) -> Option<FloatTensor<B>> {
    let c = spec.clamp?;
    let over = B::float_clamp_min(B::float_sub_scalar(B::float_abs(s), c.into()), 0.0.into());
    let over = B::float_clamp_max(B::float_mul_scalar(over, largest(dtype).into()), 1.0.into());
    Some(B::float_add_scalar(B::float_neg(over), 1.0.into()))
}
