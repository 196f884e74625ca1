//! The expected similarity of negatives.

use super::{GenericRowLoss, RowPairs, Sums, hide, shares};
use crate::vector::Element;

/// The mean similarity of the negatives, weighted by `e^{sharpness s}`: `sum_j n_j s_j` with `n = softmax(sharpness s)`; the
/// repulsion of CACR (Zheng et al. 2023, equation 6) up to sign and scale. Positives do not enter; a row without negatives is 0.
///
/// Sums: how many rows have negatives.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedSimilarity {
    /// How much more the closer negatives weigh; 0 for the plain mean.
    pub sharpness: f64,
    /// The weights are constants to the gradient.
    pub detached: bool,
}

impl<T: Element> GenericRowLoss<T> for ExpectedSimilarity {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        kept.clear();
        if !self.detached {
            kept.extend_from_slice(row);
        }
        // so little is no different from 0, and still takes what is hidden out of the sum
        let Some((_, mean)) = shares(row, self.sharpness.max(1e-20)) else { return (0.0, Sums::default()) };
        let (sharpness, middle) = (T::of(self.sharpness), T::of(mean));
        for (share, s) in row.iter_mut().zip(kept.iter()) {
            // a share of 0 has no similarity
            *share = if *share == T::zero() { *share } else { *share * (T::one() + sharpness * (*s - middle)) };
        }
        (mean, [1.0, 0.0, 0.0, 0.0])
    }
}
