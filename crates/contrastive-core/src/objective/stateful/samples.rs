//! Rows of a batch as samples of a training set, and what is kept for each of them.

use super::average::averaged;
use crate::error::ObjectiveError;
use burn::tensor::TensorData;
use contrastive_kernels::scalar::log_add_exp;
use std::collections::BTreeMap;
use thiserror::Error;

/// What can be wrong with a batch, or a stored state, of an objective with a state for each training sample.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SampleError {
    /// A sample that is not in the training set.
    #[error("row {row} of the batch is sample {sample}: the samples are 0 to {}", samples - 1)]
    Index {
        /// The row.
        row: usize,
        /// Its sample.
        sample: usize,
        /// Number of samples.
        samples: usize,
    },
    /// A sample that stands in a batch twice: which of its rows would be remembered?
    #[error("rows {rows:?} of the batch are both sample {sample}: a sample may stand in a batch once")]
    Duplicate {
        /// The sample.
        sample: usize,
        /// Two of its rows.
        rows: [usize; 2],
    },
    /// A batch whose rows have nothing to be compared with.
    #[error("a batch of {0}: it needs at least 2 samples")]
    Small(usize),
    /// Rows and sample numbers that differ in number.
    #[error("{indices} sample numbers for {rows} rows")]
    Count {
        /// Sample numbers.
        indices: usize,
        /// Rows.
        rows: usize,
    },
    /// A row whose similarities are not finite numbers.
    #[error("the similarities of row {0} are not finite")]
    NotFinite(usize),
    /// A training set without samples.
    #[error("a training set of 0 samples")]
    Empty,
    /// A setting that is out of range.
    #[error(transparent)]
    Setting(#[from] ObjectiveError),
    /// A stored state that cannot be taken over.
    #[error("state of the samples: {0}")]
    State(String),
}

/// Are these rows the numbers of different samples?
pub(super) fn check_batch(index: &[usize], rows: usize, samples: usize) -> Result<(), SampleError> {
    if index.len() != rows {
        return Err(SampleError::Count { indices: index.len(), rows });
    }
    if rows < 2 {
        return Err(SampleError::Small(rows));
    }
    if let Some((row, &sample)) = index.iter().enumerate().find(|(_, i)| **i >= samples) {
        return Err(SampleError::Index { row, sample, samples });
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|&row| index[row]);
    match order.windows(2).find(|w| index[w[0]] == index[w[1]]) {
        Some(w) => Err(SampleError::Duplicate { sample: index[w[0]], rows: [w[0], w[1]] }),
        None => Ok(()),
    }
}

/// The logarithm of each sample's denominator, a moving average; samples that were never in a batch have none.
#[derive(Clone, Debug)]
pub(super) struct Denominators {
    logs: Vec<f64>,
    seen: Vec<bool>,
}

impl Denominators {
    pub fn new(samples: usize) -> Self {
        Self { logs: vec![0.0; samples], seen: vec![false; samples] }
    }

    /// `None` for a sample that was never in a batch.
    pub fn get(&self, sample: usize) -> Option<f64> {
        self.seen[sample].then(|| self.logs[sample])
    }

    /// What the average becomes with this new value.
    pub fn with(&self, sample: usize, new: f64, share: f64) -> f64 {
        averaged(self.get(sample), new, share)
    }

    /// The mean over the logarithms of a sample's views.
    pub fn store(&mut self, sample: usize, views: impl ExactSizeIterator<Item = f64>) {
        let count = views.len() as f64;
        self.logs[sample] = views.fold(f64::NEG_INFINITY, log_add_exp) - count.ln();
        self.seen[sample] = true;
    }

    /// Moves the logarithm of a sample.
    pub fn shift(&mut self, sample: usize, by: f64) {
        self.logs[sample] += by;
    }

    pub fn save(&self, prefix: &str, state: &mut BTreeMap<String, TensorData>) {
        let seen = self.seen.iter().map(|s| i64::from(*s)).collect::<Vec<_>>();
        insert(state, prefix, "log_denominators", TensorData::new(self.logs.clone(), [self.logs.len()]));
        insert(state, prefix, "seen", TensorData::new(seen, [self.seen.len()]));
    }

    pub fn loaded(prefix: &str, samples: usize, state: &BTreeMap<String, TensorData>) -> Result<Self, SampleError> {
        let logs = list(state, prefix, "log_denominators", samples)?;
        let seen = list(state, prefix, "seen", samples)?;
        Ok(Self { logs, seen: seen.iter().map(|s| *s != 0.0).collect() })
    }
}

pub(super) fn insert(state: &mut BTreeMap<String, TensorData>, prefix: &str, name: &str, data: TensorData) {
    state.insert(format!("{prefix}{name}"), data);
}

/// A stored list of `count` finite numbers.
pub(super) fn list(
    state: &BTreeMap<String, TensorData>,
    prefix: &str,
    name: &str,
    count: usize,
) -> Result<Vec<f64>, SampleError> {
    let name = format!("{prefix}{name}");
    let data = state.get(&name).ok_or_else(|| SampleError::State(format!("{name} is missing")))?;
    let numbers: Vec<f64> = data.iter::<f64>().collect();
    if numbers.len() != count {
        return Err(SampleError::State(format!("{name} has {} numbers, not {count}", numbers.len())));
    }
    match numbers.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(SampleError::State(format!("{name} holds {} at {at}", numbers[at]))),
        None => Ok(numbers),
    }
}
