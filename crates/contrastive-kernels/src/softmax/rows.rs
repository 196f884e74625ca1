//! One direction: a block of rows against all columns, in three steps; nothing is recomputed, 6 N M D flops.
//!
//! For each block of rows: (1) column stripes in parallel: product, exclusions, row maximum,
//! exponential in place, sums; (2) the stripes' (maximum, sum) pairs merge into exact log-sum-exps, each row becomes one
//! coefficient ([`super::merge`]); (3) stripes in parallel: contract into both gradients. A thread owns its stripe of the
//! candidates' gradient, so nothing is reduced across threads; the anchors' partial gradients are added in stripe order.
//! Blocks and stripes follow from the shape alone: the results do not depend on the number of threads.
//!
//! Memory beside the results: a block of similarities and `block * d` for each stripe, see [`block_rows`].

use super::merge::{Pull, Row, coefficient, merge, own_denominators};
use super::{
    BLOCK_BYTES, Denominator, Placement, PositiveWeights, SoftmaxOutput, SoftmaxProblem, TILE_BYTES, TILE_COLUMNS,
};
use crate::memory::{scratch, zeros};
use crate::product::add_transposed;
use crate::real::gemm;
use crate::vector::{self, Element, masked};
use rayon::prelude::*;

/// One positive of a block that falls into a stripe.
#[derive(Clone, Copy)]
pub(super) struct Positive<T> {
    pub row: u32,
    pub column: u32,
    pub weight: T,
    /// The raw inner product, taken before the exponential overwrites it.
    pub dot: T,
    pub logit: T,
    /// d value / d logit, beside its share in the denominator where that is in the tile.
    pub coefficient: T,
}

/// What a stripe knows of a block of rows.
pub(super) struct Stripe<T> {
    /// Largest logit of each row; finite or `-inf`, the latter for a row with nothing to compare.
    pub max: Vec<T>,
    /// Sum of the exponentials relative to `max`; NaN if a logit is none.
    pub sum: Vec<T>,
    /// Sum of exponential times inner product.
    pub dot: Vec<T>,
    /// What turns an exponential of the tile into d value / d logit.
    pub factor: Vec<T>,
    pub pulls: Vec<Pull<T>>,
    pub positives: Vec<Positive<T>>,
    /// Scaled anchors, then the stripe's part of their gradient.
    pub anchors: Vec<T>,
}

/// Stripe width for `m` columns: 8 stripes keep 8 threads busy, more only where they stay [`TILE_COLUMNS`] wide.
pub(super) fn stripe_width(m: usize) -> usize {
    m.div_ceil(8).next_multiple_of(32).clamp(64, TILE_COLUMNS)
}

/// Rows of a block for n x m elements of `size` bytes in stripes of `width` columns: what keeps a tile within
/// [`TILE_BYTES`] and the block within [`BLOCK_BYTES`], but never below 64 rows; all blocks of nearly one size.
fn block_rows(n: usize, m: usize, width: usize, size: usize) -> usize {
    let most = (TILE_BYTES / (width * size)).min(BLOCK_BYTES / (m.max(1) * size)) / 32 * 32;
    n.div_ceil(n.div_ceil(most.clamp(64, 512)).max(1)).next_multiple_of(32).min(n).max(1)
}

/// Value and gradients of `problem`, anchors against candidates.
///
/// Inputs that are not finite make the values that depend on them NaN; nothing else does: the largest logit is subtracted
/// before every exponential.
///
/// # Panics
/// When the problem is not as documented at the fields of [`SoftmaxProblem`]: a slice of the wrong length (the message
/// names it and both sizes), a column outside the candidates, a scale outside `[1e-9, 1e9]`, or options that exclude each
/// other.
pub fn rows<T: Element>(problem: &SoftmaxProblem<'_, T>) -> SoftmaxOutput<T> {
    let shape = problem.check();
    // one entry into the thread pool, not one for each step
    rayon::scope(|_| evaluate(problem, shape))
}

fn evaluate<T: Element>(problem: &SoftmaxProblem<'_, T>, [n, m]: [usize; 2]) -> SoftmaxOutput<T> {
    let d = problem.width;
    let wanted = problem.wanted;
    let zeros = |on: bool, len: usize| if on { zeros(len) } else { Vec::new() };
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
    let block = block_rows(n, m, width, size_of::<T>());
    let mut tiles = scratch(block * m); // first touched by the products, which write only
    let mut state: Vec<Stripe<T>> = (0..stripes)
        .map(|_| Stripe {
            max: vec![T::zero(); block],
            sum: vec![T::zero(); block],
            dot: vec![T::zero(); block],
            factor: vec![T::zero(); block],
            pulls: vec![Pull::none(); block],
            positives: Vec::new(),
            anchors: zeros(wanted.any(), block * d),
        })
        .collect();
    let mut merged = vec![Row::<T>::default(); block];

    for i0 in (0..n).step_by(block) {
        let r = block.min(n - i0);
        let anchors = &problem.anchors[i0 * d..][..r * d];
        let counts: Vec<usize> = (i0..i0 + r).map(|i| problem.positive_count(i)).collect();

        let tiles = &mut tiles[..r * m];
        tiles.par_chunks_mut(r * width).zip(state.par_iter_mut()).enumerate().with_max_len(1).for_each(
            |(t, (tile, stripe))| {
                similarities(problem, anchors, [i0, t * width], tile, &counts, stripe);
            },
        );

        merge(problem, i0, &counts, &mut state, &mut merged[..r], &mut out);
        if problem.denominator == Denominator::OwnPositive && problem.paired.is_none() {
            own_denominators(problem, i0, &mut state, &mut merged[..r]);
        }
        for (k, row) in merged[..r].iter().enumerate() {
            out.value += problem.row_weight(i0 + k).f64() * row.value.f64();
            out.rows[i0 + k] = row.value;
            out.scale.get_mut(i0 + k).into_iter().for_each(|g| *g = row.moment);
        }
        if !wanted.any() {
            continue;
        }

        let mut candidate_stripes: Vec<&mut [T]> = out.candidates.chunks_mut(width * d).collect();
        candidate_stripes.resize_with(stripes, Default::default);
        let mut bias_stripes: Vec<&mut [T]> = out.bias.chunks_mut(width).collect();
        bias_stripes.resize_with(stripes, Default::default);
        tiles
            .par_chunks_mut(r * width)
            .zip(state.par_iter_mut())
            .zip(candidate_stripes.into_par_iter().zip(bias_stripes))
            .enumerate()
            .with_max_len(1)
            .for_each(|(t, ((tile, stripe), (candidates, bias)))| {
                contract(problem, anchors, [i0, t * width], tile, &merged[..r], stripe, candidates, bias);
            });
        if wanted.anchors {
            let part = r.div_ceil(rayon::current_num_threads());
            out.anchors[i0 * d..][..r * d].par_chunks_mut(part * d).enumerate().for_each(|(p, rows)| {
                for stripe in &state {
                    vector::axpy(rows, T::one(), &stripe.anchors[p * part * d..][..rows.len()]);
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
    let bias = problem.bias.map(|b| &b[j0..j0 + c]);
    for (k, row) in tile.chunks_exact_mut(c).enumerate() {
        let i = i0 + k;
        let scale = problem.scale.of(i);
        stripe.pulls[k] = gather(problem, [i, k, j0], counts[k], row, &mut stripe.positives);
        if let Some(excluded) = problem.excluded {
            for &j in excluded.within(i, j0, j0 + c).1 {
                row[j as usize - j0] = masked();
            }
        }
        if let Some(own) = problem.self_offset.map(|o| i + o).filter(|j| (j0..j0 + c).contains(j)) {
            row[own - j0] = masked();
        }
        let max = match bias {
            None => vector::max(row) * scale,
            Some(bias) => vector::max_biased(row, scale, bias),
        };
        let nothing = masked::<T>() * scale * T::of(0.5);
        if max > nothing {
            let (sum, dot) = match bias {
                None => vector::exp_in_place(row, scale, -max),
                Some(bias) => vector::exp_biased_in_place(row, scale, bias, -max),
            };
            (stripe.max[k], stripe.sum[k], stripe.dot[k]) = (max, sum, dot);
            continue;
        }
        // either nothing is compared, or the maximum passed over logits that are no numbers
        let nan = row.iter().enumerate().any(|(q, v)| (*v * scale + bias.map_or(T::zero(), |b| b[q])).is_nan());
        if nan {
            row.fill(T::nan());
            (stripe.max[k], stripe.sum[k], stripe.dot[k]) = (T::zero(), T::nan(), T::nan());
        } else {
            row.fill(T::zero());
            (stripe.max[k], stripe.sum[k], stripe.dot[k]) = (T::neg_infinity(), T::zero(), T::zero());
        }
    }
}

/// Collects the positives of one row inside a stripe, before the exponential, and masks them where the denominator holds
/// negatives only.
fn gather<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    [i, k, j0]: [usize; 3],
    count: usize,
    row: &mut [T],
    found: &mut Vec<Positive<T>>,
) -> Pull<T> {
    let Some(positives) = problem.positives else { return Pull::none() };
    let (first, columns) = positives.within(i, j0, j0 + row.len());
    let from = found.len();
    let scale = problem.scale.of(i);
    let drop = problem.denominator != Denominator::WithPositives;
    for (q, &j) in columns.iter().enumerate() {
        if problem.is_excluded(i, j as usize) {
            continue;
        }
        let weight = match problem.weights {
            PositiveWeights::Mean => T::one() / T::of(count as f64),
            PositiveWeights::One => T::one(),
            PositiveWeights::PerRow(t) => t[i],
            PositiveWeights::Each(t) => t[positives.start(i) + first + q],
        };
        let column = j - j0 as u32;
        let dot = row[column as usize];
        let logit = dot * scale + problem.bias.map_or(T::zero(), |b| b[j as usize]);
        found.push(Positive { row: k as u32, column, weight, dot, logit, coefficient: T::zero() });
        if drop {
            row[column as usize] = masked();
        }
    }
    Pull::of(problem, &found[from..])
}

/// Step 3: exponentials become d value / d similarity, and are contracted into both gradients.
///
/// Without positives in the tile, `P = diag(f) E` is never made: `P^T X = E^T (diag(f) X)` and `P Y = diag(f) (E Y)`.
fn contract<T: Element>(
    problem: &SoftmaxProblem<'_, T>,
    anchors: &[T],
    [i0, j0]: [usize; 2],
    tile: &mut [T],
    merged: &[Row<T>],
    stripe: &mut Stripe<T>,
    candidates: &mut [T],
    bias: &mut [T],
) {
    let d = problem.width;
    let r = merged.len();
    let c = tile.len() / r;
    let Stripe { factor, positives, anchors: part, .. } = stripe;
    let part = &mut part[..r * d];
    if !bias.is_empty() {
        for (row, &f) in tile.chunks_exact(c).zip(factor.iter()) {
            vector::axpy(bias, f, row);
        }
    }
    for (k, f) in factor[..r].iter_mut().enumerate() {
        *f *= problem.scale.of(i0 + k);
    }
    let own = problem.denominator == Denominator::OwnPositive;
    let late = positives.is_empty();
    if !late {
        for (row, &f) in tile.chunks_exact_mut(c).zip(factor.iter()) {
            vector::scale(row, f);
        }
        for p in positives.iter_mut() {
            let (k, q) = (p.row as usize, p.column as usize);
            if !own {
                p.coefficient = coefficient(problem, i0 + k, &merged[k], p);
            }
            tile[k * c + q] += p.coefficient * problem.scale.of(i0 + k);
            bias.get_mut(q).into_iter().for_each(|g| *g += p.coefficient);
        }
    }
    if problem.wanted.candidates {
        let mut left = anchors;
        if late {
            for (k, (to, from)) in part.chunks_exact_mut(d).zip(anchors.chunks_exact(d)).enumerate() {
                vector::scaled(to, factor[k], from);
            }
            left = part;
        }
        add_transposed([c, d, r], candidates, tile, c, left, T::one());
    }
    if problem.wanted.anchors {
        let table = &problem.candidates[j0 * d..];
        gemm([r, d, c], part, [d, 1], tile, [c, 1], table, [d, 1], T::zero(), T::one());
        if late {
            for (to, &f) in part.chunks_exact_mut(d).zip(factor.iter()) {
                vector::scale(to, f);
            }
        }
    }
}

/// Is the sum over positives inside the logarithm?
pub(super) fn inside<T>(problem: &SoftmaxProblem<'_, T>) -> bool {
    problem.placement == Placement::Inside
}
