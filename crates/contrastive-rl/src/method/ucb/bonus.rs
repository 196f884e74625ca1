//! What an unseen pair of state and action is worth.

use super::samples::Samples;
use crate::error::{RlError, setting};
use crate::world::Tables;
use contrastive_core::linear::EllipticalBonus;
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Which features the bonus is paid in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bonus {
    /// The learned ones (contrastive UCB).
    Learned,
    /// The true ones of the world: what perfect learning would give.
    TrueFeatures,
    /// One for each pair: the bonus falls with the number of visits.
    Counts,
    /// No bonus.
    None,
}

impl Bonus {
    /// The bonus of every pair at a step of a world.
    pub(crate) fn pay(
        self,
        tables: &Tables,
        step: usize,
        learned: impl FnOnce() -> Array2<f64>,
        samples: &Samples,
        [lambda, gamma]: [f64; 2],
    ) -> Result<Vec<f64>, RlError> {
        let cap = tables.horizon() as f64;
        match self {
            Self::None => Ok(vec![0.0; samples.visits.len()]),
            Self::Counts => Ok(by_counts(samples, lambda, gamma, cap)),
            Self::Learned => elliptical(learned().view(), samples, lambda, gamma, cap),
            Self::TrueFeatures => {
                elliptical(tables.features(step).expect("checked at the start"), samples, lambda, gamma, cap)
            }
        }
    }

    /// Does the world know what this bonus needs?
    pub(crate) fn check(self, tables: &Tables) -> Result<(), RlError> {
        let known = self != Self::TrueFeatures || tables.features(0).is_some();
        setting("ucb", "bonus", "TrueFeatures", known, "only in a world whose features are known")
    }
}

/// `min(gamma sqrt(phi' Sigma^-1 phi), cap)` of every pair, with `Sigma = lambda 1 + sum over the visits of phi phi'`.
pub(crate) fn elliptical(
    features: ArrayView2<'_, f64>,
    samples: &Samples,
    lambda: f64,
    gamma: f64,
    cap: f64,
) -> Result<Vec<f64>, RlError> {
    let mut bonus = EllipticalBonus::new(features.ncols(), lambda, gamma)?;
    for (row, visits) in features.rows().into_iter().zip(&samples.visits).filter(|(_, n)| **n > 0.0) {
        // n visits of one row are one of the row times sqrt(n)
        let scaled: Array1<f64> = row.mapv(|x| x * visits.sqrt());
        bonus.observe(scaled.view())?;
    }
    Ok(features.rows().into_iter().map(|row| bonus.bonus(row).min(cap)).collect())
}

/// The same with one feature for each pair: `min(gamma / sqrt(lambda + n), cap)`.
pub(crate) fn by_counts(samples: &Samples, lambda: f64, gamma: f64, cap: f64) -> Vec<f64> {
    samples.visits.iter().map(|n| (gamma / (lambda + n).sqrt()).min(cap)).collect()
}
