//! Graphs of the `petgraph` crate.

use std::collections::HashMap;
use std::hash::Hash;

use ndarray::Array2;
use petgraph::visit::{
    Data, EdgeRef, GraphBase, GraphProp, IntoEdgeReferences, IntoNodeIdentifiers, IntoNodeReferences, NodeRef,
};

use super::clean::{Cleaning, Direction, Edges, Places};
use contrastive_data::{Origin, Place};

use super::error::GraphError;
use super::features::{Features, Labels};
use super::graph::{Draft, Graph};

/// What a petgraph node says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeRecord {
    /// Its features; empty for a node without (it gets zeros), else as many as every other node's.
    pub features: Vec<f32>,
    /// Its class, if known.
    pub label: Option<u32>,
}

/// Nodes and edges, numbered in the graph's order of nodes.
fn edges_of<G>(graph: G, mut weight: impl FnMut(&G::EdgeWeight) -> f64) -> (usize, Edges)
where
    G: IntoNodeIdentifiers + IntoEdgeReferences + GraphProp + Data,
    G::NodeId: Eq + Hash,
{
    let number: HashMap<G::NodeId, u32> = graph.node_identifiers().zip(0..).collect();
    let mut edges =
        Edges { pairs: Vec::new(), weights: Vec::new(), places: Places::Memory, unordered: !graph.is_directed() };
    for edge in graph.edge_references() {
        edges.pairs.push((number[&edge.source()], number[&edge.target()]));
        edges.weights.push(weight(edge.weight()));
    }
    (number.len(), edges)
}

impl Graph {
    /// The nodes and edges of a petgraph graph: `&Graph`, `&StableGraph`, `&GraphMap` and so on, of any edge and index type.
    ///
    /// Node `i` is the `i`-th of `node_identifiers()`; holes in a stable graph leave no trace. Directed graphs become
    /// undirected ones unless [`Cleaning::direction`] says otherwise; an undirected graph has no direction to keep.
    ///
    /// # Errors
    /// As [`from_edges`](Self::from_edges); [`GraphError::Option`] for [`Direction::Directed`] with an undirected graph.
    pub fn from_petgraph<G>(graph: G, cleaning: &Cleaning) -> Result<Self, GraphError>
    where
        G: IntoNodeIdentifiers + IntoEdgeReferences + GraphProp + Data,
        G::NodeId: Eq + Hash,
    {
        let (nodes, edges) = edges_of(graph, |_| 1.0);
        draft(nodes, edges, cleaning)?.finish(cleaning)
    }

    /// As [`from_petgraph`](Self::from_petgraph), with a weight made of each edge's and a record of each node's.
    ///
    /// ```
    /// use contrastive_graph::node::data::{Cleaning, Graph, NodeRecord};
    /// use petgraph::graph::UnGraph;
    ///
    /// let mut papers = UnGraph::<(&str, [f32; 2]), f64>::new_undirected();
    /// let a = papers.add_node(("logic", [1.0, 0.0]));
    /// let b = papers.add_node(("sets", [0.0, 3.0]));
    /// papers.add_edge(a, b, 2.0);
    /// let record = |paper: &(&str, [f32; 2])| NodeRecord { features: paper.1.to_vec(), label: None };
    /// let graph = Graph::from_petgraph_with(&papers, record, |weight| *weight, &Cleaning::default())?;
    /// assert_eq!((graph.num_nodes(), graph.num_edges()), (2, 1));
    /// assert_eq!(graph.features().unwrap().num_features(), 2);
    /// # Ok::<(), contrastive_graph::node::data::GraphError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_petgraph`](Self::from_petgraph); [`GraphError::BadWeight`]; [`GraphError::File`] for records whose
    /// numbers of features differ.
    pub fn from_petgraph_with<G>(
        graph: G,
        mut record: impl FnMut(&<G as Data>::NodeWeight) -> NodeRecord,
        weight: impl FnMut(&G::EdgeWeight) -> f64,
        cleaning: &Cleaning,
    ) -> Result<Self, GraphError>
    where
        G: IntoNodeIdentifiers + IntoEdgeReferences + IntoNodeReferences + GraphProp + Data,
        <G as GraphBase>::NodeId: Eq + Hash,
    {
        let (nodes, edges) = edges_of(graph, weight);
        let records: Vec<NodeRecord> = graph.node_references().map(|node| record(node.weight())).collect();
        let mut draft = draft(nodes, edges, cleaning)?;
        if let Some(width) = records.iter().map(|record| record.features.len()).find(|&width| width > 0) {
            let mut rows = Array2::zeros((nodes, width));
            for (node, record) in records.iter().enumerate() {
                match record.features.len() {
                    0 => draft.missing_features.push(node as u32),
                    found if found == width => {
                        rows.row_mut(node).iter_mut().zip(&record.features).for_each(|(to, from)| *to = *from);
                    }
                    found => {
                        let allowed = format!("{width}, as for the nodes before it, or none");
                        return Err(Origin::memory(Place::Node(node))
                            .malformed(format!("{found} features"), allowed)
                            .into());
                    }
                }
            }
            draft.features = Some(Features::Dense(rows));
        }
        if records.iter().any(|record| record.label.is_some()) {
            draft.labels = Some(Labels::single(&records.iter().map(|record| record.label).collect::<Vec<_>>()));
        }
        draft.finish(cleaning)
    }
}

fn draft(nodes: usize, edges: Edges, cleaning: &Cleaning) -> Result<Draft, GraphError> {
    if edges.unordered && cleaning.direction == Direction::Directed {
        let (value, allowed) = ("Directed".into(), "Direction::Undirected for an undirected petgraph graph");
        return Err(GraphError::Option { name: "Cleaning::direction", value, allowed });
    }
    Ok(Draft::new("petgraph", nodes, edges))
}
