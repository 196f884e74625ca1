//! Maximum and average over windows of positions.

use crate::vector::Element;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// The windows along an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The positions of each, at least one.
    pub ranges: Vec<Range<usize>>,
    /// What an average divides by, for each.
    pub divisors: Vec<usize>,
}

/// A pooling, and what it is done to: windows are the products of those of rows and of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Images.
    pub batch: usize,
    /// Rows and columns of an image.
    pub image: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Windows of the rows.
    pub rows: Windows,
    /// Windows of the columns.
    pub columns: Windows,
}

impl Pooling {
    /// Numbers of an image.
    fn input(&self) -> usize {
        self.image[0] * self.image[1] * self.channels
    }

    /// Numbers of its output.
    fn output(&self) -> usize {
        self.rows.ranges.len() * self.columns.ranges.len() * self.channels
    }

    fn check<T>(&self, x: Option<&[T]>, output: Option<&[T]>) {
        for (windows, length) in [(&self.rows, self.image[0]), (&self.columns, self.image[1])] {
            let fine = windows.ranges.iter().all(|range| range.start < range.end && range.end <= length);
            assert!(
                fine && windows.ranges.len() == windows.divisors.len(),
                "windows of {length} positions: {windows:?}"
            );
        }
        let of = |list: Option<&[T]>, each: usize| list.is_none_or(|list| list.len() == self.batch * each);
        assert!(of(x, self.input()) && of(output, self.output()), "numbers of images and of their outputs, {self:?}");
    }

    /// Calls `f` with the first number of each window's output, its rows, its columns, and one over what an average divides by.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, Range<usize>, Range<usize>, f64)) {
        let mut at = 0;
        for (rows, high) in self.rows.ranges.iter().zip(&self.rows.divisors) {
            for (columns, wide) in self.columns.ranges.iter().zip(&self.columns.divisors) {
                f(at, rows.clone(), columns.clone(), 1.0 / (high * wide) as f64);
                at += self.channels;
            }
        }
    }

    /// The numbers of a window's positions begin here.
    #[inline(always)]
    fn places(&self, rows: Range<usize>, columns: Range<usize>) -> impl Iterator<Item = usize> {
        let (width, channels) = (self.image[1], self.channels);
        rows.flat_map(move |row| columns.clone().map(move |column| (row * width + column) * channels))
    }
}

const LANES: usize = 16;

/// Calls `f` with the channels, some at a time, as ranges.
#[inline(always)]
fn lanes(channels: usize, mut f: impl FnMut(usize, usize)) {
    let whole = channels / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        f(start, LANES);
    }
    if whole < channels {
        f(whole, channels - whole);
    }
}

/// Does `x` take the place of the largest so far? NaN does, and stays.
#[inline(always)]
fn beats<T: Element>(x: T, best: T) -> bool {
    (x > best) | (x.is_nan() & !best.is_nan())
}

/// What is done to an image.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Maximum,
    MaximumBackward,
    Average,
    AverageBackward,
}

struct Kernel<'a, T> {
    on: &'a Pooling,
    what: What,
    x: &'a [T],
    gradient: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Kernel<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { on, what, x, gradient, out } = self;
        on.each(|at, rows, columns, share| {
            let places = || on.places(rows.clone(), columns.clone());
            let share = T::of(share);
            match what {
                What::Average => {
                    for place in places() {
                        let (to, from) = (&mut out[at..at + on.channels], &x[place..place + on.channels]);
                        to.iter_mut().zip(from).for_each(|(to, &x)| *to += x * share);
                    }
                }
                What::AverageBackward => {
                    for place in places() {
                        let (to, from) = (&mut out[place..place + on.channels], &gradient[at..at + on.channels]);
                        to.iter_mut().zip(from).for_each(|(to, &d)| *to += d * share);
                    }
                }
                What::Maximum => lanes(on.channels, |start, count| {
                    let mut best = [T::neg_infinity(); LANES];
                    for place in places() {
                        let from = &x[place + start..][..count];
                        match <&[T; LANES]>::try_from(from) {
                            Ok(from) => (0..LANES)
                                .for_each(|l| best[l] = if beats(from[l], best[l]) { from[l] } else { best[l] }),
                            Err(_) => {
                                for (best, &x) in best.iter_mut().zip(from) {
                                    *best = if beats(x, *best) { x } else { *best };
                                }
                            }
                        }
                    }
                    out[at + start..][..count].copy_from_slice(&best[..count]);
                }),
                What::MaximumBackward => lanes(on.channels, |start, count| {
                    let mut best = [T::neg_infinity(); LANES];
                    let mut found = [T::zero(); LANES];
                    let mut tap = T::zero();
                    for place in places() {
                        let from = &x[place + start..][..count];
                        match <&[T; LANES]>::try_from(from) {
                            Ok(from) => {
                                for l in 0..LANES {
                                    let better = beats(from[l], best[l]);
                                    best[l] = if better { from[l] } else { best[l] };
                                    found[l] = if better { tap } else { found[l] };
                                }
                            }
                            Err(_) => {
                                for ((best, found), &x) in best.iter_mut().zip(&mut found).zip(from) {
                                    if beats(x, *best) {
                                        (*best, *found) = (x, tap);
                                    }
                                }
                            }
                        }
                        tap += T::one();
                    }
                    let gradient = &gradient[at + start..][..count];
                    let mut tap = T::zero();
                    for place in places() {
                        let to = &mut out[place + start..][..count];
                        for ((to, &found), &d) in to.iter_mut().zip(&found).zip(gradient) {
                            *to += if found == tap { d } else { T::zero() };
                        }
                        tap += T::one();
                    }
                }),
            }
        });
    }
}

fn run<T: Element>(on: &Pooling, what: What, x: &[T], gradient: &[T]) -> Vec<T> {
    let backward = matches!(what, What::MaximumBackward | What::AverageBackward);
    let each = if backward { on.input() } else { on.output() };
    let mut out = crate::memory::zeros(on.batch * each);
    let part = |all: &[T], each: usize, b: usize| -> Range<usize> {
        if all.is_empty() { 0..0 } else { b * each..(b + 1) * each }
    };
    out.par_chunks_mut(each.max(1)).enumerate().for_each(|(b, out)| {
        let (x, gradient) = (&x[part(x, on.input(), b)], &gradient[part(gradient, on.output(), b)]);
        Arch::new().dispatch(Kernel { on, what, x, gradient, out });
    });
    out
}

pub(super) fn maximum<T: Element>(on: &Pooling, x: &[T]) -> Vec<T> {
    on.check(Some(x), None);
    run(on, What::Maximum, x, &[])
}

pub(super) fn maximum_backward<T: Element>(on: &Pooling, x: &[T], gradient: &[T]) -> Vec<T> {
    on.check(Some(x), Some(gradient));
    run(on, What::MaximumBackward, x, gradient)
}

pub(super) fn average<T: Element>(on: &Pooling, x: &[T]) -> Vec<T> {
    on.check(Some(x), None);
    run(on, What::Average, x, &[])
}

pub(super) fn average_backward<T: Element>(on: &Pooling, gradient: &[T]) -> Vec<T> {
    on.check(None, Some(gradient));
    run(on, What::AverageBackward, &[], gradient)
}
