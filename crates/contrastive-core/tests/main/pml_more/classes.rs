//! The losses with learned rows for classes against their definitions.

use crate::pml_more::definitions::{D, LABELS, N, Scalar, apart, at, check, cosines, mean, number, rows, sum};
use crate::pml_more::*;

/// Cross-entropy of logits `[n, c]`.
fn cross_entropy(logits: Tensor<2>) -> Scalar {
    let all = logits.clone().exp().sum_dim(1).log();
    mean((0..N).map(|i| at(&all, i, 0) - at(&logits, i, LABELS[i] as usize)).collect())
}

/// 1 where the class is the row's, `[n, c]`.
fn targets(c: usize, like: &Tensor<2>) -> Tensor<2> {
    let ones: Vec<f64> = (0..N * c).map(|at| f64::from(u8::from(LABELS[at / c] as usize == at % c))).collect();
    let data = burn::tensor::TensorData::new(ones, [N, c]).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// Centres of 4 classes.
fn centers(each: usize) -> Vec<f64> {
    waves(4 * each, D, 2.1, 0.9)
}

#[test]
fn soft_triple_of_centers() {
    for (each, gamma) in [(1, 0.1), (3, 0.1), (5, 0.01)] {
        let objective = SoftTriple::new(20.0, gamma, 0.05, each).unwrap();
        let mut forms = both!(objective.clone(), |o, x| o.loss(x[0].clone(), &LABELS, x[1].clone()));
        let dense = objective.clone();
        forms.push(form(move |x| dense.dense(x[0].clone(), &LABELS, x[1].clone())));
        check("SoftTriple", &[rows(), centers(each)], forms, move |x| {
            let s = cosines(&x[0], &x[1]).reshape([N, 4, each]);
            let weights = (s.clone() * (1.0 / gamma)).exp();
            let s = ((weights.clone() * s).sum_dim(2) / weights.sum_dim(2)).reshape([N, 4]);
            let margin = targets(4, &s) * 0.05;
            cross_entropy((s - margin) * 20.0)
        });
        let regularised = vec![form(move |x| objective.regularizer(x[1].clone()) + first_column(&x[0]).sum())];
        check("regulariser", &[rows(), centers(each)], regularised, move |x| {
            let s = cosines(&x[1], &x[1]);
            let pairs = (0..16 * each * each).map(|k| (k / (4 * each), k % (4 * each)));
            let pairs = pairs.filter(|(i, j)| i < j && i / each == j / each);
            let terms: Vec<Scalar> = pairs.map(|(i, j)| apart(&s, i, j)).collect();
            let rows = first_column(&x[0]).sum();
            let count = (4 * each * (each - 1)) as f64;
            if terms.is_empty() { rows } else { sum(terms) * (1.0 / count) + rows }
        });
    }
}

#[test]
fn sub_centers_of_classes() {
    for (each, margin) in [(1, 0.5), (3, 0.5), (2, 2.5)] {
        let objective = SubCenterArcFace::new(margin, 8.0, each).unwrap();
        let mut forms = both!(objective.clone(), |o, x| o.loss(x[0].clone(), &LABELS, x[1].clone()));
        forms.push(form(move |x| objective.dense(x[0].clone(), &LABELS, x[1].clone())));
        check("sub-centre ArcFace", &[rows(), centers(each)], forms, move |x| {
            let s = cosines(&x[0], &x[1]).reshape([N, 4, each]).max_dim(2).reshape([N, 4]);
            let sine = (s.clone() * s.clone() * -1.0 + 1.0).sqrt();
            let turned = s.clone() * margin.cos() - sine * margin.sin();
            let beyond = s.clone().detach().lower_elem(-margin.cos());
            let turned = turned.mask_where(beyond, s.clone() - margin * margin.sin());
            let own = targets(4, &s);
            cross_entropy((s.clone() + (turned - s) * own) * 8.0)
        });
    }
}

/// `psi` of cosines, written out.
fn psi(c: Scalar, m: usize) -> Scalar {
    let k = (number(&c).acos() * m as f64 / std::f64::consts::PI).floor();
    let square = c.clone() * c.clone();
    let multiple = match m {
        1 => c,
        2 => square * 2.0 - 1.0,
        3 => c.clone() * square * 4.0 - c * 3.0,
        _ => square.clone() * square.clone() * 8.0 - square * 8.0 + 1.0,
    };
    multiple * if k as i32 % 2 == 0 { 1.0 } else { -1.0 } - 2.0 * k
}

#[test]
fn multiples_of_angles() {
    for m in 1..=4 {
        for unit in [true, false] {
            let forms = vec![form(move |x| {
                let (x, w) = (x[0].clone(), x[1].clone());
                match unit {
                    true => SphereFace::new(m, 1.5).unwrap().loss(x, &LABELS, w),
                    false => LargeMarginSoftmax::new(m, 1.5).unwrap().loss(x, &LABELS, w),
                }
            })];
            check("multiples of angles", &[rows(), centers(1)], forms, move |x| {
                let length = |x: &Tensor<2>, i: usize| {
                    let row = x.clone().slice([i..i + 1, 0..D]);
                    (row.clone() * row).sum().sqrt()
                };
                let s = cosines(&x[0], &x[1]);
                let logit = |i: usize, c: usize| {
                    let lengths = length(&x[0], i) * if unit { length(&x[1], c) * 0.0 + 1.0 } else { length(&x[1], c) };
                    let own = c as i64 == LABELS[i];
                    lengths * 1.5 * if own { psi(at(&s, i, c), m) } else { at(&s, i, c) }
                };
                let logits: Vec<Scalar> = (0..N * 4).map(|k| logit(k / 4, k % 4)).collect();
                cross_entropy(Tensor::cat(logits, 0).reshape([N, 4]))
            });
        }
    }
}

#[test]
fn p2s_grad_of_classes() {
    let forms = vec![form(|x| P2sGrad::new().loss(x[0].clone(), &LABELS, x[1].clone()))];
    check("P2SGrad", &[rows(), centers(1)], forms, |x| {
        let s = cosines(&x[0], &x[1]);
        let gap = s.clone() - targets(4, &s);
        (gap.clone() * gap).mean()
    });
}
