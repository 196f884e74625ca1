//! What outlives a batch: a first-in-first-out queue of past rows, one in clusters around prototypes, and a moving average of an encoder.
//!
//! None carries a gradient. All can be stored with a run and taken up again without a difference.

mod dyce;
mod ema;
mod queue;

pub use dyce::{Assignment, DyCe, DyCeConfig};
pub use ema::{Ema, update_target, update_target_parameters};
pub use queue::Queue;

use thiserror::Error;

/// What can be wrong with a memory.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MemoryError {
    /// A queue without room.
    #[error("a queue of {capacity} rows of width {width}: both must be at least 1")]
    Size {
        /// Most rows it would hold.
        capacity: usize,
        /// Numbers in a row.
        width: usize,
    },
    /// A queue that would hold rows of the same sample twice.
    #[error(
        "a queue of {capacity} rows for a data set of {samples} samples: it would hold rows of the same sample twice"
    )]
    Data {
        /// Most rows it would hold.
        capacity: usize,
        /// Samples in the data set.
        samples: usize,
    },
    /// A queue that batches do not fill evenly.
    #[error("a queue of {capacity} rows and batches of {batch}: its size must be a multiple of theirs")]
    Batches {
        /// Most rows it would hold.
        capacity: usize,
        /// Rows of a batch.
        batch: usize,
    },
    /// A momentum outside its range.
    #[error("momentum {0}: it must lie between 0 (copy the online network) and 1 (never follow it)")]
    Momentum(f64),
    /// A schedule without steps.
    #[error("a momentum schedule over 0 steps: it needs at least 1")]
    Steps,
    /// A setting out of its range.
    #[error("{setting} of a memory in clusters is {value}; allowed is {allowed}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A row that is NaN or infinite.
    #[error("row {row} for a memory is NaN or infinite")]
    NotFinite {
        /// Which of the rows given.
        row: usize,
    },
    /// A stored state that this memory cannot take over.
    #[error("state of a queue: {0}")]
    State(String),
}
