//! Both directions of a comparison at once: rows against columns and columns against rows.
//!
//! Two passes over tiles: the first folds each tile into row and column log-sum-exps, the second makes the tile again
//! and contracts it. 8 N M D flops for a rectangle (two single directions: 12), 4 N^2 D for a table against itself,
//! where only the upper triangle is made, in the tiles of the diagonal panel by panel. One exponential an element a pass
//! serves both directions (of hard negatives, two); where the logits of a tile are too far apart for that, the tile falls back to one
//! for each, which hard negatives have not. A thread owns a stripe of columns.

use super::sides::{Direction, Found, LogSum, Side, add_each, logit_bound};
use super::tiles::{Engine, Rows, Scratch, Stripe};
use super::{Denominator, RowSets, RowValue, SCALES, SoftmaxProblem};
use crate::memory::{PerThread, zeros};
use crate::product::Panels;
use crate::vector::{self, Element, TwoExponentials};
use rayon::prelude::*;

/// Most rows and columns of a tile: it and the candidates of its columns stay in the second-level cache.
const TILE: usize = 256;

/// A comparison in both directions, or of a table with itself.
#[derive(Clone, Copy, Debug)]
pub struct TwoSidedProblem<'a, T> {
    /// n x d.
    pub anchors: &'a [T],
    /// m x d; `None` compares the anchors with each other, every row being an anchor, without itself.
    pub candidates: Option<&'a [T]>,
    /// d.
    pub width: usize,
    /// Inverse temperature.
    pub scale: T,
    /// The columns that are positives of each row. For a table against itself the relation is symmetric.
    pub positives: RowSets<'a>,
    /// The rows that are positives of each column: the transpose; not for a table against itself.
    pub column_positives: Option<RowSets<'a>>,
    /// The mean or the sum over positives.
    pub mean: bool,
    /// What rows and columns are worth.
    pub value: RowValue,
    /// What the denominators hold; not [`Denominator::OwnPositive`].
    pub denominator: Denominator,
    /// n: weight of each row in the value.
    pub row_weights: &'a [T],
    /// m: weight of each column in the value; not for a table against itself.
    pub column_weights: &'a [T],
    /// Compute the gradients?
    pub gradients: bool,
}

/// Value and gradients of a [`TwoSidedProblem`].
#[derive(Clone, Debug, Default)]
pub struct TwoSidedOutput<T> {
    /// The weighted sum of the row and column values.
    pub value: f64,
    /// n: the value of each row.
    pub rows: Vec<T>,
    /// m: the value of each column; empty for a table against itself.
    pub columns: Vec<T>,
    /// n x d.
    pub anchors: Vec<T>,
    /// m x d; empty for a table against itself.
    pub candidates: Vec<T>,
    /// d value / d scale; without that of the least sum of negatives of [`Debiased`](super::Debiased).
    pub scale: T,
}

impl<T: Element> TwoSidedProblem<'_, T> {
    /// The reference of all exponentials, if they share one, and of hard negatives their two exponentials.
    fn bound(&self) -> (Option<T>, Option<TwoExponentials<T>>) {
        let hardness = self.hardness().unwrap_or(0.0);
        let hard = T::of(1.0 + hardness) * self.scale;
        let reference = logit_bound(hard, [self.anchors, self.candidates.unwrap_or(self.anchors)], self.width);
        let exponentials = reference.filter(|_| self.hardness().is_some()).map(|reference| {
            let soft_reference = T::of(hardness / (1.0 + hardness)) * reference;
            let scales = [hard, T::of(hardness) * self.scale];
            TwoExponentials::new(scales, [-reference, -soft_reference])
        });
        (reference, exponentials)
    }

    /// That of the negatives, if they are weighted.
    fn hardness(&self) -> Option<f64> {
        if let RowValue::Debiased(value) = self.value { value.is_hard().then_some(value.hardness) } else { None }
    }

    /// Is the scale one of those that are allowed, and are the logits close enough for the two exponentials of hard negatives?
    pub(crate) fn is_in_range(&self) -> bool {
        SCALES.contains(&self.scale.f64()) && (self.hardness().is_none() || self.bound().1.is_some())
    }
}

/// Rows and columns of a tile: small tables need many tiles for all threads to work, and a table against itself makes the
/// whole of its diagonal tiles.
fn tile_side(n: usize, m: usize) -> usize {
    (n.max(m) / 16).next_multiple_of(64).clamp(128, TILE)
}

/// Value and gradients of both directions.
///
/// # Panics
/// When the slices of the problem do not fit each other; the message names the slice and both sizes. When a [`Debiased`](super::Debiased)
/// value has another scale, a negative hardness, several positives in a row, positives in the denominator, or a hardness whose exponentials
/// do not share a reference: `2 (1 + hardness) scale` times the largest lengths of both sides above 60, or NaN.
pub fn two_sided<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    T::softmax_two_sided(problem)
}

pub(crate) fn two_sided_generic<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    // one entry into the thread pool, not one for each step
    rayon::scope(|_| evaluate(problem))
}

/// Checks a problem, and says how its tiles are made.
fn engine<'a, T: Element>(problem: &TwoSidedProblem<'a, T>) -> Engine<'a, T> {
    assert_ne!(problem.denominator, Denominator::OwnPositive, "two-sided: a denominator for each positive");
    assert!(
        problem.value == RowValue::LogRatio || problem.denominator == Denominator::NegativesOnly,
        "two-sided: {:?} with positives in the denominator",
        problem.value
    );
    if let RowValue::Debiased(value) = problem.value {
        assert_eq!(T::of(value.scale), problem.scale, "two-sided: the scale of {value:?}");
        assert!(value.hardness >= 0.0, "two-sided: the hardness of {value:?}");
    }
    let symmetric = problem.candidates.is_none();
    let candidates = problem.candidates.unwrap_or(problem.anchors);
    let single = SoftmaxProblem {
        positives: Some(problem.positives),
        denominator: problem.denominator,
        self_offset: symmetric.then_some(0),
        row_weights: Some(problem.row_weights),
        ..SoftmaxProblem::new(problem.anchors, candidates, problem.width, problem.scale)
    };
    let [n, m] = single.check();
    let d = problem.width;
    let columns = problem.column_positives.filter(|_| !symmetric).map(|positives| {
        assert_eq!(
            problem.column_weights.len(),
            m,
            "two-sided: {} column weights for {m} candidates",
            problem.column_weights.len()
        );
        let turned = SoftmaxProblem::new(candidates, problem.anchors, d, problem.scale);
        SoftmaxProblem { positives: Some(positives), ..turned }.check();
        let single = SoftmaxProblem { self_offset: None, ..single };
        Direction::new(&single, positives, problem.column_weights, (problem.mean, problem.value), n)
    });
    assert!(symmetric || columns.is_some(), "two-sided: the positives of the columns are missing");
    let turned = problem.column_positives.filter(|_| !symmetric).unwrap_or(problem.positives);
    let transposed = problem.positives.is_in(&turned) && turned.is_in(&problem.positives);
    assert!(transposed || !symmetric, "two-sided: the positives of a table are not symmetric");
    assert!(transposed, "two-sided: the positives of the columns are not the transpose of those of the rows");
    let (bound, hard) = problem.bound();
    assert!(hard.is_some() == problem.hardness().is_some(), "two-sided: {:?} of logits too far apart", problem.value);
    let row_value = (problem.mean, problem.value);
    Engine {
        rows: Direction::new(
            &single,
            problem.positives,
            problem.row_weights,
            row_value,
            m.saturating_sub(usize::from(symmetric)),
        ),
        columns,
        problem: single,
        panels: Panels::new::<T>(d),
        scale: problem.scale,
        bound,
        hard,
        symmetric,
    }
}

fn evaluate<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    let engine = engine(problem);
    let (d, hard, symmetric) = (problem.width, engine.hard, engine.symmetric);
    let [n, m] = [engine.problem.anchors, engine.problem.candidates].map(|table| table.len() / d);
    let soft_reference = hard.map_or(T::zero(), |hard| hard.references()[1]);
    let side = tile_side(n, m);
    let (panels, line) = (engine.panels, engine.panels.line());
    let pool = PerThread::new(|| Scratch::new(side, line, hard.is_some()));
    let mut transposed = vec![T::zero(); panels.transposed_len(side)];
    let stripe = |t: usize| Stripe::new(side.min(m - t * side), side, hard.is_some());
    let mut state: Vec<Stripe<T>> = (0..m.div_ceil(side)).map(stripe).collect();
    let mut logs = vec![LogSum::empty(); n];
    let mut dots = vec![T::zero(); n];
    let mut soft = vec![T::zero(); if hard.is_some() { n } else { 0 }];
    let columns_of = |t: usize| [t * side, side.min(m - t * side)];
    for i0 in (0..n).step_by(side) {
        let r = side.min(n - i0);
        let first = if symmetric { i0 / side } else { 0 };
        let transposed = &mut transposed[..panels.transposed_len(r)];
        panels.transpose(&problem.anchors[i0 * d..][..r * d], transposed);
        let block = Rows { first: i0, count: r, transposed, lines: &[] };
        state[first..].par_iter_mut().enumerate().with_max_len(1).for_each(|(t, stripe)| {
            engine.statistics(block, columns_of(first + t), stripe, &mut pool.own());
        });
        for stripe in &state[first..] {
            add_each(&mut logs[i0..i0 + r], stripe.row_logs.iter().copied());
            dots[i0..i0 + r].iter_mut().zip(&stripe.row_dots).for_each(|(all, &part)| *all += part);
            soft.iter_mut().skip(i0).zip(&stripe.soft_rows).for_each(|(all, &part)| *all += part);
        }
    }
    let mut column_logs: Vec<LogSum<T>> = state.iter().flat_map(|s| s.column_logs.iter().copied()).collect();
    let mut column_dots: Vec<T> = state.iter().flat_map(|s| s.column_dots.iter().copied()).collect();
    let soft_columns: Vec<T> = state.iter().flat_map(|s| s.soft_columns.iter().copied()).collect();
    if symmetric {
        for i in 0..n {
            logs[i].add(column_logs[i]);
            dots[i] += column_dots[i];
        }
        vector::axpy(&mut soft, T::one(), &soft_columns);
        (column_logs, column_dots) = (Vec::new(), Vec::new());
    }
    let found = Found { logs: &logs, soft: (&soft, soft_reference), dots: &dots };
    let (mut value, rows, row_sides) = engine.rows.finish(found, problem.scale);
    let (mut column_values, mut column_sides) = (Vec::new(), Vec::new());
    if let Some(columns) = &engine.columns {
        let found = Found { logs: &column_logs, soft: (&soft_columns, soft_reference), dots: &column_dots };
        let (v, values, sides) = columns.finish(found, problem.scale);
        value += v;
        (column_values, column_sides) = (values, sides);
    }
    if value.is_finite() && !vector::all_finite(&[problem.anchors, problem.candidates.unwrap_or_default()]) {
        value = f64::NAN;
    }
    let beyond = vector::out_of_range(problem.anchors, problem.candidates.unwrap_or(problem.anchors), problem.width);
    let mut out = TwoSidedOutput { value, rows, columns: column_values, ..TwoSidedOutput::default() };
    if beyond {
        out.value = f64::NAN;
        out.rows.iter_mut().chain(&mut out.columns).for_each(|x| *x = T::nan());
        if problem.gradients {
            out.scale = T::nan();
            out.anchors = vec![T::nan(); n * d];
            out.candidates = vec![T::nan(); if symmetric { 0 } else { m * d }];
        }
    }
    if !problem.gradients || beyond {
        return out;
    }
    let sides = [&row_sides[..], if symmetric { &row_sides[..] } else { &column_sides[..] }];
    let (anchors, candidates, scale) = contract(problem, &engine, [n, m], sides, &mut state, &mut transposed, &pool);
    TwoSidedOutput { anchors, candidates, scale, ..out }
}

/// The second pass: the gradients of anchors, candidates and scale, by the slopes of rows and columns.
fn contract<T: Element>(
    problem: &TwoSidedProblem<'_, T>,
    engine: &Engine<'_, T>,
    [n, m]: [usize; 2],
    sides: [&[Side<T>]; 2],
    state: &mut [Stripe<T>],
    transposed: &mut [T],
    pool: &PerThread<Scratch<T>>,
) -> (Vec<T>, Vec<T>, T) {
    let (d, symmetric, panels, line) = (problem.width, engine.symmetric, engine.panels, engine.panels.line());
    let side = tile_side(n, m);
    let columns_of = |t: usize| [t * side, side.min(m - t * side)];
    let mut anchors = zeros(n * d);
    let mut table = zeros(if symmetric { 0 } else { m * d });
    state.iter_mut().for_each(|s| s.anchors = zeros(panels.transposed_len(side)));
    let mut lines = vec![T::zero(); panels.lines_len(side)];
    let sums = PerThread::new(|| vec![T::zero(); line * d]);
    for i0 in (0..n).step_by(side) {
        let r = side.min(n - i0);
        let first = if symmetric { i0 / side } else { 0 };
        let rows = &problem.anchors[i0 * d..][..r * d];
        let transposed = &mut transposed[..panels.transposed_len(r)];
        panels.transpose(rows, transposed);
        let lines = &mut lines[..panels.lines_len(r)];
        panels.lines(rows, None, lines);
        let block = Rows { first: i0, count: r, transposed, lines };
        let gradient = if symmetric { &mut anchors } else { &mut table };
        state[first..]
            .par_iter_mut()
            .zip(gradient[first * side * d..].par_chunks_mut(side * d))
            .enumerate()
            .with_max_len(1)
            .for_each(|(t, (stripe, gradient))| {
                engine.contract(block, columns_of(first + t), sides, stripe, &mut pool.own(), gradient);
            });
        anchors[i0 * d..][..r * d].par_chunks_mut(line * d).enumerate().for_each(|(p, rows)| {
            let sums = &mut sums.own()[..];
            sums.fill(T::zero());
            for stripe in &state[first..] {
                vector::axpy(sums, T::one(), &stripe.anchors[p * d * line..][..d * line]);
            }
            panels.add_rows(sums, rows);
        });
    }
    let moment: f64 = state.iter().map(|s| s.moment).sum();
    (anchors, table, T::of(moment / problem.scale.f64()))
}
