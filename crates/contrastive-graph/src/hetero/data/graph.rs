//! The network itself.

use super::error::HeteroError;
use crate::node::data::{Features, GraphError, Labels, NodeSplit};
use contrastive_data::{Digest, Origin, Place};
use contrastive_kernels::sparse::Csr;

/// A type of nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeType {
    /// Its name, which meta-paths use: a letter, say.
    pub name: String,
    /// Number of its nodes.
    pub count: usize,
    /// A feature row for each; without them every node is a feature of its own.
    pub features: Option<Features>,
}

impl NodeType {
    /// A type without features.
    pub fn new(name: impl Into<String>, count: usize) -> Self {
        Self { name: name.into(), count, features: None }
    }

    /// With features, one row a node.
    pub fn with_features(mut self, features: Features) -> Self {
        self.features = Some(features);
        self
    }

    /// Number of columns that an encoder meets.
    pub fn width(&self) -> usize {
        self.features.as_ref().map_or(self.count, Features::num_features)
    }
}

/// Which nodes of two types are linked.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// The place of the first type.
    pub from: usize,
    /// The place of the second type.
    pub to: usize,
    /// Ones where two nodes are linked, nodes of the first type x nodes of the second.
    pub links: Csr<f64>,
    /// Pairs that were given more than once and count once.
    pub repeated: usize,
}

/// A network of several types of nodes, of which one is embedded.
#[derive(Clone, Debug)]
pub struct HeteroGraph {
    name: String,
    types: Vec<NodeType>,
    relations: Vec<Relation>,
    target: usize,
    labels: Option<Labels>,
    splits: Vec<(String, NodeSplit)>,
}

impl HeteroGraph {
    /// A network without links yet; `target` is the type that is embedded.
    ///
    /// # Errors
    /// When a type has no nodes, a name that is empty or holds a `-` or occurs twice, features for another number of nodes or values
    /// that are not finite; when there is no type of the target's name.
    pub fn new(name: impl Into<String>, types: Vec<NodeType>, target: &str) -> Result<Self, HeteroError> {
        for (at, of) in types.iter().enumerate() {
            let wrong =
                |problem: String, allowed| Err(HeteroError::BadType { name: of.name.clone(), problem, allowed });
            if of.name.is_empty() || of.name.contains('-') {
                return wrong("this name".into(), "a name without '-', which divides the types of a meta-path");
            }
            if types[..at].iter().any(|other| other.name == of.name) {
                return wrong("named twice".into(), "each type once");
            }
            if of.count == 0 || u32::try_from(of.count).is_err() {
                return wrong(format!("{} nodes", of.count), "1 to 4294967295 nodes");
            }
            if let Some(features) = &of.features {
                if features.num_nodes() != of.count || features.num_features() == 0 {
                    let problem = format!(
                        "{} x {} features for {} nodes",
                        features.num_nodes(),
                        features.num_features(),
                        of.count
                    );
                    return wrong(problem, "a row for each node, of 1 column or more");
                }
                features.check()?;
            }
        }
        let graph =
            Self { name: name.into(), types, relations: Vec::new(), target: 0, labels: None, splits: Vec::new() };
        let target = graph.type_named(target)?;
        Ok(Self { target, ..graph })
    }

    /// With links between nodes of two types, by pairs of numbers from 0. A pair that is given twice counts once.
    ///
    /// # Errors
    /// When there is no such type, or a pair names a node beyond its type.
    pub fn with_links(self, from: &str, to: &str, pairs: &[(u32, u32)]) -> Result<Self, HeteroError> {
        self.with_links_at(from, to, pairs, |at| Origin::memory(Place::Edge(at)))
    }

    /// [`with_links`](Self::with_links) with a place for each pair.
    pub(super) fn with_links_at(
        mut self,
        from: &str,
        to: &str,
        pairs: &[(u32, u32)],
        place: impl Fn(usize) -> Origin,
    ) -> Result<Self, HeteroError> {
        let (from, to) = (self.type_named(from)?, self.type_named(to)?);
        for (at, &(a, b)) in pairs.iter().enumerate() {
            for (node, side) in [(a, from), (b, to)] {
                let of = &self.types[side];
                if node as usize >= of.count {
                    let (node, last) = (format!("{node} of type {}", of.name), of.count - 1);
                    return Err(HeteroError::OutOfRange { origin: place(at), node, last });
                }
            }
        }
        let mut sorted = pairs.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let entries: Vec<(u32, u32, f64)> = sorted.iter().map(|&(a, b)| (a, b, 1.0)).collect();
        let links = Csr::from_triplets(self.types[from].count, self.types[to].count, &entries);
        let links = links.expect("pairs within their types");
        self.relations.push(Relation { from, to, links, repeated: pairs.len() - sorted.len() });
        Ok(self)
    }

    /// With the classes of the target nodes.
    ///
    /// # Errors
    /// [`GraphError::RowCount`] for another number of nodes.
    pub fn with_labels(mut self, labels: Labels) -> Result<Self, HeteroError> {
        let (found, nodes) = (labels.num_nodes(), self.num_targets());
        if found != nodes {
            return Err(GraphError::RowCount { what: "labels", found, nodes }.into());
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// With a named split of the target nodes; one of the same name is replaced.
    ///
    /// # Errors
    /// [`GraphError::BadSplit`] when the parts overlap, hold a node twice or one that there is not, or none is for training.
    pub fn with_split(mut self, name: &str, split: NodeSplit) -> Result<Self, HeteroError> {
        split.check(name, self.num_targets())?;
        self.splits.retain(|(known, _)| known != name);
        self.splits.push((name.to_owned(), split));
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The types, in order.
    pub fn types(&self) -> &[NodeType] {
        &self.types
    }

    /// The relations, in order.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The place of the target type.
    pub fn target(&self) -> usize {
        self.target
    }

    /// The target type.
    pub fn target_type(&self) -> &NodeType {
        &self.types[self.target]
    }

    /// Number of target nodes.
    pub fn num_targets(&self) -> usize {
        self.types[self.target].count
    }

    /// The classes of the target nodes.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    /// The splits by name.
    pub fn splits(&self) -> &[(String, NodeSplit)] {
        &self.splits
    }

    /// A split by name.
    ///
    /// # Errors
    /// [`GraphError::Missing`] when there is none of that name.
    pub fn split(&self, name: &str) -> Result<&NodeSplit, HeteroError> {
        let found = self.splits.iter().find(|(known, _)| known == name).map(|(_, split)| split);
        found
            .ok_or_else(|| GraphError::Missing { what: "split of this name", allowed: "a split that was given" }.into())
    }

    /// The class of every target node.
    ///
    /// # Errors
    /// [`GraphError::Missing`] when a node has none, or several.
    pub fn classes(&self) -> Result<Vec<u32>, HeteroError> {
        let complete = self.labels.as_ref().and_then(Labels::complete);
        complete
            .ok_or_else(|| GraphError::Missing { what: "class for each target", allowed: "one class a node" }.into())
    }

    /// The place of a type.
    ///
    /// # Errors
    /// [`HeteroError::NoType`] when there is none of that name.
    pub fn type_named(&self, name: &str) -> Result<usize, HeteroError> {
        let known = || self.types.iter().map(|of| of.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.types.iter().position(|of| of.name == name);
        found.ok_or_else(|| HeteroError::NoType { name: name.to_owned(), known: known() })
    }

    /// A digest of types, features, links and classes: a run goes on with the same data only.
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::new().u64(self.target as u64).u64s(self.types.iter().map(|of| of.count as u64));
        for features in self.types.iter().filter_map(|of| of.features.as_ref()) {
            digest = (0..features.num_nodes()).fold(digest.u64(features.num_features() as u64), |digest, node| {
                let row = features.row(node);
                digest.u32s(&row.iter().map(|entry| entry.0).collect::<Vec<_>>()).f32s(row.iter().map(|entry| entry.1))
            });
        }
        for relation in &self.relations {
            digest = digest.u64(relation.from as u64).u64(relation.to as u64);
            digest = digest.u64s(relation.links.indptr().iter().map(|&at| at as u64)).u32s(relation.links.indices());
        }
        match &self.labels {
            None => digest.u64(0),
            Some(labels) => (0..labels.num_nodes()).fold(digest.u64(1), |digest, node| digest.u32s(labels.of(node))),
        }
    }
}
