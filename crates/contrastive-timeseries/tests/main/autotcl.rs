//! AutoTCL: checks of its specification.

use crate::{close, device, generator, series_of, uniform, values};
use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::{HardConcrete, InfoNce, MaximumMeanDiscrepancy, SegmentContrast};
use contrastive_timeseries::augment::TimeMask;
use contrastive_timeseries::encoder::{DilatedNetConfig, Steps};
use contrastive_timeseries::method::{AugmenterConfig, AutoTcl, AutoTclConfig, FixedViews};
use contrastive_train::{MethodConfig, Training, testing};
use rand::RngExt;

fn wide<const D: usize>(data: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data, shape), (&device().autodiff(), DType::F64)).require_grad()
}

fn drawn(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = generator(seed);
    (0..n).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()
}

fn one(x: &Tensor<1>) -> f64 {
    values(x)[0]
}

fn small() -> AutoTclConfig {
    let config = AutoTclConfig::new()
        .with_net(DilatedNetConfig::new().with_output(8).with_hidden(6).with_depth(2))
        .with_kernels(3)
        .with_segments(5)
        .with_augmenter(AugmenterConfig::new().with_output(4).with_hidden(6));
    let training = config.training.clone().with_batch_size(6).with_learning_rate(1e-3);
    config.with_training(training)
}

#[test]
fn the_identity_view_is_info_nce_of_a_batch_with_itself() {
    let net = DilatedNetConfig::new().with_output(8).with_hidden(6).with_depth(2).with_dropout(0.0);
    let config = small().with_net(net).with_views(FixedViews::Same).with_mask(TimeMask::None).with_local(0.0);
    let series = series_of((6, 20, 1), 1);
    let mut training = config.build(&series, 2, &device()).unwrap();
    let before = training.trained_model();
    let loss = training.train_step().unwrap()[0].1;
    let h = before.encoder.trend(
        before
            .encoder
            .net
            .forward(&Steps::new(series.padded().view(), &device()), &mut contrastive_nn::Pass::evaluation()),
    );
    let pooled: Tensor<2> = h.max_dim(1).reshape([6, 8]);
    let want = one(&InfoNce::new(1.0).unwrap().loss(pooled.clone(), pooled.clone()));
    close("InfoNCE with itself", &[loss], &[want], 1e-5);
    let x = wide(drawn(24, 3), [6, 4]);
    let mmd = MaximumMeanDiscrepancy::default().loss(x.clone().detach(), x.clone());
    assert!(one(&mmd).abs() < 1e-7);
    let gradient = values(&x.grad(&mmd.backward()).unwrap());
    assert!(gradient.iter().all(|g| g.abs() < 1e-9), "{gradient:?}");
}

#[test]
fn gates_have_their_probabilities_and_a_straight_gradient() {
    let gates = HardConcrete::default();
    let (t, gamma, zeta) = (1.0f64, -0.1f64, 1.1f64);
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let mut rng = generator(4);
    for a in [-2.0, 0.0, 0.7] {
        let u: Vec<f64> = (0..100_000).map(|_| rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12)).collect();
        let m = values(&gates.draw(wide(vec![a; 100_000], [100_000]), wide(u, [100_000])));
        let share = |v: f64| m.iter().filter(|m| **m == v).count() as f64 / 1e5;
        assert!((share(0.0) - sigmoid(t * (-gamma / zeta).ln() - a)).abs() < 0.01);
        assert!((share(1.0) - sigmoid(a - t * ((1.0 - gamma) / (zeta - 1.0)).ln())).abs() < 0.01);
        let open = one(&gates.open(wide(vec![a], [1])));
        close("probability of an open gate", &[open], &[sigmoid(a - t * (-gamma / zeta).ln())], 1e-12);
    }
    let (logits, noise) = (drawn(50, 5), drawn(50, 6).into_iter().map(|v| 0.5 + 0.49 * v).collect::<Vec<_>>());
    let leaf = wide(logits.clone(), [50]);
    let hard = HardConcrete::straight_through(gates.draw(leaf.clone(), wide(noise.clone(), [50]).detach()));
    assert!(values(&hard).iter().all(|v| *v == 0.0 || *v == 1.0));
    let got = values(&leaf.grad(&hard.sum().backward()).unwrap());
    for k in 0..50 {
        let at = |h: f64| {
            let mut moved = logits.clone();
            moved[k] += h;
            values(&gates.draw(wide(moved, [50]), wide(noise.clone(), [50])).sum())[0]
        };
        let want = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((got[k] - want).abs() < 1e-6, "the soft gradient: {} instead of {want}", got[k]);
    }
}

#[test]
fn views_can_be_inverted_where_they_keep_a_step() {
    let config = AugmenterConfig::new().with_output(4).with_hidden(6);
    let augmenter = config.init(2, &mut generator(7), &device()).unwrap();
    let x = uniform((3, 15, 2), 8);
    let steps = Steps::new(x.view(), &device());
    let noise = Tensor::<3>::from_data(
        TensorData::new(uniform((3, 15, 1), 9).iter().map(|v| 0.5 + 0.4 * v).collect::<Vec<f32>>(), [3, 15, 1]),
        &device(),
    );
    let made = augmenter.view(&config, &steps, Some(noise));
    let (v, g, h) = (values(&made.view), values(&made.factor), values(&made.gate));
    let mut kept = 0;
    for (at, x) in x.iter().enumerate() {
        let step = at / 2;
        assert!(g[step] > 0.0 && (h[step] == 0.0 || h[step] == 1.0));
        if h[step] == 1.0 {
            kept += 1;
            assert!((v[at] / g[step] - f64::from(*x)).abs() < 1e-5);
        } else {
            assert_eq!(v[at], 0.0);
        }
    }
    assert!(kept > 0 && kept < 90, "some steps are kept, some not: {kept}");
}

#[test]
fn golden_mmd() {
    let Some(file) = crate::reference::golden("mmd") else { return };
    for case in crate::reference::cases(&file) {
        let read = |name: &str| {
            let tensor = &case["inputs"][name];
            let side = |k: usize| tensor["shape"][k].as_u64().unwrap() as usize;
            wide(crate::reference::numbers(tensor), [side(0), side(1)])
        };
        let (x, v) = (read("x"), read("v"));
        let mut mmd = MaximumMeanDiscrepancy::default();
        if let Some(bandwidth) = case["params"]["bandwidth"].as_f64() {
            mmd = mmd.with_bandwidth(bandwidth).unwrap();
        }
        let loss = mmd.loss(x.clone(), v.clone());
        let expected = &case["expected"];
        crate::reference::close("loss", &values(&loss), &[expected["loss"].as_f64().unwrap()], 1e-10, 1e-10);
        let bandwidth = mmd.evaluate(&x, &v, false).bandwidth;
        crate::reference::close("bandwidth", &[bandwidth], &[expected["bandwidth"].as_f64().unwrap()], 1e-10, 1e-10);
        let gradients = loss.backward();
        for (leaf, name) in [(x, "x"), (v, "v")] {
            let got = values(&leaf.grad(&gradients).unwrap());
            let want = crate::reference::numbers(&expected["grads"][name]);
            crate::reference::close(name, &got, &want, 1e-9, 1e-9);
        }
    }
}

#[test]
fn the_discrepancy_is_a_distance_of_sets() {
    let mmd = MaximumMeanDiscrepancy::default();
    let (x, v) = (wide(drawn(40, 10), [8, 5]), wide(drawn(40, 11), [8, 5]));
    let of = |a: &Tensor<2>, b: &Tensor<2>| one(&mmd.loss(a.clone(), b.clone()));
    assert!(of(&x, &v) > 0.0);
    close("symmetric", &[of(&x, &v)], &[of(&v, &x)], 1e-12);
    let turned = Tensor::cat((0..8).rev().map(|i| x.clone().slice([i..i + 1, 0..5])).collect(), 0);
    close("order of rows", &[of(&turned, &v)], &[of(&x, &v)], 1e-12);
    // sets of different sizes, and gradients with the bandwidth held
    let short = v.clone().slice([0..3, 0..5]).detach();
    let fixed = MaximumMeanDiscrepancy::new(3).unwrap().with_bandwidth(0.8).unwrap();
    let leaf = wide(drawn(40, 12), [8, 5]);
    let got = values(&leaf.grad(&fixed.loss(leaf.clone(), short.clone()).backward()).unwrap());
    for k in 0..40 {
        let at = |h: f64| {
            let mut moved = values(&leaf);
            moved[k] += h;
            one(&fixed.loss(wide(moved, [8, 5]), short.clone()))
        };
        let want = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((got[k] - want).abs() < 1e-8, "{k}: {} instead of {want}", got[k]);
    }
    let equal = wide(vec![0.3; 20], [4, 5]);
    assert_eq!(of(&equal, &equal), 0.0, "rows that are all equal have no bandwidth");
    assert!(MaximumMeanDiscrepancy::new(0).unwrap_err().to_string().contains("kernels 0"));
}

#[test]
fn each_part_of_a_step_moves_its_own_parameters() {
    let series = series_of((6, 20, 1), 13);
    let of = |training: &Training<AutoTcl>, part: &str| -> Vec<f64> {
        let state = training.parameters().tensors();
        let own = state.iter().filter(|(name, _)| name.starts_with(&format!("model.{part}")));
        own.flat_map(|(_, data)| data.iter::<f64>().collect::<Vec<_>>()).collect()
    };
    // every second step: step 1 leaves the augmenter as it is
    let mut training = small().with_every(2).build(&series, 1, &device()).unwrap();
    let start = [of(&training, "augmenter"), of(&training, "encoder")];
    training.train_step().unwrap();
    let first = [of(&training, "augmenter"), of(&training, "encoder")];
    assert!(first[0] != start[0] && first[1] != start[1]);
    training.train_step().unwrap();
    let second = [of(&training, "augmenter"), of(&training, "encoder")];
    assert!(second[0] == first[0] && second[1] != first[1]);
    // the augmenter's step alone
    let mut method_only = small().build(&series, 1, &device()).unwrap();
    let names: Vec<&str> = method_only.train_step().unwrap().iter().map(|l| l.0).collect();
    assert_eq!(names, ["loss", "discrepancy", "size", "global", "local"]);
}

#[test]
fn segments_that_are_equal_cost_the_logarithm_of_their_number_less_two() {
    for k in [4, 5, 16] {
        let equal = wide(vec![1.0; 2 * 33 * 3], [2, 33, 3]);
        let loss = SegmentContrast::new(k, 1.0).unwrap().loss(equal, 1);
        close("equal segments", &[one(&loss)], &[((k - 2) as f64).ln()], 1e-12);
    }
    // against the definition, with its gradient
    let (k, b, t, d) = (5, 2, 11, 3);
    let data = drawn(b * t * d, 14);
    let plain = |data: &[f64]| {
        let mut sum = 0.0;
        for series in data.chunks(t * d) {
            let units: Vec<Vec<f64>> = series[d..]
                .chunks(d)
                .map(|s| {
                    let n = s.iter().map(|v| v * v).sum::<f64>().sqrt();
                    s.iter().map(|v| v / n).collect()
                })
                .collect();
            let segments: Vec<Vec<f64>> = units
                .chunks(2)
                .take(k)
                .map(|seg| (0..d).map(|c| seg.iter().map(|s| s[c]).fold(f64::MIN, f64::max)).collect())
                .collect();
            let dot = |i: usize, j: usize| (0..d).map(|c| segments[i][c] * segments[j][c]).sum::<f64>();
            for i in 0..k {
                let positive = if i + 1 < k { i + 1 } else { k - 2 };
                let left_out = match i {
                    0 => vec![0, 2],
                    _ if i == k - 1 => vec![k - 1, k - 3],
                    _ => vec![i, i - 1],
                };
                let total: f64 = (0..k).filter(|j| !left_out.contains(j)).map(|j| dot(i, j).exp()).sum();
                sum += total.ln() - dot(i, positive);
            }
        }
        sum / (b * k) as f64
    };
    let contrast = SegmentContrast::new(k, 1.0).unwrap();
    let leaf = wide(data.clone(), [b, t, d]);
    let loss = contrast.loss(leaf.clone(), 1);
    close("definition", &[one(&loss)], &[plain(&data)], 1e-12);
    let got = values(&leaf.grad(&loss.backward()).unwrap());
    for at in 0..b * t * d {
        let moved = |h: f64| {
            let mut moved = data.clone();
            moved[at] += h;
            plain(&moved)
        };
        let want = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((got[at] - want).abs() < 1e-7, "{at}: {} instead of {want}", got[at]);
    }
    let error = small().with_segments(25).build(&series_of((6, 20, 1), 1), 1, &device()).unwrap_err().to_string();
    assert!(error.contains("segments is 25") && error.contains("at most the 20 time steps"), "{error}");
    assert!(SegmentContrast::new(3, 1.0).is_err());
}

#[test]
fn a_large_weight_of_the_size_closes_the_gates() {
    let series = series_of((6, 24, 1), 15);
    let open_after = |size: f64| {
        let config = small().with_size(size).with_augmenter_rate(0.05);
        let mut training = config.build(&series, 3, &device()).unwrap();
        let open = |training: &Training<AutoTcl>| {
            let model = training.parameters().model().clone();
            let steps = Steps::new(series.padded().view(), &device());
            let made = model.valid().augmenter.view(&small().augmenter, &steps, None);
            values(&HardConcrete::default().open(made.logit).mean())[0]
        };
        let before = open(&training);
        (0..30).for_each(|_| drop(training.train_step().unwrap()));
        (before, open(&training))
    };
    let (before, closed) = open_after(50.0);
    assert!(closed < 0.2 && closed < before - 0.3, "{before} to {closed}");
    let (before, free) = open_after(0.0);
    assert!((free - before).abs() < 0.35 && free > closed + 0.2, "{before} to {free}");
}

#[test]
fn settings_out_of_range_are_named() {
    let series = series_of((6, 20, 1), 16);
    let says = |config: AutoTclConfig, text: &str| match config.build(&series, 1, &device()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => {
            let error = format!("{error}");
            assert!(error.contains(text) && error.len() < 500, "{error}");
        }
    };
    says(small().with_every(0), "every is 0");
    says(small().with_augmenter(AugmenterConfig::new().with_noise_bias(0.5)), "noise_bias is 0.5");
    says(small().with_augmenter(AugmenterConfig::new().with_gamma(0.1)), "gamma 0.1");
    says(small().with_augmenter(AugmenterConfig::new().with_zeta(0.9)), "zeta 0.9");
    says(small().with_size(f64::NAN), "size is NaN");
    says(small().with_temperature(-1.0), "temperature -1");
    says(small().with_kernels(0), "kernels is 0");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let series = series_of((15, 20, 1), 13);
    // the augmenter moves at every second step; three steps are an epoch
    testing::resumes_bit_for_bit(&|| small().with_every(2).build(&series, 5, &device()).unwrap(), 8);
}
