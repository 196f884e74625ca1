//! POT: the checks of its specification.

use crate::common::directions::*;
use crate::common::*;
use burn::tensor::{DType, Device, Tensor};
use contrastive_core::linear::SparseOperator;
use contrastive_graph::node::augment::edges::EdgeDraw;
use contrastive_graph::node::augment::normalise::gcn_normalised;
use contrastive_graph::node::data::{BlockModelOptions, Cleaning, Features, Graph, ReadOptions, block_model};
use contrastive_graph::node::encoder::{EncoderConfig, LayerKind, NodeInput, Normalisation, Propagation};
use contrastive_graph::node::method::pot::*;
use contrastive_graph::node::method::{
    Centrality, GraceConfig, NodeMethod, NodeMethodConfig, TwoViewMethod, ViewModel,
};
use contrastive_kernels::sparse::Csr;
use contrastive_nn::layer::Activation;
use contrastive_train::testing;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn wide() -> DType {
    if has_f64() { DType::F64 } else { DType::F32 }
}

fn drawn(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Tensor<2> {
    tracked((0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect(), [rows, columns], wide())
}

fn undirected(nodes: usize, edges: &[(u32, u32)]) -> Csr<f64> {
    let both: Vec<(u32, u32, f64)> = edges.iter().flat_map(|&(a, b)| [(a, b, 1.0), (b, a, 1.0)]).collect();
    Csr::from_triplets(nodes, nodes, &both).unwrap()
}

fn random_edges(rng: &mut ChaCha8Rng, nodes: u32, share: f64) -> Vec<(u32, u32)> {
    let pairs = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b)));
    pairs.filter(|_| rng.random::<f64>() < share).collect()
}

fn network(rng: &mut ChaCha8Rng, [f, d1, d2]: [usize; 3], a: f64) -> Network {
    Network {
        w1: drawn(rng, f, d1),
        b1: drawn(rng, 1, d1) * 0.3,
        w2: drawn(rng, d1, d2),
        b2: drawn(rng, 1, d2) * 0.3,
        slope: tracked(vec![a], [1, 1], wide()),
    }
}

/// What the encoder gives for an operator.
fn forward(net: &Network, by: &SparseOperator, x: &Tensor<2>) -> [Tensor<2>; 3] {
    let act = |x: Tensor<2>| x.clone().clamp_min(0.0) + x.clamp_max(0.0) * net.slope.clone();
    let p1 = by.apply(x.clone().matmul(net.w1.clone())) + net.b1.clone();
    let p2 = by.apply(act(p1.clone()).matmul(net.w2.clone())) + net.b2.clone();
    [p1, p2.clone(), act(p2)]
}

/// Drops edges at random while no node exceeds its budget.
fn within(rng: &mut ChaCha8Rng, edges: &[(u32, u32)], budget: &[usize]) -> Vec<(u32, u32)> {
    let mut lost = vec![0; budget.len()];
    let keep = |&(a, b): &(u32, u32)| {
        let free = lost[a as usize] < budget[a as usize] && lost[b as usize] < budget[b as usize];
        let drop = free && rng.random::<f64>() < 0.7;
        lost[a as usize] += usize::from(drop);
        lost[b as usize] += usize::from(drop);
        !drop
    };
    edges.iter().copied().filter(keep).collect()
}

fn view(nodes: usize, edges: &[(u32, u32)]) -> SparseOperator {
    SparseOperator::new(gcn_normalised(&undirected(nodes, edges), true))
}

/// Check 3: 5,000 pairs of graph and node: pre-activations within their bounds, sound and certified scores never above the true value; the
/// official one is.
#[test]
fn bounds_and_scores_are_sound() {
    if !has_f64() {
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut cases, mut official) = (0, 0);
    while cases < 5000 {
        let nodes = rng.random_range(5..14usize);
        let (p, a) = (rng.random_range(0.1..0.7), [0.0, 0.25, 1.0, 0.6][rng.random_range(0..4)]);
        let edges = random_edges(&mut rng, nodes as u32, 0.4);
        let graph = undirected(nodes, &edges);
        let budget = if rng.random::<f64>() < 0.2 { EdgeBudget::All } else { EdgeBudget::Expected };
        let bounds = Bounds::of(&graph, &vec![p; graph.nnz()], budget).unwrap();
        let (net, x) = (network(&mut rng, [4, 6, 3], a), drawn(&mut rng, nodes, 4));
        let kept = within(&mut rng, &edges, bounds.budget());
        let (first, clean) = (view(nodes, &kept), view(nodes, &edges));
        assert_eq!(bounds.outside(&first), 0);
        let w = directions(drawn(&mut rng, nodes, 3));
        let [p1, p2, z] = forward(&net, &first, &x);
        let truth = values(&(z * w.clone()).sum_dim(1));
        let input = NodeInput::from(x.clone());
        let score = |score: Score| {
            let scored = Scored::new(net.clone(), &bounds, &input, score, &clean);
            let at = (score != Score::Certified).then_some(&first);
            (values(&scored.score(at, &bounds, &w)), scored)
        };
        let (sound, scored) = score(Score::Sound);
        for (of, true_values) in [(&scored.first, &p1), (&scored.second, &p2)] {
            let rows = values(&of.lower).into_iter().zip(values(&of.upper)).zip(values(true_values));
            rows.for_each(|((low, high), x)| assert!(low <= x + 1e-9 && x <= high + 1e-9, "{low} {x} {high}"));
        }
        let (certified, _) = score(Score::Certified);
        let (published, _) = score(Score::Official);
        for node in 0..nodes {
            assert!(sound[node] <= truth[node] + 1e-6, "sound {} true {}", sound[node], truth[node]);
            assert!(certified[node] <= truth[node] + 1e-6, "certified {} true {}", certified[node], truth[node]);
            assert!(certified[node] <= sound[node] + 1e-6);
            official += usize::from(published[node] > truth[node] + 1e-6);
        }
        cases += nodes;
    }
    println!(
        "{cases} cases: sound and certified never above the true value, official in {:.1} %",
        100.0 * official as f64 / cases as f64
    );
    assert!(official > 0);
}

/// Check 1: the bounds of the first layer in the released form.
#[test]
fn bounds_of_products_have_the_released_form() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let edges = random_edges(&mut rng, 9, 0.4);
    let graph = undirected(9, &edges);
    let bounds = Bounds::of(&graph, &vec![0.5; graph.nnz()], EdgeBudget::Expected).unwrap();
    let v = drawn(&mut rng, 9, 4);
    let found = bounds.product(&Interval::exact(v.clone()));
    let (upper, lower) = bounds.entries();
    let diagonal = tracked(lower.to_vec(), [9, 1], wide());
    let by = |x: Tensor<2>, sign: f64| (upper.apply(x.clone()) + x * diagonal.clone() * sign) * 0.5;
    let close_to = |name, a: &Tensor<2>, b: Tensor<2>| close(name, &values(a), &values(&b), 1e-6, 1e-6);
    close_to("lower", &found.lower, by(v.clone(), 1.0) - by(v.clone().abs(), -1.0));
    close_to("upper", &found.upper, by(v.clone(), 1.0) + by(v.abs(), -1.0));
    // budgets: min(d - 1, round(p d))
    for (node, budget) in bounds.budget().iter().enumerate() {
        let d = graph.row(node).0.len();
        assert_eq!(*budget, ((0.5 * d as f64).round() as usize).min(d.saturating_sub(1)));
    }
}

/// Check 2: where the interval is a point (no edges), every number is stable or its line touches, and the scores are the true value. Isolated
/// nodes have the entry 1.
#[test]
fn bounds_without_slack_are_the_value() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let none = Csr::from_parts(5, 5, vec![0; 6], vec![], vec![]).unwrap();
    let bounds = Bounds::of(&none, &[], EdgeBudget::Expected).unwrap();
    assert_eq!((bounds.budget(), bounds.entries().1), (&[0; 5][..], &[1.0; 5][..]));
    let (net, x, w) = (network(&mut rng, [4, 6, 3], 0.25), drawn(&mut rng, 5, 4), directions(drawn(&mut rng, 5, 3)));
    let identity = view(5, &[]);
    let [_, _, z] = forward(&net, &identity, &x);
    let truth = values(&(z * w.clone()).sum_dim(1));
    for score in [Score::Sound, Score::Certified] {
        let scored = Scored::new(net.clone(), &bounds, &x.clone().into(), score, &identity);
        let at = (score == Score::Sound).then_some(&identity);
        close("score", &values(&scored.score(at, &bounds, &w)), &truth, 1e-6, 1e-6);
    }
}

/// Check 4: the lines sandwich the activation and touch it at the ends; the worked numbers; a slope of 1 is the identity.
#[test]
fn lines_sandwich_the_activation() {
    let at = |l: f64, u: f64, a: f64| {
        let one = |x: f64| tracked(vec![x], [1, 1], wide());
        let lines = Relaxed::new(one(l), one(u), one(a));
        (values(&lines.slope)[0], values(&lines.shift)[0])
    };
    let (slope, shift) = at(-1.0, 2.0, 0.25);
    close("worked", &[slope, shift / slope], &[0.75, 2.0 / 3.0], 1e-6, 0.0);
    for (l, u) in [(-1.0, 2.0), (-3.0, 0.5), (0.2, 1.0), (-2.0, -0.1), (0.0, 1.0), (-1.0, 0.0)] {
        for a in [0.0, 0.25, 1.0] {
            let (slope, shift) = at(l, u, a);
            let act = |x: f64| if x > 0.0 { x } else { a * x };
            for k in 0..=20 {
                let x = l + (u - l) * f64::from(k) / 20.0;
                assert!(slope * x <= act(x) + 1e-6 && act(x) <= slope * x + shift + 1e-6, "{l} {u} {a} at {x}");
            }
            close("ends", &[slope * l + shift, slope * u + shift], &[act(l), act(u)], 1e-5, 1e-5);
            assert!(a != 1.0 || (slope == 1.0 && shift == 0.0));
        }
    }
}

/// Check 5: equal rows have no direction, so that the loss is log 2; directions sum to 0.
#[test]
fn directions_sum_to_zero_and_equal_rows_have_none() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let w = directions(drawn(&mut rng, 8, 5));
    assert!(values(&w.sum_dim(0)).iter().all(|x| x.abs() < 1e-5));
    let same = directions(tracked([0.3, -0.4, 0.5].repeat(6), [6, 3], wide()));
    assert!(values(&same).iter().all(|x| x.abs() < 1e-6));
    let edges = random_edges(&mut rng, 6, 0.5);
    let graph = undirected(6, &edges);
    let bounds = Bounds::of(&graph, &vec![0.3; graph.nnz()], EdgeBudget::Expected).unwrap();
    let (net, x) = (network(&mut rng, [4, 5, 3], 0.0), drawn(&mut rng, 6, 4));
    let whole = view(6, &edges);
    let scored = Scored::new(net, &bounds, &x.into(), Score::Sound, &whole);
    let f = scored.score(Some(&whole), &bounds, &same);
    let loss = values(&burn::tensor::activation::softplus(f * -1.0, 1.0).mean())[0];
    assert!((loss - 2f64.ln()).abs() < 1e-6, "{loss}");
}

fn graph() -> Graph {
    block_model(&BlockModelOptions { nodes: 90, communities: 3, ..Default::default() }).unwrap()
}

fn grace() -> GraceConfig {
    GraceConfig::new().with_dim(6).with_projection(6).with_feature_drop([0.0; 2])
}

/// Check 6: kappa 0 is the method itself, to the last bit; runs resume.
#[test]
fn kappa_zero_is_the_host_and_runs_resume() {
    let device = Device::default();
    let mut host = grace().build(&graph(), 7, &device).unwrap();
    let mut pot = PotConfig::new(grace()).with_kappa(0.0).build(&graph(), 7, &device).unwrap();
    for _ in 0..3 {
        assert_eq!(host.train_epoch().unwrap(), pot.train_epoch().unwrap());
    }
    assert_eq!(host.embed(), pot.embed());
    let build = |activation| {
        move || {
            let config = PotConfig::new(grace().with_activation(activation)).with_kappa(0.5);
            config.build(&graph(), 7, &Device::default()).unwrap().into_inner()
        }
    };
    testing::resumes_bit_for_bit(&build(Activation::PRelu), 5);
}

/// Check 6 in f64: the gradient of the regulariser along a random direction of all parameters, the slope of PReLU among them.
#[test]
fn gradients_of_the_regulariser_are_slopes() {
    if !has_f64() {
        return;
    }
    for score in [Score::Sound, Score::Official] {
        let config = PotConfig::new(grace().with_activation(Activation::PRelu)).with_kappa(1.0).with_score(score);
        let training = config.build(&graph(), 7, &Device::default()).unwrap();
        let rng = || ChaCha8Rng::seed_from_u64(5);
        let start = training.model().clone();
        let loss = |h: f64| {
            let model = burn::module::Module::map(start.clone(), &mut Moved(rng(), h));
            let seen = training.method().encode(&model, 0, &mut rng()).unwrap();
            let losses = training.method().losses(&model, seen, 1).unwrap();
            assert_eq!(losses[1].0, "compactness");
            (losses[1].1.clone(), model)
        };
        let (total, model) = loss(0.0);
        let gradients = total.backward();
        let mut along = Along(rng(), &gradients, 0.0);
        burn::module::Module::visit(&model, &mut along);
        let found = slope(|h| values(&loss(h).0)[0], 1e-5);
        assert!((along.2 - found).abs() < 1e-6 * (1.0 + found.abs()), "{score:?}: {} {found}", along.2);
    }
}

/// Check 7: drawn views leave the paper's budget now and then, which is counted, and never leave the budget of all edges.
#[test]
fn views_outside_of_the_budget_are_counted() {
    let count = |budget| {
        let config = PotConfig::new(grace()).with_budget(budget);
        let mut training = config.build(&graph(), 7, &Device::default()).unwrap();
        training.train_epoch().unwrap();
        let found = training.method().take_outside();
        assert_eq!(training.method().take_outside(), 0);
        found
    };
    assert!(count(EdgeBudget::Expected) > 0);
    assert_eq!(count(EdgeBudget::All), 0);
}

/// GCA's probabilities give each node a budget of its own.
#[test]
fn budgets_follow_the_probabilities_of_gca() {
    let config = PotConfig::new(grace().adaptive(Centrality::Degree));
    let training = config.build(&graph(), 7, &Device::default()).unwrap();
    let views = training.method().views();
    for (bounds, rule) in training.method().bounds().iter().zip(&views.rules) {
        let (graph, p) = (views.data.adjacency(), rule.edges.each(views.data.adjacency().nnz()));
        for (node, budget) in bounds.budget().iter().enumerate() {
            let row = graph.indptr()[node]..graph.indptr()[node + 1];
            let (d, sum) = (row.len(), p[row].iter().sum::<f64>());
            assert_eq!(*budget, (sum.round() as usize).min(d.saturating_sub(1)));
        }
    }
}

/// Check 8: what the bounds do not cover is refused by name.
#[test]
fn encoders_and_views_that_are_not_covered_are_refused() {
    let refused = |config: PotConfig<GraceConfig>, words: &[&str]| match config.build(&graph(), 1, &Device::default()) {
        Ok(_) => panic!("accepted: {words:?}"),
        Err(error) => {
            let message = error.to_string();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    };
    let around = |host: GraceConfig| PotConfig::new(host);
    refused(around(grace().with_layers(1)), &["layers", "1", "2"]);
    refused(around(grace().with_layers(3)), &["layers", "3"]);
    refused(around(grace().with_layer(LayerKind::Sage)), &["Sage", "Gcn"]);
    refused(around(grace().with_activation(Activation::Elu)), &["Elu"]);
    refused(around(grace().with_activation(Activation::LeakyRelu(1.5))), &["slope", "1.5", "0 to 1"]);
    refused(around(grace().with_activation(Activation::LeakyRelu(-0.1))), &["slope", "-0.1"]);
    refused(around(grace().with_edge_draw(EdgeDraw::PerEntry)), &["edge_draw", "PerEntry", "PerPair"]);
    refused(around(grace()).with_kappa(1.5), &["kappa", "1.5"]);
    refused(around(grace()).with_score(Score::Certified), &["score", "Certified"]);
    refused(around(grace().with_temperature(0.0)), &["temperature"]);
    assert!(around(grace().with_activation(Activation::LeakyRelu(0.2))).build(&graph(), 1, &Device::default()).is_ok());
    // layers with something between
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let plain = EncoderConfig::new(vec![4, 5, 3]);
    for config in [
        plain.clone().with_residual(true),
        plain.clone().with_normalisation(Normalisation::Layer),
        plain.clone().with_activate_last(false),
    ] {
        assert!(Network::of(&config.init(&mut rng, &Device::default()).unwrap()).is_err());
    }
    assert!(Network::of(&plain.init(&mut rng, &Device::default()).unwrap()).is_ok());
    // graphs
    let weighted = Csr::from_triplets(2, 2, &[(0, 1, 0.5), (1, 0, 0.5)]).unwrap();
    let directed = Csr::from_triplets(2, 2, &[(0, 1, 1.0)]).unwrap();
    let alone = Csr::<f64>::from_parts(1, 1, vec![0, 0], vec![], vec![]).unwrap();
    for (graph, word) in [(weighted, "weight"), (directed, "directed"), (alone, "number of nodes")] {
        let error = Bounds::of(&graph, &vec![0.2; graph.nnz()], EdgeBudget::Expected).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let one = Graph::from_edges(1, &[], &Cleaning::default()).unwrap();
    let one = one.with_features(Features::Dense(ndarray::Array2::ones((1, 2)))).unwrap();
    assert!(around(grace()).build(&one, 1, &Device::default()).is_err());
}

/// The measured score of a trained model is that of the method, and the certified one is below it within the budget.
#[test]
fn compactness_is_measured_for_any_encoder() {
    let config = PotConfig::new(grace()).with_kappa(0.3).with_budget(EdgeBudget::All);
    let mut training = config.build(&graph(), 7, &Device::default()).unwrap();
    training.train_epoch().unwrap();
    let (method, model) = (training.method(), training.trained_model());
    let [sound, certified] =
        [Score::Sound, Score::Certified].map(|score| method.compactness(&model, score, 3).unwrap());
    assert_eq!((sound.nodes.len(), sound.outside), (90, 0));
    assert!(sound.nodes.iter().zip(&certified.nodes).all(|(s, c)| *c <= s + 1e-4));
    assert!(sound.summary().mean > certified.summary().mean);
    // by hand, from the two views that the seed draws
    let [(graph, input), (other, features)] = method.views().inputs(&mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    let encoder = model.encoder();
    let w = directions(encoder.forward(&other, &features));
    let truth = values(&(encoder.forward(&graph, &input) * w).sum_dim(1));
    assert!(sound.nodes.iter().zip(&truth).all(|(s, f)| *s <= f + 1e-4));
    // over the length of the embedding, a score is at most |w| < 2, and the scale of the encoder is out of it
    let lengths = values(&encoder.forward(&graph, &input).square().sum_dim(1).sqrt());
    close("lengths", &sound.lengths, &lengths, 1e-6, 1e-6);
    let ratios: Vec<f64> = sound.nodes.iter().zip(&lengths).map(|(s, l)| if *l > 0.0 { s / l } else { 0.0 }).collect();
    assert!((sound.relative().mean - ratios.iter().sum::<f64>() / 90.0).abs() < 1e-6 && sound.relative().mean < 2.0);
    assert_eq!(sound.below_zero(), ratios.iter().filter(|ratio| **ratio < 0.0).count());
    assert!(matches!(graph, Propagation::Operator(_)));
}

/// Check 9 in part: on Cora, trained a little, sound and certified scores are below the true value of every node, with the budget of all edges.
#[test]
fn golden_cora_scores_are_below_the_true_value() {
    let Some(root) = shared() else { return };
    let path = root.join("data/planetoid/ind.cora");
    let graph = Graph::read_with(path.as_path(), &ReadOptions::default()).unwrap();
    let host = GraceConfig::cora().with_dim(16).with_projection(16).with_feature_drop([0.0; 2]);
    let config = PotConfig::new(host).with_kappa(0.3).with_budget(EdgeBudget::All);
    let mut training = config.build(&graph, 1, &Device::default()).unwrap();
    for _ in 0..5 {
        training.train_epoch().unwrap();
    }
    let (method, model) = (training.method(), training.trained_model());
    let [sound, certified] =
        [Score::Sound, Score::Certified].map(|score| method.compactness(&model, score, 9).unwrap());
    let [(view, input), (other, features)] = method.views().inputs(&mut ChaCha8Rng::seed_from_u64(9)).unwrap();
    let w = directions(model.encoder().forward(&other, &features));
    let truth = values(&(model.encoder().forward(&view, &input) * w).sum_dim(1));
    assert_eq!((truth.len(), sound.outside), (2708, 0));
    for ((sound, certified), truth) in sound.nodes.iter().zip(&certified.nodes).zip(&truth) {
        assert!(*sound <= truth + 1e-4 && *certified <= sound + 1e-4, "{certified} {sound} {truth}");
    }
}
