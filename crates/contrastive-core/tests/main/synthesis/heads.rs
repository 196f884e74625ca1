//! Heads against their layers written out, and the baselines' worked values.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use contrastive_core::head::*;
use contrastive_core::memory::Queue;
use contrastive_core::objective::{Moco, NtXent, Sinkhorn, SwAv, simsiam};
use nalgebra::DMatrix;

fn on() -> (burn::tensor::Device, DType) {
    (device().autodiff(), wide())
}

fn matrix_of(x: &Tensor<2>) -> DMatrix<f64> {
    DMatrix::from_row_slice(x.dims()[0], x.dims()[1], &values(x))
}

fn flat(m: &DMatrix<f64>) -> Vec<f64> {
    m.transpose().as_slice().to_vec()
}

/// Columns brought to mean 0 and variance 1, as a batch norm does.
fn normed(x: &DMatrix<f64>) -> DMatrix<f64> {
    let mut out = x.clone();
    for mut column in out.column_iter_mut() {
        let mean = column.mean();
        let variance = column.map(|v| (v - mean).powi(2)).mean();
        column.apply(|v| *v = (*v - mean) / (variance + 1e-5).sqrt());
    }
    out
}

#[test]
fn heads_have_the_published_layers() {
    let (device, dtype) = on();
    let count = |config: MlpHeadConfig| config.init(1, (&device, dtype)).unwrap().num_params();
    // weights, biases, and four numbers a column of each batch norm: scale, shift, running mean and variance
    assert_eq!(count(MlpHeadConfig::simclr(8)), 8 * 8 + 4 * 8 + 8 * 128 + 128);
    assert_eq!(count(MlpHeadConfig::simclr(8).with_layers(3)), 2 * (8 * 8 + 4 * 8) + 8 * 128 + 128);
    assert_eq!(count(MlpHeadConfig::moco_v2(8)), 8 * 8 + 8 + 8 * 128 + 128);
    assert_eq!(count(MlpHeadConfig::swav(8)), 8 * 2048 + 5 * 2048 + 2048 * 128 + 128);
    assert_eq!(count(MlpHeadConfig::simsiam_projector(8, 16)), 8 * 16 + 2 * 16 * 16 + 3 * 4 * 16);
    assert_eq!(count(MlpHeadConfig::simsiam_predictor(16)), 16 * 4 + 4 * 4 + 4 * 16 + 16);
    assert_eq!(count(MlpHeadConfig::byol_predictor()), 256 * 4096 + 5 * 4096 + 4096 * 256);
    let head = MlpHeadConfig::simsiam_projector(8, 16).init(1, (&device, dtype)).unwrap();
    let trained: Vec<bool> = head.norms.iter().map(|n| n.as_ref().unwrap().gamma.val().is_require_grad()).collect();
    assert_eq!(trained, [true, true, false]);
    assert!(MlpHeadConfig::moco_v2(8).init(1, (&device, dtype)).unwrap().norms.iter().all(Option::is_none));
}

#[test]
fn weights_follow_from_the_seed() {
    let head = |seed| values(&MlpHeadConfig::simclr(64).init(seed, (&on().0, wide())).unwrap().maps[0].weight.val());
    assert_eq!(head(3), head(3));
    assert_ne!(head(3), head(4));
    let weights = head(3);
    let (largest, mean) =
        (weights.iter().fold(0f64, |a, w| a.max(w.abs())), weights.iter().sum::<f64>() / weights.len() as f64);
    assert!(largest <= 0.125 && largest > 0.124, "uniform in [-1, 1] / sqrt(64): {largest}");
    assert!(mean.abs() < 5.0 * 0.125 / 3f64.sqrt() / 64.0, "mean {mean}");
}

#[test]
fn a_projector_is_its_layers() {
    let (n, d) = (6, 5);
    let (device, dtype) = on();
    let config = MlpHeadConfig::simsiam_projector(d, 4).with_layers(2).with_output(3).with_output_bias(true);
    let head = config.init(5, (&device, dtype)).unwrap();
    let x = rows(1, [n, d]);
    let weight = |k: usize| matrix_of(&head.maps[k].weight.val());
    let bias = values(&head.maps[1].bias.as_ref().unwrap().val());
    let hidden = normed(&(matrix_of(&x) * weight(0))).map(|v| v.max(0.0));
    let mut last = hidden * weight(1);
    for mut row in last.row_iter_mut() {
        row.iter_mut().zip(&bias).for_each(|(v, b)| *v += b);
    }
    let expected = normed(&last);
    let bound = if has_f64() { 1e-9 } else { 1e-4 };
    close("training", &values(&head.forward(x.clone())), &flat(&expected), bound, bound);
    // the statistics have gone a tenth of the way from 0 and 1; in evaluation they take the batch's place
    let evaluation = head.valid();
    let first = evaluation.norms[0].as_ref().unwrap();
    let inner = matrix_of(&x) * weight(0);
    let means: Vec<f64> = inner.column_iter().map(|c| 0.1 * c.mean()).collect();
    close("running mean", &values(&first.running_mean.value()), &means, bound, bound);
    let alone = values(&evaluation.forward(x.clone().inner().slice([0..1, 0..d])));
    let together = values(&evaluation.forward(x.inner()));
    close("one row in evaluation", &alone, &together[..3], bound, bound);
    assert!((alone[0] - expected[(0, 0)]).abs() > 1e-3, "evaluation is not training");
}

#[test]
fn finite_differences_of_heads() {
    let weights = plain(normal(9, 6 * 3), [6, 3]);
    let configs = [
        MlpHeadConfig::new(4, 5, 3),
        MlpHeadConfig::new(4, 5, 3).with_layers(3).with_hidden_norm(false).with_hidden_bias(true),
        MlpHeadConfig::new(4, 5, 3).with_output_norm(OutputNorm::Affine).with_activation(Activation::Gelu),
        MlpHeadConfig::new(4, 5, 3).with_layers(1),
    ];
    let rounded = |config: &MlpHeadConfig| on_ndarray() && matches!(config.activation, Activation::Gelu);
    for config in configs.into_iter().filter(|config| !rounded(config)) {
        let head = config.init(2, (&on().0, wide())).unwrap();
        let shape = head.maps[0].weight.dims();
        differences("a head", &[[6, 4], shape], |x| {
            let mut head = head.clone();
            head.maps[0].weight = Param::from_tensor(x[1].clone());
            (head.forward(x[0].clone()) * weights.clone()).sum()
        });
    }
}

#[test]
fn prototypes_score_cosines() {
    let bound = if has_f64() { 1e-12 } else { 1e-5 };
    let raw = rows(4, [7, 5]);
    let prototypes = Prototypes::from_rows(raw.clone());
    let features = rows(5, [6, 5]);
    let scores = values(&prototypes.scores(features.clone()));
    let (a, b) = (units(values(&features), 5), units(values(&raw), 5));
    let expected: Vec<f64> = a.chunks(5).flat_map(|a| b.chunks(5).map(|b| dot(a, b)).collect::<Vec<_>>()).collect();
    close("scores", &scores, &expected, bound, 0.0);
    // both factors carry gradients, but not while the prototypes are held
    let gradients = prototypes.scores(features.clone()).sum().backward();
    assert!(prototypes.rows.val().grad(&gradients).is_some() && features.grad(&gradients).is_some());
    let gradients = prototypes.fixed_scores(features.clone()).sum().backward();
    assert!(prototypes.rows.val().grad(&gradients).is_none() && features.grad(&gradients).is_some());
    // a step leaves the sphere, and the way back keeps identity and training
    let id = prototypes.rows.id;
    let moved = Prototypes { rows: prototypes.rows.map(|r| Tensor::from_inner(r.inner() * 3.0 + 0.1).require_grad()) };
    let back = moved.normalised();
    assert_eq!(back.rows.id, id);
    assert!(back.rows.val().is_require_grad());
    let lengths: Vec<f64> = values(&back.rows.val()).chunks(5).map(|r| dot(r, r)).collect();
    close("lengths", &lengths, &[1.0; 7], bound, 0.0);
    let random = Prototypes::new(50, 8, 3, (&device(), wide())).unwrap();
    let lengths: Vec<f64> = values(&random.rows.val()).chunks(8).map(|r| dot(r, r)).collect();
    close("first lengths", &lengths, &[1.0; 50], bound, 0.0);
}

#[test]
fn swav_of_the_worked_prototypes() {
    let prototypes = Prototypes::from_rows(constant(worked(3, 3, 0.9), [3, 3]));
    let [a, b] = views().map(|z| prototypes.scores(z));
    let sinkhorn = Sinkhorn::new(0.05, 3).unwrap();
    let codes = values(&sinkhorn.codes(a.clone().inner()));
    let expected =
        [0.999999, 0.000001, 0.0, 0.980526, 0.019474, 0.0, 0.000876, 0.990776, 0.008348, 0.0, 0.002859, 0.997141];
    close("codes", &codes, &expected, 1e-6, 0.0);
    let other = values(&sinkhorn.codes(b.clone().inner()));
    close("codes of the other view", &other[3..6], &[0.522843, 0.477115, 0.000042], 1e-6, 0.0);
    let soft = values(&Sinkhorn::new(0.5, 3).unwrap().codes(a.clone().inner()));
    close("soft codes", &soft[..3], &[0.679151, 0.208350, 0.112499], 1e-6, 0.0);
    near_value("SwAV", SwAv::new(0.1, sinkhorn).unwrap().loss(&[a, b], &[]), 0.397701506);
}

#[test]
fn dinos_head_scores_cosines() {
    let config = DinoHeadConfig::new(6).with_output(9).with_hidden(7).with_bottleneck(4);
    let head = config.init(1, (&on().0, wide())).unwrap();
    let x = rows(2, [5, 6]);
    let out = values(&head.forward(x.clone()));
    let (z, w) = (units(values(&head.mlp.forward(x.clone())), 4), units(values(&head.directions.val()), 4));
    let cosines: Vec<f64> = z.chunks(4).flat_map(|z| w.chunks(4).map(|w| dot(z, w)).collect::<Vec<_>>()).collect();
    close("cosines", &out, &cosines, if has_f64() { 1e-10 } else { 1e-4 }, 0.0);
    assert_eq!(head.num_params(), 6 * 7 + 7 + 7 * 7 + 7 + 7 * 4 + 4 + 9 * 4);
    assert_eq!(
        config.clone().with_unit_output(false).init(1, (&on().0, wide())).unwrap().num_params(),
        head.num_params() + 9
    );
    let weights = plain(normal(3, 45), [5, 9]);
    let both = [config.clone(), config.clone().with_unit_output(false).with_hidden_norm(true)];
    for config in both.into_iter().filter(|_| !on_ndarray()) {
        let head = config.init(1, (&on().0, wide())).unwrap();
        differences_at("DINO's head", &[[5, 6], [9, 4]], vec![normal(2, 30), normal(3, 36)], |x| {
            let mut head = head.clone();
            head.directions = Param::from_tensor(x[1].clone());
            (head.forward(x[0].clone()) * weights.clone()).sum()
        });
    }
    let gradients = (head.forward_with_fixed_output(x.clone()) * weights.clone()).sum().backward();
    assert!(head.directions.val().grad(&gradients).is_none());
    assert!(head.mlp.maps[0].weight.val().grad(&gradients).is_some());
    let gradients = (head.forward(x) * weights).sum().backward();
    let along = head.directions.val().grad(&gradients).unwrap();
    // a longer direction is the same direction
    let radial = values(&(along * head.directions.val().inner()).sum_dim(1));
    close("radial", &radial, &[0.0; 9], if has_f64() { 1e-10 } else { 1e-4 }, 0.0);
}

#[test]
fn several_heads_are_independent() {
    let heads = MultiHeadConfig::new(6).with_hidden(8).with_output(4).init(11, (&on().0, wide())).unwrap();
    let x = rows(1, [5, 6]);
    let out = heads.forward(x.clone());
    assert_eq!(out.len(), 3);
    for (c, z) in out.iter().enumerate() {
        let lengths: Vec<f64> = values(z).chunks(4).map(|r| dot(r, r)).collect();
        close("lengths", &lengths, &[1.0; 5], 1e-5, 0.0);
        for other in &out[..c] {
            let gap = values(&(z.clone() - other.clone())).iter().fold(0f64, |a, v| a.max(v.abs()));
            assert!(gap > 0.1, "heads are the same");
        }
    }
}

#[test]
fn settings_of_heads_out_of_range_are_refused() {
    says(MlpHeadConfig::new(0, 2, 2).validate().unwrap_err(), "input width 0: at least 1");
    says(MlpHeadConfig::new(2, 0, 2).validate().unwrap_err(), "hidden width 0");
    assert!(MlpHeadConfig::new(2, 0, 2).with_layers(1).validate().is_ok());
    says(MlpHeadConfig::new(2, 2, 0).init(1, &device()).unwrap_err(), "output width 0");
    says(MlpHeadConfig::new(2, 2, 2).with_layers(0).validate().unwrap_err(), "layers 0");
    says(MlpHeadConfig::simsiam_predictor(3).validate().unwrap_err(), "hidden width 0");
    says(DinoHeadConfig::new(4).with_output(0).validate().unwrap_err(), "outputs 0");
    says(DinoHeadConfig::new(4).with_bottleneck(0).init(1, &device()).unwrap_err(), "output width 0");
    says(MultiHeadConfig::new(4).with_heads(0).validate().unwrap_err(), "heads 0");
    says(Prototypes::new(0, 4, 1, &device()).unwrap_err(), "prototypes 0");
    says(Prototypes::new(4, 0, 1, &device()).unwrap_err(), "width of the features 0");
}

#[test]
fn worked_values_of_the_baselines() {
    let [a, b] = views();
    near_value("NT-Xent at 0.5", NtXent::new(0.5).unwrap().loss(a.clone(), b.clone()), 1.077116398);
    near_value("NT-Xent at 0.1", NtXent::new(0.1).unwrap().loss(a.clone(), b.clone()), 0.326571501);
    let mut queue = Queue::new(5, 3, (&device(), wide())).unwrap();
    let past = stored().require_grad();
    queue.push(past.clone());
    let loss = Moco::new(0.2).unwrap().loss(a.clone(), b.clone(), &queue);
    near_value("MoCo", loss.clone(), 0.550286470);
    let gradients = loss.backward();
    // keys that are tracked have a gradient, what went into the queue has none
    assert!(a.grad(&gradients).is_some() && b.grad(&gradients).is_some() && past.grad(&gradients).is_none());
    let [p0, p1] = [0.1, 0.2].map(|phase| tracked(worked(4, 3, phase), [4, 3], wide()));
    near_value("SimSiam", simsiam(p0, p1, a.clone(), b), -0.973389006);
    // all rows equal: 2 n - 1 candidates that cannot be told apart
    let same = constant([0.6, 0.8].repeat(4), [4, 2]);
    near_value("equal rows", NtXent::new(0.2).unwrap().loss(same.clone(), same), 7f64.ln());
}

#[test]
fn random_rows_leave_the_queue_in_time() {
    let (capacity, batch) = (10, 4);
    let mut queue = Queue::random_units(capacity, 6, 3, (&device(), wide())).unwrap();
    assert!(queue.is_full());
    let first = values(&queue.rows().unwrap());
    let lengths: Vec<f64> = first.chunks(6).map(|r| dot(r, r)).collect();
    close("lengths", &lengths, &[1.0; 10], 1e-6, 0.0);
    assert_eq!(first, values(&Queue::random_units(capacity, 6, 3, (&device(), wide())).unwrap().rows().unwrap()));
    for step in 0..3 {
        let left = |queue: &Queue| {
            let now = values(&queue.rows().unwrap());
            now.chunks(6).filter(|row| first.chunks(6).any(|old| old == *row)).count()
        };
        assert_eq!(left(&queue), capacity - batch * step);
        queue.push(constant(vec![step as f64; batch * 6], [batch, 6]));
        if step == 2 {
            assert_eq!(left(&queue), 0, "after ceil(10 / 4) steps no first row is left");
        }
    }
    assert!(Queue::random_units(0, 2, 1, &device()).is_err());
}

#[test]
fn a_momentum_copy_takes_statistics_over() {
    let config = MlpHeadConfig::simsiam_projector(4, 6);
    let (head, fresh) = (config.init(1, (&on().0, wide())).unwrap(), config.init(2, (&on().0, wide())).unwrap());
    let x = rows(3, [7, 4]);
    head.forward(x.clone());
    let before = values(&head.valid().forward(x.clone().inner()));
    assert_ne!(values(&fresh.valid().forward(x.clone().inner())), before);
    // an averaged copy of momentum 0 takes over weights and statistics alike
    let copy = contrastive_core::memory::update_target(&head, fresh, 0.0);
    close("taken over", &values(&copy.valid().forward(x.inner())), &before, 1e-12, 0.0);
}
