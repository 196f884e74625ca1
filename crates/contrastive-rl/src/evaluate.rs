//! What features are worth for control: the state from few labels, and a tabular agent on their clusters.

use crate::error::{RlError, setting};
use crate::world::grid::{CELLS, ExoGrid, MOVES};
use contrastive_core::cluster::{KMeans, k_means_array};
use contrastive_eval::Similarity;
use contrastive_eval::neighbours::Knn;
use ndarray::{Array2, ArrayView2};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of `queries` whose state is that of the nearest (Euclidean) of the labelled rows.
///
/// # Errors
/// When sizes do not fit, there are no rows, or a value is not finite.
pub fn probe(
    bank: ArrayView2<'_, f32>,
    bank_states: &[u32],
    queries: ArrayView2<'_, f32>,
    query_states: &[u32],
) -> Result<f64, RlError> {
    let classes = bank_states.iter().chain(query_states).max().map_or(1, |s| *s as usize + 1);
    let knn = Knn::new(1).with_similarity(Similarity::Euclidean).with_equal_votes();
    let votes = knn.classify(queries, bank, bank_states, classes)?;
    Ok(votes.score(query_states)?.accuracy())
}

/// Settings of [`q_learning`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QLearning {
    /// Clusters of the features: the states of the table.
    pub clusters: usize,
    /// Training episodes.
    pub episodes: usize,
    /// Most moves of an episode.
    pub moves: usize,
    /// Step of the values towards their targets.
    pub rate: f64,
    /// Discount.
    pub discount: f64,
    /// Probability of a random move.
    pub epsilon: f64,
    /// Episodes of the test.
    pub tests: usize,
}

impl Default for QLearning {
    fn default() -> Self {
        Self { clusters: 60, episodes: 400, moves: 20, rate: 0.3, discount: 0.95, epsilon: 0.05, tests: 100 }
    }
}

/// Success of a tabular agent that goes from one corner of the grid to the opposite one and sees only the cluster of its features:
/// k-means on features of recorded frames, Q-learning from optimistic values of 1, then the share of test episodes that reach the
/// corner, with the same epsilon. `embed` turns observations `[n, width]` into features.
///
/// # Errors
/// When there are fewer rows than clusters, or a feature is not finite.
pub fn q_learning(
    world: &ExoGrid,
    features: ArrayView2<'_, f32>,
    embed: impl Fn(ArrayView2<'_, f32>) -> Array2<f32>,
    settings: &QLearning,
    seed: u64,
) -> Result<f64, RlError> {
    let clusters = settings.clusters;
    setting(
        "q-learning",
        "clusters",
        clusters,
        clusters > 0 && clusters <= features.nrows(),
        "1 to the number of rows",
    )?;
    let found = k_means_array(features, &KMeans::new(clusters, seed));
    let centroids = found.map_err(|error| RlError::Data(error.to_string()))?.centroids;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(4);
    let mut values = Array2::<f64>::from_elem((clusters, MOVES), 1.0);
    let mut reached = 0;
    for episode in 0..settings.episodes + settings.tests {
        let learns = episode < settings.episodes;
        let mut state = world.begin(0, &mut rng);
        let look = |state: &_, rng: &mut ChaCha8Rng| {
            let frame = world.observe(state, rng);
            let frame = ArrayView2::from_shape((1, frame.len()), &frame).expect("one row").to_owned();
            nearest(embed(frame.view()).row(0).iter().copied(), centroids.view())
        };
        let mut seen = look(&state, &mut rng);
        for _ in 0..settings.moves {
            let action = match rng.random_bool(settings.epsilon) {
                true => rng.random_range(0..MOVES),
                false => best(values.row(seen).as_slice().expect("a row"), &mut rng),
            };
            world.step(&mut state, action, &mut rng);
            let done = state.cell == CELLS - 1;
            let next = look(&state, &mut rng);
            if learns {
                let after = if done { 1.0 } else { settings.discount * maximum(values.row(next).iter().copied()) };
                values[[seen, action]] += settings.rate * (after - values[[seen, action]]);
            }
            seen = next;
            if done {
                reached += usize::from(!learns);
                break;
            }
        }
    }
    Ok(reached as f64 / settings.tests.max(1) as f64)
}

/// `labelled` random rows and `tests` others, drawn from a seed: rows of the bank, rows of the queries.
///
/// # Panics
/// When there are not so many rows.
pub fn split(rows: usize, labelled: usize, tests: usize, seed: u64) -> [Vec<usize>; 2] {
    assert!(labelled + tests <= rows, "{labelled} labelled rows and {tests} tests out of {rows}");
    let mut order: Vec<usize> = (0..rows).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(5);
    order.shuffle(&mut rng);
    [order[..labelled].to_vec(), order[labelled..labelled + tests].to_vec()]
}

fn maximum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NEG_INFINITY, f64::max)
}

/// The largest value's place; one of them where several are equal.
fn best(values: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let largest = maximum(values.iter().copied());
    let equal: Vec<usize> = (0..values.len()).filter(|at| values[*at] == largest).collect();
    equal[rng.random_range(0..equal.len())]
}

fn nearest(row: impl Iterator<Item = f32> + Clone, centroids: ArrayView2<'_, f32>) -> usize {
    let distance = |c: usize| row.clone().zip(centroids.row(c)).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
    (0..centroids.nrows()).map(|c| (distance(c), c)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, c)| c)
}
