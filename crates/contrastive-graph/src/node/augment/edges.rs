//! Views of a graph with fewer edges.

use super::error::{all, length, mirrors, not_negative, share};
use super::{AugmentError, scores};
use contrastive_kernels::sparse::Csr;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Who shares a draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EdgeDraw {
    /// Both directions of an edge stay or go together, so an undirected graph stays one.
    #[default]
    PerPair,
    /// Each stored entry by itself, as the released codes of GRACE, GCA and CSGCL do: the view is in general directed.
    PerEntry,
}

/// Drops edges with one probability.
///
/// # Errors
/// When `probability` is not in `0..=1`, or the graph is not undirected and draws are per pair.
pub fn drop_edges(
    graph: &Csr<f64>,
    probability: f64,
    draw: EdgeDraw,
    rng: &mut ChaCha8Rng,
) -> Result<Csr<f64>, AugmentError> {
    share("edge drop probability", probability)?;
    drop_edges_weighted(graph, &vec![probability; graph.nnz()], draw, rng)
}

/// Drops each entry with its own probability, in the order of [`Csr::indices`]. A pair that is drawn together goes with the
/// mean of the probabilities of its two entries.
///
/// # Errors
/// When there is not one probability in `0..=1` for each entry, or the graph is not undirected (its pattern not symmetric) and
/// draws are per pair.
pub fn drop_edges_weighted(
    graph: &Csr<f64>,
    probabilities: &[f64],
    draw: EdgeDraw,
    rng: &mut ChaCha8Rng,
) -> Result<Csr<f64>, AugmentError> {
    length("drop probabilities of entries", probabilities.len(), graph.nnz())?;
    all("edge drop probability", probabilities, "0 to 1", |p| (0.0..=1.0).contains(&p))?;
    let mut kept = vec![true; graph.nnz()];
    match draw {
        EdgeDraw::PerEntry => {
            kept.iter_mut().zip(probabilities).for_each(|(kept, &p)| *kept = rng.random::<f64>() >= p);
        }
        EdgeDraw::PerPair => {
            for (entry, &other) in mirrors(graph)?.iter().enumerate() {
                // The entry that comes first draws for both.
                kept[entry] = if other < entry {
                    kept[other]
                } else {
                    rng.random::<f64>() >= 0.5 * (probabilities[entry] + probabilities[other])
                };
            }
        }
    }
    Ok(filtered(graph, |entry, _| kept[entry]))
}

/// The entries for which `keep(entry, column)` holds.
pub(super) fn filtered(graph: &Csr<f64>, keep: impl Fn(usize, usize) -> bool) -> Csr<f64> {
    let mut indptr = vec![0];
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for row in 0..graph.rows() {
        for entry in graph.indptr()[row]..graph.indptr()[row + 1] {
            if keep(entry, graph.indices()[entry] as usize) {
                indices.push(graph.indices()[entry]);
                values.push(graph.values()[entry]);
            }
        }
        indptr.push(indices.len());
    }
    Csr::from_parts(graph.rows(), graph.cols(), indptr, indices, values).expect("a part of ascending rows ascends")
}

/// Which centrality stands for an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EdgeEnd {
    /// The mean of both ends (the paper, for undirected graphs).
    #[default]
    Mean,
    /// The receiving end, the row of the entry (the released code).
    Target,
}

/// Drop probabilities of the entries from the centralities of the nodes (GCA, Zhu et al., WWW 2021, section 3.2):
///
/// ```text
/// s_uv = log phi of the edge      w_uv = (s_max - s_uv) / (s_max - s_mean)      p_uv = min(w_uv / mean(w) p, cut)
/// ```
///
/// The most central edge is never dropped, and without a cut in force the mean is `probability`. Where all edges are equally
/// central, each gets `probability`. An edge of centrality 0 counts as the least central one above 0. `cut` is 0.7 in the
/// released code.
///
/// # Errors
/// When there is not one finite centrality of at least 0 for each node, or `probability` or `cut` is not in `0..=1`.
pub fn central_edge_probabilities(
    graph: &Csr<f64>,
    centrality: &[f64],
    end: EdgeEnd,
    probability: f64,
    cut: f64,
) -> Result<Vec<f64>, AugmentError> {
    length("centralities", centrality.len(), graph.rows().max(graph.cols()))?;
    not_negative("centrality", centrality)?;
    let mut score = Vec::with_capacity(graph.nnz());
    for row in 0..graph.rows() {
        score.extend(graph.row(row).0.iter().map(|&column| match end {
            EdgeEnd::Target => centrality[row],
            EdgeEnd::Mean => 0.5 * centrality[row] + 0.5 * centrality[column as usize],
        }));
    }
    scores::adaptive(&scores::logarithms(&score), probability, cut)
}
