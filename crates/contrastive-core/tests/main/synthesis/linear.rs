//! The elliptical bonus and SASRec's cross-entropy against golden values.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::linear::EllipticalBonus;
use contrastive_core::objective::{sampled_bce, sampled_bce_from_scores};
use ndarray::{Array1, Array2};
use serde_json::Value;

fn table(tensor: &Value) -> Array2<f64> {
    let [n, d] = matrix_shape(tensor);
    Array2::from_shape_vec((n, d), numbers(tensor)).unwrap()
}

fn random(seed: u64, shape: [usize; 2]) -> Array2<f64> {
    Array2::from_shape_vec((shape[0], shape[1]), normal(seed, shape[0] * shape[1])).unwrap()
}

#[test]
fn golden_elliptical_bonus() {
    let Some(file) = golden("elliptical_bonus.json") else { return };
    for case in cases(&file) {
        let (history, query) = (table(&case["inputs"]["history"]), table(&case["inputs"]["query"]));
        let number = |name: &str| case["params"][name].as_f64().unwrap();
        let mut bonus = EllipticalBonus::new(history.ncols(), number("lambda"), number("beta")).unwrap();
        history.rows().into_iter().for_each(|row| bonus.observe(row).unwrap());
        let got: Vec<f64> = query.rows().into_iter().map(|row| bonus.bonus(row)).collect();
        close("bonus", &got, &numbers(&case["expected"]["bonus"]), 1e-10, 1e-10);
        near("log det", bonus.log_det(), case["expected"]["log_det"].as_f64().unwrap(), 1e-10);
    }
}

#[test]
fn the_bonus_falls_where_rows_are_seen() {
    let (d, lambda, factor) = (6, 0.5, 0.3);
    let mut bonus = EllipticalBonus::new(d, lambda, factor).unwrap();
    let rows = random(4, [1100, d]);
    let queries = random(5, [5, d]);
    for (k, row) in rows.rows().into_iter().enumerate() {
        let before = bonus.bonus(row);
        let others: Vec<f64> = queries.rows().into_iter().map(|q| bonus.bonus(q)).collect();
        let length = row.dot(&row).sqrt();
        assert!(before <= factor / lambda.sqrt() * length * (1.0 + 1e-12));
        bonus.observe(row).unwrap();
        assert!(bonus.bonus(row) < before, "row {k}");
        assert!(queries.rows().into_iter().zip(others).all(|(q, old)| bonus.bonus(q) <= old * (1.0 + 1e-9)));
        if k + 1 == 1000 || k + 1 == 1100 {
            // 1,000 rank-one updates, and some after the inverse was taken anew, against the inverse itself
            let seen = rows.slice(ndarray::s![..=k, ..]);
            let sum = seen.t().dot(&seen) + Array2::<f64>::eye(d) * lambda;
            let sum = nalgebra::DMatrix::from_fn(d, d, |r, c| sum[[r, c]]);
            let inverse = sum.clone().try_inverse().unwrap();
            for q in queries.rows() {
                let q_ = nalgebra::DVector::from_iterator(d, q.iter().copied());
                near("direct", bonus.bonus(q), factor * q_.dot(&(&inverse * &q_)).sqrt(), 1e-9);
            }
            near("log det", bonus.log_det(), sum.determinant().ln(), 1e-9);
        }
    }
    assert_eq!(bonus.seen(), 1100);
    let mut holed = Array1::<f64>::zeros(d);
    holed[2] = f64::INFINITY;
    let before = bonus.bonus(queries.row(0));
    says(bonus.observe(holed.view()).unwrap_err(), "row 1100");
    assert_eq!(bonus.bonus(queries.row(0)), before, "an error changes nothing");
    says(EllipticalBonus::new(0, 1.0, 1.0).unwrap_err(), "width 0");
    says(EllipticalBonus::new(3, 0.0, 1.0).unwrap_err(), "lambda 0");
    says(EllipticalBonus::new(3, 1.0, f64::NAN).unwrap_err(), "factor of the bonus NaN");
}

#[test]
fn golden_sampled_bce() {
    let Some(file) = golden("sasrec_bce.json") else { return };
    for dtype in [DType::F64, DType::F32].into_iter().filter(|t| *t == DType::F32 || has_f64()) {
        let (value, absolute, relative) = if dtype == DType::F64 { (1e-10, 1e-9, 1e-9) } else { (1e-5, 1e-5, 1e-4) };
        for case in cases(&file) {
            let flat = |name: &str| {
                let shape: Vec<usize> = serde_json::from_value(case["inputs"][name]["shape"].clone()).unwrap();
                tracked(numbers(&case["inputs"][name]), [shape[0] * shape[1], shape[2]], dtype)
            };
            let names = ["seq", "pos", "neg"];
            let inputs = names.map(flat);
            let mask: Vec<bool> = serde_json::from_value(case["inputs"]["mask"]["data"].clone()).unwrap();
            let [s, p, n] = inputs.clone();
            let loss = sampled_bce(s, p, n, &mask);
            close("loss", &values(&loss), &[case["expected"]["loss"].as_f64().unwrap()], 0.0, value);
            let gradients = loss.backward();
            for (name, input) in names.iter().zip(&inputs) {
                let expected = numbers(&case["expected"]["grads"][*name]);
                close(name, &values(&input.grad(&gradients).unwrap()), &expected, absolute, relative);
            }
        }
    }
}

#[test]
fn sampled_bce_of_any_score() {
    let scores = |p: &[f64]| tracked(p.to_vec(), [p.len()], wide());
    let extreme = [-800.0, -30.0, 0.0, 30.0, 800.0];
    let p = scores(&extreme);
    let n = tracked(extreme.to_vec(), [5, 1], wide());
    let loss = sampled_bce_from_scores(p.clone(), n.clone(), &[true; 5]);
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let expected: f64 = extreme.iter().map(|x| softplus(-x) + softplus(*x)).sum::<f64>() / 5.0;
    near("value", one(loss.clone()), expected, 1e-6);
    let gradients = loss.backward();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let down: Vec<f64> = extreme.iter().map(|x| (sigmoid(*x) - 1.0) / 5.0).collect();
    let up: Vec<f64> = extreme.iter().map(|x| sigmoid(*x) / 5.0).collect();
    close("positives", &values(&p.grad(&gradients).unwrap()), &down, 1e-7, 1e-6);
    close("negatives", &values(&n.grad(&gradients).unwrap()), &up, 1e-7, 1e-6);
    // two negatives a state: their terms add up; padding, even infinite, does not count
    let two = plain(vec![0.3, -0.7, f64::INFINITY, 2.0], [2, 2]);
    let p = plain(vec![0.5, f64::NEG_INFINITY], [2, 1]).reshape([2]);
    let value = one(sampled_bce_from_scores(p.clone(), two.clone(), &[true, false]));
    near("two negatives", value, softplus(-0.5) + softplus(0.3) + softplus(-0.7), 1e-6);
    assert_eq!(one(sampled_bce_from_scores(p, two, &[false, false])), 0.0);
    differences("sampled BCE", &[[6, 3]; 3], |x| {
        let real = [true, true, false, true, false, true];
        sampled_bce(x[0].clone(), x[1].clone(), x[2].clone(), &real)
    });
    let empty: Tensor<1> = plain(vec![0.0], [1, 1]).reshape([1]);
    assert!(std::panic::catch_unwind(|| sampled_bce_from_scores(empty, plain(vec![0.0], [1, 1]), &[])).is_err());
}
