//! Which rows share a batch: samplers by label.
//!
//! A sampler is made once from the labels of a data set and gives, for an epoch's number, the batches of that epoch as
//! positions in the data set. The same seed and the same epoch always give the same batches, whatever came before, so that a
//! run can be resumed anywhere.
//!
//! [`MixedSource`] draws from real and generated samples in exact shares, [`weighted_draws`] places by weights. [`OverlappingCrops`] are not
//! about labels: they draw which parts of time series are compared.
//!
//! What does not fill a batch is a choice, [`Remainder`]. All batches have the same size.
//!
//! ```
//! use contrastive_core::sampler::{PerClassSampler, Remainder};
//!
//! let labels = [0, 0, 0, 1, 1, 1, 2, 2];
//! let sampler = PerClassSampler::new(&labels, 2, 2, Remainder::Cover, 7)?;
//! for batch in sampler.epoch(0) {
//!     assert_eq!(batch.len(), 4);                                    // two classes, two rows of each
//!     assert_eq!(labels[batch[0]], labels[batch[1]]);
//!     assert_ne!(labels[batch[1]], labels[batch[2]]);
//! }
//! # Ok::<(), contrastive_core::sampler::SamplerError>(())
//! ```

mod balanced;
mod draws;
mod hierarchical;
mod mixed;
mod overlapping;
mod pack;
mod per_class;

pub use balanced::BalancedSampler;
pub use draws::weighted_draws;
pub use hierarchical::HierarchicalSampler;
pub use mixed::{Copies, MixedSource};
pub use overlapping::OverlappingCrops;
pub use per_class::PerClassSampler;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use thiserror::Error;

/// What happens to rows that do not fill a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// They are left out of this epoch; no row comes twice. (Another epoch leaves out others.)
    Drop,
    /// Every row comes at least once; what is missing in a batch is filled with rows that come again.
    Cover,
}

/// Why labels cannot be sampled this way.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SamplerError {
    /// A count that is 0.
    #[error("{name}: at least 1 is needed")]
    Zero {
        /// What the count is.
        name: &'static str,
    },
    /// No rows.
    #[error("a sampler of no labels")]
    Empty,
    /// Two lists of labels that differ in length.
    #[error("{first} labels and {second} labels of the level above")]
    Lengths {
        /// Length of the first.
        first: usize,
        /// Length of the second.
        second: usize,
    },
    /// A label that stands under two labels of the level above.
    #[error("label {label} stands under {first} and under {second}, at row {row}")]
    Parents {
        /// The label.
        label: i64,
        /// The one above it.
        first: i64,
        /// The other one above it.
        second: i64,
        /// Where the other one is.
        row: usize,
    },
    /// Series too short for the scales they are to be compared on.
    #[error("series of {length} time steps: two crops that share {needed} steps need at least as many")]
    Short {
        /// Time steps of a series.
        length: usize,
        /// The smallest number.
        needed: usize,
    },
    /// No real samples, of which copies are to be drawn.
    #[error("no real samples for {replicate} copies of each: allowed is 1 sample or more, or 0 copies")]
    NoReal {
        /// Copies of each.
        replicate: usize,
    },
    /// Fewer classes than a batch is to hold.
    #[error("{available} {what} with enough rows, but a batch holds {needed}")]
    TooFew {
        /// What there is too little of.
        what: &'static str,
        /// How many there are.
        available: usize,
        /// How many are needed.
        needed: usize,
    },
}

/// The generator of an epoch.
fn generator(seed: u64, epoch: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    rng
}

/// The rows of each label, labels ascending.
fn by_label(labels: &[i64]) -> BTreeMap<i64, Vec<usize>> {
    let mut rows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    labels.iter().enumerate().for_each(|(row, &label)| rows.entry(label).or_default().push(row));
    rows
}

/// `Ok` when no count is 0.
fn not_zero(counts: &[(&'static str, usize)]) -> Result<(), SamplerError> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some(&(name, _)) => Err(SamplerError::Zero { name }),
        None => Ok(()),
    }
}

/// `Ok` when there are as many as a batch holds.
fn enough(what: &'static str, available: usize, needed: usize) -> Result<(), SamplerError> {
    if available < needed { Err(SamplerError::TooFew { what, available, needed }) } else { Ok(()) }
}
