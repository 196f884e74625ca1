//! Packed graphs.

use crate::draw::shuffle;
use crate::node::data::{GraphError, GraphNote};
use contrastive_data::{Origin, Place};
use ndarray::Array2;
use petgraph::EdgeType;
use petgraph::graph::{Graph as Petgraph, IndexType};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;

/// What a [`GraphSet`] is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphParts {
    /// Name of the set.
    pub name: String,
    /// Nodes of each graph.
    pub sizes: Vec<usize>,
    /// Links between nodes, numbered through all graphs; in one direction or in both.
    pub edges: Vec<(u32, u32)>,
    /// A label for each of the edges, or none.
    pub edge_labels: Option<Vec<u32>>,
    /// A label for each node; without, the degree of a node takes its place.
    pub node_labels: Option<Vec<u32>>,
    /// Numbers for each node, `[nodes, attributes]`.
    pub attributes: Option<Array2<f32>>,
    /// A class for each graph.
    pub classes: Option<Vec<u32>>,
}

/// Undirected graphs, packed: nodes are numbered through, and so are edges, those of a graph one after the other.
///
/// Edges from a node to itself and repeated ones are left out and counted in [`notes`](Self::notes).
#[derive(Clone, Debug, PartialEq)]
pub struct GraphSet {
    name: String,
    node_starts: Vec<usize>,
    edge_starts: Vec<usize>,
    /// Within the graph, the lesser end first, ascending.
    edges: Vec<(u32, u32)>,
    edge_labels: Option<Vec<u32>>,
    node_labels: Vec<u32>,
    labelled: bool,
    attributes: Option<Array2<f32>>,
    classes: Option<Vec<u32>>,
    kinds: [usize; 3],
    notes: Vec<GraphNote>,
}

/// One graph by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmallGraph {
    /// The label of each node.
    pub labels: Vec<u32>,
    /// Links, the lesser end first, ascending.
    pub edges: Vec<(u32, u32)>,
    /// The label of each link.
    pub edge_labels: Vec<u32>,
}

/// Where the parts of a set came from, for messages.
pub(super) type Places<'a> = &'a dyn Fn(Place) -> Origin;

impl GraphSet {
    /// Checks and packs.
    ///
    /// # Errors
    /// [`GraphError::NoNodes`] without graphs; [`GraphError::File`] for a graph without a node, an edge that joins two graphs or leads
    /// nowhere; [`GraphError::RowCount`] for lists of another length; [`GraphError::BadFeature`].
    pub fn new(parts: GraphParts) -> Result<Self, GraphError> {
        Self::from_places(parts, &|place| Origin::memory(place))
    }

    pub(super) fn from_places(parts: GraphParts, place: Places<'_>) -> Result<Self, GraphError> {
        let GraphParts { name, sizes, edges, edge_labels, node_labels, attributes, classes } = parts;
        if sizes.is_empty() {
            return Err(GraphError::NoNodes { origin: place(Place::Whole) });
        }
        if let Some(graph) = sizes.iter().position(|&size| size == 0) {
            let part = place(Place::Part(format!("graph number {graph}")));
            return Err(part.malformed("no node", "at least one node in each graph").into());
        }
        let mut node_starts = vec![0];
        sizes.iter().for_each(|size| node_starts.push(node_starts[node_starts.len() - 1] + size));
        let nodes = node_starts[sizes.len()];
        if nodes > u32::MAX as usize {
            return Err(place(Place::Whole).limit("number of nodes", nodes as u64, u32::MAX.into()).into());
        }
        let of_length = |what, found: usize, nodes| match found == nodes {
            true => Ok(()),
            false => Err(GraphError::RowCount { what, found, nodes }),
        };
        of_length("node labels", node_labels.as_ref().map_or(nodes, Vec::len), nodes)?;
        of_length("attributes", attributes.as_ref().map_or(nodes, Array2::nrows), nodes)?;
        for (what, found, wanted) in [
            ("edge labels", edge_labels.as_ref().map_or(edges.len(), Vec::len), edges.len()),
            ("classes", classes.as_ref().map_or(sizes.len(), Vec::len), sizes.len()),
        ] {
            if found != wanted {
                let allowed = format!("one for each of the {wanted}");
                return Err(place(Place::Whole).malformed(format!("{found} {what}"), allowed).into());
            }
        }
        if let Some((at, value)) =
            attributes.iter().flat_map(|x| x.indexed_iter()).find(|(_, value)| !value.is_finite())
        {
            return Err(GraphError::BadFeature { origin: place(Place::Node(at.0)), column: at.1, value: *value });
        }
        let graph_of: Vec<u32> =
            (0u32..).zip(&sizes).flat_map(|(graph, &size)| std::iter::repeat_n(graph, size)).collect();
        let mut unique = BTreeMap::new();
        let (mut loops, mut first_loop, mut given) = (0, None, BTreeMap::new());
        for (at, &(a, b)) in edges.iter().enumerate() {
            if let Some(node) = [a, b].into_iter().find(|&node| node as usize >= nodes) {
                let allowed = format!("nodes below {nodes}");
                return Err(place(Place::Edge(at)).malformed(format!("an edge to node {node}"), allowed).into());
            }
            let (one, other) = (graph_of[a as usize], graph_of[b as usize]);
            if one != other {
                let found = format!("an edge between node {a} of graph {one} and node {b} of graph {other}");
                return Err(place(Place::Edge(at)).malformed(found, "edges within a graph").into());
            }
            if a == b {
                loops += 1;
                first_loop.get_or_insert(a);
                continue;
            }
            let label = edge_labels.as_ref().map_or(0, |labels| labels[at]);
            *given.entry((a, b)).or_insert(0usize) += 1;
            let known = *unique.entry((one, a.min(b), a.max(b))).or_insert(label);
            if known != label {
                let found = format!("edge ({a}, {b}) with labels {known} and {label}");
                return Err(place(Place::Edge(at)).malformed(found, "one label for both directions").into());
            }
        }
        let mut notes = Vec::new();
        if let Some(first) = first_loop {
            notes.push(GraphNote::SelfLoops { count: loops, first: first.to_string(), kept: false });
        }
        let repeated: usize = given.values().map(|times| times - 1).sum();
        if repeated > 0 {
            notes.push(GraphNote::DuplicateEdges { count: repeated, summed: false });
        }
        // a set given in both directions has each edge twice; one that has some only once is told of
        let single = given.keys().filter(|(a, b)| !given.contains_key(&(*b, *a))).count();
        if single > 0 && single < given.len() {
            notes.push(GraphNote::Symmetrised { count: single });
        }
        let mut edge_starts = vec![0; sizes.len() + 1];
        unique.keys().for_each(|key| edge_starts[key.0 as usize + 1] += 1);
        (0..sizes.len()).for_each(|graph| edge_starts[graph + 1] += edge_starts[graph]);
        let within = |node: u32, graph: u32| node - node_starts[graph as usize] as u32;
        let packed: Vec<(u32, u32)> = unique.keys().map(|&(g, a, b)| (within(a, g), within(b, g))).collect();
        let mut degrees = vec![0; nodes];
        unique.keys().for_each(|&(_, a, b)| [a, b].into_iter().for_each(|node| degrees[node as usize] += 1));
        let isolated = degrees.iter().filter(|&&degree| degree == 0).count();
        if let Some(first) = degrees.iter().position(|&degree| degree == 0) {
            notes.push(GraphNote::IsolatedNodes { count: isolated, first: first.to_string() });
        }
        let edge_labels = edge_labels.map(|_| unique.into_values().collect::<Vec<u32>>());
        let labelled = node_labels.is_some();
        let node_labels = node_labels.unwrap_or(degrees);
        let kinds = |labels: &[u32]| labels.iter().max().map_or(0, |&most| most as usize + 1);
        let edge_kinds = edge_labels.as_deref().map_or(1, kinds).max(1);
        let kinds = [kinds(&node_labels), edge_kinds, classes.as_deref().map_or(0, kinds)];
        Ok(Self {
            name,
            node_starts,
            edge_starts,
            edges: packed,
            edge_labels,
            node_labels,
            labelled,
            attributes,
            classes,
            kinds,
            notes,
        })
    }

    /// A set from `petgraph` graphs, node and edge labels as the functions say.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_petgraph<N, E, Ty: EdgeType, Ix: IndexType>(
        graphs: &[Petgraph<N, E, Ty, Ix>],
        node_label: impl Fn(&N) -> u32,
        edge_label: impl Fn(&E) -> u32,
        classes: Option<Vec<u32>>,
    ) -> Result<Self, GraphError> {
        let mut parts = GraphParts { name: "petgraph".into(), classes, ..Default::default() };
        let (mut labels, mut of_edges, mut first) = (Vec::new(), Vec::new(), 0);
        for graph in graphs {
            labels.extend(graph.node_weights().map(&node_label));
            for edge in graph.edge_indices() {
                let (a, b) = graph.edge_endpoints(edge).expect("an edge of the graph");
                parts.edges.push((first + a.index() as u32, first + b.index() as u32));
                of_edges.push(edge_label(&graph[edge]));
            }
            parts.sizes.push(graph.node_count());
            first += graph.node_count() as u32;
        }
        (parts.node_labels, parts.edge_labels) = (Some(labels), Some(of_edges));
        Self::new(parts)
    }

    /// Name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of graphs.
    pub fn len(&self) -> usize {
        self.node_starts.len() - 1
    }

    /// Are there no graphs? Never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of nodes of all graphs.
    pub fn num_nodes(&self) -> usize {
        self.node_labels.len()
    }

    /// Number of links of all graphs, each counted once.
    pub fn num_edges(&self) -> usize {
        self.edges.len()
    }

    /// Number of node labels: the greatest and one.
    pub fn num_node_labels(&self) -> usize {
        self.kinds[0]
    }

    /// Number of edge labels, 1 where edges have none.
    pub fn num_edge_labels(&self) -> usize {
        self.kinds[1]
    }

    /// Number of classes, 0 where graphs have none.
    pub fn num_classes(&self) -> usize {
        self.kinds[2]
    }

    /// Whether nodes came with labels; without, their degrees stand in.
    pub fn has_node_labels(&self) -> bool {
        self.labelled
    }

    /// Numbers for each node, `[nodes, attributes]`, if there are any.
    pub fn attributes(&self) -> Option<&Array2<f32>> {
        self.attributes.as_ref()
    }

    /// The class of each graph.
    ///
    /// # Errors
    /// [`GraphError::Missing`] where graphs have none.
    pub fn classes(&self) -> Result<&[u32], GraphError> {
        let allowed = "a set with a class for each graph";
        self.classes.as_deref().ok_or(GraphError::Missing { what: "classes", allowed })
    }

    /// What was found and done when the set was made.
    pub fn notes(&self) -> &[GraphNote] {
        &self.notes
    }

    /// How often each edge label occurs, as shares.
    pub fn edge_label_shares(&self) -> Vec<f64> {
        let mut counts = vec![0f64; self.num_edge_labels()];
        match &self.edge_labels {
            None => counts[0] = self.edges.len().max(1) as f64,
            Some(labels) => labels.iter().for_each(|&label| counts[label as usize] += 1.0),
        }
        let sum: f64 = counts.iter().sum();
        counts.iter().map(|count| count / sum.max(1.0)).collect()
    }

    /// One graph.
    ///
    /// # Panics
    /// When there is no such graph.
    pub fn graph(&self, graph: usize) -> SmallGraph {
        let (nodes, edges) = (
            self.node_starts[graph]..self.node_starts[graph + 1],
            self.edge_starts[graph]..self.edge_starts[graph + 1],
        );
        SmallGraph {
            labels: self.node_labels[nodes].to_vec(),
            edge_labels: self
                .edge_labels
                .as_ref()
                .map_or_else(|| vec![0; edges.len()], |labels| labels[edges.clone()].to_vec()),
            edges: self.edges[edges].to_vec(),
        }
    }

    /// Some of the graphs, in this order; numbers of labels and classes stay those of the whole, so that a model of the one fits the
    /// other.
    ///
    /// # Errors
    /// [`GraphError::NoNodes`] for an empty list.
    ///
    /// # Panics
    /// When there is no such graph.
    pub fn select(&self, graphs: &[usize]) -> Result<Self, GraphError> {
        if graphs.is_empty() {
            return Err(GraphError::NoNodes { origin: Origin::memory(Place::Whole) });
        }
        let nodes: Vec<usize> =
            graphs.iter().flat_map(|&graph| self.node_starts[graph]..self.node_starts[graph + 1]).collect();
        let edges: Vec<usize> =
            graphs.iter().flat_map(|&graph| self.edge_starts[graph]..self.edge_starts[graph + 1]).collect();
        let starts = |of: &[usize]| {
            let sizes = graphs.iter().map(|&graph| of[graph + 1] - of[graph]);
            std::iter::once(0)
                .chain(sizes.scan(0, |sum, size| {
                    *sum += size;
                    Some(*sum)
                }))
                .collect()
        };
        Ok(Self {
            name: self.name.clone(),
            node_starts: starts(&self.node_starts),
            edge_starts: starts(&self.edge_starts),
            edges: edges.iter().map(|&at| self.edges[at]).collect(),
            edge_labels: self.edge_labels.as_ref().map(|labels| edges.iter().map(|&at| labels[at]).collect()),
            node_labels: nodes.iter().map(|&at| self.node_labels[at]).collect(),
            labelled: self.labelled,
            attributes: self.attributes.as_ref().map(|rows| rows.select(ndarray::Axis(0), &nodes)),
            classes: self.classes.as_ref().map(|classes| graphs.iter().map(|&graph| classes[graph]).collect()),
            kinds: self.kinds,
            notes: self.notes.clone(),
        })
    }

    /// Two lists of graphs, the first with this share of each class (of all graphs, where there are none), rounded down but at least
    /// one; in random order.
    ///
    /// # Errors
    /// [`GraphError::Option`] for a share outside of 0 to 1, [`GraphError::ClassTooSmall`] for a class of one graph.
    pub fn split(&self, share: f64, seed: u64) -> Result<[Vec<usize>; 2], GraphError> {
        if !(0.0..1.0).contains(&share) || share == 0.0 {
            return Err(GraphError::Option { name: "share", value: share.to_string(), allowed: "above 0 and below 1" });
        }
        let mut groups = vec![Vec::new(); self.num_classes().max(1)];
        (0..self.len())
            .for_each(|graph| groups[self.classes.as_ref().map_or(0, |classes| classes[graph] as usize)].push(graph));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut parts = [Vec::new(), Vec::new()];
        for (class, mut group) in groups.into_iter().enumerate().filter(|(_, group)| !group.is_empty()) {
            if group.len() < 2 {
                return Err(GraphError::ClassTooSmall { class, found: group.len(), wanted: 2 });
            }
            shuffle(&mut rng, &mut group);
            let first = ((group.len() as f64 * share) as usize).clamp(1, group.len() - 1);
            parts[1].extend(group.split_off(first));
            parts[0].extend(group);
        }
        parts.iter_mut().for_each(|part| shuffle(&mut rng, part));
        Ok(parts)
    }

    /// A digest of graphs, labels and classes, for checkpoints.
    pub(crate) fn digest(&self) -> String {
        let ends = self.edges.iter().flat_map(|&(a, b)| [u64::from(a), u64::from(b)]);
        let labels = self.edge_labels.iter().flatten().chain(&self.node_labels).chain(self.classes.iter().flatten());
        let all = self.node_starts.iter().chain(&self.edge_starts).map(|&start| start as u64).chain(ends);
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for number in all.chain(labels.map(|&label| label.into())) {
            hash = (hash ^ number).wrapping_mul(0x0000_0100_0000_01b3);
            hash ^= hash >> 29;
        }
        format!("{hash:016x}")
    }
}
