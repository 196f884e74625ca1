//! How many rows each pair of label and cluster shares.

use crate::error::{EvalError, check_length};

/// Sizes of the classes, of the clusters, and of their intersections that are not empty; ids replaced by their rank.
pub(super) struct Contingency {
    pub rows: usize,
    pub classes: Vec<Part>,
    pub clusters: Vec<Part>,
    /// (class, cluster, rows), sorted.
    pub shared: Vec<(usize, usize, usize)>,
}

/// A class or a cluster.
pub(super) struct Part {
    pub id: u32,
    pub size: usize,
}

impl Contingency {
    pub fn new(labels: &[u32], clusters: &[u32]) -> Result<Self, EvalError> {
        check_length("clusters", clusters.len(), "labels", labels.len())?;
        if labels.is_empty() {
            return Err(EvalError::Empty { what: "labels" });
        }
        let (of_class, classes) = compact(labels);
        let (of_cluster, clusters) = compact(clusters);
        let mut pairs: Vec<(usize, usize)> = of_class.into_iter().zip(of_cluster).collect();
        pairs.sort_unstable();
        let shared = pairs.chunk_by(|a, b| a == b).map(|run| (run[0].0, run[0].1, run.len())).collect();
        Ok(Self { rows: labels.len(), classes, clusters, shared })
    }

    /// The intersections by class, or by cluster.
    pub fn lists(&self, by_class: bool) -> Vec<Vec<(usize, usize)>> {
        let mut lists = vec![Vec::new(); if by_class { self.classes.len() } else { self.clusters.len() }];
        for &(class, cluster, rows) in &self.shared {
            let (row, column) = if by_class { (class, cluster) } else { (cluster, class) };
            lists[row].push((column, rows));
        }
        lists
    }
}

/// Every id's rank among the different ids, and these with their sizes.
pub(super) fn compact(ids: &[u32]) -> (Vec<usize>, Vec<Part>) {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let parts: Vec<Part> = sorted.chunk_by(|a, b| a == b).map(|run| Part { id: run[0], size: run.len() }).collect();
    let rank = |id: &u32| parts.binary_search_by_key(id, |part| part.id).expect("an id of the list");
    (ids.iter().map(rank).collect(), parts)
}
