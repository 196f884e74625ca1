//! The analysis of contrastive losses, and the hard contrastive loss: closed forms, limits, identities, and digits.

use crate::common::numeric::{differences, gradients, leaf, normal, same};
use crate::common::*;
use burn::module::Module;
use burn::optim::AdamConfig;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::diagnostics::*;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, Pairs};
use contrastive_core::similarity::unit_rows;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn random(seed: u64, rows: usize, width: usize) -> Vec<f64> {
    normal(&mut ChaCha8Rng::seed_from_u64(seed), rows, width)
}

/// A positive and negatives like cosines.
fn similarities(seed: u64, count: usize) -> (f64, Vec<f64>) {
    let all = random(seed, count + 1, 1);
    let cosine = |x: &f64| (x * 0.6).tanh();
    (cosine(&all[0]), all[1..].iter().map(cosine).collect())
}

fn unit(seed: u64, rows: usize, width: usize) -> Tensor<2> {
    unit_rows(leaf(&random(seed, rows, width), width)).inner()
}

#[test]
fn the_closed_form_is_the_gradient() {
    needs_f64!();
    let (positive, negatives) = similarities(1, 9);
    for tau in [0.05, 0.5, 5.0] {
        let got = row_gradient(positive, &negatives, tau).unwrap();
        let all = [vec![positive], negatives.clone()].concat();
        let s = leaf(&all, all.len());
        let logits = s.clone() * (1.0 / tau);
        let top = all.iter().copied().fold(f64::NEG_INFINITY, f64::max) / tau;
        let loss = (logits.clone() - top).exp().sum().log() + top - logits.slice([0..1, 0..1]).sum();
        close("loss", &[got.loss], &values(&loss), 1e-12, 1e-10);
        let expected = values(&s.grad(&loss.backward()).unwrap());
        close("gradient", &[vec![got.positive], got.negatives.clone()].concat(), &expected, 1e-9, 1e-6);
        let total: f64 = got.negatives.iter().sum();
        close("pull and push", &[total], &[-got.positive], 1e-12, 1e-10);
    }
}

#[test]
fn penalties_are_a_boltzmann_law() {
    let (positive, negatives) = similarities(2, 12);
    let mut last = f64::NEG_INFINITY;
    for tau in [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0] {
        let r = penalties(&negatives, tau).unwrap();
        close("sum", &[r.iter().sum()], &[1.0], 1e-12, 0.0);
        for positive in [positive, 0.99, -0.9] {
            let g = row_gradient(positive, &negatives, tau).unwrap();
            if g.positive < -1e-200 {
                let ratio: Vec<f64> = g.negatives.iter().map(|n| n / -g.positive).collect();
                close("whatever the positive", &ratio, &r, 1e-12, 1e-9);
            }
        }
        let shifted: Vec<f64> = negatives.iter().map(|s| s + 0.3).collect();
        close("shifted", &penalties(&shifted, tau).unwrap(), &r, 1e-12, 1e-9);
        for (a, b) in
            negatives.iter().zip(&negatives[1..]).zip(r.iter().zip(&r[1..])).map(|(s, r)| (s.0 - s.1, r.0 - r.1))
        {
            assert!(a * b >= 0.0, "harder negatives are punished more");
        }
        let h = entropy(&r);
        assert!(h > last, "the entropy grows with the temperature");
        last = h;
        let at = |tau: f64| entropy(&penalties(&negatives, tau).unwrap());
        let e = 1e-4 * tau;
        let numeric = (8.0 * (at(tau + e) - at(tau - e)) - (at(tau + 2.0 * e) - at(tau - 2.0 * e))) / (12.0 * e);
        close("slope", &[entropy_slope(&negatives, tau).unwrap()], &[numeric], 1e-7, 1e-6);
    }
    let equal = [0.4; 5];
    for tau in [0.1, 1.0] {
        close("equal negatives", &[entropy(&penalties(&equal, tau).unwrap())], &[5f64.ln()], 1e-12, 1e-12);
        close("no slope", &[entropy_slope(&equal, tau).unwrap()], &[0.0], 1e-12, 0.0);
    }
}

#[test]
fn limits_are_a_triplet_and_the_simple_loss() {
    let (positive, negatives) = similarities(3, 14);
    let n = (negatives.len() + 1) as f64;
    let hardest = negatives.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for positive in [positive, 0.95, -0.5] {
        for tau in [1e-3, 0.01, 0.1, 1.0] {
            let loss = row_gradient(positive, &negatives, tau).unwrap().loss;
            let triplet = (hardest - positive).max(0.0);
            assert!((tau * loss - triplet).abs() <= tau * n.ln() + 1e-12, "tau {tau}: {}", tau * loss - triplet);
        }
        let tau = 100.0;
        let mean = (positive + negatives.iter().sum::<f64>()) / n;
        let loss = row_gradient(positive, &negatives, tau).unwrap().loss;
        assert!((loss - n.ln() - (mean - positive) / tau).abs() < 1e-3);
    }
}

#[test]
fn the_whole_interval_is_infonce() {
    needs_f64!();
    let (n, d, tau) = (9, 4, 0.3);
    let tables = [random(4, n, d), random(5, n, d)];
    let hard = HardContrastive::new(tau, 1.0).unwrap();
    same(
        "one direction",
        gradients(&tables, d, |x| hard.loss(x[0].clone(), x[1].clone())),
        gradients(&tables, d, |x| InfoNce::new(tau).unwrap().loss(x[0].clone(), x[1].clone())),
        1e-9,
    );
    same(
        "two views",
        gradients(&tables, d, |x| hard.loss_of_views(x[0].clone(), x[1].clone())),
        gradients(&tables, d, |x| NtXent::new(tau).unwrap().loss(x[0].clone(), x[1].clone())),
        1e-9,
    );
    // the simple loss is the limit of a large temperature: tau (L - log n) -> (n - 1) / n of it
    let simple = HardContrastive::simple(1.0, 1.0).unwrap();
    let (value, slopes) = gradients(&tables, d, |x| simple.loss(x[0].clone(), x[1].clone()));
    let warm = 1e5;
    let (limit, limit_slopes) =
        gradients(&tables, d, |x| HardContrastive::new(warm, 1.0).unwrap().loss(x[0].clone(), x[1].clone()));
    let factor = n as f64 / (n as f64 - 1.0);
    close("limit", &[(limit - (n as f64).ln()) * warm * factor], &[value], 1e-4, 1e-4);
    for (a, b) in limit_slopes.iter().zip(&slopes) {
        close("slopes", &a.iter().map(|g| g * warm * factor).collect::<Vec<_>>(), b, 1e-4, 1e-4);
    }
}

#[test]
fn intervals_grow_with_their_fraction() {
    needs_f64!();
    let (n, d, tau) = (12, 4, 0.4);
    let tables = [random(6, n, d), random(7, n, d)];
    let at = |fraction: f64| {
        gradients(&tables, d, |x| HardContrastive::new(tau, fraction).unwrap().loss(x[0].clone(), x[1].clone())).0
    };
    let losses: Vec<f64> = [0.01, 0.1, 0.3, 0.5, 0.8, 1.0].map(at).to_vec();
    assert!(losses.is_sorted() && losses[0] < losses[5], "{losses:?}");
    // one negative: the hardest alone
    let (a, c) = (unit(6, n, d), unit(7, n, d));
    let s: Vec<Vec<f64>> = values(&a.matmul(c.transpose())).chunks(n).map(<[f64]>::to_vec).collect();
    let row = |i: usize| {
        let hardest = (0..n).filter(|j| *j != i).map(|j| s[i][j]).fold(f64::NEG_INFINITY, f64::max);
        (1.0 + ((hardest - s[i][i]) / tau).exp()).ln()
    };
    close("the hardest", &[losses[0]], &[(0..n).map(row).sum::<f64>() / n as f64], 1e-12, 1e-10);
    // all ties with the last that is kept stay
    let anchor = [1.0, 0.0];
    let candidates = [[0.9, 0.1], [0.6, 0.8], [0.6, 0.8], [-1.0, 0.0]];
    let ties = |fraction: f64| {
        let inputs = Inputs::new(leaf(&anchor, 2), leaf(candidates.as_flattened(), 2));
        values(&HardContrastive::new(1.0, fraction).unwrap().loss_of(&inputs, &Pairs::Diagonal, &Exclusions::none()))[0]
    };
    let positive = 0.9 / (0.81f64 + 0.01).sqrt();
    close("ties", &[ties(0.34)], &[(1.0 + 2.0 * (0.6 - positive).exp()).ln()], 1e-12, 1e-10);
}

#[test]
fn dense_native_and_portable_agree() {
    needs_f64!();
    let (n, m, d) = (6, 11, 4);
    let tables = [random(8, n, d), random(9, m, d)];
    let labels: Vec<i64> = (0..m as i64).map(|j| j % 4).collect();
    let ids: Vec<i64> = (0..m as i64).map(|j| j % 7).collect();
    // the third class has no positive among the candidates of its anchors: it counts as 0
    let choices = [
        (Pairs::Diagonal, Exclusions::none()),
        (Pairs::Diagonal, Exclusions::same_ids(&ids[..n], &ids)),
        (Pairs::labels_between(&[0, 1, 9, 3, 0, 1], &labels), Exclusions::own_row(0)),
    ];
    for (pairs, exclusions) in &choices {
        for fraction in [0.05, 0.4, 1.0] {
            for hard in [HardContrastive::new(0.2, fraction).unwrap(), HardContrastive::simple(0.7, fraction).unwrap()]
            {
                let what = format!("{pairs:?} {hard:?}");
                let inputs = |x: &[Tensor<2>]| Inputs::new(x[0].clone(), x[1].clone());
                let dense = gradients(&tables, d, |x| hard.dense(&inputs(x), pairs, exclusions));
                let native = gradients(&tables, d, |x| hard.loss_of(&inputs(x), pairs, exclusions));
                same(&what, native, dense.clone(), 1e-10);
                let portable = contrastive_core::testing::portably(|| {
                    gradients(&tables, d, |x| hard.loss_of(&inputs(x), pairs, exclusions))
                });
                same(&what, portable, dense, 1e-10);
                differences(&what, &tables, d, 2, |x| hard.loss_of(&inputs(x), pairs, exclusions));
            }
        }
    }
    // permuted candidates change nothing, and f32 is near
    let hard = HardContrastive::new(0.2, 0.4).unwrap();
    let value = |dtype: DType, from: usize| {
        let rows: Vec<f64> = (0..m).flat_map(|j| tables[1][(j + from) % m * d..][..d].to_vec()).collect();
        let positives = (0..n).map(|i| ((i + m - from) % m) as u32).collect();
        let inputs = Inputs::new(tracked(tables[0].clone(), [n, d], dtype), tracked(rows, [m, d], dtype));
        values(&hard.loss_of(&inputs, &Pairs::one_each(positives), &Exclusions::none()))[0]
    };
    close("permuted", &[value(DType::F64, 3)], &[value(DType::F64, 0)], 1e-12, 1e-12);
    close("f32", &[value(DType::F32, 0)], &[value(DType::F64, 0)], 1e-6, 1e-5);
}

#[test]
fn a_report_is_the_mean_of_its_rows() {
    needs_f64!();
    let (n, d, tau) = (10, 5, 0.3);
    let table = random(10, n, d);
    let inputs = Inputs::self_contrast(leaf(&table, d));
    let fractions = [0.1, 0.5, 1.0];
    let report = hardness(&inputs, &Pairs::TwoViews, &Exclusions::none(), tau, &fractions).unwrap();
    let u = unit_rows(leaf(&table, d)).inner();
    let s: Vec<Vec<f64>> = values(&u.clone().matmul(u.transpose())).chunks(n).map(<[f64]>::to_vec).collect();
    let mut sums = [0.0; 6];
    let mut separation = 0.0;
    for i in 0..n {
        let twin = (i + n / 2) % n;
        let mut negatives: Vec<f64> = (0..n).filter(|j| *j != i && *j != twin).map(|j| s[i][j]).collect();
        negatives.sort_by(|a, b| b.total_cmp(a));
        let r = penalties(&negatives, tau).unwrap();
        let g = row_gradient(s[i][twin], &negatives, tau).unwrap();
        close("entropy", &[report.entropies[i]], &[entropy(&r)], 1e-12, 1e-10);
        // 8 negatives: 1, 4 and 8 of them
        let parts = [r[0], r[..4].iter().sum(), 1.0, entropy(&r).exp(), -g.positive * tau, g.loss];
        sums.iter_mut().zip(parts).for_each(|(s, p)| *s += p / n as f64);
        separation += (s[i][twin] - negatives[..3].iter().sum::<f64>() / 3.0) / n as f64;
    }
    let got = [report.shares.clone(), vec![report.effective_negatives, report.pull, report.loss]].concat();
    close("report", &got, &sums, 1e-12, 1e-10);
    close("loss", &[report.loss], &values(&NtXent::new(tau).unwrap().objective().loss(&inputs)), 1e-12, 1e-10);
    let got = local_separation(&inputs, &Pairs::TwoViews, &Exclusions::none(), 3).unwrap();
    close("separation", &[got], &[separation], 1e-12, 1e-10);
    // colder: the hardest take more
    let colder = hardness(&inputs, &Pairs::TwoViews, &Exclusions::none(), tau / 3.0, &fractions).unwrap();
    assert!(colder.shares[0] > report.shares[0] && colder.effective_negatives < report.effective_negatives);
}

#[test]
fn metrics_of_the_sphere() {
    needs_f64!();
    let plain = |values: Vec<f64>, n: usize, d: usize| {
        Tensor::<2>::from_data(TensorData::new(values, [n, d]), (&device(), DType::F64))
    };
    let mut eye = vec![0.0; 25];
    (0..5).for_each(|k| eye[k * 6] = 1.0);
    close("orthonormal", &[uniformity(&plain(eye, 5, 5), 2.0).unwrap()], &[-4.0], 1e-12, 1e-10);
    let equal = plain([0.6, 0.8].repeat(4), 4, 2);
    close("equal", &[uniformity(&equal, 2.0).unwrap()], &[0.0], 1e-12, 0.0);
    let tolerant = tolerance(&equal, &[1, 1, 2, 2]).unwrap();
    close("identical", &[tolerant.conditional, tolerant.joint], &[1.0, 4.0 / 12.0], 1e-12, 1e-12);
    assert_eq!(tolerance(&equal, &[1, 2, 3, 4]).unwrap_err(), BehaviourError::NoPairs(4));

    let (n, d) = (40, 3);
    let x = unit(11, n, d);
    let labels: Vec<i64> = (0..n as i64).map(|i| i * i % 5).collect();
    let s: Vec<f64> = values(&x.clone().matmul(x.clone().transpose()));
    let pairs = || (0..n * n).filter(|k| k / n != k % n);
    let kernel = pairs().map(|k| (-2.0 * (2.0 - 2.0 * s[k])).exp()).sum::<f64>() / (n * (n - 1)) as f64;
    close("dense", &[uniformity(&x, 2.0).unwrap()], &[kernel.ln()], 1e-10, 1e-8);
    let alike: Vec<f64> = pairs().filter(|k| labels[k / n] == labels[k % n]).map(|k| s[k]).collect();
    let sum: f64 = alike.iter().sum();
    let got = tolerance(&x, &labels).unwrap();
    let expected = [sum / alike.len() as f64, sum / (n * (n - 1)) as f64];
    close("tolerance", &[got.conditional, got.joint], &expected, 1e-12, 1e-10);
    // a turn about the third axis
    let (sine, cosine) = 0.7f64.sin_cos();
    let turn = plain(vec![cosine, sine, 0.0, -sine, cosine, 0.0, 0.0, 0.0, 1.0], 3, 3);
    let turned = x.clone().matmul(turn);
    close("turned", &[uniformity(&turned, 2.0).unwrap()], &[uniformity(&x, 2.0).unwrap()], 1e-12, 1e-10);
    let gap = x.clone() - turned.clone();
    close(
        "alignment",
        &[alignment(&x, &turned).unwrap()],
        &values(&((gap.clone() * gap).sum() / n as f64)),
        1e-12,
        1e-6,
    );
    close("aligned", &[alignment(&x, &x).unwrap()], &[0.0], 0.0, 0.0);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let x = || unit_rows(tracked(random(12, 4, 3), [4, 3], DType::F32)).inner();
    let inputs = || Inputs::new(x(), x());
    let none = Exclusions::none;
    let text = |e: BehaviourError| e.to_string();
    let refused = [
        (text(penalties(&[0.1], 0.0).unwrap_err()), "temperature 0"),
        (text(penalties(&[0.1], f64::NAN).unwrap_err()), "temperature NaN"),
        (text(penalties(&[], 0.1).unwrap_err()), "no negatives"),
        (text(penalties(&[f64::NAN], 0.1).unwrap_err()), "not finite"),
        (text(row_gradient(f64::INFINITY, &[0.1], 0.1).unwrap_err()), "not finite"),
        (HardContrastive::new(0.1, 0.0).unwrap_err().to_string(), "(0, 1]"),
        (HardContrastive::new(0.1, 1.5).unwrap_err().to_string(), "(0, 1]"),
        (HardContrastive::new(0.1, f64::NAN).unwrap_err().to_string(), "NaN"),
        (HardContrastive::new(f64::NAN, 0.5).unwrap_err().to_string(), "temperature NaN"),
        (HardContrastive::simple(-1.0, 0.5).unwrap_err().to_string(), "repulsion -1"),
        (text(hardness(&inputs(), &Pairs::Diagonal, &none(), 0.1, &[0.0]).unwrap_err()), "(0, 1]"),
        (text(hardness(&inputs(), &Pairs::Diagonal, &none(), -0.1, &[0.5]).unwrap_err()), "temperature -0.1"),
        (
            text(hardness(&inputs(), &Pairs::labels(&[1; 4]), &none(), 0.1, &[]).unwrap_err()),
            "anchor 0 has no negatives",
        ),
        (
            text(hardness(&inputs(), &Pairs::Diagonal, &Exclusions::own_row(0), 0.1, &[]).unwrap_err()),
            "anchor 0 has no positive",
        ),
        (text(local_separation(&inputs(), &Pairs::Diagonal, &none(), 0).unwrap_err()), "hardest negatives 0"),
        (text(tolerance(&x(), &[1, 2]).unwrap_err()), "2 labels for 4 rows"),
        (text(tolerance(&(x() * 1.01), &[1; 4]).unwrap_err()), "row 0 has length 1.0"),
        (text(uniformity(&(x() * 0.5), 2.0).unwrap_err()), "it must be 1"),
        (text(uniformity(&x().slice([0..1, 0..3]), 2.0).unwrap_err()), "at least 2"),
        (text(uniformity(&x(), 0.0).unwrap_err()), "sharpness"),
        (text(alignment(&x(), &(x() * 2.0)).unwrap_err()), "length 2"),
    ];
    for (error, part) in refused {
        assert!(error.contains(part), "{error:?} does not speak of {part:?}");
    }
    let broken = Inputs::new(x() * f32::NAN, x());
    assert_eq!(hardness(&broken, &Pairs::Diagonal, &none(), 0.1, &[]).unwrap_err(), BehaviourError::NotFinite(0));
}

/// What a run on digits ended with.
#[derive(Clone, Copy, Default)]
struct Ended {
    uniformity: f64,
    tolerance: f64,
    accuracy: f64,
}

/// 600 digits, in-batch contrast of 64, 40 epochs: the mean of two seeds.
fn learn(data: &digits::Digits, loss: &dyn Fn(usize, Tensor<2>, Tensor<2>) -> Tensor<1>) -> Ended {
    let mut mean = Ended::default();
    for seed in 0..2 {
        let device = device().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
        let mut network = digits::Mlp::new(&[64, 128, 64, 32], seed, &device);
        let mut optimiser = AdamConfig::new().init();
        let train = &data.images[..600];
        for epoch in 0..40 {
            for batch in digits::shuffled(&mut rng, train.len()).chunks_exact(64) {
                let mut views = || {
                    let rows: Vec<_> = batch.iter().map(|i| digits::view(&train[*i], &mut rng)).collect();
                    digits::tensor(&rows, &device)
                };
                let (a, b) = (network.forward(views()), network.forward(views()));
                network = digits::step(network, &mut optimiser, 2e-3, loss(epoch, a, b));
            }
        }
        let network = network.valid();
        let all = digits::tensor(&data.images, &device.clone().inner());
        let features = digits::rows_of(network.up_to(2, all.clone()));
        let outputs = unit_rows(network.forward(all).slice([0..600, 0..32]));
        let labels: Vec<i64> = data.labels[..600].iter().map(|l| *l as i64).collect();
        let [few, _] = data.pick(&(0..600).collect::<Vec<_>>()).split(|_| 10);
        let pick =
            |places: &[usize]| (places.iter().map(|i| features[*i].clone()).collect::<Vec<_>>(), places.to_vec());
        let (shown, shown_at) = pick(&few);
        let (hidden, hidden_at) = pick(&(600..data.images.len()).collect::<Vec<_>>());
        let of = |places: &[usize]| places.iter().map(|i| data.labels[*i]).collect::<Vec<_>>();
        let accuracy = digits::probe((&shown, &of(&shown_at)), (&hidden, &of(&hidden_at)));
        mean.uniformity += uniformity(&outputs, 2.0).unwrap() / 2.0;
        mean.tolerance += tolerance(&outputs, &labels).unwrap().conditional / 2.0;
        mean.accuracy += accuracy / 2.0;
    }
    mean
}

#[test]
fn digits_show_the_dilemma() {
    let Some(data) = digits::digits() else { return };
    let softmax = |tau: f64| {
        let objective = NtXent::new(tau).unwrap();
        learn(&data, &move |_, a, b| objective.loss(a, b))
    };
    let show = |what: &str, e: Ended| {
        println!("{what:12} uniformity {:.2} tolerance {:.2} accuracy {:.3}", e.uniformity, e.tolerance, e.accuracy);
        e
    };
    let runs = [0.2, 0.5, 1.0].map(|tau| show(&format!("tau {tau}"), softmax(tau)));
    let plain = HardContrastive::simple(1.0, 1.0).unwrap();
    let simple = show("simple", learn(&data, &move |_, a, b| plain.loss_of_views(a, b)));
    let (warm, interval) = (NtXent::new(1.0).unwrap(), HardContrastive::new(1.0, 0.25).unwrap());
    let hard = learn(&data, &move |epoch, a, b| match epoch < 10 {
        true => warm.loss(a, b),
        false => interval.loss_of_views(a, b),
    });
    let hard = show("hard, tau 1", hard);
    assert!(runs[0].uniformity < runs[1].uniformity && runs[1].uniformity < runs[2].uniformity);
    let best = runs.iter().map(|r| r.accuracy).fold(0.0, f64::max);
    assert!(best > simple.accuracy + 0.02, "{best} against {}", simple.accuracy);
    assert!(hard.uniformity < runs[2].uniformity - 0.2);
    assert!(hard.accuracy >= runs[2].accuracy);
}
