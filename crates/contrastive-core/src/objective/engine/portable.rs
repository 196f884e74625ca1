//! The engine's body in backend operations: any device, memory linear in anchors and candidates.
//!
//! Row blocks against all candidates; positives and exclusions are index lists into the flattened block. The products are
//! the backend's, so the cost is theirs plus about ten passes over each block.

use super::spec::Spec;
use crate::objective::engine::spec::BothSpec;
use burn::backend::{
    Backend, TensorMetadata, get_device_settings,
    tensor::{Device, FloatTensor, IntTensor},
};
use burn::tensor::{DType, IndexingUpdateOp, Shape, Slice, TensorData};
use contrastive_kernels::softmax::{Denominator, Placement};

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 22;
/// Stands for minus infinity in a logit.
const MASKED: f64 = -1e30;
/// Below every true row maximum, above every masked logit: rows without candidates sum to zero.
const FLOOR: f64 = -1e20;

/// Backend operations with the context a block needs.
struct Body<B: Backend> {
    device: Device<B>,
    dtype: DType,
}

impl<B: Backend> Body<B> {
    fn floats(&self, values: Vec<f64>, shape: [usize; 2]) -> FloatTensor<B> {
        let data = TensorData::new(values, shape.to_vec()).convert_dtype(self.dtype);
        B::float_from_data(data, &self.device)
    }

    fn column(&self, values: Vec<f64>) -> FloatTensor<B> {
        let n = values.len();
        self.floats(values, [n, 1])
    }

    fn ints(&self, values: Vec<i32>) -> IntTensor<B> {
        let n = values.len();
        B::int_from_data(TensorData::new(values, [n]), &self.device)
    }

    /// `[k, 1]`: the elements of a `[r, c]` tensor at flat positions.
    fn pick(&self, from: FloatTensor<B>, at: &IntTensor<B>) -> FloatTensor<B> {
        let (n, k) = (from.shape().num_elements(), at.shape().num_elements());
        B::float_reshape(B::float_select(B::float_reshape(from, Shape::new([n])), 0, at.clone()), Shape::new([k, 1]))
    }

    /// `to` with `values [k, 1]` added at flat positions.
    fn add_at(&self, to: FloatTensor<B>, at: &IntTensor<B>, values: FloatTensor<B>) -> FloatTensor<B> {
        let shape = to.shape();
        let (n, k) = (shape.num_elements(), at.shape().num_elements());
        let flat = B::float_reshape(to, Shape::new([n]));
        let values = B::float_reshape(values, Shape::new([k]));
        B::float_reshape(B::float_select_assign(flat, 0, at.clone(), values, IndexingUpdateOp::Add), shape)
    }

    fn zeros(&self, shape: [usize; 2]) -> FloatTensor<B> {
        self.floats(vec![0.0; shape[0] * shape[1]], shape)
    }
}

fn rows_of<B: Backend>(x: &FloatTensor<B>, i0: usize, r: usize) -> FloatTensor<B> {
    let d = x.shape()[1];
    B::float_slice(x.clone(), &[Slice::from(i0..i0 + r), Slice::from(0..d)])
}

fn sum_rows<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum_dim(x, 1)
}

fn add_to<B: Backend>(sum: &mut Option<FloatTensor<B>>, more: FloatTensor<B>) {
    *sum = Some(match sum.take() {
        Some(sum) => B::float_add(sum, more),
        None => more,
    });
}

/// `max(a, b)`, elementwise.
fn larger<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add(b.clone(), B::float_clamp_min(B::float_sub(a, b), 0.0.into()))
}

/// `log(1 + e^x)` without overflow.
fn softplus<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let small = B::float_exp(B::float_neg(B::float_abs(x.clone())));
    B::float_add(B::float_clamp_min(x, 0.0.into()), B::float_log1p(small))
}

/// `1 / (1 + e^-x)` without overflow.
fn sigmoid<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_exp(B::float_neg(softplus::<B>(B::float_neg(x))))
}

/// See [`PairOps::unit_rows`](super::ops::PairOps::unit_rows).
pub fn unit_rows<B: Backend>(x: FloatTensor<B>, shortest: f64) -> (FloatTensor<B>, FloatTensor<B>) {
    let squares = sum_rows::<B>(B::float_mul(x.clone(), x.clone()));
    // lengths too large for their type become NaN
    let lengths = B::float_sqrt(squares);
    let lengths = B::float_add(lengths.clone(), B::float_mul_scalar(lengths, 0.0.into()));
    let bools = get_device_settings::<B>(&lengths.device()).bool_dtype;
    let none = B::float_lower_elem(lengths.clone(), shortest.into(), bools);
    let lengths = B::float_mask_fill(lengths, none, f64::INFINITY.into());
    (B::float_div(x, lengths.clone()), lengths)
}

/// See [`PairOps::unit_rows_backward`](super::ops::PairOps::unit_rows_backward).
pub fn unit_rows_backward<B: Backend>(
    unit: FloatTensor<B>,
    lengths: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let along = sum_rows::<B>(B::float_mul(unit.clone(), gradient.clone()));
    B::float_div(B::float_sub(gradient, B::float_mul(unit, along)), lengths)
}

/// See [`PairOps::mean_row`](super::ops::PairOps::mean_row).
pub fn mean_row<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mean_dim(x, 0)
}

/// See [`PairOps::centred_rows`](super::ops::PairOps::centred_rows).
pub fn centred_rows<B: Backend>(x: FloatTensor<B>, centre: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let x = B::float_sub(x, centre);
    let n = x.shape()[0];
    let squares = B::float_reshape(sum_rows::<B>(B::float_mul(x.clone(), x.clone())), Shape::new([n]));
    let squares = B::float_add(squares.clone(), B::float_mul_scalar(squares, 0.0.into()));
    (x, squares)
}

/// See [`PairOps::centred_rows_backward`](super::ops::PairOps::centred_rows_backward).
pub fn centred_rows_backward<B: Backend>(
    rows: FloatTensor<B>,
    gradient: FloatTensor<B>,
    of_squares: FloatTensor<B>,
) -> FloatTensor<B> {
    let n = rows.shape()[0];
    let twice = B::float_mul_scalar(B::float_reshape(of_squares, Shape::new([n, 1])), 2.0.into());
    B::float_add(gradient, B::float_mul(rows, twice))
}

/// See [`PairOps::distance_rows`](super::ops::PairOps::distance_rows).
pub fn distance_rows<B: Backend>(x: FloatTensor<B>, centre: FloatTensor<B>, anchors: bool) -> FloatTensor<B> {
    let x = B::float_sub(x, centre);
    let square = sum_rows::<B>(B::float_mul(x.clone(), x.clone()));
    let sign = if anchors { -1.0 } else { 1.0 };
    let one = B::float_full(square.shape(), sign.into(), &square.device(), square.dtype().into());
    let [first, second] = if anchors { [B::float_neg(square), one] } else { [one, square] };
    B::float_cat(vec![B::float_mul_scalar(x, std::f64::consts::SQRT_2.into()), first, second], 1)
}

/// See [`PairOps::distance_rows_backward`](super::ops::PairOps::distance_rows_backward).
pub fn distance_rows_backward<B: Backend>(
    compared: FloatTensor<B>,
    gradient: FloatTensor<B>,
    anchors: bool,
) -> FloatTensor<B> {
    let [n, d] = [compared.shape()[0], compared.shape()[1] - 2];
    let columns =
        |x: FloatTensor<B>, from: usize, to: usize| B::float_slice(x, &[Slice::from(0..n), Slice::from(from..to)]);
    let square = if anchors { columns(gradient.clone(), d, d + 1) } else { columns(gradient.clone(), d + 1, d + 2) };
    let by_square = B::float_mul(columns(compared, 0, d), square);
    let own = columns(gradient, 0, d);
    let both = if anchors { B::float_sub(own, by_square) } else { B::float_add(own, by_square) };
    B::float_mul_scalar(both, std::f64::consts::SQRT_2.into())
}

/// Positions and weights of a block's positives.
struct Listed<B: Backend> {
    at: IntTensor<B>,
    row: IntTensor<B>,
    weight: FloatTensor<B>,
}

/// Value, row values, and the gradients of anchors, candidates, paired positives, scale and bias.
pub type Rows<T> = (T, T, T, T, T, T, T);

/// Value, row values, column values, and the gradients of anchors, candidates and scale.
pub type Both<T> = (T, T, T, T, T, T);

/// One direction; see [`PairOps::pair_softmax`](super::ops::PairOps::pair_softmax).
pub fn rows<B: Backend>(
    anchors: FloatTensor<B>,
    candidates: FloatTensor<B>,
    paired: FloatTensor<B>,
    scale: FloatTensor<B>,
    bias: FloatTensor<B>,
    spec: &Spec,
) -> Rows<FloatTensor<B>> {
    let (n, d, m) = (anchors.shape()[0], anchors.shape()[1], candidates.shape()[0]);
    let body = Body::<B> { device: anchors.device(), dtype: anchors.dtype() };
    let per_row = scale.shape()[0] == n && n > 1;
    let scales = B::float_reshape(scale.clone(), Shape::new([scale.shape()[0], 1]));
    let biases = spec.biased.then(|| B::float_reshape(bias, Shape::new([1, m])));
    let transposed = B::float_transpose(candidates.clone());
    let block = (BLOCK_ELEMENTS / m.max(1)).clamp(1, n.max(1));
    let (own_positive, negatives_only) =
        (spec.denominator == Denominator::OwnPositive, spec.denominator == Denominator::NegativesOnly);
    let inside = spec.placement == Placement::Inside;

    let (mut value, mut d_candidates, mut d_bias, mut d_scale_sum) = (None, None, None, None);
    let (mut row_values, mut d_anchors, mut d_paired, mut d_scales) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i0 in (0..n).step_by(block) {
        let r = block.min(n - i0);
        let a = rows_of::<B>(&anchors, i0, r);
        let s_row = if per_row { rows_of::<B>(&scales, i0, r) } else { scales.clone() };
        let dots = B::float_matmul(a.clone(), transposed.clone());
        let mut logits = B::float_mul(dots.clone(), s_row.clone());
        if let Some(b) = &biases {
            logits = B::float_add(logits, b.clone());
        }

        // what is listed: positions in the flattened block
        let (mut at, mut of_row, mut weight, mut masked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut has = vec![f64::from(spec.paired); r];
        let own_weight: Vec<f64> = (i0..i0 + r).map(|i| if spec.paired { spec.own_target(i) } else { 0.0 }).collect();
        let mut total = own_weight.clone();
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
        if own_positive || negatives_only {
            masked.extend(&at);
        }
        let listed = (!at.is_empty()).then(|| Listed::<B> {
            at: body.ints(at),
            row: body.ints(of_row),
            weight: body.column(weight),
        });
        // logits and inner products of the positives, before masking
        let positives = listed.as_ref().map(|p| (body.pick(logits.clone(), &p.at), body.pick(dots.clone(), &p.at)));
        if !masked.is_empty() {
            let k = masked.len();
            let at = body.ints(masked);
            logits = body.add_at(logits, &at, body.column(vec![MASKED; k]));
        }
        let own = spec.paired.then(|| {
            let p = rows_of::<B>(&paired, i0, r);
            let dot = sum_rows::<B>(B::float_mul(a.clone(), p.clone()));
            (B::float_mul(dot.clone(), s_row.clone()), dot, p)
        });

        // row statistics
        let mut top = B::float_clamp_min(B::float_max_dim(logits.clone(), 1), FLOOR.into());
        let own_in_denominator = own.as_ref().filter(|_| !negatives_only);
        if let Some((s, _, _)) = own_in_denominator {
            top = larger::<B>(top, s.clone());
        }
        if spec.offset > 0.0 {
            top = B::float_clamp_min(top, spec.offset.ln().into());
        }
        let mut e = B::float_exp(B::float_sub(logits, top.clone()));
        let negatives = sum_rows::<B>(e.clone());
        let mut sum = negatives.clone();
        if spec.offset > 0.0 {
            sum = B::float_add(
                sum,
                B::float_exp(B::float_neg(B::float_sub_scalar(top.clone(), spec.offset.ln().into()))),
            );
        }
        let own_share = own_in_denominator.map(|(s, _, _)| B::float_exp(B::float_sub(s.clone(), top.clone())));
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
        let log = B::float_add(top.clone(), B::float_log(safe.clone()));
        let weights = body.column(spec.row_weights[i0..i0 + r].to_vec());
        let has = body.column(has);
        let active = if own_positive && !spec.paired { has } else { B::float_mul(has, some) };
        let weights = B::float_mul(weights, active.clone());
        let total = match (&spec.denominator_weights, inside) {
            (_, true) => vec![1.0; r],
            (Some(a), _) => a[i0..i0 + r].to_vec(),
            _ => total,
        };
        let total = body.column(total);

        let clamp = |s: FloatTensor<B>| match spec.clamp {
            Some(c) => B::float_clamp(s, (-c).into(), c.into()),
            None => s,
        };
        // 1 where the clamp lets the gradient through
        let free = |s: FloatTensor<B>| match spec.clamp {
            Some(c) => {
                let over = B::float_clamp_min(B::float_sub_scalar(B::float_abs(s), c.into()), 0.0.into());
                let over = B::float_clamp_max(B::float_mul_scalar(over, largest(body.dtype).into()), 1.0.into());
                Some(B::float_add_scalar(B::float_neg(over), 1.0.into()))
            }
            None => None,
        };

        let mut l;
        let mut factor; // [r, 1]: d value / d s of a candidate is factor * e
        let mut positive_gradient = None;
        if own_positive && !spec.paired {
            l = body.zeros([r, 1]);
            factor = body.zeros([r, 1]);
            if let (Some(p), Some((s, _))) = (&listed, &positives) {
                let pick = |x: &FloatTensor<B>| B::float_select(x.clone(), 0, p.row.clone());
                // log(e^s + e^log) - s = softplus(log - s); nothing when there are no negatives
                let gap = B::float_sub(pick(&log), s.clone());
                let some = B::float_add_scalar(B::float_neg(pick(&empty)), 1.0.into());
                let share = B::float_mul(sigmoid::<B>(gap.clone()), some.clone());
                let w = B::float_mul(p.weight.clone(), pick(&weights));
                let term = B::float_mul(softplus::<B>(gap), some);
                let term = B::float_add(term, B::float_sub(s.clone(), clamp(s.clone())));
                let column = |x: FloatTensor<B>| {
                    B::float_select_assign(body.zeros([r, 1]), 0, p.row.clone(), x, IndexingUpdateOp::Add)
                };
                l = column(B::float_mul(p.weight.clone(), term));
                let pushed = B::float_mul(w.clone(), share.clone());
                factor = column(pushed.clone());
                let mut g = B::float_neg(pushed);
                if let Some(free) = free(s.clone()) {
                    // d clamp(s) is missing where it is clamped, d log D stays
                    g = B::float_add(g, B::float_mul(w, B::float_add_scalar(B::float_neg(free), 1.0.into())));
                }
                positive_gradient = Some(g);
            }
            factor = B::float_div(factor, safe);
        } else {
            l = B::float_mul(B::float_mul(total.clone(), log), active.clone());
            factor = B::float_div(B::float_mul(weights.clone(), total), safe);
            if let (Some(p), Some((s, _))) = (&listed, &positives) {
                let pick = |x: &FloatTensor<B>| B::float_select(x.clone(), 0, p.row.clone());
                let column = |x: FloatTensor<B>| {
                    B::float_select_assign(body.zeros([r, 1]), 0, p.row.clone(), x, IndexingUpdateOp::Add)
                };
                if inside {
                    // the largest positive of each row: its logits alone in an otherwise empty block
                    let alone = B::float_add_scalar(body.zeros([r, m]), MASKED.into());
                    let lift = B::float_add_scalar(B::float_mul_scalar(s.clone(), 0.0.into()), (-MASKED).into());
                    let alone = body.add_at(body.add_at(alone, &p.at, lift), &p.at, s.clone());
                    let top = B::float_clamp_min(B::float_max_dim(alone, 1), FLOOR.into());
                    let share = B::float_mul(p.weight.clone(), B::float_exp(B::float_sub(s.clone(), pick(&top))));
                    let sum = column(share.clone());
                    let none = B::float_add_scalar(B::float_neg(active.clone()), 1.0.into());
                    let safe = B::float_add(sum, none);
                    let inner = B::float_mul(B::float_add(top, B::float_log(safe.clone())), active.clone());
                    l = B::float_sub(l, inner);
                    let g = B::float_div(B::float_mul(share, pick(&weights)), pick(&safe));
                    positive_gradient = Some(B::float_neg(g));
                } else {
                    let pulled = B::float_mul(p.weight.clone(), clamp(s.clone()));
                    l = B::float_sub(l, B::float_mul(column(pulled), active.clone()));
                    let mut g = B::float_mul(p.weight.clone(), pick(&weights));
                    if let Some(free) = free(s.clone()) {
                        g = B::float_mul(g, free);
                    }
                    positive_gradient = Some(B::float_neg(g));
                }
            }
        }
        let mut own_gradient = None;
        if let Some((s, _, _)) = &own {
            let own_weight = body.column(own_weight);
            l = B::float_sub(l, B::float_mul(B::float_mul(clamp(s.clone()), own_weight.clone()), active.clone()));
            let mut g = B::float_neg(B::float_mul(weights.clone(), own_weight));
            if let Some(free) = free(s.clone()) {
                g = B::float_mul(g, free);
            }
            if let Some(share) = own_share {
                g = B::float_add(g, B::float_mul(factor.clone(), share));
            }
            own_gradient = Some(g);
        }
        let raw = body.column(spec.row_weights[i0..i0 + r].to_vec());
        add_to::<B>(&mut value, B::float_sum(B::float_mul(raw, l.clone())));
        row_values.push(B::float_reshape(l, Shape::new([r])));
        if !spec.wanted.anchors && !spec.wanted.candidates {
            continue;
        }

        // contraction
        e = B::float_mul(e, factor);
        if let (Some(p), Some(g)) = (&listed, positive_gradient) {
            e = body.add_at(e, &p.at, g);
        }
        if spec.biased {
            add_to::<B>(&mut d_bias, B::float_sum_dim(e.clone(), 0));
        }
        let mut moment = sum_rows::<B>(B::float_mul(e.clone(), dots));
        if let (Some((_, dot, _)), Some(g)) = (&own, &own_gradient) {
            moment = B::float_add(moment, B::float_mul(dot.clone(), g.clone()));
        }
        if per_row {
            d_scales.push(B::float_reshape(moment, Shape::new([r])));
        } else {
            add_to::<B>(&mut d_scale_sum, B::float_sum(moment));
        }
        let e = B::float_mul(e, s_row.clone());
        if spec.wanted.candidates {
            add_to::<B>(&mut d_candidates, B::float_matmul(B::float_transpose(e.clone()), a.clone()));
        }
        if spec.wanted.anchors {
            let mut g = B::float_matmul(e, candidates.clone());
            if let (Some((_, _, p)), Some(own)) = (own, own_gradient) {
                let own = B::float_mul(own, s_row);
                g = B::float_add(g, B::float_mul(p, own.clone()));
                d_paired.push(B::float_mul(a, own));
            }
            d_anchors.push(g);
        }
    }
    let join = |parts: Vec<FloatTensor<B>>, dims: usize| match parts.is_empty() {
        true => B::float_reshape(body.zeros([1, 1]), Shape::from(vec![1; dims])),
        false => B::float_cat(parts, 0),
    };
    let or_zero = |x: Option<FloatTensor<B>>, shape: Shape| match x {
        Some(x) => B::float_reshape(x, shape),
        None => join(Vec::new(), shape.num_dims()),
    };
    (
        or_zero(value, Shape::new([1])),
        join(row_values, 1),
        join(d_anchors, 2),
        or_zero(d_candidates, Shape::new([m, d])),
        join(d_paired, 2),
        if per_row { join(d_scales, 1) } else { or_zero(d_scale_sum, Shape::new([1])) },
        or_zero(d_bias, Shape::new([m])),
    )
}

/// A large number that a type can hold, for turning "above zero" into 1.
fn largest(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e300 } else { 1e37 }
}

/// Both directions; see [`PairOps::pair_softmax_both`](super::ops::PairOps::pair_softmax_both).
pub fn both<B: Backend>(
    anchors: FloatTensor<B>,
    candidates: FloatTensor<B>,
    scale: FloatTensor<B>,
    spec: &BothSpec,
) -> Both<FloatTensor<B>> {
    let body = Body::<B> { device: anchors.device(), dtype: anchors.dtype() };
    let none = || (body.zeros([1, 1]), B::float_reshape(body.zeros([1, 1]), Shape::new([1])));
    let (forward, backward) = spec.directions();
    let Some(backward) = backward else {
        let (paired, bias) = none();
        let (value, l, mut da, dc, _, ds, bias) = rows::<B>(anchors.clone(), anchors, paired, scale, bias, &forward);
        if spec.gradients {
            da = B::float_add(da, dc);
        }
        return (value, l, bias, da, body.zeros([1, 1]), ds);
    };
    let (paired, bias) = none();
    let (v1, l, da1, dc1, _, ds1, _) =
        rows::<B>(anchors.clone(), candidates.clone(), paired, scale.clone(), bias, &forward);
    let (paired, bias) = none();
    let (v2, columns, dc2, da2, _, ds2, _) = rows::<B>(candidates, anchors, paired, scale, bias, &backward);
    (B::float_add(v1, v2), l, columns, B::float_add(da1, da2), B::float_add(dc1, dc2), B::float_add(ds1, ds2))
}
