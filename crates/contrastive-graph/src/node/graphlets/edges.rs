//! The keys whose entries lie on edges, and what follows from their sums.

use super::counts::OrbitCounts;
use super::enumerate::on_edges;
use super::orbit::Orbit;
use crate::node::augment::{AugmentError, scores};
use crate::node::data::{Graph, GraphError, Loops, Normalisation};
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;
use rayon::prelude::*;

/// The graphlets of a simple graph: keys on edges are there, all others are made when asked for.
///
/// Time: triangles and complete graphs of four nodes by enumeration in the order of degrees, then for each node twice the sum of
/// its neighbours' degrees. Memory: a few numbers for each edge.
#[derive(Clone, Debug)]
pub struct Graphlets {
    pub(super) indptr: Vec<usize>,
    pub(super) indices: Vec<u32>,
    /// The entry of the other direction.
    pub(super) mirror: Vec<usize>,
    /// T: common neighbours of the ends of each entry.
    pub(super) triangles: Vec<i64>,
    /// The keys of edges, in the order of [`Orbit::BASE`].
    keys: Vec<Vec<u64>>,
    dropped: usize,
}

/// Sums over the paths from one node to its neighbours.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// `(A T)_ij`.
    triangles: i64,
    /// `(S A)_ij`.
    ends: i64,
    /// `(P A)_ij`.
    distant: i64,
}

impl Graphlets {
    /// Counts on an undirected graph in which all weights are 1 and no node has an edge to itself.
    ///
    /// # Errors
    /// [`GraphError::Unsuited`] for any other graph.
    pub fn new(graph: &Graph) -> Result<Self, GraphError> {
        let unsuited = |found: String, allowed| Err(GraphError::Unsuited { what: "graphlets", found, allowed });
        if graph.is_weighted() {
            return unsuited("weights other than 1".into(), "all weights 1, or Graphlets::of_simple_part");
        }
        if graph.num_self_loops() > 0 {
            let found = format!("{} edges from a node to itself", graph.num_self_loops());
            return unsuited(found, "SelfLoops::Drop when the graph is made, or Graphlets::of_simple_part");
        }
        Self::of_simple_part(graph)
    }

    /// As [`new`](Self::new), without the edges from a node to itself ([`dropped`](Self::dropped) counts them) and without regard to weights.
    ///
    /// # Errors
    /// [`GraphError::Unsuited`] for a directed graph.
    pub fn of_simple_part(graph: &Graph) -> Result<Self, GraphError> {
        if graph.is_directed() {
            let (found, allowed) = ("a directed graph".into(), "Direction::Undirected when the graph is made");
            return Err(GraphError::Unsuited { what: "graphlets", found, allowed });
        }
        let adjacency = graph.matrix(Normalisation::None, Loops::Remove);
        Ok(Self::counted(&adjacency, graph.num_self_loops()))
    }

    fn counted(adjacency: &Csr<f64>, dropped: usize) -> Self {
        let (indptr, indices) = (adjacency.indptr().to_vec(), adjacency.indices().to_vec());
        let nodes = indptr.len() - 1;
        let mut next = indptr.clone();
        // rows ascend, so that the entries of column j come in the order of row j
        let mirror: Vec<usize> = indices
            .iter()
            .map(|&to| {
                next[to as usize] += 1;
                next[to as usize] - 1
            })
            .collect();
        let (triangles, fours) = on_edges(&indptr, &indices);
        let triangles = triangles.into_iter().map(|count| count as i64).collect();
        let mut graphlets = Self { indptr, indices, mirror, triangles, keys: Vec::new(), dropped };
        let per_row: Vec<Vec<Sums>> = (0..nodes)
            .into_par_iter()
            .map_init(|| Scratch::new(nodes), |scratch, node| graphlets.sums(node, scratch))
            .collect();
        graphlets.keys = graphlets.combine(&per_row.concat(), &fours);
        graphlets
    }

    /// The entries of a node's row.
    pub(super) fn row(&self, node: usize) -> std::ops::Range<usize> {
        self.indptr[node]..self.indptr[node + 1]
    }

    pub(super) fn degree(&self, node: usize) -> i64 {
        self.row(node).len() as i64
    }

    /// S of an entry: neighbours of its end that are none of its start.
    pub(super) fn ends(&self, entry: usize) -> i64 {
        self.degree(self.indices[entry] as usize) - 1 - self.triangles[entry]
    }

    fn sums(&self, node: usize, scratch: &mut Scratch) -> Vec<Sums> {
        if self.degree(node) == 1 {
            // the other neighbours of its only one are each reached by one path; nothing else is to be looked at
            let hub = self.indices[self.indptr[node]] as usize;
            return vec![Sums { distant: self.degree(hub) - 1, ..Sums::default() }];
        }
        for at in self.row(node) {
            let k = self.indices[at] as usize;
            scratch.own[k] = at;
            self.row(k).for_each(|to| scratch.paths[self.indices[to] as usize] += 1);
        }
        let sums = self.row(node).map(|at| {
            let mut sums = Sums::default();
            for to in self.row(self.indices[at] as usize) {
                let k = self.indices[to] as usize;
                let own = scratch.own[k];
                if own != usize::MAX {
                    sums.triangles += self.triangles[to];
                    sums.ends += self.ends(own);
                } else if k != node {
                    sums.distant += scratch.paths[k];
                }
            }
            sums
        });
        let sums = sums.collect();
        for at in self.row(node) {
            let k = self.indices[at] as usize;
            scratch.own[k] = usize::MAX;
            self.row(k).for_each(|to| scratch.paths[self.indices[to] as usize] = 0);
        }
        sums
    }

    /// The closed formulas on edges, from the sums and Q.
    fn combine(&self, sums: &[Sums], fours: &[u64]) -> Vec<Vec<u64>> {
        let sum_of = |of: &dyn Fn(usize) -> i64| -> Vec<i64> {
            (0..self.num_nodes()).map(|node| self.row(node).map(of).sum()).collect()
        };
        let (t, s) = (sum_of(&|at| self.triangles[at]), sum_of(&|at| self.ends(at)));
        let mut keys = vec![Vec::new(); 13];
        for at in 0..self.indices.len() {
            let (j, other) = (self.indices[at] as usize, self.mirror[at]);
            let (own, common, four) = (self.ends(at), self.triangles[at], fours[at] as i64);
            let diamond = sums[at].triangles - common - 2 * four;
            let cycle = sums[at].distant - own - diamond;
            let pendant = t[j] / 2 - sums[at].triangles + four;
            let values = [
                1,
                own,
                common,
                s[j] - self.ends(other) - sums[other].ends - cycle,
                own * self.ends(other) - cycle,
                own * (own - 1) / 2 - pendant,
                cycle,
                pendant,
                sums[at].ends - diamond,
                common * own - diamond,
                diamond,
                common * (common - 1) / 2 - four,
                four,
            ];
            for (key, value) in keys.iter_mut().zip(values) {
                debug_assert!(value >= 0, "a count of {value}");
                key.push(value as u64);
            }
        }
        keys
    }

    /// Number of nodes.
    pub fn num_nodes(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of edges.
    pub fn num_edges(&self) -> usize {
        self.indices.len() / 2
    }

    /// Edges from a node to itself that were left out.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The matrix of a key, `[nodes, nodes]`. Of keys at two or three hops it may be large; see [`orbit_rows`](Self::orbit_rows).
    pub fn orbit(&self, key: Orbit) -> OrbitCounts {
        let base = key.ascending();
        let counts = self.orbit_rows(base, 0..self.num_nodes());
        if base == key { counts } else { counts.transpose() }
    }

    /// The counts of a key of edges for every entry, in compressed rows over `indptr` and `indices` of the graph without
    /// self loops.
    pub(super) fn on_entries(&self, key: Orbit) -> Vec<u64> {
        let at = Orbit::BASE.iter().position(|base| *base == key.ascending()).expect("one of the keys");
        let values = &self.keys[at];
        if key == key.ascending() { values.clone() } else { self.mirror.iter().map(|&other| values[other]).collect() }
    }

    /// The number of times each node lies on each orbit (its graphlet degree vector, Przulj 2007), `[nodes, 15]`.
    pub fn node_degrees(&self) -> Array2<u64> {
        let mut degrees = Array2::zeros((self.num_nodes(), 15));
        // orbit, key, whether its rows are summed (else its columns), and how often the sum counts one graphlet
        let sums = [
            (0, (0, 0), true, 1),
            (1, (1, 2), true, 1),
            (2, (1, 2), false, 2),
            (3, (3, 3), true, 2),
            (4, (4, 5), true, 1),
            (5, (4, 5), false, 1),
            (6, (6, 7), true, 1),
            (7, (6, 7), false, 3),
            (8, (8, 8), true, 2),
            (9, (9, 11), true, 1),
            (10, (10, 11), true, 1),
            (11, (9, 11), false, 1),
            (12, (12, 13), true, 2),
            (13, (13, 13), true, 1),
            (14, (14, 14), true, 3),
        ];
        for (orbit, (from, to), by_rows, times) in sums {
            let key = Orbit::new(1, from, to).expect("one of the keys");
            let values = self.on_entries(if by_rows { key } else { key.transposed() });
            for node in 0..self.num_nodes() {
                degrees[[node, orbit]] = values[self.row(node)].iter().sum::<u64>() / times;
            }
        }
        degrees
    }

    /// All edges `(i, j)` with `i < j`, and the number of times each lies on the 12 orbits of edges of graphlets with three and four nodes,
    /// `[edges, 12]`: path; triangle; outer and inner edge of a path of four; star; cycle; pendant, far and joining edge of
    /// a paw; outer and inner edge of a diamond; complete graph.
    pub fn edge_degrees(&self) -> (Vec<(u32, u32)>, Array2<u64>) {
        let entries: Vec<(usize, usize)> = (0..self.num_nodes())
            .flat_map(|node| self.row(node).map(move |at| (node, at)))
            .filter(|&(node, at)| (node as u32) < self.indices[at])
            .collect();
        let mut degrees = Array2::zeros((entries.len(), 12));
        for (column, (values, base)) in self.keys.iter().zip(Orbit::BASE).skip(1).enumerate() {
            let both = base != base.transposed();
            for (row, &(_, at)) in entries.iter().enumerate() {
                degrees[[row, column]] = values[at] + if both { values[self.mirror[at]] } else { 0 };
            }
        }
        (entries.into_iter().map(|(node, at)| (node as u32, self.indices[at])).collect(), degrees)
    }

    /// Probabilities of dropping each entry of the graph (without self loops), in the order of its compressed rows: edges with a
    /// greater count of the key, both directions added, are dropped more rarely, by GCA's rule on the logarithm of one and the count
    /// ([`scores::adaptive`]).
    ///
    /// # Errors
    /// When `probability` or `cut` is not in `0..=1`, or the key is not one of edges.
    pub fn drop_probabilities(&self, key: Orbit, probability: f64, cut: f64) -> Result<Vec<f64>, AugmentError> {
        if !key.is_edge() {
            return Err(AugmentError::Setting {
                setting: "hops of the orbit",
                value: key.hops().into(),
                allowed: "1, a key of edges",
            });
        }
        let (one, other) = (self.on_entries(key), self.on_entries(key.transposed()));
        let score: Vec<f64> = one.iter().zip(&other).map(|(a, b)| ((a + b) as f64).ln_1p()).collect();
        scores::adaptive(&score, probability, cut)
    }
}

/// Arrays over all nodes, one set for each thread.
struct Scratch {
    own: Vec<usize>,
    paths: Vec<i64>,
}

impl Scratch {
    fn new(nodes: usize) -> Self {
        Self { own: vec![usize::MAX; nodes], paths: vec![0; nodes] }
    }
}
