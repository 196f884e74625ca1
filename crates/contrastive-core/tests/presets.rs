//! Presets and their building blocks: identities of their papers, finite differences, edges.

mod common;

use burn::tensor::{DType, Tensor};
use common::*;
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Finite differences and tight identities need f64; without it there is nothing to run.
macro_rules! needs_f64 {
    () => {
        if !has_f64() {
            println!("no f64 on this device; not compared");
            return;
        }
    };
}

fn normal(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Vec<f64> {
    (0..rows * width).map(|_| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0).collect()
}

fn leaf(values: &[f64], width: usize) -> Tensor<2> {
    tracked(values.to_vec(), [values.len() / width, width], DType::F64)
}

fn queue(values: &[f64], width: usize) -> Queue {
    let mut queue = Queue::new(values.len() / width, width, (&device(), DType::F64)).unwrap();
    queue.push(leaf(values, width));
    queue
}

/// Value and the gradients of the leaves (zeros where none arrives), with an upstream factor.
fn gradients(tables: &[Vec<f64>], width: usize, f: impl Fn(&[Tensor<2>]) -> Tensor<1>) -> (f64, Vec<Vec<f64>>) {
    let leaves: Vec<_> = tables.iter().map(|t| leaf(t, width)).collect();
    let value = f(&leaves);
    let all = (value.clone() * 3.0).backward();
    let of = |x: &Tensor<2>| x.grad(&all).map_or(vec![0.0; x.dims()[0] * width], |g| values(&(g / 3.0)));
    (values(&value)[0], leaves.iter().map(of).collect())
}

/// Central differences along random directions of every leaf whose gradient is wanted.
fn differences(what: &str, tables: &[Vec<f64>], width: usize, among: usize, f: impl Fn(&[Tensor<2>]) -> Tensor<1>) {
    let (_, expected) = gradients(tables, width, &f);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for k in 0..among {
        let direction: Vec<f64> = tables[k].iter().map(|_| rng.random::<f64>() - 0.5).collect();
        let at = |h: f64| {
            let mut moved = tables.to_vec();
            moved[k].iter_mut().zip(&direction).for_each(|(x, d)| *x += h * d);
            gradients(&moved, width, &f).0
        };
        let h = 1e-4;
        // fourth order
        let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let exact: f64 = expected[k].iter().zip(&direction).map(|(g, d)| g * d).sum();
        let error = (numeric - exact).abs();
        assert!(
            error < 1e-8 * (1.0 + exact.abs()),
            "{what}, input {k}: {exact} by the gradient, {numeric} by differences"
        );
    }
}

fn same(what: &str, a: (f64, Vec<Vec<f64>>), b: (f64, Vec<Vec<f64>>), tolerance: f64) {
    close(what, &[a.0], &[b.0], tolerance, tolerance);
    for (k, (a, b)) in a.1.iter().zip(&b.1).enumerate() {
        close(&format!("{what}, gradient {k}"), a, b, tolerance, tolerance);
    }
}

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
            exclusions = exclusions.and_own_row(1);
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
            let sums = LogSums::new(temperature).unwrap().similarity(Similarity::Dot).portable(portable);
            let sums = sums.exclusions(exclusions.clone());
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
        for ranking in [ranking(), ranking().symmetric(), ranking().joint()] {
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
        let gentle = DebiasedInfoNce::new(t, 0.0).unwrap().with_hardness(1e-9).unwrap();
        same("hardness near 0", pair(&|a, b| gentle.loss(a, b)), nt_xent.clone(), 1e-6);
        let plain = pair(&|a, b| PlainGrace::loss(t, a, b));
        same("GRACE by its formula", pair(&|a, b| Grace::new(t).unwrap().loss(a, b)), plain, 1e-10);

        let ranking = || MultipleNegativesRanking::new(t).unwrap();
        let infonce = pair(&|a, b| InfoNce::new(t).unwrap().loss(a, b));
        same("one way", pair(&|a, b| ranking().loss(a, b)), infonce.clone(), 1e-10);
        same("no hardness", pair(&|a, b| ranking().with_hardness(0.0).unwrap().loss(a, b)), infonce.clone(), 1e-10);
        let clip = pair(&|a, b| Clip::new(t).unwrap().loss(a, b));
        same("symmetric", pair(&|a, b| ranking().symmetric().loss(a, b)), clip.clone(), 1e-10);
        same("between views", pair(&|a, b| Grace::new(t).unwrap().between_views().loss(a, b)), clip, 1e-10);
        let halves = |x: &[Tensor<2>]| {
            let there = ranking().loss_with_hard_negatives(x[0].clone(), x[1].clone(), x[2].clone());
            (there + ranking().loss(x[1].clone(), x[0].clone())) * 0.5
        };
        let symmetric =
            |x: &[Tensor<2>]| ranking().symmetric().loss_with_hard_negatives(x[0].clone(), x[1].clone(), x[2].clone());
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
            let objective = PairObjective::new(t).unwrap().pairs(Pairs::one_each(nearest));
            objective.loss(&Inputs::new(x[0].clone(), x[2].clone().detach()))
        };
        same("certain teacher", gradients(&more, d, certain), gradients(&more, d, named), 1e-8);
    }
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

#[test]
fn sharp_temperatures_are_safe_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (first, second) = (normal(&mut rng, 16, 8), normal(&mut rng, 16, 8));
    let run = |dtype: DType, f: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| {
        let (a, b) = (tracked(first.clone(), [16, 8], dtype), tracked(second.clone(), [16, 8], dtype));
        let loss = f(a.clone(), b.clone());
        let value = values(&loss);
        let g = loss.backward();
        (value, [values(&a.grad(&g).unwrap()), values(&b.grad(&g).unwrap())].concat())
    };
    // logits to 1,000: their exponentials are beyond f64
    let t = 1e-3;
    let ranking = || MultipleNegativesRanking::new(t).unwrap();
    let all: [(&str, &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>); 4] = [
        ("debiased", &|a, b| DebiasedInfoNce::new(t, 0.1).unwrap().loss(a, b)),
        ("hard", &|a, b| DebiasedInfoNce::new(t, 0.1).unwrap().with_hardness(1.0).unwrap().loss(a, b)),
        ("joint", &|a, b| ranking().joint().loss(a, b)),
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
    assert!(text(DebiasedInfoNce::new(0.1, -0.1).unwrap_err()).contains("share of hidden positives"));
    let debiased = DebiasedInfoNce::new(0.1, 0.1).unwrap();
    assert!(text(debiased.with_hardness(f64::NAN).unwrap_err()).contains("hardness"));
    let ranking = MultipleNegativesRanking::new(0.1).unwrap();
    assert!(text(ranking.with_hardness(-1.0).unwrap_err()).contains("hardness"));
}

/// The contrastive loss of pairs in tensor operations, with the whole matrix.
fn plain_pairs(
    a: &Tensor<2>,
    c: &Tensor<2>,
    alike: &[f64],
    unlike: &[f64],
    margins: [f64; 2],
    distance: bool,
) -> Tensor<1> {
    let unit = |x: &Tensor<2>| contrastive_core::similarity::unit_rows(x.clone());
    let s = unit(a).matmul(unit(c).transpose());
    let [n, m] = s.dims();
    let mask = |x: &[f64]| tracked(x.to_vec(), [n, m], s.dtype()).detach();
    let (positive, negative) = match distance {
        false => (s.clone() * -1.0 + margins[0], s.clone() - margins[1]),
        true => {
            let d = (s.clone() * -2.0 + 2.0).clamp_min(1e-14).sqrt();
            (d.clone() - margins[0], d * -1.0 + margins[1])
        }
    };
    let mean = |x: Tensor<2>, among: &[f64]| {
        let cost = x.clamp_min(0.0) * mask(among);
        let count = values(&cost.clone()).iter().filter(|&&c| c > 0.0).count().max(1);
        cost.sum() * (1.0 / count as f64)
    };
    mean(positive, alike) + mean(negative, unlike)
}

#[test]
fn pair_contrastive_is_its_formula() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    // the last shape takes more than one block
    for (n, m, d) in [(1, 3, 2), (7, 12, 4), (12, 7, 3), (1100, 1100, 5)] {
        let tables = [normal(&mut rng, n, d), normal(&mut rng, m, d)];
        let classes = |rng: &mut ChaCha8Rng, k: usize| (0..k).map(|_| rng.random_range(0..3)).collect::<Vec<i64>>();
        let (of_a, of_c) = (classes(&mut rng, n), classes(&mut rng, m));
        let (mut alike, mut unlike) = (vec![0.0; n * m], vec![0.0; n * m]);
        for i in 0..n {
            // the exclusion: candidate i + 1 is the same thing as anchor i
            for j in (0..m).filter(|&j| j != i + 1) {
                (if of_a[i] == of_c[j] { &mut alike } else { &mut unlike })[i * m + j] = 1.0;
            }
        }
        for distance in [false, true] {
            let margins = if distance { [0.4, 1.3] } else { [0.8, -0.1] };
            let objective = match distance {
                true => PairContrastive::of_distances(margins[0], margins[1]),
                false => PairContrastive::of_similarities(margins[0], margins[1]),
            };
            let objective = objective.unwrap().pairs(Pairs::labels_between(&of_a, &of_c));
            let objective = objective.exclusions(Exclusions::own_row(1));
            let streamed = |x: &[Tensor<2>]| objective.loss(&Inputs::new(x[0].clone(), x[1].clone()));
            let plain = |x: &[Tensor<2>]| plain_pairs(&x[0], &x[1], &alike, &unlike, margins, distance);
            let what = format!("pairs {n} {m} {distance}");
            same(&what, gradients(&tables, d, streamed), gradients(&tables, d, plain), 1e-10);
            let result = objective.evaluate(&Inputs::new(leaf(&tables[0], d), leaf(&tables[1], d)), Wanted::VALUE);
            close("rows", &[values(&result.rows).iter().sum()], &values(&result.value), 1e-12, 1e-12);
            assert!(result.gradients.anchors.is_none() && result.gradients.candidates.is_none());
        }
    }
}

#[test]
fn pair_contrastive_of_a_table_with_itself() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut table = normal(&mut rng, 9, 4);
    let labels = [0, 0, 1, 2, 1, 0, 2, 3, 1];
    let within = |x: &[Tensor<2>]| {
        let objective = PairContrastive::of_distances(0.0, 1.2).unwrap().pairs(Pairs::labels(&labels));
        objective.loss(&Inputs::within(x[0].clone()))
    };
    differences("a table with itself", &[table.clone()], 4, 1, within);
    // rows of the same direction, one a positive and one a negative: costs are exact, gradients finite
    let twin: Vec<f64> = table[0..4].iter().map(|x| 2.0 * x).collect();
    table[4..8].copy_from_slice(&twin);
    table[8..12].copy_from_slice(&twin);
    let (value, all) = gradients(&[table], 4, within);
    assert!(value.is_finite() && all[0].iter().all(|g| g.is_finite() && g.abs() < 10.0), "{value} {all:?}");
    assert!(PairContrastive::of_distances(f64::NAN, 1.0).unwrap_err().to_string().contains("margins"));
}

#[test]
fn a_batch_meets_the_memory_but_not_itself() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let d = 5;
    // the second batch wraps round; the third is larger than the memory
    let batches: Vec<(Vec<f64>, Vec<i64>)> =
        [4, 5, 9].map(|n: usize| (normal(&mut rng, n, d), (0..n).map(|_| rng.random_range(0..3)).collect())).to_vec();
    let mut memory = Queue::labelled(7, d, (&device(), DType::F64)).unwrap();
    let mut held: Vec<(usize, usize)> = Vec::new();
    let objective = PairObjective::new(0.3).unwrap().reduction(Reduction::MeanWithPositives);
    for (b, (rows, labels)) in batches.iter().enumerate() {
        let before = memory.clone();
        let streamed = |x: &[Tensor<2>]| {
            let batch = CrossBatch::new(x[0].clone(), labels, &mut before.clone());
            batch.loss(&objective)
        };
        // by hand: the newest seven rows in any order, each row's own copy excluded
        held.extend((0..labels.len()).map(|i| (b, i)));
        let drop = held.len().saturating_sub(7);
        held.drain(..drop);
        let candidates: Vec<f64> = held.iter().flat_map(|&(b, i)| batches[b].0[i * d..(i + 1) * d].to_vec()).collect();
        let their: Vec<i64> = held.iter().map(|&(b, i)| batches[b].1[i]).collect();
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for i in 0..labels.len() {
            columns.extend(held.iter().position(|&h| h == (b, i)).map(|j| j as u32));
            offsets.push(columns.len());
        }
        let own = Exclusions::lists(PairLists::new(offsets, columns, None).unwrap());
        let by_hand = |x: &[Tensor<2>]| {
            let objective = objective.clone().pairs(Pairs::labels_between(labels, &their)).exclusions(own.clone());
            objective.dense(&Inputs::new(x[0].clone(), leaf(&candidates, d).detach()))
        };
        let tables = [rows.clone()];
        same("cross-batch", gradients(&tables, d, streamed), gradients(&tables, d, by_hand), 1e-10);
        memory.push_labelled(leaf(rows, d), labels);
    }
}
