//! Masks of time steps.

use crate::data::{SeriesError, check};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Which time steps of a series an encoder is not shown; applied after the projection of its input, so that a masked step differs from one of
/// zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum TimeMask {
    /// None.
    #[default]
    None,
    /// Each step with this probability (TS2Vec: 0.5).
    Bernoulli(f64),
    /// So many spans of this share of the steps each, which may overlap (TS2Vec's "continuous", COMET: 5 of 0.1).
    Spans {
        /// Number of spans; at most half the steps are.
        count: usize,
        /// Share of the steps in a span; a span has at least one.
        share: f64,
    },
    /// The last step.
    Last,
}

impl TimeMask {
    /// TS2Vec's in training.
    pub const BINOMIAL: Self = Self::Bernoulli(0.5);
    /// Five spans of a tenth.
    pub const CONTINUOUS: Self = Self::Spans { count: 5, share: 0.1 };

    /// Checks the shares.
    ///
    /// # Errors
    /// When one is not in [0, 1].
    pub fn validate(&self) -> Result<(), SeriesError> {
        match *self {
            Self::Bernoulli(p) => check("time mask", "probability", p, (0.0..=1.0).contains(&p), "in [0, 1]"),
            Self::Spans { share, .. } => check("time mask", "share", share, (0.0..=1.0).contains(&share), "in [0, 1]"),
            Self::None | Self::Last => Ok(()),
        }
    }

    /// For `batch` series of `length` steps, series by series: true where a step stays. `None`: all stay.
    pub fn draw(&self, batch: usize, length: usize, rng: &mut ChaCha8Rng) -> Option<Vec<bool>> {
        match *self {
            Self::None => None,
            Self::Bernoulli(p) => Some((0..batch * length).map(|_| rng.random::<f64>() >= p).collect()),
            Self::Spans { count, share } => {
                let span = ((length as f64 * share) as usize).clamp(1, length);
                let count = count.min(length / 2).max(1);
                let mut mask = vec![true; batch * length];
                for series in mask.chunks_exact_mut(length) {
                    for _ in 0..count {
                        let from = rng.random_range(0..=length - span);
                        series[from..from + span].fill(false);
                    }
                }
                Some(mask)
            }
            Self::Last => Some((0..batch * length).map(|at| at % length != length - 1).collect()),
        }
    }
}
