//! Given pairs with labels: CoSENT, AnglE and their neighbours, and triplets of a batch of sentences.

use crate::common::*;
use crate::row_losses::Case;
use crate::row_losses::forms::{Form, agree};
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const PAIR: [&str; 2] = ["anchor", "positive"];

fn both(x: &[Tensor<2>]) -> (Tensor<2>, Tensor<2>) {
    (x[0].clone(), x[1].clone())
}

#[test]
fn golden_cosent_and_angle() {
    Case::each("sentence_losses", &["cosent"], |case| {
        let (objective, y) = (CoSent::new(case.number("scale")).unwrap(), case.list("label"));
        let cosines = |x: &[Tensor<2>]| {
            let unit = |x: &Tensor<2>| contrastive_core::similarity::unit_rows(x.clone());
            let n = x[0].dims()[0];
            (unit(&x[0]) * unit(&x[1])).sum_dim(1).reshape([n])
        };
        // f32: cosines times 20 in an exponent
        let forms: [Form; 2] = [&|x| objective.loss(both(x).0, both(x).1, &y), &|x| objective.dense(cosines(x), &y)];
        case.check(&PAIR, 4.0, &forms);
    });
    Case::each("sentence_losses", &["angle"], |case| {
        let (objective, y) = (AnglE::new(case.number("scale")).unwrap(), case.list("label"));
        let dense = |x: &[Tensor<2>]| {
            CoSent::new(case.number("scale")).unwrap().dense(AnglE::similarity(both(x).0, both(x).1), &y)
        };
        case.check(&PAIR, 4.0, &[&|x| objective.loss(both(x).0, both(x).1, &y), &dense]);
    });
}

#[test]
fn golden_pairs_with_scores_and_marks() {
    Case::each("sentence_losses", &["cosine_similarity_mse"], |case| {
        let y = case.list("label");
        case.check(&PAIR, 1.0, &[&|x| cosine_regression(both(x).0, both(x).1, &y)]);
    });
    for (name, online) in [("contrastive_pairs", false), ("online_contrastive", true)] {
        Case::each("sentence_losses", &[name], |case| {
            let alike: Vec<bool> = case.list("label").iter().map(|l| *l == 1.0).collect();
            let objective = ListedPairs::new(case.number("margin")).unwrap();
            let objective = if online { objective.with_online_mining() } else { objective };
            case.check(&PAIR, 1.0, &[&|x| objective.loss(both(x).0, both(x).1, &alike)]);
        });
    }
}

#[test]
fn golden_batch_triplets() {
    let labels = |case: &Case| integers(&case.case["inputs"]["label"]);
    Case::each("sentence_losses", &["batch_all_triplet"], |case| {
        let (y, objective) = (labels(case), Triplet::new(case.number("margin")).unwrap());
        let objective = objective.with_similarity(Similarity::Dot);
        case.check(&["anchor"], 1.0, &[&|x| objective.loss(x[0].clone(), &y)]);
    });
    Case::each("sentence_losses", &["batch_hard_triplet", "batch_semi_hard", "batch_hard_soft"], |case| {
        let y = labels(case);
        let objective = match case.name() {
            name if name.starts_with("batch_hard_soft") => HardTriplet::soft(),
            name if name.starts_with("batch_semi") => {
                HardTriplet::new(case.number("margin")).unwrap().with_semi_hard_negatives()
            }
            _ => HardTriplet::new(case.number("margin")).unwrap(),
        };
        case.check(&["anchor"], 1.0, &[&|x| objective.loss(x[0].clone(), &y)]);
    });
}

/// [`triplet_margin`] adds 1e-6 to differences, as torch does; the reference here does not.
#[test]
fn golden_triplets_but_for_torchs_epsilon() {
    Case::each("sentence_losses", &["triplet_s"], |case| {
        let input = |name: &str| matrix(&case.case["inputs"][name], case.dtype);
        let (a, p, n) = (input("anchor"), input("positive"), input("negative"));
        let loss = triplet_margin(a, p, n, case.number("margin"), false).unwrap();
        close(case.name(), &[one(loss)], &[case.case["expected"]["loss"].as_f64().unwrap()], 3e-6, 0.0);
    });
}

/// Scores and labels with many ties, far apart and close together: the sorted sum is the sum over all pairs.
#[test]
fn cosent_by_sorting_is_the_double_sum() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for (n, levels, spread) in [(1, 1, 1.0), (2, 2, 1.0), (40, 3, 1.0), (90, 90, 30.0), (25, 1, 1.0), (60, 5, 1e-6)] {
        let scores: Vec<f64> = (0..n).map(|_| rng.random_range(-spread..spread)).collect();
        let labels: Vec<f64> = (0..n).map(|_| rng.random_range(0..levels) as f64 / 4.0 - 0.5).collect();
        let objective = CoSent::new(20.0).unwrap();
        let (value, gradient) = objective.evaluate(&scores, &labels);
        let terms: Vec<(usize, usize, f64)> = (0..n * n)
            .map(|at| (at / n, at % n))
            .filter(|(i, j)| labels[*i] < labels[*j])
            .map(|(i, j)| (i, j, 20.0 * (scores[i] - scores[j])))
            .collect();
        let top = terms.iter().map(|t| t.2).fold(0.0, f64::max);
        let sum = (-top).exp() + terms.iter().map(|t| (t.2 - top).exp()).sum::<f64>();
        close("value", &[value], &[top + sum.ln()], 1e-12, 1e-12);
        let mut slopes = vec![0.0; n];
        for (i, j, x) in terms {
            let share = 20.0 * (x - top).exp() / sum;
            (slopes[i], slopes[j]) = (slopes[i] + share, slopes[j] - share);
        }
        close("gradient", &gradient, &slopes, 1e-10, 1e-10);
        let dense = |s: &[Tensor<2>]| objective.dense(s[0].clone().reshape([n]), &labels);
        let sorted = |s: &[Tensor<2>]| objective.loss_of_scores(s[0].clone().reshape([n]), &labels);
        agree("CoSENT", &[[n, 1]], 3, &[&dense, &sorted]);
    }
}

/// 500,000 scores make 125 billion ordered pairs; the value follows from the distribution they were drawn from.
#[test]
fn cosent_of_many_pairs() {
    let n = 500_000;
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let labels: Vec<f64> = (0..n).map(|_| rng.random_range(0.0..5.0)).collect();
    let scores: Vec<f64> = labels.iter().map(|l| l / 5.0).collect();
    let (value, gradient) = CoSent::new(20.0).unwrap().evaluate(&scores, &labels);
    // the sum over i < j of e^{-4 (y_j - y_i)} for y uniform on [0, 5]: n^2 / 25 times the integral of (5 - t) e^{-4 t}
    let area = 5.0 / 4.0 - 1.0 / 16.0 + (-20f64).exp() / 16.0;
    let want = (1.0 + (n as f64).powi(2) / 25.0 * area).ln();
    close("value", &[value], &[want], 0.02, 0.0);
    assert!(gradient.iter().sum::<f64>().abs() < 1e-6, "moving all scores changes nothing");
}

#[test]
fn order_alone_counts() {
    let (scores, labels) = ([0.3, -0.2, 0.9, 0.1], [1.0, 2.0, 3.0, 2.0]);
    let objective = CoSent::new(20.0).unwrap();
    let (value, _) = objective.evaluate(&scores, &labels);
    close("monotone labels", &[objective.evaluate(&scores, &labels.map(|l: f64| l.exp())).0], &[value], 0.0, 1e-15);
    assert_eq!(objective.evaluate(&scores, &[1.0; 4]), (0.0, vec![0.0; 4]));
    assert_eq!(objective.evaluate(&scores, &[0.0, -0.0, 0.0, 0.0]), (0.0, vec![0.0; 4]));
    let (value, gradient) = objective.evaluate(&[0.1, f64::NAN], &[0.0, 1.0]);
    assert!(value.is_nan() && gradient.iter().all(|g| g.is_nan()));
    let (value, _) = objective.evaluate(&[1e4, -1e4], &[0.0, 1.0]);
    close("far apart", &[value], &[4e5], 0.0, 1e-15);
}

/// The similarity of AnglE is that of complex numbers divided by each other.
#[test]
fn angle_similarity_is_complex_division() {
    let (x, y) = (normal(1, 6 * 4), normal(2, 6 * 4));
    let got = values(&AnglE::similarity(tracked(x.clone(), [6, 4], wide()), tracked(y.clone(), [6, 4], wide())));
    for i in 0..6 {
        let (x, y) = (&x[4 * i..4 * i + 4], &y[4 * i..4 * i + 4]);
        let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let z = length(y).powi(2);
        let mut sum = 0.0;
        for k in 0..2 {
            let (a, b, c, d) = (x[k], x[k + 2], y[k], y[k + 2]);
            sum += (a * c + b * d) / z + (b * c - a * d) / z;
        }
        let want = (sum / (length(x) / length(y))).abs();
        close("similarity", &[got[i]], &[want], 1e-6, 0.0);
    }
}

#[test]
fn gradients_of_pairs() {
    let y = [0.1, 0.9, 0.5, 0.5, 0.3];
    let alike = [true, false, true, false, false];
    let shapes = [[5, 4]; 2];
    differences("CoSENT", &shapes, |x| CoSent::new(5.0).unwrap().loss(both(x).0, both(x).1, &y));
    differences("AnglE", &shapes, |x| AnglE::new(5.0).unwrap().loss(both(x).0, both(x).1, &y));
    differences("regression", &shapes, |x| cosine_regression(both(x).0, both(x).1, &y));
    let pairs = ListedPairs::new(1.2).unwrap();
    differences("pairs", &shapes, |x| pairs.loss(both(x).0, both(x).1, &alike));
    differences("online", &shapes, |x| pairs.with_online_mining().loss(both(x).0, both(x).1, &alike));
}

/// A side with one pair or none is measured at the other's mean; where there is nothing, nothing counts.
#[test]
fn online_pairs_of_one_side() {
    let x = || (rows(1, [4, 3]), rows(2, [4, 3]));
    let objective = ListedPairs::new(0.5).unwrap().with_online_mining();
    for alike in [[true; 4], [false; 4], [true, false, false, false]] {
        let (a, b) = x();
        assert!(one(objective.loss(a, b, &alike)).is_finite(), "{alike:?}");
    }
    let mut bad = normal(1, 12);
    bad[0] = f64::NAN;
    assert!(one(objective.loss(tracked(bad, [4, 3], wide()), x().1, &[true, false, true, false])).is_nan());
}

#[test]
#[should_panic(expected = "odd width")]
fn complex_rows_have_an_even_width() {
    AnglE::similarity(rows(1, [2, 3]), rows(2, [2, 3]));
}

#[test]
#[should_panic(expected = "must be finite")]
fn labels_must_be_numbers() {
    CoSent::new(20.0).unwrap().evaluate(&[0.0, 1.0], &[0.0, f64::NAN]);
}

#[test]
#[should_panic(expected = "3 labels for 2 pairs")]
fn labels_must_match_pairs() {
    CoSent::new(20.0).unwrap().loss(rows(1, [2, 3]), rows(2, [2, 3]), &[0.0, 1.0, 2.0]);
}
