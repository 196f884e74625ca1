//! Views of attributed graphs: the checks of GRACE, GCA and CSGCL, and identities.

mod communities;

use crate::common::{close, values};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_graph::node::augment::AugmentError;
use contrastive_graph::node::augment::community::*;
use contrastive_graph::node::augment::edges::*;
use contrastive_graph::node::augment::features::*;
use contrastive_graph::node::augment::normalise::{gcn_normalised, row_normalised};
use contrastive_graph::node::augment::walk::*;
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn undirected(nodes: usize, pairs: impl IntoIterator<Item = (u32, u32)>) -> Csr<f64> {
    let pairs: BTreeSet<_> = pairs.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
    let both =
        pairs.into_iter().flat_map(|(a, b)| [(a, b, 1.0), (b, a, 1.0)].into_iter().take(1 + usize::from(a != b)));
    Csr::from_triplets(nodes, nodes, &both.collect::<Vec<_>>()).unwrap()
}

/// A stochastic block model: `groups` groups of `size` nodes.
fn blocks(groups: u32, size: u32, inside: f64, between: f64, seed: u64) -> (Csr<f64>, Vec<u32>) {
    let mut rng = rng(seed);
    let nodes = groups * size;
    let mut pairs = Vec::new();
    for a in 0..nodes {
        for b in a + 1..nodes {
            if rng.random::<f64>() < if a / size == b / size { inside } else { between } {
                pairs.push((a, b));
            }
        }
    }
    (undirected(nodes as usize, pairs), (0..nodes).map(|node| node / size).collect())
}

fn entries(graph: &Csr<f64>) -> Vec<(u32, u32, f64)> {
    let row = |r: usize| graph.row(r).0.iter().zip(graph.row(r).1).map(move |(&c, &v)| (r as u32, c, v));
    (0..graph.rows()).flat_map(row).collect()
}

fn degrees(graph: &Csr<f64>) -> Vec<f64> {
    (0..graph.rows()).map(|row| graph.row(row).1.iter().sum()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn refused<T>(result: Result<T, AugmentError>, want: &str) {
    let message = result.err().expect(want).to_string();
    assert!(message.contains(want), "{message} instead of {want}");
}

#[test]
fn edges_are_dropped_at_their_rate_by_pair_or_by_entry() {
    let (graph, _) = blocks(2, 60, 0.5, 0.3, 1);
    let mut draws = rng(2);
    for draw in [EdgeDraw::PerPair, EdgeDraw::PerEntry] {
        let view = drop_edges(&graph, 0.3, draw, &mut draws).unwrap();
        assert_eq!(view == view.transpose(), draw == EdgeDraw::PerPair);
        let pairs = graph.nnz() as f64 / if draw == EdgeDraw::PerPair { 2.0 } else { 1.0 };
        let share = view.nnz() as f64 / graph.nnz() as f64;
        assert!((share - 0.7).abs() < 6.0 * (0.21 / pairs).sqrt(), "{share}");
        let all: BTreeSet<_> = entries(&graph).iter().map(|e| (e.0, e.1)).collect();
        assert!(entries(&view).iter().all(|e| all.contains(&(e.0, e.1)) && e.2 == 1.0));
        let seeded = |seed| drop_edges(&graph, 0.3, draw, &mut rng(seed)).unwrap();
        assert!(seeded(3) == seeded(3) && seeded(3) != seeded(4));
        assert_eq!(drop_edges(&graph, 0.0, draw, &mut draws).unwrap(), graph);
        assert_eq!(drop_edges(&graph, 1.0, draw, &mut draws).unwrap().nnz(), 0);
    }
    // A self loop is a pair of its own.
    let loops = undirected(3, [(0, 0), (0, 1), (2, 2)]);
    let kept = drop_edges_weighted(&loops, &[0.0, 1.0, 1.0, 0.0], EdgeDraw::PerPair, &mut draws).unwrap();
    assert_eq!(entries(&kept), [(0, 0, 1.0), (2, 2, 1.0)]);
}

/// GRACE, check 7: a view is normalised with its own degrees, isolated nodes keep 1, and nothing but self loops is left at 1.
#[test]
fn a_view_is_normalised_by_its_own_degrees() {
    let (graph, _) = blocks(2, 20, 0.3, 0.1, 3);
    let view = drop_edges(&graph, 0.6, EdgeDraw::PerEntry, &mut rng(4)).unwrap();
    let degree: Vec<f64> = degrees(&view).iter().map(|d| d + 1.0).collect();
    let normalised = gcn_normalised(&view, true);
    assert_eq!(normalised.nnz(), view.nnz() + 40);
    for (i, j, value) in entries(&normalised) {
        close("entry", &[value], &[1.0 / (degree[i as usize] * degree[j as usize]).sqrt()], 1e-15, 1e-15);
    }
    let empty = drop_edges(&graph, 1.0, EdgeDraw::PerPair, &mut rng(5)).unwrap();
    assert_eq!(entries(&gcn_normalised(&empty, true)), (0..40).map(|i| (i, i, 1.0)).collect::<Vec<_>>());
    assert_eq!(gcn_normalised(&empty, false).nnz(), 0);
    // A loop of its own is kept, not doubled; a node without edges has an empty row.
    let loops = undirected(3, [(0, 0), (0, 1)]);
    let looped: Vec<f64> = entries(&gcn_normalised(&loops, true)).iter().map(|e| e.2).collect();
    close("loops", &looped, &[0.5, 0.5, 0.5, 0.5, 1.0], 1e-15, 0.0);
    close("rows", &degrees(&row_normalised(&loops)), &[1.0, 1.0, 0.0], 1e-15, 0.0);
}

/// GCA (GRACE, check 6).
#[test]
fn central_edges_stay() {
    let (graph, _) = blocks(3, 30, 0.4, 0.05, 6);
    let phi = degrees(&graph);
    for end in [EdgeEnd::Mean, EdgeEnd::Target] {
        let drop = central_edge_probabilities(&graph, &phi, end, 0.2, 1.0).unwrap();
        assert!(drop.iter().all(|&p| p < 1.0), "no cut in force");
        close("mean", &[mean(&drop)], &[0.2], 1e-12, 0.0);
        let score = |e: &(u32, u32, f64)| match end {
            EdgeEnd::Mean => 0.5 * (phi[e.0 as usize] + phi[e.1 as usize]),
            EdgeEnd::Target => phi[e.0 as usize],
        };
        let scores: Vec<f64> = entries(&graph).iter().map(score).collect();
        let most = scores.iter().copied().fold(0.0, f64::max);
        let (largest, average) = (most.ln(), mean(&scores.iter().map(|s| s.ln()).collect::<Vec<_>>()));
        for (&p, &s) in drop.iter().zip(&scores) {
            close("formula", &[p], &[0.2 * (largest - s.ln()) / (largest - average)], 1e-12, 1e-12);
            assert_eq!(p == 0.0, s == most, "the most central edge is never dropped");
        }
        let cut = central_edge_probabilities(&graph, &phi, end, 0.6, 0.7).unwrap();
        assert!(cut.iter().all(|&p| p <= 0.7) && cut.contains(&0.7));
    }
    // What is drawn follows the probabilities.
    let drop = central_edge_probabilities(&graph, &phi, EdgeEnd::Mean, 0.3, 0.7).unwrap();
    let (mut generator, mut kept) = (rng(7), 0.0);
    for _ in 0..50 {
        kept += drop_edges_weighted(&graph, &drop, EdgeDraw::PerPair, &mut generator).unwrap().nnz() as f64;
    }
    let share = 1.0 - kept / (50.0 * graph.nnz() as f64);
    assert!((share - mean(&drop)).abs() < 6.0 * (0.21 / (25.0 * graph.nnz() as f64)).sqrt(), "{share}");
}

/// GCA (GRACE, check 6): in a regular graph w is 0 / 0, and all edges get the same probability.
#[test]
fn equally_central_edges_are_dropped_alike() {
    let ring = undirected(7, (0..7).map(|i| (i, (i + 1) % 7)));
    for phi in [degrees(&ring), vec![0.1; 7], vec![0.0; 7]] {
        let drop = central_edge_probabilities(&ring, &phi, EdgeEnd::Mean, 0.35, 0.7).unwrap();
        assert_eq!(drop, vec![0.35; 14]);
    }
    // A centrality of 0 counts as the least one above it.
    let drop = central_edge_probabilities(&ring, &[0.0, 1.0, 1.0, 2.0, 2.0, 1.0, 0.0], EdgeEnd::Target, 0.3, 1.0);
    let drop = drop.unwrap();
    assert!(drop.iter().all(|p| p.is_finite()));
    assert_eq!(drop[0], drop[2]);
}

fn features() -> Csr<f64> {
    Csr::from_triplets(4, 5, &[(0, 0, 2.0), (1, 0, -1.0), (2, 1, 1.0), (3, 1, 3.0), (3, 2, 1.0), (0, 3, 0.5)]).unwrap()
}

fn table() -> Array2<f64> {
    let mut x = Array2::zeros((4, 5));
    entries(&features()).iter().for_each(|e| x[[e.0 as usize, e.1 as usize]] = e.2);
    x
}

#[test]
fn central_features_stay() {
    let (sparse, dense, phi) = (features(), table(), [1.0, 2.0, 4.0, 8.0]);
    for (count, sums) in
        [(FeatureCount::Presence, [3.0, 12.0, 8.0, 1.0]), (FeatureCount::Magnitude, [4.0, 28.0, 8.0, 0.5])]
    {
        let of = |x: FeatureView<'_, f64>| central_feature_probabilities(x, &phi, count, 0.2, 1.0).unwrap();
        let drop = of(FeatureView::Sparse(&sparse));
        assert_eq!(drop, of(FeatureView::Dense(dense.view())));
        let logarithms = sums.map(f64::ln);
        let (largest, average) = (logarithms[1], mean(&logarithms));
        let want = logarithms.map(|s| 0.2 * (largest - s) / (largest - average));
        close("columns", &drop[..4], &want, 1e-12, 1e-12);
        assert_eq!((drop[1], drop[4]), (0.0, 0.2), "the strongest column, and one that no node has");
        close("mean", &[mean(&drop)], &[0.2], 1e-12, 0.0);
    }
}

#[test]
fn columns_are_masked_for_all_nodes_at_once() {
    let keep = draw_columns(20_000, 0.3, &mut rng(8)).unwrap();
    let share = keep.iter().filter(|&&k| k).count() as f64 / 20_000.0;
    assert!((share - 0.7).abs() < 6.0 * (0.21f64 / 20_000.0).sqrt(), "{share}");
    assert_eq!(keep, draw_columns(20_000, 0.3, &mut rng(8)).unwrap());
    assert_eq!(draw_columns_weighted(&[0.0, 1.0, 0.0], &mut rng(9)).unwrap(), [true, false, true]);
    let keep = [true, false, true, true, true];
    let flat: Vec<f64> = table().into_iter().collect();
    let x = Tensor::<2>::from_data(TensorData::new(flat.clone(), [4, 5]), (&Device::default(), DType::F32));
    let masked = values(&mask_columns(x, &keep).unwrap());
    let want: Vec<f64> = flat.iter().enumerate().map(|(k, &v)| if keep[k % 5] { v } else { 0.0 }).collect();
    assert_eq!(masked, want, "the others are not scaled up");
    let sparse = entries(&mask_sparse_columns(&features(), &keep).unwrap());
    assert_eq!(sparse, entries(&features()).into_iter().filter(|e| e.1 != 1).collect::<Vec<_>>());
}

#[test]
fn entries_are_masked_by_themselves() {
    let ones = Tensor::<2>::ones([100, 50], &Device::default());
    let masked = values(&mask_entries(ones.clone(), 0.4, &mut rng(10)).unwrap());
    assert!(masked.iter().all(|&v| v == 0.0 || v == 1.0));
    assert!((mean(&masked) - 0.6).abs() < 6.0 * (0.24f64 / 5_000.0).sqrt());
    let column: Vec<f64> = (0..100).map(|row| masked[row * 50]).collect();
    assert!(column.contains(&0.0) && column.contains(&1.0), "a column is not masked as one");
    assert_eq!(masked, values(&mask_entries(ones, 0.4, &mut rng(10)).unwrap()));
    let full = Csr::from_triplets(50, 50, &(0..2500).map(|k| (k / 50, k % 50, 2.0)).collect::<Vec<_>>()).unwrap();
    let part = mask_sparse_entries(&full, 0.4, &mut rng(11)).unwrap();
    assert!((part.nnz() as f64 / 2500.0 - 0.6).abs() < 6.0 * (0.24f64 / 2500.0).sqrt());
    assert!(part.values().iter().all(|&v| v == 2.0));
}

#[test]
fn walks_follow_edges_and_subgraphs_keep_all_of_them() {
    let (graph, _) = blocks(3, 20, 0.2, 0.05, 14);
    let walk = random_walk_nodes(&graph, 7, 200, 0.0, &mut rng(15)).unwrap();
    assert_eq!((walk[0], walk.len()), (7, 201));
    assert!(walk.windows(2).all(|step| graph.row(step[0] as usize).0.contains(&step[1])));
    let restarts = random_walk_nodes(&graph, 7, 4000, 0.5, &mut rng(16)).unwrap();
    let home = restarts.iter().filter(|&&node| node == 7).count() as f64 / 4001.0;
    assert!(home > 0.44, "half of the steps go home: {home}");

    let part = random_walk_subgraph(&graph, &[3, 40], 12, 0.1, &mut rng(17)).unwrap();
    assert!(part.nodes.is_sorted() && part.nodes.contains(&3) && part.nodes.contains(&40));
    assert_eq!(part, random_walk_subgraph(&graph, &[3, 40], 12, 0.1, &mut rng(17)).unwrap());
    let old = |node: u32| part.nodes[node as usize];
    let got: Vec<_> = entries(&part.graph).into_iter().map(|e| (old(e.0), old(e.1), e.2)).collect();
    let inside = |node: u32| part.nodes.contains(&node);
    assert_eq!(got, entries(&graph).into_iter().filter(|e| inside(e.0) && inside(e.1)).collect::<Vec<_>>());
    let lonely = undirected(3, [(0, 1)]);
    assert_eq!(random_walk_nodes(&lonely, 2, 3, 0.0, &mut rng(1)).unwrap(), [2; 4]);
    assert_eq!(induced_subgraph(&lonely, &[1, 0, 1]).unwrap().graph, undirected(2, [(0, 1)]));
}

#[test]
fn bad_input_is_named() {
    let graph = undirected(3, [(0, 1), (1, 2)]);
    let directed = Csr::from_triplets(3, 3, &[(0, 1, 1.0), (1, 2, 1.0), (2, 1, 1.0)]).unwrap();
    let uneven = Csr::from_triplets(2, 2, &[(0, 1, 1.0), (1, 0, 2.0)]).unwrap();
    let wide = Csr::from_triplets(2, 3, &[(0, 1, 1.0)]).unwrap();
    let negative = Csr::from_triplets(2, 2, &[(0, 1, -1.0), (1, 0, -1.0)]).unwrap();
    let empty = undirected(3, []);
    let (options, mut draws) = (DetectOptions::default(), rng(0));
    for p in [-0.1, 1.1, f64::NAN] {
        refused(drop_edges(&graph, p, EdgeDraw::PerPair, &mut draws), "edge drop probability is");
        refused(draw_columns(3, p, &mut draws), "feature drop probability is");
        refused(draw_columns_weighted(&[0.5, p], &mut draws), "feature drop probability 1 is");
        refused(mask_sparse_entries(&features(), p, &mut draws), "feature drop probability is");
        refused(mask_entries(Tensor::ones([1, 1], &Device::default()), p, &mut draws), "feature drop probability is");
        refused(central_edge_probabilities(&graph, &[1.0; 3], EdgeEnd::Mean, p, 0.7), "drop probability is");
        refused(central_edge_probabilities(&graph, &[1.0; 3], EdgeEnd::Mean, 0.5, p), "cut of drop probabilities is");
        refused(random_walk_nodes(&graph, 0, 1, p, &mut draws), "restart probability is");
    }
    refused(drop_edges(&directed, 0.5, EdgeDraw::PerPair, &mut draws), "edge (0, 1) has no equal edge (1, 0)");
    assert!(drop_edges(&directed, 0.5, EdgeDraw::PerEntry, &mut draws).is_ok());
    refused(drop_edges(&wide, 0.5, EdgeDraw::PerPair, &mut draws), "an adjacency matrix of 2 x 3");
    refused(
        drop_edges_weighted(&graph, &[0.5; 3], EdgeDraw::PerPair, &mut draws),
        "3 drop probabilities of entries, but the graph has 4",
    );
    refused(central_edge_probabilities(&graph, &[1.0; 2], EdgeEnd::Mean, 0.5, 0.7), "2 centralities");
    refused(central_edge_probabilities(&graph, &[1.0, -2.0, 1.0], EdgeEnd::Mean, 0.5, 0.7), "centrality 1 is -2");
    refused(mask_sparse_columns(&features(), &[true; 4]), "4 decisions on feature columns, but the graph has 5");
    for detect in [louvain, leiden] {
        refused(detect(&empty, &options), "a graph of 3 nodes without edges");
        refused(detect(&uneven, &options), "edge (0, 1) has no equal edge (1, 0)");
        refused(detect(&negative, &options), "edge weight 0 is -1");
        refused(detect(&graph, &DetectOptions { resolution: 0.0, ..options }), "resolution is 0");
    }
    let two = Partition::from_labels(&[0, 1]);
    refused(community_strength(&graph, &two), "2 community labels, but the graph has 3");
    refused(community_strength(&empty, &Partition::from_labels(&[0; 3])), "without edges");
    let three = Partition::from_labels(&[0, 1, 1]);
    refused(community_edge_probabilities(&graph, &three, &[0.1], 0.5, 1.0), "1 community strengths");
    refused(community_edge_probabilities(&graph, &three, &[0.1, f64::NAN], 0.5, 1.0), "community strength 1 is NaN");
    refused(induced_subgraph(&graph, &[3]), "node 3 of a graph of 3 nodes");
    refused(random_walk_subgraph(&graph, &[0, 9], 2, 0.0, &mut draws), "node 9 of a graph of 3 nodes");
}
