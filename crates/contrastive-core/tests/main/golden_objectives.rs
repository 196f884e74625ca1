//! The objectives against the reference libraries' values and gradients, f64 and f32, both bodies and the dense form.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;
use serde_json::Value;

/// How close: (loss relative, gradient absolute, gradient relative), by type and temperature.
fn tolerance(dtype: DType, temperature: f64) -> (f64, f64, f64) {
    match dtype {
        DType::F64 => (1e-10, 1e-9, 1e-9),
        _ if temperature < 0.01 => (1e-4, 1e-2 / temperature * 0.01, 1e-4),
        _ => (1e-5, 1e-5, 1e-4),
    }
}

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

fn temperature(case: &Value) -> f64 {
    let learned = ["log_temperature", "log_logit_scale"].into_iter().find(|k| case["inputs"].get(*k).is_some());
    match learned {
        Some("log_temperature") => numbers(&case["inputs"]["log_temperature"])[0].exp(),
        Some(_) => (-numbers(&case["inputs"]["log_logit_scale"])[0]).exp(),
        None => case["params"]["temperature"].as_f64().unwrap_or(1.0),
    }
}

/// Compares the loss and the gradients of the named inputs.
fn check(
    case: &Value,
    dtype: DType,
    loss: Tensor<1>,
    inputs: &[(&str, &Tensor<2>)],
    scalars: &[(&str, &Tensor<1>)],
    (l, a, r): (f64, f64, f64),
) {
    let name = case["name"].as_str().unwrap();
    let what = |part: &str| format!("{name} {dtype:?} {part}");
    let expected = case["expected"]["loss"].as_f64().unwrap();
    close(&what("loss"), &values(&loss), &[expected], 1e-12, l);
    let gradients = loss.backward();
    for (input, tensor) in inputs {
        let g = tensor.grad(&gradients).unwrap_or_else(|| panic!("{}: no gradient", what(input)));
        close(&what(input), &values(&g), &numbers(&case["expected"]["grads"][input]), a, r);
    }
    for (input, tensor) in scalars {
        let g = tensor.grad(&gradients).unwrap_or_else(|| panic!("{}: no gradient", what(input)));
        close(&what(input), &values(&g), &numbers(&case["expected"]["grads"][input]), a, r);
    }
}

fn each(name: &str, mut test: impl FnMut(&Value, DType)) {
    let Some(file) = golden(name) else { return };
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        for dtype in types() {
            test(case, dtype);
        }
    }
}

#[test]
fn golden_infonce() {
    each("infonce", |case, dtype| {
        let t = temperature(case);
        let input = |k: &str| matrix(&case["inputs"][k], dtype);
        let (q, p) = (input("query"), input("positive"));
        let tolerance = tolerance(dtype, t);
        if case["inputs"].get("log_temperature").is_some() {
            let log = tracked(numbers(&case["inputs"]["log_temperature"]), [1], dtype);
            let inputs = Inputs::new(q.clone(), p.clone()).with_scale((log.clone() * -1.0).exp());
            let loss = PairObjective::with_input_scale().loss(&inputs);
            return check(
                case,
                dtype,
                loss,
                &[("query", &q), ("positive", &p)],
                &[("log_temperature", &log)],
                tolerance,
            );
        }
        let mut objective = InfoNce::new(t).unwrap();
        if case["params"]["normalize"] == false {
            objective = objective.with_similarity(Similarity::Dot);
        }
        if case["params"]["reduction"] == "sum" {
            objective = objective.with_reduction(Reduction::Sum);
        }
        match case["params"]["negative_mode"].as_str() {
            None => {
                check(
                    case,
                    dtype,
                    objective.loss(q.clone(), p.clone()),
                    &[("query", &q), ("positive", &p)],
                    &[],
                    tolerance,
                );
                let inputs = Inputs::new(q.clone(), p.clone());
                let portable = contrastive_core::testing::portably(|| objective.objective().loss(&inputs));
                check(case, dtype, portable, &[("query", &q), ("positive", &p)], &[], tolerance);
                let dense = objective.objective().dense(&Inputs::new(q.clone(), p.clone()));
                check(case, dtype, dense, &[("query", &q), ("positive", &p)], &[], tolerance);
                if let Some(rows) = case["expected"].get("per_sample") {
                    let result = objective.objective().evaluate(&Inputs::new(q, p), Wanted::VALUE);
                    close("rows", &values(&result.rows), &numbers(rows), tolerance.0, tolerance.0);
                }
            }
            Some("unpaired") => {
                let n = input("negatives");
                let loss = objective.loss_with_negatives(q.clone(), p.clone(), n.clone());
                check(case, dtype, loss, &[("query", &q), ("positive", &p), ("negatives", &n)], &[], tolerance);
            }
            Some("paired") => {
                let shape: Vec<usize> = case["inputs"]["negatives"]["shape"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|v| v.as_u64().unwrap() as usize)
                    .collect();
                let n = tracked(numbers(&case["inputs"]["negatives"]), [shape[0], shape[1], shape[2]], dtype);
                let loss = objective.loss_with_own_negatives(q.clone(), p.clone(), n.clone());
                let gradients = loss.backward();
                let expected = numbers(&case["expected"]["grads"]["negatives"]);
                close("own negatives", &values(&n.grad(&gradients).unwrap()), &expected, tolerance.1, tolerance.2);
                let again = objective.loss_with_own_negatives(q.clone(), p.clone(), n);
                check(case, dtype, again, &[("query", &q), ("positive", &p)], &[], tolerance);
            }
            Some(other) => panic!("unknown mode {other}"),
        }
    });
}

#[test]
fn golden_nt_xent() {
    for (name, similarity) in [("nt_xent", Similarity::Cosine), ("nt_xent_dot", Similarity::Dot)] {
        each(name, |case, dtype| {
            let t = temperature(case);
            let (a, b) = (matrix(&case["inputs"]["z0"], dtype), matrix(&case["inputs"]["z1"], dtype));
            let objective = NtXent::new(t).unwrap().with_similarity(similarity);
            let inputs = [("z0", &a), ("z1", &b)];
            check(case, dtype, objective.loss(a.clone(), b.clone()), &inputs, &[], tolerance(dtype, t));
            let stacked = Inputs::self_contrast(Tensor::cat(vec![a.clone(), b.clone()], 0));
            let portable = contrastive_core::testing::portably(|| objective.objective().loss(&stacked));
            check(case, dtype, portable, &inputs, &[], tolerance(dtype, t));
        });
    }
}

#[test]
fn golden_nt_xent_labels() {
    each("nt_xent_labels", |case, dtype| {
        let t = temperature(case);
        let x = matrix(&case["inputs"]["embeddings"], dtype);
        let labels = integers(&case["inputs"]["labels"]);
        let (_, a, r) = tolerance(dtype, t);
        let tolerance = if dtype == DType::F64 { (1e-6, 1e-6, 0.0) } else { (1e-5, a, r) };
        check(
            case,
            dtype,
            NtXent::new(t).unwrap().loss_with_labels(x.clone(), &labels),
            &[("embeddings", &x)],
            &[],
            tolerance,
        );
    });
}

#[test]
fn golden_clip() {
    each("clip", |case, dtype| {
        let t = temperature(case);
        let (a, b) = (matrix(&case["inputs"]["image"], dtype), matrix(&case["inputs"]["text"], dtype));
        let inputs = [("image", &a), ("text", &b)];
        let Some(log) = case["inputs"].get("log_logit_scale") else {
            let loss = Clip::new(t).unwrap().loss(a.clone(), b.clone());
            return check(case, dtype, loss, &inputs, &[], tolerance(dtype, t));
        };
        let log = tracked(numbers(log), [1], dtype);
        let loss = Clip::with_logit_scale().loss_with_scale(a.clone(), b.clone(), log.clone().exp());
        check(case, dtype, loss, &inputs, &[("log_logit_scale", &log)], tolerance(dtype, t));
        // a common bias changes nothing: the reference's gradient of it is zero
        if let Some(bias) = case["expected"]["grads"].get("logit_bias") {
            close("logit_bias", &numbers(bias), &[0.0], 1e-12, 0.0);
        }
    });
}

#[test]
fn golden_supcon() {
    each("supcon", |case, dtype| {
        let t = temperature(case);
        let x = matrix(&case["inputs"]["embeddings"], dtype);
        let labels = integers(&case["inputs"]["labels"]);
        let objective = SupCon::new(t).unwrap();
        check(case, dtype, objective.loss(x.clone(), &labels), &[("embeddings", &x)], &[], tolerance(dtype, t));
        let inputs = Inputs::self_contrast(x.clone());
        let portable = contrastive_core::testing::portably(|| objective.objective(&labels).loss(&inputs));
        check(case, dtype, portable, &[("embeddings", &x)], &[], tolerance(dtype, t));
    });
}

#[test]
fn golden_dcl_and_dclw() {
    for name in ["dcl", "dclw"] {
        each(name, |case, dtype| {
            let t = temperature(case);
            let (a, b) = (matrix(&case["inputs"]["z0"], dtype), matrix(&case["inputs"]["z1"], dtype));
            let mut objective = Dcl::new(t).unwrap();
            if let Some(sigma) = case["params"]["sigma"].as_f64() {
                objective = objective.with_weights(sigma).unwrap();
            }
            check(
                case,
                dtype,
                objective.loss(a.clone(), b.clone()),
                &[("z0", &a), ("z1", &b)],
                &[],
                tolerance(dtype, t),
            );
        });
    }
}

#[test]
fn golden_bpr() {
    each("bpr", |case, dtype| {
        let input = |k: &str| matrix(&case["inputs"][k], dtype);
        let (u, p, n) = (input("user"), input("pos"), input("neg"));
        let name = case["name"].as_str().unwrap();
        let penalty = name.starts_with("emb_reg");
        let loss = match penalty {
            true => embedding_penalty(vec![u.clone(), p.clone(), n.clone()]),
            false => bpr(u.clone(), p.clone(), n.clone()),
        };
        // the form with 1e-10 inside the logarithm is smaller by 1e-10 times the mean of 1 / sigmoid(gap)
        let gamma = case["params"]["form"].as_str().unwrap().contains("1e-10");
        let tolerance = match (dtype, gamma) {
            (DType::F64, true) => (1e-8, 1e-7, 1e-7),
            _ => tolerance(dtype, 1.0),
        };
        check(case, dtype, loss, &[("user", &u), ("pos", &p), ("neg", &n)], &[], tolerance);
    });
}
