//! The checks of the methods' specifications: limits, identities, and the reference implementation's values.

use crate::common::*;
use burn::tensor::{DType, Device, Tensor};
use contrastive_core::linear::{SvdOptions, truncated_svd};
use contrastive_core::objective::{Inputs, PairObjective, bpr};
use contrastive_core::similarity::Similarity;
use contrastive_graph::parts::{Candidates, Readout, owed};
use contrastive_graph::user_item::Embeddings;
use contrastive_graph::user_item::augment::ViewKind;
use contrastive_graph::user_item::data::generate::{PlantedOptions, planted};
use contrastive_graph::user_item::data::{
    Dataset, Interactions, LoadOptions, NegativePolicy, NodeOrder, PairSampler, TripleBatch, Triples, adjacency,
};
use contrastive_graph::user_item::method::*;
use contrastive_kernels::sparse::Csr;
use contrastive_train::{FitOptions, Trainee};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

/// The generator of a step.
fn draws() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn uniform(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random::<f64>() - 0.5).collect()
}

fn graph(seed: u64) -> Interactions {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pairs: Vec<(u32, u32)> =
        (0..9).flat_map(|u| (0..7).map(move |i| (u, i))).filter(|_| rng.random::<f64>() < 0.4).collect();
    Interactions::from_pairs(9, 7, pairs).unwrap()
}

fn triples(train: &Interactions, seed: u64) -> Triples {
    let mut triples = Triples::default();
    let sampler = PairSampler::new(train, NegativePolicy::Reject).unwrap();
    sampler.epoch(&mut ChaCha8Rng::seed_from_u64(seed), &mut triples);
    triples
}

fn whole(triples: &Triples) -> TripleBatch<'_> {
    triples.batch(0, triples.len())
}

fn bipartite(train: &Interactions) -> Csr<f64> {
    let p = adjacency::bipartite(train);
    Csr::from_parts(p.rows, p.cols, p.indptr, p.indices, p.values).unwrap()
}

#[test]
fn golden_lightgcl() {
    let Some(file) = golden("lightgcl") else { return };
    for case in file["cases"].as_array().unwrap() {
        for dtype in types() {
            let input = |k: &str| numbers(&case["inputs"][k]);
            let ids = |k: &str| input(k).into_iter().map(|x| x as u32).collect::<Vec<_>>();
            let size = |k: &str, d: usize| case["inputs"][k]["shape"][d].as_u64().unwrap() as usize;
            let (users, items, d) = (size("interactions", 0), size("interactions", 1), size("user_emb", 1));
            let r = input("interactions");
            let pairs =
                (0..users * items).filter(|&at| r[at] > 0.0).map(|at| ((at / items) as u32, (at % items) as u32));
            let train = Interactions::from_pairs(users, items, pairs).unwrap();
            let params = &case["params"];
            let number = |k: &str| params[k].as_f64().unwrap();
            let config = LightGclConfig::new()
                .with_layers(number("layers") as usize)
                .with_rank(number("rank") as usize)
                .with_temperature(number("temperature"))
                .with_contrast_weight(number("lambda1"))
                .with_l2(number("lambda2"));
            let mut method = config.build(&train).unwrap();
            let table = tracked([input("user_emb"), input("item_emb")].concat(), [users + items, d], dtype);
            let (u, p, n) = (ids("uids"), ids("pos"), ids("neg"));
            let batch = TripleBatch { users: &u, positives: &p, negatives: &n };
            let views = method.encode(&table, &mut draws());
            let (relative, absolute) = if dtype == DType::F64 { (1e-9, 1e-9) } else { (1e-4, 1e-5) };
            let expected = &case["expected"];
            let both = |a: &str, b: &str| [numbers(&expected[a]), numbers(&expected[b])].concat();
            close("embeddings", &values(&views.embeddings), &both("E_u", "E_i"), absolute, relative);
            close(
                "low-rank view",
                &values(&method.low_rank_view(&table, &views)),
                &both("G_u", "G_i"),
                absolute,
                relative,
            );
            let losses = method.losses(&table, &views, &batch, &mut draws());
            let named = |k: usize| (losses[k].0, values(&losses[k].1)[0]);
            assert_eq!((named(0).0, named(1).0, named(2).0), ("bpr", "contrast", "l2"));
            close("bpr", &[named(0).1], &[expected["loss_bpr"].as_f64().unwrap()], 0.0, relative);
            close("contrast", &[named(1).1], &[expected["loss_cl_weighted"].as_f64().unwrap()], 0.0, relative);
            let total = losses.into_iter().map(|(_, l)| l).reduce(|a, b| a + b).unwrap();
            close("loss", &values(&total), &[expected["loss"].as_f64().unwrap()], 0.0, relative);
            let gradient = table.grad(&total.backward()).unwrap();
            let gradients = [numbers(&expected["grads"]["user_emb"]), numbers(&expected["grads"]["item_emb"])].concat();
            close("gradient", &values(&gradient), &gradients, absolute, relative);
        }
    }
}

#[test]
fn no_layers_is_matrix_factorisation() {
    let train = graph(1);
    let (gcn, mf) =
        (LightGcnConfig::new().with_layers(0).build(&train).unwrap(), MfBprConfig::new().build(&train).unwrap());
    let table = tracked(uniform(2, 16 * 5), [16, 5], DType::F32);
    assert_eq!(values(&gcn.embed(&table)), values(&table));
    assert_eq!(values(&mf.embed(&table)), values(&table));
}

#[test]
fn embeddings_are_linear_in_the_table() {
    let method = LightGcnConfig::new().build(&graph(1)).unwrap();
    let [a, b] = [2, 3].map(|s| tracked(uniform(s, 16 * 5), [16, 5], DType::F32));
    let sum = values(&method.embed(&(a.clone() * 2.0 + b.clone())));
    let parts = values(&(method.embed(&a) * 2.0 + method.embed(&b)));
    close("linear", &sum, &parts, 1e-6, 1e-6);
}

#[test]
fn known_adjacency_and_its_singular_values() {
    let train = Interactions::from_pairs(3, 3, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]).unwrap();
    let parts = adjacency::bipartite(&train);
    close("entries", &parts.values, &[0.5, 0.5, 0.5, 0.5, 1.0], 1e-15, 0.0);
    let svd = truncated_svd(&bipartite(&train), 3, &SvdOptions::default()).unwrap();
    close("singular values", &svd.singular_values, &[1.0, 1.0, 0.0], 1e-9, 0.0);
}

#[test]
fn bpr_is_infonce_with_one_negative() {
    let dtype = types()[0];
    let [u, p, n] = [4, 5, 6].map(|s| tracked(uniform(s, 6 * 3), [6, 3], dtype));
    let pairwise = values(&bpr(u.clone(), p.clone(), n.clone()))[0];
    let infonce = contrastive_core::objective::InfoNce::new(1.0).unwrap().with_similarity(Similarity::Dot);
    let infonce = values(&infonce.loss_with_own_negatives(u, p, n.reshape([6, 1, 3])))[0];
    close("bpr", &[pairwise], &[infonce], 1e-6, 1e-6);
}

#[test]
fn gradients_of_lightgcn_agree_with_finite_differences() {
    if !has_f64() {
        return;
    }
    let train = graph(7);
    let sampled = triples(&train, 3);
    let base = uniform(8, 16 * 3);
    let mut method = LightGcnConfig::new().with_layers(3).with_l2(0.01).build(&train).unwrap();
    let mut loss = |x: Vec<f64>| {
        let table = tracked(x, [16, 3], DType::F64);
        let encoded = method.encode(&table, &mut draws());
        let total = method
            .losses(&table, &encoded, &whole(&sampled), &mut draws())
            .into_iter()
            .map(|(_, l)| l)
            .reduce(|a, b| a + b)
            .unwrap();
        (values(&total)[0], values(&table.grad(&total.backward()).unwrap()))
    };
    let (_, gradient) = loss(base.clone());
    for at in 0..base.len() {
        let [high, low] = [1e-6, -1e-6].map(|step| {
            let mut x = base.clone();
            x[at] += step;
            loss(x).0
        });
        close("difference", &[(high - low) / 2e-6], &[gradient[at]], 1e-8, 1e-6);
    }
}

#[test]
fn sgl_without_dropping_sees_one_graph() {
    let train = graph(1);
    for view in [ViewKind::EdgeDropout, ViewKind::NodeDropout, ViewKind::RandomWalk] {
        let config = SglConfig::new().with_drop_ratio(0.0).with_view(view).with_contrast_weight(1.0).with_l2(0.0);
        let mut method = config.build(&train).unwrap();
        method.begin_epoch(ChaCha8Rng::seed_from_u64(1)).unwrap();
        let table = tracked(uniform(2, 16 * 4), [16, 4], types()[0]);
        let encoded = method.encode(&table, &mut draws());
        close("first view", &values(&encoded.views[0]), &values(&encoded.embeddings), 1e-6, 1e-6);
        close("second view", &values(&encoded.views[1]), &values(&encoded.embeddings), 1e-6, 1e-6);
        // one user, one item: each finds itself with cosine 1
        let batch = TripleBatch { users: &[3], positives: &[2], negatives: &[0] };
        let got = values(&method.losses(&table, &encoded, &batch, &mut draws())[1].1)[0];
        let x = values(&contrastive_core::similarity::unit_rows(encoded.embeddings.clone()));
        let side = |row: usize, rows: std::ops::Range<usize>| {
            let dot = |a: usize, b: usize| (0..4).map(|k| x[a * 4 + k] * x[b * 4 + k]).sum::<f64>() / 0.2;
            rows.map(|j| dot(row, j).exp()).sum::<f64>().ln() - 5.0
        };
        close("contrast", &[got], &[side(3, 0..9) + side(9 + 2, 9..16)], 1e-5, 1e-5);
    }
}

#[test]
fn sgl_views_are_renormalised_and_differ() {
    let train = graph(1);
    let mut method = SglConfig::new().with_drop_ratio(0.5).build(&train).unwrap();
    let table = tracked(uniform(2, 16 * 4), [16, 4], DType::F32);
    let mut draw = |seed| {
        method.begin_epoch(ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let encoded = method.encode(&table, &mut draws());
        [values(&encoded.views[0]), values(&encoded.views[1])]
    };
    let [a, b] = draw(1);
    assert_ne!(a, b);
    assert_eq!([a, b], draw(1));
}

#[test]
fn lightgcl_with_full_rank_contrasts_a_view_with_itself() {
    let train = graph(5);
    let method_of = |rank| LightGclConfig::new().with_rank(rank).build(&train).map_err(|error| error.to_string());
    let mut method = method_of(7).unwrap();
    let table = tracked(uniform(2, 16 * 4), [16, 4], types()[0]);
    let views = method.encode(&table, &mut draws());
    close("views", &values(&method.low_rank_view(&table, &views)), &values(&views.embeddings), 1e-5, 1e-5);
    assert!(method_of(0).unwrap_err().contains('0'));
    assert!(method_of(8).unwrap_err().contains('7'));
}

#[test]
fn lightgcl_without_contrast_is_lightgcn() {
    let train = graph(1);
    let mut gcl = LightGclConfig::new().with_contrast_weight(0.0).with_l2(0.0).with_rank(3).build(&train).unwrap();
    let mut gcn = LightGcnConfig::new().with_layers(2).with_readout(Readout::Sum).with_l2(0.0).build(&train).unwrap();
    let sampled = triples(&train, 3);
    let batch = whole(&sampled);
    let run = |losses: Vec<(&'static str, Tensor<1>)>, table: &Tensor<2>| {
        assert_eq!(losses.len(), 1);
        (values(&losses[0].1), values(&table.grad(&losses[0].1.clone().backward()).unwrap()))
    };
    let fresh = || tracked(uniform(2, 16 * 4), [16, 4], DType::F32);
    let (a, b) = (fresh(), fresh());
    let (ea, eb) = (gcl.encode(&a, &mut draws()), gcn.encode(&b, &mut draws()));
    assert_eq!(run(gcl.losses(&a, &ea, &batch, &mut draws()), &a), run(gcn.losses(&b, &eb, &batch, &mut draws()), &b));
}

#[test]
fn a_clamped_positive_has_no_gradient_of_its_own() {
    let objective = PairObjective::new(0.2).unwrap().with_similarity(Similarity::Dot).with_positive_clamp(5.0).unwrap();
    let a = tracked(vec![3.0, 0.0, 0.1, 0.1], [2, 2], types()[0]);
    let c = tracked(vec![2.0, 0.0, 0.0, 1.0], [2, 2], types()[0]);
    // logits of row 0: 30 (clamped) and 0
    let loss = objective.loss(&Inputs::new(a.clone(), c));
    let g = values(&a.grad(&loss.backward()).unwrap());
    // d log D alone: half (mean of two rows) of scale times the softmax-weighted candidate
    close("softmax part", &g[..2], &[0.5 * 5.0 * 2.0, 0.0], 1e-5, 1e-5);
}

#[test]
fn logits_beyond_the_exponential_are_safe() {
    let objective =
        PairObjective::new(0.05).unwrap().with_similarity(Similarity::Dot).with_denominator_offset(1e-8).unwrap();
    let [a, c] = [1, 2].map(|s| tracked(uniform(s, 40 * 3).iter().map(|x| x * 12.0).collect(), [40, 3], DType::F32));
    let inputs = Inputs::new(a, c);
    let (streaming, dense) = (values(&objective.loss(&inputs))[0], values(&objective.dense(&inputs))[0]);
    assert!(streaming.is_finite() && streaming > 80.0);
    close("stable", &[streaming], &[dense], 0.0, 1e-5);
}

#[test]
fn sampled_candidates_estimate_the_full_table() {
    let set = planted(&PlantedOptions { users: 300, items: 250, ..Default::default() }).unwrap().dataset;
    let sampled = triples(&set.train, 3);
    let batch = sampled.batch(0, 256);
    let loss = |candidates| {
        let mut method = LightGclConfig::new().with_candidates(candidates).with_l2(0.0).build(&set.train).unwrap();
        method.begin_epoch(ChaCha8Rng::seed_from_u64(1)).unwrap();
        let table = tracked(uniform(2, 550 * 8), [550, 8], DType::F32);
        let encoded = method.encode(&table, &mut draws());
        values(&method.losses(&table, &encoded, &batch, &mut draws())[1].1)[0]
    };
    let full = loss(Candidates::All);
    assert_eq!(full, loss(Candidates::Sampled { count: 1000 }));
    let part = loss(Candidates::Sampled { count: 120 });
    assert!(part != full && (part - full).abs() < 0.1 * full.abs(), "{part} for {full}");
}

#[test]
fn node_order_changes_rounding_only() {
    // as many nodes as an order by clusters needs
    let sizes = PlantedOptions { users: 9_000, items: 7_500, communities: 20, mean_degree: 4.0, ..Default::default() };
    let set = planted(&sizes).unwrap().dataset;
    let options = FitOptions::new(&Device::default()).epochs(1).seed(3).progress(false).evaluate_every(9);
    let flat = |e: &Embeddings| e.users.iter().chain(e.items.iter()).map(|x| f64::from(*x)).collect::<Vec<_>>();
    let config = |order| LightGcnConfig::new().with_dim(4).with_layers(1).with_node_order(order);
    let before = |order| flat(&config(order).training_on(&set, &options).unwrap().embeddings());
    let after = |order| flat(&config(order).fit(&set, &options).unwrap());
    close("before training, file", &before(NodeOrder::Clusters), &before(NodeOrder::File), 1e-6, 1e-5);
    close("before training, degree", &before(NodeOrder::Clusters), &before(NodeOrder::Degree), 1e-6, 1e-5);
    // the same triples: Adam's first steps have the size of the rate whatever the gradient, so compare in its unit
    let [clusters, degree] = [after(NodeOrder::Clusters), after(NodeOrder::Degree)];
    let far = clusters.iter().zip(&degree).filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
    assert!(far * 1000 < clusters.len(), "{far} of {} numbers differ", clusters.len());
}

/// A checkpoint is in the original numbers: one order goes on from the state of another.
#[test]
fn states_do_not_depend_on_the_node_order() {
    let set = planted(&PlantedOptions { users: 200, items: 150, ..Default::default() }).unwrap().dataset;
    let options = FitOptions::new(&Device::default()).epochs(1).seed(3).progress(false);
    let training =
        |order| LightGcnConfig::new().with_dim(8).with_node_order(order).training_on(&set, &options).unwrap();
    let mut trained = training(NodeOrder::Degree);
    trained.train_step().unwrap();
    let mut other = training(NodeOrder::File);
    other.load_state(trained.state()).unwrap();
    let [a, b] =
        [trained.embeddings(), other.embeddings()].map(|e| e.users.mapv(f64::from).into_raw_vec_and_offset().0);
    close("embeddings", &a, &b, 1e-6, 1e-5);
    assert_eq!(trained.state(), other.state());
}

/// What a method draws in a step comes from a generator of the step: a run goes on within an epoch, whatever is drawn.
#[test]
fn methods_that_draw_in_their_steps_resume_within_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name| folder.path().join(name);
    let sampled = Candidates::Sampled { count: 10 };
    let lightgcl = LightGclConfig::new().with_candidates(sampled).with_edge_dropout(0.2);
    owed::resume_is_exact(&lightgcl.with_dim(4).with_batch_size(150), &run("lightgcl"));
    let sgl = SglConfig::new().with_candidates(sampled).with_view(ViewKind::RandomWalk);
    owed::resume_is_exact(&sgl.with_dim(4).with_batch_size(150), &run("sgl"));
    owed::resume_is_exact(&LightGcnConfig::new().with_dim(4).with_batch_size(150), &run("lightgcn"));
}

#[test]
fn settings_out_of_range_are_named() {
    let train = graph(1);
    let fails = |config: LightGclConfig, words: &[&str]| {
        let error = config.build(&train).err().unwrap_or_else(|| panic!("{config:?} was accepted")).to_string();
        words.iter().for_each(|w| assert!(error.contains(w), "{error:?} lacks {w:?}"));
    };
    let config = LightGclConfig::new;
    fails(config().with_temperature(0.0), &["temperature 0", "from 1e-9"]);
    fails(config().with_temperature(-1.0), &["temperature -1"]);
    fails(config().with_temperature(f64::NAN), &["temperature NaN"]);
    fails(config().with_rank(0), &["rank", "0"]);
    fails(config().with_rank(8), &["8", "7"]);
    fails(config().with_dim(0), &["dim", "1 or more"]);
    fails(config().with_batch_size(0), &["batch_size"]);
    fails(config().with_learning_rate(f64::NAN), &["learning_rate", "NaN"]);
    fails(config().with_edge_dropout(1.0), &["edge_dropout", "1"]);
    fails(config().with_contrast_weight(-0.1), &["contrast_weight", "-0.1"]);
    fails(config().with_candidates(Candidates::Sampled { count: 0 }), &["candidates"]);
    assert!(SglConfig::new().with_drop_ratio(1.5).build(&train).unwrap_err().to_string().contains("drop_ratio"));
}

#[test]
fn recommendations_are_checked() {
    let set = planted(&PlantedOptions { users: 60, items: 50, communities: 5, ..Default::default() }).unwrap().dataset;
    let options = FitOptions::new(&Device::default()).epochs(2).seed(3).progress(false);
    let model = LightGcnConfig::new().with_dim(8).fit(&set, &options).unwrap();
    let best = model.recommend(&[0, 5], 10, &set.train).unwrap();
    assert!(best.row(1).0.iter().all(|item| !set.train.contains(5, *item)));
    for (error, words) in [
        (model.recommend(&[0], 0, &set.train).unwrap_err(), "k is 0"),
        (model.recommend(&[0], 51, &set.train).unwrap_err(), "1 to 50"),
        (model.recommend(&[60], 5, &set.train).unwrap_err(), "0 to 59"),
        (model.evaluate(&set.train, &set.test, &[51]).unwrap_err(), "51"),
        (model.evaluate(&set.train, &set.test, &[0]).unwrap_err(), "0"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    let again = Embeddings::load(&path).unwrap();
    assert_eq!((again.users, again.items), (model.users, model.items));
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    let set = planted(&PlantedOptions { users: 120, items: 90, communities: 6, ..Default::default() }).unwrap().dataset;
    let folder = tempfile::tempdir().unwrap();
    let options = |epochs| FitOptions::new(&Device::default()).epochs(epochs).seed(5).progress(false);
    let config =
        LightGclConfig::new().with_dim(8).with_batch_size(128).with_candidates(Candidates::Sampled { count: 30 });
    let whole = config.fit(&set, &options(4)).unwrap();
    config.fit(&set, &options(2).run_dir(folder.path())).unwrap();
    let resumed = config.fit(&set, &options(4).run_dir(folder.path()).resume(true)).unwrap();
    assert_eq!((whole.users, whole.items), (resumed.users, resumed.items));
    let other = config.clone().with_rank(4).fit(&set, &options(4).run_dir(folder.path()).resume(true)).unwrap_err();
    assert!(other.to_string().contains("rank"), "{other}");
}

#[test]
fn propagation_beats_factorisation_on_planted_communities() {
    let set =
        planted(&PlantedOptions { users: 600, items: 400, communities: 12, ..Default::default() }).unwrap().dataset;
    let options = FitOptions::new(&Device::default()).epochs(15).seed(5).progress(false);
    let recall = |layers| {
        let config =
            LightGcnConfig::new().with_dim(16).with_layers(layers).with_learning_rate(5e-3).with_batch_size(512);
        let model = config.with_readout(Readout::Sum).fit(&set, &options).unwrap();
        model.evaluate(&set.train, &set.test, &[20]).unwrap().get("recall@20").unwrap()
    };
    let (mf, gcn) = (recall(0), recall(2));
    assert!(gcn > mf + 0.02, "LightGCN {gcn}, MF {mf}");
}

#[test]
fn golden_data_lastfm_lightgcn_beats_factorisation() {
    let Some(root) = shared() else { return };
    let data = Dataset::open(root.join("data/lightgcn-lastfm"), &LoadOptions::default()).unwrap();
    let options = FitOptions::new(&Device::default()).epochs(12).seed(7).progress(false);
    let recall = |layers| {
        let config =
            LightGcnConfig::new().with_dim(32).with_layers(layers).with_readout(Readout::Sum).with_learning_rate(5e-3);
        let mut training = config.training_on(&data, &options).unwrap();
        for _ in 1..=12 {
            training.train_epoch().unwrap();
        }
        training.embeddings().evaluate(&data.train, &data.test, &[20]).unwrap().get("recall@20").unwrap()
    };
    let (mf, gcn) = (recall(0), recall(2));
    assert!(gcn > mf + 0.03 && gcn > 0.2, "LightGCN {gcn}, MF {mf}");
}

/// 30 % of LastFM's training pairs, one seed of the full comparison in `docs/results.md`, on a shorter schedule.
#[test]
fn golden_data_lastfm_contrast_helps_where_pairs_are_few() {
    fn ndcg(config: &impl MethodConfig, data: &Dataset, epochs: usize) -> f64 {
        let options = FitOptions::new(&Device::default()).epochs(epochs).seed(1).progress(false);
        let mut training = config.training_on(data, &options).unwrap();
        for _ in 1..=epochs {
            training.train_epoch().unwrap();
        }
        training.embeddings().evaluate(&data.train, &data.test, &[20]).unwrap().get("ndcg@20").unwrap()
    }
    let Some(root) = shared() else { return };
    let mut data = Dataset::open(root.join("data/lightgcn-lastfm"), &LoadOptions::default()).unwrap();
    data.train = data.train.subsample(0.3, 1).unwrap();
    let (rate, batch) = (5e-3, 512);
    let lightgcn = LightGcnConfig::new().with_dim(32).with_layers(2).with_readout(Readout::Sum);
    let lightgcn = ndcg(&lightgcn.with_learning_rate(rate).with_batch_size(batch), &data, 40);
    let sgl = SglConfig::new().with_dim(32).with_layers(2).with_learning_rate(rate).with_batch_size(batch);
    let sgl = ndcg(&sgl, &data, 16);
    let lightgcl = LightGclConfig::new().with_dim(32).with_contrast_weight(0.05);
    let lightgcl = ndcg(&lightgcl.with_learning_rate(rate).with_batch_size(batch), &data, 16);
    println!("NDCG@20 LightGCN {lightgcn:.4}, SGL {sgl:.4}, LightGCL {lightgcl:.4}");
    assert!(lightgcl > lightgcn + 0.01, "LightGCL {lightgcl}, LightGCN {lightgcn}");
    assert!(sgl > lightgcn + 0.01, "SGL {sgl}, LightGCN {lightgcn}");
}
