//! PamC and the companions that train on a whole graph: powers, self-training, twins, sanity on generated communities, bad input.

use crate::common::{close, tracked, values};
use burn::module::Param;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::objective::{MetaNodes, PamC, SparsePositives};
use contrastive_eval::clustering::compare;
use contrastive_eval::probe::{LinearProbe, Split, Targets};
use contrastive_graph::MethodError;
use contrastive_graph::node::data::{BlockModelOptions, Cleaning, Density, Features, Graph, SelfLoops, block_model};
use contrastive_graph::node::method::{
    AutoEncoderConfig, BgrlConfig, DgiConfig, GbtConfig, NodeMethod, NodeMethodConfig, NodeTraining, PamcConfig,
    PamcData, PamcModel, PamcNegatives, PamcStart, UniformViews, powers,
};
use contrastive_kernels::sparse::Csr;
use contrastive_nn::encoder::MlpConfig;
use contrastive_train::{FitOptions, Trainee};
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn communities(nodes: usize) -> Graph {
    with_words(nodes, 5.0, 7.0)
}

/// With this expected number of own words of a node, of 20, and of others, of 60.
fn with_words(nodes: usize, own_words: f64, other_words: f64) -> Graph {
    let density = Density::Degrees { inside: 8.0, between: 2.0 };
    block_model(&BlockModelOptions { nodes, communities: 4, density, features: 80, own_words, other_words, seed: 3 })
        .unwrap()
}

fn small() -> PamcConfig {
    PamcConfig::new(4).with_hidden(vec![64, 32]).with_dim(8).with_restarts(5).with_pretraining_batch(64)
}

fn dense(matrix: &Csr<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((matrix.rows(), matrix.cols()));
    for row in 0..matrix.rows() {
        let (columns, weights) = matrix.row(row);
        columns.iter().zip(weights).for_each(|(&column, &weight)| out[[row, column as usize]] = weight);
    }
    out
}

#[test]
fn powers_are_those_of_the_dense_matrix() {
    let graph = communities(60);
    for order in 1..=4 {
        let config = PamcConfig::new(4).with_order(order);
        let single = dense(&PamcConfig::new(4).weights(&graph).unwrap());
        let (mut power, mut sum) = (single.clone(), single.clone());
        for _ in 1..order {
            power = power.dot(&single);
            sum += &power;
        }
        for (influence, want) in [(true, sum), (false, power)] {
            let got = dense(&config.clone().with_influence(influence).weights(&graph).unwrap());
            let off = (&got - &want).iter().fold(0.0f64, |most, x| most.max(x.abs()));
            assert!(off < 1e-12, "order {order}, influence {influence}: {off}");
            // steps are averages: every row of a power sums to 1
            let total = if influence { order as f64 } else { 1.0 };
            assert!(got.rows().into_iter().all(|row| (row.sum() - total).abs() < 1e-12));
        }
    }
}

#[test]
fn a_row_cap_keeps_the_heaviest() {
    let matrix = Csr::from_triplets(
        3,
        3,
        &[(0, 0, 0.2), (0, 1, 0.5), (0, 2, 0.3), (1, 0, 0.4), (1, 1, 0.4), (1, 2, 0.2), (2, 2, 1.0)],
    )
    .unwrap();
    let cut = powers(&matrix, 1, true, Some(2));
    assert_eq!(cut.row(0), (&[1, 2][..], &[0.5, 0.3][..]));
    assert_eq!(
        cut.row(1),
        (&[0, 1][..], &[0.4, 0.4][..]),
        "of equal ones the lower columns, the others before lighter ones"
    );
    assert_eq!(cut.row(2), (&[2][..], &[1.0][..]));
    // row 0 of the square of what was cut: 0.5 (0.4, 0.4, 0) + 0.3 (0, 0, 1)
    let square = powers(&matrix, 2, false, Some(2));
    assert_eq!(square.row(0).0, [0, 2]);
    close("capped square", square.row(0).1, &[0.2, 0.3], 1e-12, 0.0);
    let graph = communities(400);
    let uncapped = PamcConfig::new(4).with_order(3).weights(&graph).unwrap();
    let capped = PamcConfig::new(4).with_order(3).with_row_cap(Some(20)).weights(&graph).unwrap();
    assert!(uncapped.nnz() > 3 * capped.nnz());
    assert!((0..400).all(|row| capped.row(row).0.len() <= 20 && !capped.row(row).0.is_empty()));
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = alone.install(|| PamcConfig::new(4).with_order(3).weights(&graph).unwrap());
    assert!(again == uncapped, "the weights depend on the number of threads");
}

fn model(centres: Vec<f64>, dim: usize, width: usize) -> PamcModel {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let device = Device::default().autodiff();
    let encoder = MlpConfig::new(vec![width, dim]).init(&mut rng, &device).unwrap();
    let rows = centres.len() / dim;
    let centres = Tensor::from_data(TensorData::new(centres, [rows, dim]), (&device, DType::F64));
    PamcModel { encoder, centres: Param::from_tensor(centres) }
}

#[test]
fn self_training_is_the_formula() {
    if !crate::common::has_f64() {
        return;
    }
    let (n, d, c) = (5, 2, 3);
    let points: Vec<f64> = (0..n * d).map(|k| (k as f64 * 1.7).sin() * 2.0).collect();
    let centres = vec![0.5, 1.0, -1.0, 0.3, 1.5, -0.7];
    let model = model(centres.clone(), d, 4);
    let value = |points: &[f64]| {
        let mut q = vec![0.0; n * c];
        for i in 0..n {
            for a in 0..c {
                let square: f64 = (0..d).map(|k| (points[i * d + k] - centres[a * d + k]).powi(2)).sum();
                q[i * c + a] = 1.0 / (1.0 + square);
            }
            let sum: f64 = q[i * c..][..c].iter().sum();
            q[i * c..][..c].iter_mut().for_each(|q| *q /= sum);
        }
        q
    };
    let target = |q: &[f64]| {
        let f: Vec<f64> = (0..c).map(|a| (0..n).map(|i| q[i * c + a]).sum()).collect();
        let mut p: Vec<f64> = (0..n * c).map(|at| q[at] * q[at] / f[at % c]).collect();
        for row in p.chunks_exact_mut(c) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        p
    };
    let divergence = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum::<f64>() / n as f64;
    let x = tracked(points.clone(), [n, d], DType::F64);
    let shares = model.assignment(x.clone());
    let (q, p) = (value(&points), target(&value(&points)));
    close("shares", &values(&shares), &q, 1e-12, 1e-12);
    let found = PamcModel::target(shares.clone());
    assert!(!found.is_tracked(), "no gradient through the target");
    close("target", &values(&found), &p, 1e-12, 1e-12);
    let loss = PamcModel::divergence(found, shares);
    close("divergence", &values(&loss), &[divergence(&p, &q)], 1e-12, 1e-12);
    let gradients = loss.backward();
    let step = 1e-6;
    let want: Vec<f64> = (0..n * d)
        .map(|k| {
            let at = |by: f64| {
                let mut moved = points.clone();
                moved[k] += by;
                divergence(&p, &value(&moved))
            };
            (at(step) - at(-step)) / (2.0 * step)
        })
        .collect();
    close("gradient", &values(&x.grad(&gradients).unwrap()), &want, 1e-7, 1e-6);
    assert!(model.centres.val().grad(&gradients).is_some(), "the centres are trained by the self-training");
}

#[test]
fn far_nodes_and_certain_shares_stay_finite() {
    let model = model(vec![0.0, 0.0, 1e4, 0.0, 0.0, 1e4], 2, 4);
    let x = tracked(vec![0.0, 0.0, 1e4, 0.0, 1e15, -1e15], [3, 2], DType::F64);
    let shares = model.assignment(x.clone());
    let loss = PamcModel::divergence(PamcModel::target(shares.clone()), shares.clone());
    assert!(values(&shares).iter().all(|q| (0.0..=1.0).contains(q)));
    assert!(values(&loss)[0].is_finite() && values(&x.grad(&loss.backward()).unwrap()).iter().all(|g| g.is_finite()));
}

fn options() -> FitOptions {
    FitOptions::new(&Device::default()).seed(42).progress(false)
}

/// A start without an auto-encoder: random weights and these centres.
fn start(config: &PamcConfig, graph: &Graph) -> PamcStart {
    config.clone().with_pretraining_epochs(0).pretrain(graph, &options()).unwrap()
}

#[test]
fn a_training_uses_the_contrast_of_its_negatives() {
    let graph = communities(80);
    let config = small().with_tau(0.7);
    let weights = config.weights(&graph).unwrap();
    let positives = SparsePositives::new(weights.clone()).unwrap();
    let all = [
        PamcNegatives::Official,
        PamcNegatives::Jensen,
        PamcNegatives::SecondOrder,
        PamcNegatives::PerAnchor,
        PamcNegatives::AllPairs,
    ];
    for negatives in all {
        let config = config.clone().with_negatives(negatives).with_beta(0.0).with_alpha(3.0);
        let mut training =
            config.build_from(start(&config, &graph), &graph, weights.clone(), &Device::default()).unwrap();
        let z = training.embed();
        let rows = Tensor::<2>::from_data(
            TensorData::new(z.iter().copied().collect::<Vec<f32>>(), [80, 8]),
            &Device::default(),
        );
        let clusters = MetaNodes::new(&training.clusters().unwrap());
        let objective = PamC::new(0.7).unwrap();
        let want = match negatives.proxy() {
            Some(proxy) => objective.with_proxy(proxy).loss(&rows, &positives, &clusters),
            None => objective.unapproximated(&rows, &positives),
        };
        let found = training.evaluate().unwrap().unwrap()["clusters"];
        assert_eq!(found, clusters.counts().len() as f64);
        let total = training.train_epoch().unwrap();
        let [(_, first), ("self-training", of_clusters), ("contrast", contrast)] = training.losses()[..] else {
            panic!("{:?}", training.losses())
        };
        close(&format!("{negatives:?}"), &[contrast], &[3.0 * values(&want)[0]], 1e-4, 1e-4);
        assert_eq!((of_clusters, first, training.epoch()), (0.0, total, 1));
        let after = (0..15).map(|_| training.train_epoch().unwrap()).last().unwrap();
        assert!(after < contrast, "{negatives:?}: {after} after {contrast}");
    }
}

/// Batches of all nodes: the loop of the library against one written out, with Burn's Adam.
#[test]
fn the_auto_encoder_descends_as_adam_does() {
    let graph = communities(60);
    let config = AutoEncoderConfig::new().with_hidden(vec![16]).with_dim(4).with_batch_size(60);
    let mut training = config.build(&graph, 5, &Device::default()).unwrap();
    let device = Device::default().autodiff();
    let mut model = config.init(80, 5, &device).unwrap();
    let rows = graph.require_features().unwrap().to_dense();
    let rows = Tensor::<2>::from_data(TensorData::new(rows.iter().copied().collect::<Vec<f32>>(), [60, 80]), &device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    for epoch in 1..=20 {
        let miss = model.reconstruct(&rows.clone().into()) - rows.clone();
        let loss = (miss.clone() * miss).mean();
        close(&format!("epoch {epoch}"), &[training.train_epoch().unwrap()], &values(&loss), 1e-6, 1e-4);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(1e-3, model, gradients);
    }
    assert_eq!(training.embed().dim(), (60, 4));
}

#[test]
fn training_improves_on_the_start_and_repeats_itself() {
    let graph = with_words(400, 7.0, 6.0);
    let labels = graph.require_labels().unwrap().complete().unwrap();
    let config = small().with_order(2).with_alpha(2.0).with_beta(1.0).with_pretraining_epochs(20).with_epochs(60);
    let start = config.pretrain(&graph, &options()).unwrap();
    assert!(start.errors[19] < start.errors[0], "the auto-encoder learns: {:?}", start.errors);
    let before = compare(&labels, &start.labels).unwrap().accuracy;
    let run = || {
        let start = start.clone();
        let weights = config.weights(&graph).unwrap();
        let mut training = config.build_from(start, &graph, weights, &Device::default()).unwrap();
        (0..config.epochs()).for_each(|_| assert!(training.train_epoch().unwrap().is_finite()));
        training
    };
    let training = run();
    let after = compare(&labels, &training.clusters().unwrap()).unwrap().accuracy;
    eprintln!("accuracy {before:.3}, then {after:.3}");
    assert!(after > before + 0.05, "accuracy {after} from {before}");
    assert_eq!(training.embed(), run().embed());
    let shares = training.shares().unwrap();
    assert_eq!(shares.dim(), (400, 4));
    assert!(shares.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5));
}

/// PamC, check 8, in short: CiteSeer, 5 epochs of the auto-encoder instead of 30, 30 steps instead of 100, one seed. Time and
/// memory are measured by the example.
#[test]
fn golden_data_citeseer_in_short() {
    let Some(folder) = crate::common::shared() else { return };
    let graph = Graph::read(folder.join("data/planetoid/ind.citeseer")).unwrap();
    let classes = graph.require_labels().unwrap();
    let known: Vec<usize> = (0..graph.num_nodes()).filter(|node| classes.class(*node).is_some()).collect();
    let labels: Vec<u32> = known.iter().map(|node| classes.class(*node).unwrap()).collect();
    let accuracy = |clusters: &[u32]| {
        let found: Vec<u32> = known.iter().map(|node| clusters[*node]).collect();
        compare(&labels, &found).unwrap().accuracy
    };
    let short = |config: PamcConfig| config.with_hidden(vec![256, 64]).with_pretraining_epochs(5);
    let (pamc, twin) = (short(PamcData::CiteSeer.pamc()), short(PamcData::CiteSeer.unapproximated()));
    let start = pamc.pretrain(&graph, &options()).unwrap();
    let before = accuracy(&start.labels);
    let [(pamc, of_pamc), (twin, of_twin)] = [pamc, twin].map(|config| {
        let weights = config.weights(&graph).unwrap();
        let mut training = config.build_from(start.clone(), &graph, weights, &Device::default()).unwrap();
        let mut steps: Vec<f64> = Vec::new();
        for _ in 0..30 {
            let before = training.parts().objective;
            assert!(training.train_epoch().unwrap().is_finite());
            steps.push((training.parts().objective - before).as_secs_f64());
        }
        (accuracy(&training.clusters().unwrap()), steps.into_iter().fold(f64::INFINITY, f64::min))
    });
    println!(
        "accuracy of the start {before:.3}, pamc {pamc:.3}, twin {twin:.3}; {:.1} and {:.1} ms",
        1e3 * of_pamc,
        1e3 * of_twin
    );
    assert!(pamc > twin - 0.02 && pamc > before, "{before}: {pamc}, {twin}");
}

#[test]
fn a_weak_start_needs_the_jensen_proxy() {
    // the official proxy does not grow with the nodes: from wrong clusters the attraction makes all of them one
    let graph = communities(400);
    let labels = graph.require_labels().unwrap().complete().unwrap();
    let config = small().with_order(2).with_pretraining_epochs(20).with_epochs(100).with_beta(1.0);
    let start = config.pretrain(&graph, &options()).unwrap();
    let before = compare(&labels, &start.labels).unwrap().accuracy;
    let [official, jensen] = [PamcNegatives::Official, PamcNegatives::Jensen].map(|negatives| {
        let config = config.clone().with_negatives(negatives);
        let weights = config.weights(&graph).unwrap();
        let mut training = config.build_from(start.clone(), &graph, weights, &Device::default()).unwrap();
        (0..config.epochs()).for_each(|_| assert!(training.train_epoch().unwrap().is_finite()));
        compare(&labels, &training.clusters().unwrap()).unwrap().accuracy
    });
    eprintln!("accuracy of the start {before:.3}, official {official:.3}, jensen {jensen:.3}");
    assert!(jensen > before + 0.2 && jensen > official + 0.2, "{before}: {official}, {jensen}");
}

#[test]
fn published_settings_are_valid() {
    for data in [PamcData::Usps, PamcData::Hhar, PamcData::Reuters, PamcData::Acm, PamcData::Dblp, PamcData::CiteSeer] {
        let (pamc, twin) = (data.pamc(), data.unapproximated());
        pamc.validate().unwrap();
        twin.validate().unwrap();
        assert_eq!((pamc.clusters, pamc.dim, pamc.hidden.len()), (twin.clusters, 10, 3));
        assert_eq!(twin.negatives, PamcNegatives::AllPairs);
    }
    let citeseer = PamcData::CiteSeer.pamc();
    assert_eq!((citeseer.alpha, citeseer.beta, citeseer.order, citeseer.tau), (2.0, 2.5, 3, 0.5));
    assert_eq!(PamcData::CiteSeer.unapproximated().training.learning_rate, 1e-4);
    assert_eq!(PamcData::Hhar.neighbours(), Some(5));
}

#[test]
fn bad_settings_and_graphs_are_named() {
    let graph = communities(40);
    let device = Device::default();
    let refused = |config: PamcConfig| config.build(&graph, 1, &device).err().expect("an error").to_string();
    for (config, part) in [
        (small().with_tau(0.0), "pamc: tau is 0; allowed is a finite number above 0"),
        (small().with_alpha(f64::NAN), "pamc: alpha is NaN"),
        (small().with_beta(-1.0), "pamc: beta is -1"),
        (small().with_order(0), "pamc: order is 0"),
        (small().with_row_cap(Some(0)), "pamc: row_cap is 0"),
        (small().with_hidden(vec![8, 0]), "autoencoder: hidden is 0"),
        (small().with_learning_rate(f64::INFINITY), "training: learning_rate is inf"),
        (PamcConfig::new(1), "pamc: clusters is 1; allowed is 2 to the number of nodes"),
        (PamcConfig { clusters: 41, ..small() }, "pamc: clusters is 41; allowed is 2 to 40, the number of nodes"),
    ] {
        let message = refused(config);
        assert!(message.contains(part), "{message:?} does not speak of {part:?}");
    }
    let bare =
        block_model(&BlockModelOptions { nodes: 40, communities: 2, features: 0, ..Default::default() }).unwrap();
    assert!(matches!(small().build(&bare, 1, &device), Err(MethodError::Graph(_))));
    assert!(matches!(DgiConfig::new().build(&bare, 1, &device), Err(MethodError::Graph(_))));

    // a node whose only weight is 0 has no positive
    let cleaning = Cleaning { self_loops: SelfLoops::Keep, ..Default::default() };
    let lonely = Graph::from_weighted_edges(5, &[(0, 0, 0.0), (1, 2, 1.0), (3, 4, 1.0)], &cleaning).unwrap();
    let lonely = lonely.with_features(Features::Dense(Array2::from_shape_fn((5, 3), |(i, j)| (i * j) as f32))).unwrap();
    let config = small().with_dim(2).with_hidden(vec![4]).with_pretraining_epochs(1);
    let message = PamcConfig { clusters: 2, ..config }.build(&lonely, 1, &device).err().expect("an error").to_string();
    assert!(message.contains("node 0 has no positive"), "{message}");

    fn wrong(config: impl NodeMethodConfig, graph: &Graph) -> String {
        config.build(graph, 1, &Device::default()).err().expect("an error").to_string()
    }
    let few = Graph::from_edges(4, &[], &Cleaning::default()).unwrap();
    let few = few.with_features(Features::Dense(Array2::ones((4, 3)))).unwrap();
    for (message, part) in [
        (wrong(DgiConfig::new().with_dim(0), &graph), "dgi: dim is 0"),
        (wrong(DgiConfig::new().with_epochs(0), &graph), "training: epochs is 0"),
        (wrong(DgiConfig::new(), &few), "dgi: a graph of 4 nodes without an edge"),
        (wrong(BgrlConfig::new().with_momentum(1.5), &graph), "bgrl: momentum is 1.5; allowed is 0 to 1"),
        (wrong(BgrlConfig::new().with_widths(vec![]), &graph), "bgrl: number of widths is 0"),
        (wrong(BgrlConfig::new().with_widths(vec![4, 0]), &graph), "bgrl: width is 0"),
        (
            wrong(BgrlConfig::new().with_warm_up(10_000), &graph),
            "bgrl: warm_up is 10000; allowed is less than the epochs",
        ),
        (wrong(BgrlConfig::new().with_weight_decay(-1.0), &graph), "optimiser: weight_decay is -1"),
        (wrong(BgrlConfig::new(), &few), "bgrl: a graph of 4 nodes without an edge"),
        (
            wrong(GbtConfig::new().with_views(UniformViews::new([0.1, 1.5], [0.0; 2])), &graph),
            "gbt: edge_drop is 1.5; allowed is 0 to 1",
        ),
        (
            wrong(GbtConfig::new().with_views(UniformViews::new([0.1; 2], [-0.1, 0.5])), &graph),
            "gbt: feature_drop is -0.1",
        ),
        (wrong(GbtConfig::new().with_lambda(Some(-1.0)), &graph), "gbt: lambda is -1"),
        (wrong(GbtConfig::new(), &bare), "features"),
    ] {
        assert!(message.contains(part), "{message:?} does not speak of {part:?}");
    }
}

/// Accuracy of logistic regression on a tenth of the nodes, its penalty chosen on another tenth.
fn probe(x: ArrayView2<'_, f32>, labels: &[u32]) -> f64 {
    let splits: Vec<Split> = (0..3).map(|seed| Split::random(labels.len(), 0.1, 0.1, seed).unwrap()).collect();
    let probe = LinearProbe::new().with_validation(&[0.1, 1.0, 10.0, 100.0, 1000.0]);
    probe.run(x, Targets::single(labels, 4), &splits).unwrap().accuracy().mean
}

#[test]
fn companions_separate_communities_better_than_features() {
    let graph = communities(400);
    let labels = graph.require_labels().unwrap().complete().unwrap();
    let raw = probe(graph.require_features().unwrap().to_dense().view(), &labels);
    let views = UniformViews::new([0.2, 0.3], [0.2, 0.3]);
    let bgrl = BgrlConfig::new().with_widths(vec![32, 16]).with_predictor(32).with_views(views.clone());
    let bgrl = bgrl.with_warm_up(5).with_epochs(60).with_learning_rate(1e-2);
    let gbt = GbtConfig::new().with_widths(vec![32, 16]).with_views(views);
    let check = |(name, losses, table): (&str, Vec<f64>, Array2<f32>), width: usize| {
        assert_eq!(table.dim(), (400, width));
        let (first, last) = (losses[..5].iter().sum::<f64>(), losses[losses.len() - 5..].iter().sum::<f64>());
        assert!(last < first, "{name}: losses from {first} to {last}");
        let found = probe(table.view(), &labels);
        eprintln!("{name}: {found:.3}, raw features {raw:.3}, loss {:.3} to {:.3}", first / 5.0, last / 5.0);
        assert!(found > raw + 0.1, "{name}: accuracy {found}, of raw features {raw}");
    };
    fn run<M: NodeMethod>(mut training: NodeTraining<M>) -> (&'static str, Vec<f64>, Array2<f32>) {
        let losses = (0..60).map(|_| training.train_epoch().unwrap()).collect();
        (training.method().name(), losses, training.embed())
    }
    let device = Device::default();
    let dgi = DgiConfig::new().with_dim(32).with_learning_rate(1e-2);
    check(run(dgi.build(&graph, 42, &device).unwrap()), 32);
    check(run(bgrl.build(&graph, 42, &device).unwrap()), 16);
    check(run(gbt.with_learning_rate(5e-3).build(&graph, 42, &device).unwrap()), 16);
}
