//! Objectives that are a sum over anchors of any function of an anchor's similarities: what is no softmax.
//!
//! A [`RowLoss`] sees one row of similarities, says what it is worth, and turns it in place into `d value / d similarity`.
//! The engine makes the rows, shares them out among the threads, and contracts them into both gradients: 6 N M D flops for value
//! and gradients, 2 N M D for the value, memory for a block of rows.
//!
//! For each block of rows: (1) parts of it in parallel: product, the rows' function, the anchors' gradient; (2) stripes of
//! columns in parallel: the candidates' gradient. Nothing is summed across threads, and blocks follow from the shape: the
//! results do not depend on the number of threads.

mod below;
mod centers;
mod curves;
mod debiased;
mod expected;
mod fast_ap;
mod hard_triplet;
mod lifted;
mod losses;
mod margin_band;
mod margin_based;
mod ranked_list;
mod ranks;
mod squared;
mod triplets;
mod tuplet;

pub use below::best_below;
pub(crate) use below::best_below_generic;
pub use centers::{CenterPool, CenterSoftmax};
pub use curves::PairCurves;
pub use debiased::Debiased;
pub use expected::ExpectedSimilarity;
pub use fast_ap::FastAp;
pub use hard_triplet::{HardNegative, HardTriplet};
pub use lifted::LiftedPairs;
pub use losses::{Circle, LiftedStructure, MarginSoftmax, Margins, Measure, MultiSimilarity, Sigmoid, TargetMargin};
pub use margin_band::MarginBand;
pub use margin_based::MarginBased;
pub use ranked_list::RankedList;
pub use ranks::{PositiveRanks, RankCost};
pub use squared::SquaredMargins;
pub use triplets::{Mining, Points, Triplets};
pub use tuplet::TupletMargin;

use crate::memory::{PerThread, zeros};
use crate::product::Panels;
use crate::real::gemm;
use crate::softmax::{RowSets, Wanted};
use crate::vector::{self, Element};
use rayon::prelude::*;

/// Most bytes of a block of rows.
const BLOCK_BYTES: usize = 32 << 20;
/// Parts of a block of rows, and least stripes of its columns: enough for 8 threads.
const PARTS: usize = 8;

/// What a row adds up beside its value; each [`RowLoss`] says what its sums are.
pub type Sums = [f64; 4];

/// What an anchor is compared with.
#[derive(Clone, Copy, Debug)]
pub struct RowPairs<'a> {
    /// Columns of the positives, ascending; those that are `own` or excluded are none.
    pub positives: &'a [u32],
    /// Columns that are not compared, ascending.
    pub excluded: &'a [u32],
    /// The column that is the anchor itself.
    pub own: Option<usize>,
}

impl<'a> RowPairs<'a> {
    /// Columns of the positives.
    pub fn positives(self) -> impl Iterator<Item = usize> + Clone + 'a {
        let compared = move |j: &u32| Some(*j as usize) != self.own && self.excluded.binary_search(j).is_err();
        self.positives.iter().copied().filter(compared).map(|j| j as usize)
    }
}

/// The function of a row.
pub trait RowLoss<T>: Sync {
    /// The value of a row of similarities, what it adds to the sums, and, in place of the similarities,
    /// `d value / d similarity`, up to [`factor`](Self::factor). `kept` is empty, and free to use.
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums);

    /// Multiplies every derivative.
    fn factor(&self) -> f64 {
        1.0
    }

    /// What [`evaluate_table`] returns, if there is a way that makes each pair of rows once. The problem is checked, its candidates are its
    /// anchors, and no row is compared with itself; `anchors` of the output is the whole gradient, if any is wanted, and `candidates` empty.
    fn table(&self, _problem: &RowProblem<'_, T>) -> Option<RowOutput<T>> {
        None
    }
}

/// What a [`RowLoss`] of this crate is made of: written once, compiled here for both element types.
trait GenericRowLoss<T>: Sync {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums);

    fn factor(&self) -> f64 {
        1.0
    }

    fn table(&self, _problem: &RowProblem<'_, T>) -> Option<RowOutput<T>> {
        None
    }
}

macro_rules! row_losses {
    ($($loss:ty),* $(,)?) => { $(row_losses!(@impl $loss, f32); row_losses!(@impl $loss, f64);)* };
    (@impl $loss:ty, $type:ty) => {
        impl RowLoss<$type> for $loss {
            fn row(&self, pairs: RowPairs<'_>, row: &mut [$type], kept: &mut Vec<$type>) -> (f64, Sums) {
                GenericRowLoss::row(self, pairs, row, kept)
            }
            fn factor(&self) -> f64 {
                GenericRowLoss::<$type>::factor(self)
            }
            fn table(&self, problem: &RowProblem<'_, $type>) -> Option<RowOutput<$type>> {
                GenericRowLoss::table(self, problem)
            }
        }
    };
}

row_losses!(
    CenterSoftmax,
    Circle,
    Debiased,
    ExpectedSimilarity,
    FastAp,
    HardTriplet,
    LiftedPairs,
    LiftedStructure,
    MarginBand,
    MarginBased,
    MarginSoftmax,
    Margins,
    MultiSimilarity,
    PairCurves,
    PositiveRanks,
    RankedList,
    Sigmoid,
    SquaredMargins,
    Triplets,
    TupletMargin,
);

/// n anchors compared with m candidates, all of width d.
#[derive(Clone, Copy, Debug)]
pub struct RowProblem<'a, T> {
    /// n x d.
    pub anchors: &'a [T],
    /// m x d.
    pub candidates: &'a [T],
    /// d.
    pub width: usize,
    /// The positives of each anchor; all other candidates are negatives.
    pub positives: RowSets<'a>,
    /// Pairs that are never compared.
    pub excluded: Option<RowSets<'a>>,
    /// Row i and column `i + offset` are the same sample and never compared.
    pub self_offset: Option<usize>,
    /// What to compute.
    pub wanted: Wanted,
}

impl<T: Element> RowProblem<'_, T> {
    /// The numbers of anchors and candidates.
    ///
    /// # Panics
    /// When the parts do not fit each other.
    fn check(&self) -> (usize, usize) {
        let d = self.width;
        assert!(d > 0, "row losses: width 0");
        let rows_of = |x: &[T], what: &str| {
            assert!(x.len().is_multiple_of(d), "row losses: {} values of {what} for width {d}", x.len());
            x.len() / d
        };
        let (n, m) = (rows_of(self.anchors, "anchors"), rows_of(self.candidates, "candidates"));
        self.positives.check("positives", n, m);
        if let Some(excluded) = self.excluded {
            excluded.check("excluded", n, m);
        }
        (n, m)
    }

    /// What anchor `i` is compared with.
    fn pairs(&self, i: usize) -> RowPairs<'_> {
        let m = self.candidates.len() / self.width;
        let own = self.self_offset.map(|o| i + o).filter(|j| *j < m);
        let excluded = self.excluded.as_ref().map_or(&[][..], |e| e.of(i));
        RowPairs { positives: self.positives.of(i), excluded, own }
    }
}

/// Value and gradients of a [`RowProblem`]. Vectors that were not wanted are empty.
#[derive(Clone, Debug, Default)]
pub struct RowOutput<T> {
    /// The sum over rows.
    pub value: f64,
    /// n: each row's value.
    pub rows: Vec<T>,
    /// The sums over rows.
    pub sums: Sums,
    /// n x d.
    pub anchors: Vec<T>,
    /// m x d.
    pub candidates: Vec<T>,
}

/// Value and gradients of `problem` under `loss`. The value is NaN where a row is not finite, and all is NaN where the largest entries of both
/// tables multiply to `4e29 / width` and more.
///
/// # Panics
/// When anchors or candidates are no whole number of rows, the positives are not of n rows, or name columns that are not
/// there.
pub fn evaluate<T: Element, L: RowLoss<T>>(problem: &RowProblem<'_, T>, loss: &L) -> RowOutput<T> {
    T::row_losses(problem, loss)
}

pub(crate) fn evaluate_generic<T: Element>(problem: &RowProblem<'_, T>, loss: &dyn RowLoss<T>) -> RowOutput<T> {
    let d = problem.width;
    let (n, m) = problem.check();
    let wanted = problem.wanted;
    let zeros = |on: bool, len: usize| zeros::<T>(if on { len } else { 0 });
    let mut out = RowOutput {
        value: 0.0,
        rows: vec![T::zero(); n],
        sums: Sums::default(),
        anchors: zeros(wanted.anchors, n * d),
        candidates: zeros(wanted.candidates, m * d),
    };
    if n == 0 || m == 0 {
        return out;
    }
    let most = (BLOCK_BYTES / (m * size_of::<T>())).clamp(64, 512);
    let block = n.div_ceil(n.div_ceil(most)).next_multiple_of(PARTS).min(n);
    let part = block.div_ceil(PARTS);
    let stripe = m.div_ceil(PARTS).next_multiple_of(32).min(1024);
    let step = row_step::<T>(m);
    let mut tile = zeros(true, block * step);
    let panels = Panels::new::<T>(d);
    let transposed = PerThread::new(|| vec![T::zero(); panels.transposed_len(1)]);
    let mut lines = vec![T::zero(); if wanted.candidates { panels.lines_len(block) } else { 0 }];
    let columns_of = PerThread::new(|| vec![T::zero(); if wanted.candidates { panels.columns_len(block) } else { 0 }]);
    let mut kept: Vec<Vec<T>> = vec![Vec::new(); block.div_ceil(part)];
    let on = |on: bool, len: usize| if on { len } else { 0 };
    let mut parts: Vec<Vec<T>> = (0..on(wanted.anchors, m.div_ceil(stripe))).map(|_| zeros(true, block * d)).collect();

    for i0 in (0..n).step_by(block) {
        let r = block.min(n - i0);
        let tile = &mut tile[..r * step];
        let anchors = &problem.anchors[i0 * d..][..r * d];
        // the candidates of a stripe are read once for all rows of the block
        let columns = Columns::of(tile, step);
        problem.candidates.par_chunks(stripe * d).enumerate().with_max_len(1).for_each(|(t, candidates)| {
            // SAFETY: each stripe of columns is written by one task.
            unsafe { columns.products(panels, anchors, candidates, t * stripe, &mut transposed.own()) };
        });
        let sums: Vec<(f64, Sums)> = tile
            .par_chunks_mut(part * step)
            .zip(out.rows[i0..i0 + r].par_chunks_mut(part))
            .zip(kept.par_iter_mut())
            .enumerate()
            .with_max_len(1)
            .map(|(p, ((tile, values), kept))| {
                let mut total = (0.0, Sums::default());
                for (k, (row, value)) in tile.chunks_exact_mut(step).zip(values).enumerate() {
                    kept.clear();
                    let (v, sums) = loss.row(problem.pairs(i0 + p * part + k), &mut row[..m], kept);
                    *value = T::of(v);
                    total.0 += v;
                    total.1.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
                }
                total
            })
            .collect();
        for (value, more) in sums {
            out.value += value;
            out.sums.iter_mut().zip(more).for_each(|(t, s)| *t += s);
        }
        let (factor, tile) = (T::of(loss.factor()), &*tile);
        if wanted.candidates {
            panels.lines(anchors, None, &mut lines);
        }
        let stripes = m.div_ceil(stripe);
        let mut of_candidates: Vec<&mut [T]> = out.candidates.chunks_mut(stripe * d).collect();
        of_candidates.resize_with(on(wanted.any(), stripes), Default::default);
        let mut of_anchors: Vec<&mut [T]> = parts.iter_mut().map(|part| &mut part[..r * d]).collect();
        of_anchors.resize_with(on(wanted.any(), stripes), Default::default);
        of_candidates.into_par_iter().zip(of_anchors).enumerate().with_max_len(1).for_each(|(t, (own, part))| {
            let c = stripe.min(m - t * stripe);
            let tile = &tile[t * stripe..];
            if wanted.candidates {
                let tile = &tile[..(r - 1) * step + c];
                panels.of_columns(tile, step, &lines, &mut own[..c * d], factor, &mut columns_of.own());
            }
            if wanted.anchors {
                let candidates = &problem.candidates[t * stripe * d..][..c * d];
                gemm([r, d, c], part, [d, 1], tile, [step, 1], candidates, [d, 1], T::zero(), factor);
            }
        });
        if wanted.anchors {
            let rows = r.div_ceil(PARTS);
            out.anchors[i0 * d..][..r * d].par_chunks_mut(rows * d).enumerate().for_each(|(p, own)| {
                for part in &parts {
                    vector::axpy(own, T::one(), &part[p * rows * d..][..own.len()]);
                }
            });
        }
    }
    if vector::out_of_range(problem.anchors, problem.candidates, d) {
        out.value = f64::NAN;
        out.sums = [f64::NAN; 4];
        [&mut out.rows, &mut out.anchors, &mut out.candidates].into_iter().for_each(|x| x.fill(T::nan()));
    }
    // a NaN row that is compared with nothing has no value, but NaN gradients
    if out.value.is_finite() && !vector::all_finite(&[problem.anchors, problem.candidates]) {
        out.value = f64::NAN;
    }
    out
}

/// Value and gradient of a table against itself: `problem` with the same rows as anchors and as candidates, and no row compared with
/// itself. The anchors' gradient of the result is the whole, whichever was wanted.
///
/// # Panics
/// As [`evaluate`]; when the anchors are not the candidates, or rows are compared with themselves.
pub fn evaluate_table<T: Element, L: RowLoss<T>>(problem: &RowProblem<'_, T>, loss: &L) -> RowOutput<T> {
    T::row_losses_of_table(problem, loss)
}

pub(crate) fn evaluate_table_generic<T: Element>(problem: &RowProblem<'_, T>, loss: &dyn RowLoss<T>) -> RowOutput<T> {
    problem.check();
    assert!(std::ptr::eq(problem.anchors, problem.candidates), "row losses: a table against another");
    assert_eq!(problem.self_offset, Some(0), "row losses: rows of a table compared with themselves");
    if let Some(out) = loss.table(problem) {
        return out;
    }
    let wanted = if problem.wanted.any() { Wanted::ALL } else { Wanted::VALUE };
    let mut out = evaluate_generic(&RowProblem { wanted, ..*problem }, loss);
    vector::axpy(&mut out.anchors, T::one(), &std::mem::take(&mut out.candidates));
    out
}

/// From row to row of a tile, for rows of `m`: an odd number of cache lines. Lines of one column then fall into all sets of a cache, and
/// not, where `m` is a power of two, into a few.
fn row_step<T>(m: usize) -> usize {
    let line = 64 / size_of::<T>();
    (m.div_ceil(line) | 1) * line
}

/// A tile of whole rows whose columns several tasks write.
struct Columns<T> {
    start: *mut T,
    width: usize,
    len: usize,
}

// SAFETY: what is written through it is chosen by the callers of `products`, who promise that no two write the same columns.
unsafe impl<T: Send> Sync for Columns<T> {}

impl<T: Element> Columns<T> {
    fn of(tile: &mut [T], width: usize) -> Self {
        Self { start: tile.as_mut_ptr(), width, len: tile.len() }
    }

    /// Puts the inner products of all anchors with these candidates into the columns from `first` on.
    ///
    /// # Safety
    /// The tile is borrowed, and nobody else reads or writes these columns.
    unsafe fn products(&self, panels: Panels, anchors: &[T], candidates: &[T], first: usize, scratch: &mut [T]) {
        let (r, c) = (anchors.len() / panels.width(), candidates.len() / panels.width());
        assert!(first + c <= self.width && r * self.width <= self.len, "columns {first} + {c} of {}", self.width);
        // SAFETY: the columns lie in the tile, and are this call's alone.
        unsafe { panels.rows_of_similarities(anchors, candidates, self.start.add(first), self.width, scratch) };
    }
}

/// Keeps the similarities of the positives, and hides them and what is not compared: what is left are the negatives.
fn hide<T: Element>(pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) {
    for j in pairs.positives() {
        kept.push(row[j]);
        row[j] = vector::masked();
    }
    for j in pairs.excluded.iter().map(|&j| j as usize).chain(pairs.own) {
        row[j] = vector::masked();
    }
}

/// Similarities up to here are of pairs that [`hide`] took away.
fn nothing<T: Element>() -> T {
    vector::masked::<T>() * T::of(0.5)
}

/// Is this a similarity or NaN, but not what [`hide`] took away?
fn compared<T: Element>(s: T) -> bool {
    s > nothing() || s.is_nan()
}

/// Puts the shares `e^{scale s} / sum` in place of the negatives that [`hide`] left, 0 in all other places; returns `log sum` and the
/// mean similarity under the shares. Without negatives `None` and a row of zeros; NaN comes through.
fn shares<T: Element>(row: &mut [T], scale: f64) -> Option<(f64, f64)> {
    let highest = vector::max(row);
    if highest > nothing() {
        let top = vector::top_logit(highest, scale);
        let (sum, dot) = vector::exp_in_place(row, T::of(scale), T::of(-top));
        let (sum, dot) = (sum.f64(), dot.f64());
        vector::scale(row, T::of(1.0 / sum));
        return Some((top + sum.ln(), dot / sum));
    }
    let bad = row.iter().any(|s| s.is_nan());
    row.fill(T::zero());
    bad.then_some((f64::NAN, f64::NAN))
}

#[cfg(test)]
mod tests;
