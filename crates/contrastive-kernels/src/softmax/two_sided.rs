//! Both directions of a comparison at once: rows against columns and columns against rows.
//!
//! Two passes over tiles: the first folds each tile into row and column log-sum-exps, the second makes the tile again
//! and contracts it. 8 N M D flops for a rectangle (two single directions: 12), 4 N^2 D for a table against itself,
//! where only the upper triangle of tiles is made. One exponential an element a pass serves both directions; where the
//! logits of a tile are too far apart for that, the tile falls back to one for each. A thread owns a stripe of columns.

use super::sides::{Direction, LogSum, Side, add_each, shares};
use super::{Denominator, RowSets, SoftmaxProblem, lanes};
use crate::memory::{PerThread, zeros};
use crate::product::Panels;
use crate::vector::{self, Element, masked};
use rayon::prelude::*;

/// Most rows and columns of a tile: it and the candidates of its columns stay in the second-level cache.
const TILE: usize = 256;
/// Logits whose maxima differ by more than this do not share an exponential: e^-40 of a row's largest term is lost.
const SHARED_RANGE: f64 = 40.0;

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
    /// d value / d scale.
    pub scale: T,
}

struct Stripe<T> {
    column_logs: Vec<LogSum<T>>,
    column_dots: Vec<T>,
    row_logs: Vec<LogSum<T>>,
    row_dots: Vec<T>,
    anchors: Vec<T>,
    moment: f64,
}

/// What one thread needs for a tile.
struct Scratch<T> {
    /// Panels of the tile, one after the other.
    tile: Vec<T>,
    columns: Vec<T>,
    column_shifts: Vec<T>,
    rows: Vec<T>,
    row_shifts: Vec<T>,
    corrections: Vec<(usize, T)>,
}

/// A block of rows, as the products need it.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    first: usize,
    count: usize,
    transposed: &'a [T],
    /// In the second pass alone.
    lines: &'a [T],
}

/// Scale times the largest lengths of both sides, if logits between it and its negative share an exponential.
fn logit_bound<T: Element>(scale: T, sides: [&[T]; 2], d: usize) -> Option<T> {
    let longest = |x: &[T]| {
        let squares = x.par_chunks(d * 256).map(|rows| {
            // a length that is no number is longer than every other
            let longer = |m: T, s: T| if s > m || s.is_nan() { s } else { m };
            rows.chunks_exact(d).map(|row| vector::dot(row, row)).fold(T::zero(), longer)
        });
        squares.reduce(T::zero, |a, b| if a > b || a.is_nan() { a } else { b }).sqrt()
    };
    let bound = scale * longest(sides[0]) * longest(sides[1]);
    ((bound + bound).f64() <= SHARED_RANGE).then_some(bound)
}

/// Rows and columns of a tile: small tables need many tiles for all threads to work, and a table against itself makes the
/// whole of its diagonal tiles.
fn tile_side(n: usize, m: usize) -> usize {
    (n.max(m) / 16).next_multiple_of(64).clamp(128, TILE)
}

impl<T: Element> Scratch<T> {
    fn new(side: usize, padded: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self {
            tile: zeros(side * padded),
            columns: zeros(side),
            column_shifts: zeros(side),
            rows: zeros(padded),
            row_shifts: zeros(padded),
            corrections: Vec::new(),
        }
    }
}

struct Engine<'a, T> {
    problem: SoftmaxProblem<'a, T>,
    panels: Panels,
    scale: T,
    /// No logit is larger, if then none is so small that its exponential against this bound is lost: no maxima are needed.
    bound: Option<T>,
    symmetric: bool,
    rows: Direction<'a, T>,
    columns: Option<Direction<'a, T>>,
}

impl<T: Element> Engine<'_, T> {
    fn columns(&self) -> &Direction<'_, T> {
        self.columns.as_ref().unwrap_or(&self.rows)
    }

    /// Where the pair of row `k` and column `q` lies in a tile of `c` columns.
    fn at(&self, k: usize, q: usize, c: usize) -> usize {
        let line = self.panels.line();
        (k / line * c + q) * line + k % line
    }

    /// Makes a tile, hands each positive to `positive(side is column, row in tile, column in tile, dot)`, and masks what is
    /// never compared. In the diagonal tile of a symmetric problem both directions are met as rows.
    fn tile(
        &self,
        rows: Rows<'_, T>,
        [j0, c]: [usize; 2],
        tile: &mut [T],
        mut positive: impl FnMut(bool, usize, usize, T),
    ) {
        let (d, line) = (self.problem.width, self.panels.line());
        let (i0, r) = (rows.first, rows.count);
        let candidates = &self.problem.candidates[j0 * d..][..c * d];
        for (panel, anchors) in tile.chunks_exact_mut(c * line).zip(rows.transposed.chunks_exact(d * line)) {
            self.panels.similarities(candidates, anchors, panel);
        }
        let diagonal = self.symmetric && i0 == j0;
        for k in 0..r {
            for &j in self.rows.positives.within(i0 + k, j0, j0 + c).1 {
                if !self.symmetric || j as usize != i0 + k {
                    let q = j as usize - j0;
                    positive(false, k, q, tile[self.at(k, q, c)]);
                }
            }
        }
        if !diagonal {
            for q in 0..c {
                for &i in self.columns().positives.within(j0 + q, i0, i0 + r).1 {
                    let k = i as usize - i0;
                    positive(true, k, q, tile[self.at(k, q, c)]);
                }
            }
        }
        if self.problem.denominator == Denominator::NegativesOnly {
            for k in 0..r {
                for &j in self.rows.positives.within(i0 + k, j0, j0 + c).1 {
                    tile[self.at(k, j as usize - j0, c)] = masked();
                }
            }
        }
        if diagonal {
            for k in 0..r {
                tile[self.at(k, k, c)] = masked();
            }
        }
        // rows of the last panel that are not there
        for k in r..self.panels.count(r) * line {
            for q in 0..c {
                tile[self.at(k, q, c)] = masked();
            }
        }
    }

    /// Row and column sums of a tile with one exponential an element, relative to a reference that serves all of it.
    fn sum_against(&self, reference: T, c: usize, diagonal: bool, stripe: &mut Stripe<T>, scratch: &mut Scratch<T>) {
        let line = self.panels.line();
        let Scratch { tile, columns, rows, .. } = scratch;
        let sums = &mut columns[..if diagonal { 0 } else { c }];
        sums.fill(T::zero());
        for (p, panel) in tile[..stripe.row_logs.len().div_ceil(line) * line * c].chunks_exact(c * line).enumerate() {
            lanes::sum_exp(panel, [self.scale, -reference], &mut rows[..line], sums);
            for (log, &sum) in stripe.row_logs.iter_mut().skip(p * line).zip(rows.iter()).take(line) {
                *log = LogSum { reference, sum };
            }
        }
        add_each(&mut stripe.column_logs, sums.iter().map(|&sum| LogSum { reference, sum }));
    }

    fn statistics(&self, block: Rows<'_, T>, columns: [usize; 2], stripe: &mut Stripe<T>, scratch: &mut Scratch<T>) {
        let [j0, c] = columns;
        let (scale, line, r) = (self.scale, self.panels.line(), block.count);
        let diagonal = self.symmetric && block.first == j0;
        let padded = self.panels.count(r) * line;
        stripe.row_logs.resize(r, LogSum::empty());
        stripe.row_dots.clear();
        stripe.row_dots.resize(r, T::zero());
        let (row_dots, column_dots) = (&mut stripe.row_dots, &mut stripe.column_dots);
        let dots = |column, k: usize, q: usize, dot| if column { column_dots[q] += dot } else { row_dots[k] += dot };
        self.tile(block, columns, &mut scratch.tile[..padded * c], dots);
        if let Some(bound) = self.bound {
            self.sum_against(bound, c, diagonal, stripe, scratch);
            return;
        }
        let tile = &mut scratch.tile[..padded * c];
        let column_max = &mut scratch.columns[..c];
        let row_max = &mut scratch.rows[..padded];
        column_max.fill(T::neg_infinity());
        for (panel, max) in tile.chunks_exact(c * line).zip(row_max.chunks_exact_mut(line)) {
            lanes::max_both(panel, max, column_max);
        }
        let nothing = masked::<T>() * T::of(0.5);
        let some = |m: &&T| **m > nothing;
        let high = row_max[..r].iter().filter(some).fold(T::neg_infinity(), |h, &m| h.max(m));
        let mut low = row_max[..r].iter().filter(some).fold(T::infinity(), |l, &m| l.min(m));
        if high == T::neg_infinity() {
            // either nothing is compared, or the maxima passed over logits that are no numbers
            let sum = if tile.iter().any(|v| v.is_nan()) { LogSum::nan() } else { LogSum::empty() };
            stripe.row_logs.fill(sum);
            if sum.sum.is_nan() && !diagonal {
                stripe.column_logs.fill(sum);
            }
            return;
        }
        if !diagonal {
            low = column_max.iter().filter(some).fold(low, |l, &m| l.min(m));
        }
        if (scale * (high - low)).f64() <= SHARED_RANGE {
            self.sum_against(scale * high, c, diagonal, stripe, scratch);
            return;
        }
        let Scratch { row_shifts, column_shifts, columns: sums, rows: row_max, .. } = scratch;
        let (column_shifts, sums) = (&mut column_shifts[..c], &mut sums[..c]);
        for ((log, max), shift) in stripe.column_logs.iter_mut().zip(sums).zip(&mut *column_shifts) {
            // an empty column keeps the shift -inf: all its terms vanish
            *shift = if *max > nothing { -(scale * *max) } else { T::neg_infinity() };
            if *max > nothing && !diagonal {
                log.add(LogSum { reference: scale * *max, sum: T::min_positive_value() });
                *shift = -log.reference;
            }
            *max = T::zero();
        }
        let on = if diagonal { 0 } else { c };
        let (column_shifts, sums) = (&mut column_shifts[..on], &mut scratch.columns[..on]);
        for (p, panel) in scratch.tile[..padded * c].chunks_exact(c * line).enumerate() {
            let rows = &mut row_max[p * line..][..line];
            let shifts = &mut row_shifts[..line];
            // 0 where there is nothing: its terms vanish, and what is no number stays
            let shift = |m: &T| if *m > nothing { -(scale * *m) } else { T::zero() };
            shifts.iter_mut().zip(rows.iter()).for_each(|(s, m)| *s = shift(m));
            lanes::sum_exp_apart(panel, scale, shifts, rows, [column_shifts, sums]);
            for ((log, &sum), &shift) in stripe.row_logs.iter_mut().skip(p * line).zip(rows.iter()).zip(shifts.iter()) {
                *log = match (sum.is_nan(), sum == T::zero()) {
                    (true, _) => LogSum::nan(),
                    (_, true) => LogSum::empty(),
                    _ => LogSum { reference: -shift, sum },
                };
            }
        }
        for (log, &sum) in stripe.column_logs.iter_mut().zip(sums.iter()) {
            log.sum += sum;
        }
    }

    fn contract(
        &self,
        block: Rows<'_, T>,
        columns: [usize; 2],
        [row_sides, column_sides]: [&[Side<T>]; 2],
        stripe: &mut Stripe<T>,
        scratch: &mut Scratch<T>,
        gradient: &mut [T],
    ) {
        let [j0, c] = columns;
        let (d, scale, line, r) = (self.problem.width, self.scale, self.panels.line(), block.count);
        let diagonal = self.symmetric && block.first == j0;
        let padded = self.panels.count(r) * line;
        let (row_sides, column_sides) = (&row_sides[block.first..][..r], &column_sides[j0..j0 + c]);
        let Scratch { tile, columns: column_shares, column_shifts, rows: row_shares, row_shifts, corrections } =
            scratch;
        let tile = &mut tile[..padded * c];
        let (column_shares, column_shifts) = (&mut column_shares[..c], &mut column_shifts[..c]);
        let (row_shares, row_shifts) = (&mut row_shares[..padded], &mut row_shifts[..padded]);
        corrections.clear();
        let mut moment = 0f64;
        self.tile(block, columns, tile, |column, k, q, dot| {
            let pull = if column { column_sides[q].pull } else { row_sides[k].pull };
            moment -= pull.f64() * dot.f64();
            corrections.push((self.at(k, q, c), pull));
            if diagonal {
                corrections.push((self.at(q, k, c), pull));
                moment -= pull.f64() * dot.f64();
            }
        });
        let active = |sides: &[Side<T>]| {
            let logs = sides.iter().filter(|s| s.coefficient != T::zero()).map(|s| s.log);
            logs.fold((T::neg_infinity(), T::infinity()), |(h, l), x| (h.max(x), l.min(x)))
        };
        let ((h1, l1), (h2, l2)) = (active(row_sides), active(column_sides));
        let (high, low) = (h1.max(h2), l1.min(l2));
        if high == T::neg_infinity() {
            let nan = row_sides.iter().chain(column_sides).any(|s| s.log.is_nan());
            tile.fill(if nan { T::nan() } else { T::zero() });
        } else if (high - low).f64() <= SHARED_RANGE {
            shares(column_sides, high, column_shares);
            shares(row_sides, high, row_shares);
            for (panel, rows) in tile.chunks_exact_mut(c * line).zip(row_shares.chunks_exact(line)) {
                moment += lanes::two_sided(panel, [scale, -high], rows, column_shares).f64();
            }
        } else {
            let apart = |shares: &mut [T], shifts: &mut [T], sides: &[Side<T>]| {
                shares[sides.len()..].fill(T::zero());
                shifts[sides.len()..].fill(T::neg_infinity());
                for ((share, shift), side) in shares.iter_mut().zip(shifts).zip(sides) {
                    let none = side.coefficient == T::zero();
                    (*share, *shift) = (side.coefficient, if none { T::neg_infinity() } else { -side.log });
                }
            };
            apart(column_shares, column_shifts, column_sides);
            apart(row_shares, row_shifts, row_sides);
            let rows = row_shares.chunks_exact(line).zip(row_shifts.chunks_exact(line));
            for (panel, (shares, shifts)) in tile.chunks_exact_mut(c * line).zip(rows) {
                let columns = [&*column_shares, &*column_shifts];
                moment += lanes::two_sided_apart(panel, scale, [shares, shifts], columns).f64();
            }
        }
        for &(at, pull) in corrections.iter() {
            tile[at] -= pull;
        }
        // the diagonal tile of a symmetric problem meets every pair twice, as (i, j) and (j, i)
        stripe.moment += if diagonal { 0.5 * moment } else { moment };
        let candidates = &self.problem.candidates[j0 * d..][..c * d];
        let parts = stripe.anchors.chunks_exact_mut(d * line);
        for (panel, part) in tile.chunks_exact(c * line).zip(parts) {
            self.panels.of_anchors(candidates, panel, part, false);
        }
        if !diagonal {
            self.panels.of_candidates(tile, block.lines, &mut gradient[..c * d]);
        }
    }
}

/// Value and gradients of both directions.
///
/// # Panics
/// When the slices of the problem do not fit each other; the message names the slice and both sizes.
pub fn two_sided<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    // one entry into the thread pool, not one for each step
    rayon::scope(|_| evaluate(problem))
}

fn evaluate<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    assert_ne!(problem.denominator, Denominator::OwnPositive, "two-sided: a denominator for each positive");
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
        Direction::new(&SoftmaxProblem { self_offset: None, ..single }, positives, problem.column_weights, problem.mean)
    });
    assert!(symmetric || columns.is_some(), "two-sided: the positives of the columns are missing");
    assert!(!symmetric || problem.positives.is_symmetric(), "two-sided: the positives of a table are not symmetric");
    let engine = Engine {
        rows: Direction::new(&single, problem.positives, problem.row_weights, problem.mean),
        columns,
        problem: single,
        panels: Panels::new::<T>(d),
        scale: problem.scale,
        bound: logit_bound(problem.scale, [problem.anchors, candidates], d),
        symmetric,
    };
    let side = tile_side(n, m);
    let (panels, line) = (engine.panels, engine.panels.line());
    let pool = PerThread::new(|| Scratch::new(side, panels.count(side) * line));
    let mut transposed = vec![T::zero(); panels.transposed_len(side)];
    let stripes = m.div_ceil(side);
    let mut state: Vec<Stripe<T>> = (0..stripes)
        .map(|t| {
            let c = side.min(m - t * side);
            Stripe {
                column_logs: vec![LogSum::empty(); c],
                column_dots: vec![T::zero(); c],
                row_logs: Vec::with_capacity(side),
                row_dots: Vec::with_capacity(side),
                anchors: Vec::new(),
                moment: 0.0,
            }
        })
        .collect();
    let mut logs = vec![LogSum::empty(); n];
    let mut dots = vec![T::zero(); n];
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
        }
    }
    let mut column_logs: Vec<LogSum<T>> = state.iter().flat_map(|s| s.column_logs.iter().copied()).collect();
    let mut column_dots: Vec<T> = state.iter().flat_map(|s| s.column_dots.iter().copied()).collect();
    if symmetric {
        for i in 0..n {
            logs[i].add(column_logs[i]);
            dots[i] += column_dots[i];
        }
        (column_logs, column_dots) = (Vec::new(), Vec::new());
    }
    let (mut value, rows, row_sides) = engine.rows.finish(&logs, &dots, problem.scale);
    let (mut column_values, mut column_sides) = (Vec::new(), Vec::new());
    if let Some(columns) = &engine.columns {
        let (v, values, sides) = columns.finish(&column_logs, &column_dots, problem.scale);
        value += v;
        (column_values, column_sides) = (values, sides);
    }
    let mut out = TwoSidedOutput { value, rows, columns: column_values, ..TwoSidedOutput::default() };
    if !problem.gradients {
        return out;
    }
    let sides = [&row_sides[..], if symmetric { &row_sides[..] } else { &column_sides[..] }];
    let mut anchors = zeros(n * d);
    let mut table = zeros(if symmetric { 0 } else { m * d });
    state.iter_mut().for_each(|s| s.anchors = vec![T::zero(); panels.transposed_len(side)]);
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
    out.scale = T::of(moment / problem.scale.f64());
    out.anchors = anchors;
    out.candidates = table;
    out
}
