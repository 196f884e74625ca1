//! A batch: graphs side by side as one.

use super::set::SmallGraph;
use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;

/// Graphs as one disjoint union, as an encoder takes them in.
#[derive(Clone, Debug)]
pub struct GraphUnion {
    /// The label of each node.
    pub labels: Vec<u32>,
    /// The adjacency `[nodes, nodes]`.
    pub adjacency: SparseOperator,
    /// How many edges of each label a node has, `[nodes, edge labels]`: what edge embeddings are multiplied with.
    pub edge_counts: SparseOperator,
    /// The mean over the nodes of each graph, `[graphs, nodes]`.
    pub pooling: SparseOperator,
}

impl GraphUnion {
    /// The union of these graphs, in this order, with edge labels below `edge_labels`.
    ///
    /// # Panics
    /// When a label or an end is out of range, or a graph has no node.
    pub fn new(graphs: &[SmallGraph], edge_labels: usize) -> Self {
        let nodes: usize = graphs.iter().map(|graph| graph.labels.len()).sum();
        let (mut labels, mut entries, mut counts) = (Vec::with_capacity(nodes), Vec::new(), Vec::new());
        let (mut starts, mut shares) = (vec![0], Vec::with_capacity(nodes));
        for graph in graphs {
            let (first, size) = (labels.len() as u32, graph.labels.len());
            assert!(size > 0, "a graph without a node");
            for (&(a, b), &label) in graph.edges.iter().zip(&graph.edge_labels) {
                for (from, to) in [(a, b), (b, a)] {
                    entries.push((first + from, first + to, 1.0));
                    counts.push((first + from, label, 1.0));
                }
            }
            labels.extend_from_slice(&graph.labels);
            shares.extend(std::iter::repeat_n(1.0 / size as f64, size));
            starts.push(labels.len());
        }
        counts.sort_unstable_by_key(|&(node, label, _)| (node, label));
        counts.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        let fits = "ends and labels in range";
        let pooling = Csr::from_parts(graphs.len(), nodes, starts, (0..nodes as u32).collect(), shares).expect(fits);
        Self {
            labels,
            adjacency: SparseOperator::new(Csr::from_triplets(nodes, nodes, &entries).expect(fits)),
            edge_counts: SparseOperator::new(Csr::from_triplets(nodes, edge_labels, &counts).expect(fits)),
            pooling: SparseOperator::new(pooling),
        }
    }
}
