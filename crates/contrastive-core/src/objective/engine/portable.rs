//! The engine's body in backend operations: any device, memory linear in anchors and candidates.
//!
//! Row blocks against all candidates; positives and exclusions are index lists into the flattened block. The products are
//! the backend's, so the cost is theirs plus about ten passes over each block.

mod block;

use super::spec::Spec;
use crate::objective::MASKED;
use crate::objective::engine::spec::BothSpec;
use block::{Lists, Own, RowSums};
use burn::backend::{
    Backend, TensorMetadata, get_device_settings,
    tensor::{Device, FloatTensor, IntTensor},
};
use burn::tensor::{DType, IndexingUpdateOp, Shape, Slice, TensorData};

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 22;

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

/// What one direction gives: values, and the gradients of the inputs.
pub struct Rows<T> {
    pub value: T,
    pub rows: T,
    pub anchors: T,
    pub candidates: T,
    pub paired: T,
    pub scale: T,
    pub bias: T,
}

/// What both directions give: values, and the gradients of the inputs.
pub struct Both<T> {
    pub value: T,
    pub rows: T,
    pub columns: T,
    pub anchors: T,
    pub candidates: T,
    pub scale: T,
}

impl<T> Rows<T> {
    /// As a backend extension hands it over.
    pub fn into_tuple(self) -> (T, T, T, T, T, T, T) {
        (self.value, self.rows, self.anchors, self.candidates, self.paired, self.scale, self.bias)
    }
}

impl<T> Both<T> {
    /// As a backend extension hands it over.
    pub fn into_tuple(self) -> (T, T, T, T, T, T) {
        (self.value, self.rows, self.columns, self.anchors, self.candidates, self.scale)
    }
}

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
        let lists = Lists::new(&body, spec, i0, r, m);
        // logits and inner products of the positives, before masking
        let positives =
            lists.positives.as_ref().map(|p| (body.pick(logits.clone(), &p.at), body.pick(dots.clone(), &p.at)));
        if let Some(at) = &lists.masked {
            let k = at.shape().num_elements();
            logits = body.add_at(logits, at, body.column(vec![MASKED; k]));
        }
        let own = spec.paired.then(|| Own::<B>::new(&a, rows_of::<B>(&paired, i0, r), &s_row));

        let sums = RowSums::new(&body, spec, &lists, logits, own.as_ref(), i0);
        let logits_of_positives = positives.as_ref().map(|(s, _)| s);
        let slopes = sums.slopes(&body, spec, &lists, logits_of_positives, own.as_ref(), m);

        let raw = body.column(spec.row_weights[i0..i0 + r].to_vec());
        add_to::<B>(&mut value, B::float_sum(B::float_mul(raw, slopes.values.clone())));
        row_values.push(B::float_reshape(slopes.values, Shape::new([r])));
        if !spec.wanted.anchors && !spec.wanted.candidates {
            continue;
        }

        // contraction
        let mut e = B::float_mul(sums.exponentials, slopes.factor);
        if let (Some(p), Some(g)) = (&lists.positives, slopes.positives) {
            e = body.add_at(e, &p.at, g);
        }
        if spec.biased {
            add_to::<B>(&mut d_bias, B::float_sum_dim(e.clone(), 0));
        }
        let mut moment = sum_rows::<B>(B::float_mul(e.clone(), dots));
        if let (Some(own), Some(g)) = (&own, &slopes.own) {
            moment = B::float_add(moment, B::float_mul(own.dot.clone(), g.clone()));
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
            if let (Some(own), Some(slope)) = (own, slopes.own) {
                let slope = B::float_mul(slope, s_row);
                g = B::float_add(g, B::float_mul(own.rows, slope.clone()));
                d_paired.push(B::float_mul(a, slope));
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
    Rows {
        value: or_zero(value, Shape::new([1])),
        rows: join(row_values, 1),
        anchors: join(d_anchors, 2),
        candidates: or_zero(d_candidates, Shape::new([m, d])),
        paired: join(d_paired, 2),
        scale: if per_row { join(d_scales, 1) } else { or_zero(d_scale_sum, Shape::new([1])) },
        bias: or_zero(d_bias, Shape::new([m])),
    }
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
    let one_way = |anchors: FloatTensor<B>, candidates: FloatTensor<B>, spec: &Spec| {
        let none = B::float_reshape(body.zeros([1, 1]), Shape::new([1]));
        rows::<B>(anchors, candidates, body.zeros([1, 1]), scale.clone(), none, spec)
    };
    let (forward, backward) = spec.directions();
    let Some(backward) = backward else {
        let out = one_way(anchors.clone(), anchors, &forward);
        let gradient = if spec.gradients { B::float_add(out.anchors, out.candidates) } else { out.anchors };
        return Both {
            value: out.value,
            rows: out.rows,
            columns: out.bias,
            anchors: gradient,
            candidates: body.zeros([1, 1]),
            scale: out.scale,
        };
    };
    let asked = one_way(anchors.clone(), candidates.clone(), &forward);
    let answered = one_way(candidates, anchors, &backward);
    Both {
        value: B::float_add(asked.value, answered.value),
        rows: asked.rows,
        columns: answered.rows,
        anchors: B::float_add(asked.anchors, answered.candidates),
        candidates: B::float_add(asked.candidates, answered.anchors),
        scale: B::float_add(asked.scale, answered.scale),
    }
}
