//! Communities, how strong they are, and the views that follow them (CSGCL, Chen et al., IJCAI 2023).
//!
//! A [`Partition`] comes from [`leiden`], [`louvain`] or any other detector; [`community_strength`] is each community's own
//! term of the modularity. Edges between communities, or inside weak ones, are dropped first
//! ([`community_edge_probabilities`], CED), and so are the features that weak communities vote for
//! ([`community_feature_probabilities`], CAV).

mod detect;

pub use detect::{DetectOptions, leiden, louvain};

use super::error::{all, length, share, undirected};
use super::features::FeatureView;
use super::{AugmentError, scores};
use contrastive_kernels::Real;
use contrastive_kernels::sparse::Csr;

/// Which community each node belongs to; communities are numbered in the order in which they first occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    labels: Vec<u32>,
    count: usize,
}

impl Partition {
    /// A partition from any labels, equal ones being one community.
    pub fn from_labels(labels: &[u32]) -> Self {
        let mut numbers = std::collections::HashMap::new();
        let mut number = |label| {
            let next = numbers.len() as u32;
            *numbers.entry(label).or_insert(next)
        };
        let labels: Vec<u32> = labels.iter().map(|&label| number(label)).collect();
        Self { labels, count: numbers.len() }
    }

    /// The community of each node.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of communities.
    pub fn count(&self) -> usize {
        self.count
    }

    fn of(&self, node: usize) -> usize {
        self.labels[node] as usize
    }

    fn covers(&self, nodes: usize) -> Result<(), AugmentError> {
        length("community labels", self.labels.len(), nodes)
    }
}

/// The strength of each community: its term of the modularity, with `L` edges, `I_c` of them inside c, and `D_c` the sum of
/// the degrees in c.
///
/// ```text
/// S_c = I_c / L - (D_c / (2 L))^2                sum over c of S_c = modularity
/// ```
///
/// Edges count with their weights; a self loop counts once as an edge and twice in the degree.
///
/// # Errors
/// When the graph is directed, has no edges or a negative weight, or the partition does not cover its nodes.
pub fn community_strength(graph: &Csr<f64>, partition: &Partition) -> Result<Vec<f64>, AugmentError> {
    strengths(graph, partition, 1.0)
}

/// The modularity of a partition: the sum of `I_c / L - resolution (D_c / (2 L))^2`.
///
/// # Errors
/// As [`community_strength`].
pub fn modularity(graph: &Csr<f64>, partition: &Partition, resolution: f64) -> Result<f64, AugmentError> {
    Ok(strengths(graph, partition, resolution)?.iter().sum())
}

fn strengths(graph: &Csr<f64>, partition: &Partition, resolution: f64) -> Result<Vec<f64>, AugmentError> {
    undirected(graph)?;
    partition.covers(graph.rows())?;
    let (mut inside, mut degrees) = (vec![0.0; partition.count], vec![0.0; partition.count]);
    for node in 0..graph.rows() {
        let community = partition.of(node);
        let (columns, weights) = graph.row(node);
        for (&other, &weight) in columns.iter().zip(weights) {
            // An edge is stored twice, a self loop once.
            let weight = if other as usize == node { 2.0 * weight } else { weight };
            degrees[community] += weight;
            if partition.of(other as usize) == community {
                inside[community] += weight;
            }
        }
    }
    let twice: f64 = degrees.iter().sum();
    Ok(inside.iter().zip(&degrees).map(|(i, d)| i / twice - resolution * (d / twice).powi(2)).collect())
}

/// The strength of each node's community.
///
/// # Errors
/// When there is not one finite strength for each community.
pub fn node_strength(partition: &Partition, strength: &[f64]) -> Result<Vec<f64>, AugmentError> {
    length("community strengths", strength.len(), partition.count)?;
    all("community strength", strength, "a finite number", f64::is_finite)?;
    Ok((0..partition.labels.len()).map(|node| strength[partition.of(node)]).collect())
}

/// Community-strength-guided edge dropping (CED): the drop probability of each entry, `1 - k_uv`.
///
/// ```text
/// w_uv = S_c(u) inside a community, -(S_c(u) + S_c(v)) between two; scaled to 0..1 over all entries
/// k_uv = clip(w_uv / mean(w) (1 - probability), 1 - threshold, 1)
/// ```
///
/// The weakest kind of edge is kept with probability `1 - threshold`, which is 0 at the published threshold of 1; the mean is
/// `probability` where no clip is in force. Where all `w` are equal, each entry is dropped with `probability`.
///
/// # Errors
/// When the partition does not cover the nodes, there is not one strength for each community, or a share is not in `0..=1`.
pub fn community_edge_probabilities(
    graph: &Csr<f64>,
    partition: &Partition,
    strength: &[f64],
    probability: f64,
    threshold: f64,
) -> Result<Vec<f64>, AugmentError> {
    super::error::square(graph)?;
    partition.covers(graph.rows())?;
    let node = node_strength(partition, strength)?;
    share("edge drop probability", probability)?;
    share("threshold of edge drop probabilities", threshold)?;
    let mut weights = Vec::with_capacity(graph.nnz());
    for u in 0..graph.rows() {
        weights.extend(graph.row(u).0.iter().map(|&v| match partition.labels[u] == partition.labels[v as usize] {
            true => node[u],
            false => -(node[u] + node[v as usize]),
        }));
    }
    let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest - least <= 1e-12 * largest.abs().max(least.abs()) {
        return Ok(vec![probability; weights.len()]);
    }
    weights.iter_mut().for_each(|weight| *weight = (*weight - least) / (largest - least));
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    let keep = |weight: f64| (weight / mean * (1.0 - probability)).clamp(1.0 - threshold, 1.0);
    Ok(weights.into_iter().map(|weight| 1.0 - keep(weight)).collect())
}

/// Community-strength-guided attribute masking (CAV): the drop probability of each feature column.
///
/// ```text
/// r_f = sum_i |x_if| S_c(i)      a_f = log r_f      w_f = (a_max - a_f) / (a_max - a_min)
/// p_f = clip(w_f / mean(w) probability, 0, threshold)
/// ```
///
/// A column with `r_f = 0` counts as the strongest one (released code). A column with `r_f < 0`, voted for by communities of
/// negative strength, has no logarithm; it counts as the weakest one. Where all are equal, or none is above 0, each gets
/// `probability`.
///
/// # Errors
/// When the partition does not cover the nodes, there is not one strength for each community, or a share is not in `0..=1`.
pub fn community_feature_probabilities<T: Real>(
    features: FeatureView<'_, T>,
    partition: &Partition,
    strength: &[f64],
    probability: f64,
    threshold: f64,
) -> Result<Vec<f64>, AugmentError> {
    partition.covers(features.shape()[0])?;
    let (votes, _) = features.column_sums(&node_strength(partition, strength)?, f64::abs);
    share("feature drop probability", probability)?;
    share("threshold of feature drop probabilities", threshold)?;
    let logarithms: Vec<f64> = votes.iter().filter(|&&vote| vote > 0.0).map(|vote| vote.ln()).collect();
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = logarithms.iter().copied().fold(f64::INFINITY, f64::min);
    let distance = votes.iter().map(|&vote| match vote {
        _ if logarithms.is_empty() || vote == 0.0 => 0.0,
        _ if vote < 0.0 => largest - least,
        _ => largest - vote.ln(),
    });
    Ok(scores::scaled(&distance.collect::<Vec<_>>(), probability, threshold))
}

/// The weight gamma of the communities in the contrast at an epoch, counted from 1 ("team-up"):
/// `min(max(0, (epoch - start) / 100), largest)`, as in the released code.
///
/// # Errors
/// When `largest` is not a finite number of at least 0.
pub fn team_up_ramp(epoch: usize, start: usize, largest: f64) -> Result<f64, AugmentError> {
    super::error::not_negative("largest gamma", &[largest])?;
    Ok((epoch.saturating_sub(start) as f64 / 100.0).min(largest))
}
