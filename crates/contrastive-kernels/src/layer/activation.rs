//! Smooth functions of single numbers, and their derivatives in the same pass.

use crate::vector::Element;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smooth {
    /// `x Phi(x) = x / 2 (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x / (1 + exp(-1.702 x))`.
    QuickGelu,
    /// `x / (1 + exp(-x))`.
    Silu,
}

/// An element type with the normal distribution that the vector loops use.
pub trait Normal: Element {
    /// `(P, p)`: the share of the standard normal distribution below `x`, and its density there.
    ///
    /// In `f32` the share in the tail is `exp(-x^2 / 2)` times a polynomial of degree 8 in `1 / (1 + 0.36 |x|)`: an error of 6e-7 of
    /// the tail, 0.5 ns an element with AVX2.
    fn normal(x: Self) -> (Self, Self);
}

const DENSITY: f64 = 0.398_942_280_401_432_7;

impl Normal for f32 {
    #[inline(always)]
    fn normal(x: f32) -> (f32, f32) {
        // exp(-z^2 / 2) sqrt(2 pi) is the ratio of tail and density, by its values at Chebyshev's points, z from 0 to 13.5
        const RATIO: [f32; 9] = [
            0.143_623_94,
            0.143_565_68,
            0.124_893_19,
            0.092_419_24,
            0.008_385_619,
            0.094_415_255,
            -0.212_168_46,
            0.133_974_06,
            -0.029_108_398,
        ];
        let z = x.abs();
        let e = (-0.5 * z * z).relative_exponential();
        let t = 1.0 / z.mul_add(0.36, 1.0);
        let mut ratio = RATIO[8];
        for k in (0..8).rev() {
            ratio = ratio.mul_add(t, RATIO[k]);
        }
        let tail = e * (ratio * t);
        (if x > 0.0 { 1.0 - tail } else { tail }, e * DENSITY as f32)
    }
}

impl Normal for f64 {
    #[inline(always)]
    fn normal(x: f64) -> (f64, f64) {
        let density = DENSITY * (-0.5 * x * x).exp();
        (lower_share(x), density)
    }
}

/// The share of the standard normal distribution below `x`, to rounding: a series of positive terms near 0, a continued fraction in
/// the tails. Not fast: `f64` is there to check `f32`.
fn lower_share(x: f64) -> f64 {
    let z = x.abs();
    if x.is_nan() {
        return x;
    }
    let density = DENSITY * (-0.5 * z * z).exp();
    if z < 3.0 {
        // sum of x^(2 n + 1) / (1 3 5 .. (2 n + 1))
        let (mut term, mut sum, mut n) = (z, z, 1.0);
        while term > sum * 1e-17 {
            term *= z * z / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        return 0.5 + x.signum() * density * sum;
    }
    // density / (z + 1 / (z + 2 / (z + 3 / ..)))
    let mut fraction = z;
    for n in (1..=120).rev() {
        fraction = z + f64::from(n) / fraction;
    }
    let tail = if density > 0.0 { density / fraction } else { 0.0 };
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// `1 / (1 + exp(-y))`.
#[inline(always)]
fn sigmoid<T: Element>(y: T) -> T {
    T::one() / (T::one() + (-y).relative_exponential())
}

/// The function of `x` and its derivative.
#[inline(always)]
fn of<T: Normal, const KIND: u8>(x: T) -> (T, T) {
    if KIND == 0 {
        let (share, density) = T::normal(x);
        // beyond all numbers that count, infinity times 0 would be NaN
        let tail = T::of(-40.0);
        return if x < tail { (T::zero(), T::zero()) } else { (x * share, x.mul_add(density, share)) };
    }
    let (y, slope) = match KIND {
        1 => {
            let (a, square) = (T::of(2.0 * (2.0 / PI).sqrt()), x * x);
            let cubic = T::of(0.044_715);
            (a * x * cubic.mul_add(square, T::one()), a * (T::of(3.0) * cubic).mul_add(square, T::one()))
        }
        2 => (x * T::of(1.702), T::of(1.702)),
        _ => (x, T::one()),
    };
    let share = sigmoid(y);
    (x * share, (x * slope * (T::one() - share)).mul_add(share, share))
}

struct Map<'a, T, const KIND: u8> {
    x: &'a [T],
    out: &'a mut [T],
    slope: Option<&'a mut [T]>,
}

impl<T: Normal, const KIND: u8> WithSimd for Map<'_, T, KIND> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.slope {
            None => {
                for (out, &x) in self.out.iter_mut().zip(self.x) {
                    *out = of::<T, KIND>(x).0;
                }
            }
            Some(slope) => {
                for ((out, slope), &x) in self.out.iter_mut().zip(slope).zip(self.x) {
                    (*out, *slope) = of::<T, KIND>(x);
                }
            }
        }
    }
}

/// Elements of a parallel task.
const TASK: usize = 1 << 14;

fn run<T: Normal, const KIND: u8>(x: &[T], out: &mut [T], slope: Option<&mut [T]>) {
    let map = |x, out, slope| Arch::new().dispatch(Map::<T, KIND> { x, out, slope });
    match slope {
        None => x.par_chunks(TASK).zip(out.par_chunks_mut(TASK)).for_each(|(x, out)| map(x, out, None)),
        Some(slope) => {
            let tasks = x.par_chunks(TASK).zip(out.par_chunks_mut(TASK)).zip(slope.par_chunks_mut(TASK));
            tasks.for_each(|((x, out), slope)| map(x, out, Some(slope)));
        }
    }
}

pub(super) fn apply<T: Normal>(function: Smooth, x: &[T], out: &mut [T], slope: Option<&mut [T]>) {
    assert_eq!(x.len(), out.len(), "a function: elements and results");
    let slopes = slope.as_ref().map_or(x.len(), |slope| slope.len());
    assert_eq!(x.len(), slopes, "a function: elements and derivatives");
    match function {
        Smooth::Gelu => run::<T, 0>(x, out, slope),
        Smooth::GeluTanh => run::<T, 1>(x, out, slope),
        Smooth::QuickGelu => run::<T, 2>(x, out, slope),
        Smooth::Silu => run::<T, 3>(x, out, slope),
    }
}

/// `erf(x)`, in double precision, to rounding.
pub fn erf(x: f64) -> f64 {
    2.0 * lower_share(x / FRAC_1_SQRT_2) - 1.0
}

#[cfg(test)]
mod tests {
    use super::super::Layers;
    use super::*;

    #[test]
    fn the_normal_distribution_has_its_known_values() {
        // erf and erfc as mathematical tables have them
        for (x, want) in
            [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (2.0, 0.995_322_265_018_952_7)]
        {
            assert!((erf(x) - want).abs() < 1e-15, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + want).abs() < 1e-15, "erf(-{x}) = {}", erf(-x));
        }
        // Q(5) and Q(10)
        for (z, want) in [(5.0, 2.866_515_718_791_939e-7), (10.0, 7.619_853_024_160_527e-24)] {
            let got = lower_share(-z);
            assert!((got / want - 1.0).abs() < 1e-13, "Q({z}) = {got:e}");
        }
        // series and fraction meet
        let (below, above) = (lower_share(-3.0 + 1e-12), lower_share(-3.0));
        assert!((below - above).abs() < 1e-14);
        assert_eq!(lower_share(0.0), 0.5);
    }

    #[test]
    fn the_tail_in_single_precision_is_off_by_six_parts_in_ten_million() {
        for k in -13_000..13_000 {
            let x = k as f32 * 1e-3;
            let ((share, density), (exact, of_exact)) = (f32::normal(x), f64::normal(f64::from(x)));
            let tail = exact.min(1.0 - exact).max(1e-37);
            // exp(-x^2 / 2) is off by as much as its argument
            let allowed = tail * (6e-7 + 6e-8 * f64::from(x * x)) + 1.2e-7 * f64::from(u8::from(x > 0.0)) + 1e-44;
            assert!((f64::from(share) - exact).abs() <= allowed, "P({x}) = {share:e}, not {exact:e}");
            let allowed = of_exact * (2e-7 + 1e-7 * f64::from(x * x)) + 1e-37;
            assert!((f64::from(density) - of_exact).abs() <= allowed, "p({x}) = {density:e}, not {of_exact:e}");
        }
    }

    #[test]
    fn derivatives_are_those_of_the_values() {
        // central differences in f64; the value in f32 as in f64
        let x: Vec<f64> = (-700..700).map(|k| k as f64 * 0.01 + 0.003).collect();
        for function in [Smooth::Gelu, Smooth::GeluTanh, Smooth::QuickGelu, Smooth::Silu] {
            let value = |x: &[f64]| {
                let mut out = vec![0.0; x.len()];
                f64::smooth(function, x, &mut out, None);
                out
            };
            let (mut out, mut slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            f64::smooth(function, &x, &mut out, Some(&mut slope));
            assert_eq!(out, value(&x));
            let moved = |step: f64| value(&x.iter().map(|x| x + step).collect::<Vec<_>>());
            let (up, down) = (moved(1e-5), moved(-1e-5));
            for k in 0..x.len() {
                let want = (up[k] - down[k]) / 2e-5;
                assert!((slope[k] - want).abs() < 1e-8, "{function:?} at {}: {} not {want}", x[k], slope[k]);
            }
            let single: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            let (mut got, mut of_got) = (vec![0f32; x.len()], vec![0f32; x.len()]);
            f32::smooth(function, &single, &mut got, Some(&mut of_got));
            for k in 0..x.len() {
                assert!((f64::from(got[k]) - out[k]).abs() < 1e-6 * (1.0 + x[k].abs()), "{function:?} at {}", x[k]);
                assert!((f64::from(of_got[k]) - slope[k]).abs() < 2e-6, "slope of {function:?} at {}", x[k]);
            }
        }
    }

    #[test]
    fn far_out_it_is_zero_or_the_identity_and_nan_stays_nan() {
        let x = [-1e30f32, -200.0, 200.0, 1e30, f32::NAN];
        for function in [Smooth::Gelu, Smooth::QuickGelu, Smooth::Silu] {
            let (mut out, mut slope) = ([0f32; 5], [0f32; 5]);
            f32::smooth(function, &x, &mut out, Some(&mut slope));
            assert!(out[0].abs() < 1e-6 && out[1].abs() < 1e-6, "{function:?}: {out:?}");
            assert_eq!((&out[2..4], &slope[2..4]), (&x[2..4], &[1.0, 1.0][..]), "{function:?}");
            assert!(out[4].is_nan() && slope[4].is_nan(), "{function:?}: {out:?}");
        }
    }
}
