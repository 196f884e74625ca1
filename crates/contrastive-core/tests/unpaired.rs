//! Objectives that compare no pairs, or few: identities, plain definitions in loops, limits, and finite differences in f64.

mod common;

use burn::tensor::{DType, Tensor, TensorData};
use common::*;
use contrastive_core::error::ObjectiveError;
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers that are near enough to normal, always the same for a seed.
fn normal(seed: u64, count: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0).map(|x| x * 2f64.sqrt()).collect()
}

fn wide() -> DType {
    if has_f64() { DType::F64 } else { DType::F32 }
}

fn rows(seed: u64, shape: [usize; 2]) -> Tensor<2> {
    tracked(normal(seed, shape[0] * shape[1]), shape, wide())
}

fn plain(values: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(wide()), (&device(), wide()))
}

fn one<const D: usize>(tensor: Tensor<D>) -> f64 {
    values(&tensor)[0]
}

/// Every input's gradient against the central difference of the value. Inputs are normal numbers of the given shapes.
fn differences(name: &str, shapes: &[[usize; 2]], loss: impl Fn(&[Tensor<2>]) -> Tensor<1>) {
    let data = shapes.iter().enumerate().map(|(k, shape)| normal(100 + k as u64, shape[0] * shape[1])).collect();
    differences_at(name, shapes, data, loss);
}

fn differences_at(name: &str, shapes: &[[usize; 2]], data: Vec<Vec<f64>>, loss: impl Fn(&[Tensor<2>]) -> Tensor<1>) {
    if !has_f64() {
        return;
    }
    let leaves = |data: &[Vec<f64>]| -> Vec<Tensor<2>> {
        data.iter().zip(shapes).map(|(d, shape)| tracked(d.clone(), *shape, DType::F64)).collect()
    };
    let inputs = leaves(&data);
    let gradients = (loss(&inputs) * -2.0).backward();
    let step = 1e-5;
    for (k, input) in inputs.iter().enumerate() {
        let gradient = values(&input.grad(&gradients).unwrap_or_else(|| panic!("{name}: no gradient of input {k}")));
        let largest = gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
        assert!(largest > 1e-6, "{name}: the gradient of input {k} is zero");
        for at in 0..gradient.len() {
            let [above, below] = [step, -step].map(|step| {
                let mut moved = data.clone();
                moved[k][at] += step;
                one(loss(&leaves(&moved)))
            });
            let difference = -2.0 * (above - below) / (2.0 * step);
            let error = (difference - gradient[at]).abs();
            assert!(error < 1e-7 * (1.0 + largest), "{name}: input {k} at {at}: {difference} and {}", gradient[at]);
        }
    }
}

#[test]
fn finite_differences_of_two_views() {
    for shape in [[9, 4], [4, 9]] {
        let barlow = BarlowTwins::new(0.1).unwrap();
        differences("Barlow Twins", &[shape; 2], |x| barlow.loss(x[0].clone(), x[1].clone()));
        for form in [Variance::Mean, Variance::Sum] {
            let vicreg = VicReg::new(25.0, 25.0, 1.0).unwrap().with_variance(form);
            differences("VICReg", &[shape; 2], |x| vicreg.loss(x[0].clone(), x[1].clone()));
        }
        let z = rows(1, shape);
        differences("SimSiam", &[shape; 2], |x| simsiam(x[0].clone(), x[1].clone(), z.clone(), z.clone()));
        differences("BYOL", &[shape; 2], |x| byol(x[0].clone(), x[1].clone(), z.clone(), z.clone()));
        for alpha in [1.0, 1.5, 2.0, 3.0] {
            for similarity in [Similarity::Cosine, Similarity::Dot] {
                let alignment = Alignment::new(alpha).unwrap().with_similarity(similarity);
                differences("alignment", &[shape; 2], |x| alignment.loss(x[0].clone(), x[1].clone()));
            }
        }
        for portable in [false, true] {
            let uniformity = Uniformity::new(2.0).unwrap().portable(portable);
            differences("uniformity", &[shape], |x| uniformity.loss(x[0].clone()));
            let uniformity = Uniformity::new(0.1).unwrap().portable(portable).with_similarity(Similarity::Dot);
            differences("uniformity of raw rows", &[shape], |x| uniformity.loss(x[0].clone()));
        }
    }
}

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
    for sinkhorn in [Sinkhorn::new(0.5, 7).unwrap(), Sinkhorn::new(0.5, 7).unwrap().in_log_domain()] {
        let mass = |x: Tensor<2>| x.clone() * x + 0.1;
        differences("Sinkhorn", &[[5, 4], [5, 1], [4, 1]], |x| {
            let (a, b) = (mass(x[1].clone()).reshape([5]), mass(x[2].clone()).reshape([4]));
            (sinkhorn.plan(x[0].clone(), a, b) * weights.clone()).sum()
        });
    }
}

#[test]
fn finite_differences_of_whitening() {
    let cotangent = plain(normal(6, 48), [12, 4]);
    let order = [2, 0, 3, 1];
    for form in [WhiteningForm::Zca, WhiteningForm::Cholesky] {
        for (epsilon, groups) in [(0.0, 1), (0.1, 1), (0.01, 2), (0.0, 4)] {
            let whitening = Whitening::new(form, epsilon).unwrap().with_groups(groups).unwrap();
            differences("whitening", &[[12, 4]], |x| {
                (whitening.whiten_in_order(x[0].clone(), &order).unwrap() * cotangent.clone()).sum()
            });
        }
        // all eigenvalues equal: where quotients of differences are 0 / 0
        let whitening = Whitening::new(form, 0.0).unwrap();
        let white = values(&whitening.whiten(rows(7, [12, 4])).unwrap());
        differences_at("whitening of white rows", &[[12, 4]], vec![white], |x| {
            (whitening.whiten(x[0].clone()).unwrap() * cotangent.clone()).sum()
        });
    }
}

#[test]
fn moments_are_those_of_the_definitions() {
    for (n, d) in [(9, 4), (4, 9), (6, 6)] {
        let (a, b) = (normal(1, n * d), normal(2, n * d));
        let (x, y) = (plain(a.clone(), [n, d]), plain(b.clone(), [n, d]));
        let column = |x: &[f64], k: usize| (0..n).map(|i| x[i * d + k]).collect::<Vec<_>>();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / n as f64;
        let centred = |x: &[f64], k: usize| {
            let column = column(x, k);
            column.iter().map(|v| v - mean(&column)).collect::<Vec<_>>()
        };
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let (mut barlow, mut covariance, mut hinge) = (0.0, 0.0, [0.0; 2]);
        for k in 0..d {
            for l in 0..d {
                let (p, q) = (centred(&a, k), centred(&b, l));
                let scale = |x: &[f64]| (dot(x, x) / n as f64 + 1e-5).sqrt();
                let c = dot(&p, &q) / n as f64 / scale(&p) / scale(&q);
                barlow += if k == l { (1.0 - c) * (1.0 - c) } else { 0.3 * c * c };
                for side in [&a, &b].iter().filter(|_| k != l) {
                    covariance += (dot(&centred(side, k), &centred(side, l)) / (n - 1) as f64).powi(2) / d as f64;
                }
            }
            for (side, hinge) in [&a, &b].iter().zip(&mut hinge) {
                let p = centred(side, k);
                *hinge += (1.0 - (dot(&p, &p) / (n - 1) as f64 + 1e-4).sqrt()).max(0.0) / d as f64;
            }
        }
        let squares = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / (n * d) as f64;
        let bound = if has_f64() { 1e-12 } else { 1e-5 };
        let got = one(BarlowTwins::new(0.3).unwrap().loss(x.clone(), y.clone()));
        close("Barlow Twins", &[got], &[barlow], 0.0, bound);
        let vicreg = VicReg::new(2.0, 3.0, 5.0).unwrap();
        let got = one(vicreg.loss(x.clone(), y.clone()));
        close("VICReg", &[got], &[2.0 * squares + 1.5 * (hinge[0] + hinge[1]) + 5.0 * covariance], 0.0, bound);
        let got = one(vicreg.with_variance(Variance::Sum).loss(x, y));
        close("VICReg, sum", &[got], &[2.0 * squares + 3.0 * (hinge[0] + hinge[1]) + 5.0 * covariance], 0.0, bound);
    }
}

/// The dense definition by plain tensor operations, with the n x n matrix.
fn dense_uniformity(x: Tensor<2>, t: f64, similarity: Similarity) -> Tensor<1> {
    let [n, d] = x.dims();
    let x = match similarity {
        Similarity::Cosine => contrastive_core::similarity::unit_rows(x),
        Similarity::Dot => x,
    };
    let gap = x.clone().reshape([n, 1, d]).expand([n, n, d]) - x.reshape([1, n, d]).expand([n, n, d]);
    let squares: Tensor<2> = (gap.clone() * gap).sum_dim(2).reshape([n, n]);
    let mut others = vec![1.0; n * n];
    (0..n).for_each(|i| others[i * n + i] = 0.0);
    let others = plain(others, [n, n]);
    let share = 1.0 / (n * (n - 1)) as f64;
    // taken out before the exponential, as -t times the smallest squared distance is not small for sharp kernels
    let far = (others.clone() * -1.0 + 1.0) * 1e30;
    let least = (squares.clone().detach() + far).min();
    let top = least.clone().reshape([1, 1]);
    (((squares - top) * -t).exp() * others).sum().mul_scalar(share).log() - least * t
}

#[test]
fn uniformity_is_the_dense_formula() {
    if !has_f64() {
        return;
    }
    for (n, d, t, similarity) in [
        (2, 3, 2.0, Similarity::Cosine),
        (300, 16, 2.0, Similarity::Cosine),
        (257, 5, 0.5, Similarity::Cosine),
        (130, 64, 200.0, Similarity::Cosine),
        (300, 16, 0.3, Similarity::Dot),
        (150, 8, 40.0, Similarity::Dot),
    ] {
        for (portable, shift) in [(false, 0.0), (true, 0.0), (false, 50.0)] {
            let shift = if similarity == Similarity::Dot { shift } else { 0.0 };
            let data: Vec<f64> = normal(n as u64, n * d).iter().map(|v| v + shift).collect();
            let leaf = || tracked(data.clone(), [n, d], DType::F64);
            let (x, y) = (leaf(), leaf());
            let streaming = Uniformity::new(t).unwrap().with_similarity(similarity).portable(portable).loss(x.clone());
            let dense = dense_uniformity(y.clone(), t, similarity);
            close("uniformity", &values(&streaming), &values(&dense), 1e-10, 1e-10);
            let (g, h) = (streaming.backward(), dense.backward());
            let (g, h) = (values(&x.grad(&g).unwrap()), values(&y.grad(&h).unwrap()));
            let largest = h.iter().fold(0f64, |m, v| m.max(v.abs()));
            assert!(largest > 1e-6);
            close("gradient of the uniformity", &g, &h, 1e-10 * largest.max(1.0), 1e-10);
        }
    }
}

#[test]
fn uniformity_of_many_rows_in_f32() {
    let (n, d) = (2000, 16);
    let data = normal(4, n * d);
    let value = |dtype| one(Uniformity::new(2.0).unwrap().loss(tracked(data.clone(), [n, d], dtype)));
    // rows on a sphere of 16 dimensions: the expectation of e^{4 cos - 4} by its series is e^-4 0F1(8; 4)
    let terms = (0..40).scan(1.0, |term, k| {
        let now = *term;
        *term *= 4.0 / ((k as f64 + 1.0) * (k as f64 + 8.0));
        Some(now)
    });
    let series: f64 = terms.sum();
    close("f32", &[value(DType::F32)], &[series.ln() - 4.0], 5e-3, 0.0);
    if has_f64() {
        close("f32 and f64", &[value(DType::F32)], &[value(DType::F64)], 1e-6, 1e-6);
    }
}

#[test]
fn cosines_at_their_ends() {
    let x = rows(1, [5, 3]);
    let bound = if has_f64() { 1e-12 } else { 1e-6 };
    let same = |f: fn(Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<1>, sign: f64| {
        let y = x.clone() * (2.0 * sign);
        one(f(x.clone(), x.clone(), y.clone(), y))
    };
    close("SimSiam", &[same(simsiam, 1.0), same(simsiam, -1.0)], &[-1.0, 1.0], bound, 0.0);
    close("BYOL", &[same(byol, 1.0), same(byol, -1.0)], &[0.0, 8.0], 10.0 * bound, 0.0);
    let mut data = normal(2, 15);
    data[3..6].fill(0.0);
    let zero = tracked(data, [5, 3], wide());
    let loss = negative_cosine(zero.clone(), x.clone()) + Alignment::new(1.0).unwrap().loss(zero.clone(), zero.clone());
    let gradient = values(&zero.grad(&loss.backward()).unwrap());
    assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
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
    for sinkhorn in [Sinkhorn::new(0.5, 500).unwrap(), Sinkhorn::new(0.5, 500).unwrap().in_log_domain()] {
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
    let plan = sharp.clone().in_log_domain().converged_plan(cost.clone(), a.clone(), b.clone(), tolerance).unwrap();
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

#[test]
fn whitened_rows_are_white() {
    let (n, d) = (40, 6);
    let mixed = rows(1, [n, d]).inner().matmul(rows(2, [d, d]).inner()) + 3.0;
    let bound = if has_f64() { 1e-9 } else { 1e-2 };
    let covariance = |x: &Tensor<2>| values(&(x.clone().transpose().matmul(x.clone()) * (1.0 / (n - 1) as f64)));
    let identity: Vec<f64> = (0..d * d).map(|at| f64::from(at % d == at / d)).collect();
    for form in [WhiteningForm::Zca, WhiteningForm::Cholesky] {
        let whitening = Whitening::new(form, 0.0).unwrap();
        let white = whitening.whiten(mixed.clone()).unwrap();
        close("covariance", &covariance(&white), &identity, bound, 0.0);
        close("mean", &values(&white.clone().sum_dim(0)), &vec![0.0; d], bound, 0.0);
        close("again", &values(&whitening.whiten(white.clone()).unwrap()), &values(&white), 10.0 * bound, 0.0);
        // groups of one column: each column standardised
        let single = whitening.clone().with_groups(d).unwrap().whiten(mixed.clone()).unwrap();
        let mean = mixed.clone().sum_dim(0) * (1.0 / n as f64);
        let gap = mixed.clone() - mean;
        let deviation = ((gap.clone() * gap.clone()).sum_dim(0) * (1.0 / (n - 1) as f64)).sqrt();
        close("single columns", &values(&single), &values(&(gap / deviation)), bound, bound);

        let error = |rows: usize| whitening.whiten(self::rows(3, [rows, d])).unwrap_err();
        assert!(matches!(error(4), WhiteningError::Singular { rows: 4, columns: 6, .. }), "{}", error(4));
        let infinite = whitening.whiten(mixed.clone() * f64::INFINITY).unwrap_err();
        assert_eq!(infinite, WhiteningError::NotFinite { rows: n, columns: d });
        let groups = whitening.clone().with_groups(4).unwrap().whiten(mixed.clone()).unwrap_err();
        assert_eq!(groups, WhiteningError::Groups { columns: 6, groups: 4 });
        for order in [&[0, 1, 2, 3, 4][..], &[0, 1, 2, 3, 4, 4], &[0, 1, 2, 3, 4, 6]] {
            let order = whitening.whiten_in_order(mixed.clone(), order).unwrap_err();
            assert_eq!(order, WhiteningError::Order { columns: 6 });
        }
    }
    // ZCA follows a rotation
    let zca = Whitening::new(WhiteningForm::Zca, 0.1).unwrap();
    let (c, s) = (0.6, 0.8);
    let mut turn: Vec<f64> = identity;
    (turn[0], turn[1], turn[d], turn[d + 1]) = (c, -s, s, c);
    let turn = plain(turn, [d, d]);
    let turned = zca.whiten(mixed.clone().matmul(turn.clone())).unwrap();
    close("turned", &values(&turned), &values(&zca.whiten(mixed).unwrap().matmul(turn)), bound, 0.0);
}

#[test]
fn w_mse_is_the_distance_of_white_unit_rows() {
    let (n, d) = (24, 4);
    let (a, b) = (rows(1, [n, d]), rows(2, [n, d]));
    let order: Vec<usize> = (0..n).map(|i| (i * 7) % n).collect();
    let whitening = Whitening::new(WhiteningForm::Cholesky, 0.01).unwrap();
    let mut expected = 0.0;
    for part in order.chunks(8) {
        let pick = |x: &Tensor<2>| {
            let all = values(x);
            let rows = part.iter().flat_map(|&i| all[i * d..(i + 1) * d].to_vec()).collect();
            values(&whitening.whiten(plain(rows, [8, d])).unwrap())
        };
        let (x, y) = (pick(&a), pick(&b));
        for (x, y) in x.chunks(d).zip(y.chunks(d)) {
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            expected += (2.0 - 2.0 * dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()) / n as f64;
        }
    }
    let w_mse = WMse::new(0.01).unwrap().with_sub_batches(8).unwrap();
    let bound = if has_f64() { 1e-12 } else { 1e-4 };
    let got = one(w_mse.loss(a.clone(), b.clone(), Some(&order)).unwrap());
    close("W-MSE", &[got], &[expected], bound, bound);
    let same = WMse::new(0.0).unwrap().loss(a.clone(), a.clone() * 3.0 + 1.0, None).unwrap();
    close("a view and its image", &[one(same)], &[0.0], 1e-5, 0.0);
    differences("W-MSE", &[[n, d]; 2], |x| w_mse.loss(x[0].clone(), x[1].clone(), Some(&order)).unwrap());
    let error = w_mse.clone().with_sub_batches(7).unwrap().loss(a.clone(), b.clone(), None).unwrap_err();
    assert_eq!(error, WhiteningError::SubBatches { rows: n, size: 7 });
    let error = w_mse.loss(a.clone(), b.clone(), Some(&order[1..])).unwrap_err();
    assert_eq!(error, WhiteningError::RowOrder { rows: n });
    let error = w_mse.with_sub_batches(4).unwrap().with_whitening(Whitening::new(WhiteningForm::Zca, 0.0).unwrap());
    assert!(matches!(error.loss(a, b, None).unwrap_err(), WhiteningError::Singular { rows: 4, columns: 4, .. }));
}

/// All triplets one by one: the sum of the values, how many are above 0, how many there are.
fn triplets(x: &[f64], d: usize, labels: &[i64], margin: f64, mining: Mining, smooth: bool, swap: bool) -> [f64; 3] {
    let n = labels.len();
    let distance = |i: usize, j: usize| {
        x[i * d..(i + 1) * d].iter().zip(&x[j * d..(j + 1) * d]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let mut total = [0.0; 3];
    for a in 0..n {
        let all: Vec<(usize, usize)> = (0..n * n)
            .map(|at| (at / n, at % n))
            .filter(|(p, m)| *p != a && labels[*p] == labels[a] && labels[*m] != labels[a])
            .collect();
        let gap = |(p, m): &(usize, usize)| distance(a, *m) - distance(a, *p);
        let nearest = all.iter().map(|t| t.0).min_by(|p, q| distance(a, *p).total_cmp(&distance(a, *q)));
        let chosen: Vec<(usize, usize)> = match mining {
            Mining::All => all,
            Mining::Hard => all.into_iter().filter(|t| gap(t) <= 0.0).collect(),
            Mining::Semihard => all.into_iter().filter(|t| gap(t) > 0.0 && gap(t) <= margin).collect(),
            Mining::Easy => all.into_iter().filter(|t| gap(t) > margin).collect(),
            Mining::BatchHard => all.into_iter().min_by(|t, s| gap(t).total_cmp(&gap(s))).into_iter().collect(),
            Mining::BatchEasySemihard => {
                let beyond = all.into_iter().filter(|t| Some(t.0) == nearest && gap(t) > 0.0);
                beyond.min_by(|t, s| gap(t).total_cmp(&gap(s))).into_iter().collect()
            }
        };
        for (p, m) in chosen {
            let far = if swap { distance(a, m).min(distance(p, m)) } else { distance(a, m) };
            let violation = distance(a, p) - far + margin;
            let cost = if smooth { violation.exp().ln_1p() } else { violation.max(0.0) };
            total[0] += cost;
            total[1] += f64::from(cost > 0.0);
            total[2] += 1.0;
        }
    }
    total
}

#[test]
fn triplets_are_those_of_the_definition() {
    let (n, d) = (30, 3);
    let data: Vec<f64> = normal(1, n * d).iter().map(|x| x * 0.5).collect();
    let labels: Vec<i64> = (0..n as i64).map(|i| (i * i) % 7).collect();
    let minings =
        [Mining::All, Mining::Hard, Mining::Semihard, Mining::Easy, Mining::BatchHard, Mining::BatchEasySemihard];
    for mining in minings {
        for (smooth, swap, over_all) in [
            (false, false, false),
            (false, false, true),
            (true, false, false),
            (false, true, false),
            (true, true, true),
        ] {
            if swap && mining != Mining::All {
                continue;
            }
            let mut triplet = Triplet::new(0.3).unwrap().with_mining(mining).unwrap().with_similarity(Similarity::Dot);
            triplet = if smooth { triplet.smooth() } else { triplet };
            triplet = if swap { triplet.with_swap().unwrap() } else { triplet };
            triplet = if over_all { triplet.over_all() } else { triplet };
            let [sum, active, all] = triplets(&data, d, &labels, 0.3, mining, smooth, swap);
            let expected = sum / if over_all { all } else { active }.max(1.0);
            let got = one(triplet.loss(tracked(data.clone(), [n, d], wide()), &labels));
            let bound = if has_f64() { 1e-12 } else { 1e-5 };
            close(&format!("{mining:?} {smooth} {swap} {over_all}"), &[got], &[expected], bound, bound);
            if mining != Mining::Easy || smooth {
                let name = format!("gradient of {mining:?} {smooth} {swap} {over_all}");
                differences_at(&name, &[[n, d]], vec![data.clone()], |x| triplet.loss(x[0].clone(), &labels));
            }
        }
    }
    let unit = Triplet::new(0.3).unwrap();
    differences("unit rows", &[[8, 3]], |x| unit.loss(x[0].clone(), &[0, 1, 0, 1, 2, 2, 2, 0]));
}

#[test]
fn triplets_over_several_blocks_of_anchors() {
    // 1 500 rows are three blocks of anchors, and another order of the rows puts other rows into them
    let (n, d) = (1500, 2);
    let data = normal(3, n * d);
    let labels: Vec<i64> = (0..n as i64).map(|i| i % 400).collect();
    let triplet = Triplet::new(0.1).unwrap().with_mining(Mining::BatchHard).unwrap().with_similarity(Similarity::Dot);
    let x = tracked(data.clone(), [n, d], wide());
    let loss = triplet.loss(x.clone(), &labels);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|i| (i * 7919) % n);
    let moved: Vec<f64> = order.iter().flat_map(|&i| data[i * d..(i + 1) * d].to_vec()).collect();
    let y = tracked(moved, [n, d], wide());
    let again = triplet.loss(y.clone(), &order.iter().map(|&i| labels[i]).collect::<Vec<_>>());
    close("in another order", &values(&again), &values(&loss), 1e-6, 1e-9);
    let (g, h) = (values(&x.grad(&loss.backward()).unwrap()), values(&y.grad(&again.backward()).unwrap()));
    let back: Vec<f64> = order.iter().flat_map(|&i| g[i * d..(i + 1) * d].to_vec()).collect();
    close("gradients", &h, &back, 1e-9, 1e-6);
    let largest = g.iter().fold(0f64, |m, v| m.max(v.abs()));
    assert!(
        largest > 1e-5 && (0..d).all(|k| (0..n).map(|i| g[i * d + k]).sum::<f64>().abs() < 1e-6 * n as f64 * largest)
    );
}

#[test]
fn triplets_that_are_none() {
    let triplet = Triplet::new(0.2).unwrap();
    let x = rows(1, [4, 3]);
    for labels in [[0, 0, 0, 0], [0, 1, 2, 3]] {
        let loss = triplet.loss(x.clone(), &labels);
        assert_eq!(one(loss.clone()), 0.0);
        assert_eq!(values(&x.grad(&loss.backward()).unwrap()), vec![0.0; 12]);
    }
    // rows at one place: the value is the margin, nothing is pushed, nothing is NaN
    let x = tracked([0.3, -0.2, 0.5].repeat(4), [4, 3], wide());
    let loss = triplet.loss(x.clone(), &[0, 0, 1, 1]);
    close("margin", &[one(loss.clone())], &[0.2], 1e-7, 0.0);
    assert_eq!(values(&x.grad(&loss.backward()).unwrap()), vec![0.0; 12]);
    let nan = tracked([0.3, f64::NAN, 0.5].repeat(4), [4, 3], wide());
    assert!(one(triplet.loss(nan, &[0, 0, 1, 1])).is_nan());
}

#[test]
fn settings_out_of_range_are_refused() {
    let sinkhorn = || Sinkhorn::new(0.05, 3).unwrap();
    let refused: Vec<(ObjectiveError, &str)> = vec![
        (BarlowTwins::new(-1.0).unwrap_err(), "off-diagonal -1"),
        (BarlowTwins::new(0.1).unwrap().with_epsilon(0.0).unwrap_err(), "epsilon of the variances 0"),
        (BarlowTwins::new(0.1).unwrap().with_scale(f64::NAN).unwrap_err(), "scale of the loss NaN"),
        (VicReg::new(1.0, 1.0, -2.0).unwrap_err(), "covariance -2"),
        (Dino::new(0.0, 0.1, 0.9).unwrap_err(), "temperature 0"),
        (Dino::new(0.1, 0.1, 1.5).unwrap_err(), "[0, 1]"),
        (Sinkhorn::new(0.0, 3).unwrap_err(), "epsilon 0"),
        (Sinkhorn::new(0.1, 0).unwrap_err(), "iterations 0"),
        (SwAv::new(f64::INFINITY, sinkhorn()).unwrap_err(), "temperature inf"),
        (Alignment::new(0.5).unwrap_err(), "[1, infinity)"),
        (Uniformity::new(0.0).unwrap_err(), "sharpness of the kernel 0"),
        (Whitening::new(WhiteningForm::Zca, -1.0).unwrap_err(), "epsilon of the variances -1"),
        (Whitening::new(WhiteningForm::Zca, 1.0).unwrap().with_groups(0).unwrap_err(), "groups of columns 0"),
        (Triplet::new(-0.1).unwrap_err(), "margin -0.1"),
        (Triplet::new(0.1).unwrap().with_swap().unwrap().with_mining(Mining::Hard).unwrap_err(), "needs all triplets"),
    ];
    for (error, part) in refused {
        assert!(error.to_string().contains(part), "{error:?} does not speak of {part:?}");
    }
}
