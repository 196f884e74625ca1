//! Both directions of a comparison at once: rows against columns and columns against rows.
//!
//! Two passes over tiles: the first folds each tile into row and column log-sum-exps, the second makes the tile again
//! and contracts it. 8 N M D flops for a rectangle (two single directions: 12), 4 N^2 D for a table against itself,
//! where only the upper triangle is made, in the tiles of the diagonal panel by panel. One exponential an element a pass
//! serves both directions; where the logits of a tile are too far apart for that, the tile falls back to one for each. A
//! thread owns a stripe of columns.

use super::sides::{Direction, Found, LogSum, SHARED_RANGE, Share, Side, add_each, apart, logit_bound, shares};
use super::{Debiased, Denominator, RowSets, RowValue, SoftmaxProblem, lanes};
use crate::memory::{PerThread, zeros};
use crate::product::{LONGEST, Panels};
use crate::vector::{self, Element, TwoExponentials, masked};
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
    /// d value / d scale; without that of [`Debiased`]'s least sum of negatives.
    pub scale: T,
}

/// What no logit exceeds, and what follows from it.
#[derive(Clone, Copy)]
struct Bound<T> {
    /// The reference of all exponentials, if they share one: then no maxima are needed.
    reference: Option<T>,
    /// Two exponentials a pair, of hard negatives, and the reference of the second.
    two: Option<(TwoExponentials<T>, T)>,
}

impl<T: Element> TwoSidedProblem<'_, T> {
    fn bound(&self) -> Bound<T> {
        let hardness = if let RowValue::Debiased(Debiased { hardness, .. }) = self.value { hardness } else { 0.0 };
        let hard = T::of(1.0 + hardness) * self.scale;
        let reference = logit_bound(hard, [self.anchors, self.candidates.unwrap_or(self.anchors)], self.width);
        let two = reference.filter(|_| hardness > 0.0).map(|reference| {
            let soft_reference = T::of(hardness / (1.0 + hardness)) * reference;
            let scales = [hard, T::of(hardness) * self.scale];
            (TwoExponentials::new(scales, [-reference, -soft_reference]), soft_reference)
        });
        Bound { reference, two }
    }

    /// Are the logits close enough for the two exponentials of hard negatives?
    pub(crate) fn is_in_range(&self) -> bool {
        let hard = matches!(self.value, RowValue::Debiased(Debiased { hardness, .. }) if hardness > 0.0);
        !hard || self.bound().two.is_some()
    }
}

struct Stripe<T> {
    column_logs: Vec<LogSum<T>>,
    column_dots: Vec<T>,
    row_logs: Vec<LogSum<T>>,
    row_dots: Vec<T>,
    /// Of two exponentials a pair, the sums of the second.
    soft_columns: Vec<T>,
    soft_rows: Vec<T>,
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
    /// Two exponentials a pair, of hard negatives, relative to the bound.
    two: Option<TwoExponentials<T>>,
    symmetric: bool,
    rows: Direction<'a, T>,
    columns: Option<Direction<'a, T>>,
}

impl<T: Element> Engine<'_, T> {
    /// Is the tile of these rows and columns on the diagonal of a table against itself?
    fn diagonal(&self, block: Rows<'_, T>, j0: usize) -> bool {
        self.symmetric && block.first == j0
    }

    /// Which columns of a tile panel `p` makes: the first, and the first whose pairs count in both directions. On the diagonal the
    /// pairs within the panel are there in both orders, so that each is met as a row's, and what lies before them is in the
    /// panels before.
    fn made(&self, diagonal: bool, p: usize, c: usize) -> [usize; 2] {
        let line = self.panels.line();
        if diagonal { [p * line, c.min((p + 1) * line)] } else { [0, 0] }
    }

    /// Makes panel `p` of a tile, hands each positive to `positive(row in tile, column in tile, dot, in both directions?)`,
    /// and masks what is never compared.
    fn panel(
        &self,
        block: Rows<'_, T>,
        [j0, c]: [usize; 2],
        p: usize,
        panel: &mut [T],
        mut positive: impl FnMut(usize, usize, T, bool),
    ) {
        let (d, line) = (self.problem.width, self.panels.line());
        let (i0, r) = (block.first, block.count);
        let diagonal = self.diagonal(block, j0);
        let [from, both] = self.made(diagonal, p, c);
        let candidates = &self.problem.candidates[(j0 + from) * d..][..(c - from) * d];
        let transposed = &block.transposed[p * d * line..][..d * line];
        self.panels.similarities(candidates, transposed, &mut panel[from * line..], p == 0);
        for (lane, k) in (p * line..(p + 1) * line).enumerate() {
            if k >= r {
                // rows of the last panel that are not there
                panel[from * line..].iter_mut().skip(lane).step_by(line).for_each(|x| *x = masked());
                continue;
            }
            let positives = self.rows.positives.within(i0 + k, j0 + from, j0 + c).1;
            for q in positives.iter().map(|&j| j as usize - j0).filter(|&q| !diagonal || q != k) {
                positive(k, q, panel[q * line + lane], q >= both);
            }
            if self.problem.denominator == Denominator::NegativesOnly {
                positives.iter().for_each(|&j| panel[(j as usize - j0) * line + lane] = masked());
            }
            if diagonal {
                panel[k * line + lane] = masked();
            }
        }
    }

    /// Row and column sums of a panel with one exponential an element, relative to a reference that serves all of it; those of the
    /// columns are added to `sums`.
    fn sum_panel(&self, reference: T, [from, both]: [usize; 2], panel: &[T], rows: &mut [LogSum<T>], sums: &mut [T]) {
        let line = self.panels.line();
        let by = [self.scale, -reference];
        let (mut within, mut across) = ([T::zero(); LONGEST], [T::zero(); LONGEST]);
        if from < both {
            lanes::sum_exp(&panel[from * line..both * line], by, &mut within[..line], &mut []);
        }
        if both * line < panel.len() {
            lanes::sum_exp(&panel[both * line..], by, &mut across[..line], &mut sums[both..]);
        }
        for (log, (&a, &b)) in rows.iter_mut().zip(within.iter().zip(&across)) {
            *log = LogSum { reference, sum: a + b };
        }
    }

    /// The same of two exponentials an element.
    fn sum_both(
        &self,
        exp: TwoExponentials<T>,
        [from, both]: [usize; 2],
        panel: &[T],
        rows: [&mut [T]; 2],
        [sums, soft_sums]: [&mut [T]; 2],
    ) {
        let line = self.panels.line();
        let (mut within, mut across) = ([[T::zero(); LONGEST]; 2], [[T::zero(); LONGEST]; 2]);
        fn parts<T>(of: &mut [[T; LONGEST]; 2], line: usize) -> [&mut [T]; 2] {
            of.each_mut().map(|x| &mut x[..line])
        }
        if from < both {
            lanes::sum_both(&panel[from * line..both * line], exp, parts(&mut within, line), [&mut [], &mut []]);
        }
        if both * line < panel.len() {
            let columns = [&mut sums[both..], &mut soft_sums[both..]];
            lanes::sum_both(&panel[both * line..], exp, parts(&mut across, line), columns);
        }
        for (rows, (a, b)) in rows.into_iter().zip(within.iter().zip(&across)) {
            rows.iter_mut().zip(a.iter().zip(b)).for_each(|(row, (&a, &b))| *row = a + b);
        }
    }

    fn statistics(&self, block: Rows<'_, T>, columns: [usize; 2], stripe: &mut Stripe<T>, scratch: &mut Scratch<T>) {
        let [j0, c] = columns;
        let (line, r) = (self.panels.line(), block.count);
        let diagonal = self.diagonal(block, j0);
        stripe.row_logs.resize(r, LogSum::empty());
        stripe.row_dots.clear();
        stripe.row_dots.resize(r, T::zero());
        let (row_dots, column_dots) = (&mut stripe.row_dots, &mut stripe.column_dots);
        let mut dots = |k: usize, q: usize, dot, both| {
            row_dots[k] += dot;
            if both {
                column_dots[q] += dot;
            }
        };
        if let Some(bound) = self.bound {
            // each panel is summed while it is in the first-level cache, and not kept
            let sums = &mut scratch.columns[..c];
            sums.fill(T::zero());
            let panel = &mut scratch.tile[..c * line];
            if let Some(exp) = self.two {
                let soft_sums = &mut scratch.column_shifts[..c];
                soft_sums.fill(T::zero());
                stripe.soft_rows.resize(r, T::zero());
                let rows = stripe.row_logs.chunks_mut(line).zip(stripe.soft_rows.chunks_mut(line));
                for (p, (logs, soft_rows)) in rows.enumerate() {
                    self.panel(block, columns, p, panel, &mut dots);
                    let hard = &mut scratch.rows[..logs.len()];
                    self.sum_both(exp, self.made(diagonal, p, c), panel, [&mut *hard, soft_rows], [sums, soft_sums]);
                    for (log, &sum) in logs.iter_mut().zip(&*hard) {
                        *log = LogSum { reference: bound, sum };
                    }
                }
                vector::axpy(&mut stripe.soft_columns, T::one(), soft_sums);
            } else {
                for (p, logs) in stripe.row_logs.chunks_mut(line).enumerate() {
                    self.panel(block, columns, p, panel, &mut dots);
                    self.sum_panel(bound, self.made(diagonal, p, c), panel, logs, sums);
                }
            }
            add_each(&mut stripe.column_logs, sums.iter().map(|&sum| LogSum { reference: bound, sum }));
            return;
        }
        for (p, panel) in scratch.tile.chunks_exact_mut(c * line).take(self.panels.count(r)).enumerate() {
            self.panel(block, columns, p, panel, &mut dots);
        }
        self.sum_tile(diagonal, c, stripe, scratch);
    }

    /// Row and column sums of a tile about whose logits nothing is known.
    fn sum_tile(&self, diagonal: bool, c: usize, stripe: &mut Stripe<T>, scratch: &mut Scratch<T>) {
        let (scale, line, r) = (self.scale, self.panels.line(), stripe.row_logs.len());
        let Scratch { tile, columns: column_max, column_shifts, rows: row_max, row_shifts, .. } = scratch;
        let panels = || tile.chunks_exact(c * line).take(self.panels.count(r)).enumerate();
        let (column_max, column_shifts) = (&mut column_max[..c], &mut column_shifts[..c]);
        column_max.fill(T::neg_infinity());
        for ((p, panel), max) in panels().zip(row_max.chunks_exact_mut(line)) {
            let [from, both] = self.made(diagonal, p, c);
            let mut within = [T::neg_infinity(); LONGEST];
            lanes::max(&panel[from * line..both * line], &[T::one(); LONGEST][..line], &[], &mut within[..line]);
            lanes::max_both(&panel[both * line..], max, &mut column_max[both..]);
            max.iter_mut().zip(within).for_each(|(max, within)| *max = max.max(within));
        }
        let nothing = masked::<T>() * T::of(0.5);
        let some = |m: &&T| **m > nothing;
        let maxima = || row_max[..r].iter().chain(&*column_max).filter(some);
        let (high, low) = maxima().fold((T::neg_infinity(), T::infinity()), |(h, l), &m| (T::max(h, m), T::min(l, m)));
        if high == T::neg_infinity() {
            // either nothing is compared, or the maxima passed over logits that are no numbers
            let of =
                |(p, panel): (usize, &[T])| panel[self.made(diagonal, p, c)[0] * line..].iter().any(|v| v.is_nan());
            let nan = panels().any(of);
            stripe.row_logs.fill(if nan { LogSum::nan() } else { LogSum::empty() });
            if nan {
                stripe.column_logs.fill(LogSum::nan());
            }
            return;
        }
        if (scale * (high - low)).f64() <= SHARED_RANGE {
            let sums = column_max;
            sums.fill(T::zero());
            let reference = scale * high;
            for ((p, panel), logs) in panels().zip(stripe.row_logs.chunks_mut(line)) {
                self.sum_panel(reference, self.made(diagonal, p, c), panel, logs, sums);
            }
            add_each(&mut stripe.column_logs, sums.iter().map(|&sum| LogSum { reference, sum }));
            return;
        }
        for ((log, max), shift) in stripe.column_logs.iter_mut().zip(&mut *column_max).zip(&mut *column_shifts) {
            // an empty column keeps the shift -inf: all its terms vanish
            *shift = T::neg_infinity();
            if *max > nothing {
                log.add(LogSum { reference: scale * *max, sum: T::min_positive_value() });
                *shift = -log.reference;
            }
            *max = T::zero();
        }
        let sums = column_max;
        for ((p, panel), rows) in panels().zip(row_max.chunks_exact_mut(line)) {
            let [from, both] = self.made(diagonal, p, c);
            let shifts = &mut row_shifts[..line];
            // 0 where there is nothing: its terms vanish, and what is no number stays
            let shift = |m: &T| if *m > nothing { -(scale * *m) } else { T::zero() };
            shifts.iter_mut().zip(rows.iter()).for_each(|(s, m)| *s = shift(m));
            let mut within = [T::zero(); LONGEST];
            lanes::sum_exp_apart(
                &panel[from * line..both * line],
                scale,
                shifts,
                &mut within[..line],
                [&mut [], &mut []],
            );
            let others = [&mut column_shifts[both..], &mut sums[both..]];
            lanes::sum_exp_apart(&panel[both * line..], scale, shifts, rows, others);
            let logs = stripe.row_logs.iter_mut().skip(p * line);
            for (log, ((&sum, &within), &shift)) in logs.zip(rows.iter().zip(&within).zip(shifts.iter())) {
                let sum = sum + within;
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
        let diagonal = self.diagonal(block, j0);
        let padded = self.panels.count(r) * line;
        let (row_sides, column_sides) = (&row_sides[block.first..][..r], &column_sides[j0..j0 + c]);
        let Scratch { tile, columns: column_shares, column_shifts, rows: row_shares, row_shifts, corrections } =
            scratch;
        let tile = &mut tile[..padded * c];
        let (column_shares, column_shifts) = (&mut column_shares[..c], &mut column_shifts[..c]);
        let (row_shares, row_shifts) = (&mut row_shares[..padded], &mut row_shifts[..padded]);
        let share = Share::of(row_sides, column_sides);
        match share {
            Share::Constant(_) => {}
            Share::Shared(high) => {
                shares(column_sides, high, column_shares);
                shares(row_sides, high, row_shares);
                if self.two.is_some() {
                    for (soft, sides) in [(&mut *column_shifts, column_sides), (&mut *row_shifts, row_sides)] {
                        soft.fill(T::zero());
                        soft.iter_mut().zip(sides).for_each(|(soft, side)| *soft = side.soft);
                    }
                }
            }
            Share::Apart => {
                apart(column_sides, column_shares, column_shifts);
                apart(row_sides, row_shares, row_shifts);
            }
        }
        let candidates = &self.problem.candidates[j0 * d..][..c * d];
        let mut moment = 0f64;
        for (p, panel) in tile.chunks_exact_mut(c * line).enumerate() {
            let [from, both] = self.made(diagonal, p, c);
            corrections.clear();
            self.panel(block, columns, p, panel, |k, q, dot, both| {
                let mut pull = row_sides[k].pull;
                if both {
                    pull += column_sides[q].pull;
                } else {
                    // the same pair in the other order
                    corrections.push((k * line + q % line, pull));
                }
                moment -= pull.f64() * dot.f64();
                corrections.push((q * line + k % line, pull));
            });
            let rows = [&row_shares[p * line..][..line], &row_shifts[p * line..][..line]];
            // what is there in both orders counts half
            for ([from, to], weight) in [([from, both], 0.5), ([both, c], 1.0)] {
                let pairs = &mut panel[from * line..to * line];
                let columns = [&column_shares[from..to], &column_shifts[from..to]];
                moment += weight
                    * match share {
                        Share::Constant(value) => {
                            pairs.fill(value);
                            0.0
                        }
                        Share::Shared(high) => match self.two {
                            Some(exp) => lanes::two_sided_both(pairs, exp, rows, columns).f64(),
                            None => lanes::two_sided(pairs, [scale, -high], rows[0], columns[0]).f64(),
                        },
                        Share::Apart => lanes::two_sided_apart(pairs, scale, rows, columns).f64(),
                    };
            }
            for &(at, pull) in corrections.iter() {
                panel[at] -= pull;
            }
            if !diagonal {
                self.panels.of_anchors(candidates, panel, &mut stripe.anchors[p * d * line..][..d * line], false);
            }
        }
        stripe.moment += moment;
        if diagonal {
            mirror(tile, c, line);
            let parts = stripe.anchors.chunks_exact_mut(d * line);
            for (panel, part) in tile.chunks_exact(c * line).zip(parts) {
                self.panels.of_anchors(candidates, panel, part, false);
            }
        } else {
            self.panels.of_candidates(tile, block.lines, &mut gradient[..c * d]);
        }
    }
}

/// Copies what the panels of a symmetric tile have beyond their own rows to the panels of those.
fn mirror<T: Element>(tile: &mut [T], c: usize, line: usize) {
    for p in 0..c.div_ceil(line) {
        let (made, others) = tile[p * c * line..].split_at_mut(c * line);
        for (other, to) in others.chunks_exact_mut(c * line).enumerate() {
            let first = (p + 1 + other) * line;
            let from = &made[first * line..c.min(first + line) * line];
            for (k, to) in to[p * line * line..][..line * line].chunks_exact_mut(line).enumerate() {
                to.iter_mut().zip(from[k..].iter().step_by(line)).for_each(|(to, &x)| *to = x);
            }
        }
    }
}

/// Value and gradients of both directions.
///
/// # Panics
/// When the slices of the problem do not fit each other; the message names the slice and both sizes. When a [`Debiased`] value has
/// several positives in a row, or a hardness whose exponentials do not share a reference: `2 (1 + hardness) scale` times the largest
/// lengths of both sides above 60.
pub fn two_sided<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    // one entry into the thread pool, not one for each step
    rayon::scope(|_| evaluate(problem))
}

fn evaluate<T: Element>(problem: &TwoSidedProblem<'_, T>) -> TwoSidedOutput<T> {
    assert_ne!(problem.denominator, Denominator::OwnPositive, "two-sided: a denominator for each positive");
    assert!(
        problem.value == RowValue::LogRatio || problem.denominator == Denominator::NegativesOnly,
        "two-sided: {:?} with positives in the denominator",
        problem.value
    );
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
    let Bound { reference: bound, two } = problem.bound();
    let (two, soft_reference) = (two.map(|(exp, _)| exp), two.map_or(T::zero(), |(_, reference)| reference));
    assert!(problem.is_in_range(), "two-sided: {:?} of logits that are too far apart for it", problem.value);
    let row_value = (problem.mean, problem.value);
    let engine = Engine {
        rows: Direction::new(&single, problem.positives, problem.row_weights, row_value, m - usize::from(symmetric)),
        columns,
        problem: single,
        panels: Panels::new::<T>(d),
        scale: problem.scale,
        bound,
        two,
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
                soft_columns: vec![T::zero(); if two.is_some() { c } else { 0 }],
                soft_rows: Vec::new(),
                anchors: Vec::new(),
                moment: 0.0,
            }
        })
        .collect();
    let mut logs = vec![LogSum::empty(); n];
    let mut dots = vec![T::zero(); n];
    let mut soft = vec![T::zero(); if two.is_some() { n } else { 0 }];
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
