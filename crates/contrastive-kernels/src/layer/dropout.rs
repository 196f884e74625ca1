//! Dropout masks that are a function of a key and of the place of an element: made again wherever they are needed, never stored.

use crate::vector::Element;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements that share the keys of their hash.
const BLOCK: usize = 1024;
/// Blocks of a parallel task.
const BLOCKS: usize = 32;

/// Which elements are dropped: element `i` is, if a hash of the key and of `i` lies below the probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    key: u64,
    below: u32,
    factor: f64,
}

/// The finaliser of splitmix64: every bit of the result depends on every bit of `x`.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Mask {
    /// A mask that drops this share of all elements.
    ///
    /// # Panics
    /// When the probability is not in `0..1`.
    pub fn new(key: u64, probability: f64) -> Self {
        assert!((0.0..1.0).contains(&probability), "dropout of {probability}: it must lie in [0, 1)");
        let below = (probability * 2f64.powi(32)).round().min(f64::from(u32::MAX)) as u32;
        Self { key, below, factor: 1.0 / (1.0 - probability) }
    }

    /// What the elements that stay are multiplied by, `1 / (1 - probability)`.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// The mask of one row of numbers of its own: the elements of different rows are unrelated.
    #[inline(always)]
    pub fn row(&self, row: u64) -> RowMask {
        let keys = mix(self.key ^ mix(row));
        RowMask { keys: [keys as u32, (keys >> 32) as u32], below: self.below }
    }

    /// Does element `i` of a table stay? What [`Layers::dropout`](super::Layers::dropout) does, for one element.
    pub fn keeps(&self, i: usize) -> bool {
        self.row((i / BLOCK) as u64).keeps((i % BLOCK) as u32)
    }
}

/// The mask of a row; see [`Mask::row`].
#[derive(Clone, Copy, Debug)]
pub struct RowMask {
    keys: [u32; 2],
    below: u32,
}

impl RowMask {
    /// Does this element stay?
    #[inline(always)]
    pub fn keeps(self, element: u32) -> bool {
        let [a, b] = self.keys;
        let h = element.wrapping_add(a);
        let h = (h ^ (h >> 16)).wrapping_mul(0x21f0_aaad) ^ b;
        let h = (h ^ (h >> 15)).wrapping_mul(0xd35a_2d97);
        (h ^ (h >> 15)) >= self.below
    }
}

/// One block of at most [`BLOCK`] elements.
struct Block<'a, T> {
    x: &'a [T],
    residual: Option<&'a [T]>,
    out: &'a mut [T],
    mask: RowMask,
    factor: T,
}

impl<T: Element> WithSimd for Block<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, residual, out, mask, factor } = self;
        let of = |i: usize, x: T| if mask.keeps(i as u32) { x * factor } else { T::zero() };
        match residual {
            None => out.iter_mut().zip(x).enumerate().for_each(|(i, (out, &x))| *out = of(i, x)),
            Some(residual) => {
                let pairs = out.iter_mut().zip(x.iter().zip(residual)).enumerate();
                pairs.for_each(|(i, (out, (&x, &residual)))| *out = residual + of(i, x));
            }
        }
    }
}

pub(super) fn apply<T: Element>(x: &[T], residual: Option<&[T]>, mask: Mask, out: &mut [T]) {
    assert_eq!(x.len(), out.len(), "dropout: elements and results");
    assert!(residual.is_none_or(|residual| residual.len() == x.len()), "dropout: elements and what is added to them");
    let factor = T::of(mask.factor);
    out.par_chunks_mut(BLOCKS * BLOCK).enumerate().for_each(|(task, out)| {
        for (k, out) in out.chunks_mut(BLOCK).enumerate() {
            let block = task * BLOCKS + k;
            let range = block * BLOCK..block * BLOCK + out.len();
            let residual = residual.map(|residual| &residual[range.clone()]);
            Arch::new().dispatch(Block { x: &x[range], residual, out, mask: mask.row(block as u64), factor });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::Layers;
    use super::*;

    #[test]
    fn the_share_of_dropped_elements_is_the_probability() {
        // binomial: 4.5 standard deviations
        let n = 1 << 20;
        for (key, p) in [(0, 0.1), (1, 0.5), (u64::MAX, 0.9)] {
            let mut out = vec![0f32; n];
            f32::dropout(&vec![1.0; n], Mask::new(key, p), &mut out);
            let dropped = out.iter().filter(|x| **x == 0.0).count() as f64 / n as f64;
            assert!((dropped - p).abs() < 4.5 * (p * (1.0 - p) / n as f64).sqrt(), "{dropped} of {p}");
            let kept = out.iter().filter(|x| **x == (1.0 / (1.0 - p)) as f32).count() as f64 / n as f64;
            assert_eq!(kept, 1.0 - dropped);
        }
    }

    #[test]
    fn neighbours_keys_and_rows_are_unrelated() {
        // the share of elements on which two masks of a half agree is a half
        let n = 1 << 18;
        let agree = |f: &dyn Fn(usize) -> [bool; 2]| {
            (0..n)
                .filter(|&i| {
                    let [a, b] = f(i);
                    a == b
                })
                .count() as f64
                / n as f64
        };
        let mask = Mask::new(7, 0.5);
        type Pair<'a> = (&'a str, &'a dyn Fn(usize) -> [bool; 2]);
        let pairs: [Pair; 5] = [
            ("next", &|i| [mask.keeps(i), mask.keeps(i + 1)]),
            ("next row", &|i| [mask.keeps(i), mask.keeps(i + BLOCK)]),
            ("key", &|i| [mask.keeps(i), Mask::new(8, 0.5).keeps(i)]),
            ("bit of the key", &|i| [mask.keeps(i), Mask::new(7 | 1 << 63, 0.5).keeps(i)]),
            ("width", &|i| [mask.keeps(i), mask.keeps(i + 64)]),
        ];
        for (what, pair) in pairs {
            let share = agree(pair);
            assert!((share - 0.5).abs() < 4.5 * 0.5 / (n as f64).sqrt(), "{what}: {share}");
        }
    }

    #[test]
    fn one_element_is_as_the_table() {
        let x: Vec<f64> = (0..5000).map(f64::from).collect();
        let (mask, mut out) = (Mask::new(3, 0.3), vec![0.0; 5000]);
        f64::dropout(&x, mask, &mut out);
        let want: Vec<f64> = (0..5000).map(|i| if mask.keeps(i) { x[i] * mask.factor() } else { 0.0 }).collect();
        assert_eq!(out, want);
        f64::dropout(&x, Mask::new(3, 0.0), &mut out);
        assert_eq!(out, x);
    }
}
