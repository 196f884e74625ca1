//! The results of a ranking evaluation.

use super::metric::{Metric, parse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which items a ranking leaves out, beside which its numbers must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// The user's training items.
    Train,
    /// The user's training and validation items (RecBole).
    TrainAndValidation,
}

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
    #[serde(default)]
    left_out: Option<LeftOut>,
    #[serde(default)]
    tied_users: Option<usize>,
}

impl RankingReport {
    /// What was not ranked; `None` for lists ranked elsewhere.
    pub fn left_out(&self) -> Option<LeftOut> {
        self.left_out
    }

    /// Users with equal scores among their first K items, K the largest cutoff, or between the last of these and the next one. Equal
    /// scores are ranked by item number, so that many ties measure the order of the file: a collapsed model does well where items are
    /// sorted by popularity. `None` for lists ranked elsewhere.
    pub fn tied_users(&self) -> Option<usize> {
        self.tied_users
    }

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
        write!(f, "\n{} users, {} items", self.users, self.items)?;
        match self.left_out {
            Some(LeftOut::Train) => write!(f, "; training items left out")?,
            Some(LeftOut::TrainAndValidation) => write!(f, "; training and validation items left out")?,
            None => {}
        }
        match (self.tied_users, self.cutoffs.last()) {
            (Some(tied), Some(k)) if tied > 0 => {
                write!(f, "\nequal scores within the first {k} of {tied} users, ranked by item number")
            }
            _ => Ok(()),
        }
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
    #[serde(default)]
    pub(super) left_out: Option<LeftOut>,
    #[serde(default)]
    pub(super) tied: Option<Vec<bool>>,
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

    /// Which of them have equal scores where it matters ([`RankingReport::tied_users`]).
    pub fn tied(&self) -> Option<&[bool]> {
        self.tied.as_deref()
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
        RankingReport {
            users: self.users.len(),
            items: self.items,
            cutoffs: self.cutoffs.clone(),
            metrics,
            left_out: self.left_out,
            tied_users: self.tied.as_ref().map(|tied| tied.iter().filter(|tied| **tied).count()),
        }
    }

    fn column(&self, column: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(column).step_by(Metric::PER_USER.len() * self.cutoffs.len()).copied()
    }
}
