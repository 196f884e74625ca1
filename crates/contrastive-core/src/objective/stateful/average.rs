//! Moving averages of positive numbers, kept as logarithms.

use crate::error::ObjectiveError;
use contrastive_kernels::scalar::log_add_exp;

/// The share of a new value in a moving average (gamma), constant or on a cosine from 1 down to its last value:
///
/// ```text
/// average <- (1 - gamma) average + gamma new          gamma_e = last + (1 - last) (1 + cos(pi e / E)) / 2
/// ```
///
/// A small share averages over many batches; while the encoder still moves fast, the average lags behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AverageWeight {
    last: f64,
    epochs: Option<usize>,
}

impl AverageWeight {
    /// The same share at every epoch (SogCLR: 0.9, iSogCLR: 0.8).
    ///
    /// # Errors
    /// When it is not in `(0, 1]`.
    pub fn constant(share: f64) -> Result<Self, ObjectiveError> {
        if share > 0.0 && share <= 1.0 {
            return Ok(Self { last: share, epochs: None });
        }
        Err(ObjectiveError::Outside {
            name: "share of a new value in the moving average",
            value: share,
            allowed: "(0, 1]",
        })
    }

    /// From 1 at epoch 0 down to `last` at epoch `epochs`, and constant from then on (LibAUC: half of all epochs).
    ///
    /// # Errors
    /// When the last share is not in `(0, 1]`, or there are no epochs.
    pub fn cosine(last: f64, epochs: usize) -> Result<Self, ObjectiveError> {
        if epochs == 0 {
            return Err(ObjectiveError::Contradiction(
                "a moving average on a cosine over 0 epochs: it needs at least 1",
            ));
        }
        Ok(Self { epochs: Some(epochs), ..Self::constant(last)? })
    }

    /// The share at an epoch, counted from 0.
    pub fn at(&self, epoch: usize) -> f64 {
        let Some(epochs) = self.epochs else { return self.last };
        let angle = std::f64::consts::PI * epoch.min(epochs) as f64 / epochs as f64;
        self.last + (1.0 - self.last) * (1.0 + angle.cos()) / 2.0
    }
}

/// The logarithm of a moving average: `log((1 - share) e^old + share e^new)`; of nothing old, the new value.
pub(super) fn averaged(old: Option<f64>, new: f64, share: f64) -> f64 {
    match old {
        Some(old) if share < 1.0 => log_add_exp((1.0 - share).ln() + old, share.ln() + new),
        _ => new,
    }
}
