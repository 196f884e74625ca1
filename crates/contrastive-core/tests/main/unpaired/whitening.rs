//! Whitening, and W-MSE on top.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::*;

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
        let relative = Whitening::new(form, 0.3).unwrap().with_groups(2).unwrap();
        let relative = relative.with_relative_epsilon().with_biased_covariance();
        differences("whitening, relative", &[[12, 4]], |x| {
            (relative.whiten(x[0].clone()).unwrap() * cotangent.clone()).sum()
        });
        let constant = Whitening::new(form, 0.1).unwrap().with_constant_root();
        let x = rows(100, [12, 4]);
        let gradients = (constant.whiten(x.clone()).unwrap() * cotangent.clone()).sum().backward();
        // the gradient of the centred rows times W, held
        let root = root(&constant, &x);
        let expected = cotangent.clone().matmul(root.transpose());
        let expected = expected.clone() - expected.sum_dim(0) * (1.0 / 12.0);
        let bound = if has_f64() { 1e-9 } else { 1e-4 };
        close("constant root", &values(&x.grad(&gradients).unwrap()), &values(&expected), bound, bound);
        // all eigenvalues equal: where quotients of differences are 0 / 0
        let whitening = Whitening::new(form, 0.0).unwrap();
        let white = values(&whitening.whiten(rows(7, [12, 4])).unwrap());
        differences_at("whitening of white rows", &[[12, 4]], vec![white], |x| {
            (whitening.whiten(x[0].clone()).unwrap() * cotangent.clone()).sum()
        });
    }
}

/// `[4, 4]`: the W of a whitening of 12 rows, from its first centred and whitened rows.
fn root(whitening: &Whitening, x: &Tensor<2>) -> Tensor<2> {
    let white = nalgebra::DMatrix::from_row_slice(12, 4, &values(&whitening.whiten(x.clone()).unwrap()));
    let rows = nalgebra::DMatrix::from_row_slice(12, 4, &values(x));
    let centred = nalgebra::DMatrix::from_fn(12, 4, |i, k| rows[(i, k)] - rows.column(k).mean());
    let (white, centred) = (white.rows(0, 4).into_owned(), centred.rows(0, 4).into_owned());
    let root = centred.lu().solve(&white).expect("rows that span the columns");
    plain(root.transpose().as_slice().to_vec(), [4, 4])
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
        assert_eq!(infinite, WhiteningError::NotFinite { rows: n, columns: d, group: 0 });
        let mut second = values(&mixed);
        second[4] = f64::NAN;
        let bad = whitening.clone().with_groups(2).unwrap().whiten(plain(second, [n, d])).unwrap_err();
        assert_eq!(bad, WhiteningError::NotFinite { rows: n, columns: 3, group: 1 });
        let groups = whitening.clone().with_groups(4).unwrap().whiten(mixed.clone()).unwrap_err();
        assert_eq!(groups, WhiteningError::Groups { columns: 6, groups: 4 });
        for order in [&[0, 1, 2, 3, 4][..], &[0, 1, 2, 3, 4, 4], &[0, 1, 2, 3, 4, 6]] {
            let order = whitening.whiten_in_order(mixed.clone(), order).unwrap_err();
            assert_eq!(order, WhiteningError::Order { columns: 6 });
        }
    }
    // a worked example: four rows, covariance of 1 / n
    let four = plain(vec![1.0, 2.0, 0.5, -1.0, -1.5, 0.3, 0.2, -0.9], [4, 2]);
    let white = Whitening::new(WhiteningForm::Zca, 0.0).unwrap().with_biased_covariance().whiten(four.clone()).unwrap();
    close("first row", &values(&white)[..2], &[0.8570665634, 1.5045360041], if has_f64() { 1e-9 } else { 1e-5 }, 0.0);
    // with an epsilon in units of the variance the scale does not matter
    let relative = Whitening::new(WhiteningForm::Zca, 0.1).unwrap().with_relative_epsilon();
    let [small, large] = [1e-3, 1e3].map(|scale| values(&relative.whiten(four.clone() * scale).unwrap()));
    close("scale", &small, &large, 1e-5, 1e-5);
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
