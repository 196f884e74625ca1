//! The results of a ranking evaluation.

use super::metric::{Metric, parse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Means over the evaluated users, for every metric and cutoff.
///
/// Printed, it is a table with a row for each metric and a column for each cutoff. Serialised, it is
/// `{"users": 4, "items": 12, "cutoffs": [1, 3], "metrics": {"recall": [0.2, 0.3], ...}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankingReport {
    users: usize,
    items: usize,
    cutoffs: Vec<usize>,
    metrics: BTreeMap<Metric, Vec<f64>>,
}

impl RankingReport {
    /// Users in the means: those with at least one test item.
    pub fn users(&self) -> usize {
        self.users
    }

    /// Items in the catalogue.
    pub fn items(&self) -> usize {
        self.items
    }

    /// The cutoffs, ascending.
    pub fn cutoffs(&self) -> &[usize] {
        &self.cutoffs
    }

    /// A value by its name, metric and cutoff: `"ndcg@20"`. For the metrics' names see [`Metric::name`].
    pub fn get(&self, name: &str) -> Option<f64> {
        let (metric, cutoff) = parse(name, &self.cutoffs)?;
        self.metrics.get(&metric)?.get(cutoff).copied()
    }

    /// All values with their names, by metric, then by cutoff.
    pub fn iter(&self) -> impl Iterator<Item = (String, f64)> {
        self.metrics.iter().flat_map(|(metric, values)| {
            self.cutoffs.iter().zip(values).map(move |(k, &value)| (format!("{metric}@{k}"), value))
        })
    }

    /// All values by name.
    pub fn to_map(&self) -> BTreeMap<String, f64> {
        self.iter().collect()
    }
}

impl fmt::Display for RankingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads: Vec<String> = self.cutoffs.iter().map(|k| format!("@{k}")).collect();
        let width = heads.iter().map(String::len).max().unwrap_or(0).max(6);
        write!(f, "{:9}", "")?;
        for head in &heads {
            write!(f, "  {head:>width$}")?;
        }
        for (metric, values) in &self.metrics {
            write!(f, "\n{metric:9}")?;
            for value in values {
                write!(f, "  {value:>width$.4}")?;
            }
        }
        write!(f, "\n{} users, {} items", self.users, self.items)
    }
}

/// The values of each evaluated user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerUserReport {
    pub(super) items: usize,
    pub(super) cutoffs: Vec<usize>,
    pub(super) users: Vec<u32>,
    /// `[users, PER_USER, cutoffs]`
    pub(super) values: Vec<f64>,
    pub(super) coverage: Vec<f64>,
}

impl PerUserReport {
    /// The evaluated users: those with at least one test item.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The cutoffs, ascending.
    pub fn cutoffs(&self) -> &[usize] {
        &self.cutoffs
    }

    /// The values of one metric, `"ndcg@20"`, in the order of [`PerUserReport::users`]. None for coverage, which no
    /// single user has.
    pub fn get(&self, name: &str) -> Option<Vec<f64>> {
        let (metric, cutoff) = parse(name, &self.cutoffs)?;
        let row = Metric::PER_USER.iter().position(|&m| m == metric)?;
        Some(self.column(row * self.cutoffs.len() + cutoff).collect())
    }

    /// The means over the users, and coverage.
    pub fn mean(&self) -> RankingReport {
        let cutoffs = self.cutoffs.len();
        let mean = |column| self.column(column).sum::<f64>() / self.users.len() as f64;
        let mut metrics: BTreeMap<Metric, Vec<f64>> = Metric::PER_USER
            .iter()
            .enumerate()
            .map(|(row, &metric)| (metric, (0..cutoffs).map(|c| mean(row * cutoffs + c)).collect()))
            .collect();
        metrics.insert(Metric::Coverage, self.coverage.clone());
        RankingReport { users: self.users.len(), items: self.items, cutoffs: self.cutoffs.clone(), metrics }
    }

    fn column(&self, column: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(column).step_by(Metric::PER_USER.len() * self.cutoffs.len()).copied()
    }
}
