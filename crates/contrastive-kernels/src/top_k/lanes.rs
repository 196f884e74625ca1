//! What the ranking kernels need of an element type: vectors of it, and an integer that sorts as its scores do.

use crate::real::Real;
use pulp::Simd;
use pulp::bytemuck;

/// Vector operations of `f32` and `f64`, one name for both, and their sort keys.
pub trait Lanes: Real {
    /// A vector register.
    type Vector<S: Simd>: Copy;
    /// A comparison's result.
    type Mask<S: Simd>: Copy;
    /// A candidate as an integer: a better score first, among equals the smaller index first.
    type Key: Copy + Ord + Default + Send + Sync;

    /// All lanes the same.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// The whole vectors of a slice.
    fn vectors<S: Simd>(slice: &[Self]) -> &[Self::Vector<S>];
    /// The whole vectors of a slice, to write to.
    fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [Self::Vector<S>];
    /// `a * b + c`, rounded once.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// The lanes where `a <= b` does not hold: greater ones, and those that are not comparable.
    fn not_at_most<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S>;
    /// Lanes in either mask.
    fn or<S: Simd>(simd: S, a: Self::Mask<S>, b: Self::Mask<S>) -> Self::Mask<S>;
    /// Whether a mask has a lane.
    fn any<S: Simd>(mask: Self::Mask<S>) -> bool;

    /// The key of a candidate; a NaN score comes first of all.
    fn key(self, index: u32) -> Self::Key;
    /// The candidate of a key.
    fn candidate(key: Self::Key) -> (Self, u32);
}

macro_rules! lanes {
    ($t:ident, $bits:ident, $key:ident, $vector:ident, $mask:ident, $($name:ident)*) => {
        impl Lanes for $t {
            type Vector<S: Simd> = S::$vector;
            type Mask<S: Simd> = S::$mask;
            type Key = $key;

            lanes!(@functions $t, $vector, $mask, $($name)*);

            #[inline(always)]
            fn key(self, index: u32) -> $key {
                // Adding 0 makes +0 of -0: both are one score. The bits of floats sort as their values do once the
                // sign is set for positive numbers and all bits are flipped for negative ones; the complement of that
                // sorts the best first.
                let bits = if self.is_nan() { $t::NAN.abs().to_bits() } else { (self + 0.0).to_bits() };
                let sign = 1 << ($bits::BITS - 1);
                let ascending = if bits & sign == 0 { bits | sign } else { !bits };
                ($key::from(!ascending) << 32) | $key::from(index)
            }

            #[inline(always)]
            fn candidate(key: $key) -> ($t, u32) {
                let ascending = !((key >> 32) as $bits);
                let sign = 1 << ($bits::BITS - 1);
                let bits = if ascending & sign == 0 { !ascending } else { ascending ^ sign };
                ($t::from_bits(bits), key as u32)
            }
        }
    };
    (@functions $t:ident, $vector:ident, $mask:ident,
     $splat:ident $as_simd:ident $as_mut_simd:ident $mul_add:ident $at_most:ident $not:ident $or:ident) => {
        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
            simd.$splat(value)
        }
        #[inline(always)]
        fn vectors<S: Simd>(slice: &[Self]) -> &[S::$vector] {
            S::$as_simd(slice).0
        }
        #[inline(always)]
        fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [S::$vector] {
            S::$as_mut_simd(slice).0
        }
        #[inline(always)]
        fn fused<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
            simd.$mul_add(a, b, c)
        }
        #[inline(always)]
        fn not_at_most<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$mask {
            simd.$not(simd.$at_most(a, b))
        }
        #[inline(always)]
        fn or<S: Simd>(simd: S, a: S::$mask, b: S::$mask) -> S::$mask {
            simd.$or(a, b)
        }
        #[inline(always)]
        fn any<S: Simd>(mask: S::$mask) -> bool {
            bytemuck::bytes_of(&mask).iter().fold(0, |any, byte| any | byte) != 0
        }
    };
}

lanes!(f32, u32, u64, f32s, m32s, splat_f32s as_simd_f32s as_mut_simd_f32s mul_add_f32s less_than_or_equal_f32s not_m32s or_m32s);
lanes!(f64, u64, u128, f64s, m64s, splat_f64s as_simd_f64s as_mut_simd_f64s mul_add_f64s less_than_or_equal_f64s not_m64s or_m64s);

#[cfg(test)]
mod tests {
    use super::Lanes;

    fn keys_sort_as_scores<T: Lanes>() {
        let descending = [f64::NAN, f64::INFINITY, 2.5, 1.0, 1e-30, 0.0, -1e-30, -1.0, -7.5, f64::NEG_INFINITY];
        let keys: Vec<T::Key> = descending.iter().map(|&v| T::of(v).key(7)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        for (&key, &value) in keys.iter().zip(&descending) {
            let (score, index) = T::candidate(key);
            assert_eq!(index, 7);
            assert!(score == T::of(value) || (score.is_nan() && value.is_nan()), "{score} for {value}");
        }
        assert!(T::of(-0.0).key(3) == T::zero().key(3) && T::of(-0.0).key(3) < T::zero().key(4));
        assert!(T::nan().key(9) == (-T::nan()).key(9));
    }

    #[test]
    fn keys_sort_as_scores_do() {
        keys_sort_as_scores::<f32>();
        keys_sort_as_scores::<f64>();
    }
}
