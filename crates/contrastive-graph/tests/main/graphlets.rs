//! Orbit adjacencies: closed formulas against the definition, identities, and the totals of a real graph.

mod worked;

use crate::common::shared;
use contrastive_core::linear::SvdError;
use contrastive_eval::probe::{LinearProbe, LogisticRegression, Scaling, Split, Targets};
use contrastive_graph::node::augment::AugmentError;
use contrastive_graph::node::augment::edges::{EdgeDraw, drop_edges_weighted};
use contrastive_graph::node::data::{
    BlockModelOptions, Cleaning, Density, Direction, Graph, GraphError, Loops, Normalisation, RoleGraphOptions,
    SelfLoops, block_model, role_graph,
};
use contrastive_graph::node::graphlets::{Graphlets, Orbit, OrbitCounts, Sides, factorise, ppmi, walk_counts};
use contrastive_kernels::sparse::Csr;
use ndarray::{Array2, ArrayView2, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

fn graph(nodes: usize, edges: &[(u32, u32)]) -> Graph {
    Graph::from_edges(nodes, edges, &Cleaning::default()).unwrap()
}

fn graphlets(nodes: usize, edges: &[(u32, u32)]) -> Graphlets {
    Graphlets::new(&graph(nodes, edges)).unwrap()
}

fn key(hops: u8, from: u8, to: u8) -> Orbit {
    Orbit::new(hops, from, to).unwrap()
}

fn random_edges(nodes: usize, density: f64, rng: &mut ChaCha8Rng) -> Vec<(u32, u32)> {
    let pairs = (0..nodes as u32).flat_map(|a| (a + 1..nodes as u32).map(move |b| (a, b)));
    pairs.filter(|_| rng.random::<f64>() < density).collect()
}

/// The orbits of the nodes of an induced subgraph, given as bits of an adjacency; `None` when it is not connected.
fn orbits(adjacent: &[Vec<bool>]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let size = adjacent.len();
    let mut distance = vec![vec![u8::MAX; size]; size];
    for (i, row) in distance.iter_mut().enumerate() {
        let mut queue = vec![i];
        row[i] = 0;
        while let Some(at) = queue.pop() {
            for next in 0..size {
                if adjacent[at][next] && row[at] + 1 < row[next] {
                    row[next] = row[at] + 1;
                    queue.push(next);
                }
            }
        }
    }
    if distance[0].contains(&u8::MAX) {
        return None;
    }
    let degrees: Vec<usize> = adjacent.iter().map(|row| row.iter().filter(|&&edge| edge).count()).collect();
    let (edges, most) = (degrees.iter().sum::<usize>() / 2, *degrees.iter().max().unwrap());
    let orbit = |degree: usize| match (size, edges, most, degree) {
        (2, ..) => 0,
        (3, 2, _, 1) => 1,
        (3, 2, ..) => 2,
        (3, ..) => 3,
        (4, 3, 2, 1) => 4,
        (4, 3, 2, _) => 5,
        (4, 3, _, 1) => 6,
        (4, 3, ..) => 7,
        (4, 4, 2, _) => 8,
        (4, 4, _, 1) => 9,
        (4, 4, _, 2) => 10,
        (4, 4, ..) => 11,
        (4, 5, _, 2) => 12,
        (4, 5, ..) => 13,
        _ => 14,
    };
    Some((degrees.into_iter().map(orbit).collect(), distance))
}

type Counts = HashMap<(u8, u8, u8), HashMap<(u32, u32), u64>>;

/// The definition: every set of 2 to 4 nodes. Also the graphlet degrees of the nodes.
fn by_definition(nodes: usize, edges: &[(u32, u32)]) -> (Counts, Array2<u64>) {
    let mut joined = vec![vec![false; nodes]; nodes];
    edges.iter().for_each(|&(a, b)| {
        joined[a as usize][b as usize] = true;
        joined[b as usize][a as usize] = true;
    });
    let (mut counts, mut degrees) = (Counts::new(), Array2::zeros((nodes, 15)));
    for set in 1u32..1 << nodes {
        if !(2..=4).contains(&set.count_ones()) {
            continue;
        }
        let members: Vec<usize> = (0..nodes).filter(|node| set >> node & 1 == 1).collect();
        let adjacent: Vec<Vec<bool>> =
            members.iter().map(|&a| members.iter().map(|&b| joined[a][b]).collect()).collect();
        let Some((orbit, distance)) = orbits(&adjacent) else { continue };
        for (i, &a) in members.iter().enumerate() {
            degrees[[a, orbit[i] as usize]] += 1;
            for (j, &b) in members.iter().enumerate().filter(|&(j, _)| j != i) {
                let counts = counts.entry((distance[i][j], orbit[i], orbit[j])).or_default();
                *counts.entry((a as u32, b as u32)).or_default() += 1;
            }
        }
    }
    (counts, degrees)
}

fn entries(counts: &OrbitCounts) -> HashMap<(u32, u32), u64> {
    let row = |row: usize| {
        let (columns, values) = counts.row(row);
        columns.iter().zip(values).map(move |(&column, &value)| ((row as u32, column), value)).collect::<Vec<_>>()
    };
    (0..counts.shape()[0]).flat_map(row).collect()
}

#[test]
fn formulas_equal_the_definition_on_random_graphs() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for case in 0..200 {
        let nodes = 2 + case % 9;
        let edges = random_edges(nodes, 0.15 + 0.75 * rng.random::<f64>(), &mut rng);
        let graphlets = graphlets(nodes, &edges);
        let (counts, degrees) = by_definition(nodes, &edges);
        let keys = Orbit::all();
        assert_eq!(keys.len(), 28);
        for key in keys {
            let (from, to) = key.orbits();
            let wanted = counts.get(&(key.hops(), from, to)).cloned().unwrap_or_default();
            let got = graphlets.orbit(key);
            assert_eq!(entries(&got), wanted, "{key} of {edges:?}");
            assert_eq!(graphlets.orbit(key.transposed()), got.transpose(), "{key} of {edges:?}");
            let rows = nodes / 2;
            let block = graphlets.orbit_rows(key, rows..nodes);
            (rows..nodes).for_each(|row| assert_eq!(block.row(row - rows), got.row(row), "{key}, row {row}"));
        }
        assert_eq!(graphlets.node_degrees(), degrees, "{edges:?}");
        // an edge's degrees, summed over edges, count every graphlet once for each of its edges of the orbit
        let (pairs, of_edges) = graphlets.edge_degrees();
        assert_eq!(pairs.len(), edges.len());
        let per_graphlet = [
            (1, 2, 2),
            (3, 3, 3),
            (4, 2, 2),
            (5, 2, 1),
            (6, 1, 1),
            (8, 4, 4),
            (9, 1, 1),
            (10, 2, 1),
            (11, 1, 2),
            (12, 2, 4),
            (13, 2, 1),
            (14, 4, 6),
        ];
        for (column, (orbit, nodes_of_it, edges_of_it)) in per_graphlet.into_iter().enumerate() {
            let graphs = degrees.column(orbit).sum() / nodes_of_it;
            assert_eq!(of_edges.column(column).sum(), graphs * edges_of_it, "edge orbit {column} of {edges:?}");
        }
    }
}

#[test]
fn sums_of_rows_and_columns_are_graphlet_degrees() {
    let graph = block_model(&BlockModelOptions {
        nodes: 60,
        communities: 3,
        features: 0,
        density: Density::Degrees { inside: 8.0, between: 3.0 },
        ..Default::default()
    });
    let graph = graph.unwrap();
    let graphlets = Graphlets::new(&graph).unwrap();
    let degrees = graphlets.node_degrees();
    let rows = [
        ((1, 0, 0), 1, 0),
        ((1, 1, 2), 1, 1),
        ((2, 1, 1), 1, 1),
        ((1, 3, 3), 2, 3),
        ((1, 4, 5), 1, 4),
        ((2, 4, 5), 1, 4),
        ((3, 4, 4), 1, 4),
        ((1, 5, 5), 1, 5),
        ((1, 6, 7), 1, 6),
        ((2, 6, 6), 2, 6),
        ((1, 8, 8), 2, 8),
        ((2, 8, 8), 1, 8),
        ((1, 9, 11), 1, 9),
        ((2, 9, 10), 2, 9),
        ((1, 10, 10), 1, 10),
        ((1, 10, 11), 1, 10),
        ((1, 12, 13), 2, 12),
        ((2, 12, 12), 1, 12),
        ((1, 13, 13), 1, 13),
        ((1, 14, 14), 3, 14),
    ];
    let columns = [
        ((1, 1, 2), 2, 2),
        ((1, 4, 5), 1, 5),
        ((2, 4, 5), 1, 5),
        ((1, 6, 7), 3, 7),
        ((1, 9, 11), 1, 11),
        ((2, 9, 10), 1, 10),
        ((1, 10, 11), 2, 11),
        ((1, 12, 13), 2, 13),
    ];
    let matches = |counts: OrbitCounts, times: u64, orbit: usize, what: &str| {
        let wanted: Vec<u64> = degrees.column(orbit).iter().map(|count| count * times).collect();
        assert_eq!(counts.row_sums(), wanted, "{what} of orbit {orbit}");
        assert!(counts.total() > 0, "{what}");
    };
    for ((hops, from, to), times, orbit) in rows {
        matches(graphlets.orbit(key(hops, from, to)), times, orbit, "rows");
    }
    for ((hops, from, to), times, orbit) in columns {
        matches(graphlets.orbit(key(hops, from, to)).transpose(), times, orbit, "columns");
    }
    for asked in Orbit::BASE.into_iter().filter(|key| *key == key.transposed()) {
        let counts = graphlets.orbit(asked);
        assert_eq!(counts.transpose(), counts, "{asked}");
    }
    // what walks of two and of three steps see
    let of = |hops, from, to| graphlets.orbit(key(hops, from, to));
    let (paths, joined, triangles) = (of(2, 1, 1), of(1, 0, 0), of(1, 3, 3));
    let parts = [
        of(3, 4, 4),
        of(2, 9, 10),
        of(2, 10, 9),
        of(2, 12, 12),
        of(1, 8, 8),
        of(1, 12, 13),
        of(1, 13, 12),
        of(1, 14, 14),
    ];
    let n = graph.num_nodes();
    let a = Array2::from_shape_fn((n, n), |(i, j)| joined.get(i, j as u32));
    let (square, cube) = (a.dot(&a), a.dot(&a).dot(&a));
    for ((i, j), &walks) in square.indexed_iter() {
        let own = if i == j { degrees[[i, 0]] } else { 0 };
        assert_eq!(walks, paths.get(i, j as u32) + triangles.get(i, j as u32) + own);
        if i != j {
            let [far, pendant, mirrored, diamond, cycle, rim, other_rim, four] =
                std::array::from_fn(|at| parts[at].get(i, j as u32));
            let wanted = if a[[i, j]] == 1 {
                degrees[[i, 0]] + degrees[[j, 0]] - 1 + cycle + rim + other_rim + 2 * four
            } else {
                far + pendant + mirrored + 2 * diamond
            };
            assert_eq!(cube[[i, j]], wanted, "walks of three steps from {i} to {j}");
        }
    }
}

#[test]
fn relabelled_joined_and_bipartite_graphs() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let edges = random_edges(9, 0.5, &mut rng);
    let one = graphlets(9, &edges);
    let new = [4u32, 2, 8, 0, 7, 1, 3, 6, 5];
    let moved: Vec<_> = edges.iter().map(|&(a, b)| (new[a as usize], new[b as usize])).collect();
    let relabelled = graphlets(9, &moved);
    // twice the same graph, and a node without an edge between them
    let second = edges.iter().map(|&(a, b)| (a + 10, b + 10));
    let two = graphlets(19, &edges.iter().copied().chain(second).collect::<Vec<_>>());
    for asked in Orbit::all() {
        let counts = entries(&one.orbit(asked));
        let wanted: HashMap<_, _> =
            counts.iter().map(|(&(i, j), &count)| ((new[i as usize], new[j as usize]), count)).collect();
        assert_eq!(entries(&relabelled.orbit(asked)), wanted, "{asked}");
        let wanted: HashMap<_, _> =
            counts.iter().flat_map(|(&(i, j), &count)| [((i, j), count), ((i + 10, j + 10), count)]).collect();
        assert_eq!(entries(&two.orbit(asked)), wanted, "{asked}");
    }
    let sides: Vec<_> = random_edges(12, 0.6, &mut rng).into_iter().filter(|(a, b)| a % 2 != b % 2).collect();
    let bipartite = graphlets(12, &sides);
    for (hops, from, to) in [
        (1, 3, 3),
        (1, 9, 11),
        (1, 10, 10),
        (1, 10, 11),
        (2, 9, 10),
        (1, 12, 13),
        (2, 12, 12),
        (1, 13, 13),
        (1, 14, 14),
    ] {
        assert_eq!(bipartite.orbit(key(hops, from, to)).nnz(), 0);
    }
    assert!(bipartite.orbit(key(1, 8, 8)).nnz() > 0);
}

#[test]
fn complete_graphs_and_stars_have_closed_forms() {
    for n in 4..9u64 {
        let all: Vec<_> = (0..n as u32).flat_map(|i| (i + 1..n as u32).map(move |j| (i, j))).collect();
        let complete = graphlets(n as usize, &all);
        let fours = complete.orbit(key(1, 14, 14));
        assert!(
            entries(&fours).values().all(|&count| count == (n - 2) * (n - 3) / 2) && fours.nnz() as u64 == n * (n - 1)
        );
        for asked in Orbit::BASE.into_iter().filter(|key| (4..14).contains(&key.orbits().0)) {
            assert_eq!(complete.orbit(asked).nnz(), 0, "{asked} of a complete graph of {n}");
        }
    }
    // a hub whose pairs of leaves exceed 32 bits
    let leaves = 100_000u32;
    let star = graphlets(leaves as usize + 1, &(1..=leaves).map(|leaf| (0, leaf)).collect::<Vec<_>>());
    let (wide, count) = (star.orbit(key(1, 6, 7)), u64::from(leaves));
    assert_eq!(wide.get(5, 0), (count - 1) * (count - 2) / 2);
    assert!(wide.get(5, 0) > u64::from(u32::MAX));
    let pair = star.orbit_rows(key(2, 6, 6), 1..2);
    assert_eq!((pair.nnz() as u64, pair.get(0, 2)), (count - 1, count - 2));
}

#[test]
fn other_graphs_are_refused() {
    let directed = Cleaning { direction: Direction::Directed, ..Default::default() };
    let directed = Graph::from_edges(3, &[(0, 1)], &directed).unwrap();
    let message = Graphlets::new(&directed).unwrap_err().to_string();
    assert_eq!(message, "graphlets of a directed graph; allowed: Direction::Undirected when the graph is made");
    assert!(Graphlets::of_simple_part(&directed).is_err());
    let weighted = Graph::from_weighted_edges(3, &[(0, 1, 2.0)], &Cleaning::default()).unwrap();
    let message = Graphlets::new(&weighted).unwrap_err().to_string();
    assert!(message.starts_with("graphlets of weights other than 1; allowed: all weights 1"), "{message}");
    assert_eq!(Graphlets::of_simple_part(&weighted).unwrap().num_edges(), 1);
    let loops = Cleaning { self_loops: SelfLoops::Keep, ..Default::default() };
    let looped = Graph::from_edges(3, &[(0, 1), (1, 1)], &loops).unwrap();
    let message = Graphlets::new(&looped).unwrap_err().to_string();
    assert!(message.starts_with("graphlets of 1 edges from a node to itself; allowed: SelfLoops::Drop"), "{message}");
    let graphlets = Graphlets::of_simple_part(&looped).unwrap();
    assert_eq!((graphlets.num_edges(), graphlets.dropped()), (1, 1));
    assert!(matches!(Graph::from_edges(0, &[], &Cleaning::default()), Err(GraphError::NoNodes { .. })));
    let message = Orbit::new(2, 0, 0).unwrap_err().to_string();
    assert!(message.starts_with("orbit = 0-0 at 2 is not valid; allowed: one of the 28 keys"), "{message}");
    let wrong = graphlets.drop_probabilities(key(2, 1, 1), 0.3, 0.7).unwrap_err();
    assert!(matches!(wrong, AugmentError::Setting { setting: "hops of the orbit", .. }));
    assert!(graphlets.drop_probabilities(key(1, 0, 0), 1.3, 0.7).is_err());
}

#[test]
fn pointwise_information_and_its_factors() {
    // [[0, 3], [1, 0]]: independent only in the corners, log(3 * 4 / (3 * 3)) and log(1 * 4 / (1 * 1))
    let counts = Csr::from_triplets(2, 2, &[(0, 1, 3.0), (1, 0, 1.0)]).unwrap();
    let information = ppmi(&counts, 0.0);
    assert!((information.row(0).1[0] - (4f64 / 3.0).ln()).abs() < 1e-15);
    assert!((information.row(1).1[0] - 4f64.ln()).abs() < 1e-15);
    let shifted = ppmi(&counts, 0.5);
    assert_eq!(shifted.nnz(), 1, "log(4/3) is below the shift");
    let factors = factorise(&information, 2, Sides::Both, 1).unwrap();
    let product = factors.slice(s![.., ..2]).dot(&factors.slice(s![.., 2..]).t());
    for (row, column, wanted) in [(0, 0, 0.0), (0, 1, (4f64 / 3.0).ln()), (1, 0, 4f64.ln()), (1, 1, 0.0)] {
        assert!((f64::from(product[[row, column]]) - wanted).abs() < 1e-6);
    }
    // a key that no pair has: zeros, no NaN
    let path = graphlets(3, &[(0, 1), (1, 2)]);
    let nothing = ppmi(&path.orbit(key(1, 14, 14)).to_csr(), 0.0);
    assert_eq!(factorise(&nothing, 2, Sides::Left, 1).unwrap(), Array2::<f32>::zeros((3, 2)));
    assert!(matches!(
        factorise(&nothing, 4, Sides::Left, 1),
        Err(SvdError::Empty { .. } | SvdError::RankTooLarge { .. })
    ));
    // expected visits of walks: rows sum to degree times steps
    let walks = walk_counts(&graph(3, &[(0, 1), (1, 2)]).matrix(Normalisation::None, Loops::AsIs), 3);
    let sums: Vec<f64> = (0..3).map(|row| walks.row(row).1.iter().sum()).collect();
    assert!(sums.iter().zip([3.0, 6.0, 3.0]).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12), "{sums:?}");
}

#[test]
fn counts_as_positives_and_as_edge_probabilities() {
    let graph = role_graph(&RoleGraphOptions { motifs: 8, ..Default::default() }).unwrap();
    let graphlets = Graphlets::new(&graph).unwrap();
    let counts = graphlets.orbit(key(2, 1, 1));
    let all = counts.positives(None).unwrap();
    let best = counts.positives(Some(2)).unwrap();
    for node in 0..graph.num_nodes() {
        assert_eq!(all.of(node), counts.row(node).0);
        let least = best.of(node).iter().map(|&other| counts.get(node, other)).min();
        let left_out = counts.row(node).0.iter().filter(|other| !best.of(node).contains(other));
        assert!(best.of(node).len() == counts.row(node).0.len().min(2));
        assert!(left_out.map(|&other| counts.get(node, other)).max() <= least);
    }
    // edges within complete graphs stay longer than those of stars
    let probabilities = graphlets.drop_probabilities(key(1, 14, 14), 0.3, 0.7).unwrap();
    let adjacency = graph.matrix(Normalisation::None, Loops::Remove);
    assert_eq!(probabilities.len(), adjacency.nnz());
    let fours = graphlets.orbit(key(1, 14, 14));
    let entries: Vec<(u32, u32)> =
        (0..graph.num_nodes() as u32).flat_map(|i| graph.neighbours(i).iter().map(move |&j| (i, j))).collect();
    for (&(i, j), probability) in entries.iter().zip(&probabilities) {
        assert_eq!(*probability < 0.3, fours.get(i as usize, j) > 0, "edge ({i}, {j}) with {probability}");
    }
    let thinned = drop_edges_weighted(&adjacency, &probabilities, EdgeDraw::PerPair, &mut ChaCha8Rng::seed_from_u64(1));
    assert!(thinned.unwrap().nnz() < adjacency.nnz());
    let features = graph.clone().with_graphlet_features().unwrap();
    let dense = features.features().unwrap().to_dense();
    assert_eq!(dense.dim(), (graph.num_nodes(), 15));
    assert!((dense[[0, 0]] - (graph.neighbours(0).len() as f32).ln_1p()).abs() < 1e-6);
    assert!(role_graph(&RoleGraphOptions { motifs: 3, ..Default::default() }).is_err());
    assert!(role_graph(&RoleGraphOptions { noise: -0.1, ..Default::default() }).is_err());
}

const TOTALS: [u64; 20] = [
    2006, 35816, 29274, 184_478, 184_478, 500_124, 14952, 157_404, 314_808, 314_808, 199_224, 99612, 203_940, 35816,
    184_478, 1_000_248, 7476, 314_808, 99612, 184_478,
];

#[test]
fn golden_brazil_has_the_published_totals() {
    let Some(root) = shared() else { return };
    let graph = Graph::read(root.join("data/struc2vec/brazil-airports.edgelist")).unwrap();
    let graphlets = Graphlets::new(&graph).unwrap();
    assert_eq!((graphlets.num_nodes(), graphlets.num_edges()), (131, 1003));
    assert_eq!(Orbit::BASE.map(|key| graphlets.orbit(key).total()), TOTALS);
}

/// Accuracies on the splits by a probe whose penalty is chosen on validation.
fn probe(graph: &Graph, x: ArrayView2<'_, f32>, splits: &[Split]) -> (f64, Vec<f64>) {
    let classes = graph.require_labels().unwrap().complete().unwrap();
    let count = graph.require_labels().unwrap().num_classes();
    let grid: Vec<f64> = (-6..7).map(|power| f64::from(2 * power).exp2()).collect();
    let classifier = LogisticRegression::new(1.0).with_missing_classes(true);
    let probe =
        LinearProbe::new().with_classifier(classifier).with_scaling(Scaling::Standardise).with_validation(&grid);
    let report = probe.run(x, Targets::single(&classes, count), splits).unwrap();
    (report.accuracy().mean, report.runs().iter().map(|run| run.chosen_by.unwrap()).collect())
}

#[test]
fn golden_airports_keys_chosen_on_validation_beat_walks() {
    let Some(root) = shared() else { return };
    let graph = Graph::read(root.join("data/struc2vec/brazil-airports.edgelist")).unwrap();
    let nodes = graph.num_nodes();
    let splits: Vec<Split> = (0..10).map(|seed| Split::random(nodes, 0.6, 0.2, seed).unwrap()).collect();
    let embed = |counts: &Csr<f64>| factorise(&ppmi(counts, 0.0), 16, Sides::Left, 1).unwrap();
    let walks = walk_counts(&graph.matrix(Normalisation::None, Loops::Remove), 3);
    let walked = probe(&graph, embed(&walks).view(), &splits).0;
    let graphlets = Graphlets::new(&graph).unwrap();
    let mut best = (0.0, 0.0);
    for asked in Orbit::all() {
        let (accuracy, chosen) = probe(&graph, embed(&graphlets.orbit(asked).to_csr()).view(), &splits);
        let validation = chosen.iter().sum::<f64>();
        if validation > best.0 {
            best = (validation, accuracy);
        }
    }
    println!("walks {walked:.3}, the key chosen on validation {:.3}", best.1);
    assert!(best.1 > walked + 0.05, "walks {walked}, key {}", best.1);
}
