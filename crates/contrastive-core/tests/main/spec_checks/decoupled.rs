//! DCL and DCLW: worked values, the coupling of InfoNCE, weights and their gradients.

use crate::common::*;
use crate::spec_checks::{gradient, reordered, tight};
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::*;
use contrastive_core::similarity::{Similarity, unit_rows};

fn weighted(t: f64, sigma: f64) -> Dcl {
    Dcl::new(t).unwrap().with_weights(sigma).unwrap()
}

#[test]
fn worked_values_of_dcl() {
    let loss = |objective: Dcl| {
        let [a, b] = views();
        objective.loss(a, b)
    };
    near_value("DCL at 0.1", loss(Dcl::new(0.1).unwrap()), -1.552728109);
    near_value("DCL at 0.5", loss(Dcl::new(0.5).unwrap()), 0.629227783);
    near_value("DCLW at 0.1", loss(weighted(0.1, 0.5)), -1.542147339);
    near_value("DCLW at 0.5", loss(weighted(0.5, 0.5)), 0.631343937);
    let [a, b] = views();
    let weights = weighted(0.1, 0.5).weights(&a, &b).unwrap();
    close("weights", &weights, &[1.063943, 0.981419, 0.938739, 1.015898], 1e-6, 0.0);
    near("mean", weights.iter().sum::<f64>() / 4.0, 1.0, 1e-6);
    assert!(Dcl::new(0.1).unwrap().weights(&a, &b).is_none());
    // neither the order of the images nor that of the views counts
    let order = [2, 0, 3, 1];
    for objective in [Dcl::new(0.1).unwrap(), weighted(0.1, 0.5)] {
        let expected = one(objective.loss(a.clone(), b.clone()));
        near("swapped", one(objective.loss(b.clone(), a.clone())), expected, tight());
        near("order", one(objective.loss(reordered(&a, &order), reordered(&b, &order))), expected, tight());
    }
}

#[test]
fn dclw_at_its_ends_is_dcl() {
    let (a, b) = (rows(1, [6, 4]), rows(2, [6, 4]));
    let plain = Dcl::new(0.3).unwrap();
    let value = |objective: &Dcl, b: &Tensor<2>| one(objective.loss(a.clone(), b.clone()));
    near("sigma without end", value(&weighted(0.3, 1e9), &b), value(&plain, &b), 1e-6);
    let twice = a.clone() * 2.0;
    near("equal positives", value(&weighted(0.3, 0.5), &twice), value(&plain, &twice), tight());
    for sigma in [0.0, -1.0, f64::NAN] {
        says(plain.clone().with_weights(sigma).unwrap_err(), "sigma of DCLW");
    }
}

#[test]
#[should_panic(expected = "DCL of views of shape [1, 4]: two samples at least")]
fn a_single_image_is_refused() {
    weighted(0.3, 0.5).with_differentiated_weights(true).loss(rows(3, [1, 4]), rows(4, [1, 4]));
}

#[test]
#[should_panic(expected = "the shapes of the two views")]
fn views_of_other_shapes_are_refused() {
    weighted(0.1, 0.5).loss(rows(1, [3, 4]), rows(2, [4, 4]));
}

/// Candidates that are the axes: an anchor's gradient is that of its logits.
#[test]
fn infonce_is_dcl_times_the_share_of_the_negatives() {
    let (n, m) = (9, 12);
    let axes: Vec<f64> = (0..m * m).map(|at| f64::from(u8::from(at / m == at % m))).collect();
    let logits = normal(5, n * m);
    let slopes = |denominator: Denominator| {
        let anchors = tracked(logits.clone(), [n, m], wide());
        let objective = PairObjective::new(1.0).unwrap().with_similarity(Similarity::Dot).with_denominator(denominator);
        let inputs = Inputs::new(anchors.clone(), constant(axes.clone(), [m, m]));
        let objective = objective.with_reduction(Reduction::Sum);
        let loss = objective.loss(&inputs);
        (one(loss.clone()), gradient(loss, &anchors))
    };
    let ((coupled, by_infonce), (decoupled, by_dcl)) =
        (slopes(Denominator::WithPositives), slopes(Denominator::NegativesOnly));
    let mut gap = 0.0;
    for i in 0..n {
        let row = &logits[i * m..(i + 1) * m];
        let others: f64 = (0..m).filter(|j| *j != i).map(|j| row[j].exp()).sum();
        let q = others / (others + row[i].exp());
        assert!(q > 0.0 && q < 1.0);
        let scaled: Vec<f64> = by_dcl[i * m..(i + 1) * m].iter().map(|g| g * q).collect();
        close("q times", &by_infonce[i * m..(i + 1) * m], &scaled, tight(), tight());
        gap += (1.0 + row[i].exp() / others).ln();
    }
    near("log(1 + P / U)", coupled - decoupled, gap, tight());
}

#[test]
fn many_negatives_leave_no_difference() {
    let t = 0.5;
    let gaps = [4, 32, 256].map(|n| {
        let (a, b) = (rows(6, [n, 8]), rows(7, [n, 8]));
        let coupled = one(NtXent::new(t).unwrap().loss(a.clone(), b.clone()));
        coupled - one(Dcl::new(t).unwrap().loss(a, b))
    });
    println!("InfoNCE - DCL of 4, 32 and 256 images: {gaps:.4?}");
    assert!(gaps.iter().all(|gap| *gap > 0.0) && gaps[1] < 0.3 * gaps[0] && gaps[2] < 0.3 * gaps[1]);
}

#[test]
fn weights_are_constants_unless_told_otherwise() {
    let (n, t, sigma) = (6, 0.4, 0.5);
    let (a, b) = (rows(1, [n, 4]), rows(2, [n, 4]));
    let objective = weighted(t, sigma);
    let free = objective.clone().with_differentiated_weights(true);
    differences("DCLW with differentiated weights", &[[n, 4]; 2], |x| free.loss(x[0].clone(), x[1].clone()));
    near("value", one(free.loss(a.clone(), b.clone())), one(objective.loss(a.clone(), b.clone())), 1e-12);
    let weights = objective.weights(&a, &b).unwrap();
    let held = |x: &[Tensor<2>]| {
        // beside DCL, (1 - w_i) s_i / t
        let shares = constant(weights.iter().map(|w| (1.0 - w) / (t * n as f64)).collect(), [n, 1]);
        let cosines = (unit_rows(x[0].clone()) * unit_rows(x[1].clone())).sum_dim(1);
        Dcl::new(t).unwrap().loss(x[0].clone(), x[1].clone()) + (cosines * shares).sum()
    };
    differences("weights held", &[[n, 4]; 2], |x| held(x));
    let inputs = [a.clone(), b];
    let got = gradient(objective.loss(inputs[0].clone(), inputs[1].clone()), &a);
    close("held", &got, &gradient(held(&inputs), &a), tight(), tight());
    let moved = gradient(free.loss(inputs[0].clone(), inputs[1].clone()), &a);
    assert!(moved.iter().zip(&got).any(|(x, y)| (x - y).abs() > 1e-3), "the weights' gradient counts");
}
