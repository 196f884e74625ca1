//! Parts of a graph around some of its nodes.

use super::AugmentError;
use super::error::{share, square};
use crate::draw::below;
use contrastive_kernels::sparse::Csr;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

/// Some nodes of a graph and the edges among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Subgraph {
    /// Which nodes, ascending: node `k` of the subgraph is node `nodes[k]` of the graph.
    pub nodes: Vec<u32>,
    /// The adjacency among them, in the new numbers, with the weights it had.
    pub graph: Csr<f64>,
}

fn check(graph: &Csr<f64>, nodes: &[u32]) -> Result<(), AugmentError> {
    square(graph)?;
    match nodes.iter().find(|&&node| node as usize >= graph.rows()) {
        None => Ok(()),
        Some(&node) => Err(AugmentError::NoSuchNode { node, nodes: graph.rows() }),
    }
}

/// The subgraph of these nodes, in any order and with repetition, and all edges among them.
///
/// # Errors
/// When a node is not there, or the matrix is not square.
pub fn induced_subgraph(graph: &Csr<f64>, nodes: &[u32]) -> Result<Subgraph, AugmentError> {
    check(graph, nodes)?;
    let mut nodes = nodes.to_vec();
    nodes.sort_unstable();
    nodes.dedup();
    let mut number = vec![u32::MAX; graph.rows()];
    nodes.iter().zip(0..).for_each(|(&node, new)| number[node as usize] = new);
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for &node in &nodes {
        let (columns, weights) = graph.row(node as usize);
        for (&column, &weight) in columns.iter().zip(weights) {
            if number[column as usize] != u32::MAX {
                indices.push(number[column as usize]);
                values.push(weight);
            }
        }
        indptr.push(indices.len());
    }
    let part = Csr::from_parts(nodes.len(), nodes.len(), indptr, indices, values);
    Ok(Subgraph { graph: part.expect("numbers in the order of the nodes ascend"), nodes })
}

/// The nodes of a random walk from `start`, `start` included: at each of `steps` steps to a neighbour, all being equally
/// likely, or, with probability `restart`, back to the start. A node without neighbours sends it back, too.
///
/// # Errors
/// When the start is not there, the matrix is not square, or `restart` is not in `0..=1`.
pub fn random_walk_nodes(
    graph: &Csr<f64>,
    start: u32,
    steps: usize,
    restart: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<u32>, AugmentError> {
    check(graph, &[start])?;
    share("restart probability", restart)?;
    let mut walk = vec![start];
    for step in 0..steps {
        let neighbours = graph.row(walk[step] as usize).0;
        let back = neighbours.is_empty() || (restart > 0.0 && rng.random::<f64>() < restart);
        walk.push(if back { start } else { neighbours[rng.random_range(0..neighbours.len())] });
    }
    Ok(walk)
}

/// The subgraph of the nodes that [random walks](random_walk_nodes) from each of the `roots` meet (the sampler of
/// GraphSAINT, Zeng et al., ICLR 2020; with restarts that of GCC, Qiu et al., KDD 2020).
///
/// # Errors
/// As [`random_walk_nodes`].
pub fn random_walk_subgraph(
    graph: &Csr<f64>,
    roots: &[u32],
    steps: usize,
    restart: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Subgraph, AugmentError> {
    let mut nodes = Vec::with_capacity(roots.len() * (steps + 1));
    for &root in roots {
        nodes.extend(random_walk_nodes(graph, root, steps, restart, rng)?);
    }
    induced_subgraph(graph, &nodes)
}

/// Random walks of many nodes, in one flat array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walks {
    /// Steps of a walk; it has one node more.
    pub steps: usize,
    /// Walks of each start.
    pub per_start: usize,
    /// The nodes of all walks: those of the first start first.
    pub nodes: Vec<u32>,
}

impl Walks {
    /// The walks of a start, by its place in the list of starts; the start itself first in each.
    ///
    /// # Panics
    /// When there is no such start.
    pub fn of(&self, start: usize) -> impl ExactSizeIterator<Item = &[u32]> {
        let length = self.steps + 1;
        let own = self.per_start * length;
        self.nodes[start * own..(start + 1) * own].chunks_exact(length)
    }
}

/// `per_start` walks of `steps` steps from each of the starts, to a uniformly drawn neighbour at every step, in parallel. Each node has a stream of
/// random numbers of its own (of `seed`, by the node's number), so that neither the number of threads nor the other starts change its
/// walks. A walk that comes to a node without neighbours stays there.
///
/// # Errors
/// When a start is not there, or the matrix is not square.
pub fn random_walks(
    graph: &Csr<f64>,
    starts: &[u32],
    per_start: usize,
    steps: usize,
    seed: u64,
) -> Result<Walks, AugmentError> {
    check(graph, starts)?;
    let length = steps + 1;
    let mut nodes = vec![0; starts.len() * per_start * length];
    let own = (per_start * length).max(1);
    nodes.par_chunks_mut(own).zip(starts).for_each(|(walks, &start)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(start.into());
        for walk in walks.chunks_exact_mut(length) {
            let mut at = start;
            walk[0] = at;
            for place in &mut walk[1..] {
                let neighbours = graph.row(at as usize).0;
                if !neighbours.is_empty() {
                    at = neighbours[below(&mut rng, neighbours.len() as u32) as usize];
                }
                *place = at;
            }
        }
    });
    Ok(Walks { steps, per_start, nodes })
}
