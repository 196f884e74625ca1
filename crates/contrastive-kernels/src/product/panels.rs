//! A tile of pairs in panels.
//!
//! A panel holds the pairs of a few anchors, as many as a line has elements, with c candidates: `[c, line]`, the
//! candidates one below the other. With the anchors beside it once as `[width, line]` (a panel of their transpose) and once as
//! `[rows, line]` for each line of the width, all three products of a pair objective read and write whole lines:
//!
//! ```text
//! similarities    panel (c x line)      = Y (c x d) anchors^T (d x line)     broadcast Y, lines of anchors^T
//! of anchors      out (d x line)       += Y^T (d x c) panel (c x line)       broadcast Y, lines of the panel
//! of candidates   out (c x d)          += panels (c x r) anchors (r x d)     broadcast the panel, lines of the anchors
//! ```
//!
//! The candidates' table stays as it is, and nothing of its size is packed. What a row of pairs needs (its largest similarity, its
//! sums) is one lane, so that no reduction runs across lanes. Measured on one Zen 3 core of a rate of 90 GF/s (AVX2, f32,
//! 256 x 512 pairs, D = 128): 89, 83 and 88 GF/s; general products of the same shapes 78, 86 and 73.

use super::block::{Output, Products};
use super::{Lanes, line};
use crate::memory::{prefetch, prefetch_all};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Candidates whose products are added to the anchors' gradient at a time: their part of a panel stays in the first-level cache.
const DEPTH: usize = 256;
/// Candidates whose gradient is taken for all lines of the width before the next: their pairs stay in the second-level cache.
const CANDIDATES: usize = 64;

/// Rows whose products are taken before the next are asked for.
const AHEAD: usize = 12;

/// How panels lie on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Panels {
    /// Width of the tables.
    width: usize,
    /// Anchors of a panel.
    line: usize,
}

impl Panels {
    /// Panels of tables of this width.
    pub fn new<T: Lanes>(width: usize) -> Self {
        struct Line<T>(std::marker::PhantomData<T>);
        impl<T: Lanes> WithSimd for Line<T> {
            type Output = usize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> usize {
                line::<T, S>()
            }
        }
        Self { width, line: Arch::new().dispatch(Line::<T>(std::marker::PhantomData)) }
    }

    /// Width of the tables.
    pub fn width(self) -> usize {
        self.width
    }

    /// Anchors of a panel.
    pub fn line(self) -> usize {
        self.line
    }

    /// Panels of `rows` anchors.
    pub fn count(self, rows: usize) -> usize {
        rows.div_ceil(self.line)
    }

    /// Elements of the transpose of `rows` anchors.
    pub fn transposed_len(self, rows: usize) -> usize {
        self.count(rows) * self.line * self.width
    }

    /// The transpose of anchors (`[rows, width]`): for each panel `[width, line]`; zeros where a panel has no more rows.
    pub fn transpose<T: Lanes>(self, anchors: &[T], out: &mut [T]) {
        let Self { width: d, line } = self;
        for (panel, rows) in out.chunks_exact_mut(d * line).zip(anchors.chunks(line * d)) {
            if rows.len() < line * d {
                panel.fill(T::zero());
            }
            for (lane, row) in rows.chunks_exact(d).enumerate() {
                for (t, &x) in row.iter().enumerate() {
                    panel[t * line + lane] = x;
                }
            }
        }
    }

    /// `out (rows x width) += part^T`, of one panel `[width, line]` of an anchors' gradient.
    pub fn add_rows<T: Lanes>(self, part: &[T], out: &mut [T]) {
        let Self { width: d, line } = self;
        for (lane, row) in out.chunks_exact_mut(d).enumerate() {
            for (x, part) in row.iter_mut().zip(part[lane..].iter().step_by(line)) {
                *x += *part;
            }
        }
    }

    /// Elements of [`lines`](Self::lines) of `rows` anchors.
    pub fn lines_len(self, rows: usize) -> usize {
        self.width.div_ceil(self.line) * self.line * self.count(rows) * self.line
    }

    /// Anchors (`[rows, width]`) times their factors as lines: for each line of the width `[rows, line]`, with zeros where there is no
    /// more width, and where the last panel has no more rows.
    pub fn lines<T: Lanes>(self, anchors: &[T], factors: Option<&[T]>, out: &mut [T]) {
        struct Kernel<'a, T>(Panels, &'a [T], Option<&'a [T]>, &'a mut [T]);
        impl<T: Lanes> WithSimd for Kernel<'_, T> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) {
                let Self(Panels { width: d, line }, anchors, factors, out) = self;
                let rows = anchors.len() / d;
                let padded = rows.div_ceil(line) * line;
                for (q, part) in out.chunks_exact_mut(padded * line).take(d.div_ceil(line)).enumerate() {
                    let (part, none) = part.split_at_mut(rows * line);
                    none.fill(T::zero());
                    let from = &anchors[q * line..];
                    match (line, line <= d - q * line) {
                        // of a known length a line is loaded, not looped over
                        (8, true) => whole::<T, 8>(from, d, factors, part),
                        (16, true) => whole::<T, 16>(from, d, factors, part),
                        (32, true) => whole::<T, 32>(from, d, factors, part),
                        _ => {
                            for (i, to) in part.chunks_exact_mut(line).enumerate() {
                                let (to, none) = to.split_at_mut(line.min(d - q * line));
                                let factor = factors.map_or(T::one(), |f| f[i]);
                                to.iter_mut().zip(&from[i * d..]).for_each(|(to, &x)| *to = x * factor);
                                none.fill(T::zero());
                            }
                        }
                    }
                }
            }
        }
        #[inline(always)]
        fn whole<T: Lanes, const W: usize>(from: &[T], d: usize, factors: Option<&[T]>, out: &mut [T]) {
            for (i, to) in out.as_chunks_mut::<W>().0.iter_mut().enumerate() {
                let from: &[T; W] = from[i * d..][..W].try_into().expect("a whole line");
                let factor = factors.map_or(T::one(), |f| f[i]);
                for l in 0..W {
                    to[l] = from[l] * factor;
                }
            }
        }
        Arch::new().dispatch(Kernel(self, anchors, factors, out));
    }

    /// The inner products of candidates (`[c, width]`) with the anchors of one transposed panel: `out` is `[c, line]`. `far`
    /// candidates are asked for ahead of their turn: the first panel of a tile finds them in no near cache.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    pub fn similarities<T: Lanes>(self, candidates: &[T], transposed: &[T], out: &mut [T], far: bool) {
        let Self { width: d, line } = self;
        let c = candidates.len() / d;
        assert!(out.len() >= c * line && transposed.len() >= d * line, "a panel of {} for {c} x {line}", out.len());
        let rows = if far { AHEAD } else { c.max(1) };
        let parts = candidates.chunks(rows * d).zip(out.chunks_mut(rows * line)).enumerate();
        for (k, (part, out)) in parts {
            if far {
                prefetch_all(candidates.chunks(rows * d).nth(k + 1).unwrap_or(&[]));
            }
            Arch::new().dispatch(Products::<T, false> {
                rows: part.len() / d,
                depth: d,
                blocks: 1,
                left: part,
                left_step: d,
                block_step: 0,
                right: &transposed[..d * line],
                out: Output::from(out),
                step: line,
                width: line,
                alpha: None,
            });
        }
    }

    /// The inner products of anchors (`[r, width]`) with candidates (`[c, width]`) as r rows of c, `step` apart; `scratch` has
    /// [`transposed_len`](Self::transposed_len) elements for one row.
    ///
    /// # Panics
    /// When `scratch` is too short.
    ///
    /// # Safety
    /// The rows of `out` are valid for writing, and nobody else's.
    pub(crate) unsafe fn rows_of_similarities<T: Lanes>(
        self,
        anchors: &[T],
        candidates: &[T],
        out: *mut T,
        step: usize,
        scratch: &mut [T],
    ) {
        let Self { width: d, line } = self;
        let r = anchors.len() / d;
        if r == 0 {
            return;
        }
        for (q, candidates) in candidates.chunks(line * d).enumerate() {
            self.transpose(candidates, &mut scratch[..d * line]);
            let width = candidates.len() / d;
            Arch::new().dispatch(Products::<T, false> {
                rows: r,
                depth: d,
                blocks: 1,
                left: anchors,
                left_step: d,
                block_step: 0,
                right: &scratch[..d * line],
                // SAFETY: these columns of all rows are valid, and the caller's alone.
                out: unsafe { Output::new(out.add(q * line), (r - 1) * step + width) },
                step,
                width,
                alpha: None,
            });
        }
    }

    /// `out (width x line) += candidates^T panel`, of one panel `[c, line]`; overwrites `out` unless `add`.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    pub fn of_anchors<T: Lanes>(self, candidates: &[T], panel: &[T], out: &mut [T], add: bool) {
        let Self { width: d, line } = self;
        let c = candidates.len() / d;
        assert!(out.len() >= d * line && panel.len() >= c * line, "a panel of {} for {c} x {line}", panel.len());
        for (k, part) in candidates.chunks(DEPTH * d).enumerate() {
            let depth = part.len() / d;
            Arch::new().dispatch(Products::<T, true> {
                rows: d,
                depth,
                blocks: 1,
                left: part,
                left_step: d,
                block_step: 0,
                right: &panel[k * DEPTH * line..][..depth * line],
                out: Output::from(&mut *out),
                step: line,
                width: line,
                alpha: (add || k > 0).then_some(T::one()),
            });
        }
        if c == 0 && !add {
            out[..d * line].fill(T::zero());
        }
    }

    /// `out (c x width) += sum over panels of panel (c x line) times its anchors`: the panels `[panels, c, line]` one after the other,
    /// the anchors as [`lines`](Self::lines). Some candidates at a time; `done` is called with each such range, while its pairs are in
    /// the cache.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    pub fn of_candidates<T: Lanes>(self, panels: &[T], lines: &[T], out: &mut [T], mut done: impl FnMut(Range<usize>)) {
        let Self { width: d, line } = self;
        let c = out.len() / d;
        if c == 0 || panels.is_empty() {
            return;
        }
        let count = panels.len() / (c * line);
        let part = count * line * line;
        assert!(panels.len() == count * c * line, "panels of {} for {c} x {line}", panels.len());
        assert!(lines.len() >= d.div_ceil(line) * part, "lines of {} for {count} panels", lines.len());
        let passes = d.div_ceil(line);
        for j in (0..c).step_by(CANDIDATES) {
            let rows = CANDIDATES.min(c - j);
            let next = j + rows..c.min(j + rows + CANDIDATES);
            let steps = passes * rows.div_ceil(AHEAD);
            for (q, lines) in lines.chunks_exact(part).take(passes).enumerate() {
                for (k, row) in (j..j + rows).step_by(AHEAD).enumerate() {
                    // the next candidates' pairs and sums are far away, and too far apart for a prefetcher to follow: a few at each step,
                    // for what is asked for at once waits for its turn
                    let step = q * rows.div_ceil(AHEAD) + k;
                    let share = |all: usize| step * all / steps..(step + 1) * all / steps;
                    for t in share(count * next.len()) {
                        prefetch_all(&panels[(t / next.len() * c + next.start + t % next.len()) * line..][..line]);
                    }
                    let of_next = next.len() * d;
                    prefetch_all(&out[next.start * d..][..of_next][share(of_next)]);
                    Arch::new().dispatch(Products::<T, false> {
                        rows: AHEAD.min(j + rows - row),
                        depth: line,
                        blocks: count,
                        left: &panels[row * line..],
                        left_step: line,
                        block_step: c * line,
                        right: lines,
                        out: Output::from(&mut out[row * d + q * line..]),
                        step: d,
                        width: line.min(d - q * line),
                        alpha: Some(T::one()),
                    });
                }
            }
            done(j..j + rows);
        }
    }

    /// Elements of the scratch of [`of_columns`](Self::of_columns).
    pub fn columns_len(self, rows: usize) -> usize {
        rows * self.line
    }

    /// `out (c x width) += alpha * tile^T (c x r) anchors (r x width)`, of a tile whose rows are whole, `stride` apart; the anchors as
    /// [`lines`](Self::lines), `scratch` of [`columns_len`](Self::columns_len) for r rows.
    ///
    /// A line of each row is copied to its scratch before it is read down, and the one after it asked for: a step from row to
    /// row of a tile is a step from page to page, which no prefetcher follows.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    pub fn of_columns<T: Lanes>(
        self,
        tile: &[T],
        stride: usize,
        lines: &[T],
        out: &mut [T],
        alpha: T,
        scratch: &mut [T],
    ) {
        let Self { width: d, line } = self;
        let c = out.len() / d;
        if c == 0 || tile.is_empty() {
            return;
        }
        assert!(c <= stride, "{c} columns of a tile with rows {stride} apart");
        let r = (tile.len() - c) / stride + 1;
        let part = self.count(r) * line * line;
        assert!(lines.len() >= d.div_ceil(line) * part, "lines of {} for {r} rows", lines.len());
        for j in (0..c).step_by(line) {
            let columns = line.min(c - j);
            let rows = tile[j..].chunks(stride).zip(scratch.chunks_exact_mut(line));
            match columns {
                // of a known length no call is needed
                8 => copy_lines::<T, 8>(rows),
                16 => copy_lines::<T, 16>(rows),
                32 => copy_lines::<T, 32>(rows),
                _ => rows.for_each(|(from, to)| to[..columns].copy_from_slice(&from[..columns])),
            }
            for (q, lines) in lines.chunks_exact(part).take(d.div_ceil(line)).enumerate() {
                Arch::new().dispatch(Products::<T, true> {
                    rows: columns,
                    depth: r,
                    blocks: 1,
                    left: scratch,
                    left_step: line,
                    block_step: 0,
                    right: &lines[..r * line],
                    out: Output::from(&mut out[j * d + q * line..]),
                    step: d,
                    width: line.min(d - q * line),
                    alpha: Some(alpha),
                });
            }
        }
    }
}

/// Copies `N` elements of each row, and asks for those after them.
fn copy_lines<'a, T: Copy + 'a, const N: usize>(rows: impl Iterator<Item = (&'a [T], &'a mut [T])>) {
    for (from, to) in rows {
        prefetch(from.as_ptr().wrapping_add(N));
        to[..N].copy_from_slice(&from[..N]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<T: Lanes>(len: usize, seed: usize) -> Vec<T> {
        (0..len).map(|k| T::of((((k + seed) * 7919 + 13) % 1009) as f64 / 504.5 - 1.0)).collect()
    }

    fn worst<T: Lanes>(got: &[T], want: impl Fn(usize) -> f64) -> f64 {
        got.iter().enumerate().map(|(at, x)| (x.f64() - want(at)).abs()).fold(0.0, f64::max)
    }

    /// The largest difference of any product from its definition.
    fn gap<T: Lanes>([r, c, d]: [usize; 3]) -> f64 {
        let panels = Panels::new::<T>(d);
        let line = panels.line();
        let (x, y) = (numbers::<T>(r * d, 1), numbers::<T>(c * d, 2));
        let row = |x: &[T], i: usize, t: usize| x[i * d + t].f64();
        let exact: Vec<f64> =
            (0..r * c).map(|at| (0..d).map(|t| row(&x, at / c, t) * row(&y, at % c, t)).sum()).collect();
        let mut transposed = vec![T::nan(); panels.transposed_len(r)];
        panels.transpose(&x, &mut transposed);
        let mut tile = vec![T::nan(); panels.count(r) * c * line];
        for (p, panel) in tile.chunks_exact_mut(c * line).enumerate() {
            panels.similarities(&y, &transposed[p * d * line..][..d * line], panel, p % 2 == 0);
        }
        let mut all = worst(&tile, |at| {
            let (i, j) = (at / (c * line) * line + at % line, at / line % c);
            if i < r { exact[i * c + j] } else { 0.0 }
        });

        let mut rows = vec![T::nan(); r * (c + 3)];
        let mut scratch = vec![T::nan(); panels.transposed_len(1)];
        // SAFETY: the rows are those of a vector of this function.
        unsafe { panels.rows_of_similarities(&x, &y, rows.as_mut_ptr(), c + 3, &mut scratch) };
        let in_row = |at: usize| exact[at / (c + 3) * c + at % (c + 3)];
        let off = |at: usize| if at % (c + 3) < c { rows[at].f64() - in_row(at) } else { 0.0 };
        all = (0..rows.len()).map(|at| off(at).abs()).fold(all, f64::max);
        assert!((0..r).all(|i| rows[i * (c + 3) + c..][..3].iter().all(|x| x.is_nan())), "beyond the columns");

        // of the anchors, overwritten and then added to
        let mut anchors = numbers::<T>(r * d, 3);
        for (p, rows) in anchors.chunks_mut(line * d).enumerate() {
            let mut part = vec![T::nan(); d * line];
            for add in [false, true] {
                panels.of_anchors(&y, &tile[p * c * line..][..c * line], &mut part, add);
            }
            panels.add_rows(&part, rows);
        }
        let before = numbers::<T>(r * d, 3);
        let pulled = |i: usize, t: usize| 2.0 * (0..c).map(|j| exact[i * c + j] * row(&y, j, t)).sum::<f64>();
        all = all.max(worst(&anchors, |at| before[at].f64() + pulled(at / d, at % d)));

        // of the candidates, with a factor for each anchor, from panels and from a tile of whole rows
        let factors = numbers::<T>(r, 5);
        let mut lines = vec![T::nan(); panels.lines_len(r)];
        panels.lines(&x, Some(&factors), &mut lines);
        let before = numbers::<T>(c * d, 4);
        let mut candidates = before.clone();
        let mut ranges = 0..0;
        panels.of_candidates(&tile, &lines, &mut candidates, |range| {
            assert_eq!(range.start, ranges.end);
            ranges.end = range.end;
        });
        assert_eq!(ranges, 0..c, "what was done");
        let of = |j: usize, t: usize| (0..r).map(|i| factors[i].f64() * exact[i * c + j] * row(&x, i, t)).sum::<f64>();
        all = all.max(worst(&candidates, |at| before[at].f64() + of(at / d, at % d)));
        let stride = c + 3;
        let of_row = |at: usize| if at % stride < c { exact[at / stride * c + at % stride] } else { f64::NAN };
        let rows: Vec<T> = (0..r * stride).map(|at| T::of(of_row(at))).collect();
        let mut candidates = before.clone();
        let mut scratch = vec![T::nan(); panels.columns_len(r)];
        panels.of_columns(&rows[..(r - 1) * stride + c], stride, &lines, &mut candidates, T::of(-0.5), &mut scratch);
        all.max(worst(&candidates, |at| before[at].f64() - 0.5 * of(at / d, at % d)))
    }

    #[test]
    fn products_are_the_sums_written_out_for_every_remainder() {
        for r in [1, 7, 16, 33, 70] {
            for c in [1, 5, 6, 7, 13, 32, 66, 130] {
                for d in [1, 3, 8, 16, 17, 33, 100] {
                    let (single, double) = (gap::<f32>([r, c, d]), gap::<f64>([r, c, d]));
                    assert!(single < 1e-2 && double < 1e-11, "{r} x {c} x {d}: {single:e}, {double:e}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a panel of 15")]
    fn a_short_panel_is_refused() {
        Panels::new::<f64>(2).similarities(&[0.0; 8], &[0.0; 64], &mut [0.0; 15], false);
    }
}
