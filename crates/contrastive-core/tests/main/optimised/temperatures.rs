//! iSogCLR: temperatures of samples.

use crate::common::*;
use crate::optimised::support::*;
use contrastive_core::objective::*;

/// A rule that takes every derivative as it is.
fn plain(start: f64, radius: f64, rate: f64) -> TemperatureRule {
    TemperatureRule::unimodal()
        .with_range(start, 0.01, 5.0)
        .and_then(|r| r.with_radius(radius))
        .and_then(|r| r.with_rate(rate))
        .and_then(|r| r.with_momentum(1.0))
        .and_then(|r| r.with_clip(None))
        .unwrap()
}

#[test]
fn frozen_temperatures_are_sogclr() {
    needs_f64!();
    for views in [Views::Alike, Views::Modalities] {
        let rule = TemperatureRule::unimodal().with_range(0.2, 0.05, 1.0).and_then(|r| r.with_rate(0.0)).unwrap();
        let mut each = isogclr(6, rule, views, 0.7);
        let mut one = sogclr(6, 0.2, views, 0.7);
        for (k, index) in [[0, 1, 2], [2, 3, 0], [5, 0, 1]].iter().enumerate() {
            let (a, b) = (rows(k as u64, [3, 4]), rows(9 + k as u64, [3, 4]));
            let (got, expected) = (each.evaluate(&a, &b, index).unwrap(), one.evaluate(&a, &b, index).unwrap());
            close("first", &values(&got.first), &values(&expected.first), 1e-15, 1e-13);
            close("second", &values(&got.second), &values(&expected.second), 1e-15, 1e-13);
            close("value", &values(&got.value), &values(&expected.value), 1e-15, 1e-13);
        }
    }
}

#[test]
fn a_step_of_a_temperature_is_the_divergence() {
    needs_f64!();
    let (n, d, tau, radius, rate) = (4, 3, 0.3, 0.4, 1e-3);
    let index: Vec<usize> = (0..n).collect();
    for views in [Views::Alike, Views::Modalities] {
        let (a, b) = (rows(1, [n, d]), rows(2, [n, d]));
        let mut objective = isogclr(n, plain(tau, radius, rate), views, 1.0);
        let estimate = objective.evaluate(&a, &b, &index).unwrap();
        let all = differences_to_positives(views, &values(&a), &values(&b), d);
        let mut divergences = Vec::new();
        for (side, h) in all.iter().enumerate() {
            for i in 0..n {
                let views: Vec<&Vec<f64>> = h.iter().skip(i).step_by(n).collect();
                let mean = |f: &dyn Fn(&[f64]) -> f64| views.iter().map(|h| f(h)).sum::<f64>() / views.len() as f64;
                let slope = (tau - objective.temperature(side == 1, i)) / rate;
                let divergence = mean(&|h| softmax(h, tau).2);
                divergences.push(divergence);
                close("slope", &[slope], &[radius - divergence], 1e-10, 1e-9);
                let value = |tau: f64| mean(&|h| tau * softmax(h, tau).0 + tau * radius);
                let e = 1e-4;
                close("differences", &[slope], &[(value(tau + e) - value(tau - e)) / (2.0 * e)], 1e-5, 1e-5);
            }
        }
        let mean = divergences.iter().sum::<f64>() / divergences.len() as f64;
        close("divergence", &[estimate.divergence], &[mean], 1e-10, 1e-9);
    }
}

#[test]
fn temperatures_settle_at_the_radius_or_at_a_bound() {
    needs_f64!();
    let (n, d) = (6, 4);
    let index: Vec<usize> = (0..n).collect();
    let (a, b) = (rows(3, [n, d]), rows(4, [n, d]));
    let h = &differences_to_positives(Views::Alike, &values(&a), &values(&b), d)[0];
    let settle = |rule: TemperatureRule, steps: usize| -> Vec<f64> {
        let mut objective = isogclr(n, rule, Views::Alike, 1.0);
        for _ in 0..steps {
            objective.evaluate(&a, &b, &index).unwrap();
        }
        (0..n).map(|i| objective.temperature(false, i)).collect()
    };
    let divergence = |i: usize, tau: f64| (softmax(&h[i], tau).2 + softmax(&h[i + n], tau).2) / 2.0;
    let radius = 0.5;
    let settled = settle(plain(0.3, radius, 0.1), 400);
    for (i, got) in settled.iter().enumerate() {
        let (mut low, mut high) = (0.01, 5.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if divergence(i, middle) > radius { low = middle } else { high = middle }
        }
        close("settled", &[*got], &[low], 1e-6, 1e-6);
    }
    // no softmax over 2n - 2 is so far from uniform; none is so near
    let beyond = ((2 * n - 2) as f64).ln() + 0.01;
    assert_eq!(settle(plain(0.3, beyond, 0.1), 400), vec![0.01; n]);
    let none = plain(0.3, 0.0, 0.1).with_range(0.3, 0.01, 0.6).unwrap();
    assert_eq!(settle(none, 400), vec![0.6; n]);
}

#[test]
fn derivatives_are_clipped_and_averaged() {
    needs_f64!();
    let (a, b) = (rows(5, [3, 4]), rows(6, [3, 4]));
    let rule = plain(0.5, 100.0, 0.01).with_clip(Some(2.0)).and_then(|r| r.with_momentum(0.25)).unwrap();
    let mut objective = isogclr(3, rule, Views::Alike, 1.0);
    let mut expected = 0.5;
    let mut momentum = 0.0;
    for _ in 0..4 {
        objective.evaluate(&a, &b, &[0, 1, 2]).unwrap();
        momentum = 0.75 * momentum + 0.25 * 2.0;
        expected -= 0.01 * momentum;
        close("temperature", &[objective.temperature(false, 1)], &[expected], 1e-14, 1e-12);
    }
}

#[test]
fn denominators_may_follow_their_temperature() {
    needs_f64!();
    // a slow average, fixed rows, all negatives: only the temperature moves
    let (n, d) = (6, 4);
    let index: Vec<usize> = (0..n).collect();
    let (a, b) = (rows(7, [n, d]), rows(8, [n, d]));
    let h = &differences_to_positives(Views::Alike, &values(&a), &values(&b), d)[0];
    let error = |rescale: bool| {
        let mut objective = isogclr(n, plain(0.4, 0.5, 0.005).with_rescaling(rescale), Views::Alike, 0.05);
        (0..15).for_each(|_| _ = objective.evaluate(&a, &b, &index).unwrap());
        let of = |i: usize| {
            let tau = objective.temperature(false, i);
            let exact = (softmax(&h[i], tau).0.exp() + softmax(&h[i + n], tau).0.exp()).ln() - 2f64.ln();
            (objective.log_denominator(false, i).unwrap() - exact).abs()
        };
        (0..n).map(of).sum::<f64>() / n as f64
    };
    let (left, followed) = (error(false), error(true));
    println!("mean error of the log-denominators: {left:.4} left alone, {followed:.4} rescaled");
    assert!(followed < 0.5 * left, "{followed} against {left}");
}
