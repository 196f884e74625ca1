//! Generated sets: random graphs whose class is a motif.

use super::set::{GraphParts, GraphSet};
use crate::draw::below;
use crate::node::data::GraphError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Size and shape of [`motif_graphs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MotifOptions {
    /// Number of graphs. Default 120.
    pub graphs: usize,
    /// Nodes of the tree that each graph is built on, at least 6. Default 12.
    pub nodes: usize,
    /// Number of copies of the motif in a graph. Default 2.
    pub copies: usize,
    /// Seed of everything. Default 7.
    pub seed: u64,
}

impl Default for MotifOptions {
    fn default() -> Self {
        Self { graphs: 120, nodes: 12, copies: 2, seed: 7 }
    }
}

/// Random trees with motifs on them: triangles in graphs of class 0, cycles of four in those of class 1. Node labels are drawn from three
/// without regard to the class, edge labels are 0 in the tree and 1 in motifs. Equal options give equal sets.
///
/// # Errors
/// [`GraphError::Option`] for fewer than two graphs or six nodes.
pub fn motif_graphs(options: &MotifOptions) -> Result<GraphSet, GraphError> {
    let &MotifOptions { graphs, nodes, copies, seed } = options;
    for (name, value, least, allowed) in [("graphs", graphs, 2, "2 or more"), ("nodes", nodes, 6, "6 or more")] {
        if value < least {
            return Err(GraphError::Option { name, value: value.to_string(), allowed });
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut parts = GraphParts { name: "generated (motifs on trees)".into(), ..Default::default() };
    let (mut labels, mut of_edges, mut classes, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0u32);
    for graph in 0..graphs {
        let motif = 3 + (graph % 2) as u32;
        let mut size = nodes as u32 - below(&mut rng, 4);
        for node in 1..size {
            parts.edges.push((first + below(&mut rng, node), first + node));
            of_edges.push(0);
        }
        for _ in 0..copies {
            let root = below(&mut rng, size);
            let ring: Vec<u32> = std::iter::once(root).chain(size..size + motif - 1).collect();
            for at in 0..ring.len() {
                parts.edges.push((first + ring[at], first + ring[(at + 1) % ring.len()]));
                of_edges.push(1);
            }
            size += motif - 1;
        }
        labels.extend((0..size).map(|_| below(&mut rng, 3)));
        parts.sizes.push(size as usize);
        classes.push((graph % 2) as u32);
        first += size;
    }
    (parts.edge_labels, parts.node_labels, parts.classes) = (Some(of_edges), Some(labels), Some(classes));
    GraphSet::new(parts)
}
