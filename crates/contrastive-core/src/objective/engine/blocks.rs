//! The most general way to an exact gradient in linear memory: rows in blocks, each block with a tape of its own.
//!
//! Whatever is a sum over anchors, of any differentiable function of an anchor's row and of tables all anchors share, can be
//! evaluated so. The engine's kernels are several times faster where they apply.

use super::dense::row_values;
use super::pair_terms::PairTerms;
use super::spec::Spec;
use crate::attach::attach_gradients;
use crate::host::{column, to_f64};
use crate::objective::{Wanted, computed, computed_in};
use burn::tensor::{Tensor, TensorData};

/// Elements of a block of similarities; a tape keeps about ten such blocks.
const BLOCK_ELEMENTS: usize = 1 << 20;

/// Values `[n]` of all rows, and the gradients of `sum_i w_i value_i`.
struct Swept {
    rows: Vec<f64>,
    by_row: Vec<Tensor<2>>,
    shared: Vec<Tensor<2>>,
}

/// What a block makes of its first row's number, the rows of each table, and the shared tables: values `[b, 1]`.
type Rows<'a> = &'a dyn Fn(usize, &[Tensor<2>], &[Tensor<2>]) -> Tensor<2>;

/// All tensors are plain, the tables by row have as many rows as there are weights.
fn sweep(by_row: &[Tensor<2>], shared: &[Tensor<2>], weights: &[f64], block: usize, gradients: bool, f: Rows) -> Swept {
    let n = weights.len();
    let mut rows = Vec::with_capacity(n);
    let mut parts: Vec<Vec<Tensor<2>>> = vec![Vec::new(); by_row.len()];
    let mut sums: Vec<Tensor<2>> = shared.iter().map(Tensor::zeros_like).collect();
    for i0 in (0..n).step_by(block) {
        let b = block.min(n - i0);
        let cut = |x: &Tensor<2>| x.clone().slice([i0..i0 + b, 0..x.dims()[1]]);
        if !gradients {
            let own: Vec<Tensor<2>> = by_row.iter().map(cut).collect();
            rows.extend(to_f64(f(i0, &own, shared)));
            continue;
        }
        let leaf = |x: Tensor<2>| Tensor::<2>::from_inner(x).require_grad();
        let own: Vec<Tensor<2>> = by_row.iter().map(|x| leaf(cut(x))).collect();
        let tables: Vec<Tensor<2>> = shared.iter().map(|x| leaf(x.clone())).collect();
        let values = f(i0, &own, &tables);
        assert_eq!(values.dims(), [b, 1], "the values of a block of {b} rows");
        rows.extend(to_f64(values.clone()));
        let weighted = (values.clone() * column(&weights[i0..i0 + b], &values)).sum();
        if !weighted.is_tracked() {
            own.iter().zip(&mut parts).for_each(|(x, parts)| parts.push(x.clone().inner().zeros_like()));
            continue;
        }
        let tape = weighted.backward();
        let of = |x: &Tensor<2>| x.grad(&tape).unwrap_or_else(|| x.clone().inner().zeros_like());
        own.iter().zip(&mut parts).for_each(|(x, parts)| parts.push(of(x)));
        for (sum, table) in sums.iter_mut().zip(&tables) {
            *sum = sum.clone() + of(table);
        }
    }
    let by_row = match gradients {
        true => parts.into_iter().map(|p| Tensor::cat(p, 0)).collect(),
        false => Vec::new(),
    };
    Swept { rows, by_row, shared: sums }
}

/// `sum_i w_i f_i`, `[1]`, with its exact gradient, in memory for one block of rows at a time: a user-defined objective.
///
/// `f(i0, rows, shared)` gets the number of the block's first row, the block's rows of each table of `by_row` (`[b, ..]`), and
/// the shared tables whole; it returns the values of its rows, `[b, 1]`, by differentiable tensor operations. It may make a
/// `[b, m]` block of similarities; what it makes is dropped when its block is done. `weights` has one number for each row
/// (`1 / n` each for a mean); `block` is how many rows a block has. Tables in half precision come to `f` in f32.
///
/// # Panics
/// When the tables by row have another number of rows than there are weights, a block is of 0 rows, there is no row, or `f` returns
/// another shape.
pub fn row_blocks(
    by_row: &[Tensor<2>],
    shared: &[Tensor<2>],
    weights: &[f64],
    block: usize,
    f: impl Fn(usize, &[Tensor<2>], &[Tensor<2>]) -> Tensor<2>,
) -> Tensor<1> {
    let n = weights.len();
    assert!(block > 0 && n > 0, "{n} rows in blocks of {block}");
    for table in by_row {
        assert_eq!(table.dims()[0], n, "the rows of a table {:?} and {n} weights", table.dims());
    }
    let like = by_row.iter().chain(shared).next().expect("a table");
    let tracked = by_row.iter().chain(shared).any(Tensor::is_tracked);
    let plain = |tables: &[Tensor<2>]| tables.iter().map(|x| computed(x.clone().inner())).collect::<Vec<_>>();
    let swept = sweep(&plain(by_row), &plain(shared), weights, block, tracked, &f);
    let value: f64 = swept.rows.iter().zip(weights).map(|(v, w)| v * w).sum();
    let value = Tensor::<1>::from_data([value], (&like.device(), computed_in(like.dtype())));
    let (mut own, mut all) = (swept.by_row.into_iter(), swept.shared.into_iter());
    let own = by_row.iter().map(|table| (table, own.next()));
    attach_gradients(value, own.chain(shared.iter().map(|table| (table, all.next()))))
}

/// The values of [`row_blocks`] alone, of plain tables of `n` rows.
pub(crate) fn block_values(by_row: &[Tensor<2>], shared: &[Tensor<2>], n: usize, block: usize, f: Rows) -> Vec<f64> {
    sweep(by_row, shared, &vec![0.0; n], block, false, f).rows
}

/// What a direction compares, as the engine sees it: rows whose inner products are the similarities.
pub(crate) struct Tables {
    pub anchors: Tensor<2>,
    pub candidates: Tensor<2>,
    pub paired: Option<Tensor<2>>,
    pub scale: Tensor<1>,
    pub bias: Option<Tensor<1>>,
}

/// What comes out of one direction; tensors of no meaning where they were not wanted.
pub(crate) struct Blocked {
    pub value: Tensor<1>,
    pub rows: Tensor<1>,
    pub anchors: Tensor<2>,
    pub candidates: Tensor<2>,
    pub paired: Tensor<2>,
    pub scale: Tensor<1>,
    pub bias: Tensor<1>,
    pub terms: Vec<Tensor<2>>,
}

/// One direction with pair terms, from the definition.
pub(crate) fn evaluate(tables: Tables, terms: &PairTerms, spec: &Spec) -> Blocked {
    let Tables { anchors, candidates, paired, scale, bias } = tables;
    let ([n, _], [m, _], scales) = (anchors.dims(), candidates.dims(), scale.dims()[0]);
    let (device, dtype) = (anchors.device(), anchors.dtype());
    let scale_by_row = scales == n && n > 1;
    let (mut by_row, mut shared) = (vec![anchors], vec![candidates]);
    by_row.extend(paired.clone());
    if scale_by_row { &mut by_row } else { &mut shared }.push(scale.reshape([scales, 1]));
    shared.extend(bias.clone().map(|b| b.reshape([m, 1])));
    let (rows_before, shared_before) = (by_row.len(), shared.len());
    let roles = terms.by_rows();
    for (tensor, by_rows) in terms.tensors().into_iter().zip(&roles) {
        if *by_rows { &mut by_row } else { &mut shared }.push(tensor.clone());
    }
    let f = |i0: usize, rows: &[Tensor<2>], shared: &[Tensor<2>]| {
        let b = rows[0].dims()[0];
        let (mut own, mut all) = (rows[rows_before..].iter(), shared[shared_before..].iter());
        let tensors = roles.iter().map(|by_rows| if *by_rows { own.next() } else { all.next() });
        let tensors: Vec<Tensor<2>> = tensors.map(|t| t.expect("a tensor for each part").clone()).collect();
        let [pair_scale, pair_bias] = terms.block(&tensors, i0, b);
        let paired = paired.is_some().then(|| &rows[1]);
        let scale = if scale_by_row { &rows[rows_before - 1] } else { &shared[1] };
        let scale = scale.clone().reshape([scale.dims()[0]]);
        let bias = bias.is_some().then(|| shared[shared_before - 1].clone().reshape([m]));
        row_values(&rows[0], &shared[0], paired, &scale, bias.as_ref(), [&pair_scale, &pair_bias], &spec.block(i0, b))
    };
    let block = (BLOCK_ELEMENTS / m).clamp(1, n);
    let swept = sweep(&by_row, &shared, &spec.row_weights, block, spec.wanted != Wanted::VALUE, &f);

    let value = swept.rows.iter().zip(&spec.row_weights).map(|(v, w)| v * w).sum::<f64>();
    let nothing = || Tensor::<2>::zeros([1, 1], (&device, dtype));
    let (mut own, mut all) = (swept.by_row.into_iter(), swept.shared.into_iter());
    let flat = |x: Tensor<2>| {
        let k = x.dims()[0];
        x.reshape([k])
    };
    let anchors = own.next().unwrap_or_else(nothing);
    let candidates = all.next().unwrap_or_else(nothing);
    let d_paired = paired.as_ref().and_then(|_| own.next()).unwrap_or_else(nothing);
    let scale = if scale_by_row { own.next() } else { all.next() };
    let d_bias = bias.as_ref().and_then(|_| all.next()).unwrap_or_else(nothing);
    let terms = roles.iter().filter_map(|by_rows| if *by_rows { own.next() } else { all.next() }).collect();
    Blocked {
        value: Tensor::from_data([value], (&device, dtype)),
        rows: Tensor::from_data(TensorData::new(swept.rows, [n]), (&device, dtype)),
        anchors,
        candidates,
        paired: d_paired,
        scale: flat(scale.unwrap_or_else(nothing)),
        bias: flat(d_bias),
        terms,
    }
}
