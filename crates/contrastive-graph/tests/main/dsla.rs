//! D-SLA: the checks of its specification.

use crate::common::directions::losses_have_their_slope;
use crate::common::{close, shared, tracked, values};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};
use contrastive_core::objective::DiscrepancyLearning;
use contrastive_graph::graphs::augment::{EditCount, ball, links_within, mask_labels, rewire};
use contrastive_graph::graphs::data::{GraphParts, GraphSet, GraphUnion, MotifOptions, SmallGraph, motif_graphs};
use contrastive_graph::graphs::encoder::GraphEncoderConfig;
use contrastive_graph::graphs::evaluate::{discrimination, linear_probe};
use contrastive_graph::graphs::method::{Comparison, DslaConfig, EditRule, GraphFineTune, Region};
use contrastive_nn::Pass;
use contrastive_train::{Budget, FitOptions, MethodConfig, testing};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn objective() -> DiscrepancyLearning {
    DiscrepancyLearning::default()
}

/// Embeddings of candidates at these distances from an original at `at`, along the first axis.
fn rows(graphs: &[(f64, &[f64])]) -> Vec<f64> {
    let of = |&(at, distances): &(f64, &[f64])| {
        let copies = distances.iter().flat_map(|d| [0.0, *d]).collect::<Vec<_>>();
        let original = [at, 0.0];
        original
            .into_iter()
            .chain(copies.chunks(2).flat_map(move |pair| [at + pair[0], pair[1]]).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    graphs.iter().flat_map(of).collect()
}

#[test]
fn equal_scores_give_the_logarithm_of_the_candidates() {
    for dtype in [DType::F64, DType::F32] {
        let x = tracked(rows(&[(0.0, &[1.0, 2.0]), (9.0, &[1.0, 2.0])]), [6, 2], dtype);
        let terms = |scores: Vec<f64>| {
            let scores = tracked(scores, [2, 3], dtype);
            values(&objective().terms(scores, x.clone(), &[0.0, 2.0, 4.0, 0.0, 2.0, 4.0], 2).discrimination)
        };
        close("equal scores", &terms(vec![0.7; 6]), &[3f64.ln()], 1e-6, 0.0);
        let plain = terms(vec![1.0, 0.5, -0.2, 0.1, 0.0, 2.0]);
        let shifted = terms(vec![4.0, 3.5, 2.8, -1.9, -2.0, 0.0]);
        close("shifted by graph", &shifted, &plain, 1e-6, 1e-6);
    }
}

#[test]
fn distances_in_proportion_to_edits_cost_nothing() {
    let loss = |distances: &[f64], scale: f32| {
        let x = tracked(rows(&[(0.0, distances), (50.0, distances)]), [8, 2], DType::F64);
        let edits: Vec<f32> = [0.0, 1.0, 2.0, 3.0].repeat(2).iter().map(|e| e * scale).collect();
        values(&objective().terms(tracked(vec![0.0; 8], [2, 4], DType::F64), x, &edits, 3).edits)[0]
    };
    close("in proportion", &[loss(&[2.0, 4.0, 6.0], 1.0)], &[0.0], 1e-12, 0.0);
    close("not", &[loss(&[1.0, 4.0, 6.0], 1.0)], &[2.0 / 3.0], 1e-12, 1e-6);
    close("scaled edits", &[loss(&[1.0, 4.0, 6.0], 4.0)], &[2.0 / 3.0 / 16.0], 1e-12, 1e-6);
    // a copy without an edit is left out: of 0, 4 / 2 and 6 / 3 two are compared
    let x = tracked(rows(&[(0.0, &[0.0, 4.0, 6.0]), (50.0, &[0.0, 4.0, 6.0])]), [8, 2], DType::F64);
    let edits = [0.0, 0.0, 2.0, 3.0].repeat(2);
    let terms = objective().terms(tracked(vec![0.0; 8], [2, 4], DType::F64), x.clone(), &edits, 3);
    close("without an edit", &values(&terms.edits), &[0.0], 1e-12, 0.0);
    let none = objective().terms(tracked(vec![0.0; 8], [2, 4], DType::F64), x, &[0.0; 8], 3);
    close("no edits at all", &values(&none.edits), &[0.0], 0.0, 0.0);
}

#[test]
fn other_graphs_are_farther_by_a_margin() {
    let margin = |m: f64, weak: usize| {
        let x = tracked(rows(&[(0.0, &[1.0, 2.0, 3.0]), (10.0, &[1.0, 2.0, 3.0])]), [8, 2], DType::F64);
        let objective = DiscrepancyLearning { margin: m, ..objective() };
        let terms =
            objective.terms(tracked(vec![0.0; 8], [2, 4], DType::F64), x, &[0.0, 1.0, 2.0, 3.0].repeat(2), weak);
        values(&terms.margin)[0]
    };
    close("far", &[margin(5.0, 3)], &[0.0], 1e-9, 0.0);
    close("near", &[margin(10.0, 3)], &[2.0], 1e-9, 0.0);
    close("the strong copy is left out", &[margin(10.0, 2)], &[1.5], 1e-9, 0.0);
}

/// Gradients of all three terms against differences, and none that is NaN where a copy equals its original.
#[test]
fn gradients_are_derivatives_and_finite_at_distance_zero() {
    let mut draw = rng(5);
    let numbers: Vec<f64> = (0..3 * 4 * 5).map(|_| draw.random_range(-1.0..1.0)).collect();
    let scores: Vec<f64> = (0..12).map(|_| draw.random_range(-1.0..1.0)).collect();
    let edits = [0.0, 2.0, 4.0, 8.0].repeat(3);
    let loss = |numbers: &[f64], scores: &[f64]| {
        let (x, s) = (tracked(numbers.to_vec(), [12, 5], DType::F64), tracked(scores.to_vec(), [3, 4], DType::F64));
        let terms = objective().terms(s.clone(), x.clone(), &edits, 2);
        (x, s, terms.discrimination + terms.edits * 0.7 + terms.margin * 0.5)
    };
    let (x, s, whole) = loss(&numbers, &scores);
    let gradients = whole.backward();
    let (x, s) = (values(&x.grad(&gradients).unwrap()), values(&s.grad(&gradients).unwrap()));
    let difference = |at: usize, in_scores: bool| {
        let moved = |by: f64| {
            let (mut numbers, mut scores) = (numbers.clone(), scores.clone());
            if in_scores {
                scores[at] += by
            } else {
                numbers[at] += by
            }
            values(&loss(&numbers, &scores).2)[0]
        };
        (moved(1e-5) - moved(-1e-5)) / 2e-5
    };
    let expected: Vec<f64> = (0..60).map(|at| difference(at, false)).collect();
    close("embeddings", &x, &expected, 1e-7, 1e-6);
    let expected: Vec<f64> = (0..12).map(|at| difference(at, true)).collect();
    close("scores", &s, &expected, 1e-8, 1e-6);
    // all candidates and all graphs the same: every distance is 0
    let (x, _, whole) = loss(&[0.3; 60], &scores);
    let gradients = values(&x.grad(&whole.backward()).unwrap());
    close("at distance 0", &gradients, &[0.0; 60], 0.0, 0.0);
}

fn random_graph(nodes: usize, density: f64, rng: &mut ChaCha8Rng) -> SmallGraph {
    let pairs = (0..nodes as u32).flat_map(|a| (a + 1..nodes as u32).map(move |b| (a, b)));
    let edges: Vec<(u32, u32)> = pairs.filter(|_| rng.random::<f64>() < density).collect();
    SmallGraph { labels: vec![0; nodes], edge_labels: edges.iter().map(|&(a, b)| (a + b) % 3).collect(), edges }
}

#[test]
fn copies_are_simple_and_differ_by_the_edits_that_they_report() {
    let mut draw = rng(2);
    for case in 0..400 {
        let nodes = draw.random_range(1..14);
        let density = draw.random::<f64>();
        let graph = random_graph(nodes, density, &mut draw);
        let region = ball(&graph, draw.random_range(0..nodes as u32), 1 + case % 3);
        let (links, pairs) = (links_within(&graph, &region), region.len() * (region.len() - 1) / 2);
        let asked = draw.random_range(0..8);
        for count in [EditCount::Exact, EditCount::Official] {
            let copy = rewire(&graph, &region, asked, &[0.2, 0.3, 0.5], count, &mut draw);
            assert_eq!(copy.replaced, asked.min(links).min(pairs - links), "case {case}");
            assert_eq!(copy.graph.edges.len(), graph.edges.len());
            assert!(
                copy.graph.edges.is_sorted_by(|a, b| a < b) && copy.graph.edges.iter().all(|(a, b)| a < b),
                "simple"
            );
            let gone: Vec<_> = graph.edges.iter().filter(|edge| !copy.graph.edges.contains(edge)).collect();
            let new: Vec<_> = copy.graph.edges.iter().filter(|edge| !graph.edges.contains(edge)).collect();
            let within = |edge: &&&(u32, u32)| region.contains(&edge.0) && region.contains(&edge.1);
            assert!(gone.iter().chain(&new).all(|edge| within(&edge)), "only within the region");
            if count == EditCount::Exact {
                assert_eq!((gone.len() + new.len(), copy.edits), (2 * copy.replaced, 2 * copy.replaced), "case {case}");
            } else {
                assert!(gone.len() + new.len() <= 2 * copy.replaced && copy.edits == copy.replaced);
            }
            for (edge, label) in graph.edges.iter().zip(&graph.edge_labels) {
                if let Some(at) = copy.graph.edges.iter().position(|other| other == edge)
                    && count == EditCount::Exact
                {
                    assert_eq!(copy.graph.edge_labels[at], *label, "what stays keeps its label");
                }
            }
        }
    }
    let clique = random_graph(6, 1.1, &mut draw);
    let all: Vec<u32> = (0..6).collect();
    let copy = rewire(&clique, &all, 3, &[1.0], EditCount::Exact, &mut draw);
    assert_eq!((copy.replaced, copy.edits, copy.graph.edges), (0, 0, clique.edges));
    // every free pair is as likely
    let path = SmallGraph { labels: vec![0; 4], edges: vec![(0, 1), (1, 2), (2, 3)], edge_labels: vec![0; 3] };
    let mut counts = [0u32; 3];
    for _ in 0..6000 {
        let copy = rewire(&path, &all[..4], 1, &[1.0], EditCount::Exact, &mut draw).graph;
        let new = copy.edges.iter().find(|edge| !path.edges.contains(edge)).unwrap();
        counts[[(0, 2), (0, 3), (1, 3)].iter().position(|pair| pair == new).unwrap()] += 1;
    }
    assert!(counts.iter().all(|&count| (f64::from(count) - 2000.0).abs() < 6.0 * 36.6), "{counts:?}");
    let mut masked = path.clone();
    mask_labels(&mut masked, &all[..4], 0.8, 9, &mut draw);
    assert_eq!(masked.labels.iter().filter(|&&label| label == 9).count(), 3);
}

#[test]
fn orders_of_graphs_and_copies_do_not_matter() {
    let mut draw = rng(6);
    let numbers: Vec<f64> = (0..2 * 4 * 3).map(|_| draw.random_range(-1.0..1.0)).collect();
    let scores: Vec<f64> = (0..8).map(|_| draw.random_range(-1.0..1.0)).collect();
    let edits = [0.0f32, 2.0, 4.0, 6.0, 0.0, 2.0, 2.0, 8.0];
    let whole = |order: &[usize]| {
        let rows = order.iter().flat_map(|&row| numbers[3 * row..3 * row + 3].to_vec()).collect();
        let scores = order.iter().map(|&row| scores[row]).collect();
        let edits: Vec<f32> = order.iter().map(|&row| edits[row]).collect();
        let terms =
            objective().terms(tracked(scores, [2, 4], DType::F64), tracked(rows, [8, 3], DType::F64), &edits, 3);
        [terms.discrimination, terms.edits, terms.margin].map(|term| values(&term)[0])
    };
    let plain = whole(&[0, 1, 2, 3, 4, 5, 6, 7]);
    close("graphs", &whole(&[4, 5, 6, 7, 0, 1, 2, 3]), &plain, 1e-12, 1e-12);
    close("copies", &whole(&[0, 3, 1, 2, 4, 6, 7, 5]), &plain, 1e-12, 1e-12);
}

#[test]
fn unfit_sizes_and_settings_are_refused() {
    let message = objective().validate(3, 1).unwrap_err().to_string();
    assert!(message.starts_with("D-SLA: graphs of a batch is 1; allowed is 2 or more"), "{message}");
    assert!(objective().validate(2, 4).unwrap_err().to_string().contains("candidates is 2; allowed is 3 or more"));
    assert!(DiscrepancyLearning { edit_weight: 0.0, ..objective() }.validate(2, 4).is_ok());
    assert!(DiscrepancyLearning { margin_weight: 0.0, ..objective() }.validate(3, 1).is_ok());
    let config = DslaConfig::default;
    let with = |objective| DslaConfig { comparison: Comparison::Discrepancy(objective), ..config() };
    testing::settings_are_refused([
        (DslaConfig { dim: 0, ..config() }, "dim is 0"),
        (DslaConfig { layers: 0, ..config() }, "layers is 0"),
        (DslaConfig { weak: 0, ..config() }, "weak is 0"),
        (DslaConfig { edit_share: 0.0, ..config() }, "edit_share is 0"),
        (DslaConfig { edit_share: 1.5, ..config() }, "edit_share is 1.5"),
        (DslaConfig { mask_share: -0.1, ..config() }, "mask_share is -0.1"),
        (with(DiscrepancyLearning { margin: -1.0, ..objective() }), "margin is -1"),
        (with(DiscrepancyLearning { edit_weight: -1.0, ..objective() }), "edit_weight is -1"),
        (DslaConfig { weak: 1, strong: false, ..config() }, "candidates is 2"),
        (config().as_info_nce(0.0), "temperature is 0"),
        (DslaConfig { training: config().training.with_batch_size(1), ..config() }, "graphs of a batch is 1"),
    ]);
    let one = GraphSet::new(GraphParts { sizes: vec![2], edges: vec![(0, 1)], ..Default::default() }).unwrap();
    let error = config().build(&one, 1, &Device::default()).err().unwrap().to_string();
    assert!(error.contains("number of graphs is 1"), "{error}");
}

fn small() -> DslaConfig {
    let base = DslaConfig::default();
    let training = base.training.clone().with_budget(Budget::Epochs(3)).with_batch_size(7);
    DslaConfig { dim: 8, layers: 2, training, ..base }
}

fn set() -> GraphSet {
    motif_graphs(&MotifOptions { graphs: 15, nodes: 8, copies: 1, seed: 3 }).unwrap()
}

#[test]
fn trainings_resume_bit_for_bit() {
    let set = set();
    for config in [small(), small().as_info_nce(0.2), DslaConfig { dim: 8, ..DslaConfig::social() }] {
        let build = || config.build(&set, 7, &Device::default()).unwrap();
        testing::resumes_bit_for_bit(&build, 5);
    }
}

#[test]
fn gradients_of_the_whole_method_are_derivatives() {
    let training = small().build(&set(), 7, &Device::default()).unwrap();
    losses_have_their_slope(training.method().clone(), training.model(), 1e-6);
}

#[test]
fn a_network_without_edge_labels_is_gin() {
    let graph = SmallGraph { labels: vec![0, 1, 2], edges: vec![(0, 1), (1, 2)], edge_labels: vec![0, 0] };
    let mut encoder = GraphEncoderConfig::new(3, 2, 4).with_layers(1).init(&mut rng(1), &Device::default()).unwrap();
    let zeros = Tensor::zeros([2, 4], &Device::default());
    encoder.layers[0].edges = Param::from_tensor(zeros.clone());
    let union = GraphUnion::new(&[graph], 2);
    let x = encoder.nodes.val();
    let operator = union.adjacency.clone();
    let sum = operator.apply(x.clone()) + x.clone();
    let expected = values(&encoder.layers[0].network.forward(sum, &mut Pass::evaluation()));
    close("messages", &values(&encoder.layers[0].messages(&union, x.clone())), &expected, 1e-6, 1e-6);
    // an embedding of label 0 is added once for each edge: 1, 2, 1
    encoder.layers[0].edges = Param::from_tensor(zeros + 1.0);
    let degrees = Tensor::<2>::from_data([[1.0], [2.0], [1.0]], &Device::default());
    let sum = operator.apply(x.clone()) + x.clone() + degrees;
    let expected = values(&encoder.layers[0].network.forward(sum, &mut Pass::evaluation()));
    close("with edges", &values(&encoder.layers[0].messages(&union, x)), &expected, 1e-6, 1e-6);
}

#[test]
fn it_learns_to_tell_copies_and_fine_tunes() {
    let set = motif_graphs(&MotifOptions { graphs: 80, ..Default::default() }).unwrap();
    let [train, test] = set.split(0.75, 1).unwrap();
    let base = DslaConfig::default();
    let training = base.training.clone().with_budget(Budget::Epochs(25)).with_batch_size(20).with_learning_rate(3e-3);
    let config = DslaConfig { dim: 16, layers: 3, strong: false, training, ..base };
    let options = FitOptions::new(&Device::default()).seed(1).progress(false).handle_interrupt(false);
    let untrained = config.build(&set, 1, &Device::default()).unwrap().trained_model();
    let model = config.fit(&set.select(&train).unwrap(), &options).unwrap().model;
    let [before, after] = [&untrained, &model].map(|model| discrimination(&config, model, &set, &test, 5).unwrap());
    println!("{before:?} {after:?}");
    assert!(after.accuracy > 0.25 + 0.2, "{after:?}");
    assert!(after.correlation > before.correlation, "{before:?} {after:?}");
    let probe = linear_probe(&set, model.embed(&set).view(), [&train, &test]).unwrap();
    assert!(probe > 0.6, "{probe}");
    let tune = GraphFineTune::new().with_epochs(30).with_learning_rate(3e-3);
    let classes = set.classes().unwrap();
    let accuracy = |tune: &GraphFineTune| {
        let tuned = tune.run(&model, &set, &train, &Device::default()).unwrap();
        let predicted = tuned.predict(&set, &test);
        let right = predicted.iter().zip(&test).filter(|(class, graph)| **class == classes[**graph]).count();
        (right as f64 / test.len() as f64, tuned)
    };
    let (free, _) = accuracy(&tune);
    let (_, frozen) = accuracy(&tune.clone().with_frozen(true));
    assert!(free > 0.7, "{free}");
    assert_eq!(values(&frozen.encoder.nodes.val()), values(&model.encoder.nodes.val()), "a frozen encoder stays");
    assert!(tune.with_epochs(0).run(&model, &set, &train, &Device::default()).is_err());
}

#[test]
fn golden_mutag_copies_are_told() {
    let Some(root) = shared() else { return };
    let set = GraphSet::read(root.join("data/tudataset/MUTAG")).unwrap();
    let base = DslaConfig::default();
    let training = base.training.clone().with_budget(Budget::Epochs(8)).with_batch_size(32);
    let config = DslaConfig {
        dim: 32,
        layers: 3,
        strong: false,
        region: Region::Ball(3),
        rule: EditRule::Floored,
        training,
        ..base
    };
    let options = FitOptions::new(&Device::default()).seed(1).progress(false).handle_interrupt(false);
    let model = config.fit(&set, &options).unwrap().model;
    let told = discrimination(&config, &model, &set, &(0..set.len()).collect::<Vec<_>>(), 3).unwrap();
    println!("{told:?}");
    assert!(told.accuracy > 0.45, "{told:?}");
}
