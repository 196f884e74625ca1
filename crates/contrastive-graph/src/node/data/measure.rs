//! How central a node is, and what hangs together.

use rayon::prelude::*;

use super::clean::Rows;
use super::error::GraphError;
use super::graph::Graph;

/// Settings of [`Graph::pagerank`].
#[derive(Clone, Debug, PartialEq)]
pub struct PageRankOptions {
    /// Probability of following an edge, 0 to 1, 1 excluded. Default 0.85.
    pub damping: f64,
    /// Default 200.
    pub max_iterations: usize,
    /// The largest change per node, on average, that counts as settled; above 0. Default 1e-10.
    pub tolerance: f64,
    /// Where walks restart: a weight from 0 up for each node, not all 0. Default `None`: anywhere alike.
    pub restart: Option<Vec<f64>>,
}

impl Default for PageRankOptions {
    fn default() -> Self {
        Self { damping: 0.85, max_iterations: 200, tolerance: 1e-10, restart: None }
    }
}

/// The connected parts of a graph, directions ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// The component of each node; components are numbered by their least node.
    pub of_node: Vec<u32>,
    /// Number of nodes in each component.
    pub sizes: Vec<usize>,
}

impl Components {
    /// The nodes of the largest component, the first of equal ones.
    pub fn largest(&self) -> Vec<u32> {
        let largest = (0..self.sizes.len()).rev().max_by_key(|&component| self.sizes[component]).unwrap_or(0) as u32;
        (0..self.of_node.len() as u32).filter(|&node| self.of_node[node as usize] == largest).collect()
    }
}

fn option(name: &'static str, value: impl ToString, allowed: &'static str) -> GraphError {
    GraphError::Option { name, value: value.to_string(), allowed }
}

/// Sums of the weights of each row.
fn row_sums(rows: &Rows) -> Vec<f64> {
    (0..rows.indptr.len() - 1).map(|node| rows.row(node).map(|at| rows.weight(at)).sum()).collect()
}

/// One product: for every node, the sum over a row of weight times value. Each output is summed by one thread.
fn gathered(rows: &Rows, values: &[f64]) -> Vec<f64> {
    let one = |node: usize| rows.row(node).map(|at| rows.weight(at) * values[rows.indices[at] as usize]).sum();
    (0..values.len()).into_par_iter().with_min_len(1024).map(one).collect()
}

impl Graph {
    /// Rows of the edges that reach each node.
    fn incoming(&self) -> std::borrow::Cow<'_, Rows> {
        use std::borrow::Cow;
        if self.is_directed() { Cow::Owned(self.rows.transposed()) } else { Cow::Borrowed(&self.rows) }
    }

    /// The sum of the weights of the edges that leave each node: its degree, where no edge has a weight. A self-loop counts
    /// once.
    pub fn degrees(&self) -> Vec<f64> {
        row_sums(&self.rows)
    }

    /// The sum of the weights of the edges that reach each node.
    pub fn in_degrees(&self) -> Vec<f64> {
        row_sums(&self.incoming())
    }

    /// PageRank (Brin, Page 1998): the share of time that a walk spends at each node, which follows an edge (with
    /// probability proportional to its weight) with probability `damping`, and otherwise, or where no edge leads on,
    /// restarts. The shares sum to 1.
    ///
    /// # Errors
    /// [`GraphError::Option`] for settings out of range, [`GraphError::NotConverged`].
    pub fn pagerank(&self, options: &PageRankOptions) -> Result<Vec<f64>, GraphError> {
        let nodes = self.num_nodes();
        check_damping(options.damping)?;
        check_iteration(options.max_iterations, options.tolerance)?;
        let uniform = vec![1.0; nodes];
        let restart = options.restart.as_ref().unwrap_or(&uniform);
        if restart.len() != nodes {
            return Err(GraphError::RowCount { what: "restart weights", found: restart.len(), nodes });
        }
        let total: f64 = restart.iter().sum();
        if !(restart.iter().all(|&weight| weight >= 0.0) && total > 0.0 && total.is_finite()) {
            return Err(option("restart", format!("weights of sum {total}"), "weights from 0 up, not all 0"));
        }
        let restart: Vec<f64> = restart.iter().map(|weight| weight / total).collect();
        let (degrees, incoming) = (self.degrees(), self.incoming());
        let step = |rank: &[f64]| {
            let moved = gathered(&incoming, &passed_on(rank, &degrees));
            let kept: f64 = moved.iter().sum();
            // what does not move on restarts, whatever the reason: the shares keep their sum
            let again = 1.0 - options.damping * kept;
            moved.iter().zip(&restart).map(|(moved, restart)| options.damping * moved + again * restart).collect()
        };
        iterate("PageRank", restart.clone(), options.max_iterations, options.tolerance * nodes as f64, step)
    }

    /// The score that GCA (Zhu et al. 2021) calls PageRank: `iterations` steps of `x <- (1 - damping) x + damping P^T x`
    /// from all ones, where P follows edges and what reaches a node without one is lost. It sums to the number of nodes at
    /// most, and is a lazy walk rather than one that restarts; GCA takes damping 0.85, and 200 iterations for edges, 10 for
    /// features.
    ///
    /// # Errors
    /// [`GraphError::Option`] for a damping out of range.
    pub fn lazy_pagerank(&self, damping: f64, iterations: usize) -> Result<Vec<f64>, GraphError> {
        check_damping(damping)?;
        let (degrees, incoming) = (self.degrees(), self.incoming());
        let mut score = vec![1.0; self.num_nodes()];
        for _ in 0..iterations {
            let moved = gathered(&incoming, &passed_on(&score, &degrees));
            score.iter_mut().zip(moved).for_each(|(score, moved)| *score = (1.0 - damping) * *score + damping * moved);
        }
        Ok(score)
    }

    /// Eigenvector centrality: the non-negative `x` of length 1 with `A x = lambda x` for the greatest lambda, where a node
    /// gets from the edges that reach it. Power iteration with `A + I`, which has the same vectors and does not oscillate on
    /// bipartite graphs. Of several components only those with the greatest lambda score; without any edge all score alike.
    ///
    /// # Errors
    /// [`GraphError::Option`], and [`GraphError::NotConverged`] when an iteration still changes the average node by more than
    /// `tolerance` at the end: the second eigenvalue is close to the first (long chains, nearly equal components), or a
    /// directed graph has no cycle.
    pub fn eigenvector_centrality(&self, max_iterations: usize, tolerance: f64) -> Result<Vec<f64>, GraphError> {
        check_iteration(max_iterations, tolerance)?;
        let (nodes, incoming) = (self.num_nodes(), self.incoming());
        // the identity at the scale of the weights
        let total: f64 = (0..incoming.indices.len()).map(|at| incoming.weight(at)).sum();
        let shift = if total > 0.0 { total / incoming.indices.len() as f64 } else { 1.0 };
        let step = |score: &[f64]| {
            let mut next = gathered(&incoming, score);
            next.iter_mut().zip(score).for_each(|(next, score)| *next += shift * score);
            let length = next.iter().map(|value| value * value).sum::<f64>().sqrt();
            next.iter_mut().for_each(|value| *value /= length);
            next
        };
        let start = vec![1.0 / (nodes as f64).sqrt(); nodes];
        iterate("eigenvector centrality", start, max_iterations, tolerance * nodes as f64, step)
    }

    /// The connected components, directions ignored.
    pub fn components(&self) -> Components {
        let nodes = self.num_nodes();
        let mut parent: Vec<u32> = (0..nodes as u32).collect();
        let root = |parent: &mut Vec<u32>, mut node: u32| {
            while parent[node as usize] != node {
                let above = parent[parent[node as usize] as usize];
                parent[node as usize] = above;
                node = above;
            }
            node
        };
        for node in 0..nodes as u32 {
            for &to in self.neighbours(node) {
                let (a, b) = (root(&mut parent, node), root(&mut parent, to));
                // the lesser is the root: roots are found before the nodes below them
                parent[a.max(b) as usize] = a.min(b);
            }
        }
        let (mut of_node, mut sizes) = (vec![0u32; nodes], Vec::new());
        for node in 0..nodes as u32 {
            let top = root(&mut parent, node);
            if top == node {
                of_node[node as usize] = sizes.len() as u32;
                sizes.push(0);
            } else {
                of_node[node as usize] = of_node[top as usize];
            }
            sizes[of_node[node as usize] as usize] += 1;
        }
        Components { of_node, sizes }
    }
}

/// What each node hands to an edge of weight 1.
fn passed_on(rank: &[f64], degrees: &[f64]) -> Vec<f64> {
    rank.iter().zip(degrees).map(|(rank, degree)| if *degree > 0.0 { rank / degree } else { 0.0 }).collect()
}

fn check_damping(damping: f64) -> Result<(), GraphError> {
    let fits = (0.0..1.0).contains(&damping);
    if fits { Ok(()) } else { Err(option("damping", damping, "0 to 1, 1 excluded")) }
}

fn check_iteration(max_iterations: usize, tolerance: f64) -> Result<(), GraphError> {
    if max_iterations == 0 {
        return Err(option("max_iterations", 0, "at least 1"));
    }
    if !(tolerance.is_finite() && tolerance > 0.0) {
        return Err(option("tolerance", tolerance, "a finite number above 0"));
    }
    Ok(())
}

/// Repeats a step until it changes at most `tolerance`, summed over nodes.
fn iterate(
    measure: &'static str,
    start: Vec<f64>,
    iterations: usize,
    tolerance: f64,
    step: impl Fn(&[f64]) -> Vec<f64>,
) -> Result<Vec<f64>, GraphError> {
    let (mut current, mut change) = (start, f64::INFINITY);
    for _ in 0..iterations {
        let next = step(&current);
        change = next.iter().zip(&current).map(|(next, current)| (next - current).abs()).sum();
        current = next;
        if change <= tolerance {
            return Ok(current);
        }
    }
    Err(GraphError::NotConverged { measure, iterations, change, tolerance })
}
