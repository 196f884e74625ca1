//! The graph.

use super::clean::{Cleaning, Direction, Edges, Places, Rows, Tally, clean};
use super::error::GraphError;
use super::features::{Features, Labels};
use super::note::GraphNote;
use super::split::NodeSplit;

/// A graph of nodes with what is known of them: features, classes, targets, splits.
///
/// Nodes are numbered `0..num_nodes()`. Edges are stored in compressed rows, the targets of each node in ascending order; an
/// undirected graph stores both directions of a link, and a self-loop once. Weights are 0 or from 1e-150 to 1e150, so that no
/// degree over- or underflows; a graph in which all are 1 stores none.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    name: String,
    directed: bool,
    pub(super) rows: Rows,
    ids: Option<Vec<String>>,
    features: Option<Features>,
    labels: Option<Labels>,
    targets: Option<Vec<f32>>,
    splits: Vec<(String, NodeSplit)>,
    notes: Vec<GraphNote>,
}

/// What a constructor has gathered.
pub(super) struct Draft {
    pub name: String,
    pub nodes: usize,
    pub edges: Edges,
    pub ids: Option<Vec<String>>,
    pub features: Option<Features>,
    /// Nodes whose feature row was not given.
    pub missing_features: Vec<u32>,
    pub labels: Option<Labels>,
    pub targets: Option<Vec<f32>>,
    pub splits: Vec<(String, NodeSplit)>,
    pub notes: Vec<GraphNote>,
}

impl Draft {
    /// Nodes and edges, nothing else.
    pub fn new(name: impl Into<String>, nodes: usize, edges: Edges) -> Self {
        Self {
            name: name.into(),
            nodes,
            edges,
            ids: None,
            features: None,
            missing_features: Vec::new(),
            labels: None,
            targets: None,
            splits: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Cleans the edges and checks the rest.
    pub fn finish(self, cleaning: &Cleaning) -> Result<Graph, GraphError> {
        let Self { name, nodes, edges, ids, features, missing_features, labels, targets, splits, mut notes } = self;
        let whole = || edges.places.whole();
        if nodes == 0 {
            return Err(GraphError::NoNodes { origin: whole() });
        }
        for (what, count) in [("number of nodes", nodes), ("number of edges", edges.pairs.len())] {
            if count > u32::MAX as usize {
                return Err(whole().limit(what, count as u64, u32::MAX.into()).into());
            }
        }
        let label = |node: u32| ids.as_ref().map_or_else(|| node.to_string(), |ids| ids[node as usize].clone());
        if let Some(ids) = &ids {
            let (first, last) = (ids[0].clone(), ids[nodes - 1].clone());
            notes.push(GraphNote::Renumbered { ids: nodes, first, last });
        }
        let rows = clean(nodes, &edges, cleaning, &label, &mut notes)?;

        let mut lacking =
            |what: &'static str, of: &mut dyn Iterator<Item = u32>, note: fn(usize, String) -> GraphNote| {
                let mut tally = Tally::default();
                of.for_each(|node| tally.add(|| label(node)));
                match tally.first {
                    Some(first) if cleaning.strict => {
                        Err(GraphError::Incomplete { origin: whole(), what, count: tally.count, first })
                    }
                    _ => {
                        notes.extend(tally.note(note));
                        Ok(())
                    }
                }
            };
        let isolated = |node: &u32| rows.indices[rows.row(*node as usize)].iter().all(|to| to == node);
        let all = 0..nodes as u32;
        lacking("have no edge to another", &mut all.clone().filter(isolated), |count, first| {
            GraphNote::IsolatedNodes { count, first }
        })?;
        lacking("have no features", &mut missing_features.into_iter(), |count, first| GraphNote::MissingFeatures {
            count,
            first,
        })?;
        if let Some(labels) = labels.as_ref().filter(|labels| labels.num_nodes() == nodes) {
            let unlabelled = |node: &u32| labels.of(*node as usize).is_empty();
            lacking("have no label", &mut all.filter(unlabelled), |count, first| GraphNote::MissingLabels {
                count,
                first,
            })?;
        }
        let directed = cleaning.direction == Direction::Directed;
        let mut graph =
            Graph { name, directed, rows, ids, features: None, labels: None, targets: None, splits: Vec::new(), notes };
        graph.features = features.map(|features| graph.fitting_features(features)).transpose()?;
        graph.labels = labels.map(|labels| graph.fitting(labels.num_nodes(), "labels", labels)).transpose()?;
        graph.targets = targets.map(|targets| graph.fitting(targets.len(), "targets", targets)).transpose()?;
        for (name, split) in splits {
            graph.add_split(&name, split)?;
        }
        Ok(graph)
    }
}

impl Graph {
    /// A graph of `nodes` nodes from a list of edges.
    ///
    /// # Errors
    /// [`GraphError::NoNodes`], [`GraphError::File`], [`GraphError::DanglingEdge`], and what [`Cleaning::strict`] refuses.
    pub fn from_edges(nodes: usize, edges: &[(u32, u32)], cleaning: &Cleaning) -> Result<Self, GraphError> {
        Self::from_memory(nodes, edges.to_vec(), Vec::new(), false, cleaning)
    }

    /// A graph of `nodes` nodes from a list of (from, to, weight).
    ///
    /// # Errors
    /// As [`from_edges`](Self::from_edges), and [`GraphError::BadWeight`].
    pub fn from_weighted_edges(
        nodes: usize,
        edges: &[(u32, u32, f64)],
        cleaning: &Cleaning,
    ) -> Result<Self, GraphError> {
        let pairs = edges.iter().map(|&(from, to, _)| (from, to)).collect();
        Self::from_memory(nodes, pairs, edges.iter().map(|edge| edge.2).collect(), false, cleaning)
    }

    pub(super) fn from_memory(
        nodes: usize,
        pairs: Vec<(u32, u32)>,
        weights: Vec<f64>,
        unordered: bool,
        cleaning: &Cleaning,
    ) -> Result<Self, GraphError> {
        Draft::new("graph", nodes, Edges { pairs, weights, places: Places::Memory, unordered }).finish(cleaning)
    }

    /// The same graph under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same graph with these features.
    ///
    /// # Errors
    /// [`GraphError::RowCount`], [`GraphError::BadFeature`].
    pub fn with_features(mut self, features: Features) -> Result<Self, GraphError> {
        self.features = Some(self.fitting_features(features)?);
        self.notes.retain(|note| !matches!(note, GraphNote::MissingFeatures { .. }));
        Ok(self)
    }

    /// The same graph with these classes.
    ///
    /// # Errors
    /// [`GraphError::RowCount`].
    pub fn with_labels(mut self, labels: Labels) -> Result<Self, GraphError> {
        self.labels = Some(self.fitting(labels.num_nodes(), "labels", labels)?);
        self.notes.retain(|note| !matches!(note, GraphNote::MissingLabels { .. }));
        Ok(self)
    }

    /// Adds a split under a name; a split of that name is replaced.
    ///
    /// # Errors
    /// [`GraphError::BadSplit`] for a node out of range or named twice, or nothing to train on.
    pub fn add_split(&mut self, name: &str, split: NodeSplit) -> Result<(), GraphError> {
        split.check(name, self.num_nodes())?;
        self.splits.retain(|(existing, _)| existing != name);
        self.splits.push((name.to_owned(), split));
        Ok(())
    }

    fn fitting<T>(&self, found: usize, what: &'static str, value: T) -> Result<T, GraphError> {
        let nodes = self.num_nodes();
        if found == nodes { Ok(value) } else { Err(GraphError::RowCount { what, found, nodes }) }
    }

    fn fitting_features(&self, features: Features) -> Result<Features, GraphError> {
        features.check()?;
        self.fitting(features.num_nodes(), "features", features)
    }

    /// The graph's name: its file or folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of nodes.
    pub fn num_nodes(&self) -> usize {
        self.rows.indptr.len() - 1
    }

    /// Number of stored entries: edges of a directed graph; of an undirected one, twice the links and once the self-loops.
    pub fn num_entries(&self) -> usize {
        self.rows.indices.len()
    }

    /// Number of edges, a link between two nodes of an undirected graph counted once.
    pub fn num_edges(&self) -> usize {
        if self.directed { self.num_entries() } else { (self.num_entries() + self.num_self_loops()) / 2 }
    }

    /// Number of nodes with an edge to themselves.
    pub fn num_self_loops(&self) -> usize {
        (0..self.num_nodes() as u32).filter(|&node| self.has_edge(node, node)).count()
    }

    /// Whether edges have a direction.
    pub fn is_directed(&self) -> bool {
        self.directed
    }

    /// Whether some weight is not 1.
    pub fn is_weighted(&self) -> bool {
        self.rows.weights.is_some()
    }

    /// Where the edges of each node start, and the number of entries at the end: `num_nodes() + 1` numbers.
    pub fn indptr(&self) -> &[usize] {
        &self.rows.indptr
    }

    /// Targets of all edges, node after node.
    pub fn indices(&self) -> &[u32] {
        &self.rows.indices
    }

    /// Weights of all edges, node after node; `None` when all are 1.
    pub fn weights(&self) -> Option<&[f64]> {
        self.rows.weights.as_deref()
    }

    /// The nodes that a node's edges lead to, ascending.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn neighbours(&self, node: u32) -> &[u32] {
        &self.rows.indices[self.rows.row(node as usize)]
    }

    /// Whether there is an edge.
    ///
    /// # Panics
    /// When there is no node `from`.
    pub fn has_edge(&self, from: u32, to: u32) -> bool {
        self.neighbours(from).binary_search(&to).is_ok()
    }

    /// All edges with their weights, by start and end; a link of an undirected graph once, from its lesser end.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32, f64)> {
        (0..self.num_nodes()).flat_map(move |from| {
            let entries = self.rows.row(from).map(move |at| (from as u32, self.rows.indices[at], self.rows.weight(at)));
            entries.filter(|&(from, to, _)| self.directed || from <= to)
        })
    }

    /// Features, if there are any.
    pub fn features(&self) -> Option<&Features> {
        self.features.as_ref()
    }

    /// Classes, if there are any.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    /// A number per node to be predicted, if there is one.
    pub fn targets(&self) -> Option<&[f32]> {
        self.targets.as_deref()
    }

    /// All splits with their names.
    pub fn splits(&self) -> &[(String, NodeSplit)] {
        &self.splits
    }

    /// The split of a name: `public` for Planetoid's.
    pub fn split(&self, name: &str) -> Option<&NodeSplit> {
        self.splits.iter().find(|(existing, _)| existing == name).map(|(_, split)| split)
    }

    /// The id of a node in its file; its number, where the two are the same.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn id(&self, node: u32) -> String {
        assert!((node as usize) < self.num_nodes(), "node {node} of {}", self.num_nodes());
        self.ids.as_ref().map_or_else(|| node.to_string(), |ids| ids[node as usize].clone())
    }

    /// The ids in the file by node, where they are not the numbers themselves.
    pub fn ids(&self) -> Option<&[String]> {
        self.ids.as_deref()
    }

    /// What was found and done when the graph was made.
    pub fn notes(&self) -> &[GraphNote] {
        &self.notes
    }

    /// The features, or the error that says what to do without them.
    ///
    /// # Errors
    /// [`GraphError::Missing`].
    pub fn require_features(&self) -> Result<&Features, GraphError> {
        let allowed = "a graph read with features, Graph::with_features, or features made of the graph itself: \
             Graph::with_identity_features, with_adjacency_features, with_degree_features";
        self.features.as_ref().ok_or(GraphError::Missing { what: "features", allowed })
    }

    /// The classes, or the error that says what to do without them.
    ///
    /// # Errors
    /// [`GraphError::Missing`].
    pub fn require_labels(&self) -> Result<&Labels, GraphError> {
        let allowed = "a graph read with labels, or Graph::with_labels";
        self.labels.as_ref().ok_or(GraphError::Missing { what: "labels", allowed })
    }

    /// The same nodes with the edges for which `keep(from, to)` holds; an undirected link is asked about once, from its
    /// lesser end. Isolated nodes that arise are not noted.
    pub fn filter_edges(&self, mut keep: impl FnMut(u32, u32) -> bool) -> Self {
        let mut kept = vec![false; self.num_entries()];
        for from in 0..self.num_nodes() {
            for at in self.rows.row(from) {
                let to = self.rows.indices[at];
                if self.directed || from as u32 <= to {
                    kept[at] = keep(from as u32, to);
                } else {
                    let mirror = self.rows.row(to as usize);
                    let place = self.rows.indices[mirror.clone()].binary_search(&(from as u32));
                    kept[at] = kept[mirror.start + place.expect("both directions are stored")];
                }
            }
        }
        let mut graph = self.clone();
        let indptr = &self.rows.indptr;
        let kept_at = |at: &usize| kept[*at];
        let counts = (0..self.num_nodes()).flat_map(|node| {
            let count = (indptr[node]..indptr[node + 1]).filter(kept_at).count();
            std::iter::repeat_n(node as u32, count)
        });
        let all = 0..self.num_entries();
        graph.rows = Rows {
            indptr: super::clean::starts(self.num_nodes(), counts),
            indices: all.clone().filter(kept_at).map(|at| self.rows.indices[at]).collect(),
            weights: self.rows.weights.as_ref().map(|weights| all.filter(kept_at).map(|at| weights[at]).collect()),
        };
        graph
    }
}
