//! One direction: a block of rows against all columns, in three steps; nothing is recomputed, 6 N M D flops.
//!
//! For each block of [`TILE_ROWS`] rows: (1) column stripes in parallel: product, exclusions, row maximum, exponential in
//! place, sums; (2) the stripes' (maximum, sum) pairs merge into exact log-sum-exps, each row becomes one coefficient;
//! (3) stripes in parallel: rescale, correct the positives, contract into both gradients. A thread owns its stripe of the
//! candidates' gradient, so nothing is reduced across threads; the anchors' partial gradients are added in stripe order.
//! Memory beside the results: `TILE_ROWS * m` similarities and `TILE_ROWS * d` for each stripe.

use super::{Denominator, Placement, PositiveWeights, SoftmaxOutput, SoftmaxProblem, TILE_COLUMNS, TILE_ROWS};
use crate::real::gemm;
use crate::vector::{self, Element, masked};
use rayon::prelude::*;

/// One positive of a block that falls into a stripe.
#[derive(Clone, Copy)]
struct Positive<T> {
    row: u32,
    column: u32,
    weight: T,
    /// The raw inner product, taken before the exponential overwrites it.
    dot: T,
    /// Its coefficient: d value / d s.
    coefficient: T,
}

/// What a stripe knows of a block of rows.
struct Stripe<T> {
    max: Vec<T>,
    sum: Vec<T>,
    dot: Vec<T>,
    factor: Vec<T>,
    positives: Vec<Positive<T>>,
    anchors: Vec<T>,
}

/// What a row knows after its stripes are merged.
#[derive(Clone, Copy, Default)]
struct Row<T> {
    max: T,
    sum: T,
    weight: T,
    count: usize,
    positive_max: T,
    positive_sum: T,
    active: bool,
}

/// Stripe width: at least two stripes a thread, whole vectors, at most [`TILE_COLUMNS`].
fn stripe_width(m: usize) -> usize {
    let share = m.div_ceil(2 * rayon::current_num_threads());
    share.next_multiple_of(32).clamp(64, TILE_COLUMNS)
}

/// Value and gradients of `problem`, anchors against candidates.
///
/// # Panics
/// When the slices of the problem do not fit each other; the message names the slice and both sizes.
pub fn rows<T: Element>(problem: &SoftmaxProblem<'_, T>) -> SoftmaxOutput<T> {
    let [n, m] = problem.check();
    let d = problem.width;
    let wanted = problem.wanted;
    let zeros = |on: bool, len: usize| if on { vec![T::zero(); len] } else { Vec::new() };
    let mut out = SoftmaxOutput {
        value: 0.0,
        rows: vec![T::zero(); n],
        anchors: zeros(wanted.anchors, n * d),
        candidates: zeros(wanted.candidates, m * d),
        paired: zeros(wanted.anchors && problem.paired.is_some(), n * d),
        scale: zeros(wanted.anchors, n),
        bias: zeros(wanted.any() && problem.bias.is_some(), m),
    };
    let width = stripe_width(m);
    let stripes = m.div_ceil(width);
    let block = TILE_ROWS.min(n.max(1));
    let mut tiles = vec![T::zero(); block * m];
    let mut state: Vec<Stripe<T>> = (0..stripes)
        .map(|_| Stripe {
            max: vec![T::zero(); block],
            sum: vec![T::zero(); block],
            dot: vec![T::zero(); block],
            factor: vec![T::zero(); block],
            positives: Vec::new(),
            anchors: zeros(wanted.anchors, block * d),
        })
        .collect();
    let mut merged = vec![Row::<T>::default(); block];

    for i0 in (0..n).step_by(block) {
        let r = block.min(n - i0);
        let anchors = &problem.anchors[i0 * d..][..r * d];
        let counts: Vec<usize> = (i0..i0 + r).map(|i| problem.positive_count(i)).collect();

        tiles[..r * m].par_chunks_mut(r * width).zip(state.par_iter_mut()).enumerate().for_each(
            |(t, (tile, stripe))| {
                similarities(problem, anchors, [i0, t * width], tile, &counts, stripe);
            },
        );

        let value = merge(problem, i0, r, &counts, &mut state, &mut merged, &mut out);
        out.value += value;
        if !wanted.any() {
            continue;
        }

        let mut candidate_stripes: Vec<&mut [T]> = out.candidates.chunks_mut(width * d).collect();
        candidate_stripes.resize_with(stripes, Default::default);
        let mut bias_stripes: Vec<&mut [T]> = out.bias.chunks_mut(width).collect();
        bias_stripes.resize_with(stripes, Default::default);
        tiles[..r * m]
            .par_chunks_mut(r * width)
            .zip(state.par_iter_mut())
            .zip(candidate_stripes.into_par_iter().zip(bias_stripes))
            .enumerate()
            .for_each(|(t, ((tile, stripe), (candidates, bias)))| {
                contract(problem, anchors, [i0, t * width], tile, stripe, candidates, bias);
            });
        if wanted.anchors {
            out.anchors[i0 * d..][..r * d]
                .par_chunks_mut(r.div_ceil(rayon::current_num_threads()) * d)
                .enumerate()
                .for_each(|(part, rows)| {
                    let from = part * r.div_ceil(rayon::current_num_threads()) * d;
                    for stripe in &state {
                        vector::axpy(rows, T::one(), &stripe.anchors[from..][..rows.len()]);
                    }
                });
        }
    }
    out
}

/// Step 1: the tile of similarities becomes exponentials against the stripe's own maximum.
fn similarities<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    anchors: &[T],
    [i0, j0]: [usize; 2],
    tile: &mut [T],
    counts: &[usize],
    stripe: &mut Stripe<T>,
) {
    let d = problem.width;
    let r = counts.len();
    let c = tile.len() / r;
    gemm([r, c, d], tile, [c, 1], anchors, [d, 1], &problem.candidates[j0 * d..], [1, d], T::zero(), T::one());
    stripe.positives.clear();
    let drop_positives = problem.denominator != Denominator::WithPositives;
    for (k, row) in tile.chunks_exact_mut(c).enumerate() {
        let i = i0 + k;
        if let Some(positives) = problem.positives {
            let (first, columns) = positives.within(i, j0, j0 + c);
            for (q, &j) in columns.iter().enumerate() {
                if problem.is_excluded(i, j as usize) {
                    continue;
                }
                let weight = match problem.weights {
                    PositiveWeights::Mean => T::one() / T::of(counts[k] as f64),
                    PositiveWeights::One => T::one(),
                    PositiveWeights::PerRow(t) => t[i],
                    PositiveWeights::Each(t) => t[positives.start(i) + first + q],
                };
                let column = j - j0 as u32;
                let dot = row[column as usize];
                stripe.positives.push(Positive { row: k as u32, column, weight, dot, coefficient: T::zero() });
                if drop_positives {
                    row[column as usize] = masked();
                }
            }
        }
        if let Some(excluded) = problem.excluded {
            for &j in excluded.within(i, j0, j0 + c).1 {
                row[j as usize - j0] = masked();
            }
        }
        if let Some(own) = problem.self_offset.map(|o| i + o).filter(|j| (j0..j0 + c).contains(j)) {
            row[own - j0] = masked();
        }
        let scale = problem.scale.of(i);
        let bias = problem.bias.map(|b| &b[j0..j0 + c]);
        let max = match bias {
            None => vector::max(row) * scale,
            Some(bias) => vector::max_biased(row, scale, bias),
        };
        if max < masked::<T>() * scale * T::of(0.5) {
            row.fill(T::zero());
            (stripe.max[k], stripe.sum[k], stripe.dot[k]) = (T::neg_infinity(), T::zero(), T::zero());
            continue;
        }
        let (sum, dot) = match bias {
            None => vector::exp_in_place(row, scale, -max),
            Some(bias) => vector::exp_biased_in_place(row, scale, bias, -max),
        };
        (stripe.max[k], stripe.sum[k], stripe.dot[k]) = (max, sum, dot);
    }
}

/// Step 2: merges the stripes of a block, computes its row values, and writes each stripe's row factors and the
/// coefficients of its positives. Returns the block's share of the value.
fn merge<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    i0: usize,
    r: usize,
    counts: &[usize],
    state: &mut [Stripe<T>],
    merged: &mut [Row<T>],
    out: &mut SoftmaxOutput<T>,
) -> f64 {
    let d = problem.width;
    let bias = problem.bias;
    let width = stripe_width(problem.candidates.len() / d);
    let (zero, one) = (T::zero(), T::one());
    let own_positive = problem.denominator == Denominator::OwnPositive;
    let inside = problem.placement == Placement::Inside;
    let exp = |x: T| x.exponential();
    let clamp = |s: T| problem.positive_clamp.map_or(s, |c| s.min(c).max(-c));
    let logit = |i: usize, j: usize, dot: T| problem.scale.of(i) * dot + bias.map_or(zero, |b| b[j]);

    for (k, row) in merged[..r].iter_mut().enumerate() {
        let max = state.iter().fold(T::neg_infinity(), |m, s| m.max(s.max[k]));
        let neg_inf = T::neg_infinity();
        *row = Row {
            max,
            sum: zero,
            weight: zero,
            count: counts[k],
            positive_max: neg_inf,
            positive_sum: zero,
            active: true,
        };
    }
    for (t, stripe) in state.iter().enumerate() {
        for p in &stripe.positives {
            let row = &mut merged[p.row as usize];
            let s = logit(i0 + p.row as usize, t * width + p.column as usize, p.dot);
            row.positive_max = row.positive_max.max(s);
            row.weight += p.weight;
        }
    }
    let mut value = 0f64;
    let mut moments = vec![zero; r]; // sum over candidates of coefficient x dot, for d scale
    let mut logs = vec![zero; r];
    for (k, row) in merged[..r].iter_mut().enumerate() {
        let i = i0 + k;
        let own = problem.paired.map(|p| {
            let dot = vector::dot(&problem.anchors[i * d..][..d], &p[i * d..][..d]);
            (dot, problem.scale.of(i) * dot)
        });
        if let Some((_, s)) = own {
            (row.weight, row.count) = (one, 1);
            if problem.denominator != Denominator::NegativesOnly {
                row.max = row.max.max(s);
            }
        }
        if own_positive {
            row.max = row.max.max(row.positive_max);
        }
        if problem.offset > zero {
            row.max = row.max.max(problem.offset.ln());
        }
        if row.count == 0 || row.max == T::neg_infinity() {
            row.active = false;
            state.iter_mut().for_each(|s| s.factor[k] = zero);
            continue;
        }
        let mut moment = zero;
        for stripe in state.iter_mut() {
            let e = if stripe.max[k] == T::neg_infinity() { zero } else { exp(stripe.max[k] - row.max) };
            stripe.factor[k] = e;
            row.sum += e * stripe.sum[k];
            moment += e * stripe.dot[k];
        }
        let weight = problem.row_weight(i);
        if own_positive && own.is_none() {
            moments[k] = moment;
            continue; // the denominators differ between a row's positives: below
        }
        let mut sum = row.sum;
        if problem.offset > zero {
            sum += (problem.offset.ln() - row.max).exp();
        }
        let own_share = match own {
            Some((_, s)) if problem.denominator != Denominator::NegativesOnly => exp(s - row.max),
            _ => zero,
        };
        sum += own_share;
        let log = row.max + sum.ln();
        let total = if inside { one } else { problem.denominator_weights.map_or(row.weight, |a| a[i]) };
        let coefficient = weight * total / sum;
        state.iter_mut().for_each(|s| s.factor[k] *= coefficient);
        let mut l = total * log;
        if let Some((dot, s)) = own {
            let free = clamp(s) == s;
            l -= clamp(s);
            let g = coefficient * own_share - if free { weight } else { zero };
            moment = moment * coefficient + g * dot;
            if !out.paired.is_empty() {
                let g = g * problem.scale.of(i);
                let anchor = &problem.anchors[i * d..][..d];
                vector::axpy(&mut out.paired[i * d..][..d], g, anchor);
                vector::axpy(&mut out.anchors[i * d..][..d], g, &problem.paired.unwrap_or_default()[i * d..][..d]);
            }
        } else {
            moment *= coefficient;
        }
        moments[k] = moment;
        logs[k] = l;
    }

    // the positives of the lists
    if inside {
        for (t, stripe) in state.iter().enumerate() {
            for p in &stripe.positives {
                let k = p.row as usize;
                let s = logit(i0 + k, t * width + p.column as usize, p.dot);
                merged[k].positive_sum += p.weight * (s - merged[k].positive_max).exp();
            }
        }
        for (k, row) in merged[..r].iter_mut().enumerate() {
            if row.active && row.positive_sum > zero {
                logs[k] -= row.positive_max + row.positive_sum.ln();
            }
        }
    }
    let mut own_factor = vec![zero; if own_positive { r } else { 0 }];
    for (t, stripe) in state.iter_mut().enumerate() {
        for p in &mut stripe.positives {
            let k = p.row as usize;
            let row = &merged[k];
            if !row.active {
                continue;
            }
            let i = i0 + k;
            let s = logit(i, t * width + p.column as usize, p.dot);
            let weight = problem.row_weight(i);
            let free = clamp(s) == s;
            let pull = if free { weight * p.weight } else { zero };
            p.coefficient = if inside {
                -weight * p.weight * (s - row.positive_max).exp() / row.positive_sum
            } else if own_positive {
                let e = exp(s - row.max);
                let sum = e + row.sum;
                logs[k] += p.weight * (row.max + sum.ln() - clamp(s));
                own_factor[k] += weight * p.weight / sum;
                weight * p.weight * e / sum - pull
            } else {
                logs[k] -= p.weight * clamp(s);
                -pull
            };
            if own_positive {
                // the negatives' share is added when the row's factor is known
                out.scale.get_mut(i).into_iter().for_each(|g| *g += p.coefficient * p.dot);
            } else {
                moments[k] += p.coefficient * p.dot;
            }
        }
    }
    if own_positive && problem.paired.is_none() {
        for k in 0..r {
            moments[k] *= own_factor[k];
            state.iter_mut().for_each(|s| s.factor[k] *= own_factor[k]);
        }
    }
    for (k, row) in merged[..r].iter().enumerate() {
        if row.active {
            let i = i0 + k;
            out.rows[i] = logs[k];
            value += problem.row_weight(i).f64() * logs[k].f64();
            out.scale.get_mut(i).into_iter().for_each(|g| *g += moments[k]);
        }
    }
    value
}

/// Step 3: exponentials become d value / d similarity, and are contracted into both gradients.
fn contract<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    anchors: &[T],
    [i0, j0]: [usize; 2],
    tile: &mut [T],
    stripe: &mut Stripe<T>,
    candidates: &mut [T],
    bias: &mut [T],
) {
    let d = problem.width;
    let r = anchors.len() / d;
    let c = tile.len() / r;
    let uniform = bias.is_empty();
    for (k, row) in tile.chunks_exact_mut(c).enumerate() {
        let scale = if uniform { problem.scale.of(i0 + k) } else { T::one() };
        vector::scale(row, stripe.factor[k] * scale);
    }
    for p in &stripe.positives {
        let scale = if uniform { problem.scale.of(i0 + p.row as usize) } else { T::one() };
        tile[p.row as usize * c + p.column as usize] += p.coefficient * scale;
    }
    if !uniform {
        for (k, row) in tile.chunks_exact_mut(c).enumerate() {
            vector::axpy(bias, T::one(), row);
            vector::scale(row, problem.scale.of(i0 + k));
        }
    }
    if problem.wanted.candidates {
        gemm([c, d, r], candidates, [d, 1], tile, [1, c], anchors, [d, 1], T::one(), T::one());
    }
    if problem.wanted.anchors {
        let table = &problem.candidates[j0 * d..];
        gemm([r, d, c], &mut stripe.anchors[..r * d], [d, 1], tile, [c, 1], table, [d, 1], T::zero(), T::one());
    }
}
