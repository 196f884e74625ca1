//! Average precision of a row's ranking, from histograms.

use super::{GenericRowLoss, RowPairs, Sums, hide, nothing};
use crate::vector::Element;

/// FastAP (Cakir et al. 2019, equations 5 to 7): one less average precision of the ranking of all others by squared distance
/// `2 - 2 s` of unit rows, counted in soft histograms over [0, 4]. With `h_l` and `t_l` what bin l holds of positives and of all, and
/// `H_l`, `T_l` the sums up to l: `1 - sum_l h_l H_l / T_l / positives`. A row without positives is 0.
///
/// Sums: how many rows have positives.
#[derive(Clone, Copy, Debug)]
pub struct FastAp {
    /// Widths of a bin in [0, 4], at least 1; there is one more bin than that, at both ends half as wide.
    pub bins: usize,
}

/// Where a similarity falls: what it is worth to bins `low` and `low + 1`, and does it move with the similarity?
struct Place {
    low: usize,
    share: f64,
    moves: bool,
}

impl FastAp {
    fn place(&self, s: f64) -> Place {
        let at = (2.0 - 2.0 * s) * self.bins as f64 / 4.0;
        let inside = at.clamp(0.0, self.bins as f64);
        // NaN falls into bin 0 with a NaN share
        let low = (inside as usize).min(self.bins - 1);
        Place { low, share: inside - low as f64, moves: at == inside }
    }

    /// The average precision of `counts` (positives, negatives) times the number of positives; counts become derivatives.
    fn precision(counts: &mut [[f64; 2]]) -> f64 {
        let (mut positives, mut all, mut value) = (0.0, 0.0, 0.0);
        // of each bin: H / T, h / T, h H / T^2
        let mut ratios = vec![[0.0; 3]; counts.len()];
        for (ratios, [near, far]) in ratios.iter_mut().zip(counts.iter()) {
            positives += near;
            all += near + far;
            if *near != 0.0 {
                value += near * positives / all;
                *ratios = [positives / all, near / all, near * positives / (all * all)];
            }
        }
        let mut later = [0.0; 2];
        for (count, ratios) in counts.iter_mut().zip(&ratios).rev() {
            later = [later[0] + ratios[1], later[1] + ratios[2]];
            *count = [ratios[0] + later[0] - later[1], -later[1]];
        }
        value
    }
}

impl<T: Element> GenericRowLoss<T> for FastAp {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        if kept.is_empty() {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        let nothing = nothing();
        let mut counts = vec![[0.0; 2]; self.bins + 1];
        let mut count = |s: T, side: usize| {
            let place = self.place(s.f64());
            counts[place.low][side] += 1.0 - place.share;
            counts[place.low + 1][side] += place.share;
        };
        kept.iter().for_each(|s| count(*s, 0));
        row.iter().filter(|s| **s > nothing || s.is_nan()).for_each(|s| count(*s, 1));
        let share = 1.0 / kept.len() as f64;
        let value = 1.0 - Self::precision(&mut counts) * share;
        // bins are steps of 4 / bins, and a distance falls by 2 for a similarity
        let factor = share * 2.0 * self.bins as f64 / 4.0;
        let slope = |s: T, side: usize| {
            let place = self.place(s.f64());
            let rise = counts[place.low + 1][side] - counts[place.low][side];
            T::of(if place.moves { rise * factor } else { 0.0 })
        };
        for s in row.iter_mut() {
            *s = if *s <= nothing { T::zero() } else { slope(*s, 1) };
        }
        pairs.positives().zip(kept.iter()).for_each(|(j, s)| row[j] = slope(*s, 0));
        (value, [1.0, 0.0, 0.0, 0.0])
    }
}
