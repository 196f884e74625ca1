//! Normalisations of an adjacency matrix whose row `i` lists the nodes that send to node `i`.

use contrastive_kernels::sparse::Csr;

/// The matrix with an entry of weight 1 on the diagonal wherever it stores none.
///
/// # Panics
/// When it is not square.
pub fn with_self_loops(graph: &Csr<f64>) -> Csr<f64> {
    let nodes = graph.rows();
    assert_eq!(nodes, graph.cols(), "self loops of a matrix of {nodes} x {}", graph.cols());
    let mut indptr = vec![0];
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for node in 0..nodes {
        let (columns, weights) = graph.row(node);
        let at = columns.partition_point(|&column| (column as usize) < node);
        indices.extend_from_slice(&columns[..at]);
        values.extend_from_slice(&weights[..at]);
        if columns.get(at) != Some(&(node as u32)) {
            indices.push(node as u32);
            values.push(1.0);
        }
        indices.extend_from_slice(&columns[at..]);
        values.extend_from_slice(&weights[at..]);
        indptr.push(indices.len());
    }
    Csr::from_parts(nodes, nodes, indptr, indices, values).expect("ascending rows with one entry more")
}

fn row_sums(graph: &Csr<f64>) -> Vec<f64> {
    (0..graph.rows()).map(|row| graph.row(row).1.iter().sum()).collect()
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
    let graph = if self_loops { with_self_loops(graph) } else { graph.clone() };
    let scale: Vec<f64> =
        row_sums(&graph).iter().map(|&degree| if degree > 0.0 { 1.0 / degree.sqrt() } else { 0.0 }).collect();
    graph.map_entries(|i, j, weight| scale[i] * weight * scale[j])
}

/// `D^-1 A`: each row divided by its sum, so that a product is the mean over the neighbours. Rows whose sum is 0 stay 0.
pub fn row_normalised(graph: &Csr<f64>) -> Csr<f64> {
    let sums = row_sums(graph);
    graph.map_entries(|i, _, weight| if sums[i] == 0.0 { 0.0 } else { weight / sums[i] })
}
