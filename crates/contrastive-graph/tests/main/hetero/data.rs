//! Meta-paths and views by their definitions, and the ways in.

use crate::common::*;
use contrastive_data::Limits;
use contrastive_graph::hetero::data::*;
use contrastive_graph::node::data::Features;
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;
use petgraph::graph::UnGraph;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn dense(matrix: &Csr<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((matrix.rows(), matrix.cols()));
    for row in 0..matrix.rows() {
        let (columns, values) = matrix.row(row);
        columns.iter().zip(values).for_each(|(&column, &value)| out[[row, column as usize]] = value);
    }
    out
}

fn random_pairs(rng: &mut ChaCha8Rng, a: u32, b: u32, count: usize) -> Vec<(u32, u32)> {
    let mut pairs: Vec<(u32, u32)> = (0..count).map(|_| (rng.random_range(0..a), rng.random_range(0..b))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Papers, authors and venues.
fn network(seed: u64) -> HeteroGraph {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let types = vec![NodeType::new("P", 12), NodeType::new("A", 7), NodeType::new("C", 3)];
    let graph = HeteroGraph::new("small", types, "A").unwrap();
    let graph = graph.with_links("P", "A", &random_pairs(&mut rng, 12, 7, 25)).unwrap();
    graph.with_links("P", "C", &random_pairs(&mut rng, 12, 3, 14)).unwrap()
}

/// Counts are products of dense incidence matrices, contexts the places of prefixes.
#[test]
fn meta_paths_count_and_reach_what_products_do() {
    for seed in 0..5 {
        let graph = network(seed);
        let [pa, pc] = [0, 1].map(|k| dense(&graph.relations()[k].links));
        let ap = pa.t().to_owned();
        let path = MetaPath::new(&graph, "A-P-C-P-A").unwrap();
        let half = ap.dot(&pc);
        let wanted = half.dot(&half.t());
        assert_eq!(dense(&path.counts()), wanted);
        assert_eq!(path.returns(), wanted.diag().to_vec());
        let contexts = path.contexts();
        assert_eq!(contexts.iter().map(|context| context.of_type).collect::<Vec<_>>(), [0, 2, 0]);
        let ones = |x: Array2<f64>| x.mapv(|x| f64::from(x > 0.0));
        assert_eq!(dense(&contexts[0].members), ap);
        assert_eq!(dense(&contexts[1].members), ones(half.clone()));
        assert_eq!(dense(&contexts[2].members), ones(half.dot(&pc.t())));
        assert_eq!(dense(&MetaPath::new(&graph, "A-P-A").unwrap().counts()), ap.dot(&pa));
    }
}

/// Check 6: PathSim is symmetric for symmetric counts, 1 with itself; keeping all keeps all; a target without instances has an empty row.
#[test]
fn the_strongest_are_those_of_path_sim() {
    let graph = network(3);
    let path = MetaPath::new(&graph, "A-P-A").unwrap();
    let counts = dense(&path.counts());
    assert_eq!(path.strongest(7).unwrap(), path.counts());
    assert_eq!(path.strongest(usize::MAX).unwrap(), path.counts());
    let sim = |i: usize, j: usize| {
        let sum = counts[[i, i]] + counts[[j, j]];
        if sum > 0.0 { 2.0 * counts[[i, j]] / sum } else { 0.0 }
    };
    for keep in 1..4 {
        let kept = dense(&path.strongest(keep).unwrap());
        for i in 0..7 {
            assert!(counts[[i, i]] == 0.0 || sim(i, i) == 1.0);
            let mut order: Vec<usize> = (0..7).filter(|&j| counts[[i, j]] > 0.0).collect();
            order.sort_by(|&a, &b| sim(i, b).total_cmp(&sim(i, a)).then(a.cmp(&b)));
            for (rank, &j) in order.iter().enumerate() {
                assert_eq!(kept[[i, j]], if rank < keep { counts[[i, j]] } else { 0.0 }, "{i} {j}");
                assert_eq!(sim(i, j), sim(j, i));
            }
        }
    }
    let lone = HeteroGraph::new("lone", vec![NodeType::new("P", 3), NodeType::new("A", 1)], "P").unwrap();
    let lone = lone.with_links("P", "A", &[(0, 0), (1, 0)]).unwrap();
    let path = MetaPath::new(&lone, "P-A-P").unwrap();
    assert_eq!(path.returns(), [1.0, 1.0, 0.0]);
    assert!(path.strongest(2).unwrap().row(2).0.is_empty());
}

/// `D^-1/2 C^T D^-1/2`, also of an asymmetric C; masked copies keep the diagonal, lose exactly their share, and hold ones.
#[test]
fn normalised_and_masked_copies_follow_their_definitions() {
    let graph = network(4);
    let counts = MetaPath::new(&graph, "A-P-C-P-A").unwrap().strongest(3).unwrap();
    let (c, sums) = (dense(&counts), dense(&counts).sum_axis(ndarray::Axis(1)));
    let found = dense(&normalised(&counts));
    for ((i, j), value) in found.indexed_iter() {
        let wanted = if c[[j, i]] == 0.0 { 0.0 } else { c[[j, i]] / (sums[i] * sums[j]).sqrt() };
        assert!((value - wanted).abs() < 1e-12);
    }
    let all = MetaPath::new(&graph, "A-P-C-P-A").unwrap().counts();
    let others = all.nnz() - (0..7).filter(|&i| dense(&all)[[i, i]] > 0.0).count();
    let copy = masked_copy(&all, 0.3, &mut ChaCha8Rng::seed_from_u64(1));
    assert_eq!(copy.nnz(), 7 + others - (others as f64 * 0.3) as usize);
    let (copy, of) = (dense(&copy), dense(&all));
    assert!(copy.indexed_iter().all(|((i, j), &x)| if i == j {
        x == 1.0
    } else {
        x == 0.0 || (x == 1.0 && of[[i, j]] > 0.0)
    }));
    assert_eq!(dense(&masked_copy(&all, 1.0, &mut ChaCha8Rng::seed_from_u64(1))), Array2::<f64>::eye(7));
    let features = Features::Dense(Array2::from_shape_fn((6, 5), |(i, j)| ((i + j) % 3) as f32));
    let masked = masked_features(&features, 0.5, &mut ChaCha8Rng::seed_from_u64(1));
    assert_eq!((features.num_nonzero(), masked.num_nonzero()), (20, 10));
    let sparse = Features::from_entries(2, 3, &[(0, 1, 2.0), (1, 0, 1.0), (1, 2, 4.0)]).unwrap();
    assert_eq!(masked_features(&sparse, 0.4, &mut ChaCha8Rng::seed_from_u64(1)).num_nonzero(), 2);
}

#[test]
fn a_typed_petgraph_becomes_a_network() {
    let mut net = UnGraph::<(&str, Vec<f32>, Option<u32>), ()>::new_undirected();
    let a = net.add_node(("A", vec![], None));
    let p: Vec<_> = (0..3).map(|k| net.add_node(("P", vec![k as f32, 1.0], Some(k % 2)))).collect();
    net.extend_with_edges([(a, p[0]), (p[1], a), (p[1], p[2])]);
    let typed = |node: &(&str, Vec<f32>, Option<u32>)| TypedNode {
        kind: node.0.into(),
        features: node.1.clone(),
        label: node.2,
    };
    let graph = HeteroGraph::from_petgraph(&net, "P", typed).unwrap();
    assert_eq!(graph.types().iter().map(|of| (of.name.as_str(), of.count)).collect::<Vec<_>>(), [("A", 1), ("P", 3)]);
    assert_eq!(graph.classes().unwrap(), [0, 1, 0]);
    let counts = dense(&MetaPath::new(&graph, "P-A-P").unwrap().counts());
    assert_eq!(counts, ndarray::array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]);
    let among = dense(&MetaPath::new(&graph, "P-P").unwrap().counts());
    assert_eq!(among, ndarray::array![[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]);
    net.add_node(("P", vec![1.0], None));
    let error = HeteroGraph::from_petgraph(&net, "P", typed).unwrap_err().to_string();
    assert!(error.contains("1 features") && error.contains("allowed is 2") || error.contains('2'), "{error}");
}

#[test]
fn a_generated_network_holds_what_its_options_say() {
    let graph = planted_network(&NetworkOptions::default()).unwrap();
    assert_eq!(graph.types().iter().map(|of| of.count).collect::<Vec<_>>(), [400, 200, 24]);
    assert_eq!(graph.split("20").unwrap().train.len(), 80);
    assert_eq!(graph.digest(), planted_network(&NetworkOptions::default()).unwrap().digest());
    let other = planted_network(&NetworkOptions { seed: 8, ..Default::default() }).unwrap();
    assert_ne!(graph.digest(), other.digest());
    for bad in [
        NetworkOptions { classes: 0, ..Default::default() },
        NetworkOptions { subjects: 2, ..Default::default() },
        NetworkOptions { noise: 1.5, ..Default::default() },
    ] {
        assert!(planted_network(&bad).unwrap_err().to_string().contains("allowed"));
    }
}

/// ACM as HeCo publishes it: sizes, and the places of its own meta-path matrices.
#[test]
fn golden_acm_has_the_published_sizes_and_meta_paths() {
    let Some(root) = shared() else { return };
    let folder = root.join("data/heco-acm");
    let graph = HeteroGraph::open_heco(&folder, &Limits::default()).unwrap();
    let sizes: Vec<_> = graph.types().iter().map(|of| (of.name.as_str(), of.count)).collect();
    assert_eq!(sizes, [("P", 4019), ("A", 7167), ("S", 60)]);
    assert_eq!(
        graph.relations().iter().map(|r| (r.links.nnz(), r.repeated)).collect::<Vec<_>>(),
        [(13_407, 0), (4019, 0)]
    );
    for (rate, train) in [("20", 60), ("40", 120), ("60", 180)] {
        assert_eq!(graph.split(rate).unwrap().sizes(), (train, 1000, 1000));
    }
    assert!(graph.classes().unwrap().iter().all(|class| *class < 3));
    for (name, file) in [("P-A-P", "pap"), ("P-S-P", "psp")] {
        let path = folder.join(format!("{file}.npz"));
        let bytes = contrastive_data::read_bytes(&path, &Limits::default()).unwrap();
        let mut archive = contrastive_data::Archive::open(&path, &bytes, &Limits::default()).unwrap();
        let counts = MetaPath::new(&graph, name).unwrap().counts();
        let listed = if archive.has("row") {
            let (rows, cols) = (archive.need("row").unwrap(), archive.need("col").unwrap());
            rows.below(4019).unwrap().into_iter().zip(cols.below(4019).unwrap()).collect::<Vec<_>>()
        } else {
            let (starts, columns) = (archive.need("indptr").unwrap(), archive.need("indices").unwrap());
            let (starts, columns) = (starts.indices().unwrap(), columns.below(4019).unwrap());
            let row = |row: usize| {
                columns[starts[row] as usize..starts[row + 1] as usize].iter().map(move |&c| (row as u32, c))
            };
            (0..4019).flat_map(row).collect()
        };
        let mut listed = listed;
        listed.sort_unstable();
        let own = (0..4019u32).flat_map(|row| counts.row(row as usize).0.iter().map(move |&column| (row, column)));
        assert!(own.eq(listed), "{name}");
    }
}
