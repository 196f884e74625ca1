//! Edges that are held back, and pairs without an edge.

use super::check_pairs;
use crate::error::{EvalError, check_enough, check_setting};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// The edges of a graph in three parts, and for the held-back parts as many pairs without an edge.
///
/// Parts are drawn uniformly. No pair without an edge is an edge of any part, and none is drawn twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeSplit {
    /// Edges to train on.
    pub train: Vec<(u32, u32)>,
    /// Edges to choose settings by.
    pub validation: Vec<(u32, u32)>,
    /// Edges to be predicted.
    pub test: Vec<(u32, u32)>,
    /// As many pairs without an edge as `validation` has edges.
    pub validation_negatives: Vec<(u32, u32)>,
    /// As many pairs without an edge as `test` has edges.
    pub test_negatives: Vec<(u32, u32)>,
    /// Edges that were in the list more than once (in either direction, if undirected), and are used once.
    pub duplicates: usize,
    /// Edges from a node to itself, which are left out.
    pub self_loops: usize,
}

impl EdgeSplit {
    /// Splits undirected edges, given once or in both directions; in the parts the smaller node of an edge comes first.
    ///
    /// `validation` and `test` are shares of the different edges, rounded down, at least 0 and together below 1.
    ///
    /// # Errors
    /// [`EvalError::Setting`] for the shares; [`EvalError::Empty`] when no edge is left; [`EvalError::RowOutOfRange`];
    /// [`EvalError::TooFew`] when the graph has not enough pairs without an edge.
    pub fn undirected(
        nodes: usize,
        edges: &[(u32, u32)],
        validation: f64,
        test: f64,
        seed: u64,
    ) -> Result<Self, EvalError> {
        Self::new(nodes, edges, [validation, test], false, seed)
    }

    /// Splits directed edges: `(a, b)` and `(b, a)` are two.
    ///
    /// # Errors
    /// As [`EdgeSplit::undirected`].
    pub fn directed(
        nodes: usize,
        edges: &[(u32, u32)],
        validation: f64,
        test: f64,
        seed: u64,
    ) -> Result<Self, EvalError> {
        Self::new(nodes, edges, [validation, test], true, seed)
    }

    fn new(nodes: usize, edges: &[(u32, u32)], shares: [f64; 2], directed: bool, seed: u64) -> Result<Self, EvalError> {
        for (name, share) in ["validation", "test"].into_iter().zip(shares) {
            check_setting(name, share, (0.0..1.0).contains(&share), "in 0..1")?;
        }
        let both = shares[0] + shares[1];
        check_setting("validation + test", both, both < 1.0, "below 1")?;
        let (mut different, self_loops) = different_edges(nodes, edges, directed)?;
        if different.is_empty() {
            return Err(EvalError::Empty { what: "edges" });
        }
        let duplicates = edges.len() - self_loops - different.len();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let [validation, test] = shares.map(|share| (share * different.len() as f64) as usize);
        let mut negatives = negatives(nodes, &different, validation + test, directed, &mut rng)?;
        different.shuffle(&mut rng);
        let mut test_edges = different.split_off(different.len() - test);
        let mut validation_edges = different.split_off(different.len() - validation);
        let test_negatives = negatives.split_off(validation);
        for part in [&mut different, &mut validation_edges, &mut test_edges] {
            part.sort_unstable();
        }
        Ok(Self {
            train: different,
            validation: validation_edges,
            test: test_edges,
            validation_negatives: negatives,
            test_negatives,
            duplicates,
            self_loops,
        })
    }
}

/// Draws `count` different pairs of different nodes that are not among the edges, uniformly.
///
/// # Errors
/// [`EvalError::TooFew`] when there are fewer, [`EvalError::RowOutOfRange`].
pub fn sample_negatives(
    nodes: usize,
    edges: &[(u32, u32)],
    count: usize,
    directed: bool,
    seed: u64,
) -> Result<Vec<(u32, u32)>, EvalError> {
    let (different, _) = different_edges(nodes, edges, directed)?;
    negatives(nodes, &different, count, directed, &mut ChaCha8Rng::seed_from_u64(seed))
}

/// The different edges, sorted, without self-loops; and how many of these there were.
fn different_edges(nodes: usize, edges: &[(u32, u32)], directed: bool) -> Result<(Vec<(u32, u32)>, usize), EvalError> {
    check_pairs(nodes, "edges", edges)?;
    let order = |&(a, b): &(u32, u32)| if directed || a < b { (a, b) } else { (b, a) };
    let mut different: Vec<(u32, u32)> = edges.iter().filter(|(a, b)| a != b).map(order).collect();
    let self_loops = edges.len() - different.len();
    different.sort_unstable();
    different.dedup();
    Ok((different, self_loops))
}

fn negatives(
    nodes: usize,
    edges: &[(u32, u32)],
    count: usize,
    directed: bool,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<(u32, u32)>, EvalError> {
    let pairs = nodes * nodes.saturating_sub(1) / if directed { 1 } else { 2 };
    check_enough("pairs without an edge", count, pairs - edges.len())?;
    // Where edges and draws fill much of all pairs, drawing would hit them again and again: list what is free, which is then
    // no longer than a few times that.
    if 2 * (edges.len() + count) > pairs {
        let all = (0..nodes as u32).flat_map(|a| (if directed { 0 } else { a + 1 }..nodes as u32).map(move |b| (a, b)));
        let mut free: Vec<(u32, u32)> =
            all.filter(|pair| pair.0 != pair.1 && edges.binary_search(pair).is_err()).collect();
        return Ok(free.partial_shuffle(rng, count).0.to_vec());
    }
    let (mut drawn, mut taken) = (Vec::with_capacity(count), HashSet::with_capacity(count));
    while drawn.len() < count {
        let (a, b) = (rng.random_range(0..nodes as u32), rng.random_range(0..nodes as u32));
        let pair = if directed || a < b { (a, b) } else { (b, a) };
        if a != b && edges.binary_search(&pair).is_err() && taken.insert(pair) {
            drawn.push(pair);
        }
    }
    Ok(drawn)
}
