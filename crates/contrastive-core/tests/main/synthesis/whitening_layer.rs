//! The whitening layer against golden values, in training and in evaluation.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::Module;
use burn::tensor::{DType, Tensor};
use contrastive_core::head::WhiteningLayer;
use contrastive_core::objective::{Whitening, WhiteningError, WhiteningForm};
use serde_json::Value;

/// The whitening of a case, and the order of its columns.
fn whitening_of(case: &Value) -> (Whitening, Option<Vec<usize>>) {
    let name = case["name"].as_str().unwrap();
    let form = if name.starts_with("cholesky") { WhiteningForm::Cholesky } else { WhiteningForm::Zca };
    let whitening = Whitening::new(form, case["params"]["eps"].as_f64().unwrap()).unwrap();
    match case["params"]["groups"].as_u64() {
        Some(groups) => {
            let order = integers(&case["inputs"]["permutation"]).into_iter().map(|k| k as usize).collect();
            (whitening.with_groups(groups as usize).unwrap(), Some(order))
        }
        None => (whitening, None),
    }
}

fn ordered(x: Tensor<2>, order: &Option<Vec<usize>>) -> Tensor<2> {
    match order {
        None => x,
        Some(order) => {
            let n = x.dims()[0];
            Tensor::cat(order.iter().map(|&k| x.clone().slice([0..n, k..k + 1])).collect(), 1)
        }
    }
}

#[test]
fn golden_whitening_as_a_layer() {
    let Some(file) = golden("whitening.json") else { return };
    for dtype in [DType::F64, DType::F32].into_iter().filter(|t| *t == DType::F32 || has_f64()) {
        let (loss_bound, bound) = if dtype == DType::F64 { (1e-10, 1e-9) } else { (1e-4, 1e-3) };
        for case in cases(&file) {
            let what = case["name"].as_str().unwrap();
            let (whitening, order) = whitening_of(case);
            let x = matrix(&case["inputs"]["x"], dtype);
            let cotangent = matrix(&case["inputs"]["cotangent"], dtype).detach();
            let expected = ordered(matrix(&case["expected"]["output"], dtype), &order);
            // momentum 1: the running statistics are those of the last batch
            let layer = WhiteningLayer::new(x.dims()[1], whitening, 1.0, (&device().autodiff(), dtype)).unwrap();
            let white = layer.forward(ordered(x.clone(), &order)).unwrap();
            close(what, &values(&white), &values(&expected), bound, bound);
            let loss = (white * ordered(cotangent, &order)).sum();
            close(what, &values(&loss), &[case["expected"]["loss"].as_f64().unwrap()], loss_bound, loss_bound);
            let gradient = x.grad(&loss.backward()).unwrap();
            close(what, &values(&gradient), &numbers(&case["expected"]["grads"]["x"]), bound, bound);
            let evaluated = layer.valid().forward(ordered(x.inner(), &order)).unwrap();
            close(&format!("{what}, evaluation"), &values(&evaluated), &values(&expected), bound, bound);
        }
    }
}

#[test]
fn statistics_follow_the_batches() {
    let (n, d, momentum) = (12, 4, 0.3);
    let whitening = Whitening::new(WhiteningForm::Zca, 0.1).unwrap().with_groups(2).unwrap();
    let layer = WhiteningLayer::new(d, whitening.clone(), momentum, (&device().autodiff(), wide())).unwrap();
    let bound = if has_f64() { 1e-12 } else { 1e-5 };
    // nothing seen: mean 0, covariance 1
    let x = rows(3, [n, d]);
    let fresh = values(&layer.valid().forward(x.clone().inner()).unwrap());
    let expected: Vec<f64> = values(&x).iter().map(|v| v / 1.1f64.sqrt()).collect();
    close("a fresh layer", &fresh, &expected, bound, 0.0);
    let (mut mean, mut covariance) = (vec![0.0; d], vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    for seed in 0..3 {
        let x = rows(seed, [n, d]);
        layer.forward(x.clone()).unwrap();
        let all = values(&x);
        let column = |k: usize| (0..n).map(|i| all[i * d + k]).collect::<Vec<f64>>();
        let means: Vec<f64> = (0..d).map(|k| column(k).iter().sum::<f64>() / n as f64).collect();
        for (at, c) in covariance.iter_mut().enumerate() {
            let (k, l) = (2 * (at / 4) + at / 2 % 2, 2 * (at / 4) + at % 2);
            let product: f64 = column(k).iter().zip(column(l)).map(|(x, y)| (x - means[k]) * (y - means[l])).sum();
            *c = (1.0 - momentum) * *c + momentum * product / (n - 1) as f64;
        }
        mean.iter_mut().zip(means).for_each(|(m, new)| *m = (1.0 - momentum) * *m + momentum * new);
    }
    close("mean", &values(&layer.running_mean.value_sync()), &mean, bound, 0.0);
    close("covariance", &values(&layer.running_covariance.value_sync()), &covariance, bound, 0.0);
    // evaluation: rows do not depend on each other
    let evaluation = layer.valid();
    let together = values(&evaluation.forward(x.clone().inner()).unwrap());
    let alone = values(&evaluation.forward(x.clone().inner().slice([0..1, 0..d])).unwrap());
    close("one row", &alone, &together[..d], bound, 0.0);
    // frozen, it evaluates on autodiff too, with a gradient, and its statistics stay
    let frozen = layer.freeze();
    let out = frozen.forward(x.clone()).unwrap();
    close("frozen", &values(&out), &together, bound, 0.0);
    assert!(x.grad(&out.sum().backward()).is_some());
    close("statistics", &values(&frozen.running_mean.value_sync()), &mean, bound, 0.0);
}

#[test]
fn layers_that_cannot_whiten_are_refused() {
    let whitening = Whitening::new(WhiteningForm::Zca, 0.0).unwrap().with_groups(2).unwrap();
    let new = |width, momentum| WhiteningLayer::new(width, whitening.clone(), momentum, (&device().autodiff(), wide()));
    says(new(5, 0.1).unwrap_err(), "5 columns do not fall into 2 groups");
    says(new(0, 0.1).unwrap_err(), "columns 0");
    says(new(4, 1.5).unwrap_err(), "momentum of the statistics 1.5");
    says(new(4, f64::NAN).unwrap_err(), "momentum of the statistics NaN");
    let layer = new(4, 0.5).unwrap();
    let flat = constant(vec![1.0; 12], [3, 4]);
    assert!(matches!(layer.forward(flat).unwrap_err(), WhiteningError::Singular { .. }));
}
