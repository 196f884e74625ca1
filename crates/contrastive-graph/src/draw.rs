//! Exact draws without replacement. Written here, not taken from a random-number crate's distributions, so that a seed
//! keeps its meaning when that crate changes its algorithms.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A uniform number in `0..bound`, without bias (multiply-shift with rejection of the short remainder).
///
/// `bound` must be positive.
#[inline]
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    debug_assert!(bound > 0);
    let mut product = u64::from(rng.next_u32()) * u64::from(bound);
    if (product as u32) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u32) < threshold {
            product = u64::from(rng.next_u32()) * u64::from(bound);
        }
    }
    (product >> 32) as u32
}

/// A uniform number in `[0, 1)` with 53 random bits.
#[inline]
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Puts the slice into uniformly random order.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, values: &mut [T]) {
    for last in (1..values.len()).rev() {
        values.swap(last, below(rng, last as u32 + 1) as usize);
    }
}

/// `floor(total * share)`, where a product that only rounding keeps under an integer counts as that integer
/// (100 x 0.29 is 29).
pub(crate) fn share_of(total: usize, share: f64) -> usize {
    let product = total as f64 * share;
    ((product + product.abs() * 1e-12).floor() as usize).min(total)
}

/// Marks exactly `count` of `total` places, every subset of that size being equally likely, in one pass.
///
/// # Panics
/// When `count > total`.
pub(crate) fn keep_exactly(rng: &mut ChaCha8Rng, total: usize, count: usize) -> Vec<bool> {
    assert!(count <= total, "cannot keep {count} of {total}");
    let mut needed = count as u32;
    (0..total)
        .map(|place| {
            let left = (total - place) as u32;
            let kept = needed > 0 && (needed == left || below(rng, left) < needed);
            needed -= u32::from(kept);
            kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn share_is_the_floor_without_rounding_accidents() {
        assert_eq!(share_of(42_135, 0.3), 12_640);
        assert_eq!(share_of(100, 0.29), 29);
        assert_eq!(share_of(10, 0.0), 0);
        assert_eq!(share_of(10, 1.0), 10);
    }

    #[test]
    fn draws_below_a_bound_are_uniform() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7) as usize] += 1;
        }
        // 6 standard deviations of a binomial(70000, 1/7).
        assert!(counts.iter().all(|&count| (f64::from(count) - 10_000.0).abs() < 6.0 * 92.6), "{counts:?}");
    }

    #[test]
    fn keeping_exactly_marks_every_place_equally_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut counts = [0u32; 10];
        for _ in 0..20_000 {
            let kept = keep_exactly(&mut rng, 10, 3);
            assert_eq!(kept.iter().filter(|&&k| k).count(), 3);
            for (count, kept) in counts.iter_mut().zip(kept) {
                *count += u32::from(kept);
            }
        }
        assert!(counts.iter().all(|&count| (f64::from(count) - 6_000.0).abs() < 6.0 * 64.8), "{counts:?}");
    }
}
