//! The checks of WhitenedCSE's specification that belong to the method (2, 5, 6, 7; the whitening's own are the core's).

use crate::common::*;
use burn::tensor::Tensor;
use contrastive_core::objective::InfoNce;
use contrastive_text::method::*;
use contrastive_train::Method;

fn method(config: WhitenedCseConfig) -> WhitenedCse {
    let config = config.with_encoder(small_encoder(0.1)).with_training(small_training());
    config.parts(&corpus(), 1, &device()).unwrap().0
}

fn orders(views: usize) -> Vec<Vec<usize>> {
    (0..views).map(|view| (0..8).map(|k| (k * 3 + view) % 8).collect()).collect()
}

/// Mean 0 and covariance 1 within each group of rows, in shuffled coordinates.
fn is_white(rows: &Tensor<2>, order: &[usize], width: usize) {
    let ([n, d], x) = (rows.dims(), values(rows));
    for group in order.chunks(width) {
        for a in group {
            let mean = (0..n).map(|i| x[i * d + a]).sum::<f64>() / n as f64;
            assert!(mean.abs() < 1e-9, "mean {mean} of channel {a}");
            for b in group {
                let covariance = (0..n).map(|i| x[i * d + a] * x[i * d + b]).sum::<f64>() / n as f64;
                // epsilon is 1e-5 of the mean variance, which the smallest may be far below
                assert!((covariance - f64::from(u8::from(a == b))).abs() < 1e-2, "{covariance} of {a} and {b}");
            }
        }
    }
}

/// Checks 2 and 5: by view in the paper's layout; in the release's, a part has all views of a third of the sentences.
#[test]
fn views_are_whitened_by_their_own_groups() {
    let (views, n) = (3, 12);
    let x = rows(1, [views * n, 8]).matmul(rows(2, [8, 8]));
    let orders = orders(views);
    for root in [Root::Zca, Root::Cholesky] {
        let white = method(WhitenedCseConfig::new().with_groups(4).with_root(root)).whiten(x.clone(), &orders).unwrap();
        for (view, order) in orders.iter().enumerate() {
            is_white(&white.clone().slice([view * n..(view + 1) * n, 0..8]), order, 2);
        }
    }
    let config = WhitenedCseConfig::new().with_groups(4);
    let paper = method(config.clone());
    let reference = method(config.with_reference_layout(true));
    let white = reference.whiten(x.clone(), &orders).unwrap();
    // part k of the release: rows i V + v from k n to (k + 1) n, which are the views of sentences 4 k to 4 k + 4
    for (part, order) in orders.iter().enumerate() {
        let of_part: Vec<Tensor<2>> = (part * n..(part + 1) * n)
            .map(|at| (at % views) * n + at / views)
            .map(|row| white.clone().slice([row..row + 1, 0..8]))
            .collect();
        is_white(&Tensor::cat(of_part, 0), order, 2);
    }
    let by_view = values(&paper.whiten(x.clone(), &orders).unwrap());
    assert!(values(&white).iter().zip(&by_view).any(|(a, b)| (a - b).abs() > 1e-2));
    // another order, other rows; the same, the same
    let moved = values(&paper.whiten(x.clone(), &[orders[1].clone(), orders[2].clone(), orders[0].clone()]).unwrap());
    assert!(moved.iter().zip(&by_view).any(|(a, b)| (a - b).abs() > 1e-2));
    assert_eq!(values(&paper.whiten(x, &orders).unwrap()), by_view);
}

/// Check 6: two views are SimCSE's contrast, three with equal positives twice as much.
#[test]
fn the_contrast_is_a_sum_over_positives() {
    let (n, d) = (6, 8);
    let (z, p, q) = (rows(1, [n, d]), rows(2, [n, d]), rows(3, [n, d]));
    let one = |a: &Tensor<2>, b: &Tensor<2>| value(&InfoNce::new(0.05).unwrap().loss(a.clone(), b.clone()));
    let joined = |parts: &[&Tensor<2>]| Tensor::cat(parts.iter().map(|part| (*part).clone()).collect(), 0);
    let two = method(WhitenedCseConfig::new().with_groups(4).with_views(2));
    close("two views", value(&two.contrast(&joined(&[&z, &p]))), one(&z, &p), 1e-12);
    let three = method(WhitenedCseConfig::new().with_groups(4));
    close("equal positives", value(&three.contrast(&joined(&[&z, &p, &p]))), 2.0 * one(&z, &p), 1e-12);
    close("three views", value(&three.contrast(&joined(&[&z, &p, &q]))), one(&z, &p) + one(&z, &q), 1e-12);
}

/// Check 7: a group whose covariance is not finite is named.
#[test]
fn what_cannot_be_whitened_is_refused() {
    let method = method(WhitenedCseConfig::new().with_groups(4));
    let mut numbers = values(&rows(1, [24, 8]));
    numbers[3] = f64::NAN;
    let x =
        Tensor::<2>::from_data(burn::tensor::TensorData::new(numbers, [24, 8]), (&device(), burn::tensor::DType::F64));
    let order: Vec<usize> = (0..8).collect();
    let error = method.whiten(x, &[order.clone(), order]).unwrap_err().to_string();
    assert!(error.contains("group 1"), "{error}");
}

/// Orders are permutations, drawn anew for each view and step, and the same again for the same step.
#[test]
fn orders_are_drawn_by_step() {
    let mut method = method(WhitenedCseConfig::new().with_groups(4));
    method.begin_epoch(1, contrastive_train::epoch_rng(3, 1)).unwrap();
    let mut step = first_step();
    let first = method.batch(step).unwrap();
    assert_eq!((first.orders.len(), first.sentences.views), (3, 3));
    for order in &first.orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
    }
    assert!(first.orders[0] != first.orders[1] || first.orders[1] != first.orders[2]);
    assert_eq!(method.batch(step).unwrap(), first);
    step.batch = 1;
    assert_ne!(method.batch(step).unwrap().orders, first.orders);
}
