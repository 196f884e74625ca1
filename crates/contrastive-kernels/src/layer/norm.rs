//! Norms of rows.

use crate::vector::{Element, total};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a parallel task. The gradients of gain and bias are sums over such blocks, added in their order: the same for any number
/// of threads.
const ROWS: usize = 64;

/// A norm of rows `(x - mean) / sqrt(variance + epsilon) * gain + bias`, or without the mean.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a, T> {
    /// Width of the rows.
    pub width: usize,
    /// Is the mean subtracted (layer norm), or not (RMS norm)?
    pub centred: bool,
    /// Added to the variance, or to the mean square.
    pub epsilon: f64,
    /// `[width]`; ones without.
    pub gain: Option<&'a [T]>,
    /// `[width]`; zeros without.
    pub bias: Option<&'a [T]>,
}

/// The gradients of a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradients<T> {
    /// `[n, width]`.
    pub x: Vec<T>,
    /// `[width]`, the upstream gradient times the normalised rows.
    pub gain: Vec<T>,
    /// `[width]`, the sum of the upstream gradient.
    pub bias: Vec<T>,
}

const LANES: usize = 16;

/// The sum over a row of `f(k)`.
#[inline(always)]
fn sum<T: Element>(width: usize, f: impl Fn(usize) -> T) -> T {
    let mut sums = [T::zero(); LANES];
    let whole = width / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for l in 0..LANES {
            sums[l] += f(start + l);
        }
    }
    (whole..width).fold(total(sums), |sum, k| sum + f(k))
}

impl<T: Element> Norm<'_, T> {
    /// Mean of a row, and one over its deviation.
    #[inline(always)]
    fn statistics(&self, x: &[T]) -> (T, T) {
        let share = T::one() / T::of(x.len() as f64);
        let mean = if self.centred { sum(x.len(), |k| x[k]) * share } else { T::zero() };
        let variance = sum(x.len(), |k| (x[k] - mean) * (x[k] - mean)) * share;
        (mean, T::one() / (variance + T::of(self.epsilon)).sqrt())
    }

    fn check(&self, x: usize) {
        let width = self.width;
        assert!(width > 0 && x.is_multiple_of(width), "a norm of {x} numbers in rows of {width}");
        for (what, list) in [("gain", self.gain), ("bias", self.bias)] {
            assert!(list.is_none_or(|list| list.len() == width), "a norm of rows of {width}: its {what}");
        }
    }
}

struct Forward<'a, T> {
    norm: Norm<'a, T>,
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { norm, x, out } = self;
        let width = norm.width;
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let (mean, inverse) = norm.statistics(x);
            for (out, &x) in out.iter_mut().zip(x) {
                *out = (x - mean) * inverse;
            }
            if let Some(gain) = norm.gain {
                out.iter_mut().zip(gain).for_each(|(out, &gain)| *out *= gain);
            }
            if let Some(bias) = norm.bias {
                out.iter_mut().zip(bias).for_each(|(out, &bias)| *out += bias);
            }
        }
    }
}

struct Backward<'a, T> {
    norm: Norm<'a, T>,
    x: &'a [T],
    gradient: &'a [T],
    of_x: &'a mut [T],
    /// Gain, then bias.
    sums: &'a mut [T],
    ones: &'a [T],
}

impl<T: Element> WithSimd for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { norm, x, gradient, of_x, sums, ones } = self;
        let width = norm.width;
        let gain = &norm.gain.unwrap_or(ones)[..width];
        let (of_gain, of_bias) = sums.split_at_mut(width);
        let (of_gain, of_bias) = (&mut of_gain[..width], &mut of_bias[..width]);
        let share = T::one() / T::of(width as f64);
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(of_x.chunks_exact_mut(width));
        for ((x, gradient), of_x) in rows {
            let (mean, inverse) = norm.statistics(x);
            for k in 0..width {
                of_x[k] = (x[k] - mean) * inverse;
                of_gain[k] += gradient[k] * of_x[k];
                of_bias[k] += gradient[k];
            }
            // the part along the row, and along ones
            let along = sum(width, |k| gradient[k] * gain[k] * of_x[k]) * share;
            let across = if norm.centred { sum(width, |k| gradient[k] * gain[k]) * share } else { T::zero() };
            for k in 0..width {
                of_x[k] = (gradient[k] * gain[k] - across - of_x[k] * along) * inverse;
            }
        }
    }
}

pub(super) fn forward<T: Element>(norm: Norm<T>, x: &[T], out: &mut [T]) {
    norm.check(x.len());
    assert_eq!(x.len(), out.len(), "a norm: rows and results");
    let task = ROWS * norm.width;
    let tasks = x.par_chunks(task).zip(out.par_chunks_mut(task));
    tasks.for_each(|(x, out)| Arch::new().dispatch(Forward { norm, x, out }));
}

pub(super) fn backward<T: Element>(norm: Norm<T>, x: &[T], gradient: &[T]) -> NormGradients<T> {
    norm.check(x.len());
    assert_eq!(x.len(), gradient.len(), "a norm: rows and their gradient");
    let width = norm.width;
    let task = ROWS * width;
    let mut of_x = vec![T::zero(); x.len()];
    let mut sums = vec![T::zero(); x.len().div_ceil(task) * 2 * width];
    let ones = vec![T::one(); width];
    let tasks = x.par_chunks(task).zip(gradient.par_chunks(task)).zip(of_x.par_chunks_mut(task));
    tasks.zip(sums.par_chunks_mut(2 * width)).for_each(|(((x, gradient), of_x), sums)| {
        Arch::new().dispatch(Backward { norm, x, gradient, of_x, sums, ones: &ones });
    });
    let mut gain = vec![T::zero(); 2 * width];
    for part in sums.chunks_exact(2 * width) {
        gain.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
    }
    let bias = gain.split_off(width);
    NormGradients { x: of_x, gain, bias }
}

#[cfg(test)]
mod tests {
    use super::super::Layers;
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        (0..count).map(|k| (crate::layer::dropout::mix(seed + k as u64) >> 11) as f64 / 2f64.powi(52) - 1.0).collect()
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        // 70 rows are two blocks; 19 numbers a row have a remainder
        let (rows, width) = (70, 19);
        let (x, gain, bias) = (numbers(rows * width, 1), numbers(width, 2), numbers(width, 3));
        let cotangent = numbers(rows * width, 4);
        for centred in [false, true] {
            let loss = |x: &[f64], gain: &[f64], bias: &[f64]| -> f64 {
                let mut out = vec![0.0; x.len()];
                let norm = Norm { width, centred, epsilon: 1e-3, gain: Some(gain), bias: Some(bias) };
                f64::norm(norm, x, &mut out);
                out.iter().zip(&cotangent).map(|(a, b)| a * b).sum()
            };
            let norm = Norm { width, centred, epsilon: 1e-3, gain: Some(&gain[..]), bias: Some(&bias[..]) };
            let got = f64::norm_backward(norm, &x, &cotangent);
            let difference = |list: &[f64], at: usize, f: &dyn Fn(&[f64]) -> f64| {
                let moved = |step: f64| {
                    let mut list = list.to_vec();
                    list[at] += step;
                    f(&list)
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            };
            for at in (0..x.len()).step_by(37) {
                let want = difference(&x, at, &|x| loss(x, &gain, &bias));
                assert!((got.x[at] - want).abs() < 1e-7, "x[{at}]: {} not {want}", got.x[at]);
            }
            for at in 0..width {
                let want = difference(&gain, at, &|gain| loss(&x, gain, &bias));
                assert!((got.gain[at] - want).abs() < 1e-7, "gain[{at}]: {} not {want}", got.gain[at]);
                let want = difference(&bias, at, &|bias| loss(&x, &gain, bias));
                assert!((got.bias[at] - want).abs() < 1e-7, "bias[{at}]: {} not {want}", got.bias[at]);
            }
        }
    }
}
