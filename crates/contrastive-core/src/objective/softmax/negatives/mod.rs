//! Contrasts in which not every negative counts alike, and the prototypical term: what MEOW and AdaMEOW add to InfoNCE.
//!
//! | objective | a negative j of anchor i counts | what is held |
//! |---|---|---|
//! | [`ClusteredNegatives`] | once for each clustering that puts i and j apart | linear in rows |
//! | [`LearnedNegatives`] | by a small network of the sum of both rows | a block of rows x candidates |
//! | [`PrototypicalTerm`] | the centroids are the candidates, each with a temperature of its own | linear in rows |

mod clustered;
mod learned;
mod prototypes;

pub use clustered::ClusteredNegatives;
pub use learned::{LearnedNegatives, WeightNetwork};
pub use prototypes::{Concentration, PrototypicalTerm, concentrations};

use crate::error::ObjectiveError;
use thiserror::Error;

/// Why a weighted contrast has no value.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum NegativesError {
    /// A row for which every candidate has the weight 0.
    #[error(
        "no negatives for row {row}: all candidates are in its cluster in each of {clusterings} clusterings; allowed: another cluster in at least one"
    )]
    NoNegatives {
        /// The row.
        row: usize,
        /// Number of clusterings.
        clusterings: usize,
    },
    /// A clustering of another number of rows, or none at all.
    #[error("{found}; allowed: {allowed}")]
    Clusterings {
        /// What was given.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A setting.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
}
