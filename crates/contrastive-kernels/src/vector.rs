//! Vector primitives on slices. Each is written once as a plain loop and compiled for every instruction set by `pulp`,
//! which picks AVX-512, AVX2, NEON or scalar code at run time.

pub use crate::element::Element;

use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Accumulators of a reduction: enough independent chains to hide the latency of a fused multiply-add.
pub(crate) const LANES: usize = 16;

/// The value that stands for an excluded pair in a tile of similarities. Finite, so that `0 * MASKED` is 0.
#[inline(always)]
pub fn masked<T: Real>() -> T {
    T::of(-1e30)
}

/// Logits from here on are rounded before the largest is subtracted: with one rounding for both, as below it, the largest is off by half a unit in
/// the last place of itself (4e-5 here in `f32`, and 128 at 2e9, which no exponential stands).
pub const FAR: f64 = 1024.0;

/// The largest logit of similarities up to `highest`: as [`exp_in_place`] finds it.
pub fn top_logit<T: Real>(highest: T, scale: f64) -> f64 {
    let exact = highest.f64() * scale;
    if exact.abs() >= FAR { (highest * T::of(scale)).f64() } else { exact }
}

/// The sum of all lanes; their number is a power of 2.
#[inline(always)]
pub(crate) fn total<T: Real, const W: usize>(mut lanes: [T; W]) -> T {
    let mut width = W / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `a` if it is larger, else `b`.
#[inline(always)]
pub(crate) fn larger<T: Real>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// The largest entry; `-inf` for an empty slice.
pub fn max<T: Element>(x: &[T]) -> T {
    max_of(x, |v| v)
}

/// The largest `scale * x_j + bias_j`.
pub fn max_biased<T: Element>(x: &[T], scale: T, bias: &[T]) -> T {
    struct Kernel<'a, T>(&'a [T], T, &'a [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = T;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> T {
            self.0.iter().zip(self.2).fold(T::neg_infinity(), |m, (&v, &b)| larger(v.mul_add(self.1, b), m))
        }
    }
    Arch::new().dispatch(Kernel(x, scale, bias))
}

/// `x_j <- exp(scale * x_j + shift)`; returns the sum of the results and the sum of result times old `x_j`. With a shift from [`FAR`] on,
/// `scale * x_j` is rounded first: relative to the largest, the shift then is `-scale * x_j` of that, rounded ([`top_logit`]).
pub fn exp_in_place<T: Element>(x: &mut [T], scale: T, shift: T) -> (T, T) {
    struct Kernel<'a, T>(&'a mut [T], T, T);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = (T, T);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (T, T) {
            let Self(x, scale, shift) = self;
            if shift.abs() >= T::of(FAR) && shift.is_finite() {
                return x.iter_mut().fold((T::zero(), T::zero()), |(sum, dot), x| {
                    let old = std::mem::replace(x, (*x * scale + shift).relative_exponential());
                    (sum + *x, dot + *x * old)
                });
            }
            let mut sums = [T::zero(); LANES];
            let mut dots = [T::zero(); LANES];
            let (chunks, rest) = x.as_chunks_mut::<LANES>();
            for v in chunks {
                for l in 0..LANES {
                    let old = v[l];
                    let e = old.mul_add(scale, shift).relative_exponential();
                    v[l] = e;
                    sums[l] += e;
                    dots[l] = e.mul_add(old, dots[l]);
                }
            }
            let (mut sum, mut dot) = (total(sums), total(dots));
            for v in rest {
                let old = *v;
                let e = old.mul_add(scale, shift).relative_exponential();
                *v = e;
                sum += e;
                dot += e * old;
            }
            (sum, dot)
        }
    }
    Arch::new().dispatch(Kernel(x, scale, shift))
}

/// Two exponentials of one number, `exp(scales[k] * x + shifts[k])`, that of hard negatives and the soft one of their weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TwoExponentials<T> {
    scales: [T; 2],
    shifts: [T; 2],
    /// Is the first the square of the second?
    square: bool,
}

impl<T: Element> TwoExponentials<T> {
    pub fn new(scales: [T; 2], shifts: [T; 2]) -> Self {
        let two = T::of(2.0);
        Self { scales, shifts, square: scales[0] == two * scales[1] && shifts[0] == two * shifts[1] }
    }

    /// What the two are relative to.
    pub fn references(&self) -> [T; 2] {
        self.shifts.map(|shift| -shift)
    }

    #[inline(always)]
    pub fn of(&self, x: T) -> [T; 2] {
        let [a, b] = [0, 1].map(|k| x.mul_add(self.scales[k], self.shifts[k]));
        let e = b.relative_exponential();
        [if self.square { e * e } else { a.relative_exponential() }, e]
    }
}

/// `y_j <- exp(scales[1] * x_j + shifts[1])` and `x_j <- exp(scales[0] * x_j + shifts[0])`; returns the sums of `x` and of `y`. Shifts from [`FAR`]
/// on are as those of [`exp_in_place`].
pub fn exp_both<T: Element>(x: &mut [T], y: &mut [T], scales: [T; 2], shifts: [T; 2]) -> [T; 2] {
    struct Kernel<'a, T>([&'a mut [T]; 2], TwoExponentials<T>);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = [T; 2];
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> [T; 2] {
            let Self([x, y], both) = self;
            if both.shifts.iter().any(|s| s.abs() >= T::of(FAR)) {
                return x.iter_mut().zip(y).fold([T::zero(); 2], |[sum, soft], (x, y)| {
                    let of = |k: usize| (*x * both.scales[k] + both.shifts[k]).relative_exponential();
                    [*x, *y] = [of(0), of(1)];
                    [sum + *x, soft + *y]
                });
            }
            let mut sums = [[T::zero(); LANES]; 2];
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks_mut::<LANES>(), y.as_chunks_mut::<LANES>());
            for (x, y) in x.iter_mut().zip(y) {
                for l in 0..LANES {
                    [x[l], y[l]] = both.of(x[l]);
                    sums[0][l] += x[l];
                    sums[1][l] += y[l];
                }
            }
            let mut sums = sums.map(total);
            for (x, y) in x_rest.iter_mut().zip(y_rest) {
                [*x, *y] = both.of(*x);
                sums[0] += *x;
                sums[1] += *y;
            }
            sums
        }
    }
    Arch::new().dispatch(Kernel([x, y], TwoExponentials::new(scales, shifts)))
}

/// `y <- a * y + b * x`.
pub fn combine<T: Element>(y: &mut [T], x: &[T], [a, b]: [T; 2]) {
    struct Kernel<'a, T>(&'a mut [T], &'a [T], [T; 2]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let [a, b] = self.2;
            for (y, &x) in self.0.iter_mut().zip(self.1) {
                *y = y.mul_add(a, b * x);
            }
        }
    }
    Arch::new().dispatch(Kernel(y, x, [a, b]));
}

/// `x_j <- exp(scale * x_j + bias_j + shift)`; returns as [`exp_in_place`].
pub fn exp_biased_in_place<T: Element>(x: &mut [T], scale: T, bias: &[T], shift: T) -> (T, T) {
    struct Kernel<'a, T>(&'a mut [T], T, &'a [T], T);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = (T, T);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (T, T) {
            let Self(x, scale, bias, shift) = self;
            let mut sums = [T::zero(); LANES];
            let mut dots = [T::zero(); LANES];
            let (chunks, rest) = x.as_chunks_mut::<LANES>();
            let (biases, bias_rest) = bias.as_chunks::<LANES>();
            for (v, b) in chunks.iter_mut().zip(biases) {
                for l in 0..LANES {
                    let old = v[l];
                    let e = (old.mul_add(scale, b[l]) + shift).relative_exponential();
                    v[l] = e;
                    sums[l] += e;
                    dots[l] = e.mul_add(old, dots[l]);
                }
            }
            let (mut sum, mut dot) = (total(sums), total(dots));
            for (v, b) in rest.iter_mut().zip(bias_rest) {
                let old = *v;
                let e = (old.mul_add(scale, *b) + shift).relative_exponential();
                *v = e;
                sum += e;
                dot += e * old;
            }
            (sum, dot)
        }
    }
    Arch::new().dispatch(Kernel(x, scale, bias, shift))
}

/// `log(1 + e^y)` and its derivative `1 / (1 + e^-y)`; NaN passes through.
#[inline(always)]
pub(crate) fn softplus<T: Element>(y: T) -> (T, T) {
    let small = (-y.abs()).relative_exponential();
    let (one, two) = (T::one() + small, T::of(2.0) + small);
    // both quotients of one division: 1 / (1 + small), and small / (2 + small)
    let inverse = T::one() / (one * two);
    let part = two * inverse;
    let share = if y > T::zero() { part } else { small * part };
    (larger(y, T::zero()) + T::log_one_plus(small, small * one * inverse), share)
}

/// `x <- 1 / (1 + e^-y)` with `y = x * scale + bias`. Returns the sums of `log(1 + e^y)`, of the results, and of the results
/// times what was in their place.
pub fn sigmoid_in_place<T: Element>(x: &mut [T], scale: T, bias: T) -> (T, T, T) {
    struct Kernel<'a, T>(&'a mut [T], T, T);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = (T, T, T);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (T, T, T) {
            let Self(x, scale, bias) = self;
            let term = |x: T| softplus(x.mul_add(scale, bias));
            let mut sums = [[T::zero(); LANES]; 3];
            let (chunks, rest) = x.as_chunks_mut::<LANES>();
            for chunk in chunks {
                for l in 0..LANES {
                    let (value, share) = term(chunk[l]);
                    sums[0][l] += value;
                    sums[1][l] += share;
                    sums[2][l] = share.mul_add(chunk[l], sums[2][l]);
                    chunk[l] = share;
                }
            }
            let mut totals = sums.map(total);
            for x in rest {
                let (value, share) = term(*x);
                totals = [totals[0] + value, totals[1] + share, share.mul_add(*x, totals[2])];
                *x = share;
            }
            totals.into()
        }
    }
    Arch::new().dispatch(Kernel(x, scale, bias))
}

/// Inner products that may be as large as this are not told apart from [`masked`] pairs.
const LARGEST: f64 = 4e29;

/// May an inner product of rows of these tables be as large as a [`masked`] one? Then value and gradients are NaN: entries of 1e14 at width 40.
pub(crate) fn out_of_range<T: Element>(anchors: &[T], candidates: &[T], width: usize) -> bool {
    let largest = |x: &[T]| {
        let parts = x.par_chunks(1 << 15).map(|part| max_of(part, |v| v.abs()));
        parts.reduce(T::zero, larger).f64()
    };
    let anchor = largest(anchors);
    let candidate = if std::ptr::eq(anchors, candidates) { anchor } else { largest(candidates) };
    anchor * candidate * width as f64 >= LARGEST && anchor.is_finite() && candidate.is_finite()
}

/// Are all numbers of these tables finite? One pass, bound by memory traffic.
pub(crate) fn all_finite<T: Element>(tables: &[&[T]]) -> bool {
    // what is not finite is no 0 times 0
    let zeros = |x: &[T]| {
        Arch::new().dispatch(|| {
            let mut sums = [T::zero(); LANES];
            let (chunks, rest) = x.as_chunks::<LANES>();
            for chunk in chunks {
                for l in 0..LANES {
                    sums[l] += chunk[l] * T::zero();
                }
            }
            rest.iter().fold(total(sums), |sum, x| sum + *x * T::zero())
        })
    };
    tables.iter().all(|table| table.par_chunks(1 << 15).all(|x| zeros(x) == T::zero()))
}

/// Elements whose terms are added up in their own type before they are in `f64`.
pub(crate) const PIECE: usize = 4096;

/// `(x, terms) <- f(x)`; returns the sums of the terms. Becomes vector code if `f` owns what it captures and chooses between numbers
/// that it has computed.
pub fn map_sums<T: Element, const K: usize>(x: &mut [T], f: impl Fn(T) -> (T, [T; K]) + Copy) -> [f64; K] {
    struct Kernel<'a, T, F>(&'a mut [T], F);
    impl<T: Element, const K: usize, F: Fn(T) -> (T, [T; K])> WithSimd for Kernel<'_, T, F> {
        type Output = [T; K];
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> [T; K] {
            let Self(x, f) = self;
            let mut sums = [[T::zero(); LANES]; K];
            let (chunks, rest) = x.as_chunks_mut::<LANES>();
            for chunk in chunks {
                for l in 0..LANES {
                    let (y, terms) = f(chunk[l]);
                    for k in 0..K {
                        sums[k][l] += terms[k];
                    }
                    chunk[l] = y;
                }
            }
            let mut sums = sums.map(total);
            for x in rest {
                let (y, terms) = f(*x);
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
                *x = y;
            }
            sums
        }
    }
    let mut totals = [0.0; K];
    for piece in x.chunks_mut(PIECE) {
        let sums = Arch::new().dispatch(Kernel(piece, f));
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum.f64());
    }
    totals
}

/// The largest `f(x)`; `-inf` for an empty slice.
pub fn max_of<T: Element>(x: &[T], f: impl Fn(T) -> T) -> T {
    struct Kernel<'a, T, F>(&'a [T], F);
    impl<T: Element, F: Fn(T) -> T> WithSimd for Kernel<'_, T, F> {
        type Output = T;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> T {
            let Self(x, f) = self;
            let mut lanes = [T::neg_infinity(); LANES];
            let (chunks, rest) = x.as_chunks::<LANES>();
            for v in chunks {
                for l in 0..LANES {
                    lanes[l] = larger(f(v[l]), lanes[l]);
                }
            }
            let m = lanes.into_iter().fold(T::neg_infinity(), larger);
            rest.iter().fold(m, |m, &v| larger(f(v), m))
        }
    }
    Arch::new().dispatch(Kernel(x, f))
}

/// `x <- factor * x`.
pub fn scale<T: Element>(x: &mut [T], factor: T) {
    struct Kernel<'a, T>(&'a mut [T], T);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for v in self.0 {
                *v *= self.1;
            }
        }
    }
    Arch::new().dispatch(Kernel(x, factor));
}

/// `y <- factor * x`.
pub fn scaled<T: Element>(y: &mut [T], factor: T, x: &[T]) {
    struct Kernel<'a, T>(&'a mut [T], T, &'a [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for (y, &x) in self.0.iter_mut().zip(self.2) {
                *y = x * self.1;
            }
        }
    }
    Arch::new().dispatch(Kernel(y, factor, x));
}

/// `y <- y + factor * x`.
pub fn axpy<T: Element>(y: &mut [T], factor: T, x: &[T]) {
    struct Kernel<'a, T>(&'a mut [T], T, &'a [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for (y, &x) in self.0.iter_mut().zip(self.2) {
                *y = x.mul_add(self.1, *y);
            }
        }
    }
    Arch::new().dispatch(Kernel(y, factor, x));
}

/// The inner product of two slices of one length.
pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    struct Kernel<'a, T>(&'a [T], &'a [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = T;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> T {
            dot_within(self.0, self.1)
        }
    }
    Arch::new().dispatch(Kernel(a, b))
}

/// As [`dot`], within what is compiled for an instruction set.
#[inline(always)]
pub(crate) fn dot_within<T: Element>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for l in 0..LANES {
            sums[l] = a[l].mul_add(b[l], sums[l]);
        }
    }
    a_rest.iter().zip(b_rest).fold(total(sums), |s, (&a, &b)| a.mul_add(b, s))
}

/// `acc_j <- max(acc_j, x_j)`.
pub fn max_into<T: Element>(acc: &mut [T], x: &[T]) {
    struct Kernel<'a, T>(&'a mut [T], &'a [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for (m, &v) in self.0.iter_mut().zip(self.1) {
                *m = larger(v, *m);
            }
        }
    }
    Arch::new().dispatch(Kernel(acc, x));
}

/// Joins one part of many sums of exponentials to their totals, which stand relative to `max`: with
/// `e_k = exp(part_max_k - max_k)`, `factor_k <- e_k`, `sum_k += e_k * part_sum_k`, `moment_k += e_k * part_moment_k`. A part
/// whose maximum is `-inf` is empty.
pub fn join_sums<T: Element>(max: &[T], factor: &mut [T], totals: [&mut [T]; 2], part_max: &[T], parts: [&[T]; 2]) {
    struct Kernel<'a, T>(&'a [T], &'a mut [T], [&'a mut [T]; 2], &'a [T], [&'a [T]; 2]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(max, factor, [sum, moment], part_max, [part_sum, part_moment]) = self;
            let totals = factor.iter_mut().zip(sum).zip(moment);
            let parts = part_max.iter().zip(part_sum).zip(part_moment);
            for ((((factor, sum), moment), ((&high, &s), &m)), &max) in totals.zip(parts).zip(max) {
                let e = (high - max).exponential();
                let e = if high == T::neg_infinity() { T::zero() } else { e };
                *factor = e;
                *sum = e.mul_add(s, *sum);
                *moment = e.mul_add(m, *moment);
            }
        }
    }
    Arch::new().dispatch(Kernel(max, factor, totals, part_max, parts));
}

/// `columns_j += exp(scale * x_j + shifts_j)`.
pub fn add_exp_shifted<T: Element>(columns: &mut [T], x: &[T], scale: T, shifts: &[T]) {
    struct Kernel<'a, T>(&'a mut [T], &'a [T], T, &'a [T]);
    impl<T: Element> WithSimd for Kernel<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(columns, x, scale, shifts) = self;
            for ((c, &x), &s) in columns.iter_mut().zip(x).zip(shifts) {
                *c += x.mul_add(scale, s).exponential();
            }
        }
    }
    Arch::new().dispatch(Kernel(columns, x, scale, shifts));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_equal_plain_loops() {
        for n in [0usize, 1, 31, 32, 33, 100, 9001] {
            let x: Vec<f64> = (0..n).map(|k| ((k * 37 % 23) as f64 - 11.0) / 7.0).collect();
            let b: Vec<f64> = (0..n).map(|k| ((k * 17 % 13) as f64 - 6.0) / 5.0).collect();
            assert_eq!(max(&x), x.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v)));
            let want: f64 = x.iter().zip(&b).map(|(x, b)| x * b).sum();
            assert!((dot(&x, &b) - want).abs() < 1e-12);
            for (scales, shifts) in [([-4.0, -2.0], [0.5, 0.25]), ([2.0, -0.5], [0.25, 1.0])] {
                let (mut y, mut z) = (x.clone(), x.clone());
                let sums = exp_both(&mut y, &mut z, scales, shifts);
                let exact = |k: usize| -> Vec<f64> { x.iter().map(|x| (scales[k] * x + shifts[k]).exp()).collect() };
                let each = [exact(0), exact(1)];
                for (sum, (got, want)) in sums.into_iter().zip([(&y, &each[0]), (&z, &each[1])]) {
                    assert!((sum - want.iter().sum::<f64>()).abs() < 1e-12 * (1.0 + sum));
                    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12 * b));
                }
                combine(&mut y, &z, [3.0, -2.0]);
                let want = each[0].iter().zip(&each[1]).map(|(a, b)| (3.0 * a - 2.0 * b, a + b));
                assert!(y.iter().zip(want).all(|(y, (want, size))| (y - want).abs() < 1e-11 * size));
            }
            let mut y = x.clone();
            let sums = map_sums(&mut y, |x| (x + 1.0, [x, x * x]));
            let want: [f64; 2] = [x.iter().sum(), x.iter().map(|x| x * x).sum()];
            assert!(sums.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12 * (n as f64 + 1.0)));
            assert!(y.iter().zip(&x).all(|(y, x)| *y == x + 1.0));
            assert_eq!(max_of(&x, |x| -x), x.iter().fold(f64::NEG_INFINITY, |m, x| m.max(-x)));
            let mut y = x.clone();
            let (sum, moment) = exp_biased_in_place(&mut y, 2.0, &b, -0.5);
            let e: Vec<f64> = x.iter().zip(&b).map(|(x, b)| (2.0 * x + b - 0.5).exp()).collect();
            assert!((sum - e.iter().sum::<f64>()).abs() < 1e-9);
            assert!((moment - e.iter().zip(&x).map(|(e, x)| e * x).sum::<f64>()).abs() < 1e-9);
        }
    }
}
