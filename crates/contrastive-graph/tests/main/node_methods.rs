//! GRACE, GCA and CSGCL: the checks of their papers' objectives and views, whole trainings, and bad input.

mod real;
mod resume;
mod settings;

use crate::common::directions::{Along, Moved, slope};
use crate::common::{close, has_f64, shared, tracked, values};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use contrastive_core::objective::{Clip, Grace as GraceObjective};
use contrastive_eval::probe::{LinearProbe, Split, Targets};
use contrastive_graph::MethodError;
use contrastive_graph::node::augment::community::Partition;
use contrastive_graph::node::augment::edges::EdgeEnd;
use contrastive_graph::node::data::{BlockModelOptions, Cleaning, Density, Direction, Features, Graph, block_model};
use contrastive_graph::node::encoder::Normalisation;
use contrastive_graph::node::method::*;
use contrastive_nn::layer::Activation;
use contrastive_train::{FitOptions, TrainError, Trainee, read_safetensors};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn draws(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = rng(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn views(rows: usize, width: usize, seed: u64) -> [Tensor<2>; 2] {
    [0, 1].map(|k| tracked(draws(rows * width, seed + k), [rows, width], DType::F64))
}

fn value(loss: &Tensor<1>) -> f64 {
    values(loss)[0]
}

/// Communities that can be told apart.
fn blocks(nodes: usize) -> Graph {
    block_model(&BlockModelOptions { nodes, ..BlockModelOptions::default() }).unwrap()
}

fn edges(nodes: usize, edges: &[(u32, u32)]) -> Graph {
    let graph = Graph::from_edges(nodes, edges, &Cleaning::default()).unwrap();
    let one_each: Vec<_> = (0..nodes as u32).map(|node| (node, node % 3, 1.0 + node as f32)).collect();
    graph.with_features(Features::from_entries(nodes, 3, &one_each).unwrap()).unwrap()
}

/// CSGCL's worked example: K4, a triangle and an edge, joined by two bridges.
fn worked() -> (Graph, Partition) {
    let links = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (4, 5), (5, 6), (4, 6), (7, 8), (3, 4), (6, 7)];
    (edges(9, &links), Partition::from_labels(&[0, 0, 0, 0, 1, 1, 1, 2, 2]))
}

fn small() -> GraceConfig {
    GraceConfig::new().with_dim(8).with_projection(8)
}

fn small_csgcl() -> CsgclConfig {
    CsgclConfig::new().with_dim(8).with_projection(8).with_team_up_start(0)
}

fn device() -> Device {
    Device::default()
}

/// GRACE's loss over the matrix written out, `gamma (n_i + n_j)` added to the similarities.
fn dense([u, v]: [Tensor<2>; 2], temperature: f64, strength: &[f64], gamma: f64) -> Tensor<1> {
    let n = u.dims()[0];
    let all = Tensor::cat(vec![u, v], 0);
    let unit = all.clone() * all.powi_scalar(2).sum_dim(1).sqrt().recip();
    let mut added = Vec::new();
    for i in 0..2 * n {
        added.extend((0..2 * n).map(|j| gamma * (strength[i % n] + strength[j % n]) - if i == j { 1e6 } else { 0.0 }));
    }
    let added = tracked(added, [2 * n, 2 * n], DType::F64).detach();
    let logits = (unit.clone().matmul(unit.transpose()) + added) * (1.0 / temperature);
    let top = logits.clone().max_dim(1).detach();
    let sums = (logits.clone() - top.clone()).exp().sum_dim(1).log() + top;
    let own = (0..2 * n).map(|i| logits.clone().slice([i..i + 1, (i + n) % (2 * n)..(i + n) % (2 * n) + 1]));
    let own = Tensor::cat(own.collect(), 0);
    ((sums - own).sum() * (1.0 / (2 * n) as f64)).reshape([1])
}

fn gradients(loss: Tensor<1>, views: &[Tensor<2>; 2]) -> Vec<f64> {
    let gradients = loss.backward();
    views.iter().flat_map(|view| values(&view.grad(&gradients).unwrap())).collect()
}

/// GRACE, checks 1 to 4.
#[test]
fn grace_objective_has_the_values_and_identities_of_its_paper() {
    if !has_f64() {
        return;
    }
    let grace = GraceObjective::new(0.4).unwrap();
    let equal = || tracked([0.3, -0.2, 0.9].repeat(7), [7, 3], DType::F64);
    close("all equal", &[value(&grace.loss(equal(), equal()))], &[13f64.ln()], 1e-12, 0.0);
    let identity: Vec<f64> = (0..25).map(|k| f64::from(k % 6 == 0)).collect();
    let identity = || tracked(identity.clone(), [5, 5], DType::F64);
    let expected = ((1.0 / 0.4f64).exp() + 8.0).ln() - 1.0 / 0.4;
    close("orthonormal", &[value(&grace.loss(identity(), identity()))], &[expected], 1e-12, 0.0);
    let of = |loss: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| {
        let views = views(37, 6, 1);
        let loss = loss(views[0].clone(), views[1].clone());
        (value(&loss), gradients(loss, &views))
    };
    let (found, gradient) = of(&|u, v| grace.loss(u, v));
    let (written_out, expected) = of(&|u, v| dense([u, v], 0.4, &[0.0; 37], 0.0));
    close("blocks", &[found], &[written_out], 1e-12, 1e-12);
    close("gradient of blocks", &gradient, &expected, 1e-12, 1e-10);
    let (swapped, other) = of(&|u, v| grace.loss(v, u));
    close("swapped", &[swapped], &[found], 1e-13, 0.0);
    close("gradient of swapped views", &other, &gradient, 1e-13, 0.0);
    let between = grace.clone().with_inter_view_only();
    close(
        "InfoNCE",
        &[of(&|u, v| between.loss(u, v)).0],
        &[of(&|u, v| Clip::new(0.4).unwrap().loss(u, v)).0],
        1e-13,
        0.0,
    );
    let scaled = of(&|u, v| grace.loss(u * 7.0, v * 0.1)).0;
    close("scale of the projector", &[scaled], &[found], 1e-12, 0.0);
}

/// CSGCL, checks 1 and 2.
#[test]
fn team_up_is_grace_with_candidate_weights() {
    if !has_f64() {
        return;
    }
    let n = 23;
    let mut rng = rng(3);
    let strength: Vec<f64> = (0..n).map(|_| rng.random_range(-0.05..0.25)).collect();
    let run = |loss: &dyn Fn([Tensor<2>; 2]) -> Tensor<1>| {
        let views = views(n, 5, 8);
        let loss = loss(views.clone());
        (value(&loss), gradients(loss, &views))
    };
    let team_up = |strength: &[f64], gamma: f64| {
        let objective = TeamUp::new(0.6, strength).unwrap();
        run(&|[u, v]| objective.loss(u, v, gamma))
    };
    let grace = run(&|[u, v]| GraceObjective::new(0.6).unwrap().loss(u, v));
    assert_eq!(team_up(&strength, 0.0), grace, "gamma 0");
    assert_eq!(team_up(&vec![0.2; n], 10.0), grace, "equal strengths");
    for gamma in [0.5, 10.0] {
        let (found, gradient) = team_up(&strength, gamma);
        let (pairwise, expected) = run(&|views| dense(views, 0.6, &strength, gamma));
        close("pairwise form", &[found], &[pairwise], 1e-10, 1e-10);
        close("gradient of the pairwise form", &gradient, &expected, 1e-10, 1e-9);
        assert!((found - grace.0).abs() > 1e-4, "the strengths change the value");
    }
    assert!(TeamUp::new(0.6, &[0.1, f64::NAN]).is_err());
    assert!(TeamUp::new(0.0, &[0.1]).is_err());
}

fn finite_differences<M: NodeMethod>(training: &NodeTraining<M>) {
    let method = training.method();
    let loss = |step: f64| {
        let model = training.model().clone().map(&mut Moved(rng(5), step));
        let encoded = method.encode(&model, 0, &mut rng(6)).unwrap();
        let total = method.losses(&model, encoded, 70).unwrap().into_iter().map(|(_, loss)| loss);
        let total = total.reduce(|a, b| a + b).unwrap();
        (model, total)
    };
    let (model, total) = loss(0.0);
    let gradients = total.backward();
    let mut along = Along(rng(5), &gradients, 0.0);
    model.visit(&mut along);
    let numeric = slope(|step| value(&loss(step).1), 1e-5);
    assert!(numeric.abs() > 1e-5, "a derivative that is not 0 by accident: {numeric}");
    close(training.name(), &[along.2], &[numeric], 1e-9, 1e-6);
}

/// GRACE, check 5: views, encoder, projector and objective as one function of the parameters.
#[test]
fn gradients_of_whole_methods_agree_with_finite_differences() {
    if !has_f64() {
        return;
    }
    let graph = blocks(50);
    let small = || small().with_normalise_features(false);
    let small_csgcl = || small_csgcl().with_normalise_features(false);
    finite_differences(&small().with_activation(Activation::PRelu).build(&graph, 1, &device()).unwrap());
    finite_differences(&small().with_within_views(false).build(&graph, 2, &device()).unwrap());
    finite_differences(&small_csgcl().build(&graph, 3, &device()).unwrap());
    let normalisation = Normalisation::Layer;
    let views = UniformViews::new([0.3; 2], [0.2; 2]).with_normalise_features(false);
    let gbt = GbtConfig::new().with_widths(vec![6, 4]).with_normalisation(normalisation).with_views(views);
    finite_differences(&gbt.build(&graph, 4, &device()).unwrap());
    let dgi = DgiConfig::new().with_dim(6).with_normalise_features(false);
    finite_differences(&dgi.build(&graph, 5, &device()).unwrap());
}

/// GRACE, check 5.
#[test]
fn embeddings_follow_a_renumbering_of_the_nodes() {
    let graph = blocks(60);
    let number = |node: u32| (node * 7 + 3) % 60;
    let links: Vec<(u32, u32)> = graph.edges().map(|(a, b, _)| (number(a), number(b))).collect();
    let words: Vec<(u32, u32, f32)> = (0..60u32)
        .flat_map(|node| {
            graph.features().unwrap().row(node as usize).into_iter().map(move |(w, x)| (number(node), w, x))
        })
        .collect();
    let moved = Graph::from_edges(60, &links, &Cleaning::default()).unwrap();
    let moved = moved.with_features(Features::from_entries(60, 200, &words).unwrap()).unwrap();
    // Nothing is dropped, so both trainings see the same graphs.
    let config = small().with_edge_drop([0.0; 2]).with_feature_drop([0.0; 2]);
    let run = |graph| {
        let mut training = config.build(graph, 4, &device()).unwrap();
        let losses: Vec<f64> = (0..3).map(|_| training.train_epoch().unwrap()).collect();
        (losses, training.embed())
    };
    let ((losses, x), (others, y)) = (run(&graph), run(&moved));
    close("losses", &losses, &others, 1e-5, 1e-5);
    for node in 0..60u32 {
        let [a, b] = [x.row(node as usize), y.row(number(node) as usize)].map(|r| r.mapv(f64::from).to_vec());
        close(&format!("node {node}"), &a, &b, 1e-5, 1e-4);
    }
}

/// GRACE, check 6.
#[test]
fn gca_keeps_what_is_central() {
    let graph = blocks(150);
    for centrality in [Centrality::Degree, Centrality::PageRank, Centrality::Eigenvector] {
        for end in [EdgeEnd::Mean, EdgeEnd::Target] {
            let config = small().with_corruption(Corruption::Adaptive { centrality, end, cut: 1.0 });
            let training = config.build(&graph, 1, &device()).unwrap();
            assert_eq!(training.name(), "gca");
            for (rule, p) in training.method().views().rules.iter().zip(config.edge_drop) {
                let drops = rule.edges.each(graph.num_entries());
                let mean = drops.iter().sum::<f64>() / drops.len() as f64;
                if drops.iter().all(|&p| p < 1.0) {
                    close("mean", &[mean], &[p], 1e-12, 0.0);
                }
                assert!(drops.iter().any(|&p| p.abs() < 1e-12), "the most central edge stays");
            }
        }
    }
    let cycle: Vec<(u32, u32)> = (0..12).map(|k| (k, (k + 1) % 12)).collect();
    let cycle = edges(12, &cycle);
    let training = small().adaptive(Centrality::Degree).build(&cycle, 1, &device()).unwrap();
    for (rule, p) in training.method().views().rules.iter().zip([0.2, 0.4]) {
        assert_eq!(rule.edges.each(24), vec![p; 24], "a regular graph falls back to one probability");
    }
}

/// GRACE, check 7: isolated nodes, all edges dropped, all features dropped.
#[test]
fn nothing_left_is_still_finite() {
    let graph = edges(6, &[(0, 1), (1, 2), (3, 1)]);
    for (edge, feature) in [([1.0; 2], [0.3; 2]), ([0.2; 2], [1.0; 2]), ([1.0, 0.0], [1.0, 0.0])] {
        let config = small().with_edge_drop(edge).with_feature_drop(feature);
        let mut training = config.build(&graph, 1, &device()).unwrap();
        let views = training.method().views().draw(&mut rng(1)).unwrap();
        assert_eq!(views[0].adjacency.nnz() == 0, edge[0] == 1.0);
        assert_eq!(views[0].columns.iter().any(|keep| *keep), feature[0] < 1.0);
        let losses: Vec<f64> = (0..3).map(|_| training.train_epoch().unwrap()).collect();
        assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        assert!(training.embed().iter().all(|x| x.is_finite()));
    }
    // Only self loops left: an isolated node is its own neighbour with weight 1.
    let training = small().with_edge_drop([1.0; 2]).build(&graph, 1, &device()).unwrap();
    let views = training.method().views();
    let model = training.model().valid();
    let none = model.encoder.prepare(&views.draw(&mut rng(2)).unwrap()[0].adjacency);
    let alone = model.encoder.forward(&none, views.data.input());
    let [alone, whole] = [alone, views.embed(&model)].map(|x| values(&x));
    close("isolated node", &alone[5 * 8..], &whole[5 * 8..], 0.0, 0.0);
    assert!(alone[..8] != whole[..8], "the others have neighbours");
}

/// CSGCL, checks 3 to 6.
#[test]
fn csgcl_drops_what_joins_communities_first() {
    let (graph, partition) = worked();
    let config = small_csgcl().with_edge_drop([0.3, 0.3]);
    let training = config.build_with_partition(&graph, partition, 1, &device()).unwrap();
    let method = training.method();
    close("strength", method.strength(), &[0.206597, 0.138889, 0.067708], 1e-6, 0.0);
    close("modularity", &[method.strength().iter().sum()], &[0.413194], 1e-6, 0.0);
    let drops = method.views().rules[0].edges.each(24);
    close("mean keep", &[1.0 - drops.iter().sum::<f64>() / 24.0], &[0.7], 1e-12, 0.0);
    let adjacency = method.views().data.adjacency();
    for (row, column, keep) in [(0, 1, 0.8721), (4, 5, 0.7651), (8, 7, 0.6527), (6, 7, 0.2194), (4, 3, 0.0)] {
        let at = adjacency.indptr()[row] + adjacency.row(row).0.iter().position(|&c| c == column).unwrap();
        close(&format!("keep {row}-{column}"), &[1.0 - drops[at]], &[keep], 5e-5, 0.0);
    }
    // The ramp: nothing at t0, gamma grows by 1 in 100 epochs, up to its largest.
    let config = config.with_team_up_start(5).with_team_up_largest(0.5);
    let training = config.build_with_partition(&graph, worked().1, 1, &device()).unwrap();
    let method = training.method();
    let seen = || method.encode(training.model(), 0, &mut rng(9)).unwrap();
    let projections = || seen().encoded.map(|encoded| training.model().head(encoded));
    let at = |epoch| value(&method.losses(training.model(), seen(), epoch).unwrap()[0].1);
    let grace = GraceObjective::new(0.4).unwrap();
    let [u, v] = projections();
    assert_eq!(at(5), value(&grace.loss(u, v)));
    for (epoch, gamma) in [(30, 0.25), (55, 0.5), (500, 0.5)] {
        let [u, v] = projections();
        assert_eq!(at(epoch), value(&method.objective().loss(u, v, gamma)), "epoch {epoch}");
        assert_ne!(at(epoch), at(5));
    }
}

/// A single community has strength 0: the method is GRACE, step by step.
#[test]
fn csgcl_of_one_community_is_grace() {
    let graph = blocks(50);
    let one = Partition::from_labels(&[4; 50]);
    let csgcl = small_csgcl().with_edge_drop([0.2, 0.4]).with_feature_drop([0.3, 0.4]).with_learning_rate(5e-4);
    let csgcl = csgcl.with_activation(Activation::Relu).with_team_up_largest(10.0);
    let mut csgcl = csgcl.build_with_partition(&graph, one, 6, &device()).unwrap();
    let mut grace = small().build(&graph, 6, &device()).unwrap();
    for epoch in 0..4 {
        assert_eq!(csgcl.train_epoch().unwrap(), grace.train_epoch().unwrap(), "epoch {epoch}");
    }
    assert_eq!(csgcl.embed(), grace.embed());
}

/// CSGCL, checks 3 and 7: two communities are equally strong; single nodes have strengths below 0, whose votes have no logarithm.
#[test]
fn csgcl_of_two_communities_and_of_single_nodes() {
    let (graph, _) = worked();
    let of = |labels: &[u32]| {
        let config = small_csgcl().with_feature_drop([0.3, 0.3]);
        config.build_with_partition(&graph, Partition::from_labels(labels), 1, &device()).unwrap()
    };
    let two = of(&[0, 0, 0, 0, 1, 1, 1, 1, 1]);
    close("two communities", &two.method().strength()[..1], &two.method().strength()[1..], 1e-12, 0.0);
    let [u, v] = two.method().encode(two.model(), 0, &mut rng(2)).unwrap().encoded;
    let grace = value(&GraceObjective::new(0.4).unwrap().loss(u.clone(), v.clone()));
    assert_eq!(value(&two.method().objective().loss(u, v, 8.0)), grace);
    let mut single = of(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(single.method().strength().iter().all(|&strength| strength < 0.0));
    let rule = &single.method().views().rules[0];
    assert_eq!(rule.columns.each(3), [0.3; 3], "no column has a logarithm");
    assert!(rule.edges.each(24).iter().all(|p| (0.0..=1.0).contains(p)));
    assert!((0..3).all(|_| single.train_epoch().unwrap().is_finite()));
}

/// CSGCL, check 8a, and the features that the strongest communities vote for.
#[test]
fn csgcl_drops_more_edges_between_communities_than_there_are() {
    let graph = blocks(300);
    let training = small_csgcl().build(&graph, 2, &device()).unwrap();
    let (method, again) = (training.method(), small_csgcl().build(&graph, 9, &device()).unwrap());
    assert_eq!(method.partition(), again.method().partition(), "the detection has a seed of its own");
    let labels = method.partition().labels();
    let between = |adjacency: &contrastive_kernels::sparse::Csr<f64>| {
        let rows = (0..300).flat_map(|row| adjacency.row(row).0.iter().map(move |&column| (row, column as usize)));
        rows.filter(|&(a, b)| labels[a] != labels[b]).count() as f64
    };
    let whole = method.views().data.adjacency();
    let [view, _] = method.views().draw(&mut rng(4)).unwrap();
    let dropped = (between(whole) - between(&view.adjacency)) / (whole.nnz() - view.adjacency.nnz()) as f64;
    let share = between(whole) / whole.nnz() as f64;
    assert!(dropped > share + 0.1, "{dropped} of the dropped edges, {share} of all");
    assert!(view.columns.iter().all(|&keep| keep) || method.views().rules[0].columns.each(200).contains(&0.0));
}

fn accuracy(graph: &Graph, x: &Array2<f32>) -> f64 {
    let labels = graph.labels().unwrap().complete().unwrap();
    let splits: Vec<Split> = (0..3).map(|seed| Split::random(labels.len(), 0.1, 0.1, seed).unwrap()).collect();
    let probe = LinearProbe::new().with_validation(&[0.1, 1.0, 10.0, 100.0]);
    probe
        .run(x.view(), Targets::single(&labels, graph.labels().unwrap().num_classes()), &splits)
        .unwrap()
        .accuracy()
        .mean
}

/// GRACE, check 8, on a generated graph: features, untrained, trained.
#[test]
fn training_helps_a_linear_probe() {
    let density = Density::Degrees { inside: 4.0, between: 2.0 };
    let options = BlockModelOptions { nodes: 400, density, ..BlockModelOptions::default() };
    let graph = block_model(&options).unwrap();
    let raw = accuracy(&graph, &graph.features().unwrap().row_normalised().to_dense());
    let grace = GraceConfig::new().with_dim(32).with_projection(32).with_learning_rate(5e-3);
    let csgcl = CsgclConfig::new().with_dim(32).with_projection(32).with_learning_rate(5e-3).with_team_up_start(20);
    let check = |name: &str, before: f64, after: f64| {
        println!("{name}: features {raw:.3}, untrained {before:.3}, trained {after:.3}");
        assert!(after > raw + 0.1 && after > before + 0.03, "{name}: {raw} raw, {before} untrained, {after} trained");
    };
    let mut run = grace.build(&graph, 1, &device()).unwrap();
    let before = accuracy(&graph, &run.embed());
    assert!((0..60).all(|_| run.train_epoch().unwrap().is_finite()));
    check("grace", before, accuracy(&graph, &run.embed()));
    let mut run = csgcl.build(&graph, 1, &device()).unwrap();
    let before = accuracy(&graph, &run.embed());
    assert!((0..60).all(|_| run.train_epoch().unwrap().is_finite()));
    check("csgcl", before, accuracy(&graph, &run.embed()));
}

#[test]
fn evaluations_are_those_of_the_evaluator() {
    let graph = blocks(60);
    let training = small().build(&graph, 3, &device()).unwrap();
    let training = training.with_evaluator(|x| Ok([("width".to_string(), x.ncols() as f64)].into()));
    let report = training.fit(&FitOptions::new(&device()).epochs(2).progress(false)).unwrap().report;
    assert_eq!(report.metrics.unwrap()["width"], 8.0);
}
