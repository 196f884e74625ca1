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
    BLOCK_BYTES, BLOCK_ROWS, Denominator, FEW, Placement, PositiveWeights, STRIPE_BYTES, SoftmaxOutput, SoftmaxProblem,
    TILE_COLUMNS, lanes,
};
use crate::memory::{PerThread, zeros};
use crate::product::Panels;
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
    /// Sum of the exponentials relative to `max`; NaN if a logit is NaN.
    pub sum: Vec<T>,
    /// Sum of exponential times inner product.
    pub dot: Vec<T>,
    /// What turns an exponential of the tile into d value / d logit.
    pub factor: Vec<T>,
    pub pulls: Vec<Pull<T>>,
    /// In the order of their rows.
    pub positives: Vec<Positive<T>>,
    /// Which panels have so many positives that these are written into the tile.
    full: Vec<bool>,
    /// The stripe's part of the anchors' gradient, before the factors: `[width, line]` a panel.
    anchors: Vec<T>,
}

/// Stripe width for `m` columns of `row_bytes`: 8 stripes keep 8 threads busy, more only where they have [`TILE_COLUMNS`] or
/// their rows [`STRIPE_BYTES`].
pub(super) fn stripe_width(m: usize, row_bytes: usize) -> usize {
    let most = (STRIPE_BYTES / row_bytes.max(1)).clamp(64, TILE_COLUMNS);
    m.div_ceil(8).next_multiple_of(32).clamp(64, most)
}

/// Rows of a block for n x m elements of `size` bytes in stripes of this width: as [`BLOCK_ROWS`] says, or what keeps the block within
/// [`BLOCK_BYTES`], but never below 64; all blocks of nearly one size.
fn block_rows(n: usize, m: usize, size: usize, stripe: usize) -> usize {
    let [fewest, most] = BLOCK_ROWS;
    let most = (BLOCK_BYTES / (m.max(1) * size) / 32 * 32).clamp(64, stripe.clamp(fewest, most));
    n.div_ceil(n.div_ceil(most).max(1)).next_multiple_of(32).min(n).max(1)
}

/// Value and gradients of `problem`, anchors against candidates.
///
/// Inputs that are not finite make the values that depend on them NaN, and the value of the whole; so do inputs whose largest entries multiply to
/// `4e29 / width` and more, and then all values and gradients are NaN. Nothing else does: the largest logit is subtracted before every
/// exponential, and logits are as exact as their own rounding.
///
/// # Panics
/// When the problem is not as documented at the fields of [`SoftmaxProblem`]: a slice of the wrong length (the message
/// names it and both sizes), a column outside the candidates, a scale outside `[1e-9, 2e9]`, or options that exclude each
/// other.
pub fn rows<T: Element>(problem: &SoftmaxProblem<'_, T>) -> SoftmaxOutput<T> {
    T::softmax_rows(problem)
}

pub(crate) fn rows_generic<T: Element>(problem: &SoftmaxProblem<'_, T>) -> SoftmaxOutput<T> {
    let shape = problem.check();
    // one entry into the thread pool, not one for each step
    rayon::scope(|_| {
        let mut out = evaluate(problem, shape);
        if vector::out_of_range(problem.anchors, problem.candidates, problem.width) {
            out.value = f64::NAN;
            let gradients = [&mut out.anchors, &mut out.candidates, &mut out.paired, &mut out.scale, &mut out.bias];
            gradients.into_iter().chain([&mut out.rows]).for_each(|x| x.fill(T::nan()));
            return out;
        }
        // a NaN row that is compared with nothing has no value, but NaN gradients
        let tables = [problem.anchors, problem.candidates, problem.paired.unwrap_or_default()];
        if out.value.is_finite() && !vector::all_finite(&tables) {
            out.value = f64::NAN;
        }
        out
    })
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
    let panels = Panels::new::<T>(d);
    let line = panels.line();
    let width = stripe_width(m, d * size_of::<T>());
    let stripes = m.div_ceil(width);
    let block = block_rows(n, m, size_of::<T>(), width);
    let padded = panels.count(block) * line;
    let mut tiles = zeros(true, if keeps_tiles(problem) { padded } else { line } * m);
    let mut transposed = vec![T::zero(); panels.transposed_len(block)];
    let on = |on: bool, len: usize| vec![T::zero(); if on { len } else { 0 }];
    let mut state: Vec<Stripe<T>> = (0..stripes)
        .map(|_| Stripe {
            max: vec![T::zero(); padded],
            sum: vec![T::zero(); padded],
            dot: vec![T::zero(); padded],
            factor: vec![T::zero(); padded],
            pulls: vec![Pull::none(); block],
            positives: Vec::new(),
            full: vec![false; panels.count(block)],
            anchors: zeros(wanted.anchors, padded * d),
        })
        .collect();
    let scratch = PerThread::new(|| Scratch {
        lines: on(wanted.candidates, panels.lines_len(block)),
        slopes: on(!out.bias.is_empty(), padded),
    });
    let sums = PerThread::new(|| on(wanted.anchors, line * d));
    let mut merged = vec![Row::<T>::default(); block];

    for i0 in (0..n).step_by(block) {
        let r = block.min(n - i0);
        let anchors = &problem.anchors[i0 * d..][..r * d];
        let counts: Vec<usize> = (i0..i0 + r).map(|i| problem.positive_count(i)).collect();

        let count = panels.count(r);
        let tile_rows = if keeps_tiles(problem) { count * line } else { line };
        let tiles = &mut tiles[..tile_rows * m];
        panels.transpose(anchors, &mut transposed[..count * line * d]);
        let block = Block { problem, panels, anchors, transposed: &transposed, i0, counts: &counts };
        tiles
            .par_chunks_mut(tile_rows * width)
            .zip(state.par_iter_mut())
            .enumerate()
            .with_max_len(1)
            .for_each(|(t, (tile, stripe))| block.similarities(t * width, tile, stripe));

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
            .par_chunks_mut(tile_rows * width)
            .zip(state.par_iter_mut())
            .zip(candidate_stripes.into_par_iter().zip(bias_stripes))
            .enumerate()
            .with_max_len(1)
            .for_each(|(t, ((tile, stripe), (candidates, bias)))| {
                block.contract(t * width, tile, &merged[..r], stripe, &mut scratch.own(), [candidates, bias]);
            });
        if wanted.anchors {
            let rows = &mut out.anchors[i0 * d..][..r * d];
            rows.par_chunks_mut(line * d).enumerate().for_each(|(p, rows)| {
                block.gather_anchors(p, &state, width, &mut sums.own(), rows);
            });
        }
    }
    out
}

/// Are the exponentials of a block needed once its rows' sums are known? If not, each stripe keeps one panel.
fn keeps_tiles<T>(problem: &SoftmaxProblem<'_, T>) -> bool {
    problem.wanted.candidates || (problem.wanted.anchors && problem.bias.is_some())
}

/// What one thread needs to contract a tile.
struct Scratch<T> {
    /// The anchors of a block times the factors of a stripe.
    lines: Vec<T>,
    /// What turns an exponential of the tile into d value / d logit, for the gradient of the bias.
    slopes: Vec<T>,
}

/// A block of rows against all columns.
#[derive(Clone, Copy)]
struct Block<'a, T> {
    problem: &'a SoftmaxProblem<'a, T>,
    panels: Panels,
    /// The rows, and their transpose.
    anchors: &'a [T],
    transposed: &'a [T],
    i0: usize,
    /// Positives of each row.
    counts: &'a [usize],
}

impl<T: Element> Block<'_, T> {
    /// Columns of a stripe whose tile has so many elements.
    fn columns(&self, tile: &[T]) -> usize {
        let panels = if keeps_tiles(self.problem) { self.panels.count(self.counts.len()) } else { 1 };
        tile.len() / (panels * self.panels.line())
    }

    /// Step 1: the tile of similarities becomes exponentials against the stripe's own maximum, and, panel by panel while it is
    /// in the cache, is contracted with the candidates.
    fn similarities(&self, j0: usize, tile: &mut [T], stripe: &mut Stripe<T>) {
        let Self { problem, panels, .. } = *self;
        let (d, line, r) = (problem.width, panels.line(), self.counts.len());
        let c = self.columns(tile);
        let candidates = &problem.candidates[j0 * d..][..c * d];
        let bias = problem.bias.map_or(&[][..], |b| &b[j0..j0 + c]);
        let scale_of = |i: usize| if i < r { problem.scale.of(self.i0 + i) } else { T::one() };
        let keeps = keeps_tiles(problem);
        stripe.positives.clear();
        let mut scales = vec![T::one(); line];
        let mut shifts = vec![T::zero(); line];
        for p in 0..panels.count(r) {
            let panel = if keeps { &mut tile[p * c * line..][..c * line] } else { &mut *tile };
            panels.similarities(candidates, &self.transposed[p * d * line..][..d * line], panel, p == 0);
            let rows = p * line..(p + 1) * line;
            let from = stripe.positives.len();
            for (lane, k) in rows.clone().enumerate() {
                scales[lane] = scale_of(k);
                if k < r {
                    stripe.pulls[k] = self.gather(k, j0, c, panel, &mut stripe.positives);
                    self.mask(k, j0, c, panel);
                } else {
                    panel.iter_mut().skip(lane).step_by(line).for_each(|x| *x = masked());
                }
            }
            let max = &mut stripe.max[rows.clone()];
            lanes::max(panel, &scales, bias, max);
            for ((shift, max), &scale) in shifts.iter_mut().zip(max).zip(&scales) {
                let some = *max > masked::<T>() * scale * T::of(0.5);
                *shift = if some { -*max } else { T::zero() };
                if !some {
                    *max = T::neg_infinity();
                }
            }
            let (sums, dots) = (&mut stripe.sum[rows.clone()], &mut stripe.dot[rows.clone()]);
            lanes::exp(panel, &scales, bias, &shifts, [&mut *sums, &mut *dots]);
            // either nothing is compared, or the maximum passed over NaN logits
            for ((max, sum), dot) in stripe.max[rows].iter_mut().zip(sums).zip(dots) {
                if *max == T::neg_infinity() {
                    let nan = sum.is_nan();
                    *max = if nan { T::zero() } else { *max };
                    (*sum, *dot) = if nan { (T::nan(), T::nan()) } else { (T::zero(), T::zero()) };
                }
            }
            // a positive by itself costs as much as several in the tile
            stripe.full[p] = keeps && (stripe.positives.len() - from) * FEW > c * line;
            if problem.wanted.anchors && !stripe.full[p] {
                panels.of_anchors(candidates, panel, &mut stripe.anchors[p * d * line..][..d * line], false);
            }
        }
    }

    /// Masks what row `k` is not compared with.
    fn mask(&self, k: usize, j0: usize, c: usize, panel: &mut [T]) {
        let (i, line) = (self.i0 + k, self.panels.line());
        if let Some(excluded) = self.problem.excluded {
            for &j in excluded.within(i, j0, j0 + c).1 {
                panel[(j as usize - j0) * line + k % line] = masked();
            }
        }
        if let Some(own) = self.problem.self_offset.map(|o| i + o).filter(|j| (j0..j0 + c).contains(j)) {
            panel[(own - j0) * line + k % line] = masked();
        }
    }

    /// Collects the positives of row `k` inside a stripe, before the exponential, and masks them where the denominator holds
    /// negatives only.
    fn gather(&self, k: usize, j0: usize, c: usize, panel: &mut [T], found: &mut Vec<Positive<T>>) -> Pull<T> {
        let (problem, i, line) = (self.problem, self.i0 + k, self.panels.line());
        let Some(positives) = problem.positives else { return Pull::none() };
        let (first, columns) = positives.within(i, j0, j0 + c);
        let from = found.len();
        let scale = problem.scale.of(i);
        let drop = problem.denominator != Denominator::WithPositives;
        for (q, &j) in columns.iter().enumerate() {
            if problem.is_excluded(i, j as usize) {
                continue;
            }
            let weight = match problem.weights {
                PositiveWeights::Mean => T::one() / T::of(self.counts[k] as f64),
                PositiveWeights::One => T::one(),
                PositiveWeights::PerRow(t) => t[i],
                PositiveWeights::Each(t) => t[positives.start(i) + first + q],
            };
            let column = j - j0 as u32;
            let at = column as usize * line + k % line;
            let dot = panel[at];
            // rounded as in the denominator: a row with nothing beside its positive costs exactly 0
            let logit = problem.bias.map_or(dot * scale, |b| dot.mul_add(scale, b[j as usize]));
            found.push(Positive { row: k as u32, column, weight, dot, logit, coefficient: T::zero() });
            if drop {
                panel[at] = masked();
            }
        }
        Pull::of(problem, &found[from..])
    }

    /// Step 3: exponentials times factors (and scales) are d value / d similarity, contracted into the candidates' gradient (and, in full
    /// panels, the anchors').
    ///
    /// `P = diag(f) E` is made in full panels only, whose factor then is the scale: `P^T X = E^T (diag(f) X)` and `P Y = diag(f) (E Y)`,
    /// and the few positives of a panel that is not full are rows added to rows.
    fn contract(
        &self,
        j0: usize,
        tile: &mut [T],
        merged: &[Row<T>],
        stripe: &mut Stripe<T>,
        scratch: &mut Scratch<T>,
        [candidates, bias]: [&mut [T]; 2],
    ) {
        let Self { problem, panels, .. } = *self;
        let (d, line, r) = (problem.width, panels.line(), merged.len());
        let c = self.columns(tile);
        let Stripe { factor, positives, anchors: part, full, .. } = stripe;
        factor[r..].fill(T::zero());
        for p in positives.iter_mut() {
            let k = p.row as usize;
            if problem.denominator != Denominator::OwnPositive {
                p.coefficient = coefficient(problem, self.i0 + k, &merged[k], p);
            }
        }
        for (p, panel) in tile.chunks_exact_mut(c * line).enumerate().filter(|(p, _)| full[*p]) {
            let factors = &mut factor[p * line..][..line];
            lanes::scale(panel, factors);
            for positive in within_panel(positives, p, line) {
                panel[positive.column as usize * line + positive.row as usize % line] += positive.coefficient;
            }
            factors.fill(T::one());
            if problem.wanted.anchors {
                let own = &problem.candidates[j0 * d..][..c * d];
                panels.of_anchors(own, panel, &mut part[p * d * line..][..d * line], false);
            }
        }
        let Scratch { lines, slopes } = scratch;
        slopes.iter_mut().zip(&*factor).for_each(|(slope, &factor)| *slope = factor);
        for (k, f) in factor[..r].iter_mut().enumerate() {
            *f *= problem.scale.of(self.i0 + k);
        }
        for p in positives.iter_mut().filter(|p| !full[p.row as usize / line]) {
            bias.get_mut(p.column as usize).into_iter().for_each(|g| *g += p.coefficient);
            p.coefficient *= problem.scale.of(self.i0 + p.row as usize);
        }
        let mut add_slopes = |range| {
            if !bias.is_empty() {
                lanes::add_columns(tile, [c, line], range, slopes, bias);
            }
        };
        if !problem.wanted.candidates {
            return add_slopes(0..c);
        }
        panels.lines(self.anchors, Some(&factor[..r]), lines);
        panels.of_candidates(tile, lines, candidates, add_slopes);
        for p in positives.iter().filter(|p| !full[p.row as usize / line]) {
            let (k, q) = (p.row as usize, p.column as usize);
            vector::axpy(&mut candidates[q * d..][..d], p.coefficient, &self.anchors[k * d..][..d]);
        }
    }

    /// Adds up what the stripes, `width` columns each, have for the anchors of panel `p`; `sums` is scratch of a panel's size.
    fn gather_anchors(&self, p: usize, state: &[Stripe<T>], width: usize, sums: &mut [T], rows: &mut [T]) {
        let Self { problem, panels, .. } = *self;
        let (d, line) = (problem.width, panels.line());
        sums.fill(T::zero());
        for (t, stripe) in state.iter().enumerate() {
            let part = &stripe.anchors[p * d * line..][..d * line];
            lanes::add_scaled(part, &stripe.factor[p * line..][..line], sums);
            for positive in within_panel(&stripe.positives, p, line).iter().filter(|_| !stripe.full[p]) {
                let candidate = &problem.candidates[(t * width + positive.column as usize) * d..][..d];
                vector::axpy(&mut rows[positive.row as usize % line * d..][..d], positive.coefficient, candidate);
            }
        }
        panels.add_rows(sums, rows);
    }
}

/// The positives of the rows of a panel.
fn within_panel<T>(positives: &[Positive<T>], panel: usize, line: usize) -> &[Positive<T>] {
    let of = |p: &Positive<T>| p.row as usize / line;
    let from = positives.partition_point(|p| of(p) < panel);
    let to = from + positives[from..].partition_point(|p| of(p) == panel);
    &positives[from..to]
}

/// Is the sum over positives inside the logarithm?
pub(super) fn inside<T>(problem: &SoftmaxProblem<'_, T>) -> bool {
    problem.placement == Placement::Inside
}
