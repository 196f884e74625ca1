//! The curves of a run folder.

use super::{Curve, Page};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a run folder has no curves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is not JSON, or without an epoch.
    #[error("{}, line {line}: {problem}; allowed: an object with a whole number `epoch` in each line, as a run writes it", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What `metrics.jsonl` of a run folder says, by epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunCurves {
    /// Mean losses of each epoch by name.
    pub losses: BTreeMap<String, Vec<[f64; 2]>>,
    /// Metrics of each evaluation by name.
    pub metrics: BTreeMap<String, Vec<[f64; 2]>>,
    /// Wall time of the steps of each epoch, in seconds.
    pub seconds: Vec<[f64; 2]>,
}

impl RunCurves {
    /// Reads `metrics.jsonl` of a run folder. Values that are `null` (NaN) are left out.
    ///
    /// # Errors
    /// [`PageError`] naming the file and the line.
    pub fn read(folder: &Path) -> Result<Self, PageError> {
        let path = folder.join("metrics.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|source| PageError::Io { path: path.clone(), source })?;
        let mut curves = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |problem: String| PageError::Line { path: path.clone(), line: at + 1, problem };
            let record: Value = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let epoch = record["epoch"].as_u64().ok_or_else(|| wrong("no epoch".into()))? as f64;
            for (into, of) in [(&mut curves.losses, &record["losses"]), (&mut curves.metrics, &record["metrics"])] {
                for (name, value) in of.as_object().into_iter().flatten() {
                    if let Some(value) = value.as_f64() {
                        into.entry(name.clone()).or_default().push([epoch, value]);
                    }
                }
            }
            curves.seconds.extend(record["seconds"].as_f64().map(|seconds| [epoch, seconds]));
        }
        Ok(curves)
    }
}

impl Page {
    /// The curves of a run folder: losses in one chart, and one for each metric.
    ///
    /// # Errors
    /// [`PageError`] naming the file and the line.
    pub fn run_folder(&mut self, folder: &Path) -> Result<(), PageError> {
        let curves = RunCurves::read(folder)?;
        let of = |list: &BTreeMap<String, Vec<[f64; 2]>>| -> Vec<(String, Vec<[f64; 2]>)> {
            list.iter().map(|(name, points)| (name.clone(), points.clone())).collect()
        };
        let losses = of(&curves.losses);
        let losses: Vec<Curve<'_>> = losses.iter().map(|(name, points)| (name.as_str(), points.clone())).collect();
        self.curves("Losses", "epoch", &losses);
        for (name, points) in of(&curves.metrics) {
            self.curves(&name, "epoch", &[(&name, points)]);
        }
        self.curves("Seconds an epoch", "epoch", &[("seconds", curves.seconds)]);
        Ok(())
    }
}
