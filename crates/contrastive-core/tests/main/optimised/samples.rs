//! SogCLR and iSogCLR: denominators of samples.

use crate::common::*;
use crate::optimised::support::*;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;

/// Either objective.
enum Objective {
    One(SogClr),
    Each(ISogClr),
}

impl Objective {
    fn of(case: &Value, views: Views) -> Self {
        let number = |name: &str| case["params"][name].as_f64().unwrap();
        let (samples, gamma) = (number("N") as usize, number("gamma"));
        let remembered = if views == Views::Alike { Remembered::Similarities } else { Remembered::Differences };
        if case["name"].as_str().unwrap().starts_with("sogclr") {
            return Self::One(sogclr(samples, number("tau"), views, gamma).with_remembered(remembered));
        }
        let rule = TemperatureRule::unimodal()
            .with_range(number("tau"), number("tau_min"), number("tau_max"))
            .and_then(|r| r.with_radius(number("rho")))
            .and_then(|r| r.with_rate(number("eta")))
            .and_then(|r| r.with_momentum(number("beta")))
            .and_then(|r| r.with_clip(None));
        Self::Each(isogclr(samples, rule.unwrap(), views, gamma).with_remembered(remembered))
    }

    fn loss(&mut self, a: Tensor<2>, b: Tensor<2>, index: &[usize]) -> Tensor<1> {
        match self {
            Self::One(o) => o.loss(a, b, index),
            Self::Each(o) => o.loss(a, b, index),
        }
        .unwrap()
    }

    fn state(&self) -> BTreeMap<String, TensorData> {
        match self {
            Self::One(o) => o.state(),
            Self::Each(o) => o.state(),
        }
    }

    /// LibAUC decides by the batch: a sample that is new among known ones is averaged with a denominator of 0, whose
    /// logarithm, as far as f64 sees, is this.
    fn as_if_all_were_seen(&mut self) {
        let mut state = self.state();
        for prefix in ["", "first.", "second."] {
            let (Some(seen), Some(logs)) =
                (state.get(&format!("{prefix}seen")), state.get(&format!("{prefix}log_denominators")))
            else {
                continue;
            };
            let logs: Vec<f64> =
                logs.iter::<f64>().zip(seen.iter::<i64>()).map(|(l, s)| if s == 1 { l } else { -1e30 }).collect();
            let n = logs.len();
            state.insert(format!("{prefix}log_denominators"), TensorData::new(logs, [n]));
            state.insert(format!("{prefix}seen"), TensorData::new(vec![1i64; n], [n]));
        }
        match self {
            Self::One(o) => o.load_state(&state),
            Self::Each(o) => o.load_state(&state),
        }
        .unwrap();
    }
}

/// The logarithms that a golden state holds; minus infinity where there is nothing.
fn golden_logs(step: &Value, prefix: &str) -> Vec<f64> {
    let list = |name: &str| numbers(&step[name]);
    match prefix {
        "" => list("u_after").iter().map(|u| u.ln()).collect(),
        _ => {
            let k = if prefix == "first." { 1 } else { 2 };
            let (u, b) = (list(&format!("u{k}_after")), list(&format!("b{k}_after")));
            u.iter().zip(b).map(|(u, b)| u.ln() + b).collect()
        }
    }
}

#[test]
fn golden_sogclr_and_isogclr() {
    let Some(file) = golden("sogclr.json") else { return };
    for case in cases(&file) {
        let name = case["name"].as_str().unwrap();
        let views = if name.contains("unimodal") { Views::Alike } else { Views::Modalities };
        let types = if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] };
        for dtype in types {
            // the moving average carries an f32 error of a logit, about 1e-6, on to later steps
            let (value_bound, bound, state_bound) =
                if dtype == DType::F64 { (1e-10, (1e-9, 1e-9), 1e-9) } else { (2e-5, (2e-5, 1e-4), 2e-5) };
            let mut objective = Objective::of(case, views);
            for (k, step) in case["expected"]["steps"].as_array().unwrap().iter().enumerate() {
                let what = format!("{name} {dtype:?} step {k}");
                let input = |name: &str| &case["inputs"][format!("{name}_{k}")];
                let (a, b) = (matrix(input("z0"), dtype), matrix(input("z1"), dtype));
                let index: Vec<usize> = integers(input("index")).iter().map(|i| *i as usize).collect();
                // LibAUC takes the mean of both directions, and does not divide by the number of negatives
                let factor = if views == Views::Alike { 1.0 } else { (index.len() as f64 - 1.0) / 2.0 };
                let loss = objective.loss(a.clone(), b.clone(), &index);
                let expected = step["loss"].as_f64().unwrap();
                close(&what, &[values(&loss)[0] * factor], &[expected], value_bound, value_bound);
                let got = gradients(loss, &[&a, &b]);
                for (got, table) in got.iter().zip(["z0", "z1"]) {
                    let got: Vec<f64> = got.iter().map(|g| g * factor).collect();
                    let expected = numbers(&step["grads"][format!("{table}_{k}")]);
                    close(&format!("{what}, gradient of {table}"), &got, &expected, bound.0, bound.1);
                }
                let state = objective.state();
                let prefixes: &[(&str, &str)] = match views {
                    Views::Alike => &[("", "tau_after")],
                    Views::Modalities => &[("first.", "tau_image_after"), ("second.", "tau_text_after")],
                };
                for (prefix, tau) in prefixes {
                    let logs: Vec<f64> = state[&format!("{prefix}log_denominators")].iter::<f64>().collect();
                    let seen: Vec<i64> = state[&format!("{prefix}seen")].iter::<i64>().collect();
                    for (i, expected) in golden_logs(step, prefix).into_iter().enumerate() {
                        let got = if seen[i] == 1 && logs[i] > -1e29 { logs[i] } else { f64::NEG_INFINITY };
                        assert!(
                            got == expected || (got - expected).abs() < state_bound * expected.abs().max(1.0),
                            "{what}: log-denominator {i}: {got} instead of {expected}"
                        );
                    }
                    if let Some(values) = state.get(&format!("{prefix}temperatures")) {
                        let got: Vec<f64> = values.iter::<f64>().collect();
                        let bound = if dtype == DType::F64 { 1e-10 } else { 1e-6 };
                        close(&format!("{what}, temperatures"), &got, &numbers(&step[*tau]), bound, bound);
                    }
                }
                objective.as_if_all_were_seen();
            }
        }
    }
}

#[test]
fn a_single_batch_is_decoupled_infonce() {
    needs_f64!();
    let (n, d, tau) = (7, 5, 0.3);
    let index: Vec<usize> = (0..n).collect();
    let tables = || (rows(1, [n, d]), rows(2, [n, d]));
    for views in [Views::Alike, Views::Modalities] {
        let (a, b) = tables();
        let loss = sogclr(n, tau, views, 1.0).loss(a.clone(), b.clone(), &index).unwrap();
        let got = gradients(loss, &[&a, &b]);
        let (a, b) = tables();
        let decoupled = PairObjective::new(tau).unwrap().with_denominator(Denominator::NegativesOnly);
        let loss = match views {
            Views::Alike => {
                let table = Tensor::cat(vec![a.clone(), b.clone()], 0);
                decoupled.with_pairs(Pairs::TwoViews).loss(&Inputs::self_contrast(table))
            }
            Views::Modalities => decoupled.with_direction(Direction::Both).loss(&Inputs::new(a.clone(), b.clone())),
        };
        // its value is the mean over both sides, this one's their sum
        let expected = gradients(loss * (2.0 * tau), &[&a, &b]);
        for (got, expected) in got.iter().zip(&expected) {
            close(&format!("{views:?}"), got, expected, 1e-12, 1e-10);
        }
    }
}

#[test]
fn gradients_are_the_differences_of_the_objective() {
    needs_f64!();
    let (n, d, tau) = (4, 3, 0.2);
    let index: Vec<usize> = (0..n).collect();
    let data = [normal(3, n * d), normal(4, n * d)];
    for views in [Views::Alike, Views::Modalities] {
        // with gamma = 1 what is watched is the objective itself
        let at = |data: &[Vec<f64>; 2]| {
            let [a, b] = data.clone().map(|x| tracked(x, [n, d], DType::F64));
            sogclr(n, tau, views, 1.0).evaluate(&a, &b, &index).unwrap()
        };
        let exact = at(&data);
        for (table, gradient) in [values(&exact.first), values(&exact.second)].iter().enumerate() {
            for k in 0..n * d {
                let moved = |h: f64| {
                    let mut moved = data.clone();
                    moved[table][k] += h;
                    2.0 * at(&moved).objective
                };
                let h = 1e-4;
                let numeric = (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h);
                close(&format!("{views:?} {table} {k}"), &[gradient[k]], &[numeric], 1e-9, 1e-7);
            }
        }
    }
}

/// The surrogate by autodiff of plain tensor operations, its weights held fast.
fn dense_gradients(views: Views, a: &Tensor<2>, b: &Tensor<2>, tau: f64, logs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    use contrastive_core::similarity::unit_rows;
    let n = a.dims()[0];
    let (u, v) = (unit_rows(a.clone()), unit_rows(b.clone()));
    let sides = match views {
        Views::Alike => {
            let all = Tensor::cat(vec![u.clone(), v.clone()], 0);
            vec![(all.clone(), all, Tensor::cat(vec![v, u], 0))]
        }
        Views::Modalities => vec![(u.clone(), v.clone(), v.clone()), (v, u.clone(), u)],
    };
    let mut total: Option<Tensor<1>> = None;
    for ((anchors, candidates, positives), logs) in sides.into_iter().zip(logs) {
        let [rows, m] = [anchors.dims()[0], candidates.dims()[0]];
        let negatives = (m - m / n) as f64;
        let h = anchors.clone().matmul(candidates.transpose()) - (anchors * positives).sum_dim(1);
        let plain = values(&h);
        let weight = |i: usize, j: usize| match i % n == j % n {
            true => 0.0,
            false => (plain[i * m + j] / tau - logs[i]).exp() / (negatives * n as f64),
        };
        let weights = (0..rows * m).map(|k| weight(k / m, k % m)).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [rows, m]), (&device().autodiff(), DType::F64));
        let part = (h * weights).sum();
        total = Some(match total {
            Some(sum) => sum + part,
            None => part,
        });
    }
    gradients(total.unwrap(), &[a, b])
}

#[test]
fn steps_follow_the_definition() {
    needs_f64!();
    let (n, d, tau, gamma, samples) = (4, 3, 0.25, 0.6, 9);
    for views in [Views::Alike, Views::Modalities] {
        let mut objective = sogclr(samples, tau, views, gamma);
        let mut portable = objective.clone();
        let sides = if views == Views::Alike { 1 } else { 2 };
        let mut kept = vec![vec![None::<f64>; samples]; sides];
        for (k, index) in [[0, 1, 2, 3], [3, 5, 1, 8], [8, 0, 7, 3], [3, 2, 1, 0]].iter().enumerate() {
            let (a, b) = (rows(10 + k as u64, [n, d]), rows(20 + k as u64, [n, d]));
            let logs: Vec<Vec<f64>> = differences_to_positives(views, &values(&a), &values(&b), d)
                .iter()
                .enumerate()
                .map(|(side, h)| {
                    let new = h.iter().map(|h| softmax(h, tau).0.exp()).collect::<Vec<_>>();
                    let average = |(i, new): (usize, &f64)| match kept[side][index[i % n]] {
                        None => *new,
                        Some(old) => (1.0 - gamma) * old + gamma * new,
                    };
                    let all: Vec<f64> = new.iter().enumerate().map(average).collect();
                    for (i, sample) in index.iter().enumerate() {
                        let views: Vec<f64> = all.iter().skip(i).step_by(n).copied().collect();
                        kept[side][*sample] = Some(views.iter().sum::<f64>() / views.len() as f64);
                    }
                    all.iter().map(|s| s.ln()).collect()
                })
                .collect();
            let expected = dense_gradients(views, &a, &b, tau, &logs);
            for (objective, on) in [(&mut objective, false), (&mut portable, true)] {
                let _bodies = contrastive_core::testing::portable(on);
                let got = objective.evaluate(&a, &b, index).unwrap();
                close("first", &values(&got.first), &expected[0], 1e-12, 1e-9);
                close("second", &values(&got.second), &expected[1], 1e-12, 1e-9);
                let watched = logs.concat().iter().map(|l| tau * l).sum::<f64>() / logs.concat().len() as f64;
                close("watched", &[got.objective], &[watched], 1e-12, 1e-10);
            }
            for (side, kept) in kept.iter().enumerate() {
                for (sample, kept) in kept.iter().enumerate() {
                    let got = objective.log_denominator(side == 1, sample);
                    assert_eq!(got.is_some(), kept.is_some(), "{views:?} step {k}: sample {sample}");
                    if let (Some(got), Some(kept)) = (got, kept) {
                        close("denominator", &[got], &[kept.ln()], 1e-10, 1e-10);
                    }
                }
            }
        }
    }
}

/// Cold temperatures overflow `e^{h / tau}`; the codes keep an offset for each sample, here there are logarithms.
#[test]
fn logarithms_and_offsets_agree_at_a_temperature_of_a_hundredth() {
    needs_f64!();
    let (n, d, tau, gamma) = (5, 4, 0.01, 0.8);
    let index: Vec<usize> = (0..n).collect();
    let mut objective = sogclr(n, tau, Views::Modalities, gamma);
    // s e^{-b} and b of each sample of each modality
    let mut kept = vec![vec![(0.0f64, 0.0f64); n]; 2];
    for k in 0..6 {
        let (a, b) = (rows(30 + k, [n, d]), rows(40 + k, [n, d]));
        objective.evaluate(&a, &b, &index).unwrap();
        let all = differences_to_positives(Views::Modalities, &values(&a), &values(&b), d);
        for (side, rows) in all.iter().enumerate() {
            for (i, h) in rows.iter().enumerate() {
                let (s, b) = kept[side][i];
                let offset = h.iter().fold(if k == 0 { f64::NEG_INFINITY } else { b }, |b, h| b.max(h / tau));
                let new = h.iter().map(|h| (h / tau - offset).exp()).sum::<f64>() / h.len() as f64;
                let s = if k == 0 { new } else { (1.0 - gamma) * s * (b - offset).exp() + gamma * new };
                kept[side][i] = (s, offset);
                let got = objective.log_denominator(side == 1, i).unwrap();
                assert!(got.abs() > 1.0, "a denominator far from 1");
                close("log-denominator", &[got], &[s.ln() + offset], 1e-5, 1e-9);
            }
        }
    }
}

/// A row's positive may be more or less similar: its negatives' weights do not see it.
#[test]
fn a_shift_of_a_row_leaves_its_weights() {
    needs_f64!();
    let (n, d, tau) = (5, 3, 0.2);
    let index: Vec<usize> = (0..n).collect();
    let (p, q) = (normal(50, n * d), normal(51, n * d));
    let half = 0.5f64.sqrt();
    // every first row has a coordinate of its own, which only its positive shares
    let table = |x: &[f64], own: &dyn Fn(usize) -> f64| {
        let row = |i: usize| {
            let mut row = unit(&x[i * d..][..d]).iter().map(|v| v * half).collect::<Vec<_>>();
            row.resize(d + n + 1, 0.0);
            row[d + i] = own(i) * half;
            row[d + n] = (1.0 - own(i) * own(i)).max(0.0).sqrt() * half;
            row
        };
        tracked((0..n).flat_map(row).collect(), [n, d + n + 1], DType::F64)
    };
    let first = table(&p, &|_| 1.0);
    let run = |shared: f64| {
        let mut objective = sogclr(n, tau, Views::Modalities, 1.0);
        let second = table(&q, &|i| shared * (1.0 + i as f64 / 10.0));
        let h = differences_to_positives(Views::Modalities, &values(&first), &values(&second), d + n + 1);
        objective.evaluate(&first, &second, &index).unwrap();
        let logs: Vec<f64> = (0..n).map(|i| objective.log_denominator(false, i).unwrap()).collect();
        (h[0].clone(), logs)
    };
    let ((h, logs), (shifted, shifted_logs)) = (run(0.0), run(0.5));
    for i in 0..n {
        let by = 0.25 * (1.0 + i as f64 / 10.0);
        let divergence = [&h[i], &shifted[i]].map(|h| softmax(h, tau).2);
        close("weights", &[divergence[1]], &[divergence[0]], 1e-12, 1e-10);
        close("denominator", &[shifted_logs[i]], &[logs[i] - by / tau], 1e-10, 1e-10);
    }
}

#[test]
fn a_long_memory_brings_small_batches_near_the_whole() {
    needs_f64!();
    let (samples, d, tau, batch) = (200, 16, 0.1, 4);
    // neighbours in two views: samples with noise of their own
    let base = normal(60, samples * d);
    let view = |seed| base.iter().zip(normal(seed, samples * d)).map(|(x, e)| x + 0.1 * e).collect::<Vec<_>>();
    let tables = [view(61), view(62)];
    let all: Vec<usize> = (0..samples).collect();
    let pick = |table: &[f64], index: &[usize]| {
        let rows = index.iter().flat_map(|i| table[i * d..][..d].to_vec()).collect();
        tracked(rows, [index.len(), d], DType::F64)
    };
    let [a, b] = [0, 1].map(|k| pick(&tables[k], &all));
    let whole = sogclr(samples, tau, Views::Alike, 1.0).evaluate(&a, &b, &all).unwrap();
    let whole = [values(&whole.first), values(&whole.second)].concat();
    let error = |gamma: f64| {
        let mut objective = sogclr(samples, tau, Views::Alike, gamma);
        let mut rng = ChaCha8Rng::seed_from_u64(63);
        let mut sum = vec![0.0; 2 * samples * d];
        let (warm, epochs) = (30, 800);
        for epoch in 0..warm + epochs {
            for index in shuffled(&mut rng, samples).chunks(batch) {
                let [a, b] = [0, 1].map(|k| pick(&tables[k], index));
                let part = objective.evaluate(&a, &b, index).unwrap();
                if epoch < warm {
                    continue;
                }
                let share = batch as f64 / (samples * epochs) as f64;
                for (table, part) in [values(&part.first), values(&part.second)].iter().enumerate() {
                    for (i, row) in index.iter().zip(part.chunks(d)) {
                        let at = (table * samples + i) * d;
                        sum[at..at + d].iter_mut().zip(row).for_each(|(s, g)| *s += g * share);
                    }
                }
            }
        }
        let gap: f64 = sum.iter().zip(&whole).map(|(s, w)| (s - w) * (s - w)).sum();
        (gap / dot(&whole, &whole)).sqrt()
    };
    let (short, long) = (error(1.0), error(0.1));
    println!("relative error of the mean gradient of batches of {batch}: gamma 1 {short:.2}, gamma 0.1 {long:.2}");
    assert!(long < 0.6 * short, "{long} against {short}");
}

#[test]
fn a_stored_state_goes_on_as_if_nothing_had_happened() {
    needs_f64!();
    let (n, d, samples) = (4, 3, 6);
    for views in [Views::Alike, Views::Modalities] {
        let rule = TemperatureRule::unimodal();
        let fresh = || {
            let share = AverageWeight::cosine(0.3, 4).unwrap();
            ISogClr::new(samples, rule, views).unwrap().with_average(share)
        };
        let mut whole = fresh();
        let step = |objective: &mut ISogClr, k: u64, index: &[usize]| {
            let got = objective.evaluate(&rows(70 + k, [n, d]), &rows(80 + k, [n, d]), index).unwrap();
            [values(&got.first), values(&got.second), vec![got.objective, got.divergence]].concat()
        };
        step(&mut whole, 0, &[0, 1, 2, 3]);
        whole.begin_epoch(2);
        step(&mut whole, 1, &[3, 1, 5, 0]);
        let mut resumed = fresh();
        step(&mut resumed, 9, &[2, 3, 4, 5]);
        resumed.load_state(&whole.state()).unwrap();
        for (k, index) in [[4, 3, 1, 0], [5, 2, 0, 1]].iter().enumerate() {
            assert_eq!(step(&mut whole, k as u64, index), step(&mut resumed, k as u64, index));
        }
        for sample in 0..samples {
            assert_eq!(whole.temperature(true, sample), resumed.temperature(true, sample));
        }
        // an error changes nothing
        let before = whole.state();
        let mut broken = before.clone();
        broken.remove(if views == Views::Alike { "momenta" } else { "second.momenta" });
        assert!(whole.load_state(&broken).unwrap_err().to_string().contains("momenta is missing"));
        let broken = rows(1, [2, 3]) * f64::INFINITY;
        let error = whole.evaluate(&broken, &rows(2, [2, 3]), &[0, 1]).unwrap_err();
        assert_eq!(error, SampleError::NotFinite(0));
        assert_eq!(whole.state(), before);
    }
}
