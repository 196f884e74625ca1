//! Ghost batch normalisation, the long regime, and the diffusion probe.

use crate::common::*;
use crate::optimised::support::*;
use burn::module::{Module, Param, RunningState};
use burn::nn::{BatchNorm, InstanceNormConfig, LinearConfig};
use burn::tensor::{DType, Tensor, activation::relu};
use contrastive_core::norm::*;

fn layer(channels: usize, ghost: usize) -> GhostBatchNorm {
    named(GhostBatchNormConfig::new(channels).with_ghost(ghost))
}

/// Gains and biases that can be told apart.
fn named(config: GhostBatchNormConfig) -> GhostBatchNorm {
    let mut layer = config.init((&device().autodiff(), DType::F64)).unwrap();
    let some = |start: f64| (0..config.channels).map(|c| start + 0.3 * c as f64).collect::<Vec<_>>();
    layer.gain = Param::from_tensor(tracked(some(0.7), [config.channels], DType::F64));
    layer.bias = Param::from_tensor(tracked(some(-0.2), [config.channels], DType::F64));
    layer
}

fn running(layer: &GhostBatchNorm) -> [Vec<f64>; 2] {
    [&layer.running_mean, &layer.running_variance].map(|s| values(&s.value_sync()))
}

fn cube(seed: u64, shape: [usize; 3]) -> Tensor<3> {
    tracked(normal(seed, shape.iter().product()), shape, DType::F64)
}

/// A scalar that no coordinate drops out of.
fn scalar<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let shape = y.dims();
    let count = shape.iter().product();
    let weights = Tensor::from_data(burn::tensor::TensorData::new(normal(99, count), shape), (&y.device(), DType::F64));
    (y.clone() * weights + y.clone() * y * 0.1).sum()
}

#[test]
fn one_ghost_is_batch_normalisation() {
    needs_f64!();
    let (b, c, s) = (6, 3, 4);
    let ours = layer(c, b);
    let (zeros, ones) = (Tensor::<1>::zeros([c], (&device().autodiff(), DType::F64)), running(&ours)[1].clone());
    let ones = tracked(ones, [c], DType::F64).detach();
    let theirs = BatchNorm {
        gamma: Param::from_tensor(ours.gain.val().detach()),
        beta: Param::from_tensor(ours.bias.val().detach()),
        training: Param::from_bool(true),
        running_mean: RunningState::new(zeros),
        running_var: RunningState::new(ones),
        momentum: 0.1,
        epsilon: 1e-5,
    };
    for seed in 0..3 {
        let (x, y) = (cube(seed, [b, c, s]), cube(seed, [b, c, s]));
        let (got, expected) = (ours.forward(x.clone()), theirs.forward(y.clone()));
        close("output", &values(&got), &values(&expected), 1e-10, 1e-9);
        let (got, expected) = (scalar(got).backward(), scalar(expected).backward());
        close("input", &values(&x.grad(&got).unwrap()), &values(&y.grad(&expected).unwrap()), 1e-7, 1e-6);
        for (a, b) in [(&ours.gain, &theirs.gamma), (&ours.bias, &theirs.beta)] {
            close(
                "parameter",
                &values(&a.val().grad(&got).unwrap()),
                &values(&b.val().grad(&expected).unwrap()),
                1e-7,
                1e-6,
            );
        }
    }
    let [mean, variance] = running(&ours);
    close("running mean", &mean, &values(&theirs.running_mean.value_sync()), 1e-8, 1e-6);
    // Burn keeps the biased variance; both started at 1, of which 0.9^3 is left
    let n = (b * s) as f64;
    let left = 0.9f64.powi(3);
    let biased: Vec<f64> = variance.iter().map(|v| left + (v - left) * (n - 1.0) / n).collect();
    close("running variance", &biased, &values(&theirs.running_var.value_sync()), 1e-8, 1e-6);
    // evaluation: the running statistics, on whichever rows
    let x = cube(9, [2, c, s]).inner();
    let got = values(&ours.valid().forward(x.clone()));
    let of = |k: usize| {
        let ch = k / s % c;
        let normal = (values(&x)[k] - mean[ch]) / (variance[ch] + 1e-5).sqrt();
        normal * (0.7 + 0.3 * ch as f64) - 0.2 + 0.3 * ch as f64
    };
    close("evaluation", &got, &(0..2 * c * s).map(of).collect::<Vec<_>>(), 1e-9, 1e-7);
    // a frozen layer evaluates too, and remembers nothing
    let frozen = ours.clone().freeze();
    let got = frozen.forward(cube(9, [2, c, s]));
    close("frozen", &values(&got), &(0..2 * c * s).map(of).collect::<Vec<_>>(), 1e-9, 1e-7);
    close("frozen state", &running(&frozen)[0], &mean, 0.0, 0.0);
}

#[test]
fn ghosts_of_one_row_are_instance_normalisation() {
    let (b, c, s) = (4, 2, 5);
    let config = GhostBatchNormConfig::new(c).with_ghost(1);
    let ours = config.init(&device().autodiff()).unwrap();
    let theirs = InstanceNormConfig::new(c).init(&device().autodiff());
    let x = tracked(normal(1, b * c * s), [b, c, s], DType::F32);
    close("output", &values(&ours.forward(x.clone())), &values(&theirs.forward(x)), 1e-5, 1e-5);
    let error = ours.ghosts(4, 1).unwrap_err();
    assert_eq!(error, NormError::Lonely { rows: 1, positions: 1 });
}

/// Normalising in layers, or running the network on each chunk and averaging the gradients.
#[test]
fn layers_and_chunks_agree() {
    needs_f64!();
    let (b, g, widths) = (12, 4, [5, 6, 2]);
    let (x, target) = (normal(1, b * widths[0]), normal(2, b * widths[2]));
    let make = || {
        let weights = [0, 1].map(|k| rows(3 + k as u64, [widths[k], widths[k + 1]]));
        (weights, layer(widths[1], g), layer(widths[2], g))
    };
    let (weights, first, second) = make();
    let run = |weights: &[Tensor<2>; 2], layers: [&GhostBatchNorm; 2], from: usize, count: usize| {
        let part = |v: &[f64], w: usize| tracked(v[from * w..(from + count) * w].to_vec(), [count, w], DType::F64);
        let h = relu(layers[0].forward(part(&x, widths[0]).matmul(weights[0].clone())));
        let y = layers[1].forward(h.matmul(weights[1].clone())) - part(&target, widths[2]).detach();
        (y.clone() * y).sum() * (1.0 / count as f64)
    };
    let of = |grads: &burn::tensor::Gradients, weights: &[Tensor<2>; 2], layers: [&GhostBatchNorm; 2]| {
        let mut all: Vec<f64> = weights.iter().flat_map(|w| values(&w.grad(grads).unwrap())).collect();
        for layer in layers {
            all.extend([&layer.gain, &layer.bias].iter().flat_map(|p| values(&p.val().grad(grads).unwrap())));
        }
        all
    };
    let whole = of(&run(&weights, [&first, &second], 0, b).backward(), &weights, [&first, &second]);
    let (others, third, fourth) = make();
    let mut mean = vec![0.0; whole.len()];
    for from in (0..b).step_by(g) {
        let part = of(&run(&others, [&third, &fourth], from, g).backward(), &others, [&third, &fourth]);
        mean.iter_mut().zip(part).for_each(|(m, p)| *m += p * g as f64 / b as f64);
    }
    close("gradients", &whole, &mean, 1e-9, 1e-8);
    for (a, b) in [(&first, &third), (&second, &fourth)] {
        let ([m, v], [n, w]) = (running(a), running(b));
        close("running means", &m, &n, 1e-12, 1e-9);
        close("running variances", &v, &w, 1e-12, 1e-9);
    }
}

#[test]
fn running_statistics_are_updated_once_a_ghost() {
    needs_f64!();
    let (b, g, c, s, momentum) = (10, 4, 2, 3, 0.3);
    for (rows, ragged) in [(8, false), (b, true)] {
        let config = GhostBatchNormConfig::new(c).with_ghost(g).with_momentum(momentum).with_ragged(ragged);
        let layer = named(config);
        let (mut mean, mut variance) = (vec![0.0; c], vec![1.0; c]);
        for seed in 0..2 {
            let x = cube(seed, [rows, c, s]);
            let all = values(&x);
            let y = values(&layer.forward(x));
            for from in (0..rows).step_by(g) {
                for ch in 0..c {
                    let places = (from..rows.min(from + g)).flat_map(|i| (0..s).map(move |p| (i * c + ch) * s + p));
                    let places: Vec<usize> = places.collect();
                    let n = places.len() as f64;
                    let m = places.iter().map(|p| all[*p]).sum::<f64>() / n;
                    let v = places.iter().map(|p| (all[*p] - m) * (all[*p] - m)).sum::<f64>() / n;
                    mean[ch] = (1.0 - momentum) * mean[ch] + momentum * m;
                    variance[ch] = (1.0 - momentum) * variance[ch] + momentum * v * n / (n - 1.0);
                    for p in places {
                        let expected =
                            (all[p] - m) / (v + 1e-5).sqrt() * (0.7 + 0.3 * ch as f64) - 0.2 + 0.3 * ch as f64;
                        close("output", &[y[p]], &[expected], 1e-10, 1e-9);
                    }
                }
            }
            let [got_mean, got_variance] = running(&layer);
            close("mean", &got_mean, &mean, 1e-12, 1e-9);
            close("variance", &got_variance, &variance, 1e-12, 1e-9);
        }
    }
}

#[test]
fn ghosts_do_not_meet() {
    needs_f64!();
    let (b, g, c) = (8, 4, 3);
    let data = normal(5, b * c);
    let run = |order: &[usize]| {
        let layer = layer(c, g);
        let rows = order.iter().flat_map(|i| data[i * c..][..c].to_vec()).collect();
        let y = values(&layer.forward(tracked(rows, [b, c], DType::F64)));
        (y.chunks(c).map(<[f64]>::to_vec).collect::<Vec<_>>(), running(&layer))
    };
    let (plain, state) = run(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let inside = [2, 0, 3, 1, 7, 6, 4, 5];
    let (permuted, same) = run(&inside);
    for (k, i) in inside.iter().enumerate() {
        close("inside a ghost", &permuted[k], &plain[*i], 1e-12, 1e-10);
    }
    close("running means", &same[0], &state[0], 1e-12, 1e-10);
    let (swapped, other) = run(&[4, 5, 6, 7, 0, 1, 2, 3]);
    for k in 0..b {
        close("whole ghosts", &swapped[k], &plain[(k + 4) % b], 1e-12, 1e-10);
    }
    assert!(other[0].iter().zip(&state[0]).all(|(a, b)| (a - b).abs() > 1e-4), "the last ghost weighs most");
}

#[test]
fn gradients_are_differences() {
    needs_f64!();
    let (b, g, c, s) = (5, 2, 2, 2);
    let data = normal(6, b * c * s);
    let config = GhostBatchNormConfig::new(c).with_ghost(g).with_ragged(true);
    let value = |data: &[f64]| {
        let x = tracked(data.to_vec(), [b, c, s], DType::F64);
        let loss = scalar(named(config.clone()).forward(x.clone()));
        (values(&loss)[0], values(&x.grad(&loss.backward()).unwrap()))
    };
    let (_, gradient) = value(&data);
    for k in 0..data.len() {
        let at = |h: f64| {
            let mut moved = data.clone();
            moved[k] += h;
            value(&moved).0
        };
        let h = 1e-4;
        let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        close(&format!("difference {k}"), &[gradient[k]], &[numeric], 1e-7, 1e-6);
    }
}

#[test]
fn regimes_follow_the_batch() {
    let small = Regime::new(128, 0.1, 100).unwrap().with_drops(vec![50, 80]).unwrap();
    assert_eq!(small.for_batch(128).unwrap(), small);
    let large = small.for_batch(512).unwrap();
    assert_eq!((large.rate(), large.epochs(), large.drops(), large.batch()), (0.2, 400, &[200, 320][..], 512));
    assert_eq!(large.updates(51_200), small.updates(51_200));
    let odd = small.for_batch(320).unwrap();
    close("rate", &[odd.rate()], &[0.1 * 2.5f64.sqrt()], 1e-16, 1e-14);
    assert_eq!((odd.epochs(), odd.drops()), (300, &[150, 240][..]));
    let less = small.for_batch(32).unwrap();
    assert_eq!((less.rate(), less.epochs(), less.drops()), (0.05, 100, &[50, 80][..]));
    let rate = small.with_scaled_rate(512).unwrap();
    assert_eq!((rate.rate(), rate.epochs(), rate.drops()), (0.2, 100, &[50, 80][..]));
    let rates = [0, 49, 50, 80, 99].map(|e| small.rate_at(e, 0.1));
    close("rates", &rates, &[0.1, 0.1, 0.01, 0.001, 0.001], 1e-16, 1e-12);
}

#[test]
fn lines_are_fitted_to_the_logarithm() {
    let line: Vec<(usize, f64)> = (1..200).map(|t| (t, 1.0 + 2.0 * (t as f64).ln())).collect();
    let fit = fit_log(&line, 4.0).unwrap();
    close("line", &[fit.start, fit.slope, fit.r_squared.unwrap()], &[1.0, 2.0, 1.0], 1e-12, 1e-12);
    let still: Vec<(usize, f64)> = (1..50).map(|t| (t, 0.1)).collect();
    let fit = fit_log(&still, 1.0).unwrap();
    assert_eq!((fit.slope, fit.r_squared), (0.0, None));
    close("start", &[fit.start], &[0.1], 1e-14, 0.0);
    let root: Vec<(usize, f64)> = (1..200).map(|t| (t, (t as f64).sqrt())).collect();
    assert!(fit_log(&root, 1.0).unwrap().r_squared.unwrap() < 0.95, "no logarithm");
}

#[test]
fn the_probe_measures_parameters() {
    let network = LinearConfig::new(3, 2).init(&device().autodiff());
    let mut probe = WeightDiffusion::from(&network);
    let mut moved = network.clone();
    moved.weight = Param::from_tensor((network.weight.val() + 0.5).detach());
    moved.bias = Some(Param::from_tensor((network.bias.as_ref().unwrap().val() - 2.0).detach()));
    close("whole", &[probe.record(1, &moved)], &[(6.0 * 0.25 + 2.0 * 4.0f64).sqrt()], 1e-6, 1e-6);
    close("parts", &probe.distances(&moved), &[1.5f64.sqrt(), 8f64.sqrt()], 1e-6, 1e-6);
    close("still", &[probe.record(2, &network)], &[0.0], 0.0, 0.0);
    assert_eq!(probe.curve().len(), 2);
    // running statistics move, and are no weights
    let norm = GhostBatchNormConfig::new(2).with_ghost(4).init(&device().autodiff()).unwrap();
    let mut probe = WeightDiffusion::from(&norm);
    norm.forward(tracked(normal(1, 8), [4, 2], DType::F32));
    assert!(running(&norm)[0].iter().any(|m| m.abs() > 1e-3));
    assert_eq!(probe.record(1, &norm), 0.0);
}

#[test]
fn ghosts_regimes_and_curves_that_make_no_sense_are_refused() {
    let config = |channels| GhostBatchNormConfig::new(channels);
    let text = |e: NormError| e.to_string();
    let init = |c: GhostBatchNormConfig| text(c.init(&device()).unwrap_err());
    let regime = || Regime::new(32, 0.1, 10).unwrap();
    let refused = [
        (init(config(0)), "number of channels is 0"),
        (init(config(2).with_ghost(0)), "number of rows of a ghost is 0"),
        (init(config(2).with_epsilon(0.0)), "epsilon 0"),
        (init(config(2).with_momentum(f64::NAN)), "momentum NaN"),
        (text(layer(2, 4).ghosts(10, 1).unwrap_err()), "a batch of 10 is no whole number of ghosts of 4"),
        (text(layer(2, 1).ghosts(4, 1).unwrap_err()), "a ghost of 1 row(s) at 1 position(s)"),
        (text(named(config(2).with_ghost(4).with_ragged(true)).ghosts(9, 1).unwrap_err()), "a ghost of 1 row(s)"),
        (text(Regime::new(0, 0.1, 1).unwrap_err()), "batch size is 0"),
        (text(Regime::new(1, 0.1, 0).unwrap_err()), "number of epochs is 0"),
        (text(Regime::new(1, -0.1, 1).unwrap_err()), "learning rate -0.1"),
        (text(regime().with_drops(vec![5, 5]).unwrap_err()), "ascending order"),
        (text(regime().with_drops(vec![10]).unwrap_err()), "the epochs of training"),
        (text(regime().for_batch(0).unwrap_err()), "batch size is 0"),
        (text(fit_log(&[(1, 1.0)], 1.0).unwrap_err()), "1 points of a curve"),
        (text(fit_log(&[(3, 1.0), (3, 2.0)], 1.0).unwrap_err()), "2 points of a curve"),
        (text(fit_log(&[(0, 1.0), (3, 2.0)], 1.0).unwrap_err()), "step of a curve 0"),
        (text(fit_log(&[(1, f64::NAN), (3, 2.0)], 1.0).unwrap_err()), "distance NaN"),
    ];
    for (error, part) in refused {
        assert!(error.contains(part), "{error:?} does not speak of {part:?}");
    }
    assert_eq!(named(config(2).with_ghost(4).with_ragged(true)).ghosts(10, 1).unwrap(), [4, 4, 2]);
}

#[test]
#[should_panic(expected = "a batch of 5 is no whole number of ghosts of 4")]
fn a_batch_that_cannot_be_split_stops_training() {
    layer(2, 4).forward(tracked(normal(1, 10), [5, 2], DType::F64));
}
