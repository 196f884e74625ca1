//! The probability that two values are in order, as a function of their difference.

use crate::vector::Element;
use std::f64::consts::{FRAC_1_PI, FRAC_PI_2, FRAC_PI_4};

/// An element type whose arctangent the vector loops use.
pub trait Sortable: Element + crate::compiled::Sorting {
    /// `atan(self)`.
    fn arctangent(self) -> Self;
}

impl Sortable for f32 {
    /// Within 3e-7: the argument is brought to `[-tan(pi/8), tan(pi/8)]`, where an odd polynomial of degree 9 is enough.
    #[inline(always)]
    fn arctangent(self) -> f32 {
        let size = self.abs();
        let (far, middle) = (size > 2.414_213_5, size > 0.414_213_57);
        let over = if middle { size + 1.0 } else { 1.0 };
        let over = if far { size } else { over };
        let under = if middle { size - 1.0 } else { size };
        let under = if far { -1.0 } else { under };
        let base = if middle { FRAC_PI_4 as f32 } else { 0.0 };
        let base = if far { FRAC_PI_2 as f32 } else { base };
        let y = under / over;
        let z = y * y;
        let p = 8.053_744_5e-2_f32.mul_add(z, -1.387_768_6e-1);
        let p = p.mul_add(z, 1.997_771_1e-1).mul_add(z, -3.333_295e-1);
        (base + (p * z).mul_add(y, y)).copysign(self)
    }
}

impl Sortable for f64 {
    #[inline(always)]
    fn arctangent(self) -> f64 {
        self.atan()
    }
}

/// The distribution function f that stands for the step of a comparator: with z = steepness (x_b - x_a), f(z) is the
/// probability that a and b are in order. All have f(-z) = 1 - f(z).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Relaxation {
    /// `1/2 + atan(z) / pi` (Petersen et al. 2022; GroCo): sorts monotonically, its gradient falls as 1 / z^2.
    #[default]
    Cauchy,
    /// `1 / (1 + e^-z)` (Petersen et al. 2021): gradients vanish exponentially, and the sorted values need not be monotone in
    /// the inputs.
    Logistic,
    /// `1/2 + z / (2 (1 + |z|))` (Petersen et al. 2022, there with 2 z): monotone.
    Reciprocal,
    /// `z + 1/2` within 1/4 of 0, beyond it `1 - 1 / (16 z)` and `-1 / (16 z)` (Petersen et al. 2022): monotone with the
    /// smallest error.
    Optimal,
}

impl Relaxation {
    /// `f(z)`.
    #[inline(always)]
    pub fn chance<T: Sortable>(self, z: T) -> T {
        let half = T::of(0.5);
        match self {
            Self::Cauchy => z.arctangent().mul_add(T::of(FRAC_1_PI), half),
            Self::Logistic => {
                let small = (-z.abs()).exponential();
                let far = small / (T::one() + small);
                if z > T::zero() { T::one() - far } else { far }
            }
            Self::Reciprocal => half + half * z / (T::one() + z.abs()),
            Self::Optimal => {
                let tail = T::one() / (T::of(16.0) * z.abs());
                let outer = if z > T::zero() { T::one() - tail } else { tail };
                if z.abs() > T::of(0.25) { outer } else { z + half }
            }
        }
    }

    /// `f'(z)`, given `f(z)`.
    #[inline(always)]
    pub fn slope<T: Sortable>(self, z: T, chance: T) -> T {
        match self {
            Self::Cauchy => T::of(FRAC_1_PI) / z.mul_add(z, T::one()),
            Self::Logistic => chance * (T::one() - chance),
            Self::Reciprocal => {
                let over = T::one() + z.abs();
                T::of(0.5) / (over * over)
            }
            Self::Optimal => {
                let outer = T::one() / (T::of(16.0) * z * z);
                if z.abs() > T::of(0.25) { outer } else { T::one() }
            }
        }
    }
}
