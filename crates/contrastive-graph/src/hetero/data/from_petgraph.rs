//! Networks of the `petgraph` crate.

use super::error::HeteroError;
use super::graph::{HeteroGraph, NodeType};
use crate::node::data::{Features, Labels};
use contrastive_data::{Origin, Place};
use ndarray::Array2;
use petgraph::visit::{Data, EdgeRef, GraphBase, IntoEdgeReferences, IntoNodeReferences, NodeRef};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// What a petgraph node says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedNode {
    /// The name of its type.
    pub kind: String,
    /// Its features: as many as every other node of its type has; empty for all of a type without.
    pub features: Vec<f32>,
    /// Its class, if it is a target with one.
    pub label: Option<u32>,
}

impl HeteroGraph {
    /// The nodes and edges of a petgraph graph, with what each node says of itself. Types come in the order of their first nodes, nodes of a
    /// type in the graph's order; two types have one relation, whichever way its edges point. Links among nodes of one type go both ways.
    ///
    /// # Errors
    /// As [`HeteroGraph::new`]; when nodes of one type have different numbers of features.
    pub fn from_petgraph<G>(
        graph: G,
        target: &str,
        mut node: impl FnMut(&<G as Data>::NodeWeight) -> TypedNode,
    ) -> Result<Self, HeteroError>
    where
        G: IntoEdgeReferences + IntoNodeReferences + Data,
        <G as GraphBase>::NodeId: Eq + Hash,
    {
        let mut names: Vec<String> = Vec::new();
        let mut members: Vec<Vec<TypedNode>> = Vec::new();
        let mut place: HashMap<G::NodeId, (usize, u32)> = HashMap::new();
        for (at, reference) in graph.node_references().enumerate() {
            let said = node(reference.weight());
            let kind = names.iter().position(|name| *name == said.kind).unwrap_or_else(|| {
                names.push(said.kind.clone());
                members.push(Vec::new());
                names.len() - 1
            });
            if let Some(first) = members[kind].first()
                && first.features.len() != said.features.len()
            {
                let found = format!("{} features", said.features.len());
                let allowed = format!("{}, as for the nodes of its type before it", first.features.len());
                return Err(Origin::memory(Place::Node(at)).malformed(found, allowed).into());
            }
            place.insert(reference.id(), (kind, members[kind].len() as u32));
            members[kind].push(said);
        }
        let mut links: BTreeMap<(usize, usize), Vec<(u32, u32)>> = BTreeMap::new();
        for edge in graph.edge_references() {
            let (a, b) = (place[&edge.source()], place[&edge.target()]);
            let (first, second) = if a.0 <= b.0 { (a, b) } else { (b, a) };
            let of = links.entry((first.0, second.0)).or_default();
            of.push((first.1, second.1));
            if first.0 == second.0 && first.1 != second.1 {
                of.push((second.1, first.1));
            }
        }
        let types = names.iter().zip(&members).map(|(name, members)| {
            let width = members[0].features.len();
            let rows =
                || Array2::from_shape_fn((members.len(), width), |(node, column)| members[node].features[column]);
            let of = NodeType::new(name.clone(), members.len());
            if width == 0 { of } else { of.with_features(Features::Dense(rows())) }
        });
        let mut built = Self::new("petgraph", types.collect(), target)?;
        for ((from, to), pairs) in links {
            built = built.with_links(&names[from], &names[to], &pairs)?;
        }
        let of_targets: Vec<Option<u32>> = members[built.target()].iter().map(|node| node.label).collect();
        if of_targets.iter().any(Option::is_some) { built.with_labels(Labels::single(&of_targets)) } else { Ok(built) }
    }
}
