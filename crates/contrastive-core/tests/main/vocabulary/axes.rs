//! Similarities, temperatures, biases, candidate blocks, pairs, reductions, directions.

use super::*;
use burn::tensor::{DType, Int, TensorData};
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use contrastive_core::temperature::TemperatureSchedule;
use std::sync::Arc;

fn row(values: &[f64], i: usize, d: usize) -> &[f64] {
    &values[i * d..(i + 1) * d]
}

fn log_sum(terms: impl Iterator<Item = f64>) -> f64 {
    terms.map(f64::exp).sum::<f64>().ln()
}

#[test]
fn squared_distances_are_what_they_are_called() {
    let (n, m, d) = (5, 7, 3);
    // far from the origin, where the inner products alone would lose the distances
    let far = |seed, len| uniform(seed, len).into_iter().map(|x| x + 300.0).collect::<Vec<f64>>();
    let (a, c) = (far(1, n * d), far(2, m * d));
    let squared = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let want: f64 = (0..n)
        .map(|i| {
            let s = |j: usize| -squared(row(&a, i, d), row(&c, j, d)) / 0.7;
            log_sum((0..m).map(s)) - s(i)
        })
        .sum::<f64>()
        / n as f64;
    for portable in [false, true] {
        let _bodies = contrastive_core::testing::portable(portable);
        let objective = PairObjective::new(0.7).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
        let (x, y) = (leaf(a.clone(), [n, d]), leaf(c.clone(), [m, d]));
        let value = objective.loss(&Inputs::new(x, y));
        let tolerance = if common::has_f64() { 1e-9 } else { 1e-2 };
        assert!((number(value.clone()) - want).abs() < tolerance, "{value} instead of {want}");
    }
    // a table with itself: the gradient of both sides
    if common::has_f64() {
        let objective = PairObjective::new(0.7).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
        let objective = objective.with_pairs(Pairs::labels(&[0, 1, 0, 1, 1, 2, 2]));
        let value = |v: Vec<f64>| objective.loss(&Inputs::self_contrast(leaf(v, [m, d])));
        let x = leaf(c.clone(), [m, d]);
        let got = gradient(&objective.loss(&Inputs::self_contrast(x.clone())), &x);
        all_near("squared distances", &got, &differences(&c, |v| number(value(v))), 1e-6);
    }
}

/// Anchors near their own candidate and far from all others: what a row costs is rounding alone, unless that cancels exactly.
#[test]
fn distances_of_easy_rows_cost_nothing() {
    let (n, d) = (64, 64);
    let c = uniform(6, n * d);
    let noise = uniform(7, n * d);
    let mut a: Vec<f64> = c.iter().zip(&noise).map(|(x, e)| x + 0.1 * e).collect();
    (0..d).for_each(|t| a[t] = 0.5 * (c[t] + c[d + t]));
    let objective = PairObjective::new(0.03).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
    let single =
        |v: &[f64]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), [n, d]), (&common::device(), DType::F32));
    let result = objective.evaluate(&Inputs::new(single(&a), single(&c)), Wanted::VALUE);
    let rows: Vec<f64> = result.rows.into_data().iter::<f64>().collect();
    assert!((rows[0] - 2f64.ln()).abs() < 1e-2, "{}", rows[0]);
    assert!(rows[1..].iter().all(|&l| l == 0.0), "{rows:?}");
    let mean = objective.clone().with_reduction(Reduction::MeanNonZero).loss(&Inputs::new(single(&a), single(&c)));
    assert!((number(mean) - rows[0]).abs() < 1e-6, "the mean of one row");
    // every temperature that is allowed
    for temperature in [1e-9, 1e9] {
        let objective = PairObjective::new(temperature).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
        let value = number(objective.loss(&Inputs::new(single(&a), single(&c))));
        assert!(value.is_finite(), "{value} at {temperature}");
    }
}

#[test]
fn pair_terms_stand_at_their_pairs() {
    let (n, m, d) = (4, 6, 3);
    let (a, c) = (uniform(3, n * d), uniform(4, m * d));
    let scale = [0.5, 1.5, 2.0, 0.8];
    let (own, other) = ([0, 1, 1, 0], [0, 0, 1, 1, 0, 1]);
    let bias = uniform(5, n * m);
    let dot = |i: usize, j: usize| row(&a, i, d).iter().zip(row(&c, j, d)).map(|(x, y)| x * y).sum::<f64>();
    let s = |i: usize, j: usize| dot(i, j) / 0.4 * scale[own[i] * 2 + other[j]] + bias[i * m + j];
    let want = (0..n).map(|i| log_sum((0..m).map(|j| s(i, j))) - s(i, i)).sum::<f64>() / n as f64;
    let objective = PairObjective::new(0.4).unwrap().with_similarity(Similarity::Dot);
    let classes = |list: &[usize]| list.iter().map(|&k| k as u32).collect();
    let inputs = Inputs::new(leaf(a.clone(), [n, d]), leaf(c.clone(), [m, d]))
        .with_pair_scale(PairTerm::classes(leaf(scale.to_vec(), [2, 2]), classes(&own), classes(&other)))
        .with_pair_bias(PairTerm::matrix(leaf(bias.clone(), [n, m])));
    near("pair terms", number(objective.loss(&inputs)), want);
}

#[test]
fn pair_terms_are_the_same_in_several_blocks() {
    // 1,100 x 1,000 pairs are two blocks
    let (n, m, d) = (1100, 1000, 4);
    let positives = Pairs::one_each((0..n as u32).map(|i| i % m as u32).collect());
    let objective = PairObjective::new(0.3).unwrap().with_pairs(positives);
    let run = |form: fn(&PairObjective, &Inputs) -> Tensor<1>| {
        let (a, c) = (leaf(uniform(6, n * d), [n, d]), leaf(uniform(7, m * d), [m, d]));
        let (left, right) = (leaf(uniform(8, n * 2), [n, 2]), leaf(uniform(9, m * 2), [m, 2]));
        let term = PairTerm::product(left.clone(), right.clone(), |x| x.tanh() * 0.5 + 1.0);
        let value = form(&objective, &Inputs::new(a.clone(), c.clone()).with_pair_scale(term));
        let tape = value.backward();
        let gradients = [a, c, left, right].map(|x| common::values(&x.grad(&tape).expect("a gradient")));
        (number(value), gradients)
    };
    let ((value, gradients), (want, wanted)) = (run(PairObjective::loss), run(PairObjective::dense));
    near("value", value, want);
    for (k, (got, want)) in gradients.iter().zip(&wanted).enumerate() {
        all_near(&format!("gradient {k}"), got, want, tolerance());
    }
}

#[test]
#[should_panic(expected = "the pairs of a scale and the [anchors, candidates]")]
fn pair_terms_of_other_pairs_panic() {
    let term = PairTerm::matrix(leaf(vec![1.0; 6], [2, 3]));
    let inputs = Inputs::new(leaf(uniform(1, 6), [2, 3]), leaf(uniform(2, 6), [2, 3])).with_pair_scale(term);
    PairObjective::new(1.0).unwrap().loss(&inputs);
}

#[test]
fn blocks_are_joined_and_weights_count_as_copies() {
    let (n, d) = (4, 3);
    let anchors = leaf(uniform(10, n * d), [n, d]);
    let keys = leaf(uniform(11, n * d), [n, d]);
    let members = uniform(12, 2 * d);
    // the first member stands in the queue three times, the second once
    let copies: Vec<f64> = [0, 0, 0, 1].iter().flat_map(|&k| row(&members, k, d).to_vec()).collect();
    let objective = PairObjective::new(0.2).unwrap();
    let one = CandidateBlocks::new().with_block(keys.clone()).with_block(leaf(copies, [4, d]));
    assert_eq!((one.starts(), one.len()), (vec![0, 4], 8));
    let counted =
        CandidateBlocks::new().with_block(keys).with_weighted_block(leaf(members, [2, d]), &[3.0, 1.0]).unwrap();
    let (copied, counted) =
        (objective.loss(&one.inputs(anchors.clone())), objective.loss(&counted.inputs(anchors.clone())));
    near("aggregated candidates", number(counted.clone()), number(copied.clone()));
    all_near("their gradient", &gradient(&counted, &anchors), &gradient(&copied, &anchors), tolerance());

    let wrong = CandidateBlocks::new().with_weighted_block(anchors, &[1.0, 2.0, -1.0, 1.0]).unwrap_err().to_string();
    assert!(wrong.contains("weight of a candidate -1"), "{wrong}");
}

#[test]
fn views_and_bands() {
    let (samples, d) = (3, 4);
    let x = leaf(uniform(13, 3 * samples * d), [3 * samples, d]);
    let views = |pairs: Pairs| {
        number(PairObjective::new(0.3).unwrap().with_pairs(pairs).loss(&Inputs::self_contrast(x.clone())))
    };
    let labels: Vec<i64> = (0..9).map(|i| i % 3).collect();
    near("three views", views(Pairs::Views(3)), views(Pairs::labels(&labels)));
    let band = PairLists::new(
        vec![0, 1, 3, 5, 7, 9, 11, 13, 15, 16],
        vec![1, 0, 2, 1, 3, 2, 4, 3, 5, 4, 6, 5, 7, 6, 8, 7],
        None,
    );
    near("a band", views(Pairs::Band(1)), views(Pairs::Lists(Arc::new(band.unwrap()))));
}

#[test]
fn means_of_what_is_above_zero() {
    let (n, d) = (12, 3);
    let (a, c) = (uniform(14, n * d), uniform(15, n * d));
    // without the positive in the denominator, values may be negative
    let objective = PairObjective::new(0.3).unwrap().with_denominator(Denominator::NegativesOnly);
    let objective = objective.with_exclusions(Exclusions::lists(
        PairLists::new(
            (0..=n).map(|i| i * 9).collect(),
            (0..n).flat_map(|i| (0..n as u32).filter(move |&j| (j as usize + n - i) % n > 2)).collect(),
            None,
        )
        .unwrap(),
    ));
    let inputs = || Inputs::new(leaf(a.clone(), [n, d]), leaf(c.clone(), [n, d]));
    let rows = common::values(&objective.evaluate(&inputs(), Wanted::VALUE).rows);
    let above: Vec<f64> = rows.iter().copied().filter(|v| *v > 0.0).collect();
    assert!(!above.is_empty() && above.len() < n, "{rows:?}");
    let want = above.iter().sum::<f64>() / above.len() as f64;
    near("mean above zero", number(objective.with_reduction(Reduction::MeanNonZero).loss(&inputs())), want);
}

#[test]
fn directions_have_their_weights() {
    let (n, d) = (6, 3);
    let inputs = || Inputs::new(leaf(uniform(16, n * d), [n, d]), leaf(uniform(17, n * d), [n, d]));
    let back = || Inputs::new(leaf(uniform(17, n * d), [n, d]), leaf(uniform(16, n * d), [n, d]));
    let one = PairObjective::new(0.3).unwrap();
    let want = 0.9 * number(one.loss(&inputs())) + 0.2 * number(one.loss(&back()));
    near("weighted directions", number(one.clone().with_direction_weights(0.9, 0.2).unwrap().loss(&inputs())), want);
    assert!(one.with_direction_weights(-1.0, 0.0).unwrap_err().to_string().contains("weight of a direction -1"));
}

#[test]
fn temperatures_follow_their_schedule() {
    let cosine = TemperatureSchedule::Cosine { min: 0.1, max: 1.0, period: 8 };
    cosine.validate().unwrap();
    let values: Vec<f64> = [0, 2, 4, 8].iter().map(|&t| cosine.at(t)).collect();
    all_near("cosine", &values, &[1.0, 0.55, 0.1, 1.0], 1e-12);
    let linear = TemperatureSchedule::Linear { from: 1.0, to: 0.5, steps: 5 };
    all_near("linear", &[linear.at(0), linear.at(3), linear.at(9)], &[1.0, 0.7, 0.5], 1e-12);
    let wrong = [
        TemperatureSchedule::Constant(0.0),
        TemperatureSchedule::Linear { from: 1.0, to: f64::NAN, steps: 5 },
        TemperatureSchedule::Cosine { min: 0.1, max: 1.0, period: 0 },
    ];
    assert!(wrong.iter().all(|s| s.validate().is_err()));
    let x = leaf(uniform(18, 12), [4, 3]);
    let scheduled = PairObjective::with_input_scale().with_pairs(Pairs::TwoViews);
    let value = scheduled.loss(&Inputs::self_contrast(x.clone()).with_scale(cosine.scale(2, &x)));
    near(
        "scheduled",
        number(value),
        number(NtXent::new(0.55).unwrap().loss(x.clone().slice([0..2, 0..3]), x.slice([2..4, 0..3]))),
    );
}

#[test]
fn own_objectives_are_exact_in_blocks() {
    // the squared log-sum-exp of the cosines to a bank, plus the distance to one's own target
    let (n, m, d) = (10, 7, 3);
    let run = |block: usize| {
        let (x, target, bank) =
            (leaf(uniform(19, n * d), [n, d]), leaf(uniform(20, n * d), [n, d]), leaf(uniform(21, m * d), [m, d]));
        let tables = [x.clone(), target.clone()];
        let value = row_blocks(&tables, std::slice::from_ref(&bank), &[0.1; 10], block, |i0, own, all| {
            assert_eq!(i0 % block, 0);
            let sum = own[0].clone().matmul(all[0].clone().transpose()).exp().sum_dim(1).log();
            let away = own[0].clone() - own[1].clone();
            sum.clone() * sum + (away.clone() * away).sum_dim(1)
        });
        let tape = value.backward();
        let mut all = vec![number(value)];
        [x, target, bank].iter().for_each(|x| all.extend(common::values(&x.grad(&tape).expect("a gradient"))));
        all
    };
    all_near("blocks", &run(3), &run(10), tolerance());
}

#[test]
fn distances_find_the_nearest_row() {
    let queries = leaf(vec![0.9, 0.1], [1, 2]);
    let support = leaf(vec![3.0, 0.0, 1.0, 0.5], [2, 2]);
    let nearest = |s: Similarity| {
        let at: Tensor<1, Int> = nearest_rows(queries.clone(), support.clone(), s);
        at.into_data().iter::<i64>().collect::<Vec<_>>()
    };
    assert_eq!(nearest(Similarity::Dot), [0]);
    assert_eq!(nearest(Similarity::NegativeSquaredDistance), [1]);
}
