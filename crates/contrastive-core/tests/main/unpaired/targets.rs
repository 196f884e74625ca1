//! Distributions over prototypes, and transport plans.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::objective::*;

#[test]
fn finite_differences_of_targets() {
    let shape = [5, 4];
    let targets = plain(normal(3, 20).iter().map(|x| x.abs()).collect(), shape);
    differences("cross-entropy", &[shape], |x| soft_cross_entropy(targets.clone(), x[0].clone(), 0.3).unwrap());
    let dino = Dino::new(0.5, 0.2, 0.9).unwrap();
    let teacher = [rows(1, shape), rows(2, shape)];
    let center = dino.next_center(&DinoCenter::zeros(4, &device(), wide()), &teacher);
    differences("DINO", &[shape; 3], |x| dino.loss(&teacher, x, &center));
    let swav = SwAv::new(0.5, Sinkhorn::new(0.2, 3).unwrap()).unwrap();
    let large = [rows(1, shape), rows(2, shape)];
    differences("SwAV", &[shape; 2], |x| swav.loss(&large, x));
    // of the large crops with the codes held: the sum of the cross-entropies alone has their gradient
    let codes = large.clone().map(|s| Sinkhorn::new(0.2, 3).unwrap().codes(s));
    let held = |x: &[Tensor<2>]| {
        let term = |q: usize, s: usize| soft_cross_entropy(codes[q].clone(), x[s].clone(), 0.5).unwrap();
        (term(0, 1) + term(1, 0)) * 0.5
    };
    differences("SwAV with codes held", &[shape; 2], held);
    close("two crops", &[one(swav.loss(&large, &[]))], &[one(held(&large))], 1e-6, 1e-6);
    let (g, h) = (swav.loss(&large, &[]).backward(), held(&large).backward());
    for crop in &large {
        close("crop", &values(&crop.grad(&g).unwrap()), &values(&crop.grad(&h).unwrap()), 1e-6, 1e-6);
    }
}

#[test]
fn finite_differences_of_plans() {
    let weights = plain(normal(5, 20), [5, 4]);
    for sinkhorn in [Sinkhorn::new(0.5, 7).unwrap(), Sinkhorn::new(0.5, 7).unwrap().with_log_domain()] {
        let mass = |x: Tensor<2>| x.clone() * x + 0.1;
        differences("Sinkhorn", &[[5, 4], [5, 1], [4, 1]], |x| {
            let (a, b) = (mass(x[1].clone()).reshape([5]), mass(x[2].clone()).reshape([4]));
            (sinkhorn.plan(x[0].clone(), a, b) * weights.clone()).sum()
        });
    }
}

#[test]
fn dino_at_its_ends() {
    let (n, k) = (4, 5);
    let dino = Dino::new(0.1, 0.04, 0.75).unwrap();
    let teacher = [rows(1, [n, k]), rows(2, [n, k])];
    let zeros = DinoCenter::zeros(k, &device(), wide());
    // a student who knows nothing pays ln k, whatever the teacher says
    let blank = plain(vec![3.0; n * k], [n, k]);
    let loss = one(dino.loss(&teacher, &[blank.clone(), blank.clone(), blank], &zeros));
    close("ln k", &[loss], &[(k as f64).ln()], 1e-6, 0.0);
    // the centre goes a quarter of the way, and centring takes a common shift away
    let center = dino.next_center(&zeros, &teacher);
    let mean = (teacher[0].clone().inner() + teacher[1].clone().inner()).sum_dim(0) * (0.25 / (2 * n) as f64);
    close("centre", &values(&center.values()), &values(&mean), 1e-6, 0.0);
    let shift = plain(vec![1.0, -2.0, 0.5, 4.0, 0.0], [1, k]);
    let shifted = DinoCenter::from_data((center.values() + shift.clone().reshape([k])).to_data(), &device()).unwrap();
    let moved = dino.targets(&(teacher[0].clone().inner() + shift), &shifted);
    close("targets", &values(&moved), &values(&dino.targets(&teacher[0], &center)), 1e-5, 0.0);
    let refused = |data: TensorData| DinoCenter::from_data(data, &device()).unwrap_err().to_string();
    assert!(refused(TensorData::new(vec![1i32, 2], [2])).contains("one list of floats"));
    assert!(refused(TensorData::new(vec![1f32, 2.0], [1, 2])).contains("one list of floats"));
    assert!(refused(TensorData::new(vec![1f32, f32::NAN], [2])).contains("NaN"));
}

#[test]
fn codes_are_even_assignments() {
    let (n, k) = (12, 3);
    let scores = rows(1, [n, k]);
    for sinkhorn in [Sinkhorn::new(0.5, 500).unwrap(), Sinkhorn::new(0.5, 500).unwrap().with_log_domain()] {
        let codes = sinkhorn.codes(scores.clone());
        assert!(!codes.is_tracked() && !codes.is_autodiff());
        close("rows", &values(&codes.clone().sum_dim(1)), &vec![1.0; n], 1e-6, 0.0);
        close("prototypes", &values(&codes.clone().sum_dim(0)), &vec![4.0; k], 1e-5, 0.0);
        let shifted = sinkhorn.codes(scores.clone() + 7.0);
        close("shifted", &values(&shifted), &values(&codes), 1e-5, 0.0);
        let swav = SwAv::new(0.1, sinkhorn).unwrap();
        let blank = plain(vec![0.3; n * k], [n, k]);
        close("ln k", &[one(swav.loss(&[blank.clone(), blank.clone()], &[blank]))], &[3f64.ln()], 1e-6, 0.0);
    }
}

#[test]
fn plans_converge_or_say_so() {
    let cost = plain(normal(1, 12).iter().map(|v| v * v).collect(), [4, 3]);
    let mass =
        |values: &[f64]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), (&device(), wide()));
    let (a, b) = (mass(&[0.1, 0.4, 0.0, 0.5]), mass(&[0.3, 0.5, 0.2]));
    let tolerance = if has_f64() { 1e-10 } else { 1e-6 };
    // costs of up to 1 000 epsilons: only the log domain can
    let sharp = Sinkhorn::new(0.01, 20_000).unwrap();
    let plan = sharp.clone().with_log_domain().converged_plan(cost.clone(), a.clone(), b.clone(), tolerance).unwrap();
    close("rows", &values(&plan.clone().sum_dim(1)), &values(&a), 1e-6, 0.0);
    close("columns", &values(&plan.sum_dim(0)), &values(&b), 1e-6, 0.0);
    let far =
        plain([0.0, 1.0, 1.0, 50.0].map(|c| c * 100.0).to_vec(), [2, 2]) + plain(vec![0.0, 0.0, 5000.0, 0.0], [2, 2]);
    let half = || mass(&[0.5, 0.5]);
    match sharp.converged_plan(far, half(), half(), tolerance) {
        Err(SinkhornError::NotConverged { residual, .. }) => assert!(residual.is_nan(), "{residual}"),
        other => panic!("a kernel that vanishes: {other:?}"),
    }
    match Sinkhorn::new(0.05, 3).unwrap().converged_plan(cost.clone(), a.clone(), b.clone(), tolerance) {
        Err(error @ SinkhornError::NotConverged { iterations: 3, residual, .. }) => {
            let plan = Sinkhorn::new(0.05, 3).unwrap().plan(cost.clone(), a.clone(), b.clone());
            let off = values(&(plan.sum_dim(0).reshape([3]) - b.clone()).abs().max())[0];
            close("residual", &[residual], &[off], 1e-7, 1e-6);
            assert!(error.to_string().contains("after 3 iterations"), "{error}");
        }
        other => panic!("three iterations: {other:?}"),
    }
    let refused = |a: &[f64], b: &[f64]| {
        let plan = Sinkhorn::new(1.0, 9).unwrap().converged_plan(cost.clone(), mass(a), mass(b), 1.0);
        plan.unwrap_err().to_string()
    };
    assert!(refused(&[0.1, -0.4, 0.8, 0.5], &[0.3, 0.5, 0.2]).contains("entry 1"));
    assert!(refused(&[0.1, 0.4, 0.1, 0.5], &[0.3, f64::NAN, 0.2]).contains("of the columns"));
    assert!(refused(&[0.1, 0.4, 0.1, 0.5], &[0.3, 0.5, 0.2]).contains("must be the same"));
}
