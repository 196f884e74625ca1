//! Positives and negatives that no data holds: mixed, extrapolated, hallucinated; and comparisons that adapt to the pair.
//!
//! - [`Mochi`]: mixtures of the hardest negatives of a queue, for each query its own.
//! - [`FeatureTransform`]: positives pushed apart, negatives mixed; [`ScoreTrace`] records what scores do during training.
//! - [`Hallucinator`]: a small network that makes one more positive of each pair.
//! - [`LatentPositives`]: positives made between a key and prototypes of a queue (HaLP).
//! - [`Amcl`] with [`PairTemperature`]: a temperature for each pair and head.
//! - [`Hydra`] with [`PairGate`]: a filter of features for each pair of classes.
//!
//! They enter the engine in two ways: as rows that go into an objective like any others, or as [`Negatives`] of an anchor's own,
//! which [`JoinedInfoNce`] adds to the sums over shared candidates. No anchors x candidates matrix is made.

mod amcl;
mod feature_transform;
mod hallucinator;
mod hydra;
mod joined;
mod latent_positives;
mod mixture_sums;
mod mochi;
mod pair_gate;
mod pair_temperature;
mod random;
mod score_trace;

pub use amcl::{Amcl, AmclEvaluation, AmclForm, AmclHead};
pub use feature_transform::{FeatureDraw, FeatureTransform, Granularity, NegativesUse, extrapolated_score};
pub use hallucinator::{Hallucinator, HallucinatorConfig};
pub use hydra::{GatedSimilarity, Hydra, HydraAverage, HydraReport};
pub use joined::{JoinedEvaluation, JoinedInfoNce, MakeRows, Negatives};
pub use latent_positives::{KeptPositives, LatentPositive, LatentPositives, Reach};
pub use mochi::{Mixtures, Mochi, MochiEvaluation};
pub use pair_gate::{ClassPairs, NearClasses, PairGate, PairGateConfig, class_pairs};
pub use pair_temperature::{PairTemperature, PairTemperatureConfig};
pub use score_trace::{ScoreSummary, ScoreTrace};

use burn::tensor::{Int, Tensor, TensorData};
use std::ops::Range;
use thiserror::Error;

/// What can be wrong with a synthesis when its data are known.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SynthesisError {
    /// Fewer negatives than a pool of the hardest is to hold.
    #[error("query {query}: {available} negatives for a pool of the {hardest} hardest")]
    Pool {
        /// Which query.
        query: usize,
        /// Negatives it may be given.
        available: usize,
        /// Size of the pool.
        hardest: usize,
    },
    /// Too few rows to do anything with.
    #[error("{rows} {what}: at least {least} are needed")]
    Rows {
        /// What there are too few of.
        what: &'static str,
        /// How many there are.
        rows: usize,
        /// The smallest number.
        least: usize,
    },
    /// A row that should have length 1.
    #[error("{what}, row {row}: length {length}, but rows of length 1 are needed")]
    NotUnit {
        /// Which table.
        what: &'static str,
        /// Which row.
        row: usize,
        /// Its length.
        length: f64,
    },
    /// A label that is not a class.
    #[error("label {label} of row {row}: it must lie in 0..{classes}")]
    Label {
        /// Which row.
        row: usize,
        /// The label.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
    /// No anchor has both a positive and a negative.
    #[error("none of {anchors} anchors has both a positive and a negative")]
    NoAnchor {
        /// Anchors of the batch.
        anchors: usize,
    },
}

/// Elements of a block that is computed at once.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// `0..n` in ranges, so that with `each` elements a row a block stays small.
fn blocks(n: usize, each: usize) -> impl Iterator<Item = Range<usize>> {
    let block = (BLOCK_ELEMENTS / each.max(1)).clamp(1, n.max(1));
    (0..n).step_by(block).map(move |start| start..(start + block).min(n))
}

/// Rows `range` of a table.
fn rows_of(table: &Tensor<2>, range: &Range<usize>) -> Tensor<2> {
    let width = table.dims()[1];
    table.clone().slice([range.clone(), 0..width])
}

/// Places as a tensor on the device of `like`.
fn places(indices: &[u32], like: &Tensor<2>) -> Tensor<1, Int> {
    let (count, indices) = (indices.len(), indices.iter().map(|&i| i as i32).collect::<Vec<_>>());
    Tensor::from_data(TensorData::new(indices, [count]), &like.device())
}

/// `total + part`, where there is a total.
fn add(total: &mut Option<Tensor<2>>, part: Tensor<2>) {
    *total = Some(match total.take() {
        Some(sum) => sum + part,
        None => part,
    });
}
