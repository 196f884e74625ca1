//! Random views of a user-item graph (SGL, SIGIR 2021, section 3.1).
//!
//! A view is an [`Interactions`] with fewer pairs; its adjacency is re-normalised with the degrees that remain
//! ([`adjacency::joint`]). Nodes that lost every edge keep an empty row, hence only their own layer-0 embedding.
//! Everything is linear in the number of pairs and a function of the generator's state alone.

use contrastive_kernels::sparse::Csr;
use rand_chacha::ChaCha8Rng;

use super::data::{AdjacencyParts, DataError, Interactions, adjacency};
use crate::draw::{keep_exactly, share_of};

/// Which random views SGL draws at the start of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ViewKind {
    /// SGL-ED: [`edge_dropout`], one graph for all layers.
    #[default]
    EdgeDropout,
    /// SGL-ND: [`node_dropout`], one graph for all layers.
    NodeDropout,
    /// SGL-RW: an independent [`edge_dropout`] for every layer.
    RandomWalk,
}

impl ViewKind {
    /// Draws one view: the joint, re-normalised adjacency (users, then items) of every layer.
    ///
    /// The list has one entry when all layers share a graph, and `layers` entries for
    /// [`RandomWalk`](ViewKind::RandomWalk).
    ///
    /// # Errors
    /// [`DataError::Option`] when `ratio` is not in `0..1`.
    pub fn draw(
        self,
        interactions: &Interactions,
        ratio: f64,
        layers: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<AdjacencyParts>, DataError> {
        let graphs = match self {
            ViewKind::EdgeDropout => vec![edge_dropout(interactions, ratio, rng)?],
            ViewKind::NodeDropout => vec![node_dropout(interactions, ratio, rng)?],
            ViewKind::RandomWalk => random_walk(interactions, ratio, layers, rng)?,
        };
        Ok(graphs.iter().map(adjacency::joint).collect())
    }
}

fn checked(ratio: f64) -> Result<(), DataError> {
    if (0.0..1.0).contains(&ratio) {
        Ok(())
    } else {
        Err(DataError::Option { name: "drop ratio", value: ratio.to_string(), allowed: "0 to 1, 1 excluded" })
    }
}

/// Keeps exactly `floor(E (1 - ratio))` of the `E` pairs, uniformly without replacement.
///
/// # Errors
/// [`DataError::Option`] when `ratio` is not in `0..1`.
pub fn edge_dropout(interactions: &Interactions, ratio: f64, rng: &mut ChaCha8Rng) -> Result<Interactions, DataError> {
    checked(ratio)?;
    let pairs = interactions.len();
    Ok(interactions.filtered(&keep_exactly(rng, pairs, share_of(pairs, 1.0 - ratio))))
}

/// Drops exactly `floor(I ratio)` users and `floor(J ratio)` items with all their pairs.
///
/// # Errors
/// [`DataError::Option`] when `ratio` is not in `0..1`.
pub fn node_dropout(interactions: &Interactions, ratio: f64, rng: &mut ChaCha8Rng) -> Result<Interactions, DataError> {
    checked(ratio)?;
    let (users, items) = (interactions.num_users(), interactions.num_items());
    let lost_users = keep_exactly(rng, users, share_of(users, ratio));
    let lost_items = keep_exactly(rng, items, share_of(items, ratio));
    let kept: Vec<bool> =
        interactions.pairs().map(|(user, item)| !lost_users[user as usize] && !lost_items[item as usize]).collect();
    Ok(interactions.filtered(&kept))
}

/// An independent [`edge_dropout`] for every layer.
///
/// # Errors
/// [`DataError::Option`] when `ratio` is not in `0..1`.
pub fn random_walk(
    interactions: &Interactions,
    ratio: f64,
    layers: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Interactions>, DataError> {
    checked(ratio)?;
    (0..layers).map(|_| edge_dropout(interactions, ratio, rng)).collect()
}

/// Drops each entry of a matrix with probability `share` and scales the others by `1 / (1 - share)`: dropout on edges, the
/// two directions of an edge independently (LightGCL).
///
/// # Panics
/// When `share` is not in `0..1`.
pub fn entry_dropout(matrix: &Csr<f64>, share: f64, rng: &mut ChaCha8Rng) -> Csr<f64> {
    assert!((0.0..1.0).contains(&share), "edge dropout {share}: allowed is 0 to 1, 1 excluded");
    use rand::RngExt;
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in 0..matrix.rows() {
        let (columns, entries) = matrix.row(row);
        for (&column, &entry) in columns.iter().zip(entries) {
            if rng.random::<f64>() >= share {
                indices.push(column);
                values.push(entry / (1.0 - share));
            }
        }
        indptr.push(indices.len());
    }
    Csr::from_parts(matrix.rows(), matrix.cols(), indptr, indices, values).expect("a part of ascending rows ascends")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn graph() -> Interactions {
        Interactions::from_pairs(12, 9, (0..108).filter(|n| n % 7 < 4).map(|n| (n / 9, n % 9))).unwrap()
    }

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn edge_dropout_keeps_an_exact_number_of_the_edges() {
        let full = graph();
        let view = edge_dropout(&full, 0.3, &mut rng(1)).unwrap();
        assert_eq!(view.len(), (full.len() as f64 * 0.7).floor() as usize);
        assert!(view.pairs().all(|(user, item)| full.contains(user, item)));
        assert_eq!(view, edge_dropout(&full, 0.3, &mut rng(1)).unwrap());
        assert_ne!(view, edge_dropout(&full, 0.3, &mut rng(2)).unwrap());
    }

    #[test]
    fn node_dropout_empties_an_exact_number_of_nodes() {
        // Complete graph: a node loses all its edges only by being dropped.
        let full = Interactions::from_pairs(10, 20, (0..200).map(|n| (n / 20, n % 20))).unwrap();
        let view = node_dropout(&full, 0.25, &mut rng(1)).unwrap();
        let (users, items) = view.degrees();
        assert_eq!(users.iter().filter(|&&degree| degree == 0).count(), 2);
        assert_eq!(items.iter().filter(|&&degree| degree == 0).count(), 5);
        assert_eq!(view.len(), 8 * 15);
    }

    #[test]
    fn a_random_walk_view_has_a_graph_of_its_own_per_layer() {
        let views = ViewKind::RandomWalk.draw(&graph(), 0.3, 3, &mut rng(4)).unwrap();
        assert_eq!(views.len(), 3);
        assert!(views[0] != views[1] && views[1] != views[2] && views[0] != views[2]);
        assert_eq!(ViewKind::EdgeDropout.draw(&graph(), 0.3, 3, &mut rng(4)).unwrap().len(), 1);
    }

    #[test]
    fn a_ratio_of_zero_gives_the_main_graph() {
        for kind in [ViewKind::EdgeDropout, ViewKind::NodeDropout, ViewKind::RandomWalk] {
            for view in kind.draw(&graph(), 0.0, 2, &mut rng(5)).unwrap() {
                assert_eq!(view, adjacency::joint(&graph()));
            }
        }
    }

    #[test]
    fn views_are_renormalised_with_their_own_degrees() {
        let kept = edge_dropout(&graph(), 0.5, &mut rng(6)).unwrap();
        let view = ViewKind::EdgeDropout.draw(&graph(), 0.5, 1, &mut rng(6)).unwrap().remove(0);
        let (users, items) = kept.degrees();
        for user in 0..12 {
            let (columns, values) = view.row(user);
            assert_eq!(columns.len(), users[user] as usize);
            for (&column, &value) in columns.iter().zip(values) {
                let expected = 1.0 / (f64::from(users[user]) * f64::from(items[column as usize - 12])).sqrt();
                assert!((value - expected).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn ratios_outside_the_range_are_refused() {
        for ratio in [-0.1, 1.0, f64::NAN] {
            for kind in [ViewKind::EdgeDropout, ViewKind::NodeDropout, ViewKind::RandomWalk] {
                let message = kind.draw(&graph(), ratio, 1, &mut rng(0)).unwrap_err().to_string();
                assert!(message.starts_with("drop ratio = "), "{message}");
            }
        }
    }

    #[test]
    fn entry_dropout_keeps_the_expected_matrix() {
        let parts = adjacency::joint(&graph());
        let full = Csr::from_parts(parts.rows, parts.cols, parts.indptr, parts.indices, parts.values).unwrap();
        let mut generator = rng(7);
        let rounds = 4_000;
        let mut sums = vec![0.0; full.rows() * full.cols()];
        for _ in 0..rounds {
            let dropped = entry_dropout(&full, 0.25, &mut generator);
            for row in 0..dropped.rows() {
                let (columns, values) = dropped.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    sums[row * full.cols() + column as usize] += value;
                }
            }
        }
        for row in 0..full.rows() {
            let (columns, values) = full.row(row);
            let total: f64 = sums[row * full.cols()..][..full.cols()].iter().sum();
            let mut found = 0.0;
            for (&column, &value) in columns.iter().zip(values) {
                let sum = sums[row * full.cols() + column as usize];
                // The mean of kept / 0.75 is 1, its standard deviation over the rounds sqrt(1/3 / rounds) = 0.0091.
                assert!((sum / (f64::from(rounds) * value) - 1.0).abs() < 6.0 * 0.0092, "entry {row}, {column}");
                found += sum;
            }
            assert!((total - found).abs() < 1e-9, "row {row} has entries that the matrix lacks");
        }
        assert_eq!(entry_dropout(&full, 0.0, &mut generator).nnz(), full.nnz());
    }
}
