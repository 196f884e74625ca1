//! The passes of a convolution over register blocks.

use super::Convolution;
use crate::product::{Lanes, Output, Panels, Products};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;

/// Steps of a task: their outputs and the taps' inputs of 64 channels stay in the second-level cache.
const STEPS: usize = 512;

/// One compilation of the products for each element type, whoever calls.
#[inline(never)]
pub(crate) fn multiply<T: Lanes, const DOWN: bool>(products: Products<'_, T, DOWN>) {
    Arch::new().dispatch(products);
}

fn line<T: Lanes>() -> usize {
    Panels::new::<T>(1).line()
}

/// A pass from rows of one table to rows of another: `out[t] += sum_j table[t step + j apart + offset] M_j`.
struct Pass<'a, T> {
    batch: usize,
    /// Rows of the table that is read, and its width.
    rows: usize,
    width: usize,
    /// Rows of the output, and its width.
    out_rows: usize,
    out_width: usize,
    taps: usize,
    apart: usize,
    step: usize,
    offset: isize,
    groups: usize,
    table: &'a [T],
    /// For each group and line of its outputs: `[taps, width / groups, line]`.
    packed: Vec<T>,
    line: usize,
}

impl<T: Lanes> Pass<'_, T> {
    /// The taps that meet the table at row `t` of the output.
    fn taps_at(&self, t: usize) -> Range<usize> {
        let first = (t * self.step) as isize + self.offset;
        let apart = self.apart as isize;
        let from = if first >= 0 { 0 } else { (-first).unsigned_abs().div_ceil(self.apart) };
        let end = (self.rows as isize - first + apart - 1).div_euclid(apart).max(0) as usize;
        let end = end.min(self.taps);
        from.min(end)..end
    }

    /// Rows `from..` of series `b`, added to `out`.
    fn part(&self, b: usize, from: usize, out: &mut [T]) {
        let (inside, outside) = (self.width / self.groups, self.out_width / self.groups);
        let count = out.len() / self.out_width;
        let lines = outside.div_ceil(self.line);
        let mut t = from;
        while t < from + count {
            let taps = self.taps_at(t);
            let mut end = t + 1;
            while end < from + count && self.taps_at(end) == taps {
                end += 1;
            }
            if !taps.is_empty() {
                let row = (t * self.step + taps.start * self.apart) as isize + self.offset;
                let row = b * self.rows + usize::try_from(row).expect("a tap that meets the table");
                for g in 0..self.groups {
                    let left = &self.table[row * self.width + g * inside..];
                    for q in 0..lines {
                        let packed = &self.packed[(g * lines + q) * self.taps * inside * self.line..];
                        let column = g * outside + q * self.line;
                        multiply::<T, false>(Products {
                            rows: end - t,
                            depth: inside,
                            blocks: taps.len(),
                            left,
                            left_step: self.step * self.width,
                            block_step: self.apart * self.width,
                            right: &packed[taps.start * inside * self.line..taps.end * inside * self.line],
                            out: Output::from(&mut out[(t - from) * self.out_width + column..]),
                            step: self.out_width,
                            width: self.line.min(outside - q * self.line),
                            alpha: Some(T::one()),
                        });
                    }
                }
            }
            t = end;
        }
    }

    /// All rows, added to `out`.
    fn run(&self, out: &mut [T]) {
        if self.out_rows * self.out_width * self.batch == 0 {
            return;
        }
        let mut tasks = Vec::new();
        for (b, series) in out.chunks_mut(self.out_rows * self.out_width).enumerate() {
            for (k, part) in series.chunks_mut(STEPS * self.out_width).enumerate() {
                tasks.push((b, k * STEPS, part));
            }
        }
        tasks.into_par_iter().for_each(|(b, from, part)| self.part(b, from, part));
    }
}

/// `[groups, lines, taps, inside, line]` of `at(tap, group, inside, outside)`.
pub(crate) fn pack<T: Lanes>(
    [groups, taps, inside, outside]: [usize; 4],
    line: usize,
    at: impl Fn(usize, usize, usize, usize) -> T,
) -> Vec<T> {
    let mut packed = vec![T::zero(); groups * outside.div_ceil(line) * taps * inside * line];
    let mut rows = packed.chunks_exact_mut(line);
    for g in 0..groups {
        for q in 0..outside.div_ceil(line) {
            for tap in 0..taps {
                for i in 0..inside {
                    let row = rows.next().expect("a line for each");
                    let columns = q * line..(q * line + line).min(outside);
                    row.iter_mut().zip(columns).for_each(|(to, o)| *to = at(tap, g, i, o));
                }
            }
        }
    }
    packed
}

fn check_input<T>(on: &Convolution, x: &[T]) {
    on.check();
    assert_eq!(
        x.len(),
        on.batch * on.length * on.inputs,
        "elements of an input [{}, {}, {}]",
        on.batch,
        on.length,
        on.inputs
    );
}

fn check_weight<T>(on: &Convolution, weight: &[T]) {
    on.check();
    let [taps, inside, outputs] = [on.taps, on.inputs / on.groups, on.outputs];
    assert_eq!(weight.len(), taps * inside * outputs, "elements of a weight [{taps}, {inside}, {outputs}]");
}

fn check_output<T>(on: &Convolution, output: &[T]) {
    on.check();
    let length = on.output_length();
    assert_eq!(output.len(), on.batch * length * on.outputs, "elements of [{}, {length}, {}]", on.batch, on.outputs);
}

pub(super) fn value<T: Lanes>(on: &Convolution, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    check_input(on, x);
    check_weight(on, weight);
    let (inside, outside, line) = (on.inputs / on.groups, on.outputs / on.groups, line::<T>());
    let rows = on.batch * on.output_length();
    let mut out = match bias {
        Some(bias) => {
            assert_eq!(bias.len(), on.outputs, "elements of a bias for {} channels", on.outputs);
            bias.repeat(rows)
        }
        None => vec![T::zero(); rows * on.outputs],
    };
    let at = |tap: usize, g: usize, i: usize, o: usize| weight[(tap * inside + i) * on.outputs + g * outside + o];
    let pass = Pass {
        batch: on.batch,
        rows: on.length,
        width: on.inputs,
        out_rows: on.output_length(),
        out_width: on.outputs,
        taps: on.taps,
        apart: on.dilation,
        step: on.stride,
        offset: on.offset(0),
        groups: on.groups,
        table: x,
        packed: pack([on.groups, on.taps, inside, outside], line, at),
        line,
    };
    pass.run(&mut out);
    out
}

pub(super) fn input_gradient<T: Lanes>(on: &Convolution, output: &[T], weight: &[T]) -> Vec<T> {
    check_output(on, output);
    check_weight(on, weight);
    let mut out = vec![T::zero(); on.batch * on.length * on.inputs];
    if on.output_length() * on.outputs == 0 {
        return out;
    }
    let (inside, outside, line) = (on.outputs / on.groups, on.inputs / on.groups, line::<T>());
    let at = |tap: usize, g: usize, i: usize, o: usize| weight[(tap * outside + o) * on.outputs + g * inside + i];
    let sizes = [on.groups, on.taps, inside, outside];
    if on.stride == 1 {
        let last = on.taps - 1;
        let pass = Pass {
            batch: on.batch,
            rows: on.output_length(),
            width: on.outputs,
            out_rows: on.length,
            out_width: on.inputs,
            taps: on.taps,
            apart: on.dilation,
            step: 1,
            offset: -on.offset(last),
            groups: on.groups,
            table: output,
            packed: pack(sizes, line, |tap, g, i, o| at(last - tap, g, i, o)),
            line,
        };
        pass.run(&mut out);
        return out;
    }
    // outputs lie `stride` steps apart: tap by tap
    let (packed, lines) = (pack(sizes, line, at), outside.div_ceil(line));
    out.par_chunks_mut((on.length * on.inputs).max(1)).enumerate().for_each(|(b, out)| {
        for tap in 0..on.taps {
            let met = on.met(tap);
            if met.is_empty() {
                continue;
            }
            let to = (met.start * on.stride) as isize + on.offset(tap);
            let to = usize::try_from(to).expect("a tap that meets the series") * on.inputs;
            let from = (b * on.output_length() + met.start) * on.outputs;
            for g in 0..on.groups {
                for q in 0..lines {
                    let right = &packed[((g * lines + q) * on.taps + tap) * inside * line..][..inside * line];
                    multiply::<T, false>(Products {
                        rows: met.len(),
                        depth: inside,
                        blocks: 1,
                        left: &output[from + g * inside..],
                        left_step: on.outputs,
                        block_step: 0,
                        right,
                        out: Output::from(&mut out[to + g * outside + q * line..]),
                        step: on.stride * on.inputs,
                        width: line.min(outside - q * line),
                        alpha: Some(T::one()),
                    });
                }
            }
        }
    });
    out
}

pub(super) fn weight_gradient<T: Lanes>(on: &Convolution, x: &[T], output: &[T]) -> Vec<T> {
    check_input(on, x);
    check_output(on, output);
    let (inside, outside, line) = (on.inputs / on.groups, on.outputs / on.groups, line::<T>());
    let (steps, lines) = (on.output_length(), outside.div_ceil(line));
    let mut out = vec![T::zero(); on.taps * inside * on.outputs];
    if on.batch * steps * out.len() == 0 {
        return out;
    }
    // the output's gradient as lines, `[groups, lines, batch x steps, line]`
    let at = |_: usize, g: usize, row: usize, o: usize| output[row * on.outputs + g * outside + o];
    let packed = pack([on.groups, 1, on.batch * steps, outside], line, at);
    let tasks: Vec<[usize; 3]> =
        (0..on.taps).flat_map(|tap| (0..on.groups).flat_map(move |g| (0..lines).map(move |q| [tap, g, q]))).collect();
    let parts: Vec<Vec<T>> = tasks
        .par_iter()
        .map(|&[tap, g, q]| {
            let mut part = vec![T::zero(); inside * line];
            let met = on.met(tap);
            if met.is_empty() {
                return part;
            }
            let from = (met.start * on.stride) as isize + on.offset(tap);
            let from = usize::try_from(from).expect("a tap that meets the series");
            let width = line.min(outside - q * line);
            for b in 0..on.batch {
                let row = ((g * lines + q) * on.batch + b) * steps;
                multiply::<T, true>(Products {
                    rows: inside,
                    depth: met.len(),
                    blocks: 1,
                    left: &x[(b * on.length + from) * on.inputs + g * inside..],
                    left_step: on.stride * on.inputs,
                    block_step: 0,
                    right: &packed[(row + met.start) * line..(row + met.end) * line],
                    out: Output::from(&mut part[..]),
                    step: line,
                    width,
                    alpha: Some(T::one()),
                });
            }
            part
        })
        .collect();
    for ([tap, g, q], part) in tasks.into_iter().zip(parts) {
        let width = line.min(outside - q * line);
        for (i, row) in part.chunks_exact(line).enumerate() {
            let to = (tap * inside + i) * on.outputs + g * outside + q * line;
            out[to..to + width].copy_from_slice(&row[..width]);
        }
    }
    out
}

pub(super) fn bias_gradient<T: Lanes>(on: &Convolution, output: &[T]) -> Vec<T> {
    check_output(on, output);
    let mut sums = vec![T::zero(); on.outputs];
    for row in output.chunks_exact(on.outputs.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v);
    }
    sums
}
