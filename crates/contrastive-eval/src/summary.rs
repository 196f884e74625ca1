//! Mean and deviation over runs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Mean and standard deviation over runs: seeds, splits or folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the runs at hand, `sqrt(mean of (x - mean)^2)`: what publications print, and 0 for one run.
    pub std: f64,
    /// Number of runs.
    pub runs: usize,
}

impl Summary {
    /// The summary of some values.
    ///
    /// # Panics
    /// When there are none.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "a summary of no values");
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
        Self { mean, std, runs: values.len() }
    }
}

/// `0.8330 +- 0.0040`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} +- {:.4}", self.mean, self.std)
    }
}

/// A table with a line for each named summary.
pub(crate) fn table<'a>(
    f: &mut fmt::Formatter<'_>,
    lines: impl IntoIterator<Item = (&'a str, Summary)>,
) -> fmt::Result {
    write!(f, "{:17}  {:>6}  {:>6}", "", "mean", "std")?;
    for (name, summary) in lines {
        write!(f, "\n{name:17}  {:>6.4}  {:>6.4}", summary.mean, summary.std)?;
    }
    Ok(())
}
