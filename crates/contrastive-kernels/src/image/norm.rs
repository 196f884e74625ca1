//! Norms of channels that lie last, with the rectifier that follows.

use crate::vector::Element;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A norm of channels, `(x - mean) / sqrt(variance + epsilon) * gain + bias`, each ghost with its own mean and variance.
#[derive(Clone, Copy, Debug)]
pub struct ChannelNorm<'a, T> {
    /// Channels of a row.
    pub channels: usize,
    /// Rows of each ghost, in order.
    pub ghosts: &'a [usize],
    /// `[ghosts, 2, channels]`: means and variances.
    pub moments: &'a [T],
    /// Are the moments those of the rows? Otherwise they are constants.
    pub of_rows: bool,
    /// Added to variances.
    pub epsilon: f64,
    /// `[channels]`.
    pub gain: &'a [T],
    /// `[channels]`.
    pub bias: &'a [T],
    /// Is what is below 0 set to 0?
    pub relu: bool,
}

/// The gradients of a norm of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGradients<T> {
    /// `[rows, channels]`.
    pub x: Vec<T>,
    /// `[channels]`.
    pub gain: Vec<T>,
    /// `[channels]`.
    pub bias: Vec<T>,
}

/// Numbers of a block: it stays in the first-level cache.
const BLOCK: usize = 1 << 12;
/// Rows that are summed before they join a sum.
const ROWS: usize = 8;

/// The blocks of rows of each ghost: its number, and the rows.
fn blocks(channels: usize, ghosts: &[usize]) -> Vec<(usize, Range<usize>)> {
    let most = (BLOCK / channels.max(1)).max(ROWS);
    let (mut all, mut start) = (Vec::new(), 0);
    for (ghost, &rows) in ghosts.iter().enumerate() {
        let end = start + rows;
        all.extend((start..end).step_by(most).map(|row| (ghost, row..(row + most).min(end))));
        start = end;
    }
    all
}

fn check<T>(channels: usize, ghosts: &[usize], x: &[T]) {
    let rows: usize = ghosts.iter().sum();
    assert!(channels > 0 && !ghosts.contains(&0), "norms of {channels} channels over ghosts {ghosts:?}");
    assert_eq!(x.len(), rows * channels, "numbers of {rows} rows of {channels} channels");
}

/// `sums[c] += sum over rows of f(row, c)`, some rows at a time.
#[inline(always)]
fn add_rows<T: Element>(rows: usize, sums: &mut [T], f: impl Fn(usize, usize) -> T) {
    let whole = rows / ROWS * ROWS;
    for start in (0..whole).step_by(ROWS) {
        for (c, sum) in sums.iter_mut().enumerate() {
            let mut part = [T::zero(); ROWS];
            for r in 0..ROWS {
                part[r] = f(start + r, c);
            }
            *sum += ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
        }
    }
    for r in whole..rows {
        for (c, sum) in sums.iter_mut().enumerate() {
            *sum += f(r, c);
        }
    }
}

pub(super) fn sums<T: Element>(x: &[T], channels: usize) -> Vec<T> {
    struct Kernel<'a, T>(&'a [T], &'a mut [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(x, sums) = self;
            let channels = sums.len();
            // SAFETY: `x` holds whole rows of as many channels as there are sums.
            add_rows(x.len() / channels, sums, |r, c| unsafe { *x.get_unchecked(r * channels + c) });
        }
    }
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{} numbers in rows of {channels}", x.len());
    let block = (BLOCK / channels).max(ROWS) * channels;
    let parts: Vec<Vec<T>> = x
        .par_chunks(block)
        .with_min_len(4)
        .map(|x| {
            let mut sums = vec![T::zero(); channels];
            Arch::new().dispatch(Kernel(x, &mut sums));
            sums
        })
        .collect();
    let mut all = vec![T::zero(); channels];
    for part in parts {
        all.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    all
}

/// Mean of a block, and the sum of squares about it.
struct Moments<'a, T> {
    x: &'a [T],
    mean: &'a mut [T],
    squares: &'a mut [T],
}

impl<T: Element> WithSimd for Moments<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, mean, squares } = self;
        let channels = mean.len();
        let squares = &mut squares[..channels];
        let rows = x.len() / channels;
        let share = T::one() / T::of(rows as f64);
        // SAFETY (of all below): `x` holds whole rows of as many channels as there are means and squares.
        // SAFETY: as above.
        add_rows(rows, mean, |r, c| unsafe { *x.get_unchecked(r * channels + c) });
        mean.iter_mut().for_each(|mean| *mean *= share);
        let mean = &*mean;
        add_rows(rows, squares, |r, c| {
            // SAFETY: as above.
            let gap = unsafe { *x.get_unchecked(r * channels + c) - *mean.get_unchecked(c) };
            gap * gap
        });
    }
}

pub(super) fn moments<T: Element>(x: &[T], channels: usize, ghosts: &[usize]) -> Vec<T> {
    check(channels, ghosts, x);
    let blocks = blocks(channels, ghosts);
    let of = |(_, rows): &(usize, Range<usize>)| {
        let mut part = vec![T::zero(); 2 * channels];
        let (mean, squares) = part.split_at_mut(channels);
        Arch::new().dispatch(Moments { x: &x[rows.start * channels..rows.end * channels], mean, squares });
        part
    };
    let parts: Vec<Vec<T>> = blocks.par_iter().with_min_len(4).map(of).collect();
    let mut all = vec![T::zero(); ghosts.len() * 2 * channels];
    let mut seen = vec![0usize; ghosts.len()];
    for ((ghost, rows), part) in blocks.iter().zip(&parts) {
        let (before, now) = (seen[*ghost] as f64, rows.len() as f64);
        let (share, weight) = (T::of(now / (before + now)), T::of(before * now / (before + now)));
        seen[*ghost] += rows.len();
        let (mean, squares) = all[ghost * 2 * channels..][..2 * channels].split_at_mut(channels);
        for c in 0..channels {
            let gap = part[c] - mean[c];
            mean[c] += gap * share;
            squares[c] += part[channels + c] + gap * gap * weight;
        }
    }
    for (ghost, &rows) in all.chunks_exact_mut(2 * channels).zip(ghosts) {
        let share = T::one() / T::of(rows as f64);
        ghost[channels..].iter_mut().for_each(|square| *square *= share);
    }
    all
}

impl<T: Element> ChannelNorm<'_, T> {
    fn check(&self, x: &[T]) {
        check(self.channels, self.ghosts, x);
        let (k, c) = (self.ghosts.len(), self.channels);
        assert_eq!(self.moments.len(), k * 2 * c, "means and variances of {k} ghosts of {c} channels");
        assert!(self.gain.len() == c && self.bias.len() == c, "gains and biases of {c} channels");
    }

    fn mean(&self, ghost: usize) -> &[T] {
        &self.moments[ghost * 2 * self.channels..][..self.channels]
    }

    /// One over the deviation of each channel of each ghost.
    fn inverses(&self) -> Vec<T> {
        let c = self.channels;
        let inverse = |&variance: &T| T::one() / (variance + T::of(self.epsilon)).sqrt();
        self.moments.chunks_exact(2 * c).flat_map(|ghost| ghost[c..].iter().map(inverse)).collect()
    }

    /// Gain times one over the deviation.
    fn scales(&self, inverses: &[T]) -> Vec<T> {
        let of = |ghost: &[T]| ghost.iter().zip(self.gain).map(|(&x, &gain)| x * gain).collect::<Vec<T>>();
        inverses.chunks_exact(self.channels).flat_map(of).collect()
    }
}

struct Forward<'a, T> {
    x: &'a [T],
    mean: &'a [T],
    scale: &'a [T],
    bias: &'a [T],
    relu: bool,
    out: &'a mut [MaybeUninit<T>],
}

#[inline(always)]
fn normal<T: Element>(x: T, mean: T, scale: T, bias: T) -> T {
    (x - mean).mul_add(scale, bias)
}

impl<T: Element> WithSimd for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, mean, scale, bias, relu, out } = self;
        let channels = mean.len();
        let (scale, bias) = (&scale[..channels], &bias[..channels]);
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            if relu {
                for c in 0..channels {
                    let y = normal(x[c], mean[c], scale[c], bias[c]);
                    // NaN stays NaN
                    out[c].write(if y < T::zero() { T::zero() } else { y });
                }
            } else {
                for c in 0..channels {
                    out[c].write(normal(x[c], mean[c], scale[c], bias[c]));
                }
            }
        }
    }
}

pub(super) fn forward<T: Element>(norm: ChannelNorm<'_, T>, x: &[T]) -> Vec<T> {
    norm.check(x);
    let channels = norm.channels;
    let scales = norm.scales(&norm.inverses());
    let blocks = blocks(channels, norm.ghosts);
    let mut out = Vec::with_capacity(x.len());
    each_block(&blocks, channels, &mut out, |(ghost, rows), out| {
        let part = &x[rows.start * channels..rows.end * channels];
        let scale = &scales[ghost * channels..][..channels];
        let mean = norm.mean(ghost);
        Arch::new().dispatch(Forward { x: part, mean, scale, bias: norm.bias, relu: norm.relu, out });
    });
    out
}

/// A table whose blocks of rows are written by `write`, each completely.
fn each_block<T: Element>(
    blocks: &[(usize, Range<usize>)],
    channels: usize,
    out: &mut Vec<T>,
    write: impl Fn((usize, Range<usize>), &mut [MaybeUninit<T>]) + Sync,
) {
    let len = blocks.last().map_or(0, |(_, rows)| rows.end * channels);
    let mut room = &mut out.spare_capacity_mut()[..len];
    let mut tasks = Vec::with_capacity(blocks.len());
    for (ghost, rows) in blocks {
        let (part, rest) = room.split_at_mut(rows.len() * channels);
        tasks.push((*ghost, rows.clone(), part));
        room = rest;
    }
    tasks.into_par_iter().with_min_len(4).for_each(|(ghost, rows, part)| write((ghost, rows), part));
    // SAFETY: the blocks cover all rows, and each was written completely.
    unsafe { out.set_len(len) };
}

/// The gradient before the rectifier.
#[inline(always)]
fn through<T: Element>(relu: bool, y: T, gradient: T) -> T {
    if relu && y <= T::zero() { T::zero() } else { gradient }
}

/// What the first pass backward sums: the gradient, and the gradient times the normalised rows.
struct Sums<'a, T> {
    x: &'a [T],
    gradient: &'a [T],
    mean: &'a [T],
    inverse: &'a [T],
    scale: &'a [T],
    bias: &'a [T],
    relu: bool,
    sums: &'a mut [T],
    products: &'a mut [T],
}

impl<T: Element> WithSimd for Sums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, gradient, mean, inverse, scale, bias, relu, sums, products } = self;
        let channels = mean.len();
        let (inverse, scale, bias) = (&inverse[..channels], &scale[..channels], &bias[..channels]);
        let (sums, products) = (&mut sums[..channels], &mut products[..channels]);
        macro_rules! rows {
            ($relu:literal) => {
                // pairs of rows: two chains of sums
                for (x, gradient) in x.chunks(2 * channels).zip(gradient.chunks(2 * channels)) {
                    let (x, x2) = x.split_at(channels);
                    let (gradient, gradient2) = gradient.split_at(channels);
                    if x2.len() == channels && gradient2.len() == channels {
                        for c in 0..channels {
                            let d = through($relu, normal(x[c], mean[c], scale[c], bias[c]), gradient[c]);
                            let d2 = through($relu, normal(x2[c], mean[c], scale[c], bias[c]), gradient2[c]);
                            sums[c] += d + d2;
                            products[c] += (d * (x[c] - mean[c])) + (d2 * (x2[c] - mean[c]));
                        }
                    } else {
                        for c in 0..channels {
                            let d = through($relu, normal(x[c], mean[c], scale[c], bias[c]), gradient[c]);
                            sums[c] += d;
                            products[c] += d * (x[c] - mean[c]);
                        }
                    }
                }
            };
        }
        if relu {
            rows!(true)
        } else {
            rows!(false)
        }
        products.iter_mut().zip(inverse).for_each(|(product, &inverse)| *product *= inverse);
    }
}

/// The second pass: `scale (gradient - along - (x - mean) across)`.
struct Backward<'a, T> {
    x: &'a [T],
    gradient: &'a [T],
    mean: &'a [T],
    scale: &'a [T],
    bias: &'a [T],
    relu: bool,
    along: &'a [T],
    across: &'a [T],
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Element> WithSimd for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, gradient, mean, scale, bias, relu, along, across, out } = self;
        let channels = mean.len();
        let (scale, bias) = (&scale[..channels], &bias[..channels]);
        let (along, across) = (&along[..channels], &across[..channels]);
        let rows = x.chunks_exact(channels).zip(gradient.chunks_exact(channels)).zip(out.chunks_exact_mut(channels));
        macro_rules! rows {
            ($relu:literal) => {
                for ((x, gradient), out) in rows {
                    for c in 0..channels {
                        let d = through($relu, normal(x[c], mean[c], scale[c], bias[c]), gradient[c]);
                        out[c].write(scale[c] * (d - along[c] - (x[c] - mean[c]) * across[c]));
                    }
                }
            };
        }
        if relu { rows!(true) } else { rows!(false) }
    }
}

pub(super) fn backward<T: Element>(norm: ChannelNorm<'_, T>, x: &[T], gradient: &[T]) -> ChannelGradients<T> {
    norm.check(x);
    assert_eq!(x.len(), gradient.len(), "numbers and their gradients");
    let (channels, inverses) = (norm.channels, norm.inverses());
    let scales = norm.scales(&inverses);
    let blocks = blocks(channels, norm.ghosts);
    let of = |(ghost, rows): &(usize, Range<usize>)| {
        let part = rows.start * channels..rows.end * channels;
        let mut all = vec![T::zero(); 2 * channels];
        let (sums, products) = all.split_at_mut(channels);
        Arch::new().dispatch(Sums {
            x: &x[part.clone()],
            gradient: &gradient[part],
            mean: norm.mean(*ghost),
            inverse: &inverses[ghost * channels..][..channels],
            scale: &scales[ghost * channels..][..channels],
            bias: norm.bias,
            relu: norm.relu,
            sums,
            products,
        });
        all
    };
    let parts: Vec<Vec<T>> = blocks.par_iter().with_min_len(4).map(of).collect();
    let mut sums = vec![T::zero(); norm.ghosts.len() * 2 * channels];
    for ((ghost, _), part) in blocks.iter().zip(&parts) {
        sums[ghost * 2 * channels..].iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
    }
    let (mut gain, mut bias) = (vec![T::zero(); channels], vec![T::zero(); channels]);
    for ghost in sums.chunks_exact(2 * channels) {
        bias.iter_mut().zip(&ghost[..channels]).for_each(|(sum, &part)| *sum += part);
        gain.iter_mut().zip(&ghost[channels..]).for_each(|(sum, &part)| *sum += part);
    }
    // what the moments take away; nothing where they are constants
    for (k, ghost) in sums.chunks_exact_mut(2 * channels).enumerate() {
        let share = if norm.of_rows { T::one() / T::of(norm.ghosts[k] as f64) } else { T::zero() };
        let (along, across) = ghost.split_at_mut(channels);
        along.iter_mut().for_each(|sum| *sum *= share);
        across.iter_mut().zip(&inverses[k * channels..]).for_each(|(sum, &inverse)| *sum *= share * inverse);
    }
    let mut out = Vec::with_capacity(x.len());
    each_block(&blocks, channels, &mut out, |(ghost, rows), out| {
        let part = rows.start * channels..rows.end * channels;
        let (along, across) = sums[ghost * 2 * channels..][..2 * channels].split_at(channels);
        Arch::new().dispatch(Backward {
            x: &x[part.clone()],
            gradient: &gradient[part],
            mean: norm.mean(ghost),
            scale: &scales[ghost * channels..][..channels],
            bias: norm.bias,
            relu: norm.relu,
            along,
            across,
            out,
        });
    });
    ChannelGradients { x: out, gain, bias }
}
