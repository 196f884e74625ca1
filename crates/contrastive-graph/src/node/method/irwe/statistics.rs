//! What walks say about nodes.

use crate::MethodError;
use crate::node::augment::anonymous::{PatternRanks, anonymous};
use crate::node::augment::walk::random_walks;
use crate::node::data::{Graph, GraphError, Loops, Normalisation as Scale};
use contrastive_kernels::scalar::standard_normal;
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What a model has learnt its inputs by, fixed in training: the patterns of walks and the bins of degrees.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkIndex {
    steps: usize,
    bins: usize,
    most_degree: f64,
    patterns: Vec<u64>,
}

impl WalkIndex {
    /// Steps of a walk.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Number of patterns.
    pub fn num_patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Number of bins of degrees.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The patterns as one-hot codes `[patterns, (steps + 1)^2]`: row t of a code is the symbol at step t.
    pub fn codes(&self) -> Array2<f32> {
        let (ranks, length) = (PatternRanks::new(self.steps), self.steps + 1);
        let mut codes = Array2::zeros((self.patterns.len(), length * length));
        for (row, &rank) in self.patterns.iter().enumerate() {
            for (at, symbol) in ranks.pattern(rank).into_iter().enumerate() {
                codes[[row, at * length + symbol as usize]] = 1.0;
            }
        }
        codes
    }

    /// The bin of a degree: equal parts of the logarithm up to the greatest in training; greater ones are in the last.
    fn bin(&self, degree: usize) -> usize {
        let share = (degree as f64).ln_1p() / self.most_degree.ln_1p();
        ((share * self.bins as f64) as usize).min(self.bins - 1)
    }
}

/// Statistics of the walks of each node. Rows of nodes without neighbours are empty.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkStatistics {
    /// Shares of the patterns, `[nodes, patterns]`, each row with sum 1.
    pub patterns: Csr<f64>,
    /// Shares of the degrees of all nodes that the walks visit, `[nodes, bins]`.
    pub degrees: Array2<f32>,
    /// Shares of the nodes that the walks visit, the start included, `[nodes, nodes]`.
    pub visits: Csr<f64>,
    /// Nodes without neighbours.
    pub isolated: Vec<u32>,
    /// The share of walks whose pattern was not seen in training, over all nodes: left out, the rest brought to sum 1.
    pub unseen: f64,
}

/// Weights by pattern, by degree and by node.
#[derive(Clone, Default)]
struct Counts {
    patterns: BTreeMap<u64, f64>,
    visits: BTreeMap<u32, f64>,
}

impl Counts {
    fn add(&mut self, walk: &[u32], weight: f64, ranks: &PatternRanks) {
        *self.patterns.entry(ranks.rank(&anonymous(walk))).or_default() += weight;
        walk.iter().for_each(|&node| *self.visits.entry(node).or_default() += weight);
    }
}

/// The adjacency, without edges from a node to itself.
pub(super) fn adjacency(graph: &Graph) -> Result<Csr<f64>, MethodError> {
    if graph.is_directed() {
        let (found, allowed) = ("a directed graph".into(), "Direction::Undirected when the graph is made");
        return Err(GraphError::Unsuited { what: "walks of IRWE", found, allowed }.into());
    }
    let adjacency = graph.matrix(Scale::None, Loops::Remove);
    match adjacency.nnz() {
        0 => Err(MethodError::NoEdges { method: "irwe", nodes: graph.num_nodes() }),
        _ => Ok(adjacency),
    }
}

impl WalkStatistics {
    /// From `per_node` random walks of each node. Without an index one is made: of all patterns that occur, but for the rarest that together have
    /// at most the share `1 - coverage` of all walks.
    ///
    /// # Errors
    /// When the graph is directed or has no edges.
    ///
    /// # Panics
    /// When the index is of other steps.
    pub fn sampled(
        graph: &Graph,
        [per_node, steps, bins]: [usize; 3],
        coverage: f64,
        index: Option<&WalkIndex>,
        seed: u64,
    ) -> Result<(WalkIndex, Self), MethodError> {
        let adjacency = adjacency(graph)?;
        let ranks = PatternRanks::new(steps);
        let nodes = 0..graph.num_nodes() as u32;
        let of_node = |node: u32| -> Result<Counts, MethodError> {
            let mut counts = Counts::default();
            if !adjacency.row(node as usize).0.is_empty() {
                let walks = random_walks(&adjacency, &[node], per_node, steps, seed)?;
                walks.of(0).for_each(|walk| counts.add(walk, 1.0, &ranks));
            }
            Ok(counts)
        };
        let counts: Result<Vec<Counts>, MethodError> = nodes.into_par_iter().map(of_node).collect();
        Ok(Self::finish(&adjacency, counts?, [steps, bins], coverage, index))
    }

    /// From all walks of each node with their probabilities, for small graphs: time grows as the number of walks.
    ///
    /// # Errors
    /// As [`sampled`](Self::sampled).
    pub fn exact(graph: &Graph, steps: usize, bins: usize) -> Result<(WalkIndex, Self), MethodError> {
        let adjacency = adjacency(graph)?;
        let ranks = PatternRanks::new(steps);
        let mut all = vec![Counts::default(); graph.num_nodes()];
        for (node, counts) in all.iter_mut().enumerate() {
            if adjacency.row(node).0.is_empty() {
                continue;
            }
            let mut open = vec![(vec![node as u32], 1.0)];
            while let Some((walk, weight)) = open.pop() {
                if walk.len() == steps + 1 {
                    counts.add(&walk, weight, &ranks);
                    continue;
                }
                let neighbours = adjacency.row(walk[walk.len() - 1] as usize).0;
                for &next in neighbours {
                    open.push(([&walk[..], &[next]].concat(), weight / neighbours.len() as f64));
                }
            }
        }
        Ok(Self::finish(&adjacency, all, [steps, bins], 1.0, None))
    }

    fn finish(
        adjacency: &Csr<f64>,
        counts: Vec<Counts>,
        [steps, bins]: [usize; 2],
        coverage: f64,
        index: Option<&WalkIndex>,
    ) -> (WalkIndex, Self) {
        let nodes = counts.len();
        let degree = |node: u32| adjacency.row(node as usize).0.len();
        let index = index.cloned().unwrap_or_else(|| {
            let mut totals: BTreeMap<u64, f64> = BTreeMap::new();
            counts
                .iter()
                .flat_map(|own| &own.patterns)
                .for_each(|(&rank, &weight)| *totals.entry(rank).or_default() += weight);
            let whole: f64 = totals.values().sum();
            let mut by_weight: Vec<(u64, f64)> = totals.into_iter().collect();
            by_weight.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let (mut kept, mut sum) = (Vec::new(), 0.0);
            for (rank, weight) in by_weight {
                if sum >= coverage * whole && coverage < 1.0 {
                    break;
                }
                kept.push(rank);
                sum += weight;
            }
            kept.sort_unstable();
            let most_degree = (0..nodes as u32).map(degree).max().unwrap_or(1).max(1) as f64;
            WalkIndex { steps, bins, most_degree, patterns: kept }
        });
        assert_eq!(index.steps, steps, "steps of the walks of an index");
        let mut degrees = Array2::zeros((nodes, index.bins));
        let (mut patterns, mut visits, mut isolated) = (Vec::new(), Vec::new(), Vec::new());
        let (mut missing, mut whole) = (0.0, 0.0);
        for (node, own) in (0u32..).zip(&counts) {
            if own.visits.is_empty() {
                isolated.push(node);
                continue;
            }
            let known = |rank: &u64| index.patterns.binary_search(rank).ok();
            let total: f64 = own.patterns.values().sum();
            let seen: f64 =
                own.patterns.iter().filter(|(rank, _)| known(rank).is_some()).map(|(_, weight)| weight).sum();
            (missing, whole) = (missing + total - seen, whole + total);
            let of_patterns =
                own.patterns.iter().filter_map(|(rank, weight)| Some((node, known(rank)? as u32, weight / seen)));
            patterns.extend(of_patterns);
            let sum: f64 = own.visits.values().sum();
            for (&other, &weight) in &own.visits {
                visits.push((node, other, weight / sum));
                degrees[[node as usize, index.bin(degree(other))]] += (weight / sum) as f32;
            }
        }
        let fits = "places within the graph and the index";
        let statistics = Self {
            patterns: Csr::from_triplets(nodes, index.patterns.len(), &patterns).expect(fits),
            visits: Csr::from_triplets(nodes, nodes, &visits).expect(fits),
            degrees,
            isolated,
            unseen: if whole > 0.0 { missing / whole } else { 0.0 },
        };
        (index, statistics)
    }

    /// Number of nodes.
    pub fn num_nodes(&self) -> usize {
        self.degrees.nrows()
    }

    /// Codes of the positions of nodes, `visits` times a fixed random projection with variance `1 / dim`, `[nodes, dim]`: lengths and inner
    /// products of the visits are kept up to `3 / sqrt(dim)` or so. The row of a node is drawn by its number in `known`, that of
    /// training, or, for a node that is new, from a stream of its own; without `known`, all are those of training.
    ///
    /// # Panics
    /// When `known` is of another number of nodes.
    pub fn positions(&self, dim: usize, seed: u64, known: Option<&[Option<u32>]>) -> Array2<f32> {
        let nodes = self.num_nodes();
        assert!(known.is_none_or(|known| known.len() == nodes), "known numbers for {nodes} nodes");
        let row = |node: usize| {
            let stream = match known.map(|known| known[node]) {
                None => node as u64,
                Some(Some(known)) => known.into(),
                Some(None) => (1 << 40) + node as u64,
            };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            (0..dim).map(|_| standard_normal(&mut rng) / (dim as f64).sqrt()).collect::<Vec<f64>>()
        };
        let projection: Vec<f64> = (0..nodes).into_par_iter().map(row).collect::<Vec<_>>().concat();
        let mut out = vec![0.0; nodes * dim];
        self.visits.multiply(&projection, dim, &mut out);
        Array2::from_shape_vec((nodes, dim), out).expect("a row each").mapv(|x| x as f32)
    }

    /// Shares of the patterns of some nodes, then of their degrees, `[nodes.len(), patterns + bins]`; with `scaled`, each of both rows
    /// is divided by its greatest share.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn rows(&self, nodes: &[u32], scaled: bool) -> Array2<f32> {
        let (patterns, bins) = (self.patterns.cols(), self.degrees.ncols());
        let mut rows = Array2::zeros((nodes.len(), patterns + bins));
        for (at, &node) in nodes.iter().enumerate() {
            let mut row = rows.row_mut(at);
            let (columns, shares) = self.patterns.row(node as usize);
            columns.iter().zip(shares).for_each(|(&column, &share)| row[column as usize] = share as f32);
            (0..bins).for_each(|bin| row[patterns + bin] = self.degrees[[node as usize, bin]]);
            if scaled {
                for (from, to) in [(0, patterns), (patterns, patterns + bins)] {
                    let mut part = row.slice_mut(ndarray::s![from..to]);
                    let most = part.iter().copied().fold(0f32, f32::max);
                    part.mapv_inplace(|x| if most > 0.0 { x / most } else { 0.0 });
                }
            }
        }
        rows
    }
}
