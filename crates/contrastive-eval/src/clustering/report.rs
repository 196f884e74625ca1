//! Agreement of clusters with labels.

use super::contingency::{Contingency, Part};
use super::matching::match_clusters;
use crate::error::EvalError;
use crate::summary::{Summary, table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Agreement of one clustering with the labels. All but `ami` and `ari` are in [0, 1]; these two are 0 in expectation for a random
/// clustering, and can be negative. Logarithms are natural, which makes no difference to ratios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Share of the rows in agreement under the best one-to-one matching of clusters and classes ("ACC").
    pub accuracy: f64,
    /// Normalised mutual information: I(labels; clusters) over the arithmetic mean of the entropies.
    pub nmi: f64,
    /// Adjusted Rand index (Hubert and Arabie 1985).
    pub ari: f64,
    /// Mean over the classes of the F1 under the same matching; rows in a cluster without a class are misses.
    /// Of several best matchings, which differ in this score, one is taken by the order of the ids.
    pub macro_f1: f64,
    /// Share of the rows that are of the most frequent class of their cluster.
    pub purity: f64,
    /// Mutual information normalised by the geometric mean of the entropies.
    pub nmi_geometric: f64,
    /// Mutual information adjusted for chance, arithmetic mean (Vinh et al. 2010).
    pub ami: f64,
    /// I / H(labels): is a cluster of one class?
    pub homogeneity: f64,
    /// I / H(clusters): is a class in one cluster?
    pub completeness: f64,
    /// Harmonic mean of homogeneity and completeness; equal to `nmi`.
    pub v_measure: f64,
    /// Number of rows.
    pub rows: usize,
    /// Number of different labels.
    pub classes: usize,
    /// Number of different clusters.
    pub clusters: usize,
}

impl ClusterReport {
    /// All scores by their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        [
            ("accuracy", self.accuracy),
            ("nmi", self.nmi),
            ("ari", self.ari),
            ("macro_f1", self.macro_f1),
            ("purity", self.purity),
            ("nmi_geometric", self.nmi_geometric),
            ("ami", self.ami),
            ("homogeneity", self.homogeneity),
            ("completeness", self.completeness),
            ("v_measure", self.v_measure),
        ]
        .into_iter()
    }
}

impl fmt::Display for ClusterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.iter() {
            writeln!(f, "{name:13}  {value:7.4}")?;
        }
        write!(f, "{} rows, {} classes, {} clusters", self.rows, self.classes, self.clusters)
    }
}

/// Scores of several clusterings of the same rows: their means and deviations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterRuns {
    scores: BTreeMap<String, Vec<f64>>,
    /// Runs that were stopped before their assignments were stable.
    pub not_converged: usize,
    /// Rows in each.
    pub rows: usize,
}

impl ClusterRuns {
    pub(super) fn new(reports: &[ClusterReport], not_converged: usize) -> Self {
        let mut scores: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value) in reports.iter().flat_map(ClusterReport::iter) {
            scores.entry(name.into()).or_default().push(value);
        }
        Self { scores, not_converged, rows: reports[0].rows }
    }

    /// Mean and deviation of a score, by its name in [`ClusterReport`].
    pub fn get(&self, name: &str) -> Option<Summary> {
        self.scores.get(name).map(|values| Summary::of(values))
    }

    /// The score in every run.
    pub fn each(&self, name: &str) -> Option<&[f64]> {
        self.scores.get(name).map(Vec::as_slice)
    }
}

impl fmt::Display for ClusterRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table(f, self.scores.iter().map(|(name, values)| (name.as_str(), Summary::of(values))))?;
        let runs = self.scores.values().next().map_or(0, Vec::len);
        write!(f, "\n{runs} runs on {} rows", self.rows)?;
        if self.not_converged > 0 {
            write!(f, "; {} were stopped before they converged", self.not_converged)?;
        }
        Ok(())
    }
}

/// Compares clusters with labels, row by row. Ids are only names, and need not be contiguous; the work is O(n log n) beside the matching
/// (see [`super::best_match`]).
///
/// Degenerate cases: where labels and clusters both consist of one group, everything is 1; a ratio with an entropy of 0 is 1 for
/// homogeneity and completeness, and 0 for the others.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`].
pub fn compare(labels: &[u32], clusters: &[u32]) -> Result<ClusterReport, EvalError> {
    let table = Contingency::new(labels, clusters)?;
    let (of_classes, of_clusters) = (entropy(&table.classes, table.rows), entropy(&table.clusters, table.rows));
    let mutual = mutual_information(&table);
    let single = table.classes.len() == 1 && table.clusters.len() == 1;
    let ratio = |part: f64, whole: f64| match (single, whole > 0.0) {
        (true, _) => 1.0,
        (_, true) => (part / whole).clamp(0.0, 1.0),
        _ => 0.0,
    };
    let share = |whole: f64| if whole > 0.0 { (mutual / whole).clamp(0.0, 1.0) } else { 1.0 };
    let (homogeneity, completeness) = (share(of_classes), share(of_clusters));
    let both = homogeneity + completeness;
    let class_of = match_clusters(&table);
    let agreed = agreement(&table, &class_of);
    let purest: usize = table.lists(false).iter().map(|list| list.iter().map(|e| e.1).max().unwrap_or(0)).sum();
    Ok(ClusterReport {
        accuracy: agreed.iter().sum::<usize>() as f64 / table.rows as f64,
        nmi: ratio(mutual, (of_classes + of_clusters) / 2.0),
        ari: adjusted_rand(&table),
        macro_f1: macro_f1(&table, &class_of, &agreed),
        purity: purest as f64 / table.rows as f64,
        nmi_geometric: ratio(mutual, (of_classes * of_clusters).sqrt()),
        ami: if single { 1.0 } else { adjusted_mutual(&table, mutual, (of_classes + of_clusters) / 2.0) },
        homogeneity,
        completeness,
        v_measure: if both > 0.0 { 2.0 * homogeneity * completeness / both } else { 0.0 },
        rows: table.rows,
        classes: table.classes.len(),
        clusters: table.clusters.len(),
    })
}

/// Rows of each class in the cluster that stands for it.
fn agreement(table: &Contingency, class_of: &[Option<usize>]) -> Vec<usize> {
    let mut agreed = vec![0; table.classes.len()];
    for &(class, cluster, rows) in &table.shared {
        if class_of[cluster] == Some(class) {
            agreed[class] = rows;
        }
    }
    agreed
}

fn macro_f1(table: &Contingency, class_of: &[Option<usize>], agreed: &[usize]) -> f64 {
    let mut predicted = vec![0; table.classes.len()];
    for (cluster, class) in table.clusters.iter().zip(class_of) {
        if let Some(class) = class {
            predicted[*class] = cluster.size;
        }
    }
    let f1 = |class: usize| 2.0 * agreed[class] as f64 / (predicted[class] + table.classes[class].size) as f64;
    (0..agreed.len()).map(f1).sum::<f64>() / agreed.len() as f64
}

fn entropy(parts: &[Part], rows: usize) -> f64 {
    if parts.len() == 1 {
        return 0.0;
    }
    let rows = rows as f64;
    parts.iter().map(|part| part.size as f64 / rows * (rows / part.size as f64).ln()).sum()
}

fn mutual_information(table: &Contingency) -> f64 {
    let rows = table.rows as f64;
    let term = |&(class, cluster, shared): &(usize, usize, usize)| {
        let (shared, sizes) = (shared as f64, table.classes[class].size as f64 * table.clusters[cluster].size as f64);
        shared / rows * (rows * shared / sizes).ln()
    };
    table.shared.iter().map(term).sum::<f64>().max(0.0)
}

/// From the four counts of ordered pairs of rows: together or apart in labels and in clusters.
fn adjusted_rand(table: &Contingency) -> f64 {
    let squares = |sizes: &mut dyn Iterator<Item = usize>| sizes.map(|s| s as i128 * s as i128).sum::<i128>();
    let rows = table.rows as i128;
    let both = squares(&mut table.shared.iter().map(|s| s.2));
    let classes = squares(&mut table.classes.iter().map(|p| p.size));
    let clusters = squares(&mut table.clusters.iter().map(|p| p.size));
    let (together, split, merged) = (both - rows, classes - both, clusters - both);
    let apart = rows * rows - both - split - merged;
    if split == 0 && merged == 0 {
        return 1.0;
    }
    let (together, split, merged, apart) = (together as f64, split as f64, merged as f64, apart as f64);
    let chance = (together + split) * (split + apart) + (together + merged) * (merged + apart);
    2.0 * (together * apart - split * merged) / chance
}

/// Mutual information less its expectation under random labels of the same sizes, over the same of its upper bound.
fn adjusted_mutual(table: &Contingency, mutual: f64, bound: f64) -> f64 {
    let expected = expected_mutual(table);
    let room = bound - expected;
    let size = room.abs().max(f64::EPSILON);
    (mutual - expected) / if room < 0.0 { -size } else { size }
}

/// The expectation over all pairings of rows: each intersection's size is hypergeometric. Pairs of a class and a cluster of the
/// same sizes are computed once.
fn expected_mutual(table: &Contingency) -> f64 {
    let n = table.rows;
    let mut ln_factorial = vec![0.0; n + 1];
    for k in 1..=n {
        ln_factorial[k] = ln_factorial[k - 1] + (k as f64).ln();
    }
    let sizes = |parts: &[Part]| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        parts.iter().for_each(|part| *counts.entry(part.size).or_default() += 1);
        counts
    };
    let (classes, clusters) = (sizes(&table.classes), sizes(&table.clusters));
    let mut expected = 0.0;
    for (&a, &a_times) in &classes {
        for (&b, &b_times) in &clusters {
            let fixed = ln_factorial[a] + ln_factorial[b] + ln_factorial[n - a] + ln_factorial[n - b] - ln_factorial[n];
            let term = |shared: usize| {
                let ways = fixed
                    - ln_factorial[shared]
                    - ln_factorial[a - shared]
                    - ln_factorial[b - shared]
                    - ln_factorial[n + shared - a - b];
                let (s, n) = (shared as f64, n as f64);
                s / n * (n * s / (a as f64 * b as f64)).ln() * ways.exp()
            };
            let sum: f64 = ((a + b).saturating_sub(n).max(1)..=a.min(b)).map(term).sum();
            expected += sum * (a_times * b_times) as f64;
        }
    }
    expected
}
