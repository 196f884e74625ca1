//! Logistic and ridge regression, and the linear-probe protocol.

use crate::common::{Random, all_close, close, same_on_all_threads};
use contrastive_eval::ndarray::{Array2, ArrayView1, Axis, array};
use contrastive_eval::probe::*;
use contrastive_eval::ranking::ItemSets;
use contrastive_kernels::Real;
use std::time::Instant;

const LINKS: [Link; 2] = [Link::Softmax, Link::Sigmoid];
const INTERCEPTS: [Intercept; 3] = [Intercept::Free, Intercept::Penalised, Intercept::None];

/// The objective by its definition, from weights `[classes, D]` and intercepts.
fn objective(
    classifier: (f64, Link, Intercept),
    x: &Array2<f64>,
    targets: Targets<'_>,
    weights: &Array2<f64>,
    intercept: ArrayView1<'_, f64>,
) -> f64 {
    let (c, link, kind) = classifier;
    let mut loss = 0.0;
    for (row, x) in x.rows().into_iter().enumerate() {
        let z = weights.dot(&x) + intercept;
        let largest = z.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        loss += match link {
            Link::Softmax => largest + z.mapv(|z| (z - largest).exp()).sum().ln(),
            Link::Sigmoid => z.mapv(|z| z.max(0.0) + (-z.abs()).exp().ln_1p()).sum(),
        };
        loss -= targets.of(row).iter().map(|&k| z[k as usize]).sum::<f64>();
    }
    let penalised = if kind == Intercept::Penalised { intercept.dot(&intercept) } else { 0.0 };
    c * loss + (weights.mapv(|w| w * w).sum() + penalised) / 2.0
}

/// At the optimum every derivative, by central differences, vanishes beside what it is at zero weights.
fn is_stationary<T: Real>(x: &Array2<T>, targets: Targets<'_>, settings: (f64, Link, Intercept)) {
    let (c, link, kind) = settings;
    let classifier = LogisticRegression::new(c).with_link(link).with_intercept(kind);
    let model = classifier.fit(x.view(), targets).unwrap();
    assert!(model.converged() && model.iterations() < 60, "{settings:?}: {} steps", model.iterations());
    let x = x.mapv(|v| v.f64());
    let value = |w: &Array2<f64>, b: ArrayView1<'_, f64>| objective(settings, &x, targets, w, b);
    let (w, b) = (model.weights().clone(), model.intercept().clone());
    let (zero_w, zero_b) = (Array2::zeros(w.dim()), b.mapv(|_| 0.0));
    let differences = |w: &Array2<f64>, b: ArrayView1<'_, f64>| {
        let step = 1e-5;
        let mut all = Vec::new();
        for at in 0..w.len() + if kind == Intercept::None { 0 } else { b.len() } {
            let moved = |by: f64| {
                let (mut w, mut b) = (w.clone(), b.to_owned());
                match w.as_slice_mut().unwrap().get_mut(at) {
                    Some(w) => *w += by,
                    None => b[at - w.len()] += by,
                }
                value(&w, b.view())
            };
            all.push((moved(step) - moved(-step)) / (2.0 * step));
        }
        all.iter().map(|d| d * d).sum::<f64>().sqrt()
    };
    let (end, start) = (differences(&w, b.view()), differences(&zero_w, zero_b.view()));
    assert!(end < 1e-6 * start, "{settings:?}: gradient {end:e}, at zero {start:e}");
    assert!(value(&w, b.view()) < value(&zero_w, zero_b.view()));
}

fn stationary<T: Real>() {
    for seed in 0..3 {
        let mut random = Random::new(seed);
        let (x, labels) = random.blobs::<T>(60, 4, 3, 1.5);
        let (offsets, items) = random_sets(&mut random, 60, 3);
        for c in [0.01, 1.0, 100.0] {
            for kind in INTERCEPTS {
                for link in LINKS {
                    is_stationary(&x, Targets::single(&labels, 3), (c, link, kind));
                }
                let sets = ItemSets::new(&offsets, &items).unwrap();
                is_stationary(&x, Targets::multi(sets, 3), (c, Link::Sigmoid, kind));
            }
        }
    }
}

/// Sets of labels; the first row has none, the others about half of the classes.
fn random_sets(random: &mut Random, rows: usize, classes: usize) -> (Vec<usize>, Vec<u32>) {
    let (mut offsets, mut items) = (vec![0, 0], Vec::new());
    for _ in 1..rows {
        items.extend((0..classes as u32).filter(|_| random.below(2) == 0));
        offsets.push(items.len());
    }
    (offsets, items)
}

#[test]
fn the_optimum_is_stationary_by_differences() {
    stationary::<f64>();
    stationary::<f32>();
}

#[test]
fn features_of_very_different_scales_converge() {
    let mut random = Random::new(8);
    let (mut x, labels) = random.blobs::<f64>(400, 30, 4, 1.0);
    for (at, mut column) in x.columns_mut().into_iter().enumerate() {
        let factor = 10f64.powi(at as i32 % 7 - 3);
        column.mapv_inplace(|v| factor * (v + 5.0));
    }
    for link in LINKS {
        for c in [1e-6, 1.0, 512.0] {
            let model = LogisticRegression::new(c).with_link(link).fit(x.view(), Targets::single(&labels, 4)).unwrap();
            assert!(model.converged(), "{link:?}, C {c}: {} after {} steps", model.gradient(), model.iterations());
        }
    }
}

#[test]
fn one_against_the_rest_is_one_problem_for_each_class() {
    let mut random = Random::new(2);
    let (x, labels) = random.blobs::<f32>(80, 5, 4, 1.0);
    let classifier = LogisticRegression::new(2.0).with_link(Link::Sigmoid);
    let together = classifier.fit(x.view(), Targets::single(&labels, 4)).unwrap();
    for class in 0..4 {
        // a softmax of two classes has the same optimum, with half the weights on either side: half the penalty
        let binary: Vec<u32> = labels.iter().map(|&l| u32::from(l == class)).collect();
        let one = LogisticRegression::new(1.0).fit(x.view(), Targets::single(&binary, 2)).unwrap();
        let difference = &one.weights().row(1) - &one.weights().row(0);
        let want = LogisticRegression::new(2.0).with_link(Link::Sigmoid);
        let (offsets, items): (Vec<usize>, Vec<u32>) = sets_of(&binary);
        let alone = want.fit(x.view(), Targets::multi(ItemSets::new(&offsets, &items).unwrap(), 1)).unwrap();
        all_close("alone", together.weights().row(class as usize), alone.weights().row(0), 1e-6);
        all_close("softmax of two", alone.weights().row(0), &difference, 1e-6);
    }
    // probabilities: each its own, or one distribution
    let p = together.probabilities(x.view()).unwrap();
    let z = together.scores(x.view()).unwrap();
    p.iter().zip(&z).for_each(|(p, z)| close("sigmoid", *p, 1.0 / (1.0 + (-z).exp()), 1e-15));
    let softmax = LogisticRegression::new(2.0).fit(x.view(), Targets::single(&labels, 4)).unwrap();
    let p = softmax.probabilities(x.view()).unwrap();
    p.sum_axis(Axis(1)).iter().for_each(|sum| close("sum", *sum, 1.0, 1e-12));
    close("mean intercept", softmax.intercept().sum(), 0.0, 1e-12);
}

/// The rows of class 1 as sets of label 0.
fn sets_of(binary: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let offsets = binary.iter().scan(0, |end, &b| {
        *end += b as usize;
        Some(*end)
    });
    (std::iter::once(0).chain(offsets).collect(), vec![0; binary.iter().sum::<u32>() as usize])
}

#[test]
fn a_fit_that_is_stopped_says_so() {
    let mut random = Random::new(3);
    let (x, labels) = random.blobs::<f32>(60, 4, 3, 1.0);
    let stopped = LogisticRegression::new(10.0).with_max_iterations(1);
    let model = stopped.fit(x.view(), Targets::single(&labels, 3)).unwrap();
    assert!(!model.converged() && model.iterations() == 1 && model.gradient() > 1e-8);
    let splits = [Split::random(60, 0.5, 0.2, 0).unwrap()];
    let probe = LinearProbe::new().with_classifier(stopped).with_validation(&[1.0, 10.0]);
    let report = probe.run(x.view(), Targets::single(&labels, 3), &splits).unwrap();
    assert_eq!((report.not_converged(), report.runs()[0].fits), (3, 3));
    assert!(report.to_string().ends_with("3 of 3 fits were stopped before they converged"), "{report}");
}

#[test]
fn the_protocol_is_its_parts() {
    let mut random = Random::new(4);
    let (x, labels) = random.blobs::<f64>(200, 6, 4, 2.0);
    let grid = [0.001, 0.1, 10.0];
    let targets = Targets::single(&labels, 4);
    let splits: Vec<Split> = (0..3).map(|seed| Split::random(200, 0.3, 0.3, seed).unwrap()).collect();
    let probe = LinearProbe::new().with_scaling(Scaling::Standardise).with_validation(&[10.0, 0.001, 0.1]);
    let report = same_on_all_threads(|| probe.run(x.view(), targets, &splits).unwrap());
    for (split, run) in splits.iter().zip(report.runs()) {
        let rows = |rows: &[u32]| rows.iter().map(|&r| r as usize).collect::<Vec<_>>();
        let train = x.select(Axis(0), &rows(split.train()));
        let (mean, std) = (train.mean_axis(Axis(0)).unwrap(), train.std_axis(Axis(0), 0.0));
        let scaled = (&x - &mean) / &std;
        let pick = |part: &[u32]| {
            (scaled.select(Axis(0), &rows(part)), part.iter().map(|&r| labels[r as usize]).collect::<Vec<_>>())
        };
        let (train, test) = (pick(split.train()), pick(split.test()));
        let accuracy = |c: f64, (x, y): &(Array2<f64>, Vec<u32>)| {
            let model = LogisticRegression::new(c).fit(train.0.view(), Targets::single(&train.1, 4)).unwrap();
            let predictions = model.predict(x.view()).unwrap();
            predictions.iter().zip(y).filter(|(a, b)| a == b).count() as f64 / y.len() as f64
        };
        let held = pick(split.validation());
        let scores = grid.map(|c| accuracy(c, &held));
        let best = scores.iter().copied().fold(0.0, f64::max);
        assert_eq!(run.chosen_by, Some(best));
        assert_eq!(run.c, grid[scores.iter().position(|&s| s == best).unwrap()]);
        assert_eq!((run.accuracy, run.train_accuracy), (accuracy(run.c, &test), accuracy(run.c, &train)));
        assert_eq!((run.rows, run.missing_classes, run.not_converged), ([60, 60, 80], 0, 0));
        assert_eq!(run.micro_f1, run.accuracy);
    }
    let values: Vec<f64> = report.runs().iter().map(|run| run.accuracy).collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    close("mean", report.accuracy().mean, mean, 1e-15);
    close("std", report.accuracy().std, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3.0).sqrt(), 1e-15);
    let back: ProbeReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
    let text = report.to_string();
    assert!(text.contains("\n3 splits: 60 rows to train on, 60 to choose by, 80 to test on\nC = "), "{text}");
    // f32 embeddings are the same numbers here
    let single = x.mapv(|v| v as f32);
    let from_single = probe.run(single.view(), targets, &splits).unwrap();
    let from_double = probe.run(single.mapv(f64::from).view(), targets, &splits).unwrap();
    assert_eq!(from_single, from_double);
}

#[test]
fn scaling_does_what_it_says() {
    let mut random = Random::new(6);
    let (x, labels) = random.blobs::<f64>(120, 5, 3, 1.5);
    let splits = [Split::random(120, 0.5, 0.0, 1).unwrap()];
    let run = |scaling, x: &Array2<f64>| {
        LinearProbe::new().with_scaling(scaling).run(x.view(), Targets::single(&labels, 3), &splits).unwrap()
    };
    // standardised features do not see the scale and place of columns, nor a constant column
    let moved =
        Array2::from_shape_fn((120, 6), |(r, c)| if c == 5 { 0.1 } else { x[[r, c]] * 4f64.powi(c as i32) + 8.0 });
    assert_eq!(run(Scaling::Standardise, &x), run(Scaling::Standardise, &moved));
    // rows of length 1 do not see the scale of rows
    let longer = Array2::from_shape_fn((120, 5), |(r, c)| x[[r, c]] * 2f64.powi(r as i32 % 5));
    assert_eq!(run(Scaling::UnitLength, &x), run(Scaling::UnitLength, &longer));
    assert_ne!(run(Scaling::None, &x), run(Scaling::None, &longer));
}

#[test]
fn cross_validation_chooses_a_penalty_that_generalises() {
    let mut random = Random::new(9);
    // wrong labels and columns of noise: without a penalty both are learned
    let (informed, mut labels) = random.blobs::<f32>(150, 3, 3, 0.3);
    labels.iter_mut().for_each(|label| *label = if random.below(4) == 0 { random.below(3) as u32 } else { *label });
    let noise = random.table::<f32>(150, 30);
    let x = contrastive_eval::ndarray::concatenate![Axis(1), informed, noise];
    let splits: Vec<Split> = (0..4).map(|seed| Split::random(150, 0.4, 0.0, seed).unwrap()).collect();
    let grid = [1e-4, 1e-2, 1.0, 1e4];
    let targets = Targets::single(&labels, 3);
    let probe = LinearProbe::new().with_cross_validation(&grid, 5);
    let chosen = probe.run(x.view(), targets, &splits).unwrap();
    let loose =
        LinearProbe::new().with_classifier(LogisticRegression::new(1e4)).run(x.view(), targets, &splits).unwrap();
    assert!(chosen.accuracy().mean > loose.accuracy().mean + 0.02, "{chosen}\n{loose}");
    assert!(chosen.runs().iter().all(|run| run.fits == 21 && run.chosen_by.unwrap() > 1.0 / 3.0));
    // the folds depend on their seed alone
    assert_eq!(probe.run(x.view(), targets, &splits).unwrap(), chosen);
    assert_ne!(probe.with_seed(1).run(x.view(), targets, &splits).unwrap(), chosen);
}

#[test]
fn graces_protocol_runs_on_separable_classes() {
    let mut random = Random::new(10);
    let (x, labels) = random.blobs::<f32>(200, 8, 4, 0.1);
    let splits: Vec<Split> = (0..3).map(|seed| Split::random(200, 0.1, 0.0, seed).unwrap()).collect();
    let report = LinearProbe::grace()
        .with_classifier(
            LogisticRegression::new(1.0)
                .with_link(Link::Sigmoid)
                .with_intercept(Intercept::Penalised)
                .with_missing_classes(true),
        )
        .run(x.view(), Targets::single(&labels, 4), &splits)
        .unwrap();
    assert_eq!((report.accuracy().mean, report.not_converged()), (1.0, 0));
    assert!(report.runs().iter().all(|run| run.fits == 101 && (2f64.powi(-10)..=512.0).contains(&run.c)));
}

#[test]
fn missing_classes_are_never_predicted() {
    let mut random = Random::new(12);
    let (x, labels) = random.blobs::<f32>(90, 4, 3, 0.1);
    let train: Vec<u32> = (0..90).filter(|&r| labels[r as usize] != 1 && r < 45).collect();
    let split = [Split::new(90, train, vec![], (45..90).collect()).unwrap()];
    for link in LINKS {
        let classifier = LogisticRegression::new(1.0).with_link(link).with_missing_classes(true);
        let report = LinearProbe::new()
            .with_classifier(classifier.clone())
            .run(x.view(), Targets::single(&labels, 3), &split)
            .unwrap();
        assert_eq!((report.runs()[0].missing_classes, report.accuracy().mean), (1, 2.0 / 3.0));
        assert!(report.to_string().contains("1 of them lack classes"));
        let labels = [0, 0, 2, 2];
        let model = classifier.fit(array![[0.0f32], [0.1], [1.0], [1.1]].view(), Targets::single(&labels, 3)).unwrap();
        assert_eq!(model.predict(array![[-3.0f32], [3.0]].view()).unwrap(), [0, 2]);
        let chances = model.probabilities(array![[0.5f32]].view()).unwrap();
        assert!(chances[[0, 1]] == 0.0 && chances.iter().all(|p| !p.is_nan()), "{chances}");
    }
}

#[test]
fn sets_of_labels_are_learned() {
    let mut random = Random::new(13);
    let (offsets, items) = random_sets(&mut random, 300, 4);
    let sets = ItemSets::new(&offsets, &items).unwrap();
    // one coordinate for each class, and noise
    let x = Array2::from_shape_fn((300, 6), |(row, c)| {
        f64::from(u8::from(sets.row(row).contains(&(c as u32)))) + 0.15 * random.normal()
    });
    let splits: Vec<Split> = (0..2).map(|seed| Split::random(300, 0.5, 0.2, seed).unwrap()).collect();
    let classifier = LogisticRegression::new(1.0).with_link(Link::Sigmoid);
    for decision in [Decision::Threshold, Decision::LabelCount] {
        let probe = LinearProbe::new()
            .with_classifier(classifier.clone())
            .with_decision(decision)
            .with_validation(&[0.1, 100.0]);
        let report = probe.run(x.view(), Targets::multi(sets, 4), &splits).unwrap();
        assert!(report.micro_f1().mean > 0.98 && report.macro_f1().mean > 0.98, "{decision:?}\n{report}");
        assert!(report.accuracy().mean > 0.93);
        assert!(report.runs().iter().all(|run| run.chosen_by.unwrap() > 0.97));
    }
}

#[test]
fn ridge_solves_the_normal_equations() {
    let mut random = Random::new(14);
    let (x, y) = (random.table::<f64>(50, 7), random.table::<f64>(50, 3));
    let model = Ridge::new(0.3).fit(x.view(), y.view()).unwrap();
    let residual = &y - &model.predict(x.view()).unwrap();
    // derivatives by the weights and by the intercept
    let by_weights = residual.t().dot(&x) - &model.weights * 0.3;
    assert!(by_weights.iter().chain(&residual.sum_axis(Axis(0))).all(|v| v.abs() < 1e-11));
    // a constant column and equal columns are no obstacle
    let twice = Array2::from_shape_fn((50, 9), |(r, c)| if c == 8 { 4.0 } else { x[[r, c % 7]] });
    assert!(Ridge::new(1e-3).fit(twice.view(), y.view()).unwrap().weights.iter().all(|w| w.is_finite()));
    // but without a penalty they are
    let same = Array2::from_shape_fn((50, 9), |(r, c)| x[[r, c % 7]]);
    let error = Ridge::new(0.0).fit(same.view(), y.view()).unwrap_err().to_string();
    assert!(error.contains("larger for these features"), "{error}");
    // without one a map that is there is found
    let truth = random.table::<f64>(3, 7);
    let line = x.dot(&truth.t()) + 0.5;
    let exact = Ridge::new(0.0).fit(x.view(), line.view()).unwrap();
    assert!(exact.weights.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-9));
    assert!(exact.intercept.iter().all(|b| (b - 0.5).abs() < 1e-9));
}

/// The size of Cora with 128 features: a grid of ten must take seconds, not minutes.
#[test]
fn a_grid_on_thousands_of_rows_is_quick() {
    let mut random = Random::new(15);
    let (x, labels) = random.blobs::<f32>(2708, 128, 7, 3.0);
    let grid: Vec<f64> = (-5..5).map(|power| 10f64.powi(power)).collect();
    let split = [Split::random(2708, 0.6, 0.2, 0).unwrap()];
    for link in LINKS {
        let classifier = LogisticRegression::new(1.0).with_link(link);
        let probe =
            LinearProbe::new().with_classifier(classifier).with_scaling(Scaling::Standardise).with_validation(&grid);
        let start = Instant::now();
        let report = probe.run(x.view(), Targets::single(&labels, 7), &split).unwrap();
        println!("{link:?}: {:.2} s\n{report}", start.elapsed().as_secs_f64());
        assert_eq!(report.not_converged(), 0);
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }
}

/// A probe between two tables is the probe of one table with the split that separates them.
#[test]
fn a_probe_between_tables_is_a_split_of_one() {
    let (x, labels) = Random::new(4).blobs::<f64>(90, 4, 3, 0.5);
    let (first, last) = x.view().split_at(Axis(0), 60);
    let probe = LinearProbe::new().with_cross_validation(&[0.1, 1.0], 3);
    let between = probe
        .run_between((first, Targets::single(&labels[..60], 3)), (last, Targets::single(&labels[60..], 3)))
        .unwrap();
    let split = Split::new(90, (0..60).collect(), vec![], (60..90).collect()).unwrap();
    assert_eq!(between, probe.run(x.view(), Targets::single(&labels, 3), &[split]).unwrap());
    let narrow = last.split_at(Axis(1), 2).0;
    let wrong =
        probe.run_between((first, Targets::single(&labels[..60], 3)), (narrow, Targets::single(&labels[60..], 3)));
    assert!(wrong.unwrap_err().to_string().contains("width of the test table"));
    let wrong =
        probe.run_between((first, Targets::single(&labels[..60], 3)), (last, Targets::single(&labels[60..], 4)));
    assert!(wrong.unwrap_err().to_string().contains("classes of the test table"));
}
