//! Graphs of the nearest neighbours, for data that has features alone.

use contrastive_kernels::top_k::{ItemSets, Score, TopK, top_k};
use ndarray::{Array2, Axis};

use super::clean::Cleaning;
use super::error::GraphError;
use super::features::Features;
use super::graph::Graph;

/// Which rows are near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Nearness {
    /// A large cosine. A row of zeros has no direction: it is nobody's neighbour and has none.
    #[default]
    Cosine,
    /// A small Euclidean distance.
    Euclidean,
}

/// The k best others of each row by inner product.
fn others<T: Score>(queries: &Array2<T>, candidates: &Array2<T>, k: usize) -> TopK<T> {
    let nodes = queries.nrows();
    let own: Vec<u32> = (0..nodes as u32).collect();
    let offsets: Vec<usize> = (0..=nodes).collect();
    let itself = ItemSets::new(&offsets, &own).expect("one item a row");
    let slice = |rows: &Array2<T>| rows.as_slice().expect("made in this order").to_vec();
    top_k(&slice(queries), &slice(candidates), queries.ncols(), k, Some((itself, &own)))
}

/// For each row its k nearest others, nearest first; of equally near ones those of lower numbers.
fn nearest(rows: &Array2<f32>, k: usize, nearness: Nearness) -> Vec<(u32, u32)> {
    let nodes = rows.nrows();
    let pairs = |of: &dyn Fn(usize) -> Vec<u32>| -> Vec<(u32, u32)> {
        (0..nodes).flat_map(|node| of(node).into_iter().map(move |to| (node as u32, to))).collect()
    };
    match nearness {
        Nearness::Cosine => {
            // lengths in `f64`: no square of an `f32` overflows there
            let length = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let mut unit = rows.as_standard_layout().into_owned();
            let lengths: Vec<f64> = unit.rows().into_iter().map(|row| length(row.to_slice().expect("a row"))).collect();
            for (mut row, length) in unit.rows_mut().into_iter().zip(&lengths) {
                row.mapv_inplace(|x| if *length > 0.0 { (f64::from(x) / length) as f32 } else { 0.0 });
            }
            let best = others(&unit, &unit, k);
            let directed = |node: &u32| lengths[*node as usize] > 0.0;
            pairs(&|node| match lengths[node] > 0.0 {
                true => best.row(node).0.iter().copied().filter(directed).collect(),
                false => Vec::new(),
            })
        }
        Nearness::Euclidean => {
            // x y - |y|^2 / 2 falls with the distance of x and y; around the mean, so that little cancels
            let mut centred = rows.mapv(f64::from);
            let mean = centred.mean_axis(Axis(0)).expect("there are rows");
            centred -= &mean;
            let half = centred.map_axis(Axis(1), |row| -0.5 * row.dot(&row)).insert_axis(Axis(1));
            let beside = |last: &Array2<f64>| {
                let joined = ndarray::concatenate(Axis(1), &[centred.view(), last.view()]).expect("as many rows");
                joined.as_standard_layout().into_owned()
            };
            let best = others(&beside(&Array2::ones((nodes, 1))), &beside(&half), k);
            pairs(&|node| best.row(node).0.to_vec())
        }
    }
}

impl Graph {
    /// The graph that links every node with the k nodes whose features are nearest, in either direction: a node has at least k
    /// neighbours, and more where others chose it. The features stay with the graph.
    ///
    /// Exact, all pairs are compared: `2 nodes^2 features` operations, but memory only for dense copies of the features and
    /// `k` numbers a node. Of equally near nodes those of lower numbers are taken. Edges have weight 1.
    ///
    /// # Errors
    /// [`GraphError::NoNodes`]; [`GraphError::Option`] for no feature column, or a k of 0 or of as many as there are nodes;
    /// [`GraphError::BadFeature`].
    pub fn nearest_neighbours(features: Features, k: usize, nearness: Nearness) -> Result<Self, GraphError> {
        let (nodes, columns) = (features.num_nodes(), features.num_features());
        let option = |name, value: usize, allowed| Err(GraphError::Option { name, value: value.to_string(), allowed });
        features.check()?;
        let pairs = match (nodes, columns, k) {
            (0, ..) => Vec::new(),
            (_, 0, _) => return option("number of feature columns", columns, "at least 1"),
            (_, _, 0) => return option("number of neighbours", k, "at least 1"),
            _ if k >= nodes => return option("number of neighbours", k, "fewer than nodes"),
            _ => nearest(&features.to_dense(), k, nearness),
        };
        Self::from_memory(nodes, pairs, Vec::new(), false, &Cleaning::default())?.with_features(features)
    }
}
