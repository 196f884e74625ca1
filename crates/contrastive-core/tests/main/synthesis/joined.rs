//! The joined objective against its dense definition.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::{Denominator, InfoNce};
use contrastive_core::pairs::{Exclusions, PairLists};
use contrastive_core::similarity::Similarity;
use contrastive_core::synthesis::{JoinedInfoNce, Negatives};

/// `[n]` by `[n, k]` logits: the definition with everything in one matrix.
fn dense(positives: &Tensor<1>, negatives: Tensor<2>, t: f64, decoupled: bool) -> Tensor<1> {
    let n = positives.dims()[0];
    let own = positives.clone().reshape([n, 1]);
    let all = if decoupled { negatives } else { Tensor::cat(vec![own.clone(), negatives], 1) } * (1.0 / t);
    let top = all.clone().detach().max_dim(1);
    ((all - top.clone()).exp().sum_dim(1).log() + top - own * (1.0 / t)).mean()
}

fn own_products(anchors: &Tensor<2>, rows: &Tensor<3>) -> Tensor<2> {
    let [n, s, d] = rows.dims();
    rows.clone().matmul(anchors.clone().reshape([n, d, 1])).reshape([n, s])
}

#[test]
fn joined_is_one_softmax_over_everything() {
    let (n, m, s, d, t) = (5, 7, 3, 4, 0.3);
    // anchor 0 skips candidates 1 and 4, anchor 3 candidate 0
    let lists = PairLists::new(vec![0, 2, 2, 2, 3, 3], vec![1, 4, 0], None).unwrap();
    let mut hidden = vec![0.0; n * m];
    [1, 4, 3 * m].into_iter().for_each(|at| hidden[at] = -1e6);
    let hidden = plain(hidden, [n, m]);
    for decoupled in [false, true] {
        let denominator = if decoupled { Denominator::NegativesOnly } else { Denominator::WithPositives };
        let objective = JoinedInfoNce::new(t).unwrap().with_denominator(denominator);
        let shapes = [[n, d], [n, d], [n, d], [m, d], [n * s, d]];
        let joined = |x: &[Tensor<2>]| {
            let positives = (x[0].clone() * x[1].clone()).sum_dim(1).reshape([n]);
            let exclusions = Exclusions::lists(lists.clone());
            let shared = Negatives::Shared { anchors: x[2].clone(), candidates: x[3].clone(), exclusions };
            let own = Negatives::Own { anchors: x[0].clone(), rows: x[4].clone().reshape([n, s, d]) };
            objective.loss(positives, &[shared, own])
        };
        let oracle = |x: &[Tensor<2>]| {
            let positives = (x[0].clone() * x[1].clone()).sum_dim(1).reshape([n]);
            let shared = x[2].clone().matmul(x[3].clone().transpose()) + Tensor::from_inner(hidden.clone());
            let own = own_products(&x[0], &x[4].clone().reshape([n, s, d]));
            dense(&positives, Tensor::cat(vec![shared, own], 1), t, decoupled)
        };
        let leaves = || shapes.iter().enumerate().map(|(k, s)| rows(k as u64, *s)).collect::<Vec<_>>();
        let (a, b) = (leaves(), leaves());
        let (got, expected) = (joined(&a), oracle(&b));
        let bound = if has_f64() { 1e-12 } else { 1e-5 };
        close("value", &values(&got), &values(&expected), bound, bound);
        let (got, expected) = ((got * 2.5).backward(), (expected * 2.5).backward());
        for (k, (a, b)) in a.iter().zip(&b).enumerate() {
            let (a, b) = (values(&a.grad(&got).unwrap()), values(&b.grad(&expected).unwrap()));
            close(&format!("gradient {k}"), &a, &b, bound, bound);
        }
        differences("joined", &shapes, joined);
    }
}

#[test]
fn rows_made_block_by_block_are_rows_given() {
    // more elements than a block holds
    let (n, s, d) = (3000, 50, 32);
    let row = |i: usize, k: usize, c: usize| ((i * 31 + k * 17 + c * 7) % 101) as f64 / 50.0 - 1.0;
    let block = |r: std::ops::Range<usize>| {
        let b = r.len();
        let all = r.flat_map(|i| (0..s * d).map(move |at| row(i, at / d, at % d))).collect();
        constant(all, [b, s, d]).inner()
    };
    let objective = JoinedInfoNce::new(2.0).unwrap();
    let evaluated = |made: bool| {
        let anchors = rows(1, [n, d]);
        let positives = (anchors.clone() * rows(2, [n, d]).detach()).sum_dim(1).reshape([n]);
        let own = anchors.clone();
        let kind = match made {
            true => Negatives::Made { anchors: own, each: s, rows: &block },
            false => Negatives::Own { anchors: own, rows: block(0..n) },
        };
        let result = objective.evaluate(positives.clone(), &[kind]);
        let gradient = values(&anchors.grad(&result.loss.clone().backward()).unwrap());
        (result, gradient, positives, anchors)
    };
    let (made, gradient, positives, anchors) = evaluated(true);
    let (own, same, ..) = evaluated(false);
    assert_eq!((made.rows, gradient), (own.rows, same));
    let products = own_products(&anchors.inner(), &block(0..n));
    let bound = if has_f64() { 1e-12 } else { 1e-5 };
    close("largest", &made.largest[0], &values(&products.clone().max_dim(1)), bound, bound);
    let expected = one(dense(&positives.inner(), products, 2.0, false));
    close("value", &values(&made.loss), &[expected], bound, bound);
}

#[test]
fn joined_with_own_negatives_alone_is_info_nce() {
    let (q, p) = (rows(1, [4, 3]), rows(2, [4, 3]));
    let negatives = tracked(normal(3, 24), [4, 2, 3], wide());
    let info_nce = InfoNce::new(0.2).unwrap().with_similarity(Similarity::Dot);
    let expected = one(info_nce.loss_with_own_negatives(q.clone(), p.clone(), negatives.clone()));
    let positives = (q.clone() * p).sum_dim(1).reshape([4]);
    let own = [Negatives::Own { anchors: q.clone(), rows: negatives }];
    let objective = JoinedInfoNce::new(0.2).unwrap();
    near_value("own negatives", objective.loss(positives.clone(), &own), expected);
    // nothing to be told from: 0, with a gradient of 0
    for decoupled in [Denominator::WithPositives, Denominator::NegativesOnly] {
        let empty = objective.clone().with_denominator(decoupled).evaluate(positives.clone(), &[]);
        assert_eq!(empty.rows, [0.0; 4]);
        let loss = empty.loss;
        near_value("nothing", loss, 0.0);
    }
    says(JoinedInfoNce::new(0.0).unwrap_err(), "temperature 0");
}
