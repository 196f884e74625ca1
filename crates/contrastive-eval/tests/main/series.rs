//! What the time-series protocols add: support vector machines, ridge for many penalties, scores over classes, splits by groups.

use crate::common::{Random, all_close, close, golden, integers, matrix, numbers};
use contrastive_eval::EvalError;
use contrastive_eval::ndarray::Axis;
use contrastive_eval::probe::{Gamma, RbfSvm, Ridge, RidgePath, Split};
use contrastive_eval::scores::{
    Classification, average_precision, macro_average_precision, macro_roc_auc, roc_auc, weighted_roc_auc,
};
use serde_json::Value;

fn number(part: &Value, name: &str) -> f64 {
    part[name].as_f64().unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn golden_svm_rbf() {
    for case in golden::<f64>("svm_rbf") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let (x, x_test) = (matrix::<f64>(&inputs["x_train"]), matrix::<f64>(&inputs["x_test"]));
        let (y, y_test) = (integers(&inputs["y_train"]), integers(&inputs["y_test"]));
        let classes = 1 + *y.iter().max().unwrap() as usize;
        let svm = RbfSvm::new(number(&case["params"], "C")).with_tolerance(1e-11);
        let svm = match case["params"]["gamma_rule"].as_str() {
            Some("given") => svm.with_gamma(Gamma::Value(number(&case["params"], "gamma"))),
            _ => svm,
        };
        let model = svm.fit(x.view(), &y, classes).unwrap();
        close("gamma", model.gamma(), number(&case["params"], "gamma"), 1e-12);
        let decision = model.decision(x_test.view()).unwrap();
        // of two classes the reference's sign is that of class 1
        let sign = if classes == 2 { -1.0 } else { 1.0 };
        // without a bound (C of 1e9) both solvers stop where rounding lets them
        let bound = if number(&case["params"], "C") < 1e6 { 1e-6 } else { 1e-4 };
        all_close("decision", &(decision * sign), &numbers::<f64>(&expected["decision"]), bound);
        let predicted = model.predict(x_test.view()).unwrap();
        assert_eq!(predicted, integers(&expected["prediction"]));
        let accuracy =
            |x: &_, y: &[u32]| Classification::single(y, &model.predict(*x).unwrap(), classes).unwrap().accuracy();
        close("accuracy", accuracy(&x_test.view(), &y_test), number(expected, "accuracy"), 1e-12);
        close("train accuracy", accuracy(&x.view(), &y), number(expected, "train_accuracy"), 1e-12);
    }
}

#[test]
fn support_vector_machines_meet_their_optimality_conditions() {
    let mut random = Random::new(5);
    for (c, noise) in [(0.1, 1.0), (1.0, 0.6), (100.0, 0.6), (1e9, 0.1)] {
        let (x, y) = random.blobs::<f64>(60, 4, 3, noise);
        let svm = RbfSvm::new(c).with_gamma(Gamma::Value(0.3)).with_tolerance(1e-8);
        let model = svm.fit(x.view(), &y, 3).unwrap();
        assert!(model.violation() < 1e-8, "{}", model.violation());
        let decision = model.decision(x.view()).unwrap();
        for (k, (pair, support)) in model.pairs().into_iter().zip(model.support()).enumerate() {
            // sum y a = 0, 0 <= a <= C
            assert!(support.iter().map(|(_, a)| a).sum::<f64>().abs() < 1e-6 * c.min(1e3));
            assert!(support.iter().all(|(_, a)| a.abs() <= c * (1.0 + 1e-12)));
            for row in 0..60 {
                let sign = match y[row] {
                    class if class == pair[0] => 1.0,
                    class if class == pair[1] => -1.0,
                    _ => continue,
                };
                let a = support.iter().find(|(of, _)| *of as usize == row).map_or(0.0, |(_, a)| a.abs());
                let margin = sign * decision[[row, k]];
                let off = 1e-5;
                match a {
                    0.0 => assert!(margin >= 1.0 - off, "outside the margin: {margin}"),
                    a if a >= c => assert!(margin <= 1.0 + off, "within the margin: {margin}"),
                    _ => assert!((margin - 1.0).abs() < off, "on the margin: {margin}"),
                }
            }
        }
        // and the value cannot be improved: the scores of classes order as the votes do
        let scores = model.class_scores(x.view()).unwrap();
        let best = |row: usize| (0..3).fold(0, |b, k| if scores[[row, k]] > scores[[row, b]] { k } else { b }) as u32;
        let predicted = model.predict(x.view()).unwrap();
        let same = (0..60).filter(|&row| best(row) == predicted[row]).count();
        assert!(same >= 57, "{same} of 60: only ties of votes may differ");
    }
}

#[test]
fn the_grid_is_searched_fold_by_fold() {
    let mut random = Random::new(8);
    let (x, y) = random.blobs::<f64>(50, 3, 2, 0.8);
    let grid = [1e-4, 1e-2, 1.0, 100.0];
    let (model, choice) = RbfSvm::new(1.0).search(x.view(), &y, 2, &grid, 5).unwrap();
    // the same folds by hand: alternating labels, so the k-th ten rows hold five of each class
    let mut plain = vec![0.0; 4];
    for fold in 0..5 {
        let held: Vec<usize> = (0..50).filter(|row| row / 10 == fold).collect();
        let rest: Vec<usize> = (0..50).filter(|row| row / 10 != fold).collect();
        let part = |rows: &[usize]| (x.select(ndarray_axis(), rows), rows.iter().map(|&r| y[r]).collect::<Vec<u32>>());
        let ((train, labels), (test, truth)) = (part(&rest), part(&held));
        for (k, &c) in grid.iter().enumerate() {
            let predicted = RbfSvm::new(c).fit(train.view(), &labels, 2).unwrap().predict(test.view()).unwrap();
            plain[k] += Classification::single(&truth, &predicted, 2).unwrap().accuracy() / 5.0;
        }
    }
    all_close("accuracies", &choice.accuracies, &plain, 1e-12);
    let best = plain.iter().cloned().fold(0.0, f64::max);
    assert_eq!(choice.c, grid[plain.iter().position(|a| (a - best).abs() < 1e-12).unwrap()]);
    let whole = RbfSvm::new(choice.c).fit(x.view(), &y, 2).unwrap();
    assert_eq!(whole.predict(x.view()).unwrap(), model.predict(x.view()).unwrap());
}

fn ndarray_axis() -> Axis {
    Axis(0)
}

#[test]
fn golden_ridge() {
    for case in golden::<f64>("ridge") {
        let (x, y) = (matrix::<f64>(&case["inputs"]["x"]), matrix::<f64>(&case["inputs"]["y"]));
        let model = Ridge::new(case["params"]["alpha"].as_f64().unwrap()).fit(x.view(), y.view()).unwrap();
        all_close("weights", &model.weights, &numbers::<f64>(&case["expected"]["weights"]), 1e-9);
        all_close("intercept", &model.intercept, &numbers::<f64>(&case["expected"]["intercept"]), 1e-9);
    }
}

#[test]
fn golden_ridge_path() {
    for case in golden::<f64>("ridge_path") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let [x, y, x_valid, y_valid] =
            ["x_train", "y_train", "x_valid", "y_valid"].map(|name| matrix::<f64>(&inputs[name]));
        let alphas: Vec<f64> =
            case["params"]["alphas"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let path = RidgePath::new(x.view(), y.view()).unwrap();
        let (mut weights, mut intercepts) = (Vec::new(), Vec::new());
        for &alpha in &alphas {
            let model = path.fit(alpha).unwrap();
            weights.extend(model.weights.iter().copied());
            intercepts.extend(model.intercept.iter().copied());
            // one decomposition, the same as a factorisation for this penalty
            let single = Ridge::new(alpha).fit(x.view(), y.view()).unwrap();
            all_close("against Cholesky", &single.weights, &model.weights, 1e-10);
        }
        all_close("weights", &weights, &numbers::<f64>(&expected["weights"]), 1e-10);
        all_close("intercepts", &intercepts, &numbers::<f64>(&expected["intercepts"]), 1e-10);
        let (chosen, _, scores) = path.choose(&alphas, x_valid.view(), y_valid.view()).unwrap();
        if y.ncols() == 1 {
            // the reference subtracts [n] from [n, 1] there: its scores are those of all n x n pairs, and so is its choice
            let of_pairs: Vec<f64> = alphas
                .iter()
                .map(|&alpha| {
                    let predicted = path.fit(alpha).unwrap().predict(x_valid.view()).unwrap();
                    let off = predicted.iter().flat_map(|p| y_valid.iter().map(move |y| p - y)).collect::<Vec<f64>>();
                    let mean = |f: &dyn Fn(f64) -> f64| off.iter().map(|x| f(*x)).sum::<f64>() / off.len() as f64;
                    mean(&|x| x * x).sqrt() + mean(&f64::abs)
                })
                .collect();
            all_close("scores of all pairs", &of_pairs, &numbers::<f64>(&expected["scores"]), 1e-10);
            continue;
        }
        all_close("scores", &scores, &numbers::<f64>(&expected["scores"]), 1e-10);
        close("chosen", chosen, number(expected, "chosen"), 0.0);
    }
}

#[test]
fn golden_classification_scores() {
    for case in golden::<f64>("classification_scores") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let labels = integers(&inputs["labels"]);
        for (name, want) in expected.as_object().unwrap() {
            let single = |predicted: &[u32], classes| Classification::single(&labels, predicted, classes).unwrap();
            let got = if inputs.get("score").is_some() {
                let positive: Vec<bool> = labels.iter().map(|&l| l == 1).collect();
                let scores = numbers::<f64>(&inputs["score"]);
                match name.as_str() {
                    "roc_auc" => roc_auc(&positive, &scores).unwrap(),
                    "average_precision" => average_precision(&positive, &scores).unwrap(),
                    "trapezoid_pr_auc" => continue, // interpolates between points; average precision is used here
                    other => panic!("no score {other}"),
                }
            } else if inputs.get("probabilities").is_some() {
                let p = matrix::<f64>(&inputs["probabilities"]);
                let row = |r: usize| (0..p.ncols()).fold(0, |b, k| if p[[r, k]] > p[[r, b]] { k } else { b }) as u32;
                let predicted: Vec<u32> = (0..p.nrows()).map(row).collect();
                let counts = single(&predicted, p.ncols());
                match name.as_str() {
                    "auroc_macro" => macro_roc_auc(&labels, p.view()).unwrap(),
                    "auroc_weighted" => weighted_roc_auc(&labels, p.view()).unwrap(),
                    "auprc_macro" => macro_average_precision(&labels, p.view()).unwrap(),
                    "accuracy" => counts.accuracy(),
                    "f1_macro" => counts.macro_f1(),
                    "precision_macro" => counts.macro_precision(),
                    "recall_macro" => counts.macro_recall(),
                    "f1_by_class" => {
                        let each: Vec<f64> = counts.class_f1().map(|f| f.unwrap_or(0.0)).collect();
                        all_close("F1 by class", &each, &numbers::<f64>(want), 1e-12);
                        continue;
                    }
                    other => panic!("no score {other}"),
                }
            } else {
                let classes = number(&case["params"], "classes") as usize;
                let counts = single(&integers(&inputs["prediction"]), classes);
                match name.as_str() {
                    "f1_macro" => counts.macro_f1(),
                    "f1_micro" => counts.micro_f1(),
                    "balanced_accuracy" => counts.macro_recall(),
                    "f1_weighted" => {
                        let count = |class: u32| labels.iter().filter(|l| **l == class).count() as f64;
                        let each = (0..classes as u32).zip(counts.class_f1()).map(|(c, f)| count(c) * f.unwrap_or(0.0));
                        each.sum::<f64>() / labels.len() as f64
                    }
                    other => panic!("no score {other}"),
                }
            };
            close(name, got, want.as_f64().unwrap(), 1e-12);
        }
    }
}

#[test]
fn groups_stay_together_and_every_part_has_every_class() {
    let groups = [0, 0, 1, 1, 2, 2, 3, 3];
    let labels = [0, 1, 1, 0, 0, 1, 1, 1];
    let split = Split::by_groups(&groups, &[1], &[2], &labels, 2).unwrap();
    assert_eq!((split.train(), split.validation(), split.test()), (&[0, 1, 6, 7][..], &[2, 3][..], &[4, 5][..]));
    let fails = |validation: &[u32], test: &[u32]| Split::by_groups(&groups, validation, test, &labels, 2).unwrap_err();
    assert_eq!(fails(&[1], &[3]), EvalError::MissingClass { class: 0, what: "test rows" });
    assert!(matches!(fails(&[1], &[1]), EvalError::RepeatedRow { row: 1, .. }));
    assert!(matches!(fails(&[], &[9]), EvalError::RowOutOfRange { row: 9, .. }));
}

#[test]
fn bad_settings_are_named() {
    let (x, y) = Random::new(1).blobs::<f64>(12, 2, 2, 0.5);
    let says = |error: EvalError, text: &str| assert!(error.to_string().contains(text), "{error}");
    says(RbfSvm::new(0.0).fit(x.view(), &y, 2).unwrap_err(), "C is 0");
    says(RbfSvm::new(1.0).with_gamma(Gamma::Value(-1.0)).fit(x.view(), &y, 2).unwrap_err(), "gamma is -1");
    says(RbfSvm::new(1.0).with_tolerance(0.0).fit(x.view(), &y, 2).unwrap_err(), "tolerance is 0");
    says(RbfSvm::new(1.0).fit(x.view(), &[1; 12], 2).unwrap_err(), "all of one class");
    says(RbfSvm::new(1.0).search(x.view(), &y, 2, &[], 5).unwrap_err(), "values of C");
    says(RbfSvm::new(1.0).search(x.view(), &y, 2, &[1.0], 1).unwrap_err(), "folds is 1");
    says(RidgePath::new(x.view(), x.view()).unwrap().fit(0.0).unwrap_err(), "alpha is 0");
    says(macro_roc_auc(&[1, 1], Random::new(2).table::<f64>(2, 2).view()).unwrap_err(), "all of one class");
}
