//! Communities by modularity: Louvain and Leiden.

use super::super::error::undirected;
use super::{AugmentError, Partition};
use contrastive_kernels::sparse::Csr;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::VecDeque;

/// Resolution and seed of a community detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectOptions {
    /// Weight of the expected edges; 1 is modularity, more gives smaller communities.
    pub resolution: f64,
    /// Most passes; one that gains nothing is the last.
    pub passes: usize,
    /// Seed of the order of the nodes and of the draws of the refinement.
    pub seed: u64,
}

impl Default for DetectOptions {
    /// Resolution 1, 10 passes, seed 0.
    fn default() -> Self {
        Self { resolution: 1.0, passes: 10, seed: 0 }
    }
}

impl DetectOptions {
    fn check(&self) -> Result<(), AugmentError> {
        match self.resolution.is_finite() && self.resolution > 0.0 {
            true => Ok(()),
            false => Err(AugmentError::Setting {
                setting: "resolution",
                value: self.resolution,
                allowed: "a finite number above 0",
            }),
        }
    }
}

/// A gain in modularity below this share of a node's strength is rounding.
const ROUNDING: f64 = 1e-10;
/// Randomness of the refinement (the paper's theta), in units of the mean weight of an edge.
const THETA: f64 = 0.01;

/// Communities by moving nodes and joining what was found, level by level (Blondel et al., 2008).
///
/// The result depends on the graph, the options, and nothing else. It may hold communities that are not connected; [`leiden`]
/// does not.
///
/// # Errors
/// When the graph is directed, has no edges or a negative weight, or the resolution is not above 0.
pub fn louvain(graph: &Csr<f64>, options: &DetectOptions) -> Result<Partition, AugmentError> {
    detect(graph, options, false)
}

/// Communities by moving nodes, refining what was found, and joining the refined parts (Traag, Waltman and van Eck, "From
/// Louvain to Leiden", 2019). Every community is connected.
///
/// The result depends on the graph, the options, and nothing else. Memory and the time of a pass are linear in the edges.
///
/// # Errors
/// As [`louvain`].
pub fn leiden(graph: &Csr<f64>, options: &DetectOptions) -> Result<Partition, AugmentError> {
    detect(graph, options, true)
}

fn detect(graph: &Csr<f64>, options: &DetectOptions, refine: bool) -> Result<Partition, AugmentError> {
    undirected(graph)?;
    options.check()?;
    let start = Level::new(graph);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let search = Search {
        per_strength: options.resolution / start.strength.iter().sum::<f64>(),
        theta: THETA * graph.values().iter().sum::<f64>() / graph.nnz() as f64,
        refine,
    };
    let mut labels: Vec<u32> = (0..graph.rows() as u32).collect();
    let mut best = f64::NEG_INFINITY;
    for _ in 0..options.passes.max(1) {
        let mut found = search.pass(&start, labels.clone(), &mut rng);
        if refine {
            split_disconnected(graph, &mut found);
        }
        let quality = super::modularity(graph, &Partition::from_labels(&found), options.resolution)?;
        if quality <= best + ROUNDING {
            break;
        }
        (best, labels) = (quality, found);
    }
    Ok(Partition::from_labels(&labels))
}

/// A graph of the nodes of one level; a node stands for a set of those below.
struct Level {
    /// Edges; self loops are passed over.
    graph: Csr<f64>,
    /// Degree of each node, self loops and what happens inside included.
    strength: Vec<f64>,
}

impl Level {
    fn new(graph: &Csr<f64>) -> Self {
        let degree = |node: usize| {
            let (columns, weights) = graph.row(node);
            let twice = |(&other, &weight): (&u32, &f64)| if other as usize == node { 2.0 * weight } else { weight };
            columns.iter().zip(weights).map(twice).sum()
        };
        Self { graph: graph.clone(), strength: (0..graph.rows()).map(degree).collect() }
    }

    fn nodes(&self) -> usize {
        self.strength.len()
    }

    /// Neighbours other than the node itself, with weights.
    fn neighbours(&self, node: usize) -> impl Iterator<Item = (usize, f64)> {
        let (columns, weights) = self.graph.row(node);
        columns.iter().zip(weights).map(|(&other, &weight)| (other as usize, weight)).filter(move |n| n.0 != node)
    }

    /// Each set of nodes with one label becomes a node.
    fn joined(&self, labels: &[u32], count: usize) -> Self {
        let mut strength = vec![0.0; count];
        labels.iter().zip(&self.strength).for_each(|(&label, s)| strength[label as usize] += s);
        let between = (0..self.nodes())
            .flat_map(|node| self.neighbours(node).map(move |(other, weight)| (labels[node], labels[other], weight)));
        let triplets: Vec<_> = between.filter(|(a, b, _)| a != b).collect();
        let graph = Csr::from_triplets(count, count, &triplets).expect("labels below their number, finite weights");
        Self { graph, strength }
    }
}

/// Labels renumbered from 0 without gaps, and their number.
fn compact(labels: &[u32]) -> (Vec<u32>, usize) {
    let partition = Partition::from_labels(labels);
    (partition.labels, partition.count)
}

/// Sums of weights by community, cleared in the time it took to fill them.
struct Tally {
    sums: Vec<f64>,
    met: Vec<usize>,
}

impl Tally {
    fn new(communities: usize) -> Self {
        Self { sums: vec![0.0; communities], met: Vec::new() }
    }

    fn fill(&mut self, weights: impl Iterator<Item = (usize, f64)>) {
        self.met.drain(..).for_each(|community| self.sums[community] = 0.0);
        for (community, weight) in weights.filter(|entry| entry.1 > 0.0) {
            if self.sums[community] == 0.0 {
                self.met.push(community);
            }
            self.sums[community] += weight;
        }
    }
}

struct Search {
    /// The resolution over the sum of all degrees: times two strengths, the expected weight between them.
    per_strength: f64,
    theta: f64,
    refine: bool,
}

impl Search {
    /// From labels of the lowest level to better ones.
    fn pass(&self, start: &Level, labels: Vec<u32>, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut place: Vec<u32> = (0..start.nodes() as u32).collect();
        let (mut labels, mut upper) = (labels, None::<Level>);
        loop {
            let level = upper.as_ref().unwrap_or(start);
            self.move_nodes(level, &mut labels, rng);
            let (found, count) = compact(&labels);
            labels = found;
            if count == level.nodes() {
                return place.iter().map(|&node| labels[node as usize]).collect();
            }
            let (parts, parts_count) = if self.refine {
                let (parts, parts_count) = compact(&self.refined(level, &labels, rng));
                // Nothing joined: the communities themselves, or the levels would never end.
                if parts_count == level.nodes() { (labels.clone(), count) } else { (parts, parts_count) }
            } else {
                (labels.clone(), count)
            };
            let mut above = vec![0; parts_count];
            parts.iter().zip(&labels).for_each(|(&part, &label)| above[part as usize] = label);
            place.iter_mut().for_each(|node| *node = parts[*node as usize]);
            (upper, labels) = (Some(level.joined(&parts, parts_count)), above);
        }
    }

    /// Moves nodes to the community where they gain most, until none gains; neighbours of what moved are asked again.
    fn move_nodes(&self, level: &Level, labels: &mut [u32], rng: &mut ChaCha8Rng) {
        let nodes = level.nodes();
        let (mut total, mut size) = (vec![0.0; nodes], vec![0usize; nodes]);
        for (node, &label) in labels.iter().enumerate() {
            total[label as usize] += level.strength[node];
            size[label as usize] += 1;
        }
        let mut empty: Vec<usize> = (0..nodes).filter(|&community| size[community] == 0).collect();
        let mut queue = VecDeque::from(shuffled(nodes, rng));
        let mut waiting = vec![true; nodes];
        let mut tally = Tally::new(nodes);
        while let Some(node) = queue.pop_front() {
            waiting[node] = false;
            let (own, strength) = (labels[node] as usize, level.strength[node]);
            tally.fill(level.neighbours(node).map(|(other, weight)| (labels[other] as usize, weight)));
            total[own] -= strength;
            size[own] -= 1;
            let gain = |community: usize| tally.sums[community] - self.per_strength * strength * total[community];
            let margin = ROUNDING * strength;
            let (mut best, mut most) = (own, gain(own));
            for &community in tally.met.iter().filter(|&&community| community != own) {
                let gain = gain(community);
                if gain > most + margin {
                    (best, most) = (community, gain);
                }
            }
            if size[own] == 0 {
                empty.push(own);
            }
            if most < -margin {
                best = *empty.last().expect("more labels than communities besides this node");
            }
            if size[best] == 0 {
                debug_assert_eq!(empty.last(), Some(&best));
                empty.pop();
            }
            total[best] += strength;
            size[best] += 1;
            if best != own {
                labels[node] = best as u32;
                for (other, _) in level.neighbours(node) {
                    if labels[other] as usize != best && !waiting[other] {
                        waiting[other] = true;
                        queue.push_back(other);
                    }
                }
            }
        }
    }

    /// Communities taken apart into single nodes and joined again within themselves, by draws that favour gains; only parts
    /// that are well connected to the rest of their community take part.
    fn refined(&self, level: &Level, labels: &[u32], rng: &mut ChaCha8Rng) -> Vec<u32> {
        let nodes = level.nodes();
        let mut whole = vec![0.0; nodes];
        labels.iter().zip(&level.strength).for_each(|(&label, s)| whole[label as usize] += s);
        let mut part: Vec<u32> = (0..nodes as u32).collect();
        let (mut total, mut size) = (level.strength.clone(), vec![1usize; nodes]);
        // Weight from a part to the rest of its community.
        let mut outward: Vec<f64> = (0..nodes)
            .map(|node| level.neighbours(node).filter(|n| labels[n.0] == labels[node]).map(|n| n.1).sum())
            .collect();
        let mut tally = Tally::new(nodes);
        let (mut choices, mut shares) = (Vec::new(), Vec::new());
        for node in shuffled(nodes, rng) {
            let (own, strength, all) = (part[node] as usize, level.strength[node], whole[labels[node] as usize]);
            let connected =
                |outward: f64, total: f64| outward >= self.per_strength * total * (all - total) * (1.0 - ROUNDING);
            if size[own] != 1 || !connected(outward[own], strength) {
                continue;
            }
            let inside = level.neighbours(node).filter(|n| labels[n.0] == labels[node]);
            tally.fill(inside.map(|(other, weight)| (part[other] as usize, weight)));
            choices.clear();
            choices.push((own, 0.0));
            for &other in tally.met.iter().filter(|&&other| connected(outward[other], total[other])) {
                let gain = tally.sums[other] - self.per_strength * strength * total[other];
                if gain >= 0.0 {
                    choices.push((other, gain));
                }
            }
            let most = choices.iter().map(|choice| choice.1).fold(0.0, f64::max);
            shares.clear();
            shares.extend(choices.iter().map(|choice| ((choice.1 - most) / self.theta).exp()));
            let mut drawn = rng.random::<f64>() * shares.iter().sum::<f64>();
            let position = shares.iter().position(|share| {
                drawn -= share;
                drawn < 0.0
            });
            let (chosen, _) = choices[position.unwrap_or(choices.len() - 1)];
            if chosen != own {
                outward[chosen] += outward[own] - 2.0 * tally.sums[chosen];
                total[chosen] += strength;
                size[chosen] += 1;
                size[own] = 0;
                part[node] = chosen as u32;
            }
        }
        part
    }
}

fn shuffled(count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    (1..count).rev().for_each(|last| order.swap(last, rng.random_range(0..=last)));
    order
}

/// Gives every connected part of a community a label of its own; this never lowers the modularity.
fn split_disconnected(graph: &Csr<f64>, labels: &mut [u32]) {
    let mut parts = vec![u32::MAX; labels.len()];
    let (mut next, mut stack) = (0, Vec::new());
    for start in 0..labels.len() {
        if parts[start] != u32::MAX {
            continue;
        }
        parts[start] = next;
        stack.push(start);
        while let Some(node) = stack.pop() {
            let (columns, weights) = graph.row(node);
            for (&other, &weight) in columns.iter().zip(weights) {
                let other = other as usize;
                if weight > 0.0 && labels[other] == labels[node] && parts[other] == u32::MAX {
                    parts[other] = next;
                    stack.push(other);
                }
            }
        }
        next += 1;
    }
    labels.copy_from_slice(&parts);
}
