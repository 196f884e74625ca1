//! Presets and their building blocks: identities of their papers, finite differences, edges.

use crate::common::numeric::*;
use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn log_sums_are_what_they_say() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for round in 0..24 {
        let (n, m, d) = (rng.random_range(1..20), rng.random_range(1..30usize), rng.random_range(1..9));
        let (a, c) = (normal(&mut rng, n, d), normal(&mut rng, m, d));
        // anchor 0 is compared with nothing
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for i in 0..n {
            columns.extend((0..m as u32).filter(|_| i == 0 || rng.random::<f64>() < 0.3));
            offsets.push(columns.len());
        }
        let lists = PairLists::new(offsets, columns, None).unwrap();
        let mut exclusions = Exclusions::lists(lists.clone());
        if round % 2 == 0 {
            exclusions = exclusions.with_own_row(1);
        }
        let temperature = [0.05, 0.5, 2.0][round % 3];
        let expected: Vec<f64> = (0..n)
            .map(|i| {
                let open = |j: &usize| {
                    let own = round % 2 == 0 && *j == i + 1;
                    !own && lists.of(i).binary_search(&(*j as u32)).is_err()
                };
                let dot = |j: usize| (0..d).map(|k| a[i * d + k] * c[j * d + k]).sum::<f64>() / temperature;
                let logits: Vec<f64> = (0..m).filter(open).map(dot).collect();
                let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if logits.is_empty() { top } else { top + logits.iter().map(|s| (s - top).exp()).sum::<f64>().ln() }
            })
            .collect();
        let weights: Vec<f64> = (0..n).map(|_| rng.random::<f64>() - 0.5).collect();
        for portable in [false, true] {
            let _bodies = contrastive_core::testing::portable(portable);
            let sums = LogSums::new(temperature).unwrap().with_similarity(Similarity::Dot);
            let sums = sums.with_exclusions(exclusions.clone());
            let got = sums.values(&Inputs::new(leaf(&a, d), leaf(&c, d)));
            for (got, expected) in got.iter().zip(&expected) {
                assert!(got == expected || (got - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{got} {expected}");
            }
            assert_eq!(got[0], f64::NEG_INFINITY);
            let f = |x: &[Tensor<2>]| {
                let result = sums.weighted(&Inputs::new(x[0].clone(), x[1].clone()), weights.clone(), Wanted::ALL);
                let g = result.gradients;
                let value = contrastive_core::attach::attach(result.value, &x[0], g.anchors.unwrap());
                contrastive_core::attach::attach(value, &x[1], g.candidates.unwrap())
            };
            let (value, _) = gradients(&[a.clone(), c.clone()], d, f);
            let finite = weights.iter().zip(&expected).filter(|(_, e)| e.is_finite());
            close("weighted sum", &[value], &[finite.map(|(w, e)| w * e).sum()], 1e-10, 1e-10);
            differences("log sums", &[a.clone(), c.clone()], d, 2, f);
        }
    }
}

#[test]
fn composed_gradients_agree_with_finite_differences() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for round in 0..6 {
        let (n, d) = (rng.random_range(2..9), rng.random_range(2..7));
        let mut table = |rows| normal(&mut rng, rows, d);
        let two = [table(n), table(n)];
        let hard = [two[0].clone(), two[1].clone(), table(2 * n)];
        let relations = [two[0].clone(), two[1].clone(), table(3 * n)];
        let t = [0.3, 0.7][round % 2];
        for (hidden, beta) in [(0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.05, 0.3)] {
            let objective = DebiasedInfoNce::new(t, hidden).unwrap().with_hardness(beta).unwrap();
            let what = format!("debiased {hidden} {beta}");
            differences(&what, &two, d, 2, |x| objective.loss(x[0].clone(), x[1].clone()));
        }
        let ranking = || MultipleNegativesRanking::new(t).unwrap();
        for ranking in [ranking(), ranking().with_both_directions(), ranking().with_joint_denominator()] {
            let what = format!("{ranking:?}");
            differences(&what, &two, d, 2, |x| ranking.loss(x[0].clone(), x[1].clone()));
            differences(&what, &hard, d, 3, |x| {
                ranking.loss_with_hard_negatives(x[0].clone(), x[1].clone(), x[2].clone())
            });
        }
        let ressl = ReSsl::new(t, t / 3.0).unwrap();
        differences("ReSSL", &relations, d, 1, |x| ressl.loss_among(x[0].clone(), x[1].clone(), x[2].clone()));
        let moco = Moco::new(t).unwrap();
        differences("MoCo", &relations, d, 3, |x| moco.loss_among(x[0].clone(), x[1].clone(), x[2].clone()));
    }
}

#[test]
fn debiased_streams_its_definition() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    for round in 0..6 {
        let (n, d) = (rng.random_range(2..40), rng.random_range(2..9));
        let two = [normal(&mut rng, n, d), normal(&mut rng, n, d)];
        let t = [0.05, 0.3, 1.0][round % 3];
        for (hidden, beta) in [(0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.05, 0.3), (0.6, 2.0)] {
            let objective = DebiasedInfoNce::new(t, hidden).unwrap().with_hardness(beta).unwrap();
            let of =
                |f: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| gradients(&two, d, |x| f(x[0].clone(), x[1].clone()));
            let dense = of(&|a, b| objective.dense(a, b));
            same("native", of(&|a, b| objective.loss(a, b)), dense.clone(), 1e-10);
            same("portable", of(&|a, b| contrastive_core::testing::portably(|| objective.loss(a, b))), dense, 1e-10);
        }
    }
}

#[test]
fn clamped_negatives_have_no_gradient() {
    needs_f64!();
    // with so many hidden positives the corrected sum is below its least value in every row: the loss is a function of
    // the positive logit alone
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let first = normal(&mut rng, 5, 4);
    let second: Vec<f64> = first.iter().map(|x| 1.5 * x + 0.01 * rng.random::<f64>()).collect();
    let (t, tables) = (0.5, [first, second]);
    let objective = DebiasedInfoNce::new(t, 0.9).unwrap().with_hardness(1.0).unwrap();
    let alone = |x: &[Tensor<2>]| {
        let unit = |x: &Tensor<2>| contrastive_core::similarity::unit_rows(x.clone());
        let s = (unit(&x[0]) * unit(&x[1])).sum_dim(1) * (1.0 / t);
        let least = 8.0 * (-1.0f64 / t).exp();
        ((s * -1.0).exp() * least + 1.0).log().mean()
    };
    same(
        "clamped",
        gradients(&tables, 4, |x| objective.loss(x[0].clone(), x[1].clone())),
        gradients(&tables, 4, alone),
        1e-12,
    );
}

#[test]
fn limits_are_the_simpler_objectives() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..6 {
        let (n, d) = (rng.random_range(2..12), rng.random_range(2..7));
        let mut table = |rows| normal(&mut rng, rows, d);
        let (two, t) = ([table(n), table(n)], 0.2);
        let more = [two[0].clone(), two[1].clone(), table(2 * n)];
        let pair =
            |f: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| gradients(&two, d, |x| f(x[0].clone(), x[1].clone()));
        let nt_xent = pair(&|a, b| NtXent::new(t).unwrap().loss(a, b));
        same(
            "no hidden positives",
            pair(&|a, b| DebiasedInfoNce::new(t, 0.0).unwrap().loss(a, b)),
            nt_xent.clone(),
            1e-10,
        );
        for beta in [1e-7, 1e-15, 1e-30, 1e-50] {
            let gentle = DebiasedInfoNce::new(t, 0.0).unwrap().with_hardness(beta).unwrap();
            same("hardness near 0", pair(&|a, b| gentle.loss(a, b)), nt_xent.clone(), 1e-5);
        }
        let plain = pair(&|a, b| PlainGrace::loss(t, a, b));
        same("GRACE by its formula", pair(&|a, b| Grace::new(t).unwrap().loss(a, b)), plain, 1e-10);

        let ranking = || MultipleNegativesRanking::new(t).unwrap();
        let infonce = pair(&|a, b| InfoNce::new(t).unwrap().loss(a, b));
        same("one way", pair(&|a, b| ranking().loss(a, b)), infonce.clone(), 1e-10);
        same("no hardness", pair(&|a, b| ranking().with_hardness(0.0).unwrap().loss(a, b)), infonce.clone(), 1e-10);
        let clip = pair(&|a, b| Clip::new(t).unwrap().loss(a, b));
        same("symmetric", pair(&|a, b| ranking().with_both_directions().loss(a, b)), clip.clone(), 1e-10);
        same("between views", pair(&|a, b| Grace::new(t).unwrap().with_inter_view_only().loss(a, b)), clip, 1e-10);
        let halves = |x: &[Tensor<2>]| {
            let there = ranking().loss_with_hard_negatives(x[0].clone(), x[1].clone(), x[2].clone());
            (there + ranking().loss(x[1].clone(), x[0].clone())) * 0.5
        };
        let symmetric = |x: &[Tensor<2>]| {
            ranking().with_both_directions().loss_with_hard_negatives(x[0].clone(), x[1].clone(), x[2].clone())
        };
        same("symmetric, hard negatives", gradients(&more, d, symmetric), gradients(&more, d, halves), 1e-10);

        // the support holds the first views themselves: NNCLR is InfoNCE of the second views
        let support = queue(&two[0], d);
        let nearest = gradients(&two, d, |x| NnClr::new(t).unwrap().loss(x[0].clone(), x[1].clone(), &support));
        close("NNCLR", &[nearest.0], &[infonce.0], 1e-10, 1e-10);
        close("NNCLR, second views", &nearest.1[1], &infonce.1[1], 1e-10, 1e-10);
        assert!(nearest.1[0].iter().all(|&g| g == 0.0));

        // a student that agrees with its teacher has nothing to learn
        let agreed =
            |x: &[Tensor<2>]| ReSsl::new(t, t).unwrap().loss_among(x[0].clone(), x[0].clone().detach(), x[2].clone());
        let (_, rest) = gradients(&more, d, agreed);
        assert!(rest[0].iter().all(|g| g.abs() < 1e-12), "{:?}", rest[0]);
        // a teacher that is certain names the nearest candidate
        let certain =
            |x: &[Tensor<2>]| ReSsl::new(t, 1e-5).unwrap().loss_among(x[0].clone(), x[1].clone(), x[2].clone());
        let named = |x: &[Tensor<2>]| {
            let nearest = nearest_rows(x[1].clone(), x[2].clone(), Similarity::Cosine);
            let nearest: Vec<u32> = nearest.into_data().iter::<i64>().map(|j| j as u32).collect();
            let objective = PairObjective::new(t).unwrap().with_pairs(Pairs::one_each(nearest));
            objective.loss(&Inputs::new(x[0].clone(), x[2].clone().detach()))
        };
        same("certain teacher", gradients(&more, d, certain), gradients(&more, d, named), 1e-8);
    }
}

#[test]
fn grace_of_orthonormal_nodes() {
    // identical views, n orthonormal rows: n - 1 negatives within and n - 1 between the views, all at cosine 0
    let (n, t) = (5usize, 0.4f64);
    let identity = || tracked((0..n * n).map(|k| f64::from(k % (n + 1) == 0)).collect(), [n, n], DType::F32);
    let expected = ((1.0 / t).exp() + 2.0 * (n as f64 - 1.0)).ln() - 1.0 / t;
    let loss = Grace::new(t).unwrap().loss(identity(), identity());
    close("GRACE", &values(&loss), &[expected], 1e-6, 1e-6);
    let between = ((1.0 / t).exp() + n as f64 - 1.0).ln() - 1.0 / t;
    let loss = Grace::new(t).unwrap().with_inter_view_only().loss(identity(), identity());
    close("between views", &values(&loss), &[between], 1e-6, 1e-6);
}

/// GRACE's equation in tensor operations.
struct PlainGrace;

impl PlainGrace {
    fn one(t: f64, u: &Tensor<2>, v: &Tensor<2>) -> Tensor<1> {
        let between = (u.clone().matmul(v.clone().transpose()) * (1.0 / t)).exp();
        let within = (u.clone().matmul(u.clone().transpose()) * (1.0 / t)).exp();
        let own = ((u.clone() * v.clone()).sum_dim(1) * (1.0 / t)).exp();
        let itself = ((u.clone() * u.clone()).sum_dim(1) * (1.0 / t)).exp();
        ((between.sum_dim(1) + within.sum_dim(1) - itself) / own).log().mean()
    }

    fn loss(t: f64, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
        let unit = contrastive_core::similarity::unit_rows;
        let (u, v) = (unit(a), unit(b));
        (Self::one(t, &u, &v) + Self::one(t, &v, &u)) * 0.5
    }
}

#[test]
fn nearest_rows_are_nearest() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..10 {
        let (n, m, d) = (rng.random_range(1..40), rng.random_range(1..50usize), rng.random_range(1..9));
        let (a, c) = (normal(&mut rng, n, d), normal(&mut rng, m, d));
        let single = |v: &[f64]| tracked(v.to_vec(), [v.len() / d, d], DType::F32);
        for similarity in [Similarity::Cosine, Similarity::Dot] {
            let got = nearest_rows(single(&a), single(&c), similarity).into_data().iter::<i64>().collect::<Vec<_>>();
            for (i, &got) in got.iter().enumerate() {
                let score = |j: usize| {
                    let dot: f64 = (0..d).map(|k| a[i * d + k] * c[j * d + k]).sum();
                    let length = (0..d).map(|k| c[j * d + k].powi(2)).sum::<f64>().sqrt();
                    if similarity == Similarity::Cosine { dot / length } else { dot }
                };
                let best = (0..m).map(score).fold(f64::NEG_INFINITY, f64::max);
                assert!(score(got as usize) >= best - 1e-5 * (1.0 + best.abs()), "row {i}: {got}");
            }
        }
    }
}

#[test]
fn nothing_to_compare_costs_nothing() {
    let one = || tracked(vec![0.3, -0.4, 1.0], [1, 3], DType::F32);
    let (a, b) = (one(), one());
    let empty = Queue::new(4, 3, &device()).unwrap();
    let losses = [
        Moco::new(0.1).unwrap().loss(a.clone(), b.clone(), &empty),
        DebiasedInfoNce::new(0.1, 0.1).unwrap().with_hardness(1.0).unwrap().loss(a.clone(), b.clone()),
        MultipleNegativesRanking::new(0.1).unwrap().with_hardness(1.0).unwrap().loss(a.clone(), b.clone()),
    ];
    for loss in losses {
        assert_eq!(values(&loss), [0.0]);
        let gradients = loss.backward();
        assert!(values(&a.grad(&gradients).unwrap()).iter().all(|&g| g == 0.0));
    }
}

/// A loss of two views.
type Views<'a> = &'a dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

#[test]
fn sharp_temperatures_are_safe_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (first, second) = (normal(&mut rng, 16, 8), normal(&mut rng, 16, 8));
    let run = |dtype: DType, f: Views| {
        let (a, b) = (tracked(first.clone(), [16, 8], dtype), tracked(second.clone(), [16, 8], dtype));
        let loss = f(a.clone(), b.clone());
        let value = values(&loss);
        let g = loss.backward();
        (value, [values(&a.grad(&g).unwrap()), values(&b.grad(&g).unwrap())].concat())
    };
    // logits to 1,000: their exponentials are beyond f64
    let t = 1e-3;
    let ranking = || MultipleNegativesRanking::new(t).unwrap();
    let all: [(&str, Views); 4] = [
        ("debiased", &|a, b| DebiasedInfoNce::new(t, 0.1).unwrap().loss(a, b)),
        ("hard", &|a, b| DebiasedInfoNce::new(t, 0.1).unwrap().with_hardness(1.0).unwrap().loss(a, b)),
        ("joint", &|a, b| ranking().with_joint_denominator().loss(a, b)),
        ("hardness", &|a, b| ranking().with_hardness(9.0).unwrap().loss(a, b)),
    ];
    for (name, f) in all {
        let single = run(DType::F32, f);
        assert!(single.0[0].is_finite() && single.1.iter().all(|g| g.is_finite()), "{name}");
        if has_f64() {
            let double = run(DType::F64, f);
            close(name, &single.0, &double.0, 0.0, 1e-4);
            close(name, &single.1, &double.1, 1e-2 / t * 0.01, 1e-3);
        }
    }
}

#[test]
fn extreme_temperatures_are_evaluated() {
    let rows = || tracked((0..24).map(|k| f64::from(k * 7 % 11) - 5.0).collect(), [8, 3], DType::F32);
    for t in [1e-9, 1e9] {
        for beta in [0.0, 1.0] {
            let objective = DebiasedInfoNce::new(t, 0.1).unwrap().with_hardness(beta).unwrap();
            let (a, b) = (rows(), rows());
            let loss = objective.loss(a.clone(), b);
            assert!(values(&loss)[0].is_finite(), "temperature {t}, beta {beta}: {}", values(&loss)[0]);
            assert!(values(&a.grad(&loss.backward()).unwrap()).iter().all(|g| g.is_finite()), "{t} {beta}");
        }
    }
    for t in [1e-10, 1e10] {
        assert!(DebiasedInfoNce::new(t, 0.1).unwrap_err().to_string().contains("from 1e-9 to 1e9"));
    }
}

#[test]
fn what_is_not_a_number_stays_none() {
    let (n, d) = (4, 3);
    let table = |bad: Option<f64>| {
        let mut values: Vec<f64> = (0..n * d).map(|k| ((k * 37) % 11) as f64 - 5.0).collect();
        values[4] = bad.unwrap_or(values[4]);
        tracked(values, [n, d], DType::F32)
    };
    for bad in [f64::NAN, f64::INFINITY] {
        for (a, b) in [(table(Some(bad)), table(None)), (table(None), table(Some(bad)))] {
            let debiased = DebiasedInfoNce::new(0.2, 0.1).unwrap();
            let ranking = || MultipleNegativesRanking::new(0.2).unwrap();
            let pairs = Inputs::new(a.clone(), b.clone());
            let losses = [
                ("debiased", debiased.loss(a.clone(), b.clone())),
                ("hard", debiased.clone().with_hardness(1.0).unwrap().loss(a.clone(), b.clone())),
                ("ranking", ranking().loss(a.clone(), b.clone())),
                ("symmetric", ranking().with_both_directions().loss(a.clone(), b.clone())),
                ("joint", ranking().with_joint_denominator().loss(a.clone(), b.clone())),
                ("hardness", ranking().with_hardness(1.0).unwrap().loss(a.clone(), b.clone())),
                ("ReSSL", ReSsl::new(0.1, 0.05).unwrap().loss_among(a.clone(), b.clone(), table(None))),
                ("MoCo", Moco::new(0.1).unwrap().loss_among(a.clone(), b.clone(), table(None))),
                ("GRACE", Grace::new(0.1).unwrap().loss(a.clone(), b.clone())),
                ("similarities", PairContrastive::of_similarities(1.0, 0.5).unwrap().loss(&pairs)),
                ("distances", PairContrastive::of_distances(0.0, 1.0).unwrap().loss(&pairs)),
            ];
            for (name, loss) in losses {
                assert!(!values(&loss)[0].is_finite(), "{name} of {bad}: {}", values(&loss)[0]);
            }
        }
    }
}

#[test]
fn bad_choices_are_named() {
    let text = |e: contrastive_core::error::ObjectiveError| e.to_string();
    for t in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(text(Moco::new(t).unwrap_err()).contains("temperature"));
        assert!(text(NnClr::new(t).unwrap_err()).contains("temperature"));
        assert!(text(ReSsl::new(0.1, t).unwrap_err()).contains("temperature"));
        assert!(text(ReSsl::new(t, 0.1).unwrap_err()).contains("temperature"));
        assert!(text(Grace::new(t).unwrap_err()).contains("temperature"));
        assert!(text(LogSums::new(t).unwrap_err()).contains("temperature"));
        assert!(text(DebiasedInfoNce::new(t, 0.1).unwrap_err()).contains("temperature"));
        assert!(text(MultipleNegativesRanking::new(t).unwrap_err()).contains("temperature"));
        assert!(text(BilinearInfoNce::with_temperature(t).unwrap_err()).contains("temperature"));
    }
    assert!(text(DebiasedInfoNce::new(0.1, 1.0).unwrap_err()).contains("below 1"));
    assert!(
        text(DebiasedInfoNce::new(0.1, -0.1).unwrap_err())
            .contains("tau_plus, the share of positives among the negatives")
    );
    let debiased = DebiasedInfoNce::new(0.1, 0.1).unwrap();
    assert!(text(debiased.with_hardness(f64::NAN).unwrap_err()).contains("hardness"));
    let ranking = MultipleNegativesRanking::new(0.1).unwrap();
    assert!(text(ranking.with_hardness(-1.0).unwrap_err()).contains("hardness"));
}
