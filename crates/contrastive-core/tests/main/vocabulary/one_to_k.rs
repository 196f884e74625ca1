//! CCRK's checks: K = 1, permutations, copies, the worked numbers, the bound, gradients, missing versions.

use super::*;
use burn::tensor::Tensor;
use contrastive_core::objective::{Clip, OneToK};

fn versions(values: Vec<f64>, [n, k, d]: [usize; 3]) -> (Tensor<2>, Tensor<3>) {
    let flat = leaf(values, [n * k, d]);
    (flat.clone(), flat.reshape([n, k, d]))
}

#[test]
fn the_worked_example() {
    let angle = |degrees: f64| [degrees.to_radians().cos(), degrees.to_radians().sin()];
    let texts: Vec<f64> = [10.0, 30.0, 80.0, 45.0].into_iter().flat_map(angle).collect();
    let anchors = leaf(vec![1.0, 0.0, 0.0, 1.0], [2, 2]);
    let objective = OneToK::new(0.5).unwrap();
    let (_, texts) = versions(texts, [2, 2, 2]);
    let parts = objective.parts(anchors.clone(), texts.clone(), None, None).unwrap();
    let tolerance = 1e-6;
    let close = |got: f64, want: f64| assert!((got - want).abs() < tolerance, "{got} instead of {want}");
    close(number(parts.anchors_to_versions), 1.0510643);
    close(number(parts.versions_to_anchors), 0.3615460);
    close(number(objective.loss(anchors.clone(), texts.clone(), None, None).unwrap()), 0.7063052);
    let official = objective.with_text_weight(0.5).unwrap();
    close(number(official.loss(anchors, texts, None, None).unwrap()), 0.6159187);
}

#[test]
fn one_version_is_symmetric_infonce() {
    let (n, d) = (5, 4);
    let anchors = leaf(uniform(1, n * d), [n, d]);
    let (flat, texts) = versions(uniform(2, n * d), [n, 1, d]);
    let value = OneToK::new(0.2).unwrap().loss(anchors.clone(), texts, None, None).unwrap();
    near("K = 1", number(value), number(Clip::new(0.2).unwrap().loss(anchors, flat)));
}

#[test]
fn orders_and_copies() {
    let (n, k, d) = (4, 3, 5);
    let anchors = leaf(uniform(3, n * d), [n, d]);
    let texts = uniform(4, n * k * d);
    let objective = OneToK::new(0.3).unwrap();
    let parts = |values: Vec<f64>, k: usize| {
        let parts = objective.parts(anchors.clone(), versions(values, [n, k, d]).1, None, None).unwrap();
        [number(parts.anchors_to_versions), number(parts.versions_to_anchors)]
    };
    let pick = |order: &[usize]| -> Vec<f64> {
        (0..n)
            .flat_map(|j| order.iter().flat_map(move |l| (0..d).map(move |x| (j * k + l) * d + x)))
            .map(|at| texts[at])
            .collect()
    };
    let [forth, back] = parts(texts.clone(), k);
    let [f, b] = parts(pick(&[2, 0, 1]), k);
    near("permuted", f, forth);
    near("permuted", b, back);
    let [f, b] = parts(pick(&[0, 1, 2, 0, 1, 2]), 2 * k);
    near("copied", f, forth + 2f64.ln());
    near("copied", b, back);
    assert!(forth >= (k as f64).ln(), "{forth} is below log K");
    // positives without siblings have no such floor
    let apart = objective.clone().without_siblings();
    let value = number(apart.loss(anchors.clone(), versions(texts.clone(), [n, k, d]).1, None, None).unwrap());
    assert!(value < 0.5 * (forth + back));
}

#[test]
fn gradients_reach_everything() {
    if !common::has_f64() {
        return;
    }
    let (n, k, d) = (3, 2, 3);
    let (a, t, scale) = (uniform(5, n * d), uniform(6, n * k * d), vec![2.5]);
    let loss = |a: &Tensor<2>, t: &Tensor<2>, s: &Tensor<2>| {
        let objective = OneToK::with_input_scale().with_text_weight(0.7).unwrap();
        objective.loss(a.clone(), t.clone().reshape([n, k, d]), Some(s.clone().reshape([1])), None).unwrap()
    };
    let shapes = [[n, d], [n * k, d], [1, 1]];
    let values = [a, t, scale];
    let leaves = |v: &[Vec<f64>; 3]| [0, 1, 2].map(|at| leaf(v[at].clone(), shapes[at]));
    let [x, y, s] = leaves(&values);
    let tape = loss(&x, &y, &s).backward();
    for (at, tensor) in [x, y, s].iter().enumerate() {
        let want = differences(&values[at], |moved| {
            let mut all = values.clone();
            all[at] = moved;
            let [x, y, s] = leaves(&all);
            number(loss(&x, &y, &s))
        });
        all_near(&format!("input {at}"), &common::values(&tensor.grad(&tape).unwrap()), &want, 1e-7);
    }
}

#[test]
fn missing_versions_change_nothing() {
    let (n, k, d) = (3, 3, 4);
    let anchors = leaf(uniform(7, n * d), [n, d]);
    let present = [true, true, true, true, false, true, true, false, false];
    let texts = uniform(8, n * k * d);
    let objective = OneToK::new(0.3).unwrap();
    let mut other = texts.clone();
    (0..n * k).filter(|&at| !present[at]).for_each(|at| other[at * d..][..d].fill(7.0));
    let mut all = Vec::new();
    for values in [texts, other] {
        let (flat, cube) = versions(values, [n, k, d]);
        let value = objective.loss(anchors.clone(), cube, None, Some(&present)).unwrap();
        let slopes = gradient(&value, &flat);
        let absent = (0..n * k).filter(|&at| !present[at]).flat_map(|at| slopes[at * d..][..d].to_vec());
        assert!(absent.collect::<Vec<_>>().iter().all(|g| *g == 0.0));
        all.push(number(value));
    }
    assert_eq!(all[0], all[1]);

    let none = [true, true, true, false, false, false, true, true, true];
    let (_, cube) = versions(uniform(9, n * k * d), [n, k, d]);
    let error = objective.loss(anchors, cube, None, Some(&none)).unwrap_err().to_string();
    assert!(error.contains("instance 1 has no version"), "{error}");
}
