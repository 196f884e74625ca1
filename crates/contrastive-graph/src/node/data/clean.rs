//! From a list of edges to compressed rows: what to do with edges that need a decision, and how often it was needed.

use contrastive_data::{Origin, Place};

use super::error::GraphError;
use super::note::GraphNote;
use std::path::PathBuf;

/// Whether an edge has a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// An edge is a link between two nodes: both directions are stored, whichever were given.
    #[default]
    Undirected,
    /// Edges stay as they are given.
    Directed,
}

/// What happens to edges from a node to itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfLoops {
    /// Left out. Encoders that want them add them ([`Loops::Add`](super::Loops::Add)).
    #[default]
    Drop,
    /// Kept, stored once.
    Keep,
}

/// What happens to an edge that is given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// The first one counts.
    #[default]
    First,
    /// Weights are added: an unweighted graph becomes one of counts.
    Sum,
}

/// What happens to an edge with an end that is not a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dangling {
    /// An error that names it.
    #[default]
    Refuse,
    /// Left out, with a note.
    Drop,
}

/// The decisions about edges, taken once, when a graph is made. What they did is in [`Graph::notes`](super::Graph::notes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaning {
    /// Default [`Direction::Undirected`].
    pub direction: Direction,
    /// Default [`SelfLoops::Drop`].
    pub self_loops: SelfLoops,
    /// Default [`Duplicates::First`].
    pub duplicates: Duplicates,
    /// Default [`Dangling::Refuse`].
    pub dangling: Dangling,
    /// Turns findings into errors: self-loops that would be left out, duplicates that would be left out, isolated nodes,
    /// missing features, and missing labels where there are labels. Default `false`.
    pub strict: bool,
}

/// How often something was found, and where first.
#[derive(Default)]
pub(super) struct Tally {
    pub count: usize,
    pub first: Option<String>,
}

impl Tally {
    pub fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }

    /// The note on it, if anything was found.
    pub fn note(self, make: impl FnOnce(usize, String) -> GraphNote) -> Option<GraphNote> {
        let count = self.count;
        self.first.map(|first| make(count, first))
    }
}

/// Where edges came from.
pub(super) enum Places {
    /// The list handed over.
    Memory,
    /// A file that has no lines.
    File(PathBuf),
    /// A file, with the line of each edge.
    Lines(PathBuf, Vec<u32>),
}

impl Places {
    pub fn of(&self, edge: usize) -> Origin {
        match self {
            Self::Memory => Origin::memory(Place::Edge(edge)),
            Self::File(path) => Origin::at(path, Place::Edge(edge)),
            Self::Lines(path, lines) => Origin::line(path, lines[edge] as usize),
        }
    }

    pub fn whole(&self) -> Origin {
        match self {
            Self::Memory => Origin::memory(Place::Whole),
            Self::File(path) | Self::Lines(path, _) => Origin::file(path),
        }
    }
}

/// Edges between known nodes, in the order given.
pub(super) struct Edges {
    pub pairs: Vec<(u32, u32)>,
    /// Empty, or one for each pair.
    pub weights: Vec<f64>,
    pub places: Places,
    /// Whether `(a, b)` and `(b, a)` are the same edge given twice.
    pub unordered: bool,
}

/// Compressed rows of the edges that leave each node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    pub indptr: Vec<usize>,
    pub indices: Vec<u32>,
    /// `None` when all are 1.
    pub weights: Option<Vec<f64>>,
}

impl Rows {
    pub fn row(&self, node: usize) -> std::ops::Range<usize> {
        self.indptr[node]..self.indptr[node + 1]
    }

    /// Weight of a stored entry.
    pub fn weight(&self, at: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[at])
    }

    /// The reversed edges.
    pub fn transposed(&self) -> Self {
        let nodes = self.indptr.len() - 1;
        let indptr = starts(nodes, self.indices.iter().copied());
        let mut next = indptr.clone();
        let mut indices = vec![0; self.indices.len()];
        let mut weights = self.weights.as_ref().map(|weights| vec![0.0; weights.len()]);
        for node in 0..nodes {
            for at in self.row(node) {
                let slot = &mut next[self.indices[at] as usize];
                indices[*slot] = node as u32;
                if let (Some(new), Some(old)) = (&mut weights, &self.weights) {
                    new[*slot] = old[at];
                }
                *slot += 1;
            }
        }
        Self { indptr, indices, weights }
    }

    /// Drops weights that say nothing.
    fn lean(mut self) -> Self {
        self.weights = self.weights.filter(|weights| weights.iter().any(|&weight| weight != 1.0));
        self
    }
}

/// Row starts of entries whose rows are given, in any order.
pub(super) fn starts(nodes: usize, rows: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut indptr = vec![0; nodes + 1];
    for row in rows {
        indptr[row as usize + 1] += 1;
    }
    for node in 0..nodes {
        indptr[node + 1] += indptr[node];
    }
    indptr
}

/// Cleans the edges of a graph of `nodes` nodes.
pub(super) fn clean(
    nodes: usize,
    edges: &Edges,
    cleaning: &Cleaning,
    label: &dyn Fn(u32) -> String,
    notes: &mut Vec<GraphNote>,
) -> Result<Rows, GraphError> {
    let (mut loops, mut dangling) = (Tally::default(), Tally::default());
    let mut kept: Vec<u32> = Vec::with_capacity(edges.pairs.len());
    for (at, &(from, to)) in edges.pairs.iter().enumerate() {
        if let Some(&value) = edges.weights.get(at)
            && !(value == 0.0 || (1e-150..=1e150).contains(&value))
        {
            return Err(GraphError::BadWeight { origin: edges.places.of(at), value });
        }
        if let Some(unknown) = [from, to].into_iter().find(|&end| end as usize >= nodes) {
            if cleaning.dangling == Dangling::Refuse {
                let (origin, node) = (edges.places.of(at), unknown.to_string());
                return Err(GraphError::DanglingEdge { origin, node, allowed: format!("0..{nodes}") });
            }
            dangling.add(|| unknown.to_string());
            continue;
        }
        if from == to {
            if cleaning.self_loops == SelfLoops::Drop && cleaning.strict {
                return Err(GraphError::SelfLoop { origin: edges.places.of(at), node: label(from) });
            }
            loops.add(|| label(from));
            if cleaning.self_loops == SelfLoops::Drop {
                continue;
            }
        }
        kept.push(at as u32);
    }
    notes.extend(dangling.note(|count, first| GraphNote::DanglingEdges { count, first }));
    let keep = cleaning.self_loops == SelfLoops::Keep;
    notes.extend(loops.note(|count, first| GraphNote::SelfLoops { count, first, kept: keep }));

    let rows = merged(nodes, edges, &kept, cleaning, label, notes)?;
    Ok(match cleaning.direction {
        Direction::Directed => rows.lean(),
        Direction::Undirected => symmetrised(&rows, edges.unordered, notes).lean(),
    })
}

/// The kept edges as rows, each once.
fn merged(
    nodes: usize,
    edges: &Edges,
    kept: &[u32],
    cleaning: &Cleaning,
    label: &dyn Fn(u32) -> String,
    notes: &mut Vec<GraphNote>,
) -> Result<Rows, GraphError> {
    let ends = |at: u32| {
        let (from, to) = edges.pairs[at as usize];
        if edges.unordered && from > to { (to, from) } else { (from, to) }
    };
    let given = starts(nodes, kept.iter().map(|&at| ends(at).0));
    let mut next = given.clone();
    let mut order = vec![0u32; kept.len()];
    for &at in kept {
        let slot = &mut next[ends(at).0 as usize];
        order[*slot] = at;
        *slot += 1;
    }
    let summed = cleaning.duplicates == Duplicates::Sum;
    let weigh = summed || !edges.weights.is_empty();
    let weight = |at: u32| edges.weights.get(at as usize).copied().unwrap_or(1.0);
    let mut indptr = Vec::with_capacity(nodes + 1);
    let mut indices: Vec<u32> = Vec::with_capacity(kept.len());
    let mut weights: Vec<f64> = Vec::with_capacity(if weigh { kept.len() } else { 0 });
    let mut repeated = 0;
    // a repetition in strict reading: the one that comes first in the input is named
    let mut offence: Option<u32> = None;
    indptr.push(0);
    for node in 0..nodes {
        let row = &mut order[given[node]..given[node + 1]];
        row.sort_unstable_by_key(|&at| (ends(at).1, at));
        let first = indices.len();
        for &at in row.iter() {
            let to = ends(at).1;
            if indices.len() > first && indices.last() == Some(&to) {
                repeated += 1;
                offence = Some(offence.map_or(at, |earlier| earlier.min(at)));
                if summed {
                    let sum = weights.last_mut().expect("weights are summed");
                    *sum += weight(at);
                    if !sum.is_finite() {
                        return Err(GraphError::BadWeight { origin: edges.places.of(at as usize), value: *sum });
                    }
                }
                continue;
            }
            indices.push(to);
            if weigh {
                weights.push(weight(at));
            }
        }
        indptr.push(indices.len());
    }
    if let Some(at) = offence.filter(|_| cleaning.strict && !summed) {
        let (from, to) = edges.pairs[at as usize];
        let (from, to) = (label(from), label(to));
        return Err(GraphError::DuplicateEdge { origin: edges.places.of(at as usize), from, to });
    }
    if repeated > 0 {
        notes.push(GraphNote::DuplicateEdges { count: repeated, summed });
    }
    Ok(Rows { indptr, indices, weights: weigh.then_some(weights) })
}

/// Both directions of every edge, with the greater of their weights.
fn symmetrised(rows: &Rows, unordered: bool, notes: &mut Vec<GraphNote>) -> Rows {
    let back = rows.transposed();
    let nodes = rows.indptr.len() - 1;
    let mut indptr = Vec::with_capacity(nodes + 1);
    let mut indices = Vec::with_capacity(2 * rows.indices.len());
    let mut weights = rows.weights.as_ref().map(|weights| Vec::with_capacity(2 * weights.len()));
    let (mut one_way, mut unequal) = (0, 0);
    indptr.push(0);
    for node in 0..nodes {
        let (mut out, mut into) = (rows.row(node), back.row(node));
        loop {
            let (next_out, next_into) =
                (rows.indices[..out.end].get(out.start), back.indices[..into.end].get(into.start));
            let to = match (next_out, next_into) {
                (None, None) => break,
                (Some(&out), Some(&into)) => out.min(into),
                (Some(&to), None) | (None, Some(&to)) => to,
            };
            let forth = next_out.filter(|&&out| out == to).and_then(|_| out.next());
            let returned = next_into.filter(|&&into| into == to).and_then(|_| into.next());
            one_way += usize::from(forth.is_some() && returned.is_none());
            indices.push(to);
            if let Some(weights) = &mut weights {
                let (forth, returned) = (forth.map(|at| rows.weight(at)), returned.map(|at| back.weight(at)));
                unequal += usize::from(forth.zip(returned).is_some_and(|(forth, returned)| forth != returned));
                weights.push(forth.unwrap_or(0.0).max(returned.unwrap_or(0.0)));
            }
        }
        indptr.push(indices.len());
    }
    if one_way > 0 && !unordered {
        notes.push(GraphNote::Symmetrised { count: one_way });
    }
    if unequal > 0 {
        // each such link was met from both of its ends
        notes.push(GraphNote::UnequalWeights { count: unequal / 2 });
    }
    Rows { indptr, indices, weights }
}
