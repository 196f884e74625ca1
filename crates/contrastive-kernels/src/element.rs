//! Element types, and the exponentials of their vector loops.
//!
//! The exponential of `f32` is a Cody-Waite reduction and a degree-6 polynomial, its terms in pairs: below 1 ulp, 0.7 ns an
//! element, sum and moment included, on a Zen 3 core with AVX2. Most of an objective's exponentials are relative to the largest of
//! a row and need no such reduction. `f64` calls the C library: it is there to check `f32`.

use crate::real::Real;

/// An element type with the exponential that the vector loops use.
pub trait Element: Real + crate::product::Lanes + crate::compiled::Kernels {
    /// `exp(self)`, never infinite; 0 where the result would be below the smallest normal number.
    fn exponential(self) -> Self;
    /// `exp(self)` at two thirds of the price, with a relative error of 2 + 1.25 |self| half units in the last place: for terms
    /// relative to the largest or to what is about as large, of which small ones matter less than they are off. Bounded as
    /// [`exponential`](Self::exponential).
    fn relative_exponential(self) -> Self;
    /// `log(1 + x)` for `x` from 0 to 1, with `z = x / (2 + x)`.
    fn log_one_plus(x: Self, z: Self) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn exponential(self) -> f32 {
        const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to the nearest integer
        let x = self.clamp(-87.3, 88.3);
        let t = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
        let n = t - MAGIC;
        let r = n.mul_add(-0.693_359_4, x);
        let r = n.mul_add(2.121_944_4e-4, r);
        // minimax polynomial of exp(r) on [-ln 2 / 2, ln 2 / 2]
        // its terms in pairs: half as many steps wait for the one before
        let square = r * r;
        let low = r.mul_add(1.666_666_6e-1, 5e-1);
        let middle = r.mul_add(8.333_452e-3, 4.166_579_6e-2);
        let high = r.mul_add(1.987_569_1e-4, 1.398_199_9e-3);
        let p = high.mul_add(square, middle).mul_add(square, low);
        let e = p.mul_add(square, r) + 1.0;
        let power = t.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23;
        let y = e * f32::from_bits(power);
        if self < -87.3 { 0.0 } else { y }
    }

    #[inline(always)]
    fn relative_exponential(self) -> f32 {
        const MAGIC: f32 = 12_582_912.0;
        let x = self * std::f32::consts::LOG2_E;
        // NaN passes through here
        let x = if x > 127.4 { 127.4 } else { x };
        let t = x + MAGIC;
        let r = x - (t - MAGIC);
        // (2^r - 1) / r on [-1 / 2, 1 / 2], by its values at Chebyshev's points
        let square = r * r;
        let low = r.mul_add(2.402_265e-1, 6.931_472e-1);
        let middle = r.mul_add(9.618_083e-3, 5.550_357e-2);
        let high = r.mul_add(1.545_316_3e-4, 1.339_086_3e-3);
        let e = high.mul_add(square, middle).mul_add(square, low).mul_add(r, 1.0);
        let power = t.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23;
        let y = e * f32::from_bits(power);
        // beyond, the power means nothing
        if x < -126.0 { 0.0 } else { y }
    }

    #[inline(always)]
    fn log_one_plus(_: f32, z: f32) -> f32 {
        // 2 artanh(z), z at most 1 / 3
        let q = z * z;
        let p = 2.0_f32 / 13.0;
        let p = p.mul_add(q, 2.0 / 11.0);
        let p = p.mul_add(q, 2.0 / 9.0);
        let p = p.mul_add(q, 2.0 / 7.0);
        let p = p.mul_add(q, 2.0 / 5.0);
        let p = p.mul_add(q, 2.0 / 3.0);
        (p * q).mul_add(z, z + z)
    }
}

impl Element for f64 {
    #[inline(always)]
    fn exponential(self) -> f64 {
        (if self > 709.0 { 709.0 } else { self }).exp()
    }

    #[inline(always)]
    fn relative_exponential(self) -> f64 {
        self.exponential()
    }

    #[inline(always)]
    fn log_one_plus(x: f64, _: f64) -> f64 {
        x.ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::masked;

    #[test]
    fn relative_exponential_is_exact_where_it_counts() {
        let mut worst = 0.0f64;
        for k in -870_000..=600_000 {
            let x = k as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let off = (f64::from(x.relative_exponential()) - exact).abs() / exact * 2f64.powi(24);
            worst = worst.max(off / (2.0 + 1.25 * f64::from(x.abs())));
        }
        assert!(worst < 1.0, "worst error {worst} of 2 + 1.25 |x| half units");
        assert_eq!(0f32.relative_exponential(), 1.0);
        assert_eq!([f32::NEG_INFINITY, masked(), -88.0].map(Element::relative_exponential), [0.0; 3]);
        assert!([f32::INFINITY, 1e30, 89.0].iter().all(|x| x.relative_exponential().is_finite()));
        assert!(f32::NAN.relative_exponential().is_nan());
    }

    #[test]
    fn exponential_is_within_one_ulp_of_f64() {
        let mut worst = 0f64;
        for k in -87_000..88_000 {
            let x = k as f32 * 1e-3 + 1.7e-4;
            let exact = f64::from(x).exp();
            let ulp = exact * 2f64.powi(-23);
            worst = worst.max((f64::from(x.exponential()) - exact).abs() / ulp);
        }
        assert!(worst < 1.0, "worst error {worst} ulp");
        assert_eq!(f32::NEG_INFINITY.exponential(), 0.0);
        assert_eq!(masked::<f32>().exponential(), 0.0);
    }
}
