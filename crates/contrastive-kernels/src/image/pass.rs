//! One way through the images: from a table of them to outputs, a product for each row of outputs or for some hundred positions.

use crate::convolution::multiply;
use crate::product::{Lanes, Output, Products};
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Outputs of a row from which on it is a product of its own; shorter ones are gathered.
const LONG: usize = 12;
/// Most numbers of gathered taps: with the weights of a line they stay in the second-level cache.
const GATHERED: usize = 3 << 16;

/// `out[r, c] (+)= sum over taps (i, j) of table[r step + i - before, c step + j - before] M_ij`, beyond the table zeros.
pub(super) struct Pass<'a, T> {
    /// `[.., rows, columns, width]`.
    pub table: &'a [T],
    pub rows: usize,
    pub columns: usize,
    pub width: usize,
    pub taps: [usize; 2],
    pub step: [usize; 2],
    pub before: [isize; 2],
    /// Rows and columns of outputs of an image.
    pub out: [usize; 2],
    /// `[lines of outputs, taps, width, line]`.
    pub packed: Vec<T>,
    pub line: usize,
    /// Where the outputs lie in their image `[rows, columns, channels]`.
    pub image: [usize; 2],
    pub channels: usize,
    pub start: [usize; 2],
    pub apart: [usize; 2],
}

/// An image with its padding, or as it is where it needs none.
pub(super) struct Padded<'a, T> {
    scratch: Vec<T>,
    whole: Option<&'a [T]>,
    /// Elements of a row.
    pub pitch: usize,
}

impl<T> Padded<'_, T> {
    pub fn values(&self) -> &[T] {
        self.whole.unwrap_or(&self.scratch)
    }
}

/// How an image is padded.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub rows: usize,
    pub columns: usize,
    pub width: usize,
    pub taps: [usize; 2],
    pub step: [usize; 2],
    pub before: [isize; 2],
    pub out: [usize; 2],
}

impl Frame {
    /// Rows and columns that the taps of all outputs cover.
    fn covered(&self, axis: usize) -> usize {
        (self.out[axis] - 1) * self.step[axis] + self.taps[axis]
    }

    fn fits(&self) -> bool {
        self.before == [0, 0] && self.covered(0) <= self.rows && self.covered(1) <= self.columns
    }

    pub fn room<'a, T: Lanes>(&self) -> Padded<'a, T> {
        match self.fits() {
            true => Padded { scratch: Vec::new(), whole: None, pitch: self.columns * self.width },
            false => {
                let pitch = self.covered(1) * self.width;
                Padded { scratch: vec![T::zero(); self.covered(0) * pitch], whole: None, pitch }
            }
        }
    }

    /// Puts image `b` of the table there. What lies beyond the image was zero and stays so.
    pub fn put<'a, T: Lanes>(&self, table: &'a [T], b: usize, to: &mut Padded<'a, T>) {
        let image = &table[b * self.rows * self.columns * self.width..][..self.rows * self.columns * self.width];
        if self.fits() {
            to.whole = Some(image);
            return;
        }
        let part = |axis: usize, length: usize| {
            let shift = self.before[axis];
            let first = shift.max(0).unsigned_abs().min(self.covered(axis));
            let from = (-shift).max(0).unsigned_abs().min(length);
            (first, from, (self.covered(axis) - first).min(length - from))
        };
        let ((row, from_row, rows), (column, from_column, columns)) = (part(0, self.rows), part(1, self.columns));
        for r in 0..rows {
            let source = ((from_row + r) * self.columns + from_column) * self.width;
            let target = (row + r) * to.pitch + column * self.width;
            to.scratch[target..target + columns * self.width]
                .copy_from_slice(&image[source..source + columns * self.width]);
        }
    }
}

/// The output of one task.
#[derive(Clone, Copy)]
struct Target<T> {
    start: *mut T,
    len: usize,
    add: bool,
}

impl<T: Lanes> Target<T> {
    /// From element `at` on.
    fn from(&self, at: usize) -> Output<'_, T> {
        assert!(at <= self.len, "element {at} of an output of {}", self.len);
        // SAFETY: `start` is valid for `len` elements, which are this task's alone.
        unsafe { Output::new(self.start.add(at), self.len - at) }
    }

    fn alpha(&self) -> Option<T> {
        self.add.then(T::one)
    }
}

impl<T: Lanes> Pass<'_, T> {
    fn frame(&self) -> Frame {
        let &Self { rows, columns, width, taps, step, before, out, .. } = self;
        Frame { rows, columns, width, taps, step, before, out }
    }

    fn depth(&self) -> usize {
        self.taps[0] * self.taps[1] * self.width
    }

    fn positions(&self) -> usize {
        self.out[0] * self.out[1]
    }

    fn lines(&self) -> usize {
        self.channels.div_ceil(self.line)
    }

    fn packed(&self, q: usize) -> (&[T], usize) {
        let panel = self.depth() * self.line;
        (&self.packed[q * panel..(q + 1) * panel], self.line.min(self.channels - q * self.line))
    }

    /// Is a row of outputs long enough?
    fn is_long(&self) -> bool {
        self.out[1] >= LONG
    }

    /// Is every output one position of the table?
    fn is_pointwise(&self) -> bool {
        self.frame().fits() && self.taps == [1, 1] && self.out == [self.rows, self.columns] && self.image == self.out
    }

    /// Positions that are gathered at a time.
    fn gathered(&self) -> usize {
        (GATHERED / self.depth()).clamp(36, 240) / 12 * 12
    }

    /// Images of a task.
    fn group(&self) -> usize {
        if self.positions() == 0 || self.is_long() && !self.is_pointwise() {
            return 1;
        }
        self.gathered().div_ceil(self.positions())
    }

    /// Images `images`, whose outputs begin at `to`.
    fn task(&self, images: Range<usize>, to: Target<T>) {
        if self.positions() == 0 || self.depth() == 0 || self.channels == 0 {
            return;
        }
        if self.is_pointwise() {
            self.pointwise(images, to);
        } else if self.is_long() {
            images.clone().for_each(|b| self.rows_of(b, (b - images.start) * self.image[0] * self.image[1], to));
        } else {
            self.gather(images, to);
        }
    }

    fn pointwise(&self, images: Range<usize>, to: Target<T>) {
        let (first, count) = (images.start * self.positions(), images.len() * self.positions());
        for at in (0..count).step_by(240) {
            let rows = (count - at).min(240);
            for q in 0..self.lines() {
                let (right, width) = self.packed(q);
                multiply::<T, false>(Products {
                    rows,
                    depth: self.width,
                    blocks: 1,
                    left: &self.table[(first + at) * self.width..],
                    left_step: self.width,
                    block_step: 0,
                    right,
                    out: to.from(at * self.channels + q * self.line),
                    step: self.channels,
                    width,
                    alpha: to.alpha(),
                });
            }
        }
    }

    fn rows_of(&self, b: usize, pixel: usize, to: Target<T>) {
        let frame = self.frame();
        let mut padded = frame.room();
        frame.put(self.table, b, &mut padded);
        for q in 0..self.lines() {
            let (right, width) = self.packed(q);
            for r in 0..self.out[0] {
                let row = (self.start[0] + r * self.apart[0]) * self.image[1] + self.start[1];
                multiply::<T, false>(Products {
                    rows: self.out[1],
                    depth: self.taps[1] * self.width,
                    blocks: self.taps[0],
                    left: &padded.values()[r * self.step[0] * padded.pitch..],
                    left_step: self.step[1] * self.width,
                    block_step: padded.pitch,
                    right,
                    out: to.from((pixel + row) * self.channels + q * self.line),
                    step: self.apart[1] * self.channels,
                    width,
                    alpha: to.alpha(),
                });
            }
        }
    }

    fn gather(&self, images: Range<usize>, to: Target<T>) {
        let (frame, depth, count) = (self.frame(), self.depth(), images.len() * self.positions());
        let (run, most) = (self.taps[1] * self.width, self.gathered());
        let dense = self.apart == [1, 1] && self.image == self.out;
        let mut padded = frame.room();
        let mut taps = vec![T::zero(); most.min(count) * depth];
        let mut apart = vec![T::zero(); if dense { 0 } else { most.min(count) * self.line }];
        let mut present = None;
        for at in (0..count).step_by(most) {
            let rows = (count - at).min(most);
            for (k, taps) in taps.chunks_exact_mut(depth).take(rows).enumerate() {
                let [b, r, c] = self.place(at + k);
                if present != Some(b) {
                    frame.put(self.table, images.start + b, &mut padded);
                    present = Some(b);
                }
                let from = r * self.step[0] * padded.pitch + c * self.step[1] * self.width;
                for (i, taps) in taps.chunks_exact_mut(run).enumerate() {
                    taps.copy_from_slice(&padded.values()[from + i * padded.pitch..][..run]);
                }
            }
            for q in 0..self.lines() {
                let (right, width) = self.packed(q);
                let (out, step, alpha) = match dense {
                    true => (to.from(at * self.channels + q * self.line), self.channels, to.alpha()),
                    false => (Output::from(&mut apart[..]), self.line, None),
                };
                let left = &taps[..rows * depth];
                let product = Products {
                    rows,
                    depth,
                    blocks: 1,
                    left,
                    left_step: depth,
                    block_step: 0,
                    right,
                    out,
                    step,
                    width,
                    alpha,
                };
                multiply::<T, false>(product);
                if !dense {
                    for (k, row) in apart.chunks_exact(self.line).take(rows).enumerate() {
                        let [b, r, c] = self.place(at + k);
                        let row_of = (b * self.image[0] + self.start[0] + r * self.apart[0]) * self.image[1];
                        let pixel = row_of + self.start[1] + c * self.apart[1];
                        let place = pixel * self.channels + q * self.line;
                        assert!(place + width <= to.len, "element {place} of an output of {}", to.len);
                        for (l, &x) in row[..width].iter().enumerate() {
                            // SAFETY: the element is within the output, which is this task's alone; outputs apart are never added to.
                            unsafe { to.start.add(place + l).write(x) };
                        }
                    }
                }
            }
        }
    }

    /// Image, row and column of an output.
    fn place(&self, at: usize) -> [usize; 3] {
        let within = at % self.positions();
        [at / self.positions(), within / self.out[1], within % self.out[1]]
    }
}

/// The outputs of all images, which the passes together write once each, or not at all where `holes` are left: those are zeros. With a
/// bias there are no holes.
pub(super) fn run<T: Lanes>(passes: &[Pass<'_, T>], batch: usize, holes: bool, bias: Option<&[T]>) -> Vec<T> {
    let Some(first) = passes.first() else { return Vec::new() };
    let image = first.image[0] * first.image[1] * first.channels;
    let mut out = Vec::with_capacity(batch * image);
    if batch * image == 0 {
        return out;
    }
    let group = passes.iter().map(Pass::group).max().unwrap_or(1);
    let room = &mut out.spare_capacity_mut()[..batch * image];
    room.par_chunks_mut(group * image).enumerate().for_each(|(k, part)| {
        match bias {
            Some(bias) => part.chunks_exact_mut(bias.len()).for_each(|row| {
                row.iter_mut().zip(bias).for_each(|(to, &x)| *to = MaybeUninit::new(x));
            }),
            None if holes => part.fill(MaybeUninit::new(T::zero())),
            None => (),
        }
        let to = Target { start: part.as_mut_ptr().cast::<T>(), len: part.len(), add: bias.is_some() };
        let images = k * group..k * group + part.len() / image;
        passes.iter().for_each(|pass| pass.task(images.clone(), to));
    });
    // SAFETY: each element was written, by a pass or before.
    unsafe { out.set_len(batch * image) };
    out
}
