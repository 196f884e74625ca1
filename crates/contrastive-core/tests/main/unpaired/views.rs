//! Two views of a sample.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;

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
            let _bodies = contrastive_core::testing::portable(portable);
            let uniformity = Uniformity::new(2.0).unwrap();
            differences("uniformity", &[shape], |x| uniformity.loss(x[0].clone()));
            let uniformity = Uniformity::new(0.1).unwrap().with_similarity(Similarity::Dot);
            differences("uniformity of raw rows", &[shape], |x| uniformity.loss(x[0].clone()));
        }
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
        _ => x,
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
            let _bodies = contrastive_core::testing::portable(portable);
            let shift = if similarity == Similarity::Dot { shift } else { 0.0 };
            let data: Vec<f64> = normal(n as u64, n * d).iter().map(|v| v + shift).collect();
            let leaf = || tracked(data.clone(), [n, d], DType::F64);
            let (x, y) = (leaf(), leaf());
            let streaming = Uniformity::new(t).unwrap().with_similarity(similarity).loss(x.clone());
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
