//! Graphs without features, and features without a graph.

use super::{dense, toy};
use contrastive_graph::node::data::{
    BlockModelOptions, Cleaning, Direction, Features, Graph, GraphError, Loops, Nearness, Normalisation, block_model,
};
use contrastive_graph::node::method::{GraceConfig, NodeMethodConfig};
use ndarray::{Array2, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn features(graph: &Graph) -> &Features {
    graph.require_features().unwrap()
}

#[test]
fn a_graph_makes_features_of_itself() {
    let plain = toy(Direction::Undirected);
    let message = plain.require_features().unwrap_err().to_string();
    assert!(message.contains("with_identity_features"), "{message}");

    let identity = plain.clone().with_identity_features();
    assert_eq!(features(&identity).to_dense(), Array2::<f32>::eye(7));
    assert!(matches!(features(&identity), Features::Sparse(rows) if rows.nnz() == 7));

    // node 2 has edges of weights 2, 3, 4; node 6 has none; node 4 keeps its loop
    let adjacency = plain.clone().with_adjacency_features();
    assert_eq!(features(&adjacency).row(2), [(0, 3.0 / 9.0), (1, 2.0 / 9.0), (3, 4.0 / 9.0)]);
    assert_eq!(features(&adjacency).row(6), []);
    assert_eq!(features(&adjacency).row(4).iter().map(|entry| entry.0).collect::<Vec<_>>(), [3, 4, 5]);

    // degrees 2, 2, 3, 3, 2, 2, 0: the loop of node 4 leads to no other node
    let degree = |most| features(&plain.clone().with_degree_features(most)).clone();
    let hot = |most| (0..7).map(|node| degree(most).row(node)[0]).collect::<Vec<_>>();
    assert_eq!(hot(9), [2, 2, 3, 3, 2, 2, 0].map(|column| (column, 1.0)));
    assert_eq!(hot(2), [2, 2, 2, 2, 2, 2, 0].map(|column| (column, 1.0)));
    assert_eq!([degree(9), degree(2), degree(0)].map(|features| features.num_features()), [4, 3, 1]);
}

#[test]
fn adjacency_features_are_what_reaches_a_node() {
    let directed = toy(Direction::Directed).with_adjacency_features();
    let expected = dense(&directed.matrix(Normalisation::Mean, Loops::AsIs)).mapv(|value| value as f32);
    assert_eq!(features(&directed).to_dense(), expected);
    // edges 1 -> 2 and no other reach node 2; no edge reaches node 6
    assert_eq!((features(&directed).row(2), features(&directed).row(6)), (vec![(1, 1.0)], vec![]));
    // extreme weights neither overflow nor become something that is not a number
    let extreme = [(0, 1, 1e150), (1, 2, 1e-150), (0, 2, 0.0)];
    let graph = Graph::from_weighted_edges(3, &extreme, &Cleaning::default()).unwrap().with_adjacency_features();
    assert_eq!((features(&graph).row(0), features(&graph).row(2)), (vec![(1, 1.0)], vec![(1, 1.0)]));
    assert!(features(&graph).to_dense().iter().all(|value| value.is_finite()));
}

#[test]
fn a_method_trains_on_made_features() {
    let options = BlockModelOptions { nodes: 200, communities: 2, features: 0, ..Default::default() };
    let plain = block_model(&options).unwrap();
    let device = burn::tensor::Device::default();
    let config = GraceConfig::new().with_dim(8).with_projection(8).with_learning_rate(1e-2);
    assert!(config.build(&plain, 1, &device).err().unwrap().to_string().contains("with_identity_features"));
    let made = [
        plain.clone().with_identity_features(),
        plain.clone().with_adjacency_features(),
        plain.clone().with_degree_features(50),
    ];
    for (name, graph) in ["identity", "adjacency", "degree"].into_iter().zip(made) {
        let mut training = config.build(&graph, 1, &device).unwrap();
        // at first the projector's biases make all rows alike
        let losses: Vec<f64> = (0..200).map(|_| training.train_epoch().unwrap()).collect();
        let last = losses[190..].iter().sum::<f64>() / 10.0;
        assert!(last < losses[0] - 0.02, "{name}: {last} after {}", losses[0]);
    }
}

fn cloud(nodes: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((nodes, columns), || rng.random::<f32>() - 0.5)
}

/// All pairs compared in `f64`, then both directions.
fn dense_neighbours(rows: &Array2<f32>, k: usize, nearness: Nearness) -> Vec<(u32, u32)> {
    let rows = rows.mapv(f64::from);
    let far = |a: usize, b: usize| {
        let (a, b) = (rows.row(a), rows.row(b));
        match nearness {
            Nearness::Cosine => -a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt(),
            Nearness::Euclidean => (&a - &b).mapv(|x| x * x).sum(),
        }
    };
    let mut links = Vec::new();
    for a in 0..rows.nrows() {
        let mut others: Vec<usize> = (0..rows.nrows()).filter(|&b| b != a).collect();
        others.sort_by(|&b, &c| far(a, b).total_cmp(&far(a, c)));
        links.extend(others[..k].iter().map(|&b| (a.min(b) as u32, a.max(b) as u32)));
    }
    links.sort_unstable();
    links.dedup();
    links
}

#[test]
fn nearest_neighbours_are_those_of_all_pairs() {
    let rows = cloud(150, 6, 1);
    for nearness in [Nearness::Cosine, Nearness::Euclidean] {
        // far from the origin, too
        for offset in [0.0f32, 40.0] {
            let shifted = rows.mapv(|value| value + offset);
            // the cosine loses the digits that the offset takes
            let shifted = if nearness == Nearness::Cosine { rows.clone() } else { shifted };
            for k in [1, 5, 149] {
                let graph = Graph::nearest_neighbours(Features::Dense(shifted.clone()), k, nearness).unwrap();
                let links: Vec<_> = graph.edges().map(|(from, to, _)| (from, to)).collect();
                assert_eq!(links, dense_neighbours(&shifted, k, nearness), "{nearness:?} {k} {offset}");
                assert!(!graph.is_directed() && !graph.is_weighted());
                assert!((0..150).all(|node| graph.neighbours(node).len() >= k));
                assert_eq!(features(&graph).to_dense(), shifted);
            }
        }
    }
    let sparse = Features::from_entries(4, 3, &[(0, 0, 1.0), (1, 0, 2.0), (2, 1, 1.0), (3, 1, 5.0)]).unwrap();
    let graph = Graph::nearest_neighbours(sparse, 1, Nearness::Cosine).unwrap();
    assert_eq!(graph.edges().collect::<Vec<_>>(), [(0, 1, 1.0), (2, 3, 1.0)]);
    assert!(matches!(features(&graph), Features::Sparse(_)));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let build = || Graph::nearest_neighbours(Features::Dense(rows.clone()), 4, Nearness::Cosine).unwrap();
    assert_eq!(pool.install(build), build());
}

#[test]
fn nearest_neighbours_of_degenerate_rows() {
    let table = |rows: Array2<f32>| Features::Dense(rows);
    // a row of zeros has no direction
    let zeros = array![[1.0, 0.0], [0.0, 0.0], [2.0, 0.1], [-1.0, 0.0]];
    let graph = Graph::nearest_neighbours(table(zeros.clone()), 2, Nearness::Cosine).unwrap();
    assert!(graph.neighbours(1).is_empty());
    let graph = Graph::nearest_neighbours(table(zeros), 1, Nearness::Euclidean).unwrap();
    assert_eq!(graph.edges().collect::<Vec<_>>(), [(0, 1, 1.0), (0, 2, 1.0), (1, 3, 1.0)]);
    // equal rows: the lower numbers; huge and tiny values
    let graph = Graph::nearest_neighbours(table(Array2::ones((4, 2))), 1, Nearness::Cosine).unwrap();
    assert_eq!(graph.edges().map(|edge| (edge.0, edge.1)).collect::<Vec<_>>(), [(0, 1), (0, 2), (0, 3)]);
    for scale in [1e38f32, 1e-38] {
        let rows = array![[1.0f32, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]].mapv(|value| value * scale);
        for nearness in [Nearness::Cosine, Nearness::Euclidean] {
            let graph = Graph::nearest_neighbours(table(rows.clone()), 1, nearness).unwrap();
            assert_eq!(graph.edges().map(|edge| (edge.0, edge.1)).collect::<Vec<_>>(), [(0, 1), (2, 3)], "{scale}");
        }
    }
    let refused = |features, k| Graph::nearest_neighbours(features, k, Nearness::Cosine).unwrap_err();
    for (k, value) in [(0, "0"), (3, "3"), (9, "9")] {
        let error = refused(table(Array2::ones((3, 2))), k);
        assert!(matches!(&error, GraphError::Option { name: "number of neighbours", value: v, .. } if v == value));
    }
    let named = |error: &GraphError| matches!(error, GraphError::Option { name: "number of feature columns", .. });
    assert!(named(&refused(table(Array2::ones((3, 0))), 1)));
    assert!(matches!(refused(table(Array2::ones((0, 2))), 1), GraphError::NoNodes { .. }));
    assert!(matches!(refused(table(array![[1.0], [f32::NAN]]), 1), GraphError::BadFeature { column: 0, .. }));
}
