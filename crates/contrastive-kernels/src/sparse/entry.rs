//! What a sparse matrix may hold.

use super::Csr;
use std::cmp::Ordering;
use std::fmt::{Debug, Display};

/// A number in a sparse matrix: `f32`, `f64`, or a count in `u64`.
pub trait Entry: Copy + Default + PartialEq + Debug + Display + Send + Sync + 'static {
    /// One.
    const ONE: Self;

    /// `self += a * b`, and whether that leaves the range of counts. Real numbers never do: theirs become infinite.
    fn add_product(&mut self, a: Self, b: Self) -> bool;

    /// Neither NaN nor infinite.
    fn is_sound(self) -> bool;

    /// The nearest real number.
    fn real(self) -> f64;

    /// A total order: that of the numbers.
    fn order(&self, other: &Self) -> Ordering;

    #[doc(hidden)]
    fn csr_transpose(matrix: &Csr<Self>) -> Csr<Self>;
}

macro_rules! real {
    ($of:ty) => {
        impl Entry for $of {
            const ONE: Self = 1.0;

            #[inline(always)]
            fn add_product(&mut self, a: Self, b: Self) -> bool {
                *self += a * b;
                false
            }

            #[inline(always)]
            fn is_sound(self) -> bool {
                self.is_finite()
            }

            fn real(self) -> f64 {
                f64::from(self)
            }

            fn order(&self, other: &Self) -> Ordering {
                self.total_cmp(other)
            }

            #[inline(never)]
            fn csr_transpose(matrix: &Csr<Self>) -> Csr<Self> {
                matrix.transpose_generic()
            }
        }
    };
}

real!(f32);
real!(f64);

impl Entry for u64 {
    const ONE: Self = 1;

    #[inline(always)]
    fn add_product(&mut self, a: Self, b: Self) -> bool {
        let (product, beyond) = a.overflowing_mul(b);
        let (sum, further) = self.overflowing_add(product);
        *self = sum;
        beyond | further
    }

    #[inline(always)]
    fn is_sound(self) -> bool {
        true
    }

    fn real(self) -> f64 {
        self as f64
    }

    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    #[inline(never)]
    fn csr_transpose(matrix: &Csr<Self>) -> Csr<Self> {
        matrix.transpose_generic()
    }
}
