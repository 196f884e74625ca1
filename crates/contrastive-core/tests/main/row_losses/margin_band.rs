//! MCLRec's regulariser: closed cases, forms against each other, finite differences, the paper's form against its definition.

use crate::common::*;
use crate::row_losses::forms::agree;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::error::ObjectiveError;
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;
use contrastive_core::testing::portably;

fn value(x: Tensor<1>) -> f64 {
    values(&x)[0]
}

/// Oracle: the definition in loops, per row.
fn plain(rows: &[Vec<f64>]) -> f64 {
    let (n, half) = (rows.len(), rows.len() / 2);
    let dot = |a: usize, b: usize| rows[a].iter().zip(&rows[b]).map(|(a, b)| a * b).sum::<f64>();
    let (mut first, mut second, mut count) = (0.0, 0.0, 0usize);
    for i in 0..n {
        let other = (i + half) % n;
        let p = dot(i, other);
        let negatives: Vec<f64> = (0..n).filter(|j| *j != i && *j != other).map(|j| dot(i, j)).collect();
        if negatives.is_empty() {
            continue;
        }
        let m = negatives.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        first += (p - p.min(m)).max(0.0);
        second += negatives.iter().map(|x| (p.max(m) - x).max(0.0)).sum::<f64>();
        count += negatives.len();
    }
    first / n as f64 + second / count.max(1) as f64
}

fn lists(x: &Tensor<2>) -> Vec<Vec<f64>> {
    let d = x.dims()[1];
    values(x).chunks(d).map(<[f64]>::to_vec).collect()
}

#[test]
fn the_band_is_its_definition_and_all_forms_agree() {
    for (n, d) in [(1, 4), (2, 3), (5, 8), (37, 6)] {
        let (a, b) = (rows(1, [n, d]), rows(2, [n, d]));
        let both: Vec<Vec<f64>> = lists(&a).into_iter().chain(lists(&b)).collect();
        let tight = if has_f64() { 1e-12 } else { 1e-4 };
        close("margin band", &[value(MarginBand::new().loss(a, b))], &[plain(&both)], tight, tight);
        for band in [MarginBand::new(), MarginBand::with_contrast(0.7, 0.3).unwrap()] {
            let of = |x: &[Tensor<2>]| (x[0].clone(), x[1].clone());
            agree(
                "margin band",
                &[[n, d], [n, d]],
                3,
                &[&|x| band.dense(of(x).0, of(x).1), &|x| band.loss(of(x).0, of(x).1), &|x| {
                    portably(|| band.loss(of(x).0, of(x).1))
                }],
            );
        }
    }
}

#[test]
fn beside_the_band_stands_nt_xent() {
    let (a, b) = (|| rows(4, [9, 5]), || rows(5, [9, 5]));
    let contrast = NtXent::new(1.0).unwrap().with_similarity(Similarity::Dot);
    let both = MarginBand::with_contrast(1.0, 0.1).unwrap().loss(a(), b());
    let apart = contrast.loss(a(), b()) + MarginBand::new().loss(a(), b()) * 0.1;
    let tight = if has_f64() { 1e-12 } else { 1e-5 };
    close("NT-Xent and band", &[value(both)], &[value(apart)], tight, tight);
}

#[test]
fn finite_differences_away_from_ties() {
    let band = MarginBand::with_contrast(1.0, 0.1).unwrap();
    differences("NT-Xent and band", &[[4, 8], [4, 8]], |x| band.loss(x[0].clone(), x[1].clone()));
    differences("band", &[[4, 8], [4, 8]], |x| MarginBand::new().loss(x[0].clone(), x[1].clone()));
    differences("band of the batch", &[[4, 8], [4, 8]], |x| margin_band_of_batch(x[0].clone(), x[1].clone()));
}

#[test]
fn closed_cases() {
    let table = |v: &[f64]| tracked(v.to_vec(), [v.len() / 2, 2], DType::F32);
    // one thing: no negatives
    for loss in [MarginBand::new().loss(table(&[1.0, 2.0]), table(&[3.0, 1.0])), {
        MarginBand::with_contrast(1.0, 0.1).unwrap().loss(table(&[1.0, 2.0]), table(&[3.0, 1.0]))
    }] {
        assert_eq!(value(loss), 0.0);
    }
    assert_eq!(value(margin_band_of_batch(table(&[1.0, 2.0]), table(&[3.0, 1.0]))), 0.0);
    // all scores equal
    let ones = || table(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert!(value(MarginBand::new().loss(ones(), ones())).abs() < 1e-6);
    assert!(value(margin_band_of_batch(ones(), ones())).abs() < 1e-6);
    // every positive below the hardest negative: the first term is 0, the second mean(m - n)
    let (a, b) = (table(&[1.0, 0.0, 0.0, 1.0]), table(&[0.0, 1.0, 1.0, 0.0]));
    // scores: a0.b0 = 0, a0.a1 = 0, a0.b1 = 1, and so for every row: m = 1, negatives (0, 1), p = 0
    assert!((value(MarginBand::new().loss(a, b)) - 0.5).abs() < 1e-6);
}

#[test]
fn swapping_the_views_and_a_constant_on_all_scores_change_nothing() {
    let (a, b) = (rows(6, [6, 3]), rows(7, [6, 3]));
    // one more column of ones adds 1 to every score
    let wider = |x: &Tensor<2>| {
        let ones = Tensor::<2>::ones([x.dims()[0], 1], (&x.device(), x.dtype()));
        Tensor::cat(vec![x.clone(), ones], 1)
    };
    let tight = if has_f64() { 1e-12 } else { 1e-5 };
    for loss in
        [&(|a, b| MarginBand::new().loss(a, b)) as &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>, &margin_band_of_batch]
    {
        let here = value(loss(a.clone(), b.clone()));
        close("swapped", &[value(loss(b.clone(), a.clone()))], &[here], tight, tight);
        close("with a constant", &[value(loss(wider(&a), wider(&b)))], &[here], tight, tight);
    }
}

#[test]
fn the_band_of_a_batch_is_its_definition() {
    let (a, b) = (rows(8, [7, 4]), rows(9, [7, 4]));
    let both: Vec<Vec<f64>> = lists(&a).into_iter().chain(lists(&b)).collect();
    let dot = |a: usize, b: usize| both[a].iter().zip(&both[b]).map(|(a, b)| a * b).sum::<f64>();
    let positives: Vec<f64> = (0..14).map(|i| dot(i, (i + 7) % 14)).collect();
    let pairs = (0..14).flat_map(|i| (0..14).map(move |j| (i, j))).filter(|(i, j)| i != j && (i + 7) % 14 != *j);
    let negatives: Vec<f64> = pairs.map(|(i, j)| dot(i, j)).collect();
    let least = positives.iter().copied().fold(f64::INFINITY, f64::min);
    let most = negatives.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (lo, hi) = (least.min(most), least.max(most));
    let mean = |x: &[f64], f: &dyn Fn(f64) -> f64| x.iter().map(|v| f(*v).max(0.0)).sum::<f64>() / x.len() as f64;
    let want = mean(&positives, &|p| p - lo) + mean(&negatives, &|n| hi - n);
    let tight = if has_f64() { 1e-12 } else { 1e-4 };
    close("band of a batch", &[value(margin_band_of_batch(a, b))], &[want], tight, tight);
}

#[test]
fn bad_factors_are_named() {
    for (contrast, band) in [(-1.0, 0.1), (f64::NAN, 0.1), (1.0, -0.1), (1.0, f64::INFINITY)] {
        assert!(matches!(MarginBand::with_contrast(contrast, band), Err(ObjectiveError::Negative { .. })));
    }
}

#[test]
fn nan_comes_through() {
    let mut v = vec![0.5; 12];
    v[3] = f64::NAN;
    let bad = tracked(v, [4, 3], DType::F32);
    assert!(value(MarginBand::new().loss(bad.clone(), rows(3, [4, 3]).cast(DType::F32))).is_nan());
}
