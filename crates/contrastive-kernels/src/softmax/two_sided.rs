//! Both directions of a comparison at once: rows against columns and columns against rows.
//!
//! Two passes over tiles: the first folds each tile into row and column log-sum-exps, the second makes the tile again
//! and contracts it. 8 N M D flops for a rectangle (two single directions: 12), 4 N^2 D for a table against itself,
//! where only the upper triangle of tiles is made. One exponential an element a pass serves both directions; where the
//! logits of a tile are too far apart for that, the tile falls back to one for each. A thread owns a stripe of columns.

use super::sides::{Direction, LogSum, Side};
use super::{Denominator, RowSets, SoftmaxProblem};
use crate::memory::zeros;
use crate::product::add_transposed;
use crate::real::gemm;
use crate::vector::{self, Element, masked};
use rayon::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most rows and columns of a tile.
const TILE: usize = 512;
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
    tile: Vec<T>,
    columns: Vec<T>,
    shifts: Vec<T>,
    row_max: Vec<T>,
    corrections: Vec<(usize, T)>,
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

/// One scratch for each thread, made once: a fresh tile for each task costs as much in page faults as its products.
struct Pool<T>(Vec<Mutex<Scratch<T>>>);

impl<T: Element> Pool<T> {
    fn new(side: usize) -> Self {
        Self((0..rayon::current_num_threads()).map(|_| Mutex::new(Scratch::new(side))).collect())
    }

    fn of_thread(&self) -> MutexGuard<'_, Scratch<T>> {
        let own = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        // a scratch holds nothing between tasks, so that of a panicked one is as good
        self.0[own].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Element> Scratch<T> {
    fn new(side: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self {
            tile: zeros(side * side),
            columns: zeros(side),
            shifts: zeros(side),
            row_max: zeros(side),
            corrections: Vec::new(),
        }
    }
}

struct Engine<'a, T> {
    problem: SoftmaxProblem<'a, T>,
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

    /// Makes a tile, hands each positive to `positive(side is column, row in tile, column in tile, dot)`, and masks what is
    /// never compared. In the diagonal tile of a symmetric problem both directions are met as rows.
    fn tile(
        &self,
        [i0, r]: [usize; 2],
        [j0, c]: [usize; 2],
        tile: &mut [T],
        mut positive: impl FnMut(bool, usize, usize, T),
    ) {
        let d = self.problem.width;
        let (a, b) = (&self.problem.anchors[i0 * d..], &self.problem.candidates[j0 * d..]);
        gemm([r, c, d], tile, [c, 1], a, [d, 1], b, [1, d], T::zero(), T::one());
        let diagonal = self.symmetric && i0 == j0;
        for k in 0..r {
            for &j in self.rows.positives.within(i0 + k, j0, j0 + c).1 {
                if !self.symmetric || j as usize != i0 + k {
                    positive(false, k, j as usize - j0, tile[k * c + j as usize - j0]);
                }
            }
        }
        if !diagonal {
            for q in 0..c {
                for &i in self.columns().positives.within(j0 + q, i0, i0 + r).1 {
                    positive(true, i as usize - i0, q, tile[(i as usize - i0) * c + q]);
                }
            }
        }
        if self.problem.denominator == Denominator::NegativesOnly {
            for k in 0..r {
                for &j in self.rows.positives.within(i0 + k, j0, j0 + c).1 {
                    tile[k * c + j as usize - j0] = masked();
                }
            }
        }
        if diagonal {
            for k in 0..r {
                tile[k * c + k] = masked();
            }
        }
    }

    /// Row and column sums of a tile with one exponential an element, relative to a reference that serves all of it.
    fn sum_against(
        &self,
        reference: T,
        [r, c]: [usize; 2],
        diagonal: bool,
        stripe: &mut Stripe<T>,
        scratch: &mut Scratch<T>,
    ) {
        let sums = &mut scratch.columns[..c];
        sums.fill(T::zero());
        for (k, row) in scratch.tile[..r * c].chunks_exact(c).enumerate() {
            let sum = if diagonal {
                vector::sum_exp(row, self.scale, -reference)
            } else {
                vector::sum_exp_both(row, self.scale, -reference, sums)
            };
            stripe.row_logs[k] = LogSum { reference, sum };
        }
        if !diagonal {
            for (log, &sum) in stripe.column_logs.iter_mut().zip(sums.iter()) {
                log.add(LogSum { reference, sum });
            }
        }
    }

    fn statistics(&self, rows: [usize; 2], columns: [usize; 2], stripe: &mut Stripe<T>, scratch: &mut Scratch<T>) {
        let ([i0, r], [j0, c]) = (rows, columns);
        let scale = self.scale;
        let diagonal = self.symmetric && i0 == j0;
        let tile = &mut scratch.tile[..r * c];
        stripe.row_dots[..r].fill(T::zero());
        let (row_dots, column_dots) = (&mut stripe.row_dots, &mut stripe.column_dots);
        self.tile(
            rows,
            columns,
            tile,
            |column, k, q, dot| {
                if column { column_dots[q] += dot } else { row_dots[k] += dot }
            },
        );
        if let Some(bound) = self.bound {
            self.sum_against(bound, [r, c], diagonal, stripe, scratch);
            return;
        }
        let column_max = &mut scratch.columns[..c];
        column_max.fill(T::neg_infinity());
        let nothing = masked::<T>() * T::of(0.5);
        let (mut high, mut low) = (T::neg_infinity(), T::infinity());
        for (k, row) in tile.chunks_exact(c).enumerate() {
            let m = vector::max(row);
            scratch.row_max[k] = m;
            if m > nothing {
                (high, low) = (high.max(m), low.min(m));
            }
            if !diagonal {
                vector::max_into(column_max, row);
            }
        }
        if high == T::neg_infinity() {
            // either nothing is compared, or the maxima passed over logits that are no numbers
            let sum = if tile.iter().any(|v| v.is_nan()) { LogSum::nan() } else { LogSum::empty() };
            stripe.row_logs[..r].fill(sum);
            if sum.sum.is_nan() && !diagonal {
                stripe.column_logs.fill(sum);
            }
            return;
        }
        if !diagonal {
            low = column_max.iter().filter(|&&m| m > nothing).fold(low, |l, &m| l.min(m));
        }
        if (scale * (high - low)).f64() <= SHARED_RANGE {
            self.sum_against(scale * high, [r, c], diagonal, stripe, scratch);
            return;
        }
        let shifts = &mut scratch.shifts[..c];
        if !diagonal {
            for ((log, &max), shift) in stripe.column_logs.iter_mut().zip(column_max.iter()).zip(shifts.iter_mut()) {
                // an empty column keeps the shift -inf: all its terms vanish
                *shift = if max > nothing { -(scale * max) } else { T::neg_infinity() };
                if max > nothing {
                    log.add(LogSum { reference: scale * max, sum: T::min_positive_value() });
                    *shift = -log.reference;
                }
            }
        }
        column_max.fill(T::zero());
        for (k, row) in tile.chunks_exact(c).enumerate() {
            let m = scratch.row_max[k];
            stripe.row_logs[k] = if m > nothing {
                LogSum { reference: scale * m, sum: vector::sum_exp(row, scale, -(scale * m)) }
            } else if row.iter().any(|v| v.is_nan()) {
                LogSum::nan()
            } else {
                LogSum::empty()
            };
            if !diagonal {
                vector::add_exp_shifted(column_max, row, scale, shifts);
            }
        }
        if !diagonal {
            for (log, &sum) in stripe.column_logs.iter_mut().zip(column_max.iter()) {
                log.sum += sum;
            }
        }
    }

    fn contract(
        &self,
        rows: [usize; 2],
        columns: [usize; 2],
        [row_sides, column_sides]: [&[Side<T>]; 2],
        stripe: &mut Stripe<T>,
        scratch: &mut Scratch<T>,
        gradient: &mut [T],
    ) {
        let ([i0, r], [j0, c]) = (rows, columns);
        let (d, scale) = (self.problem.width, self.scale);
        let diagonal = self.symmetric && i0 == j0;
        let (row_sides, column_sides) = (&row_sides[i0..i0 + r], &column_sides[j0..j0 + c]);
        let tile = &mut scratch.tile[..r * c];
        let corrections = &mut scratch.corrections;
        corrections.clear();
        let mut moment = 0f64;
        self.tile(rows, columns, tile, |column, k, q, dot| {
            let pull = if column { column_sides[q].pull } else { row_sides[k].pull };
            moment -= pull.f64() * dot.f64();
            corrections.push((k * c + q, pull));
            if diagonal {
                corrections.push((q * c + k, pull));
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
            let share = |s: &Side<T>| {
                if s.coefficient == T::zero() { T::zero() } else { s.coefficient * (high - s.log).exponential() }
            };
            for (column, side) in scratch.columns.iter_mut().zip(column_sides) {
                *column = share(side);
            }
            for (row, side) in tile.chunks_exact_mut(c).zip(row_sides) {
                moment += vector::two_sided_in_place(row, scale, -high, share(side), &scratch.columns[..c]).f64();
            }
        } else {
            for ((column, shift), side) in scratch.columns.iter_mut().zip(&mut scratch.shifts).zip(column_sides) {
                (*column, *shift) =
                    (side.coefficient, if side.coefficient == T::zero() { T::neg_infinity() } else { -side.log });
            }
            for (row, side) in tile.chunks_exact_mut(c).zip(row_sides) {
                let shift = if side.coefficient == T::zero() { T::neg_infinity() } else { -side.log };
                let (columns, shifts) = (&scratch.columns[..c], &scratch.shifts[..c]);
                moment +=
                    vector::two_sided_apart_in_place(row, scale, [side.coefficient, shift], columns, shifts).f64();
            }
        }
        for &(at, pull) in corrections.iter() {
            tile[at] -= pull;
        }
        // the diagonal tile of a symmetric problem meets every pair twice, as (i, j) and (j, i)
        stripe.moment += if diagonal { 0.5 * moment } else { moment };
        let (a, b) = (&self.problem.anchors[i0 * d..], &self.problem.candidates[j0 * d..]);
        if !diagonal {
            add_transposed([c, d, r], gradient, tile, c, a, T::one());
        }
        gemm([r, d, c], &mut stripe.anchors[..r * d], [d, 1], tile, [c, 1], b, [d, 1], T::zero(), T::one());
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
        scale: problem.scale,
        bound: logit_bound(problem.scale, [problem.anchors, candidates], d),
        symmetric,
    };
    let side = tile_side(n, m);
    let pool = Pool::new(side);
    let stripes = m.div_ceil(side);
    let mut state: Vec<Stripe<T>> = (0..stripes)
        .map(|t| {
            let c = side.min(m - t * side);
            Stripe {
                column_logs: vec![LogSum::empty(); c],
                column_dots: vec![T::zero(); c],
                row_logs: vec![LogSum::empty(); side],
                row_dots: vec![T::zero(); side],
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
        state[first..].par_iter_mut().enumerate().with_max_len(1).for_each(|(t, stripe)| {
            engine.statistics([i0, r], columns_of(first + t), stripe, &mut pool.of_thread());
        });
        for stripe in &state[first..] {
            for k in 0..r {
                logs[i0 + k].add(stripe.row_logs[k]);
                dots[i0 + k] += stripe.row_dots[k];
            }
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
    state.iter_mut().for_each(|s| s.anchors = vec![T::zero(); side * d]);
    for i0 in (0..n).step_by(side) {
        let r = side.min(n - i0);
        let first = if symmetric { i0 / side } else { 0 };
        let gradient = if symmetric { &mut anchors } else { &mut table };
        state[first..]
            .par_iter_mut()
            .zip(gradient[first * side * d..].par_chunks_mut(side * d))
            .enumerate()
            .with_max_len(1)
            .for_each(|(t, (stripe, gradient))| {
                engine.contract([i0, r], columns_of(first + t), sides, stripe, &mut pool.of_thread(), gradient);
            });
        let part = r.div_ceil(rayon::current_num_threads());
        anchors[i0 * d..][..r * d].par_chunks_mut(part * d).enumerate().for_each(|(p, rows)| {
            for stripe in &state[first..] {
                vector::axpy(rows, T::one(), &stripe.anchors[p * part * d..][..rows.len()]);
            }
        });
    }
    let moment: f64 = state.iter().map(|s| s.moment).sum();
    out.scale = T::of(moment / problem.scale.f64());
    out.anchors = anchors;
    out.candidates = table;
    out
}
