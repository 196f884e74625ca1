//! Golden values of scikit-learn, SciPy, lightly and pytorch-metric-learning, in f64 and from f32 embeddings.

use crate::common::{all_close, close, golden, integers, matrix, numbers, reference};
use contrastive_eval::Similarity;
use contrastive_eval::clustering::{best_match, compare, davies_bouldin, silhouette};
use contrastive_eval::correlation::{kendall, pearson, spearman};
use contrastive_eval::links;
use contrastive_eval::ndarray::{Array2, Axis, concatenate};
use contrastive_eval::neighbours::Knn;
use contrastive_eval::probe::{LinearProbe, LogisticRegression, Ridge, Split, Targets};
use contrastive_eval::ranking::Score;
use contrastive_eval::retrieval::Retrieval;
use contrastive_eval::scores::{Classification, average_precision, roc_auc};
use contrastive_kernels::Real;
use serde_json::Value;

const EXACT: f64 = 1e-12;

/// The tolerance for an element type, f64 or f32.
fn tolerance<T: Real>(f64: f64, f32: f64) -> f64 {
    if size_of::<T>() == 8 { f64 } else { f32 }
}

fn value(case: &Value, name: &str) -> f64 {
    case["expected"][name].as_f64().unwrap_or_else(|| panic!("{} has no {name}", case["name"]))
}

fn parameter(case: &Value, name: &str) -> f64 {
    case["params"][name].as_f64().unwrap_or_else(|| panic!("{} has no {name}", case["name"]))
}

fn linear_probe<T: Real>() {
    for case in golden::<T>("linear_probe") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let (x, x_test) = (matrix::<T>(&inputs["x_train"]), matrix::<T>(&inputs["x_test"]));
        let (y, y_test) = (integers(&inputs["y_train"]), integers(&inputs["y_test"]));
        let classes = expected["classes"]["data"].as_array().unwrap().len();
        let classifier = LogisticRegression::new(parameter(&case, "C"));
        let model = classifier.fit(x.view(), Targets::single(&y, classes)).unwrap();
        assert!(model.converged() && model.gradient() <= 1e-8);
        all_close("weights", model.weights(), &matrix(&expected["weights"]), 1e-4);
        all_close("intercept", model.intercept(), &numbers(&expected["intercept"]), 1e-4);
        let probabilities = model.probabilities(x_test.view()).unwrap();
        all_close("probabilities", &probabilities, &matrix(&expected["test_probabilities"]), 1e-4);
        let accuracy = |x, y: &[u32]| {
            let predictions = model.predict(x).unwrap();
            Classification::single(y, &predictions, classes).unwrap().accuracy()
        };
        close("accuracy", accuracy(x_test.view(), &y_test), value(&case, "accuracy"), EXACT);
        close("train accuracy", accuracy(x.view(), &y), value(&case, "train_accuracy"), EXACT);

        // the same through the protocol
        let all = concatenate![Axis(0), x, x_test];
        let (n, m) = (x.nrows() as u32, all.nrows() as u32);
        let split = Split::new(m as usize, (0..n).collect(), vec![], (n..m).collect()).unwrap();
        let probe = LinearProbe::new().with_classifier(classifier);
        let labels = [y, y_test].concat();
        let report = probe.run(all.view(), Targets::single(&labels, classes), &[split]).unwrap();
        close("probe", report.accuracy().mean, value(&case, "accuracy"), EXACT);
        close("probe", report.train_accuracy().mean, value(&case, "train_accuracy"), EXACT);
    }
}

#[test]
fn golden_linear_probe() {
    linear_probe::<f64>();
    linear_probe::<f32>();
}

fn ridge<T: Real>() {
    for case in golden::<T>("ridge") {
        let (x, y) = (matrix::<T>(&case["inputs"]["x"]), matrix::<T>(&case["inputs"]["y"]));
        let model = Ridge::new(parameter(&case, "alpha")).fit(x.view(), y.view()).unwrap();
        all_close("weights", &model.weights, &numbers::<f64>(&case["expected"]["weights"]), 1e-10);
        all_close("intercept", &model.intercept, &numbers::<f64>(&case["expected"]["intercept"]), 1e-10);
    }
}

#[test]
fn golden_ridge() {
    ridge::<f64>();
    ridge::<f32>();
}

#[test]
fn golden_clustering_metrics() {
    for case in golden::<f64>("clustering_metrics") {
        let (labels, clusters) = (integers(&case["inputs"]["labels"]), integers(&case["inputs"]["clusters"]));
        let report = compare(&labels, &clusters).unwrap();
        let got = |name: &str| {
            let name = if name == "accuracy_hungarian" { "accuracy" } else { name };
            report.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).1
        };
        let expected = case["expected"].as_object().unwrap();
        assert!(!expected.is_empty());
        for (name, want) in expected {
            close(name, got(name), want.as_f64().unwrap(), EXACT);
        }
        // macro F1 under the matching is that of the renamed clusters
        let names = best_match(&labels, &clusters).unwrap();
        let class = |cluster: &u32| names.iter().find(|name| name.0 == *cluster).unwrap().1;
        let renamed: Option<Vec<u32>> = clusters.iter().map(class).collect();
        if let Some(renamed) = renamed {
            let classes = 1 + *labels.iter().max().unwrap() as usize;
            let counts = Classification::single(&labels, &renamed, classes).unwrap();
            close("macro_f1", report.macro_f1, counts.macro_f1(), EXACT);
            close("accuracy", report.accuracy, counts.accuracy(), EXACT);
        }
    }
}

fn knn<T: Score>() {
    for case in golden::<T>("knn") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let (queries, bank) = (matrix::<T>(&inputs["query"]), matrix::<T>(&inputs["bank"]));
        let labels = integers(&inputs["bank_labels"]);
        let [k, classes] = ["k", "classes"].map(|name| parameter(&case, name) as usize);
        let knn = Knn::new(k).with_temperature(parameter(&case, "temperature"));
        let scores = matrix::<f64>(&expected["class_scores"]);
        for similarity in [Similarity::Dot, Similarity::Cosine] {
            let knn = knn.clone().with_similarity(similarity);
            let votes = knn.classify(queries.view(), bank.view(), &labels, classes).unwrap();
            assert_eq!(votes.neighbours().indices, integers(&expected["neighbour_index"]));
            assert_eq!(votes.predictions(), integers(&expected["prediction"]));
            // The inputs are of length 1 only to f32's precision, and a vote changes by 1 / T times that.
            let exact = similarity == Similarity::Dot;
            let tolerance = if exact { EXACT } else { tolerance::<T>(5e-6, 2e-5) };
            for (query, want) in scores.rows().into_iter().enumerate() {
                let total = votes.log_totals()[query].exp();
                close("all votes", total, want.sum(), tolerance);
                let shares = want.mapv(|votes| votes / total);
                reference::close("shares", &votes.shares().row(query).to_vec(), &shares.to_vec(), tolerance, 0.0);
            }
        }
    }
}

#[test]
fn golden_knn() {
    knn::<f64>();
    knn::<f32>();
}

fn correlations<T: Real>() {
    for case in golden::<T>("correlation") {
        let (x, y) = (numbers::<T>(&case["inputs"]["x"]), numbers::<T>(&case["inputs"]["y"]));
        close("spearman", spearman(&x, &y).unwrap(), value(&case, "spearman"), EXACT);
        close("pearson", pearson(&x, &y).unwrap(), value(&case, "pearson"), EXACT);
        close("kendall", kendall(&x, &y).unwrap(), value(&case, "kendall_tau_b"), EXACT);
    }
}

#[test]
fn golden_correlation() {
    correlations::<f64>();
    correlations::<f32>();
}

fn retrieval<T: Real>() {
    for case in golden::<T>("retrieval_metrics") {
        let (x, labels) = (matrix::<T>(&case["inputs"]["x"]), integers(&case["inputs"]["labels"]));
        let retrieval = Retrieval::new(Similarity::Euclidean, &[1]).unwrap();
        let report = retrieval.by_label(x.view(), &labels).unwrap();
        close("MAP", report.map, value(&case, "mean_average_precision"), EXACT);
        close("MAP@R", report.map_at_r, value(&case, "mean_average_precision_at_r"), EXACT);
        close("MRR", report.mrr, value(&case, "mean_reciprocal_rank"), EXACT);
        close("R@1", report.recall_at(1).unwrap(), value(&case, "precision_at_1"), EXACT);
        close("R-precision", report.r_precision, value(&case, "r_precision"), EXACT);
    }
}

#[test]
fn golden_retrieval_metrics() {
    retrieval::<f64>();
    retrieval::<f32>();
}

fn cross_modal<T: Real>() {
    for case in golden::<T>("cross_modal_retrieval") {
        let scores = matrix::<T>(&case["inputs"]["similarity"]);
        let each = parameter(&case, "captions_per_image") as u32;
        let image_of: Vec<u32> = (0..scores.ncols() as u32).map(|caption| caption / each).collect();
        let expected = case["expected"].as_object().unwrap();
        let cutoffs: Vec<usize> = expected.keys().filter_map(|name| name.strip_prefix("i2t_r")?.parse().ok()).collect();
        assert!(!cutoffs.is_empty());
        let retrieval = Retrieval::new(Similarity::Dot, &cutoffs).unwrap();
        let report = retrieval.both_ways_scores(scores.view(), &image_of).unwrap();
        // the identity as image embeddings makes the scores the captions' embeddings
        let eye = Array2::<T>::eye(scores.nrows());
        assert_eq!(retrieval.both_ways(eye.view(), scores.t(), &image_of).unwrap(), report);
        for (way, report) in [("i2t", &report.forward), ("t2i", &report.backward)] {
            for &k in &cutoffs {
                close("recall", report.recall_at(k).unwrap(), value(&case, &format!("{way}_r{k}")), EXACT);
            }
            close("median rank", report.median_rank, value(&case, &format!("{way}_median_rank")), EXACT);
        }
    }
}

#[test]
fn golden_cross_modal_retrieval() {
    cross_modal::<f64>();
    cross_modal::<f32>();
}

fn evaluation_scores<T: Real>() {
    for case in golden::<T>("evaluation_scores") {
        let inputs = &case["inputs"];
        let (x, labels) = (matrix::<T>(&inputs["x"]), integers(&inputs["labels"]));
        close("silhouette", silhouette(x.view(), &labels).unwrap(), value(&case, "silhouette"), EXACT);
        close("Davies-Bouldin", davies_bouldin(x.view(), &labels).unwrap(), value(&case, "davies_bouldin"), EXACT);
        let positive: Vec<bool> = integers(&inputs["binary"]).iter().map(|&b| b == 1).collect();
        let scores = numbers::<T>(&inputs["score"]);
        let (auc, ap) = (roc_auc(&positive, &scores).unwrap(), average_precision(&positive, &scores).unwrap());
        close("AUC", auc, value(&case, "roc_auc"), EXACT);
        close("AP", ap, value(&case, "average_precision"), EXACT);
        let classes = 1 + *labels.iter().max().unwrap() as usize;
        let counts = Classification::single(&labels, &integers(&inputs["pred"]), classes).unwrap();
        close("micro F1", counts.micro_f1(), value(&case, "f1_micro"), EXACT);
        close("macro F1", counts.macro_f1(), value(&case, "f1_macro"), EXACT);
        // the scores of edges and of pairs without
        let part = |edge: bool| scores.iter().zip(&positive).filter(|s| *s.1 == edge).map(|s| *s.0).collect::<Vec<T>>();
        let links = links::evaluate_scores(&part(true), &part(false)).unwrap();
        assert_eq!((links.auc, links.average_precision), (auc, ap));
    }
}

#[test]
fn golden_evaluation_scores() {
    evaluation_scores::<f64>();
    evaluation_scores::<f32>();
}
