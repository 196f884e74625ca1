//! Normalisations of an adjacency matrix whose row `i` lists the nodes that send to node `i`: those of
//! [`Graph::matrix`](crate::node::data::Graph::matrix), for a view.

use crate::node::data::{Loops, Normalisation, looped, scaled};
use contrastive_kernels::sparse::Csr;

/// The matrix with an entry of weight 1 on the diagonal wherever it stores none.
///
/// # Panics
/// When it is not square.
pub fn with_self_loops(graph: &Csr<f64>) -> Csr<f64> {
    assert_eq!(graph.rows(), graph.cols(), "self loops of a matrix of {} x {}", graph.rows(), graph.cols());
    looped(graph.indptr(), graph.indices(), |at| graph.values()[at], Loops::Add, 1.0)
}

/// `D^-1/2 (A + I) D^-1/2` (Kipf and Welling, ICLR 2017), or without the identity: what a graph convolution multiplies with.
///
/// `D` holds the row sums after the self loops, at both ends of an edge. A node that has a self loop keeps it as it is.
/// Entries of a node whose degree is not above 0 become 0; with self loops and weights of at least 0 there is none. After
/// edges were dropped, normalise again.
///
/// # Panics
/// When the matrix is not square.
pub fn gcn_normalised(graph: &Csr<f64>, self_loops: bool) -> Csr<f64> {
    let (nodes, cols) = (graph.rows(), graph.cols());
    assert_eq!(nodes, cols, "normalisation of an adjacency matrix of {nodes} x {cols}");
    match self_loops {
        true => scaled(&with_self_loops(graph), Normalisation::Symmetric),
        false => scaled(graph, Normalisation::Symmetric),
    }
}

/// `D^-1 A`: each row divided by its sum, so that a product is the mean over the neighbours. Rows whose sum is not above 0 become 0.
pub fn row_normalised(graph: &Csr<f64>) -> Csr<f64> {
    scaled(graph, Normalisation::Mean)
}
