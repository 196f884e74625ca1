//! Corruption by centrality (GCA, Zhu et al., WWW 2021).

use super::{Drops, NodeData, ViewRule};
use crate::MethodError;
use crate::node::augment::edges::{EdgeEnd, central_edge_probabilities};
use crate::node::augment::features::{FeatureCount, FeatureView, central_feature_probabilities};
use crate::node::data::Graph;

/// How important a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Centrality {
    /// The number (or weight) of its edges.
    #[default]
    Degree,
    /// The score that the released code calls PageRank, damping 0.85: 200 steps for edges, 10 for features
    /// ([`Graph::lazy_pagerank`]).
    PageRank,
    /// [`Graph::eigenvector_centrality`].
    Eigenvector,
}

/// Most steps of the eigenvector centrality, and the change of the average node at which it ends.
const EIGENVECTOR: (usize, f64) = (2000, 1e-9);

impl Centrality {
    /// The centrality of every node, for edges and for features. What reaches a node counts.
    ///
    /// # Errors
    /// When the eigenvector centrality does not converge.
    pub fn of(self, graph: &Graph) -> Result<[Vec<f64>; 2], MethodError> {
        Ok(match self {
            Self::Degree => [graph.in_degrees(), graph.in_degrees()],
            Self::PageRank => [graph.lazy_pagerank(0.85, 200)?, graph.lazy_pagerank(0.85, 10)?],
            Self::Eigenvector => {
                let score = graph.eigenvector_centrality(EIGENVECTOR.0, EIGENVECTOR.1)?;
                [score.clone(), score]
            }
        })
    }
}

/// What decides what is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Corruption {
    /// Nothing: the same probability for all (GRACE).
    #[default]
    Uniform,
    /// The centrality of nodes (GCA): edges and features of central nodes are kept.
    Adaptive {
        /// Which.
        centrality: Centrality,
        /// Which ends of an edge count: the mean of both is the paper's, the receiving end the released code's.
        end: EdgeEnd,
        /// Upper limit of a probability, 0.7 in the released code.
        cut: f64,
    },
}

impl Corruption {
    /// GCA with the mean of both ends and a cut of 0.7.
    pub fn adaptive(centrality: Centrality) -> Self {
        Self::Adaptive { centrality, end: EdgeEnd::Mean, cut: 0.7 }
    }

    /// The rules of the two views. Features count by presence where they are sparse, by magnitude where they are dense.
    ///
    /// # Errors
    /// When a probability or the cut is not in `0..=1`, or the eigenvector centrality does not converge.
    pub fn rules(
        &self,
        graph: &Graph,
        data: &NodeData,
        edges: [f64; 2],
        columns: [f64; 2],
    ) -> Result<[ViewRule; 2], MethodError> {
        let Self::Adaptive { centrality, end, cut } = *self else {
            return Ok(ViewRule::uniform(edges, columns));
        };
        let [of_edges, of_columns] = centrality.of(graph)?;
        let view = data.feature_view();
        let count = match view {
            FeatureView::Dense(_) => FeatureCount::Magnitude,
            FeatureView::Sparse(_) => FeatureCount::Presence,
        };
        let rule = |k: usize| -> Result<ViewRule, MethodError> {
            let edges = central_edge_probabilities(data.adjacency(), &of_edges, end, edges[k], cut)?;
            let columns = central_feature_probabilities(view, &of_columns, count, columns[k], cut)?;
            Ok(ViewRule { edges: Drops::Each(edges), columns: Drops::Each(columns) })
        };
        Ok([rule(0)?, rule(1)?])
    }
}
