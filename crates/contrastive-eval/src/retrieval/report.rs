//! Means over the queries.

use crate::error::EvalError;
use crate::scores::mean;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Means over the queries that have something to find. With `R` relevant candidates, at ranks `r_1 < ... < r_R` counted from 1:
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievalReport {
    /// Queries in the means.
    pub queries: usize,
    /// Queries left out because nothing is relevant to them.
    pub skipped: usize,
    /// Number of candidates.
    pub candidates: usize,
    cutoffs: Vec<usize>,
    recall: Vec<f64>,
    /// Mean average precision: the mean over j of `j / r_j`.
    pub map: f64,
    /// MAP@R (Musgrave et al. 2020): `sum of j / r_j over r_j <= R`, divided by `R`.
    pub map_at_r: f64,
    /// R-precision: the share of the first R that is relevant.
    pub r_precision: f64,
    /// Mean reciprocal rank: `1 / r_1`.
    pub mrr: f64,
    /// The median of `r_1`.
    pub median_rank: f64,
    /// The mean of `r_1`.
    pub mean_rank: f64,
}

impl RetrievalReport {
    /// From the ranks, counted from 0, of each query's relevant candidates.
    pub(super) fn new(ranks: &[Vec<u32>], candidates: usize, cutoffs: &[usize]) -> Result<Self, EvalError> {
        let some: Vec<&[u32]> = ranks.iter().map(Vec::as_slice).filter(|ranks| !ranks.is_empty()).collect();
        let over = |value: &dyn Fn(&[u32]) -> f64| mean(some.iter().map(|ranks| value(ranks)));
        let Some(map) = over(&|ranks| precisions(ranks) / ranks.len() as f64) else {
            return Err(EvalError::NothingRelevant);
        };
        let over = |value: &dyn Fn(&[u32]) -> f64| over(value).expect("some queries");
        let top = |ranks: &[u32]| ranks.partition_point(|&rank| (rank as usize) < ranks.len());
        let mut first: Vec<u32> = some.iter().map(|ranks| ranks[0] + 1).collect();
        first.sort_unstable();
        let (low, high) = (first[(first.len() - 1) / 2], first[first.len() / 2]);
        Ok(Self {
            queries: some.len(),
            skipped: ranks.len() - some.len(),
            candidates,
            cutoffs: cutoffs.to_vec(),
            recall: cutoffs.iter().map(|&k| over(&|ranks| f64::from((ranks[0] as usize) < k))).collect(),
            map,
            map_at_r: over(&|ranks| precisions(&ranks[..top(ranks)]) / ranks.len() as f64),
            r_precision: over(&|ranks| top(ranks) as f64 / ranks.len() as f64),
            mrr: over(&|ranks| 1.0 / f64::from(ranks[0] + 1)),
            median_rank: (f64::from(low) + f64::from(high)) / 2.0,
            mean_rank: over(&|ranks| f64::from(ranks[0] + 1)),
        })
    }

    /// The cutoffs of recall, ascending.
    pub fn cutoffs(&self) -> &[usize] {
        &self.cutoffs
    }

    /// Recall@K as retrieval papers use it: the share of the queries with a relevant candidate among the first K. Recall@1 is
    /// precision@1. None for a K that is not among the cutoffs.
    pub fn recall_at(&self, k: usize) -> Option<f64> {
        self.cutoffs.binary_search(&k).ok().map(|at| self.recall[at])
    }
}

/// Sum of the precisions at the ranks.
fn precisions(ranks: &[u32]) -> f64 {
    ranks.iter().enumerate().map(|(j, &rank)| (j + 1) as f64 / f64::from(rank + 1)).sum()
}

impl fmt::Display for RetrievalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, recall) in self.cutoffs.iter().zip(&self.recall) {
            writeln!(f, "{:12}{recall:8.4}", format!("R@{k}"))?;
        }
        for (name, value) in
            [("MAP", self.map), ("MAP@R", self.map_at_r), ("R-precision", self.r_precision), ("MRR", self.mrr)]
        {
            writeln!(f, "{name:12}{value:8.4}")?;
        }
        writeln!(f, "{:12}{:8.1}", "median rank", self.median_rank)?;
        write!(f, "{} queries, {} candidates", self.queries, self.candidates)?;
        if self.skipped > 0 {
            write!(f, "; {} queries with nothing to find left out", self.skipped)?;
        }
        Ok(())
    }
}

/// Retrieval in both directions between images and their captions, or any two sets of which the second belongs to the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BothWaysReport {
    /// Images as queries; the captions of an image are relevant to it.
    pub forward: RetrievalReport,
    /// Captions as queries; the image of a caption is relevant to it.
    pub backward: RetrievalReport,
}

impl BothWaysReport {
    /// The mean of all recalls of both directions ("mean recall").
    pub fn mean_recall(&self) -> f64 {
        mean(self.forward.recall.iter().chain(&self.backward.recall).copied()).expect("at least one cutoff")
    }
}

impl fmt::Display for BothWaysReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forward\n{}\nbackward\n{}", self.forward, self.backward)
    }
}
