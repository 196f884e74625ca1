//! The bodies of layers in plain tensor operations, for any backend. They run under ordinary autodiff.

use super::{AttentionOptions, Reach};
use crate::Ragged;
use burn::tensor::{Bool, Device, Tensor, TensorData, activation};
use contrastive_core::linear::gather_rows;
use contrastive_kernels::layer::dropout::Mask;

/// `[n, width]`, gain and bias `[width]`.
pub(crate) fn layer_norm(x: Tensor<2>, gain: Option<Tensor<1>>, bias: Option<Tensor<1>>, epsilon: f64) -> Tensor<2> {
    let share = 1.0 / x.dims()[1] as f64;
    let centred = x.clone() - x.sum_dim(1) * share;
    let variance = (centred.clone() * centred.clone()).sum_dim(1) * share;
    affine(centred / (variance + epsilon).sqrt(), gain, bias)
}

/// `[n, width]`, gain `[width]`.
pub(crate) fn rms_norm(x: Tensor<2>, gain: Option<Tensor<1>>, epsilon: f64) -> Tensor<2> {
    let square = (x.clone() * x.clone()).sum_dim(1) * (1.0 / x.dims()[1] as f64);
    affine(x / (square + epsilon).sqrt(), gain, None)
}

fn affine(x: Tensor<2>, gain: Option<Tensor<1>>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let x = match gain {
        Some(gain) => x * gain.unsqueeze::<2>(),
        None => x,
    };
    match bias {
        Some(bias) => x + bias.unsqueeze::<2>(),
        None => x,
    }
}

/// A padded batch `[lists, heads, longest, d / heads]` of packed rows; what stands at padded positions is any row.
fn padded(x: Tensor<2>, lists: &Ragged, heads: usize) -> Tensor<4> {
    let (count, width, [_, d]) = (lists.len(), lists.longest(), x.dims());
    let rows: Vec<u32> = lists
        .ranges()
        .flat_map(|range| {
            let (first, last) = (range.start, range.end.max(range.start + 1) - 1);
            (0..width).map(move |at| (first + at).min(last))
        })
        .map(|row| row.min(lists.total() - 1) as u32)
        .collect();
    gather_rows(x, &rows).reshape([count, width, heads, d / heads]).swap_dims(1, 2)
}

/// The attention weights `[lists, heads, longest queries, longest keys]`, 0 where a query does not see a key, without dropout.
pub(crate) fn weights(
    queries: Tensor<2>,
    keys: Tensor<2>,
    bias: Option<Tensor<3>>,
    reach: &Reach,
    options: &AttentionOptions,
) -> Tensor<4> {
    let (device, dtype) = (queries.device(), queries.dtype());
    let (heads, scale) = (options.heads, options.scale_of(queries.dims()[1]));
    let (count, wide, long) = (reach.queries().len(), reach.queries().longest(), reach.keys().longest());
    let logits = padded(queries, reach.queries(), heads).matmul(padded(keys, reach.keys(), heads).transpose()) * scale;
    let logits = match bias {
        None => logits,
        Some(bias) => logits + bias.unsqueeze::<4>(),
    };
    let hidden = hidden(reach, &device);
    let logits = logits.mask_fill(hidden.clone(), -1e30);
    // a query that sees nothing has weights of 0
    let weights = activation::softmax(logits, 3).mask_fill(hidden, 0.0);
    debug_assert_eq!(weights.dims(), [count, heads, wide, long]);
    weights.cast(dtype)
}

/// Which keys a query does not see, `[lists, 1, longest queries, longest keys]` repeated by broadcasting.
fn hidden(reach: &Reach, device: &Device) -> Tensor<4, Bool> {
    let (wide, long) = (reach.queries().longest(), reach.keys().longest());
    let mut hidden = vec![true; reach.queries().len() * wide * long];
    for (list, range) in reach.queries().ranges().enumerate() {
        for (at, query) in range.enumerate() {
            let row = (list * wide + at) * long;
            hidden[row..row + reach.visible(list, query)].fill(false);
        }
    }
    let shape = [reach.queries().len(), 1, wide, long];
    Tensor::from_data(TensorData::new(hidden, shape), device)
}

/// Attention with the whole table of weights in memory.
pub(crate) fn attention(
    queries: Tensor<2>,
    keys: Tensor<2>,
    values: Tensor<2>,
    bias: Option<Tensor<3>>,
    reach: &Reach,
    options: &AttentionOptions,
    mask: Option<Mask>,
) -> Tensor<2> {
    let [total, d] = queries.dims();
    let (lists, wide, heads) = (reach.queries(), reach.queries().longest(), options.heads);
    if total == 0 || reach.keys().total() == 0 {
        return queries * 0.0;
    }
    let (device, dtype) = (queries.device(), queries.dtype());
    let mut weights = weights(queries, keys, bias, reach, options);
    if let Some(mask) = mask {
        let factors = factors(reach, heads, mask);
        weights = weights.clone() * Tensor::from_data(TensorData::new(factors, weights.dims()), (&device, dtype));
    }
    let out = weights.matmul(padded(values, reach.keys(), heads)).swap_dims(1, 2).reshape([lists.len() * wide, d]);
    let rows = lists.ranges().enumerate().flat_map(|(list, range)| (0..range.len()).map(move |at| list * wide + at));
    gather_rows(out, &rows.map(|row| row as u32).collect::<Vec<_>>())
}

/// The factors of the attention weights: the mask of row `query * heads + head`, element `key`.
fn factors(reach: &Reach, heads: usize, mask: Mask) -> Vec<f64> {
    let (wide, long) = (reach.queries().longest(), reach.keys().longest());
    let mut factors = vec![0.0; reach.queries().len() * heads * wide * long];
    for (list, range) in reach.queries().ranges().enumerate() {
        for (at, query) in range.enumerate() {
            for head in 0..heads {
                let row = mask.row((query * heads + head) as u64);
                let to = &mut factors[((list * heads + head) * wide + at) * long..][..long];
                for (key, factor) in to.iter_mut().enumerate() {
                    *factor = if row.keeps(key as u32) { mask.factor() } else { 0.0 };
                }
            }
        }
    }
    factors
}

/// Attention of as many queries for each list, each of which sees all keys of its list and one key of its own.
pub(crate) fn attention_beside(
    queries: Tensor<2>,
    [keys, values]: [Tensor<2>; 2],
    lists: &Ragged,
    own: [Tensor<2>; 2],
    options: &AttentionOptions,
) -> Tensor<2> {
    let ([total, d], heads) = (queries.dims(), options.heads);
    let (n, long) = (lists.len(), lists.longest());
    let [own_keys, own_values] = own;
    if long == 0 {
        return own_values;
    }
    let (each, wide) = (total / n, d / heads);
    let split = |x: Tensor<2>, rows: usize| -> Tensor<4> { x.reshape([n, rows, heads, wide]).swap_dims(1, 2) };
    let even = lists.lengths().all(|length| length == long);
    let past = |x: Tensor<2>| if even { split(x, long) } else { padded(x, lists, heads) };
    let queries = split(queries, each) * options.scale_of(d);
    let own_logits = (queries.clone() * split(own_keys, each)).sum_dim(3);
    let mut logits = queries.matmul(past(keys).transpose());
    if !even {
        let hidden: Vec<bool> = lists.lengths().flat_map(|length| (0..long).map(move |at| at >= length)).collect();
        let hidden = Tensor::<4, Bool>::from_data(TensorData::new(hidden, [n, 1, 1, long]), &logits.device());
        logits = logits.mask_fill(hidden.expand([n, heads, each, long]), f64::NEG_INFINITY);
    }
    let weights = activation::softmax(Tensor::cat(vec![logits, own_logits], 3), 3);
    let past_weights = weights.clone().narrow(3, 0, long);
    let out = past_weights.matmul(past(values)) + weights.narrow(3, long, 1) * split(own_values, each);
    out.swap_dims(1, 2).reshape([total, d])
}
