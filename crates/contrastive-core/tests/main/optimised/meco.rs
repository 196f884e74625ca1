//! MECO, binary NCE, and the study of a Gaussian's mean.

use crate::common::*;
use crate::optimised::support::*;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::*;
use mean_study::MeanStudy;

#[path = "../../../../../examples/shared/mean_study.rs"]
mod mean_study;

fn vector(values: &[f64]) -> Tensor<1> {
    tracked(values.to_vec(), [values.len()], DType::F64)
}

fn log_mean_exp(x: &[f64]) -> f64 {
    softmax(x, 1.0).0
}

#[test]
fn a_single_batch_is_the_plug_in_likelihood() {
    needs_f64!();
    let (x, y, q) = (normal(1, 5), normal(2, 8), normal(3, 8));
    let mut meco = Meco::new(1.0).unwrap();
    for _ in 0..2 {
        let (data, noise) = (vector(&x), vector(&y));
        let step = meco.loss(data.clone(), noise.clone(), vector(&q)).unwrap();
        let got = gradients(step.loss.clone(), &[&data, &noise]);
        let (data, noise) = (vector(&x), vector(&y));
        let weights = noise.clone() - vector(&q).detach();
        let plug_in = weights.exp().mean().log() - data.clone().mean();
        close("value", &values(&step.loss), &values(&plug_in), 1e-12, 1e-10);
        for (got, expected) in got.iter().zip(gradients(plug_in, &[&data, &noise])) {
            close("gradient", got, &expected, 1e-7, 1e-6);
        }
        // the same by differences
        let value = |y: &[f64]| log_mean_exp(&y.iter().zip(&q).map(|(y, q)| y - q).collect::<Vec<_>>());
        for k in 0..y.len() {
            let moved = |h: f64| {
                let mut y = y.clone();
                y[k] += h;
                value(&y)
            };
            close("difference", &[got[1][k]], &[(moved(1e-5) - moved(-1e-5)) / 2e-5], 1e-9, 1e-7);
        }
    }
}

#[test]
fn averages_are_those_of_the_weights() {
    let gamma = 0.3;
    let mut meco = Meco::new(gamma).unwrap();
    let mut u: Option<f64> = None;
    for seed in 0..5 {
        let weights = normal(seed, 6);
        let new = weights.iter().map(|w| w.exp()).sum::<f64>() / 6.0;
        u = Some(u.map_or(new, |u| (1.0 - gamma) * u + gamma * new));
        let seen = meco.observe(&weights).unwrap();
        close("normaliser", &[seen.log_normaliser], &[u.unwrap().ln()], 1e-12, 1e-10);
        let expected: Vec<f64> = weights.iter().map(|w| w.exp() / u.unwrap() / 6.0).collect();
        close("weights", &seen.weights, &expected, 1e-14, 1e-10);
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w.exp(), q + (2.0 * w).exp()));
        close("effective", &[seen.effective_samples], &[sum * sum / squares], 1e-10, 1e-10);
        let capped = Meco::new(1.0).unwrap().with_cap(1.2).unwrap().observe(&weights).unwrap();
        assert!(capped.weights.iter().all(|w| *w <= 1.2 / 6.0 + 1e-15) && capped.weights.contains(&(1.2 / 6.0)));
    }
}

/// A constant added to log p~ belongs to log Z.
#[test]
fn a_constant_is_forgotten() {
    let batches: Vec<Vec<f64>> = (0..60).map(|k| normal(100 + k, 6)).collect();
    let shifted = |c: f64| batches.iter().map(|b| b.iter().map(|w| w + c).collect()).collect::<Vec<Vec<f64>>>();
    // the normaliser shifted too: exactly nothing
    let (mut plain, mut moved) = (Meco::new(0.2).unwrap(), Meco::new(0.2).unwrap());
    for (a, b) in batches.iter().zip(shifted(300.0)) {
        let (a, b) = (plain.observe(a).unwrap(), moved.observe(&b).unwrap());
        close("weights", &b.weights, &a.weights, 1e-14, 1e-10);
        close("normaliser", &[b.log_normaliser], &[a.log_normaliser + 300.0], 1e-9, 1e-12);
    }
    // a start that does not know of the constant is forgotten like (1 - gamma)^t
    let (mut plain, mut moved) = (Meco::new(0.2).unwrap(), Meco::new(0.2).unwrap());
    moved
        .load_state(&{
            let mut start = Meco::new(1.0).unwrap();
            start.observe(&[0.0]).unwrap();
            start.state()
        })
        .unwrap();
    let mut gap = Vec::new();
    for (a, b) in batches.iter().zip(shifted(2.0)) {
        let (a, b) = (plain.observe(a).unwrap(), moved.observe(&b).unwrap());
        gap.push((b.log_normaliser - a.log_normaliser - 2.0).abs());
    }
    assert!(gap[0] > 0.1 && gap[59] < 1e-4, "{} then {}", gap[0], gap[59]);
}

#[test]
fn a_model_that_is_the_noise_has_weights_of_one() {
    needs_f64!();
    let (x, y) = (normal(7, 40_000), normal(8, 40_000));
    let log_q = |y: &[f64]| y.iter().map(|y| -0.5 * y * y).collect::<Vec<_>>();
    let mut meco = Meco::new(0.5).unwrap();
    let step = meco.loss(vector(&log_q(&x)), vector(&log_q(&y)), vector(&log_q(&y))).unwrap();
    let m = y.len() as f64;
    close("weights", &step.seen.weights, &vec![1.0 / m; y.len()], 1e-18, 1e-12);
    close("effective", &[step.seen.effective_samples], &[m], 1e-6, 0.0);
    // data = noise = model: the expected gradient of theta, d log p~ / d theta = x, is 0
    let gradient = (dot(&step.seen.weights, &y) - x.iter().sum::<f64>() / x.len() as f64).abs();
    assert!(gradient < 5.0 * (2.0 / m).sqrt(), "{gradient}");
}

#[test]
fn more_noise_tells_the_normaliser_better() {
    // log p~ = x - x^2 / 2 under N(0, 4): log Z = log sqrt(2 pi) + 1/2
    let exact = 0.5 * std::f64::consts::TAU.ln() + 0.5;
    let spread = |m: usize| {
        let error = |seed: u64| {
            let weight = |z: &f64| {
                let y = 2.0 * z;
                y - 0.5 * y * y + 0.5 * z * z + 0.5 * std::f64::consts::TAU.ln() + 2f64.ln()
            };
            let weights: Vec<f64> = normal(seed, m).iter().map(weight).collect();
            let got = Meco::new(1.0).unwrap().observe(&weights).unwrap().log_normaliser - exact;
            got * got
        };
        ((0..200).map(|s| error(1000 + s)).sum::<f64>() / 200.0).sqrt()
    };
    let (few, many) = (spread(64), spread(64 * 16));
    println!("root mean square error of log Z: {few:.4} with 64 samples, {many:.4} with 1024");
    assert!((3.0..5.3).contains(&(few / many)), "m^-1/2 would be 4: {}", few / many);
}

#[test]
fn nce_is_its_definition() {
    needs_f64!();
    let (x, y, qx, qy) = (normal(1, 4), normal(2, 6), normal(3, 4), normal(4, 6));
    let make = || (vector(&x), vector(&y), vector(&[0.3]));
    let (data, noise, c) = make();
    let loss = BinaryNce.loss([data.clone(), vector(&qx)], [noise.clone(), vector(&qy)], c.clone()).unwrap();
    let value = values(&loss);
    let got = gradients(loss, &[&data, &noise, &c]);
    let (data, noise, c) = make();
    let f = data.clone() - vector(&qx).detach() - c.clone();
    let g = noise.clone() - vector(&qy).detach() - c.clone();
    let plain = ((f * -1.0).exp() + 1.0).log().mean() + (g.exp() + 1.0).log().mean();
    close("value", &value, &values(&plain), 1e-12, 1e-10);
    for (got, expected) in got.iter().zip(gradients(plain, &[&data, &noise, &c])) {
        close("gradient", got, &expected, 1e-9, 1e-7);
    }
}

#[test]
fn the_landscape_of_nce_flattens() {
    for (mean, listed) in [(1.0, 0.213), (2.0, 5.7e-2), (4.0, 2.1e-3), (6.0, 3.8e-5), (8.0, 3.5e-7)] {
        let got = MeanStudy::new(mean, 1.0).nce_curvature();
        println!("R {mean}: smallest curvature {got:.4e}");
        // listed with two digits
        let bound = if mean <= 1.0 { 0.01 } else { 0.025 };
        assert!((got - listed).abs() < bound * listed, "R {mean}: {got} instead of {listed}");
    }
    for (mean, nce) in [(2.0, 0.040), (4.0, 0.068), (8.0, 3.7e-3)] {
        let study = MeanStudy::new(mean, 1.0);
        let got = study.nce_gap(0.75 * mean);
        assert!((got - nce).abs() < 0.02 * nce, "R {mean}: gap {got} instead of {nce}");
        close("likelihood", &[study.likelihood_gap(0.75 * mean)], &[mean * mean / 32.0], 0.0, 1e-12);
    }
    // curvature 1 everywhere, by differences of the gap
    for mean in [1.0, 8.0] {
        let study = MeanStudy::new(mean, 1.0);
        for theta in [0.0, 0.5 * mean, mean] {
            let h = 1e-3;
            let [low, at, high] = [theta - h, theta, theta + h].map(|t| study.likelihood_gap(t));
            close("curvature", &[(high - 2.0 * at + low) / (h * h)], &[1.0], 1e-6, 0.0);
        }
    }
}

#[test]
fn meco_finds_a_far_mean_where_nce_does_not() {
    for seed in 0..3 {
        let study = MeanStudy::new(6.0, 4.0).with_steps(2000, seed);
        let meco = study.meco(0.02, 0.1).unwrap();
        let nce = [0.1, 0.5].map(|rate| study.nce(rate).error);
        println!("seed {seed}: MECO {:.4}, NCE {:.3} and {:.3}", meco.error, nce[0], nce[1]);
        assert!(meco.error < 0.03, "{meco:?}");
        assert!(nce.iter().all(|e| *e > 0.05), "{nce:?}");
    }
    // noise that does not cover the data says so
    let narrow = MeanStudy::new(3.0, 1.0);
    let run = narrow.meco(0.02, 0.1).unwrap();
    assert!(run.error > 1.0 && run.fewest_effective < 2.0, "{run:?}");
}

#[test]
fn degenerate_samples_are_refused() {
    let mut meco = Meco::new(0.5).unwrap();
    meco.observe(&[0.5, 0.1]).unwrap();
    let before = meco.clone();
    let inf = f64::INFINITY;
    let text = |e: MecoError| e.to_string();
    assert_eq!(meco.observe(&[]).unwrap_err(), MecoError::Empty("noise"));
    assert!(text(meco.observe(&[0.0, inf]).unwrap_err()).contains("inf of the model"));
    assert!(text(meco.observe(&[0.0, f64::NAN]).unwrap_err()).contains("sample 1"));
    assert_eq!(meco.observe(&[-inf, -inf]).unwrap_err(), MecoError::Vanished(2));
    let mut loss = |x: &[f64], y: &[f64], q: &[f64]| {
        let vector = |v: &[f64]| tracked(v.to_vec(), [v.len()], DType::F32);
        text(meco.loss(vector(x), vector(y), vector(q)).unwrap_err())
    };
    assert!(loss(&[0.0], &[0.0], &[-inf]).contains("-inf of the noise law at sample 0 of the noise"));
    assert!(loss(&[0.0], &[0.0], &[f64::NAN]).contains("noise law"));
    assert!(loss(&[inf], &[0.0], &[0.0]).contains("model at sample 0 of the data"));
    assert!(loss(&[0.0], &[0.0, 1.0], &[0.0]).contains("1 log-densities of the noise law for 2 samples"));
    assert!(loss(&[0.0], &[f64::NAN], &[0.0]).contains("of the noise"));
    assert_eq!(meco, before);
    // a sample of no density is no harm beside others
    let seen = meco.observe(&[-inf, 0.0]).unwrap();
    assert_eq!(seen.weights[0], 0.0);
    assert!(seen.warning().unwrap().contains("1.00 effective of 2"));
    assert!(meco.observe(&[0.0, 0.0]).unwrap().warning().is_none());
    // states
    let state = |values: Vec<f64>| {
        let n = values.len();
        std::collections::BTreeMap::from([("log_normaliser".to_string(), TensorData::new(values, [n]))])
    };
    assert!(text(meco.load_state(&state(vec![1.0, 2.0])).unwrap_err()).contains("one finite number"));
    assert!(text(meco.load_state(&state(vec![f64::NAN])).unwrap_err()).contains("NaN"));
    assert!(text(meco.load_state(&Default::default()).unwrap_err()).contains("missing"));
    let mut other = Meco::new(0.5).unwrap();
    other.load_state(&meco.state()).unwrap();
    assert_eq!(other, meco);
    other.load_state(&state(vec![])).unwrap();
    assert_eq!(other.log_normaliser(), None);
}
