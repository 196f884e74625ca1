//! A band that keeps positives and negatives of two views near each other, and the cross-entropy it works against.

use super::{GenericRowLoss, RowPairs, Sums, hide, nothing, shares};
use crate::vector::{self, Element};

/// The regulariser of MCLRec (Qin et al. 2023, in the form of the released code) with the cross-entropy of the same similarities, in one
/// pass. Of a row with positive similarity p and k negatives `n_j`, the largest of them m:
///
/// ```text
/// band  = [p - min(p, m)]_+ + mean_j [max(p, m) - n_j]_+
/// cross = log(e^p + sum_j e^{n_j}) - p
/// value = contrast * cross + band_weight * band
/// ```
///
/// Of equal largest negatives the first has the derivative; where p = m the maximum is the negative's. Of several positives the first
/// counts. A row without a positive or without negatives is 0.
///
/// Sums: the unweighted cross-entropies, the unweighted bands.
#[derive(Clone, Copy, Debug)]
pub struct MarginBand {
    /// Factor of the cross-entropy; at 0 it is not computed.
    pub contrast: f64,
    /// Factor of the band; at 0 it is not computed.
    pub band: f64,
}

impl<T: Element> GenericRowLoss<T> for MarginBand {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let (Some(positive), Some(&p)) = (pairs.positives().next(), kept.first()) else {
            row.fill(T::zero());
            return (0.0, Sums::default());
        };
        if p.is_nan() || row.iter().any(|s| s.is_nan()) {
            row.fill(T::nan());
            return (f64::NAN, Sums::default());
        }
        let (p, most) = (p.f64(), vector::max(row));
        if most <= nothing() {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        let at = row.iter().position(|s| *s == most).expect("the largest is one of them");
        let m = most.f64();
        let negatives = row.iter().filter(|s| **s > nothing());
        let (count, sum) = negatives.fold((0usize, 0.0), |(count, sum), s| (count + 1, sum + s.f64()));
        let mut total = (0.0, Sums::default());
        let share = match self.band {
            0.0 => 0.0,
            _ => {
                let band = (p - m).max(0.0) + (p.max(m) - sum / count as f64);
                total.0 += self.band * band;
                total.1[1] = band;
                self.band / count as f64
            }
        };
        let mut slope = 0.0;
        if self.contrast == 0.0 {
            for s in row.iter_mut() {
                *s = if *s > nothing() { T::of(-share) } else { T::zero() };
            }
        } else {
            let compared: Vec<bool> = match share {
                0.0 => Vec::new(),
                _ => row.iter().map(|s| *s > nothing()).collect(),
            };
            let (log_negatives, _) = shares(row, 1.0).expect("there are negatives");
            let top = p.max(log_negatives);
            let log_all = top + ((p - top).exp() + (log_negatives - top).exp()).ln();
            let cross = log_all - p;
            total.0 += self.contrast * cross;
            total.1[0] = cross;
            slope = self.contrast * ((p - log_all).exp() - 1.0);
            vector::scale(row, T::of(self.contrast * (log_negatives - log_all).exp()));
            for (s, compared) in row.iter_mut().zip(&compared) {
                if *compared {
                    *s -= T::of(share);
                }
            }
        }
        match p > m {
            // (p - m) + (p - mean)
            true => {
                slope += 2.0 * self.band;
                row[at] -= T::of(self.band);
            }
            // m - mean
            false => row[at] += T::of(self.band),
        }
        row[positive] = T::of(slope);
        total
    }
}
