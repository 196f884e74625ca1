//! Convolutions of images.

use super::pass::{Frame, Pass, run};
use crate::convolution::{multiply, pack_lines};
use crate::product::{Lanes, Output, Panels, Products};
use rayon::prelude::*;

/// What a convolution of images does, and to what; pairs are row and column.
///
/// # Shapes
/// - x: `[batch, height, width, inputs]`
/// - weight: `[kernel 0, kernel 1, inputs, outputs]`
/// - bias: `[outputs]`
/// - output and its gradient: `[batch, height', width', outputs]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution2d {
    /// Images.
    pub batch: usize,
    /// Rows and columns of an image.
    pub image: [usize; 2],
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns between two outputs, at least 1.
    pub stride: [usize; 2],
    /// Zeros that are thought of before and behind.
    pub padding: [(usize, usize); 2],
}

/// Most numbers of all partial gradients of a weight.
const PARTS: usize = 1 << 21;
/// Most blocks of images whose gradients of a weight are summed apart.
const BLOCKS: usize = 16;

impl Convolution2d {
    /// Rows and columns of the output, 0 where the kernel does not fit.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let (before, after) = self.padding[axis];
            let rest = (before + self.image[axis] + after).checked_sub(self.kernel[axis]);
            rest.map_or(0, |rest| rest / self.stride[axis] + 1)
        })
    }

    /// Multiply-adds of the value, those with zeros of the padding included; each gradient has as many.
    pub fn multiply_adds(&self) -> u64 {
        let [rows, columns] = self.output();
        (self.batch * rows * columns * self.kernel[0] * self.kernel[1]) as u64 * (self.inputs * self.outputs) as u64
    }

    fn check(&self, [x, weight, output]: [Option<usize>; 3]) {
        let Self { batch, image, inputs, outputs, kernel, stride, .. } = *self;
        let fine = [image, kernel, stride].iter().flatten().all(|&n| n > 0) && inputs > 0 && outputs > 0;
        assert!(fine, "a convolution {self:?}");
        let [rows, columns] = self.output();
        let wanted = [
            ("images", x, batch * image[0] * image[1] * inputs),
            ("weight", weight, kernel[0] * kernel[1] * inputs * outputs),
            ("output", output, batch * rows * columns * outputs),
        ];
        for (what, got, want) in wanted {
            assert!(got.is_none_or(|got| got == want), "{got:?} elements of the {what} of {self:?}");
        }
    }
}

fn line<T: Lanes>() -> usize {
    Panels::new::<T>(1).line()
}

pub(super) fn value<T: Lanes>(on: &Convolution2d, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    on.check([Some(x.len()), Some(weight.len()), None]);
    assert!(bias.is_none_or(|bias| bias.len() == on.outputs), "elements of a bias for {} channels", on.outputs);
    let [high, wide] = on.kernel;
    let at = |tap: usize, _: usize, i: usize, o: usize| weight[(tap * on.inputs + i) * on.outputs + o];
    let pass = Pass {
        table: x,
        rows: on.image[0],
        columns: on.image[1],
        width: on.inputs,
        taps: on.kernel,
        step: on.stride,
        before: on.padding.map(|(before, _)| before as isize),
        out: on.output(),
        packed: pack_lines([1, high * wide, on.inputs, on.outputs], line::<T>(), at),
        line: line::<T>(),
        image: on.output(),
        channels: on.outputs,
        start: [0, 0],
        apart: [1, 1],
    };
    run(&[pass], on.batch, false, bias)
}

/// Of the rows (or columns) `start + apart k` of the input: their number, the first tap that meets them, the number of taps, and the
/// outputs before the first that the first row would meet, were there any.
fn met_by(on: &Convolution2d, axis: usize, phase: usize) -> (usize, usize, usize, isize) {
    let (stride, before) = (on.stride[axis], on.padding[axis].0);
    let count = on.image[axis].saturating_sub(phase).div_ceil(stride);
    let first = (phase + before) % stride;
    let taps = on.kernel[axis].saturating_sub(first).div_ceil(stride);
    // row `phase` is met by tap `first` at output `base`, by the next tap at the output before
    let base = ((phase + before) / stride) as isize;
    (count, first, taps, taps as isize - 1 - base)
}

/// The gradient of the images: as many convolutions of the output's gradient, with the taps taken the other way round, as a stride
/// has places.
pub(super) fn images_gradient<T: Lanes>(on: &Convolution2d, output: &[T], weight: &[T]) -> Vec<T> {
    on.check([None, Some(weight.len()), Some(output.len())]);
    let [rows, columns] = on.output();
    if rows * columns == 0 {
        return vec![T::zero(); on.batch * on.image[0] * on.image[1] * on.inputs];
    }
    let wide = on.kernel[1];
    let mut passes = Vec::new();
    let mut holes = false;
    for row in 0..on.stride[0].min(on.image[0]) {
        for column in 0..on.stride[1].min(on.image[1]) {
            let (count_rows, first_row, taps_rows, before_rows) = met_by(on, 0, row);
            let (count_columns, first_column, taps_columns, before_columns) = met_by(on, 1, column);
            if taps_rows * taps_columns == 0 {
                holes = true;
                continue;
            }
            let at = |tap: usize, _: usize, o: usize, i: usize| {
                let (r, c) = (taps_rows - 1 - tap / taps_columns, taps_columns - 1 - tap % taps_columns);
                let tap = (first_row + r * on.stride[0]) * wide + first_column + c * on.stride[1];
                weight[(tap * on.inputs + i) * on.outputs + o]
            };
            passes.push(Pass {
                table: output,
                rows,
                columns,
                width: on.outputs,
                taps: [taps_rows, taps_columns],
                step: [1, 1],
                before: [before_rows, before_columns],
                out: [count_rows, count_columns],
                packed: pack_lines([1, taps_rows * taps_columns, on.outputs, on.inputs], line::<T>(), at),
                line: line::<T>(),
                image: on.image,
                channels: on.inputs,
                start: [row, column],
                apart: on.stride,
            });
        }
    }
    match passes.is_empty() {
        true => vec![T::zero(); on.batch * on.image[0] * on.image[1] * on.inputs],
        false => run(&passes, on.batch, holes, None),
    }
}

/// The gradient of the weight: for blocks of images and lines of the output's channels apart, then summed in order.
pub(super) fn kernel_gradient<T: Lanes>(on: &Convolution2d, x: &[T], output: &[T]) -> Vec<T> {
    on.check([Some(x.len()), None, Some(output.len())]);
    let ([high, wide], [rows, columns], line) = (on.kernel, on.output(), line::<T>());
    let (run, depth, positions) = (wide * on.inputs, high * wide * on.inputs, rows * columns);
    let mut out = vec![T::zero(); depth * on.outputs];
    if on.batch * positions == 0 {
        return out;
    }
    let frame = Frame {
        rows: on.image[0],
        columns: on.image[1],
        width: on.inputs,
        taps: on.kernel,
        step: on.stride,
        before: on.padding.map(|(before, _)| before as isize),
        out: on.output(),
    };
    let lines = on.outputs.div_ceil(line);
    let blocks = (PARTS / out.len()).clamp(1, BLOCKS).min(on.batch);
    let images = on.batch.div_ceil(blocks);
    let blocks = on.batch.div_ceil(images);
    let of = |k: usize| {
        let (block, q) = (k / lines, k % lines);
        let width = line.min(on.outputs - q * line);
        let mut part = vec![T::zero(); depth * line];
        let mut padded = frame.room();
        let mut right = vec![T::zero(); if width == on.outputs && width == line { 0 } else { positions * line }];
        for b in block * images..((block + 1) * images).min(on.batch) {
            frame.put(x, b, &mut padded);
            let of_image = &output[b * positions * on.outputs..][..positions * on.outputs];
            for (to, from) in right.chunks_exact_mut(line).zip(of_image.chunks_exact(on.outputs)) {
                to[..width].copy_from_slice(&from[q * line..q * line + width]);
            }
            let right = if right.is_empty() { of_image } else { &right[..] };
            for i in 0..high {
                multiply::<T, true>(Products {
                    rows: run,
                    depth: columns,
                    blocks: rows,
                    left: &padded.values()[i * padded.pitch..],
                    left_step: on.stride[1] * on.inputs,
                    block_step: on.stride[0] * padded.pitch,
                    right,
                    out: Output::from(&mut part[i * run * line..]),
                    step: line,
                    width,
                    alpha: Some(T::one()),
                });
            }
        }
        part
    };
    let parts: Vec<Vec<T>> = (0..blocks * lines).into_par_iter().map(of).collect();
    for (k, part) in parts.iter().enumerate() {
        let q = k % lines;
        let width = line.min(on.outputs - q * line);
        for (row, part) in out.chunks_exact_mut(on.outputs).zip(part.chunks_exact(line)) {
            row[q * line..q * line + width].iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Images;
    use super::*;

    /// The definition, output by output.
    fn plain(on: &Convolution2d, x: &[f64], w: &[f64]) -> Vec<f64> {
        let [rows, columns] = on.output();
        let mut y = Vec::new();
        for b in 0..on.batch {
            for place in 0..rows * columns {
                for o in 0..on.outputs {
                    let mut sum = 0.0;
                    for tap in 0..on.kernel[0] * on.kernel[1] {
                        let places = [place / columns, place % columns];
                        let taps = [tap / on.kernel[1], tap % on.kernel[1]];
                        let at = [0, 1].map(|a| (places[a] * on.stride[a] + taps[a]).checked_sub(on.padding[a].0));
                        let [Some(r), Some(c)] = at else { continue };
                        if r >= on.image[0] || c >= on.image[1] {
                            continue;
                        }
                        let pixel = ((b * on.image[0] + r) * on.image[1] + c) * on.inputs;
                        for i in 0..on.inputs {
                            sum += x[pixel + i] * w[(tap * on.inputs + i) * on.outputs + o];
                        }
                    }
                    y.push(sum);
                }
            }
        }
        y
    }

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let number = |k| (crate::layer::dropout::mix(seed + k as u64) >> 11) as f64 / 2f64.powi(52) - 1.0;
        (0..count).map(number).collect()
    }

    #[test]
    fn value_and_gradients_are_those_of_the_definition() {
        let base = Convolution2d {
            batch: 3,
            image: [6, 15],
            inputs: 3,
            outputs: 5,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [(1, 1); 2],
        };
        let none = [(0, 0); 2];
        let cases = [
            base,
            Convolution2d { image: [5, 4], outputs: 40, ..base },
            Convolution2d { stride: [2, 2], ..base },
            Convolution2d { image: [30, 31], stride: [2, 2], batch: 1, ..base },
            Convolution2d { stride: [3, 2], kernel: [2, 5], padding: [(0, 1), (2, 3)], ..base },
            Convolution2d { kernel: [1, 1], padding: none, inputs: 34, ..base },
            Convolution2d { kernel: [1, 1], padding: none, stride: [2, 2], image: [7, 28], ..base },
            Convolution2d { kernel: [1, 1], padding: [(1, 0), (0, 2)], ..base },
            Convolution2d { kernel: [2, 2], padding: [(3, 3); 2], stride: [1, 4], ..base },
            Convolution2d { kernel: [7, 7], padding: [(3, 3); 2], stride: [2, 2], image: [9, 8], ..base },
            Convolution2d { kernel: [4, 2], padding: none, image: [3, 5], ..base },
            Convolution2d { batch: 0, ..base },
            Convolution2d { batch: 40, image: [2, 2], inputs: 8, outputs: 32, ..base },
        ];
        for on in cases {
            let x = numbers(on.batch * on.image[0] * on.image[1] * on.inputs, 1);
            let w = numbers(on.kernel[0] * on.kernel[1] * on.inputs * on.outputs, 2);
            let bias = numbers(on.outputs, 3);
            let want = plain(&on, &x, &w);
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-10, "{on:?}: {a} instead of {b}");
            let y = f64::convolve_images(&on, &x, &w, None);
            assert_eq!(y.len(), want.len(), "{on:?}");
            y.iter().zip(&want).for_each(|(a, b)| close(*a, *b));
            let biased = f64::convolve_images(&on, &x, &w, Some(&bias));
            biased.iter().zip(&want).enumerate().for_each(|(k, (a, b))| close(*a, *b + bias[k % on.outputs]));
            // linear in each argument: gradients by adjointness, for unit vectors
            let dy = numbers(y.len(), 4);
            let dot = |a: &[f64]| a.iter().zip(&dy).map(|(a, b)| a * b).sum::<f64>();
            let (dx, dw) = (f64::images_gradient(&on, &dy, &w), f64::kernel_gradient(&on, &x, &dy));
            assert_eq!((dx.len(), dw.len()), (x.len(), w.len()));
            let check = |got: &[f64], of: &dyn Fn(&[f64]) -> Vec<f64>| {
                let mut unit = vec![0.0; got.len()];
                for k in (0..got.len()).step_by(1 + got.len() / 60) {
                    unit[k] = 1.0;
                    close(got[k], dot(&of(&unit)));
                    unit[k] = 0.0;
                }
            };
            check(&dx, &|x| plain(&on, x, &w));
            check(&dw, &|w| plain(&on, &x, w));
        }
    }
}
