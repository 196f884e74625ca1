//! Losses of pairs and rows: against the reference libraries, and native against portable against dense.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::{
    Circle, ClassMargin, FastAp, Inputs, IntraPairVariance, LiftedStructure, MultiSimilarity, Nca, PairContrastive,
    ProxyAnchor, SigLip, TupletMargin,
};
use contrastive_core::pairs::Pairs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

/// Loss and gradient of `loss` at the case's embeddings, against what is expected.
fn check(case: &Value, dtype: DType, loss: impl Fn(Tensor<2>, &[i64]) -> Tensor<1>) {
    let rows = tracked(numbers(&case["inputs"]["embeddings"]), matrix_shape(&case["inputs"]["embeddings"]), dtype);
    let labels: Vec<i64> = numbers(&case["inputs"]["labels"]).iter().map(|l| *l as i64).collect();
    let value = loss(rows.clone(), &labels);
    let name = format!("{} in {dtype:?}", case["name"]);
    // the reference's softplus is x itself from 20 on, where log(1 + e^x) is up to 2.1e-9 above
    let cut = case["name"].as_str().is_some_and(|name| name.starts_with("circle"));
    let (relative, absolute) = match dtype {
        DType::F64 if cut => (3e-9, 3e-9),
        DType::F64 => (1e-10, 1e-9),
        _ => (2e-5, 2e-5),
    };
    let want = case["expected"]["loss"].as_f64().unwrap();
    assert_close(&values(&value), &[want], relative, relative, &name);
    let gradient = rows.grad(&value.backward()).expect("a gradient");
    let wanted = numbers(&case["expected"]["grads"]["embeddings"]);
    // in f32 a cosine is rounded before the steep parts: Circle's gamma of 80
    let steep = if dtype == DType::F64 { 1.0 } else { 10.0 };
    assert_close(&values(&gradient), &wanted, steep * absolute, steep * absolute, &format!("gradient of {name}"));
}

fn number(case: &Value, name: &str) -> f64 {
    case["params"][name].as_f64().unwrap_or_else(|| panic!("{name} of {}", case["name"]))
}

#[test]
fn golden_multi_similarity() {
    let Some(file) = golden("multi_similarity") else { return };
    for (case, dtype) in cases(&file).iter().flat_map(|c| types().into_iter().map(move |t| (c, t))) {
        let mut objective =
            MultiSimilarity::new(number(case, "alpha"), number(case, "beta"), number(case, "base")).unwrap();
        if let Some(epsilon) = case["params"]["epsilon"].as_f64() {
            objective = objective.with_mining(epsilon).unwrap();
        }
        check(case, dtype, |x, y| objective.loss(x, y));
        check(case, dtype, |x, y| contrastive_core::testing::portably(|| objective.loss(x, y)));
        check(case, dtype, |x, y| objective.dense(x, y));
    }
}

/// All three forms of an objective of rows under labels.
macro_rules! check_forms {
    ($case:expr, $dtype:expr, $objective:expr) => {{
        let objective = $objective.unwrap();
        check($case, $dtype, |x, y| objective.loss(x, y));
        check($case, $dtype, |x, y| contrastive_core::testing::portably(|| objective.loss(x, y)));
        check($case, $dtype, |x, y| objective.dense(x, y));
    }};
}

#[test]
fn golden_metric_learning() {
    let Some(file) = golden("metric_learning") else { return };
    let mut seen = 0;
    for (case, dtype) in cases(&file).iter().flat_map(|c| types().into_iter().map(move |t| (c, t))) {
        seen += 1;
        match case["name"].as_str().unwrap().rsplit_once('_').unwrap().0 {
            "contrastive" => {
                let margins = (number(case, "pos_margin"), number(case, "neg_margin"));
                let objective = PairContrastive::of_distances(margins.0, margins.1).unwrap();
                let objective = |labels: &[i64]| objective.clone().with_pairs(Pairs::labels(labels));
                check(case, dtype, |x, y| objective(y).loss(&Inputs::self_contrast(x)));
                check(case, dtype, |x, y| {
                    contrastive_core::testing::portably(|| objective(y).loss(&Inputs::self_contrast(x)))
                });
            }
            "circle" => check_forms!(case, dtype, Circle::new(number(case, "m"), number(case, "gamma"))),
            "lifted_structure" => check_forms!(case, dtype, LiftedStructure::new(number(case, "neg_margin"))),
            "fast_ap" => check_forms!(case, dtype, FastAp::new(number(case, "num_bins") as usize)),
            "intra_pair_variance" => check_forms!(case, dtype, IntraPairVariance::new(0.01, 0.01)),
            "tuplet_margin" => {
                let margin = number(case, "margin").to_radians();
                check_forms!(case, dtype, TupletMargin::new(margin, number(case, "scale")));
            }
            _ => seen -= 1,
        }
    }
    assert!(seen > 0, "no case of a known loss");
}

#[test]
fn golden_siglip() {
    let Some(file) = golden("siglip") else { return };
    for (case, dtype) in cases(&file).iter().flat_map(|c| types().into_iter().map(move |t| (c, t))) {
        let input = |name: &str| {
            let x = &case["inputs"][name];
            tracked(numbers(x), matrix_shape(x), dtype)
        };
        let one = |name: &str| tracked(numbers(&case["inputs"][name]), [1], dtype);
        type Form = fn(&SigLip, [Tensor<2>; 2], [Tensor<1>; 2]) -> Tensor<1>;
        let forms: [Form; 3] = [
            |o, [a, c], [s, b]| o.loss(a, c, s, b),
            |o, [a, c], [s, b]| contrastive_core::testing::portably(|| o.loss(a, c, s, b)),
            |o, [a, c], [s, b]| o.dense(a, c, s, b),
        ];
        for form in forms {
            let (images, texts) = (input("image"), input("text"));
            let (log_scale, bias) = (one("log_logit_scale"), one("logit_bias"));
            let value = form(&SigLip::new(), [images.clone(), texts.clone()], [log_scale.clone().exp(), bias.clone()]);
            let name = format!("{} in {dtype:?}", case["name"]);
            let tight = if dtype == DType::F64 { 1e-10 } else { 1e-5 };
            let expected = &case["expected"];
            assert_close(&values(&value), &[expected["loss"].as_f64().unwrap()], 0.0, tight, &name);
            let gradients = value.backward();
            let [absolute, relative] = if dtype == DType::F64 { [1e-9; 2] } else { [1e-5, 1e-4] };
            let close = |got: Vec<f64>, what: &str| {
                let want = numbers(&expected["grads"][what]);
                assert_close(&got, &want, absolute, relative, &format!("{what} of {name}"));
            };
            close(values(&images.grad(&gradients).unwrap()), "image");
            close(values(&texts.grad(&gradients).unwrap()), "text");
            close(values(&log_scale.grad(&gradients).unwrap()), "log_logit_scale");
            close(values(&bias.grad(&gradients).unwrap()), "logit_bias");
        }
    }
}

/// Rows among one row for each class; the library's weights are `[c, d]` for proxies, `[d, c]` for classifiers.
#[test]
fn golden_metric_learning_classes() {
    let Some(file) = golden("metric_learning") else { return };
    let mut seen = 0;
    for (case, dtype) in cases(&file).iter().flat_map(|c| types().into_iter().map(move |t| (c, t))) {
        let name = case["name"].as_str().unwrap();
        if name.starts_with("nca") {
            let objective = Nca::new(number(case, "softmax_scale")).unwrap();
            check(case, dtype, |x, y| objective.loss(x, y));
            seen += 1;
            continue;
        }
        type Form = Box<dyn Fn(Tensor<2>, &[i64], Tensor<2>) -> Tensor<1>>;
        macro_rules! forms {
            ($objective:expr) => {{
                let [a, b, c] = [0; 3].map(|_| $objective.unwrap());
                let forms: Vec<Form> = vec![
                    Box::new(move |x, y, w| a.loss(x, y, w)),
                    Box::new(move |x, y, w| contrastive_core::testing::portably(|| b.loss(x, y, w))),
                    Box::new(move |x, y, w| c.dense(x, y, w)),
                ];
                forms
            }};
        }
        let (forms, turned): (Vec<Form>, bool) = match name.rsplit_once('_').unwrap().0 {
            "proxy_nca" => {
                let objective = Nca::new(number(case, "softmax_scale")).unwrap();
                (vec![Box::new(move |x, y, w| objective.loss_with_proxies(x, y, w))], false)
            }
            "proxy_anchor" => (forms!(ProxyAnchor::new(number(case, "margin"), number(case, "alpha"))), false),
            "cosface" => (forms!(ClassMargin::cosface(number(case, "margin"), number(case, "scale"))), true),
            "arcface" => {
                let margin = number(case, "margin_degrees").to_radians();
                (forms!(ClassMargin::arcface(margin, number(case, "scale"))), true)
            }
            "normalized_softmax" => (forms!(ClassMargin::normalized_softmax(number(case, "temperature"))), true),
            _ => continue,
        };
        seen += 1;
        for form in forms {
            let input = &case["inputs"]["weight"];
            let fresh = || tracked(numbers(input), matrix_shape(input), dtype);
            let placed = |leaf: &Tensor<2>| if turned { leaf.clone().transpose() } else { leaf.clone() };
            check(case, dtype, |x, y| form(x, y, placed(&fresh())));
            let leaf = fresh();
            let rows = &case["inputs"]["embeddings"];
            let rows = tracked(numbers(rows), matrix_shape(rows), dtype);
            let labels: Vec<i64> = numbers(&case["inputs"]["labels"]).iter().map(|l| *l as i64).collect();
            let gradients = form(rows, &labels, placed(&leaf)).backward();
            let [absolute, relative] = if dtype == DType::F64 { [1e-9; 2] } else { [1e-5, 1e-4] };
            let want = numbers(&case["expected"]["grads"]["weight"]);
            let got = values(&leaf.grad(&gradients).unwrap());
            assert_close(&got, &want, absolute, relative, &format!("weights of {name}"));
        }
    }
    assert!(seen > 0, "no case of a known loss");
}

#[test]
#[should_panic(expected = "for 3 classes")]
fn labels_must_be_classes() {
    let [x, w] = [[4, 2], [3, 2]].map(|shape| tracked(vec![0.5; shape[0] * shape[1]], shape, DType::F32));
    Nca::new(1.0).unwrap().loss_with_proxies(x, &[0, 1, 3, 2], w);
}

/// Random rows and labels: some classes of one row, one class of all rows, one row.
#[test]
fn dense_is_streaming() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let dtype = types()[0];
    let tight = if dtype == DType::F64 { 1e-10 } else { 1e-4 };
    for (n, d, classes) in [(1, 3, 1), (2, 2, 1), (17, 4, 3), (33, 6, 20), (90, 8, 1), (64, 5, 64), (150, 7, 10)] {
        let rows: Vec<f64> = (0..n * d).map(|_| rng.random_range(-1.0..1.0)).collect();
        let labels: Vec<i64> = (0..n).map(|_| rng.random_range(0..classes)).collect();
        type Form = Box<dyn Fn(Tensor<2>, &[i64]) -> Tensor<1>>;
        let compare = |what: &str, forms: [Form; 3]| {
            let results = forms.map(|form| {
                let x = tracked(rows.clone(), [n, d], dtype);
                let value = form(x.clone(), &labels);
                let gradients = value.backward();
                let gradient = x.grad(&gradients).map_or_else(|| vec![0.0; n * d], |g| values(&g));
                (values(&value), gradient)
            });
            for (k, (value, gradient)) in results[1..].iter().enumerate() {
                let what = format!("{k} {what} of {n} x {d} in {classes} classes");
                assert_close(value, &results[0].0, tight, tight, &what);
                assert_close(gradient, &results[0].1, tight, tight, &format!("gradient of {what}"));
            }
        };
        macro_rules! compare {
            ($objective:expr) => {{
                let [a, b, c] = [0; 3].map(|_| $objective);
                compare(
                    stringify!($objective),
                    [
                        Box::new(move |x, y| a.dense(x, y)),
                        Box::new(move |x, y| b.loss(x, y)),
                        Box::new(move |x, y| contrastive_core::testing::portably(|| c.loss(x, y))),
                    ],
                );
            }};
        }
        compare!(MultiSimilarity::new(2.0, 50.0, 0.5).unwrap());
        compare!(MultiSimilarity::new(1.0, 5.0, 0.0).unwrap().with_mining(0.1).unwrap());
        compare!(Circle::new(0.25, 16.0).unwrap());
        compare!(LiftedStructure::new(1.0).unwrap());
        compare!(TupletMargin::new(0.1, 16.0).unwrap());
        compare!(FastAp::new(10).unwrap());
        compare!(IntraPairVariance::new(0.01, 0.05).unwrap());
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let fails = |error: contrastive_core::error::ObjectiveError, words: &str| {
        assert!(error.to_string().contains(words), "{error}");
    };
    fails(MultiSimilarity::new(0.0, 50.0, 0.5).unwrap_err(), "alpha 0");
    fails(MultiSimilarity::new(2.0, f64::NAN, 0.5).unwrap_err(), "beta NaN");
    fails(MultiSimilarity::new(2.0, 50.0, 0.5).unwrap().with_mining(-0.1).unwrap_err(), "epsilon -0.1");
    fails(Circle::new(-0.1, 80.0).unwrap_err(), "margin -0.1");
    fails(Circle::new(0.4, f64::INFINITY).unwrap_err(), "gamma inf");
    fails(LiftedStructure::new(f64::NAN).unwrap_err(), "margin NaN");
    fails(TupletMargin::new(-0.1, 64.0).unwrap_err(), "margin -0.1");
    fails(TupletMargin::new(0.1, 0.0).unwrap_err(), "scale 0");
    fails(FastAp::new(0).unwrap_err(), "bins 0");
    fails(IntraPairVariance::new(0.01, -1.0).unwrap_err(), "epsilon of negatives -1");
    fails(ProxyAnchor::new(0.1, f64::NAN).unwrap_err(), "alpha NaN");
}

#[test]
#[should_panic(expected = "labels and rows")]
fn labels_must_match_rows() {
    Circle::new(0.4, 80.0).unwrap().loss(tracked(vec![0.0; 6], [3, 2], DType::F32), &[1, 2]);
}
