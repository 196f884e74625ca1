//! MEOW and AdaMEOW: identities of the network, what every method owes, and slices of the experiments.

use crate::common::directions::*;
use crate::common::*;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_data::Limits;
use contrastive_graph::hetero::data::{HeteroGraph, NetworkOptions, NodeType, planted_network};
use contrastive_graph::hetero::evaluate::{clusters_nmi, label_rate};
use contrastive_graph::hetero::method::{Meow, MeowConfig, Negatives};
use contrastive_graph::node::data::Features;
use contrastive_graph::parts::to_array;
use contrastive_train::{FitOptions, Method, MethodConfig, Step, Training, testing};

fn graph() -> HeteroGraph {
    planted_network(&NetworkOptions { targets: 80, authors: 40, subjects: 8, words: 30, ..Default::default() }).unwrap()
}

fn config(negatives: Negatives) -> MeowConfig {
    let config = MeowConfig::new(vec!["P-A-P".into(), "P-S-P".into()]).with_dim(8).with_clusters(vec![4, 9]);
    config.with_negatives(negatives).with_cluster_every(3).with_hidden(5).with_learning_rate(5e-3)
}

const ALL: [Negatives; 4] = [Negatives::Alike, Negatives::Clustered, Negatives::Learned, Negatives::LearnedRaw];

fn build(config: &MeowConfig) -> Training<Meow> {
    config.build(&graph(), 7, &Device::default()).unwrap()
}

/// Clusters, their centroids and temperatures are part of the state.
#[test]
fn meow_resumes_exactly() {
    for negatives in ALL {
        testing::resumes_bit_for_bit(&|| build(&config(negatives)), 7);
    }
}

/// The gradient of all parameters along a random direction, in f64, dropout included.
#[test]
fn meow_gradients_are_slopes() {
    if !has_f64() {
        return;
    }
    let words: Vec<(u32, u32, f32)> = (0..40).map(|k| (k / 2, (7 * k) % 11, 1.0)).collect();
    let papers = NodeType::new("P", 20).with_features(Features::from_entries(20, 11, &words).unwrap());
    let by: Vec<(u32, u32)> = (0..40).map(|k| (k / 2, (5 * k + k / 7) % 9)).collect();
    let graph = HeteroGraph::new("small", vec![papers, NodeType::new("A", 9)], "P").unwrap();
    let graph = graph.with_links("P", "A", &by).unwrap();
    for negatives in ALL {
        let settings = MeowConfig { paths: vec!["P-A-P".into()], ..config(negatives) };
        let mut training = settings.build(&graph, 7, &Device::default()).unwrap();
        training.train_epoch().unwrap();
        let (method, start) = (training.method().clone(), training.model().clone());
        let rng = || rand::SeedableRng::seed_from_u64(5);
        let step =
            Step { epoch: 1, in_epoch: 0, global: 0, steps: 1, batch: 0, sub_step: 0, seed: 7, rank: 0, world: 1 };
        let loss = |h: f64| {
            let model = Module::map(start.clone(), &mut Moved(rng(), h));
            let losses = method.clone().losses(&model, &(), step).unwrap();
            (losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).unwrap(), model)
        };
        let (total, model) = loss(0.0);
        let gradients = total.backward();
        let mut along = Along(rng(), &gradients, 0.0);
        Module::visit(&model, &mut along);
        let found = slope(|h| values(&loss(h).0)[0], 1e-6);
        assert!((along.2 - found).abs() < 1e-5 * (1.0 + found.abs()), "{negatives:?}: {} {found}", along.2);
    }
}

/// Check 7: shares sum to 1, one path makes two views, and paths in another order make the same embedding up to the parameters' order.
#[test]
fn shares_of_views_sum_to_one() {
    for paths in [vec!["P-A-P"], vec!["P-A-P", "P-S-P"]] {
        let config = MeowConfig::new(paths.iter().map(ToString::to_string).collect()).with_dim(8);
        let training = build(&config.with_clusters(vec![4]));
        let outputs = training.trained_model().forward(training.method().prepared(), None);
        let shares = values(&outputs.shares);
        assert_eq!(shares.len(), 2 * paths.len());
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6 && shares.iter().all(|share| *share > 0.0));
    }
}

/// Check 7: paths that change places take their shares with them.
#[test]
fn paths_that_change_places_take_their_shares_along() {
    let whole = config(Negatives::Alike).with_edge_masks(vec![0.0, 0.0]);
    let turned = MeowConfig { paths: vec!["P-S-P".into(), "P-A-P".into()], ..whole.clone() };
    let (a, b) = (build(&whole), build(&turned));
    let model = a.trained_model();
    let mut other = model.clone();
    // inputs are in the order in which paths meet the types: P, A, S and P, S, A
    other.inputs.swap(1, 2);
    other.contexts.swap(0, 1);
    let [x, y] = [model.forward(a.method().prepared(), None), other.forward(b.method().prepared(), None)];
    let (s, t) = (values(&x.shares), values(&y.shares));
    close("shares", &t, &[s[1], s[0], s[3], s[2]], 1e-6, 1e-6);
    close("fine", &values(&y.fine), &values(&x.fine), 1e-5, 1e-5);
}

/// The coarse view is normalised over the whole matrix; rows that are compared have length 1; without dropout a pass repeats.
#[test]
fn outputs_are_normalised_as_they_should_be() {
    let training = build(&config(Negatives::Clustered));
    let (model, data) = (training.trained_model(), training.method().prepared());
    let coarse = to_array(&model.forward(data, None).coarse);
    assert!(coarse.mean().unwrap().abs() < 1e-5 && (coarse.std(0.0) - 1.0).abs() < 1e-3);
    let rows = to_array(&model.projected(model.forward(data, None).fine));
    assert!(rows.rows().into_iter().all(|row| (row.dot(&row) - 1.0).abs() < 1e-5));
    let fine = || values(&training.method().embed(&model));
    assert_eq!(fine(), fine());
    let mut rng = rand::SeedableRng::seed_from_u64(1);
    let dropped: Tensor<2> = model.forward(data, Some(&mut rng)).fine;
    assert_ne!(values(&dropped), fine());
}

/// Clusters are renewed every so many epochs, and start where they were.
#[test]
fn clusters_are_renewed_when_they_are_due() {
    let mut training = build(&config(Negatives::Clustered));
    assert!(training.method().clusters().is_empty());
    let mut seen = Vec::new();
    for _ in 0..4 {
        training.train_epoch().unwrap();
        seen.push(training.method().clusters());
    }
    assert_eq!((seen[0].len(), seen[0][0].len()), (2, 80));
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
    assert!(training.losses().iter().any(|loss| loss.0 == "prototypes"));
}

/// A run chosen on its validation part keeps the best checkpoint.
#[test]
fn a_run_is_chosen_on_validation() {
    let config = config(Negatives::Clustered).with_validate_on(Some("20".into()));
    let options = FitOptions::new(&Device::default()).epochs(6).seed(3).progress(false).evaluate_every(2);
    let trained = config.fit(&graph(), &options.early_stopping("macro_f1", 2)).unwrap();
    let best = trained.report.best.unwrap();
    assert!((0.0..=1.0).contains(&best.value), "{best:?}");
}

/// Each of the three learns the planted classes, of which the words say little: chance is a quarter.
#[test]
fn embeddings_tell_planted_classes_apart() {
    let options = NetworkOptions { noise: 0.3, words_each: 2, ..NetworkOptions::default() };
    let graph = planted_network(&options).unwrap();
    let raw = graph.target_type().features.as_ref().unwrap().to_dense();
    let raw = label_rate(&graph, raw.view(), "20").unwrap();
    for negatives in [Negatives::Alike, Negatives::Clustered, Negatives::Learned] {
        let config = MeowConfig::new(vec!["P-A-P".into(), "P-S-P".into()]).with_clusters(vec![8, 20]);
        let config = config.with_negatives(negatives).with_learning_rate(5e-3).with_cluster_every(5);
        let mut training = config.build(&graph, 7, &Device::default()).unwrap();
        (0..30).for_each(|_| drop(training.train_epoch().unwrap()));
        let embedded = to_array(&training.method().embed(&training.trained_model().valid()));
        let scores = label_rate(&graph, embedded.view(), "20").unwrap();
        let nmi = clusters_nmi(&graph, embedded.view(), &[1]).unwrap();
        println!("{negatives:?}: {scores:?}, NMI {nmi:.3}; raw {raw:?}");
        assert!(scores.macro_f1 > 0.5, "{negatives:?}: {scores:?}, raw {raw:?}");
    }
}

/// Check 8 in short: ACM, 20 labels a class, one seed and few epochs: above the raw features.
#[test]
fn golden_acm_meow_is_above_raw_features() {
    let Some(root) = shared() else { return };
    let graph = HeteroGraph::open_heco(&root.join("data/heco-acm"), &Limits::default()).unwrap();
    let raw = graph.target_type().features.as_ref().unwrap().to_dense();
    let raw = label_rate(&graph, raw.view(), "20").unwrap();
    let config = MeowConfig::acm().with_keep(vec![110, 100]).with_clusters(vec![30, 100]).with_learning_rate(5e-3);
    let mut training =
        config.with_cluster_every(10).with_cluster_restarts(1).build(&graph, 1, &Device::default()).unwrap();
    (0..10).for_each(|_| drop(training.train_epoch().unwrap()));
    let embedded = to_array(&training.method().embed(&training.trained_model().valid()));
    let scores = label_rate(&graph, embedded.view(), "20").unwrap();
    println!("raw {raw:?}\nMEOW {scores:?}");
    assert!(scores.macro_f1 > raw.macro_f1 + 0.03, "{scores:?}, raw {raw:?}");
}
