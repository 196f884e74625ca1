//! The tiles of [`super::two_sided()`]: what a tile adds to the sums of its rows and columns, and how it becomes gradients.

use super::sides::{Direction, LogSum, SHARED_RANGE, Share, Side, add_each, apart, shares};
use super::{Denominator, SoftmaxProblem, lanes};
use crate::product::{LONGEST, Panels};
use crate::vector::{Element, TwoExponentials, masked};

/// What a thread keeps of its stripe of columns.
pub(super) struct Stripe<T> {
    pub column_logs: Vec<LogSum<T>>,
    pub column_dots: Vec<T>,
    pub row_logs: Vec<LogSum<T>>,
    pub row_dots: Vec<T>,
    /// Of two exponentials a pair, the sums of the second.
    pub soft_columns: Vec<T>,
    pub soft_rows: Vec<T>,
    pub anchors: Vec<T>,
    pub moment: f64,
}

impl<T: Element> Stripe<T> {
    /// Of `c` columns and at most `side` rows, with the sums of two exponentials a pair or of one.
    pub fn new(c: usize, side: usize, hard: bool) -> Self {
        Self {
            column_logs: vec![LogSum::empty(); c],
            column_dots: vec![T::zero(); c],
            row_logs: Vec::with_capacity(side),
            row_dots: Vec::with_capacity(side),
            soft_columns: vec![T::zero(); if hard { c } else { 0 }],
            soft_rows: Vec::new(),
            anchors: Vec::new(),
            moment: 0.0,
        }
    }
}

/// What one thread needs for a tile.
pub(super) struct Scratch<T> {
    /// Panels of the tile, one after the other.
    tile: Vec<T>,
    columns: Vec<T>,
    /// Their shifts, or what they have of the second of two exponentials.
    second_columns: Vec<T>,
    /// Exponentials of all panels `[side, line]`, summed; of the first and of the second of two.
    across: [Vec<T>; 2],
    rows: Vec<T>,
    second_rows: Vec<T>,
    corrections: Vec<(usize, T)>,
}

/// A block of rows, as the products need it.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub first: usize,
    pub count: usize,
    pub transposed: &'a [T],
    /// In the second pass alone.
    pub lines: &'a [T],
}

impl<T: Element> Scratch<T> {
    pub fn new(side: usize, line: usize, hard: bool) -> Self {
        let zeros = |len| vec![T::zero(); len];
        let padded = side.next_multiple_of(line);
        Self {
            across: [zeros(side * line), zeros(if hard { side * line } else { 0 })],
            tile: zeros(side * padded),
            columns: zeros(side),
            second_columns: zeros(side),
            rows: zeros(padded),
            second_rows: zeros(padded),
            corrections: Vec::new(),
        }
    }
}

/// A comparison in both directions, or of a table with itself.
pub(super) struct Engine<'a, T> {
    pub problem: SoftmaxProblem<'a, T>,
    pub panels: Panels,
    pub scale: T,
    /// No logit is larger, if then none is so small that its exponential against this bound is lost: no maxima are needed.
    pub bound: Option<T>,
    /// The two exponentials of hard negatives, relative to the bound.
    pub hard: Option<TwoExponentials<T>>,
    pub symmetric: bool,
    pub rows: Direction<'a, T>,
    pub columns: Option<Direction<'a, T>>,
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
    /// columns are added to `sums`, which is a panel, too.
    fn sum_panel(&self, reference: T, [from, both]: [usize; 2], panel: &[T], rows: &mut [LogSum<T>], sums: &mut [T]) {
        let line = self.panels.line();
        let by = [self.scale, -reference];
        let (mut within, mut across) = ([T::zero(); LONGEST], [T::zero(); LONGEST]);
        if from < both {
            lanes::sum_exp(&panel[from * line..both * line], by, &mut within[..line], &mut []);
        }
        if both * line < panel.len() {
            lanes::sum_exp(&panel[both * line..], by, &mut across[..line], &mut sums[both * line..]);
        }
        for (log, (&a, &b)) in rows.iter_mut().zip(within.iter().zip(&across)) {
            *log = LogSum { reference, sum: a + b };
        }
    }

    /// The same of two exponentials an element.
    fn sum_hard_and_soft(
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
            lanes::sum_hard_and_soft(
                &panel[from * line..both * line],
                exp,
                parts(&mut within, line),
                [&mut [], &mut []],
            );
        }
        if both * line < panel.len() {
            let columns = [&mut sums[both * line..], &mut soft_sums[both * line..]];
            lanes::sum_hard_and_soft(&panel[both * line..], exp, parts(&mut across, line), columns);
        }
        for (rows, (a, b)) in rows.into_iter().zip(within.iter().zip(&across)) {
            rows.iter_mut().zip(a.iter().zip(b)).for_each(|(row, (&a, &b))| *row = a + b);
        }
    }

    /// The first pass over a tile: what it adds to the sums of its columns, and the sums of its rows.
    pub fn statistics(
        &self,
        block: Rows<'_, T>,
        columns: [usize; 2],
        stripe: &mut Stripe<T>,
        scratch: &mut Scratch<T>,
    ) {
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
            let [sums, soft_sums] = &mut scratch.across;
            let column_sums = &mut scratch.columns[..c];
            let sums = &mut sums[..c * line];
            sums.fill(T::zero());
            let panel = &mut scratch.tile[..c * line];
            if let Some(exp) = self.hard {
                let soft_sums = &mut soft_sums[..c * line];
                soft_sums.fill(T::zero());
                stripe.soft_rows.resize(r, T::zero());
                let rows = stripe.row_logs.chunks_mut(line).zip(stripe.soft_rows.chunks_mut(line));
                for (p, (logs, soft_rows)) in rows.enumerate() {
                    self.panel(block, columns, p, panel, &mut dots);
                    let hard = &mut scratch.rows[..logs.len()];
                    self.sum_hard_and_soft(
                        exp,
                        self.made(diagonal, p, c),
                        panel,
                        [&mut *hard, soft_rows],
                        [sums, soft_sums],
                    );
                    for (log, &sum) in logs.iter_mut().zip(&*hard) {
                        *log = LogSum { reference: bound, sum };
                    }
                }
                lanes::add_totals(soft_sums, line, &mut stripe.soft_columns);
            } else {
                for (p, logs) in stripe.row_logs.chunks_mut(line).enumerate() {
                    self.panel(block, columns, p, panel, &mut dots);
                    self.sum_panel(bound, self.made(diagonal, p, c), panel, logs, sums);
                }
            }
            column_sums.fill(T::zero());
            lanes::add_totals(sums, line, column_sums);
            add_each(&mut stripe.column_logs, column_sums.iter().map(|&sum| LogSum { reference: bound, sum }));
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
        let Scratch {
            tile,
            columns: column_max,
            second_columns: column_shifts,
            rows: row_max,
            second_rows: row_shifts,
            across: [across, _],
            ..
        } = scratch;
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
            // either nothing is compared, or the maxima passed over NaN logits
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
            let across = &mut across[..c * line];
            across.fill(T::zero());
            let reference = scale * high;
            for ((p, panel), logs) in panels().zip(stripe.row_logs.chunks_mut(line)) {
                self.sum_panel(reference, self.made(diagonal, p, c), panel, logs, across);
            }
            let sums = column_max;
            sums.fill(T::zero());
            lanes::add_totals(across, line, sums);
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
            // 0 where there is nothing: its terms vanish, and NaN stays
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

    /// The second pass: the tile becomes the slopes of its pairs, and is contracted into both gradients.
    pub fn contract(
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
        let Scratch {
            tile, columns: column_shares, second_columns, rows: row_shares, second_rows, corrections, ..
        } = scratch;
        let tile = &mut tile[..padded * c];
        let (column_shares, second_columns) = (&mut column_shares[..c], &mut second_columns[..c]);
        let (row_shares, second_rows) = (&mut row_shares[..padded], &mut second_rows[..padded]);
        let share = Share::of(row_sides, column_sides);
        match share {
            Share::Constant(_) => {}
            Share::Shared(high) => {
                shares(column_sides, high, column_shares);
                shares(row_sides, high, row_shares);
                if self.hard.is_some() {
                    for (soft, sides) in [(&mut *second_columns, column_sides), (&mut *second_rows, row_sides)] {
                        soft.fill(T::zero());
                        soft.iter_mut().zip(sides).for_each(|(soft, side)| *soft = side.soft);
                    }
                }
            }
            Share::Apart => {
                apart(column_sides, column_shares, second_columns);
                apart(row_sides, row_shares, second_rows);
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
            let rows = [&row_shares[p * line..][..line], &second_rows[p * line..][..line]];
            // what is there in both orders counts half
            for ([from, to], weight) in [([from, both], 0.5), ([both, c], 1.0)] {
                let pairs = &mut panel[from * line..to * line];
                let columns = [&column_shares[from..to], &second_columns[from..to]];
                moment += weight
                    * match share {
                        Share::Constant(value) => {
                            pairs.fill(value);
                            0.0
                        }
                        Share::Shared(high) => match self.hard {
                            Some(exp) => lanes::two_sided_hard(pairs, exp, rows, columns).f64(),
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
            self.panels.of_candidates(tile, block.lines, &mut gradient[..c * d], |_| ());
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
