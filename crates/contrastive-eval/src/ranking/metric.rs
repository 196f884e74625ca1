//! The metrics of one ranked list.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A metric of the first K items of a user's ranking.
///
/// With `hit_r` = 1 if the item at rank r (from 1) is one of the user's test items, else 0, and `n` test items:
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// `sum_{r <= K} hit_r / n`: the share of the test items that was found. The denominator is all of them, also above K.
    Recall,
    /// `sum_{r <= K} hit_r / log2(r + 1)`, divided by its largest possible value, `sum_{r <= min(K, n)} 1 / log2(r + 1)`. With
    /// [gains](super::Protocol::with_gains), a hit counts its gain, and the ideal has the largest first; 0 where all are 0.
    Ndcg,
    /// 1 if any test item was found, the hit rate in the mean.
    Hit,
    /// `1 / r` of the first test item, 0 if there is none in K: the mean reciprocal rank in the mean.
    Mrr,
    /// `sum_{r <= K} hit_r precision@r / min(K, n)`: average precision; MAP in the mean.
    Map,
    /// `sum_{r <= K} hit_r / K`.
    Precision,
    /// The share of the catalogue that is in the first K of any evaluated user. Has no value for a single user.
    Coverage,
}

impl Metric {
    /// The metrics that have a value for each user.
    pub const PER_USER: [Self; 6] = [Self::Recall, Self::Ndcg, Self::Hit, Self::Mrr, Self::Map, Self::Precision];

    /// Its name in reports: `recall`, `ndcg`, `hit`, `mrr`, `map`, `precision`, `coverage`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Ndcg => "ndcg",
            Self::Hit => "hit",
            Self::Mrr => "mrr",
            Self::Map => "map",
            Self::Precision => "precision",
            Self::Coverage => "coverage",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = ();

    /// The metric of a [`Metric::name`].
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::PER_USER.into_iter().chain([Self::Coverage]).find(|metric| metric.name() == name).ok_or(())
    }
}

/// The column of `metric@k` when each of the [`Metric::PER_USER`] has one for each cutoff.
pub(super) fn parse(name: &str, cutoffs: &[usize]) -> Option<(Metric, usize)> {
    let (metric, k) = name.split_once('@')?;
    let k: usize = k.parse().ok()?;
    Some((metric.parse().ok()?, cutoffs.iter().position(|&c| c == k)?))
}

/// `1 / log2(r + 1)` by rank, and its running sums.
pub(super) struct Discounts {
    gain: Vec<f64>,
    ideal: Vec<f64>,
}

impl Discounts {
    pub(super) fn new(longest: usize) -> Self {
        let gain: Vec<f64> = (0..longest).map(|r| 1.0 / (r as f64 + 2.0).log2()).collect();
        let running = |sum: &mut f64, g: &f64| {
            *sum += g;
            Some(*sum)
        };
        let ideal = gain.iter().scan(0.0, running).collect();
        Self { gain, ideal }
    }
}

/// Writes the metrics of one user, `[PER_USER, cutoffs]`. `test` is sorted and not empty, `cutoffs` ascend, `ranked` may
/// be shorter than the last of them; `gains` has one for each of `test`.
pub(super) fn user_values(
    ranked: &[u32],
    test: &[u32],
    gains: Option<&[f64]>,
    cutoffs: &[usize],
    discounts: &Discounts,
    values: &mut [f64],
) {
    let best_first = gains.map(|gains| {
        let mut sorted = gains.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted
    });
    let (mut hits, mut dcg, mut reciprocal, mut precisions) = (0usize, 0.0, 0.0, 0.0);
    let mut rank = 0;
    for (c, &k) in cutoffs.iter().enumerate() {
        for &item in &ranked[rank.min(ranked.len())..k.min(ranked.len())] {
            if let Ok(at) = test.binary_search(&item) {
                hits += 1;
                dcg += discounts.gain[rank] * gains.map_or(1.0, |gains| gains[at]);
                precisions += hits as f64 / (rank + 1) as f64;
                if hits == 1 {
                    reciprocal = 1.0 / (rank + 1) as f64;
                }
            }
            rank += 1;
        }
        let possible = k.min(test.len());
        let found = hits as f64;
        let ideal = match &best_first {
            None => discounts.ideal[possible - 1],
            Some(gains) => gains[..possible].iter().zip(&discounts.gain).map(|(gain, discount)| gain * discount).sum(),
        };
        let row = [
            found / test.len() as f64,
            if ideal > 0.0 { dcg / ideal } else { 0.0 },
            f64::from(hits > 0),
            reciprocal,
            precisions / possible as f64,
            found / k as f64,
        ];
        for (m, value) in row.into_iter().enumerate() {
            values[m * cutoffs.len() + c] = value;
        }
    }
}
