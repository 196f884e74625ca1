//! UniMTS: checks of its specification.

use crate::{close, device, generator, slopes, step, total, values};
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::{Clip, InfoNce};
use contrastive_nn::encoder::{Partition, SkeletonGraph, StGcnConfig};
use contrastive_timeseries::data::*;
use contrastive_timeseries::encoder::Vocabulary;
use contrastive_timeseries::method::{Tuned, UniMts, UniMtsConfig, UniMtsTune, label_ranks};
use contrastive_train::testing::{resumes_bit_for_bit, settings_are_refused};
use contrastive_train::{Budget, Method, MethodConfig, Training, TrainingConfig, epoch_rng};
use ndarray::{Array2, Array3, array};
use rand::RngExt;

fn net(channels: usize) -> StGcnConfig {
    StGcnConfig::new(channels).with_widths(vec![4, 8]).with_strides(vec![2, 1]).with_taps(3)
}

fn small() -> UniMtsConfig {
    UniMtsConfig::new().with_net(net(3)).with_length(24).with_training(TrainingConfig::new(Budget::Epochs(3), 8, 3e-3))
}

fn motions(count: usize, gyroscope: bool) -> Motions {
    Motions::simulated(&generated_captures(count, 30, 2), &Simulator::default(), gyroscope).unwrap().0
}

fn first_batch(config: &UniMtsConfig, motions: &Motions) -> Vec<f64> {
    let mut training: Training<UniMts> = config.build(motions, 5, &device()).unwrap();
    let method = training.method_mut();
    method.begin_epoch(1, epoch_rng(5, 1)).unwrap();
    values(method.batch(step(1, 0, 5)).unwrap().signals())
}

/// `[B, T, 22, C]` with C = 6: acceleration and angular rate of a joint at a step.
fn pair(signals: &[f64], sample: usize, t: usize, joint: usize) -> [[f64; 3]; 2] {
    let from = ((sample * 24 + t) * JOINTS + joint) * 6;
    [0, 3].map(|by| [0, 1, 2].map(|c| signals[from + by + c]))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| a[k] * b[k]).sum()
}

#[test]
fn rotations_keep_lengths_and_angles_and_differ_between_joints() {
    let (config, motions) = (small().with_net(net(6)).with_joints([2, 5]), motions(8, true));
    // all joints shown, so that both batches show the same
    let turned = first_batch(&config.clone().with_joints([22, 22]), &motions);
    let plain = first_batch(&config.clone().with_joints([22, 22]).with_rotate(false), &motions);
    let dims = [8, 24, JOINTS];
    // which motions a batch holds does not depend on the rotations
    let mut changes = Vec::new();
    for sample in 0..dims[0] {
        for joint in 0..JOINTS {
            let [first, _] = pair(&turned, sample, 0, joint);
            let [before, _] = pair(&plain, sample, 0, joint);
            changes.push(dot(first, before) / dot(before, before));
            for t in [0, 7, 23] {
                let ([f, w], [g, v]) = (pair(&turned, sample, t, joint), pair(&plain, sample, t, joint));
                for (a, b) in [((f, f), (g, g)), ((w, w), (v, v)), ((f, w), (g, v))] {
                    let bound = 1e-5 * (1.0 + dot(b.0, b.0).sqrt() * dot(b.1, b.1).sqrt());
                    close("lengths and the angle between", &[dot(a.0, a.1)], &[dot(b.0, b.1)], bound);
                }
                // one rotation for the whole series
                let ([f0, _], [g0, _]) = (pair(&turned, sample, 0, joint), pair(&plain, sample, 0, joint));
                close("over time", &[dot(f, f0)], &[dot(g, g0)], 1e-5 * (1.0 + dot(g, g) + dot(g0, g0)));
            }
        }
        // two joints are turned by different rotations
        let ([a, _], [b, _]) = (pair(&turned, sample, 0, 3), pair(&turned, sample, 0, 21));
        let ([c, _], [d, _]) = (pair(&plain, sample, 0, 3), pair(&plain, sample, 0, 21));
        assert!((dot(a, b) - dot(c, d)).abs() > 1e-3);
    }
    assert!(changes.iter().any(|v| *v < 0.0) && changes.iter().any(|v| *v > 0.5), "all directions occur");
    // joints that are not shown are zero, and between two and five are shown
    let some = first_batch(&config, &motions);
    let mut counts = Vec::new();
    for sample in 0..8 {
        let shown: Vec<bool> = (0..JOINTS).map(|joint| pair(&some, sample, 3, joint) != [[0.0; 3]; 2]).collect();
        for (joint, shown) in shown.iter().enumerate() {
            assert!(*shown || (0..24).all(|t| pair(&some, sample, t, joint) == [[0.0; 3]; 2]));
        }
        counts.push(shown.iter().filter(|shown| **shown).count());
    }
    assert!(counts.iter().all(|count| (2..=5).contains(count)) && counts.iter().any(|c| *c != counts[0]), "{counts:?}");
}

#[test]
fn the_body_is_a_tree_whose_parts_add_up() {
    let graph = SkeletonGraph::new(JOINTS, &bones(), 0, Partition::Spatial, false).unwrap();
    let released = SkeletonGraph::new(JOINTS, &bones(), 0, Partition::Spatial, true).unwrap();
    let sum = |graph: &SkeletonGraph| {
        assert_eq!((graph.parts(), graph.joints()), (3, 22));
        let parts = graph.values();
        (0..484).map(|at| parts[at] + parts[484 + at] + parts[968 + at]).collect::<Vec<f64>>()
    };
    close("both partitions add up to the same", &sum(&graph), &sum(&released), 0.0);
    let near = |a: usize, b: usize| a == b || PARENTS[a] == b || PARENTS[b] == a;
    for to in 0..JOINTS {
        let count = (0..JOINTS).filter(|from| near(*from, to)).count() as f64;
        let column: Vec<f64> = (0..JOINTS).map(|from| sum(&graph)[from * JOINTS + to]).collect();
        close("columns sum to 1", &[column.iter().sum()], &[1.0], 1e-12);
        for (from, v) in column.iter().enumerate() {
            close("entry", &[*v], &[if near(from, to) { 1.0 / count } else { 0.0 }], 1e-12);
        }
    }
    // true distances: every bone has an entry away from the pelvis; the released code sees the bones at the pelvis alone
    let away = |graph: &SkeletonGraph| graph.values()[968..].iter().filter(|v| **v > 0.0).count();
    let at_pelvis = (1..JOINTS).filter(|joint| PARENTS[*joint] == 0 || PARENTS[PARENTS[*joint]] == 0).count();
    assert_eq!((away(&graph), away(&released)), (21, at_pelvis));
    assert_eq!(at_pelvis, 6);
}

fn rows(seed: u64) -> Tensor<2> {
    let mut rng = generator(seed);
    let data: Vec<f64> = (0..20).map(|_| rng.random::<f64>() - 0.5).collect();
    Tensor::from_data(TensorData::new(data, [5, 4]), (&device().autodiff(), DType::F64)).require_grad()
}

fn number(value: f64) -> Tensor<1> {
    Tensor::from_data(TensorData::new(vec![value], [1]), (&device().autodiff(), DType::F64)).require_grad()
}

fn method(config: UniMtsConfig) -> Training<UniMts> {
    config.build(&motions(8, false), 1, &device()).unwrap()
}

#[test]
fn the_loss_is_clips_or_half_of_it() {
    let (a, b, distinct) = (rows(1), rows(2), [0, 1, 2, 3, 4]);
    let loss = |config: UniMtsConfig, captions: &[i64], scale: f64| {
        values(&method(config).method().contrast(a.clone(), b.clone(), captions, number(scale)))[0]
    };
    let clip = values(&Clip::new(0.1).unwrap().loss(a.clone(), b.clone()))[0];
    let half = values(&InfoNce::new(0.1).unwrap().loss(a.clone(), b.clone()))[0];
    close("symmetric", &[loss(small().with_symmetric(true), &distinct, 10.0)], &[clip], 1e-12);
    close("one direction", &[loss(small(), &distinct, 10.0)], &[half], 1e-12);
    close("reference's divisor", &[loss(small().with_divisor(0.1), &distinct, 1.0)], &[half], 1e-12);
    // equal captions as negatives: still the diagonal
    let repeated = [0, 1, 0, 1, 0];
    close("as negatives", &[loss(small().with_same_caption(false), &repeated, 10.0)], &[half], 1e-12);
    // as positives: minus the logarithm of the share of all texts of this caption
    let (x, y) = (values(&a), values(&b));
    let unit = |x: &[f64]| {
        let n = x.iter().map(|v| v * v).sum::<f64>().sqrt();
        x.iter().map(|v| v / n).collect::<Vec<f64>>()
    };
    let logit = |i: usize, j: usize| {
        let (u, v) = (unit(&x[4 * i..4 * i + 4]), unit(&y[4 * j..4 * j + 4]));
        10.0 * u.iter().zip(&v).map(|(u, v)| u * v).sum::<f64>()
    };
    let want = (0..5).map(|i| {
        let of =
            |own: bool| (0..5).filter(|&j| !own || repeated[i] == repeated[j]).map(|j| logit(i, j).exp()).sum::<f64>();
        (of(false) / of(true)).ln()
    });
    close("as positives", &[loss(small(), &repeated, 10.0)], &[want.sum::<f64>() / 5.0], 1e-10);
    close("one caption alone has nothing to tell", &[loss(small(), &[3; 5], 10.0)], &[0.0], 1e-12);
    // the gradient of the scale
    let training = method(small());
    let leaf = number(7.0);
    let of = |scale: Tensor<1>| training.method().contrast(a.clone(), b.clone(), &repeated, scale);
    let got = values(&leaf.grad(&of(leaf.clone()).backward()).unwrap())[0];
    let want = (values(&of(number(7.0 + 1e-5)))[0] - values(&of(number(7.0 - 1e-5)))[0]) / 2e-5;
    close("gradient of the scale", &[got], &[want], 1e-8);
    let reference = UniMtsConfig::reference();
    let names = [reference.temperature, reference.divisor];
    assert!(names == [0.01, 0.1] && !reference.same_caption && reference.released_partition);
}

#[test]
fn what_a_method_owes() {
    let motions = motions(20, false);
    let build = || small().build(&motions, 7, &device()).unwrap();
    resumes_bit_for_bit(&build, 8);
    // the gradient of a step, at the words and the scale
    let mut training = build();
    training.train_step().unwrap();
    let model = training.model().clone();
    let (method, step) = (training.method_mut(), step(2, 1, 7));
    method.begin_epoch(2, epoch_rng(7, 2)).unwrap();
    let batch = method.batch(step).unwrap();
    let gradients = total(method, &model, &batch, step).backward();
    let moved = |values: Vec<f64>, shape: Vec<usize>| TensorData::new(values, shape).convert_dtype(DType::F32);
    let gradient = values(&model.words.table.val().grad(&gradients).unwrap());
    let base = model.words.table.val();
    slopes(&gradient, 1e-2, |k, h| {
        let mut data = values(&base);
        data[k] += h;
        let mut other = model.clone();
        let data = moved(data, base.dims().to_vec());
        other.words.table = Param::from_tensor(Tensor::from_data(data, &device().autodiff()));
        values(&total(method, &other, &batch, step))[0]
    });
    let gradient = values(&model.scale.log_scale.val().grad(&gradients).unwrap());
    slopes(&gradient, 1e-2, |_, h| {
        let mut other = model.clone();
        let data = moved(vec![values(&model.scale.log_scale.val())[0] + h], vec![1]);
        other.scale.log_scale = Param::from_tensor(Tensor::from_data(data, &device().autodiff()));
        values(&total(method, &other, &batch, step))[0]
    });
    settings_are_refused([
        (small().with_net(net(3).with_taps(2)), "taps is 2"),
        (small().with_length(1), "length is 1"),
        (small().with_joints([0, 3]), "fewest joints is 0"),
        (small().with_joints([1, 23]), "most joints is 23; it must be 1 to 22"),
        (small().with_temperature(0.0), "temperature 0"),
        (small().with_divisor(-1.0), "divisor is -1"),
    ]);
    let error = small().with_net(net(6)).build(&motions, 1, &device()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("channels of the net is 6; it must be the 3 of a joint"), "{error}");
}

#[test]
fn what_motions_and_labels_refuse() {
    let says = |error: SeriesError, text: &str| assert!(error.to_string().contains(text), "{error}");
    let one = |joints: Vec<usize>, shape: (usize, usize, usize)| {
        Motions::new(vec![Motion { joints, signals: Array3::ones(shape), captions: vec!["walks".into()] }])
    };
    says(Motions::new(vec![]).unwrap_err(), "no motions");
    says(one(vec![22], (5, 1, 3)).unwrap_err(), "joint 22; joints are 0 to 21");
    says(one(vec![3, 3], (5, 2, 3)).unwrap_err(), "they ascend");
    says(one(vec![3], (5, 1, 4)).unwrap_err(), "channels of a joint is 4; it must be 3 or 6");
    says(one(vec![3, 4], (5, 1, 3)).unwrap_err(), "of 2 joints");
    let motion = |v: f32, caption: &str| Motion {
        joints: vec![1],
        signals: Array3::from_elem((4, 1, 3), v),
        captions: vec![caption.into()],
    };
    says(Motions::new(vec![motion(f32::NAN, "a")]).unwrap_err(), "series 0, step 0, channel 0: NaN");
    says(Motions::new(vec![motion(f32::INFINITY, "a")]).unwrap_err(), "inf");
    says(Motions::new(vec![motion(1.0, " ")]).unwrap_err(), "motion 0 has no caption");
    let series = gaits(1, 1, 20, 1).unwrap();
    says(Motions::from_series(&series, &[17, 21], 20.0).unwrap_err(), "channels is 3; it must be 3 or 6 for each of 2");
    says(Motions::from_series(&series, &[21], 0.0).unwrap_err(), "rate is 0");
    says(Motions::from_series(&series, &[], 20.0).unwrap_err(), "number of joints is 0");
    let training = method(small());
    let (model, motions) = (training.trained_model(), motions(8, false));
    let words = training.method().vocabulary();
    let zero_shot = |labels: &[&str]| model.zero_shot(words, &motions, labels, 24, &device());
    says(zero_shot(&[]).unwrap_err(), "an empty list of texts");
    says(zero_shot(&["waving", "xylophone"]).unwrap_err(), "no word of \"xylophone\"");
    says(Vocabulary::of(["--", ""]).unwrap_err(), "texts without words");
    let labels = Names::new(&["a", "b", "b"]);
    says(shots(&labels, 2, 1).unwrap_err(), "2 shots of class \"a\", which has 1");
    says(shots(&labels, 0, 1).unwrap_err(), "k is 0");
    says(label_ranks(Array2::zeros((1, 2)).view(), &[2], &[1]).unwrap_err(), "label is 2; it must be below 2");
    says(label_ranks(array![[f32::NAN]].view(), &[0], &[1]).unwrap_err(), "NaN");
}

#[test]
fn series_of_a_sensor_are_resampled_and_placed() {
    // a slow wave at 32 a second is the same wave at 20 a second
    let wave = |rate: f64, t: usize, axis: usize| ((t as f64 / rate) * 4.0 + axis as f64).sin() as f32;
    let at = |rate: f64, count: usize| Array2::from_shape_fn((count, 3), |(t, axis)| wave(rate, t, axis));
    let series = Series::new(vec![at(32.0, 96)]).unwrap().with_labels(Names::new(&["Brush_teeth"])).unwrap();
    let motions = Motions::from_series(&series, &[21], 32.0).unwrap();
    let motion = motions.of(0);
    assert_eq!((motion.joints.clone(), motion.captions[0].as_str()), (vec![21], "brush teeth"));
    let (got, want) = (&motion.signals, at(20.0, 60));
    assert_eq!(got.dim(), (60, 1, 3));
    for t in 8..52 {
        for axis in 0..3 {
            assert!(
                (got[[t, 0, axis]] - want[[t, axis]]).abs() < 0.01,
                "{t}: {} {}",
                got[[t, 0, axis]],
                want[[t, axis]]
            );
        }
    }
    // two sensors in any order
    let both = ndarray::concatenate(ndarray::Axis(1), &[at(20.0, 9).view(), (at(20.0, 9) * 2.0).view()]).unwrap();
    let series = Series::new(vec![both]).unwrap().with_labels(Names::new(&["x"])).unwrap();
    let motion = Motions::from_series(&series, &[21, 5], 20.0).unwrap().of(0).clone();
    assert_eq!(motion.joints, [5, 21]);
    assert_eq!(motion.signals[[3, 0, 1]], 2.0 * motion.signals[[3, 1, 1]]);
    let turned = motions.remounted(3);
    let length = |motions: &Motions, t: usize| (0..3).map(|c| motions.of(0).signals[[t, 0, c]].powi(2)).sum::<f32>();
    assert!((length(&turned, 9) - length(&motions, 9)).abs() < 1e-4 && turned.of(0) != motions.of(0));
}

#[test]
fn ranks_of_labels_by_hand() {
    let scores = array![[0.9f32, 0.1, 0.5], [0.2, 0.3, 0.4], [0.5, 0.5, 0.1]];
    let ranks = label_ranks(scores.view(), &[0, 0, 1], &[1, 2, 3]).unwrap();
    // ranks 1, 3 and (of equal ones the last) 2
    close("accuracy", &[ranks.accuracy], &[1.0 / 3.0], 1e-12);
    close("recall", &ranks.recall, &[1.0 / 3.0, 2.0 / 3.0, 1.0], 1e-12);
    close("reciprocal", &[ranks.mean_reciprocal_rank], &[(1.0 + 1.0 / 3.0 + 0.5) / 3.0], 1e-12);
    let labels = Names::new(&["a", "b", "a", "b", "b"]);
    let rows = shots(&labels, 2, 9).unwrap();
    assert!(rows.len() == 4 && rows.contains(&0) && rows.contains(&2) && rows == shots(&labels, 2, 9).unwrap());
}

#[test]
fn signals_find_their_words_and_a_head_learns_from_few() {
    let train = motions(48, false);
    let test = Motions::simulated(&generated_captures(24, 30, 77), &Simulator::default(), false).unwrap().0;
    // shown as they are tested
    let config = small().with_joints([22, 22]).with_rotate(false).with_training(TrainingConfig::new(
        Budget::Epochs(30),
        16,
        1e-2,
    ));
    let mut training = config.build(&train, 3, &device()).unwrap();
    let labels = ["waving", "walking", "bowing", "standing"];
    let truth: Vec<u32> = (0..24).map(|i| i % 4).collect();
    let score = |training: &Training<UniMts>| {
        let model = training.trained_model();
        let words = training.method().vocabulary();
        let scores = model.zero_shot(words, &test, &labels, 24, &device()).unwrap();
        label_ranks(scores.view(), &truth, &[2]).unwrap().accuracy
    };
    let before = score(&training);
    for _ in 0..30 {
        training.train_epoch().unwrap();
    }
    let after = score(&training);
    assert!(after > 0.45 && after > before, "zero-shot {before} to {after}, of four motions");
    let names = Names::new(&(0..48).map(|i| labels[i % 4]).collect::<Vec<_>>());
    let rows = shots(&names, 3, 1).unwrap();
    let few = train.select(&rows).unwrap();
    let few_labels = Names { ids: rows.iter().map(|&row| names.ids[row]).collect(), names: names.names.clone() };
    let model = training.trained_model();
    for (tuned, least) in [(Tuned::Full, 0.45), (Tuned::Probe, 0.4), (Tuned::FromScratch, 0.25)] {
        let tune = UniMtsTune::new().with_tuned(tuned).with_epochs(30).with_learning_rate(1e-2);
        let (classifier, loss) = tune.run(&model, &config, &few, &few_labels, &device()).unwrap();
        let predicted = classifier.predict(&test, 24, &device());
        let right = predicted.iter().enumerate().filter(|(i, p)| names.names[**p as usize] == labels[i % 4]).count();
        println!("{tuned:?}: loss {loss:.3}, {right} of 24");
        assert!(right as f64 / 24.0 > least && loss.is_finite(), "{tuned:?}: {right} of 24");
        if tuned == Tuned::Probe {
            let [a, b] = [&model.graph, &classifier.graph].map(|g| values(&g.blocks[0].temporal.weight.val()));
            assert_eq!(a, b, "a probe leaves the encoder as it is");
            let state = |g: &contrastive_nn::encoder::StGcn| values(&g.valid().norm.running_mean.value_sync());
            assert_eq!(state(&model.graph), state(&classifier.graph), "and its statistics");
        }
    }
    let wrong = UniMtsTune::new().run(&model, &config, &train, &few_labels, &device()).map(|_| ()).unwrap_err();
    assert!(wrong.to_string().contains("number of labels is 12"), "{wrong}");
}
