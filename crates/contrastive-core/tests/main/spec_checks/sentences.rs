//! Sentences: SimCSE's contrast, alignment and uniformity; WhitenedCSE's groups; CoCoSoDa's terms with queues.

use crate::common::*;
use crate::spec_checks::{gradient, tight};
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use contrastive_core::memory::{Queue, update_target_parameters};
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;

#[test]
fn equal_views_leave_uniformity_alone() {
    let (n, d, t) = (6, 4, 0.05);
    let z = rows(1, [n, d]);
    let loss = MultipleNegativesRanking::new(t).unwrap().loss(z.clone(), z.clone());
    let unit = units(values(&z), d);
    let row = |i: usize| &unit[i * d..(i + 1) * d];
    let others = |i: usize| (0..n).filter(|j| *j != i).map(|j| ((dot(row(i), row(j)) - 1.0) / t).exp()).sum::<f64>();
    near("uniformity", one(loss), (0..n).map(|i| others(i).ln_1p()).sum::<f64>() / n as f64, tight());
}

#[test]
fn lengths_do_not_count_and_have_no_gradient() {
    let (n, d) = (5, 4);
    let ranking = MultipleNegativesRanking::new(0.05).unwrap();
    let (a, b, c) = (rows(1, [n, d]), rows(2, [n, d]), rows(3, [n, d]));
    let lengths = constant((1..=n).map(|i| 0.4 * i as f64).collect(), [n, 1]);
    let loss =
        |a: &Tensor<2>, b: &Tensor<2>, c: &Tensor<2>| ranking.loss_with_hard_negatives(a.clone(), b.clone(), c.clone());
    let long = |x: &Tensor<2>| x.clone() * lengths.clone();
    near("lengths", one(loss(&long(&a), &long(&b), &long(&c))), one(loss(&a, &b, &c)), tight());
    for x in [&a, &b, &c] {
        let slopes = gradient(loss(&a, &b, &c), x);
        let along: Vec<f64> = slopes.chunks(d).zip(values(x).chunks(d)).map(|(g, x)| dot(g, x)).collect();
        close("along the rows", &along, &vec![0.0; n], tight(), 0.0);
    }
    // hard negatives are candidates like any: InfoNCE over 2 n of them
    let joined = PairObjective::new(0.05).unwrap().with_pairs(Pairs::one_each((0..n as u32).collect()));
    let expected = one(joined.loss(&Inputs::new(a.clone(), Tensor::cat(vec![b.clone(), c.clone()], 0))));
    near("2 n candidates", one(loss(&a, &b, &c)), expected, tight());
}

/// A weight on one's own hard negative is a log-weight of that pair.
#[test]
fn the_own_hard_negative_may_weigh_more() {
    let (n, d, t, b) = (4, 3, 0.3, 0.8f64);
    let (z, p, h) = (rows(1, [n, d]), rows(2, [n, d]), rows(3, [n, d]));
    let own: Vec<f64> = (0..n * 2 * n).map(|at| if at % (2 * n) == at / (2 * n) + n { b } else { 0.0 }).collect();
    let candidates = Tensor::cat(vec![p.clone(), h.clone()], 0);
    let inputs = Inputs::new(z.clone(), candidates).with_pair_bias(PairTerm::matrix(constant(own, [n, 2 * n])));
    let got = one(PairObjective::new(t).unwrap().with_pairs(Pairs::one_each((0..n as u32).collect())).loss(&inputs));
    let [z, p, h] = [&z, &p, &h].map(|x| units(values(x), d));
    let row = |i: usize| {
        let s = |x: &[f64], j: usize| (dot(&z[i * d..(i + 1) * d], &x[j * d..(j + 1) * d]) / t).exp();
        let all: f64 = (0..n).map(|j| s(&p, j) + s(&h, j) * if i == j { b.exp() } else { 1.0 }).sum();
        all.ln() - s(&p, i).ln()
    };
    near("weighted", got, (0..n).map(row).sum::<f64>() / n as f64, tight());
}

#[test]
fn alignment_and_uniformity_at_their_ends() {
    let x = rows(1, [8, 5]);
    let (alignment, uniformity) = (Alignment::new(2.0).unwrap(), Uniformity::new(2.0).unwrap());
    near("aligned", one(alignment.loss(x.clone(), x.clone() * 2.0)), 0.0, tight());
    let antipodes = constant(vec![0.6, 0.8, -0.6, -0.8], [2, 2]);
    near("antipodes", one(uniformity.loss(antipodes)), -8.0, tight());
    let value = one(uniformity.loss(x));
    assert!((-8.0..=0.0).contains(&value), "{value}");
}

fn whitening(groups: usize) -> Whitening {
    Whitening::new(WhiteningForm::Zca, 0.0).unwrap().with_biased_covariance().with_groups(groups).unwrap()
}

fn columns(x: &Tensor<2>, order: &[usize]) -> Tensor<2> {
    let n = x.dims()[0];
    Tensor::cat(order.iter().map(|&k| x.clone().slice([0..n, k..k + 1])).collect(), 1)
}

#[test]
fn groups_of_channels_are_white() {
    let (n, d, groups) = (128, 12, 2);
    let x = rows(1, [n, d]).matmul(rows(2, [d, d])) + 0.7;
    let order: Vec<usize> = (0..d).map(|k| (k * 5 + 3) % d).collect();
    let white = whitening(groups).whiten_in_order(x.clone(), &order).unwrap();
    let bound = if has_f64() { 1e-8 } else { 2e-3 };
    // in the coordinates of the shuffled groups
    let shuffled = columns(&white, &order);
    for g in 0..groups {
        let part = shuffled.clone().slice([0..n, g * 6..g * 6 + 6]);
        close("mean", &values(&part.clone().sum_dim(0)), &[0.0; 6], bound * n as f64, 0.0);
        let covariance = values(&(part.clone().transpose().matmul(part) * (1.0 / n as f64)));
        let identity: Vec<f64> = (0..36).map(|at| f64::from(u8::from(at / 6 == at % 6))).collect();
        close("covariance", &covariance, &identity, bound, 0.0);
    }
    // channels that stand alone come back where they were
    let alone = rows(3, [n, d]);
    let single = whitening(d);
    let standard = values(&single.whiten(alone.clone()).unwrap());
    close(
        "order of single channels",
        &values(&single.whiten_in_order(alone.clone(), &order).unwrap()),
        &standard,
        bound,
        0.0,
    );
    let spread = constant((0..d).map(|k| 1.0 + 10.0 * k as f64).collect(), [1, d]);
    let scaled = values(&single.whiten_in_order(alone * spread, &order).unwrap());
    close("each channel's own scale", &scaled, &standard, bound, 0.0);
    // one group: shuffling changes nothing
    let whole = whitening(1);
    let plain = values(&whole.whiten(x.clone()).unwrap());
    close("one group", &values(&whole.whiten_in_order(x.clone(), &order).unwrap()), &plain, 100.0 * bound, 0.0);
    // other groups, other rows; the same groups, the same rows
    let other: Vec<usize> = (0..d).collect();
    let moved = values(&whitening(groups).whiten_in_order(x.clone(), &other).unwrap());
    assert!(moved.iter().zip(values(&white)).any(|(a, b)| (a - b).abs() > 1e-2));
    let again = values(&whitening(groups).whiten_in_order(x.clone(), &order).unwrap());
    assert_eq!(again, values(&white));
    let twice = values(&whitening(groups).whiten_in_order(white.clone(), &order).unwrap());
    close("twice", &twice, &again, 100.0 * bound, 0.0);
    let shifted = values(&whitening(groups).whiten_in_order(x.clone() * 3.0 - 5.0, &order).unwrap());
    close("moved and scaled", &shifted, &again, 100.0 * bound, 0.0);
    let relative = whitening(groups).with_relative_epsilon();
    let small = values(&relative.whiten(x.clone() * 1e-2).unwrap());
    close("relative epsilon", &small, &values(&relative.whiten(x).unwrap()), 100.0 * bound, 0.0);
}

#[test]
fn a_worked_whitening() {
    let x = plain(vec![1.0, 2.0, 0.5, -1.0, -1.5, 0.3, 0.2, -0.9], [4, 2]);
    let white = whitening(1).whiten(x.clone()).unwrap();
    let centred = x.clone() - x.sum_dim(0) * 0.25;
    let root = plain(vec![1.0799329297, -0.0888787999, -0.0888787999, 0.8363004547], [2, 2]);
    close("W", &values(&white), &values(&centred.matmul(root)), if has_f64() { 1e-9 } else { 1e-5 }, 0.0);
    // a third view that is the second: its term counts twice
    let (z, y) = (rows(1, [6, 4]), rows(2, [6, 4]));
    let ranking = MultipleNegativesRanking::new(0.05).unwrap();
    let term = || one(ranking.loss(z.clone(), y.clone()));
    let sum: f64 = [&y, &y].iter().map(|v| one(ranking.loss(z.clone(), (*v).clone()))).sum();
    near("twice", sum, 2.0 * term(), 1e-12);
}

/// `T(A, P, Q)`: in-batch candidates and a queue, the positive of the same index.
fn term(a: &Tensor<2>, p: &Tensor<2>, queue: Option<&Tensor<2>>, t: f64) -> Tensor<1> {
    let n = a.dims()[0] as u32;
    let candidates = Tensor::cat([Some(p), queue].into_iter().flatten().cloned().collect(), 0);
    let objective = PairObjective::new(t).unwrap().with_pairs(Pairs::one_each((0..n).collect()));
    objective.loss(&Inputs::new(a.clone(), candidates))
}

#[test]
fn terms_with_queues() {
    let (n, d, k, t) = (5, 4, 7, 0.07);
    let (c, q, stored) = (rows(1, [n, d]), rows(2, [n, d]), rows(3, [k, d]));
    let both = one(term(&c, &q, None, t)) + one(term(&q, &c, None, t));
    near("no queue", both, 2.0 * one(Clip::new(t).unwrap().loss(c.clone(), q.clone())), tight());
    let unit = |x: &Tensor<2>| units(values(x), d);
    let (a, p, u) = (unit(&c), unit(&q), unit(&stored));
    let row = |i: usize| {
        let s = |x: &[f64]| (dot(&a[i * d..(i + 1) * d], x) / t).exp();
        let all: f64 = p.chunks(d).chain(u.chunks(d)).map(s).sum();
        all.ln() - s(&p[i * d..(i + 1) * d]).ln()
    };
    let expected = (0..n).map(row).sum::<f64>() / n as f64;
    near("with a queue", one(term(&c, &q, Some(&stored.clone().detach()), t)), expected, tight());
    let single = |x: &Tensor<2>| x.clone().slice([0..1, 0..d]);
    assert_eq!(one(term(&single(&c), &single(&q), None, t)), 0.0);
}

/// Keys of a momentum copy, in the batch and in the queue. The rows are tracked, so that a gradient passes through both networks.
#[test]
fn a_term_moves_the_online_network_alone() {
    let (n, d, k, t) = (5, 4, 7, 0.07);
    let (c, q) = (rows(1, [n, d]), rows(2, [n, d]));
    let network = |seed: u64| {
        let config = MlpHeadConfig::moco_v2(d).with_hidden(6).with_output(d);
        config.init(seed, (&device().autodiff(), wide())).unwrap()
    };
    let online = network(1);
    let copy = update_target_parameters(&online, network(2).no_grad(), 0.9);
    let mut queue = Queue::new(k, d, (&device(), wide())).unwrap();
    queue.push(copy.forward(rows(3, [k, d])));
    let past = Tensor::from_inner(queue.rows().unwrap());
    let gradients = term(&online.forward(c.clone()), &copy.forward(q.clone()), Some(&past), t).backward();
    let moved = |head: &MlpHead| head.maps.iter().filter(|map| map.weight.val().grad(&gradients).is_some()).count();
    assert_eq!([moved(&online), moved(&copy)], [2, 0]);
    assert!(c.grad(&gradients).is_some() && q.grad(&gradients).is_some());
}
