//! DCCF: the checks of its specification, and what every method owes.

use crate::common::*;
use burn::tensor::{DType, Device, Tensor};
use contrastive_core::objective::{Inputs, PairObjective};
use contrastive_eval::scores::roc_auc;
use contrastive_graph::parts::{Noise, Readout, owed, row_shares, to_array, to_tensor};
use contrastive_graph::user_item::data::generate::{PlantedOptions, planted};
use contrastive_graph::user_item::data::{Dataset, Interactions, LoadOptions, NodeOrder, TripleBatch};
use contrastive_graph::user_item::method::{
    Dccf, DccfConfig, Initialisation, LightGcnConfig, Method, MethodConfig, Sampling, Start, TableConfig,
};
use contrastive_train::{FitOptions, Trainee};
use ndarray::Array2;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

fn config() -> DccfConfig {
    DccfConfig::sslrec().with_dim(6).with_intents(5)
}

fn train() -> Interactions {
    Interactions::from_pairs(4, 3, [(0, 0), (0, 1), (1, 1), (2, 0), (2, 2), (3, 2)]).unwrap()
}

const BATCH: TripleBatch<'static> = TripleBatch { users: &[0, 3, 0], positives: &[1, 2, 0], negatives: &[2, 0, 2] };

fn draws() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// Numbers in -1/2 to 1/2.
fn numbers(rows: usize, columns: usize, seed: u64) -> Tensor<2> {
    let table = Noise::seeded(seed).uniform_like(&Tensor::zeros([rows, columns], &Device::default())) - 0.5;
    to_tensor(to_array(&table).view(), &Device::default().autodiff()).require_grad()
}

fn intents(config: &DccfConfig, seed: u64) -> Vec<Tensor<2>> {
    [0, 1].map(|k| numbers(config.table().dim, config.intents, seed + k)).to_vec()
}

fn same(a: &Tensor<2>, b: &Tensor<2>) -> bool {
    values(a).iter().zip(values(b)).all(|(x, y)| x.to_bits() == y.to_bits())
}

#[test]
fn dccf_resumes_exactly() {
    let folder = tempfile::tempdir().unwrap();
    owed::resume_is_exact(&config().with_batch_size(128), folder.path());
}

/// As many intents as there are nodes: the state of the intents has the size of the table's, and must not be reordered with it.
#[test]
fn dccf_resumes_exactly_where_intents_are_as_many_as_nodes() {
    let folder = tempfile::tempdir().unwrap();
    owed::resume_is_exact(
        &config().with_intents(100).with_node_order(NodeOrder::Clusters).with_batch_size(128),
        folder.path(),
    );
}

/// Check 5: gradients with respect to the table, through masks and softmax.
#[test]
fn dccf_gradients_are_slopes() {
    if has_f64() {
        owed::gradients_are_slopes(&config(), 1);
        owed::gradients_are_slopes(&config().with_layers(3).with_temperature(1.0), 2);
        owed::gradients_are_slopes(&config().with_residual(false), 3);
        owed::gradients_are_slopes(&config().with_intent_view(false), 4);
        owed::gradients_are_slopes(&config().with_masked_views(false), 5);
    }
}

/// And with respect to the intents.
#[test]
fn dccf_gradients_of_the_intents_are_slopes() {
    if !has_f64() {
        return;
    }
    let mut method = config().with_contrast_weight(0.5).build(&train()).unwrap();
    let table = numbers(7, 6, 1).cast(DType::F64);
    let start: Vec<Vec<f64>> = intents(&config(), 5).iter().map(values).collect();
    let direction: Vec<f64> = values(&numbers(6, 10, 9));
    let mut loss = |h: f64| {
        let moved = |side: usize| {
            let of = start[side].iter().zip(&direction[30 * side..]).map(|(x, d)| x + h * d).collect();
            tracked(of, [6, 5], DType::F64)
        };
        let beside = vec![moved(0), moved(1)];
        let views = method.encode_beside(&table, &beside, &mut draws());
        let losses = method.losses_beside(&table, &beside, &views, &BATCH, &mut draws());
        (losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).unwrap(), beside)
    };
    let (total, beside) = loss(0.0);
    let gradients = total.backward();
    let along: f64 = (0..2)
        .map(|side| {
            let gradient = values(&beside[side].grad(&gradients).unwrap());
            gradient.iter().zip(&direction[30 * side..]).map(|(g, d)| g * d).sum::<f64>()
        })
        .sum();
    let mut at = |h: f64| values(&loss(h).0)[0];
    let h = 1e-5;
    let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
    assert!((along - slope).abs() < 1e-7 * (1.0 + slope.abs()), "gradient {along}, slope {slope}");
}

/// Check 8.
#[test]
fn dccf_names_wrong_settings() {
    owed::settings_are_named(&[
        (config().with_layers(0), "layers"),
        (config().with_intents(0), "intents"),
        (config().with_temperature(0.0), "temperature"),
        (config().with_temperature(-1.0), "temperature"),
        (config().with_contrast_weight(-1.0), "contrast_weight"),
        (config().with_l2(f64::NAN), "l2"),
        (config().with_intent_l2(-1e-3), "intent_l2"),
        (config().with_dim(0), "dim"),
    ]);
    let (official, framework) = (DccfConfig::new(), DccfConfig::sslrec());
    assert_eq!((official.temperature, official.contrast_weight), (1.0, 0.1));
    assert_eq!((framework.temperature, framework.contrast_weight), (0.2, 0.01));
}

/// Check 8: users without a training item are never drawn; data without any pair is an error.
#[test]
fn dccf_never_draws_users_without_items() {
    let train = Interactions::from_pairs(5, 4, [(0, 0), (1, 1), (1, 2), (3, 3)]).unwrap();
    let mut data =
        planted(&PlantedOptions { users: 60, items: 40, communities: 4, ..Default::default() }).unwrap().dataset;
    (data.test, data.train) = (train.clone(), train);
    let options = FitOptions::new(&Device::default()).seed(3).progress(false);
    // a small start: after two layers of a small graph rows have grown 25 times, and BPR would be flat
    let config =
        config().with_initialisation(Initialisation::Normal { deviation: 0.01 }).with_node_order(NodeOrder::File);
    let before = config.training_on(&data, &options).unwrap();
    let mut training = config.clone().with_l2(0.0).with_contrast_weight(0.0).training_on(&data, &options).unwrap();
    (0..8).for_each(|_| drop(training.train_epoch().unwrap()));
    let (a, b) = (to_array(&before.table()), to_array(&training.table()));
    // users 2 and 4 have no edge and no draw: no gradient at all
    for user in 0..5 {
        assert_eq!(a.row(user) == b.row(user), user == 2 || user == 4, "user {user}");
    }
    data.train = Interactions::from_pairs(5, 4, []).unwrap();
    assert!(config.training_on(&data, &options).is_err());
}

/// Check 1: one intent makes all rows of S equal, so that each contrast with it costs `log n`, and its gradient with respect to the
/// candidates sums to 0.
#[test]
fn dccf_of_one_intent_cannot_tell_nodes_apart() {
    let config = config().with_intents(1);
    let method = config.build(&train()).unwrap();
    let (table, beside) = (numbers(7, 6, 1), intents(&config, 3));
    let views = method.views(&table, &beside);
    let (s, z) = (views.layers[0].intents.clone().unwrap(), views.layers[0].messages.clone());
    let (rows, user) = (to_array(&s), to_array(&beside[0]));
    for row in 0..4 {
        assert!(rows.row(row).iter().zip(user.column(0)).all(|(x, c)| (x - c).abs() < 1e-6));
    }
    let candidates = s.narrow(0, 0, 4).detach().require_grad();
    let loss = PairObjective::new(0.2).unwrap().loss(&Inputs::new(z.narrow(0, 0, 4).detach(), candidates.clone()));
    close("log n", &values(&loss), &[4f64.ln()], 1e-6, 1e-6);
    let gradient = to_array(&candidates.grad(&loss.backward()).unwrap());
    assert!(gradient.sum_axis(ndarray::Axis(0)).iter().all(|g| g.abs() < 1e-5), "{gradient}");
}

/// Check 2: masks that are all equal make the plain random walk, and check 3: rows of a masked view sum to 1.
#[test]
fn dccf_equal_masks_are_the_random_walk() {
    let method = config().build(&train()).unwrap();
    let pattern = method.pattern();
    let degree: Vec<usize> = pattern.indptr().windows(2).map(|row| row[1] - row[0]).collect();
    for constant in [0.1f32, 1.0] {
        let mask = Tensor::<1>::full([pattern.nnz()], constant, &Device::default());
        let shares = values(&row_shares(pattern, mask));
        for (row, degree) in degree.iter().enumerate() {
            let of = &shares[pattern.indptr()[row]..pattern.indptr()[row + 1]];
            assert!(of.iter().all(|share| (share * *degree as f64 - 1.0).abs() < 1e-6));
        }
    }
    let layer = &method.views(&numbers(7, 6, 1), &intents(&config(), 2)).layers[0];
    for mask in &layer.masks {
        let sums =
            pattern.apply(row_shares(pattern, mask.clone()), Tensor::ones([7, 1], &Device::default().autodiff()));
        close("row sums", &values(&sums), &[1.0; 7], 1e-6, 1e-6);
        assert!(values(mask).iter().all(|a| (0.0..=1.0).contains(a)));
    }
}

/// Check 3: nodes without an edge, and a table of zeros, give numbers.
#[test]
fn dccf_lone_nodes_and_zero_rows_are_numbers() {
    let train = Interactions::from_pairs(3, 3, [(0, 0), (1, 0)]).unwrap();
    let mut method = config().build(&train).unwrap();
    let mut zeros = values(&numbers(6, 6, 1));
    zeros[..6].fill(0.0);
    let (table, beside) = (tracked(zeros, [6, 6], DType::F32), intents(&config(), 3));
    let views = method.encode_beside(&table, &beside, &mut draws());
    // user 2 has no edge: its masked rows are 0
    assert!(to_array(&views.layers[0].masked[0]).row(2).iter().all(|x| *x == 0.0));
    let batch = TripleBatch { users: &[0, 1], positives: &[0, 0], negatives: &[1, 2] };
    let total = method.losses_beside(&table, &beside, &views, &batch, &mut draws()).into_iter().map(|l| l.1);
    let gradients = total.reduce(|a, b| a + b).unwrap().backward();
    for tensor in [&table, &beside[0], &beside[1]] {
        assert!(values(&tensor.grad(&gradients).unwrap()).iter().all(|g| g.is_finite()));
    }
}

/// Check 4: without intents, masks and residual it is LightGCN with the sum over layers, to the last bit, embeddings and training.
#[test]
fn dccf_plain_is_lightgcn_to_the_last_bit() {
    let data = planted(&PlantedOptions { users: 60, items: 40, communities: 4, ..Default::default() }).unwrap().dataset;
    let table = TableConfig::new().with_batch_size(128).with_sampling(Sampling::UniformUsers);
    let plain = DccfConfig::new().plain().with_l2(0.0).with_table(table.clone()).with_dim(8);
    let gcn =
        LightGcnConfig::new().with_layers(2).with_readout(Readout::Sum).with_l2(0.0).with_table(table).with_dim(8);
    let options = FitOptions::new(&Device::default()).seed(3).progress(false);
    let (mut a, mut b) = (plain.training_on(&data, &options).unwrap(), gcn.training_on(&data, &options).unwrap());
    for _ in 0..3 {
        assert_eq!(a.train_epoch().unwrap()[0].1, b.train_epoch().unwrap()[0].1);
    }
    assert!(same(&a.table(), &b.table()) && a.beside().is_empty());
    assert_eq!(a.embeddings().users, b.embeddings().users);
}

/// Check 6: the order of the intents does not matter, and users that change places take their embeddings with them.
#[test]
fn dccf_does_not_depend_on_the_order_of_intents_and_users() {
    let method = config().build(&train()).unwrap();
    let (table, beside) = (numbers(7, 6, 1), intents(&config(), 3));
    let whole = to_array(&method.views(&table, &beside).embeddings);
    let turned: Vec<Tensor<2>> = beside.iter().map(|c| c.clone().flip([1])).collect();
    let found = to_array(&method.views(&table, &turned).embeddings);
    assert!((&found - &whole).iter().all(|gap| gap.abs() < 1e-5));
    let order = [2usize, 0, 3, 1];
    let pairs = train()
        .pairs()
        .map(|(u, i)| (order.iter().position(|o| *o == u as usize).unwrap() as u32, i))
        .collect::<Vec<_>>();
    let moved = config().build(&Interactions::from_pairs(4, 3, pairs).unwrap()).unwrap();
    let at: Vec<usize> = order.iter().copied().chain(4..7).collect();
    let rows = to_tensor(to_array(&table).select(ndarray::Axis(0), &at).view(), &Device::default().autodiff());
    let found = to_array(&moved.views(&rows, &beside).embeddings);
    assert!((&found - &whole.select(ndarray::Axis(0), &at)).iter().all(|gap| gap.abs() < 1e-5));
}

/// Check 7: a single node finds itself, which costs nothing; a user that is named twice counts once.
#[test]
fn dccf_single_and_repeated_nodes() {
    let mut method = config().with_l2(0.0).build(&train()).unwrap();
    let (table, beside) = (numbers(7, 6, 1), intents(&config(), 3));
    let views = method.encode_beside(&table, &beside, &mut draws());
    let mut contrast = |users: &[u32], positives: &[u32], negatives: &[u32]| {
        let losses = method.losses(&table, &views, &TripleBatch { users, positives, negatives }, &mut draws());
        values(&losses.iter().find(|loss| loss.0 == "contrast").unwrap().1)[0]
    };
    assert!(contrast(&[2], &[0], &[1]).abs() < 1e-7);
    assert_eq!(contrast(&[2, 2, 0], &[0, 0, 1], &[1, 1, 2]), contrast(&[2, 0], &[0, 1], &[1, 2]));
}

/// The forward pass of two layers, written out entry by entry in f64.
#[test]
fn dccf_forward_is_its_definition() {
    let (method, table, beside) = (config().build(&train()).unwrap(), numbers(7, 6, 1), intents(&config(), 3));
    let [x, users, items] = [&table, &beside[0], &beside[1]].map(|of| to_array(of).mapv(f64::from));
    let neighbours = |node: usize| -> Vec<usize> {
        let pairs = train().pairs().map(|(u, i)| (u as usize, 4 + i as usize)).collect::<Vec<_>>();
        pairs.into_iter().filter_map(|(u, i)| (u == node).then_some(i).or((i == node).then_some(u))).collect()
    };
    let masked = |ends: &Array2<f64>, x: &Array2<f64>| {
        Array2::from_shape_fn((7, 6), |(node, column)| {
            let mask = |other: usize| {
                let (a, b) = (ends.row(node), ends.row(other));
                (a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt() + 1.0) / 2.0
            };
            let sum: f64 = neighbours(node).into_iter().map(mask).sum();
            neighbours(node).into_iter().map(|other| mask(other) / sum * x[[other, column]]).sum()
        })
    };
    let (mut x, mut all) = (x.clone(), x);
    for layer in method.views(&table, &beside).layers {
        let degree = |node: usize| neighbours(node).len() as f64;
        let z = Array2::from_shape_fn((7, 6), |(node, column)| {
            let part = |other: usize| x[[other, column]] / (degree(node) * degree(other)).sqrt();
            neighbours(node).into_iter().map(part).sum()
        });
        let s = Array2::from_shape_fn((7, 6), |(node, column)| {
            let of = if node < 4 { &users } else { &items };
            let weights: Vec<f64> = (0..5).map(|k| x.row(node).dot(&of.column(k)).exp()).collect();
            (0..5).map(|k| weights[k] * of[[column, k]]).sum::<f64>() / weights.iter().sum::<f64>()
        });
        let [of_z, of_s] = [masked(&z, &x), masked(&s, &x)];
        let found = [&layer.messages, layer.intents.as_ref().unwrap(), &layer.masked[0], &layer.masked[1]];
        for (found, wanted) in found.into_iter().zip([&z, &s, &of_z, &of_s]) {
            close("view", &values(found), wanted.as_slice().unwrap(), 1e-5, 1e-5);
        }
        x = z + s + of_z + of_s + x;
        all += &x;
    }
    close("embeddings", &values(&method.views(&table, &beside).embeddings), all.as_slice().unwrap(), 1e-5, 1e-5);
}

/// The 6 L contrasts are InfoNCE of the different nodes, written out.
#[test]
fn dccf_contrast_is_its_definition() {
    let mut method = config().build(&train()).unwrap();
    let (table, beside) = (numbers(7, 6, 1), intents(&config(), 3));
    let views = method.encode_beside(&table, &beside, &mut draws());
    let losses = method.losses(&table, &views, &BATCH, &mut draws());
    assert_eq!(losses.iter().map(|loss| loss.0).collect::<Vec<_>>(), ["bpr", "contrast", "l2"]);
    let mut wanted = 0.0;
    for layer in &views.layers {
        let z = to_array(&layer.messages);
        let others: Vec<_> = layer.intents.iter().chain(&layer.masked).map(to_array).collect();
        assert_eq!(others.len(), 3);
        for y in &others {
            for nodes in [vec![0, 3], vec![5, 6, 4]] {
                let logit = |i: usize, j: usize| {
                    let (a, b) = (z.row(i), y.row(j));
                    f64::from(a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()) / 0.2
                };
                let row = |&i: &usize| nodes.iter().map(|&j| logit(i, j).exp()).sum::<f64>().ln() - logit(i, i);
                wanted += nodes.iter().map(row).sum::<f64>() / nodes.len() as f64;
            }
        }
    }
    close("contrast", &values(&losses[1].1), &[wanted * 1e-2], 1e-5, 1e-5);
    let rows = to_array(&table);
    let squares = |row: usize| f64::from(rows.row(row).dot(&rows.row(row)));
    let listed = [0, 3, 0, 5, 6, 4, 6, 4, 6];
    close("l2", &values(&losses[2].1), &[2.5e-5 * listed.map(squares).iter().sum::<f64>()], 1e-5, 1e-5);
}

/// The intents are trained, saved beside the embeddings, and start by the seed.
#[test]
fn dccf_trains_and_saves_its_intents() {
    let data = planted(&PlantedOptions { users: 60, items: 40, communities: 4, ..Default::default() }).unwrap().dataset;
    let options = |seed| FitOptions::new(&Device::default()).seed(seed).progress(false);
    let mut training = config().training_on(&data, &options(3)).unwrap();
    let start = training.beside();
    assert!(same(&start[0], &config().training_on(&data, &options(3)).unwrap().beside()[0]));
    assert!(!same(&start[0], &config().training_on(&data, &options(4)).unwrap().beside()[0]));
    assert!(!same(&start[0], &start[1]));
    training.train_epoch().unwrap();
    assert!(!same(&start[0], &training.beside()[0]) && !same(&start[1], &training.beside()[1]));
    let names: Vec<String> = training.artifacts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["users", "items", "user_intents", "item_intents"]);
    let zeros = Start { shape: [2, 2], deviation: 0.0, stream: 0 }.drawn(1, &Device::default());
    assert_eq!(values(&zeros), [0.0; 4]);
}

/// The area under the curve of the last layer's mask from Z, true edges above false ones; `false_pair` tells which are false.
pub fn mask_auc(method: &Dccf, table: &Tensor<2>, beside: &[Tensor<2>], false_pair: impl Fn(u32, u32) -> bool) -> f64 {
    let layers = method.views(table, beside).layers;
    let mask = values(&layers.last().unwrap().masks[0]);
    let (pattern, users) = (method.pattern(), method.graph().users);
    let (mut scores, mut labels) = (Vec::new(), Vec::new());
    for user in 0..users {
        for entry in pattern.indptr()[user]..pattern.indptr()[user + 1] {
            scores.push(mask[entry]);
            labels.push(!false_pair(user as u32, pattern.indices()[entry] - users as u32));
        }
    }
    roc_auc(&labels, &scores).unwrap()
}

/// Check 9, on a generated set with planted communities: false edges are found by the masks.
#[test]
fn dccf_masks_tell_false_edges_apart() {
    let mut data =
        planted(&PlantedOptions { users: 200, items: 120, communities: 4, noise: 0.0, ..Default::default() })
            .unwrap()
            .dataset;
    let truth = data.train.clone();
    let noise =
        Interactions::from_pairs(200, 120, (0..truth.len() as u32 / 5).map(|k| (k * 7919 % 200, k * 104_729 % 120)));
    let both = truth.pairs().chain(noise.unwrap().pairs().collect::<Vec<_>>());
    data.train = Interactions::from_pairs(200, 120, both).unwrap();
    let options = FitOptions::new(&Device::default()).seed(3).progress(false);
    let config = DccfConfig::sslrec().with_dim(16).with_intents(8).with_learning_rate(5e-3).with_batch_size(512);
    let mut training = config.with_node_order(NodeOrder::File).training_on(&data, &options).unwrap();
    for _ in 0..20 {
        training.train_epoch().unwrap();
    }
    let auc = mask_auc(training.method(), &training.table(), &training.beside(), |u, i| !truth.contains(u, i));
    println!("AUC of the masks {auc:.3}");
    assert!(auc > 0.6, "{auc}");
}

/// The pickled matrices that SSLRec, LightGCL and DCCF read: the pairs of the open files beside them.
#[test]
fn golden_yelp_pickles_hold_the_pairs_of_the_csv_files() {
    let Some(root) = shared() else { return };
    let folder = root.join("data/sslrec-sparse-yelp");
    let data = Dataset::open(&folder, &LoadOptions::default()).unwrap();
    let counts = (data.train.len(), data.validation.as_ref().unwrap().len(), data.test.len());
    assert_eq!((data.num_users(), data.num_items(), counts), (42_712, 26_822, (182_357, 13_025, 65_128)));
    for (name, part) in [("train", &data.train), ("valid", data.validation.as_ref().unwrap()), ("test", &data.test)] {
        let text = std::fs::read_to_string(folder.join("open").join(format!("{name}.csv"))).unwrap();
        let pairs = text.lines().skip(1).map(|line| line.trim().split_once(',').unwrap());
        let mut listed: Vec<(u32, u32)> = pairs.map(|(u, i)| (u.parse().unwrap(), i.parse().unwrap())).collect();
        listed.sort_unstable();
        assert!(part.pairs().eq(listed), "{name}");
    }
}
