//! What a run leaves behind in numbers.

use crate::error::TrainError;
use crate::trainee::Metrics;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One epoch: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, counted from 1.
    pub epoch: usize,
    /// Number of steps.
    pub steps: usize,
    /// Mean of each loss over the steps.
    #[serde(deserialize_with = "numbers")]
    pub losses: BTreeMap<String, f64>,
    /// Result of the evaluation, if there was one. A value that is not finite is written as `null` and read as NaN.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_numbers")]
    pub metrics: Option<Metrics>,
    /// Wall time of the steps in seconds.
    pub seconds: f64,
    /// Wall time of the evaluation in seconds.
    pub evaluation_seconds: f64,
}

/// JSON has no NaN: it comes back from `null`.
fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let map = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    Ok(map.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

fn some_numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Metrics>, D::Error> {
    numbers(from).map(Some)
}

/// The best evaluation by the metric that early stopping watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Name of the metric.
    pub metric: String,
    /// Its best value.
    pub value: f64,
    /// The epoch that reached it first.
    pub epoch: usize,
}

/// The result of [`fit`](crate::fit), also written as `report.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunReport {
    /// Name of the trainee.
    pub trainee: String,
    /// Seed of the run.
    pub seed: u64,
    /// Number of completed epochs.
    pub epochs: usize,
    /// Number of steps, those of an epoch in progress included.
    #[serde(default)]
    pub steps: usize,
    /// Whether early stopping ended the run before its last epoch.
    pub stopped_early: bool,
    /// The evaluation whose state the trainee has now, with early stopping.
    pub best: Option<Best>,
    /// Mean losses of the last epoch.
    #[serde(deserialize_with = "numbers")]
    pub losses: BTreeMap<String, f64>,
    /// Metrics of the trainee as it is now: of the best evaluation with early stopping, else of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_numbers")]
    pub metrics: Option<Metrics>,
    /// Wall time of all epochs and evaluations in seconds, those before a resumption included.
    pub seconds: f64,
    /// The number of epochs taken over from a checkpoint.
    pub resumed_from: Option<usize>,
    /// What a user should know, such as a damaged checkpoint that was passed over.
    pub notes: Vec<String>,
    /// The run folder.
    pub run_dir: Option<PathBuf>,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
}

impl RunReport {
    /// The error of a table that is not finite.
    pub(crate) fn not_finite(&self, tensor: String, value: f64) -> TrainError {
        let step = self.history.last().map_or(0, |record| record.steps.saturating_sub(1));
        TrainError::NonFiniteParameter { epoch: self.epochs, step, tensor, value }
    }
}
