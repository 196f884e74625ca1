//! Large batches that generalise like small ones (Hoffer et al. 2017): batch normalisation in ghosts, the learning rate and the
//! length of training that belong to a batch size, and the probe of how far weights wander.
//!
//! Contrastive objectives want large batches for their negatives. Normalising over ghosts keeps the noise of small ones, and
//! statistics of a ghost tell a network less about which rows share a batch.

mod ghost_batch;
mod regime;
mod weight_diffusion;

pub use ghost_batch::{GhostBatchNorm, GhostBatchNormConfig};
pub use regime::Regime;
pub use weight_diffusion::{LogFit, WeightDiffusion, fit_log};

use thiserror::Error;

/// What can be wrong with ghosts, a regime or a curve.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NormError {
    /// A batch that cannot be split evenly.
    #[error("a batch of {batch} is no whole number of ghosts of {ghost}: choose another size, or a ragged last ghost")]
    Ragged {
        /// Rows of the batch.
        batch: usize,
        /// Rows of a ghost.
        ghost: usize,
    },
    /// A ghost whose variance is 0 whatever it holds.
    #[error("a ghost of {rows} row(s) at {positions} position(s): its variance needs at least 2 values a channel")]
    Lonely {
        /// Rows of the ghost.
        rows: usize,
        /// Positions of a row.
        positions: usize,
    },
    /// A number that must be at least 1.
    #[error("{0} is 0: it must be at least 1")]
    Zero(&'static str),
    /// A number outside its range.
    #[error("{name} {value}: it must lie in {allowed}")]
    Outside {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
        /// The interval.
        allowed: &'static str,
    },
    /// A curve that no line can be fitted to.
    #[error("{points} points of a curve after {from}: a line needs at least 2")]
    Short {
        /// Points that count.
        points: usize,
        /// The first step that counts.
        from: f64,
    },
}
