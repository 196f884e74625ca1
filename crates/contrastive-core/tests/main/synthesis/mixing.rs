//! MoCHi, FT and the Hallucinator: worked examples, identities, and what carries gradients.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::Param;
use burn::tensor::Tensor;
use contrastive_core::memory::Queue;
use contrastive_core::objective::{Moco, NtXent, simsiam};
use contrastive_core::similarity::Similarity;
use contrastive_core::synthesis::*;
use std::collections::BTreeSet;

fn queue_of(rows: Tensor<2>) -> Queue {
    let [m, d] = rows.dims();
    let mut queue = Queue::new(m, d, (&device(), wide())).unwrap();
    queue.push(rows);
    queue
}

/// Unit rows of random directions.
fn directions(seed: u64, shape: [usize; 2]) -> Tensor<2> {
    tracked(units(normal(seed, shape[0] * shape[1]), shape[1]), shape, wide())
}

#[test]
fn mochis_worked_mixtures() {
    let (q, u) = (constant(worked(1, 3, 0.0), [1, 3]).inner(), stored().inner());
    let mixtures = Mixtures { pairs: vec![[4, 3]], pair_shares: vec![0.3], partners: vec![4], query_shares: vec![0.4] };
    let rows = values(&mixtures.rows(0..1, 1, &q, &u));
    let expected = [-0.700760493, -0.085023313, 0.708311914, -0.554226333, 0.672248558, 0.490830977];
    close("h and h'", &rows, &expected, bound(), 0.0);
    let q_row = worked(1, 3, 0.0);
    close("q.h", &[dot(&q_row, &rows[..3]), dot(&q_row, &rows[3..])], &[0.259163537, 0.824290239], bound(), 0.0);
    let k = constant(worked(1, 3, 0.35), [1, 3]);
    let q = tracked(q_row, [1, 3], wide());
    let positives = (q.clone() * k.clone()).sum();
    let table = stored();
    let make = |range| mixtures.rows(range, 1, &q.clone().inner(), &u);
    let kinds = [
        Negatives::Shared { anchors: q.clone(), candidates: table.clone(), exclusions: Default::default() },
        Negatives::Made { anchors: q.clone(), each: 2, rows: &make },
    ];
    near_value("MoCHi", JoinedInfoNce::new(0.2).unwrap().loss(positives.clone(), &kinds), 0.642066283);
    near_value("MoCo", JoinedInfoNce::new(0.2).unwrap().loss(positives, &kinds[..1]), 0.174485244);
    // b = 0 is the negative itself, once more
    let twice = Mixtures { partners: vec![4], query_shares: vec![0.0], ..Mixtures::default() };
    close("b = 0", &values(&twice.rows(0..1, 1, &q.inner(), &u)), &values(&u)[12..], bound(), 0.0);
}

#[test]
fn mochi_without_mixtures_is_moco() {
    let (q, k) = (rows(1, [6, 4]), rows(2, [6, 4]).detach());
    let queue = queue_of(rows(3, [20, 4]));
    let moco = Moco::new(0.2).unwrap().loss(q.clone(), k.clone(), &queue);
    let expected = values(&q.grad(&moco.clone().backward()).unwrap());
    let plain = Mochi::new(0.2, 8, 0, 0).unwrap();
    let warm = Mochi::new(0.2, 8, 5, 3).unwrap().with_warm_up(10);
    for (mochi, step) in [(plain, 0), (warm.clone(), 9)] {
        let loss = mochi.loss(q.clone(), k.clone(), &queue, step, 1).unwrap();
        let bound = if has_f64() { 1e-12 } else { 1e-5 };
        near("value", one(loss.clone()), one(moco.clone()), bound);
        close("gradient", &values(&q.grad(&loss.backward()).unwrap()), &expected, bound, bound);
    }
    let mixed = warm.evaluate(q.clone(), k.clone(), &queue, None, 10, 1).unwrap();
    assert!(one(mixed.loss) > one(moco), "more negatives, a larger loss");
    assert!(mixed.hardest_synthetic > -1.0 && mixed.hardest_real > -1.0);
    // mixtures with the query may start later: five rows a query instead of eight
    let late = warm.with_warm_up(0).with_query_warm_up(5);
    let counts = |step| {
        let mixtures = late.mixtures(&directions(1, [6, 4]), &directions(3, [20, 4]), step, 1).unwrap();
        (mixtures.pairs.len(), mixtures.partners.len())
    };
    assert_eq!([counts(4), counts(5)], [(30, 0), (30, 18)]);
    // against nothing
    let empty = Queue::new(4, 4, (&device(), wide())).unwrap();
    assert_eq!(one(late.loss(q, k, &empty, 0, 1).unwrap()), 0.0);
}

#[test]
fn mixtures_are_hard_unit_rows_of_the_own_pool() {
    let (n, m, d, hardest) = (7, 60, 5, 9);
    let (q, u) = (directions(1, [n, d]), directions(2, [m, d]));
    let mochi = Mochi::new(0.2, hardest, 12, 10).unwrap();
    let mixtures = mochi.mixtures(&q, &u, 3, 5).unwrap();
    assert_eq!(mixtures, mochi.mixtures(&q, &u, 3, 5).unwrap(), "a seed and a step decide");
    assert_ne!(mixtures, mochi.mixtures(&q, &u, 4, 5).unwrap());
    assert_ne!(mixtures, mochi.mixtures(&q, &u, 3, 6).unwrap());
    let rows = values(&mixtures.rows(0..n, n, &q.clone().inner(), &u.clone().inner()));
    let (q, u) = (values(&q), values(&u));
    let similarity = |i: usize, row: &[f64]| dot(&q[i * d..(i + 1) * d], row);
    let row = |j: u32| &u[j as usize * d..(j as usize + 1) * d];
    for i in 0..n {
        let mut order: Vec<u32> = (0..m as u32).collect();
        order.sort_by(|a, b| similarity(i, row(*b)).total_cmp(&similarity(i, row(*a))));
        let pool: BTreeSet<u32> = order[..hardest].iter().copied().collect();
        let made = |k: usize| &rows[(i * 22 + k) * d..(i * 22 + k + 1) * d];
        (0..22).for_each(|k| near("length", dot(made(k), made(k)), 1.0, 1e-5));
        for (k, pair) in mixtures.pairs[i * 12..(i + 1) * 12].iter().enumerate() {
            assert!(pair[0] != pair[1] && pair.iter().all(|j| pool.contains(j)), "a pair of the own pool");
            let least = similarity(i, row(pair[0])).min(similarity(i, row(pair[1])));
            assert!(least < 0.0 || similarity(i, made(k)) >= least - 1e-6, "no easier than both");
        }
        for (k, j) in mixtures.partners[i * 10..(i + 1) * 10].iter().enumerate() {
            assert!(pool.contains(j));
            assert!(similarity(i, made(12 + k)) >= similarity(i, row(*j)) - 1e-6, "nearer to the query");
        }
    }
    assert!(mixtures.query_shares.iter().all(|b| (0.0..0.5).contains(b)));
    assert!(mixtures.query_shares.iter().any(|b| *b > 0.4), "up to a half");
    // an antipodal pair at one half has no direction: its first row
    let pair = constant(vec![0.6, 0.8, -0.6, -0.8], [2, 2]).inner();
    let lost = Mixtures { pairs: vec![[0, 1]], pair_shares: vec![0.5], ..Mixtures::default() };
    close("lost", &values(&lost.rows(0..1, 1, &pair.clone().slice([0..1, 0..2]), &pair)), &[0.6, 0.8], 1e-6, 0.0);
}

#[test]
fn mochis_gradient_holds_the_mixtures() {
    let (n, d) = (4, 3);
    let queue = queue_of(directions(3, [12, d]));
    let mochi = Mochi::new(0.3, 5, 4, 3).unwrap();
    let q = rows(1, [n, d]);
    let k = rows(2, [n, d]);
    let loss = mochi.loss(q.clone(), k.clone(), &queue, 0, 7).unwrap();
    let gradients = loss.backward();
    // the draws follow the order of similarities, which a small step leaves alone: hold the mixtures, move the query
    let unit = |x: &Tensor<2>| constant(units(values(x), d), [n, d]).inner();
    let held = unit(&q);
    let table = queue.rows().unwrap();
    let mixtures = mochi.mixtures(&held, &table, 0, 7).unwrap();
    let make = |range| mixtures.rows(range, n, &held, &table);
    let frozen = |q: &Tensor<2>, k: &Tensor<2>| {
        let (q, k) =
            (contrastive_core::similarity::unit_rows(q.clone()), contrastive_core::similarity::unit_rows(k.clone()));
        let candidates = Tensor::from_inner(table.clone());
        let kinds = [
            Negatives::Shared { anchors: q.clone(), candidates, exclusions: Default::default() },
            Negatives::Made { anchors: q.clone(), each: 7, rows: &make },
        ];
        JoinedInfoNce::new(0.3).unwrap().loss((q * k).sum_dim(1).reshape([n]), &kinds)
    };
    let (x, y) = (rows(1, [n, d]), rows(2, [n, d]));
    let other = frozen(&x, &y).backward();
    let bound = if has_f64() { 1e-12 } else { 1e-5 };
    for (a, b) in [(&q, &x), (&k, &y)] {
        close("held", &values(&a.grad(&gradients).unwrap()), &values(&b.grad(&other).unwrap()), bound, bound);
    }
    differences("mixtures held", &[[n, d], [n, d]], |x| {
        // other inputs than above, the same mixtures
        frozen(&x[0], &x[1])
    });
}

#[test]
fn disjoint_pools_and_excluded_ids() {
    // two queries whose nearest rows are different halves of the queue
    let mut table = Vec::new();
    for k in 0..6 {
        let tilt = 0.1 * (k % 3) as f64;
        table.extend(if k < 3 { [1.0, tilt] } else { [-1.0, tilt] });
    }
    let u = constant(units(table, 2), [6, 2]);
    let q = constant(vec![1.0, 0.0, -1.0, 0.0], [2, 2]);
    let mochi = Mochi::new(0.2, 3, 20, 20).unwrap();
    let mixtures = mochi.mixtures(&q, &u, 0, 1).unwrap();
    let of = |i: usize| mixtures.partners[20 * i..20 * (i + 1)].iter().copied().collect::<BTreeSet<u32>>();
    assert_eq!([of(0), of(1)], [BTreeSet::from([0, 1, 2]), BTreeSet::from([3, 4, 5])]);
    // rows with the query's own id are neither compared nor mixed
    let mut queue = Queue::labelled(6, 2, (&device(), wide())).unwrap();
    queue.push_labelled(u.clone(), &[0, 9, 9, 9, 9, 1]);
    let some = Mochi::new(0.2, 3, 2, 2).unwrap();
    let with = some.evaluate(q.clone(), q.clone(), &queue, Some(&[0, 1]), 0, 1).unwrap();
    let all = some.evaluate(q.clone(), q.clone(), &queue, None, 0, 1).unwrap();
    assert!(one(with.loss) < one(all.loss), "fewer negatives");
    near("hardest real", with.hardest_real, 0.5 * (1.0 / 1.01f64.sqrt() + 1.0), 1e-6);
    near("hardest of all", all.hardest_real, 1.0, 1e-6);
    let error = Mochi::new(0.2, 6, 1, 0).unwrap().evaluate(q.clone(), q.clone(), &queue, Some(&[0, 1]), 0, 1);
    says(error.unwrap_err(), "query 0: 5 negatives for a pool of the 6 hardest");
    let error = Mochi::new(0.2, 7, 1, 0).unwrap().loss(q.clone(), q.clone(), &queue, 0, 1);
    says(error.unwrap_err(), "6 negatives for a pool of the 7");
    // a key that is nearer than all: the proxy task is solved
    let other = some.evaluate(q.clone(), q.clone() * -1.0, &queue, None, 0, 1).unwrap();
    assert_eq!(other.proxy_accuracy, 0.0);
    let near_keys = queue_of(constant(vec![0.0, 1.0, 0.0, -1.0, 0.1, 1.0], [3, 2]));
    assert_eq!(some.evaluate(q.clone(), q, &near_keys, None, 0, 1).unwrap().proxy_accuracy, 1.0);
    says(Mochi::new(0.2, 1, 3, 0).unwrap_err(), "pool of at least 2");
    says(Mochi::new(0.2, 0, 0, 3).unwrap_err(), "pool of at least 1");
    says(Mochi::new(-1.0, 8, 3, 3).unwrap_err(), "temperature -1");
    says(Mochi::new(0.2, 8, 3, 3).unwrap().with_largest_share(1.5).unwrap_err(), "(0, 1]");
}

fn worked_draw(lambda: f64, mu: f64) -> FeatureDraw {
    FeatureDraw {
        extrapolation: vec![lambda],
        granularity: Granularity::Batch,
        interpolation: mu,
        permutation: vec![1, 2, 3, 4, 0],
    }
}

#[test]
fn fts_worked_values_and_identities() {
    let [q, k] = views();
    let k = k.detach();
    let ft = FeatureTransform::new(0.2).unwrap();
    let (loss, trace) = ft.loss_of(q.clone(), k.clone(), stored(), &worked_draw(1.5, 0.4)).unwrap();
    near_value("FT", loss, 0.486335700);
    close("pushed", &trace.positive, &[0.760923, 0.866535, 0.917844, 0.823489], 1e-6, 0.0);
    let raw = ft.clone().with_negatives(NegativesUse::Raw);
    near_value("raw", raw.loss_of(q.clone(), k.clone(), stored(), &worked_draw(1.5, 0.4)).unwrap().0, 0.416949405);
    let (loss, plain) = ft.loss_of(q.clone(), k.clone(), stored(), &worked_draw(1.0, 1.0)).unwrap();
    near_value("nothing transformed", loss, 0.550286470);
    close("raw scores", &plain.positive, &[0.904369, 0.946614, 0.967138, 0.929396], 1e-6, 0.0);
    for lambda in [1.0, 1.3, 1.9] {
        let draw = worked_draw(lambda, 1.0);
        let (far, near_) = draw.extrapolate(q.clone(), k.clone());
        let expected: Vec<f64> = plain.positive.iter().map(|&s| extrapolated_score(s, lambda)).collect();
        let scores = values(&(far.clone() * near_.clone()).sum_dim(1));
        close("identity", &scores, &expected, 1e-6, 0.0);
        assert!(scores.iter().zip(&plain.positive).all(|(far, s)| *far <= s + 1e-6));
        // to the last bit the sum stays but for rounding
        close("sum", &values(&(far + near_)), &values(&(q.clone() + k.clone())), 1e-6, 0.0);
    }
    near("fixed point", extrapolated_score(1.0, 1.7), 1.0, 1e-15);
    near("scores leave [-1, 1]", extrapolated_score(0.5, 2.0), -1.5, 1e-15);
    let (loss, _) = ft.loss_of(q.clone(), q.clone(), stored(), &worked_draw(1.5, 1.0)).unwrap();
    let moco = Moco::new(0.2).unwrap().with_similarity(Similarity::Dot).loss_among(q.clone(), q.clone(), stored());
    near("equal pairs stay", one(loss), one(moco), bound());
}

#[test]
fn fts_gradient_goes_through_both_ends() {
    let draw = worked_draw(1.5, 0.4);
    let ft = FeatureTransform::new(0.2).unwrap();
    let unit = contrastive_core::similarity::unit_rows;
    let key = constant(worked(4, 3, 0.35), [4, 3]);
    let data = vec![worked(4, 3, 0.0)];
    for negatives in [NegativesUse::Extrapolated, NegativesUse::Raw] {
        let ft = ft.clone().with_negatives(negatives);
        differences_at("FT", &[[4, 3]], data.clone(), |x| {
            ft.loss_of(unit(x[0].clone()), key.clone(), stored(), &draw).unwrap().0
        });
    }
    // without the path through k^ the gradient is another one
    let (q, cut) = (tracked(data[0].clone(), [4, 3], wide()), tracked(data[0].clone(), [4, 3], wide()));
    let loss = ft.loss_of(q.clone(), key.clone(), stored(), &draw).unwrap().0;
    let whole = values(&q.grad(&loss.backward()).unwrap());
    let (far, near_) = draw.extrapolate(cut.clone(), key);
    let moco = Moco::new(0.2).unwrap().with_similarity(Similarity::Dot);
    let loss = moco.loss_among(far, near_.detach(), draw.interpolate(stored()));
    let half = values(&cut.grad(&loss.backward()).unwrap());
    assert!(whole.iter().zip(&half).any(|(a, b)| (a - b).abs() > 1e-2), "{whole:?} {half:?}");
}

#[test]
fn fts_draws_and_mixed_queues() {
    let ft = FeatureTransform::new(0.2).unwrap();
    let (mut total, steps) = (0.0, 4000);
    for step in 0..steps {
        let draw = ft.draw([8, 4], 6, step, 3).unwrap();
        assert!(draw.extrapolation[0] > 1.0 && draw.extrapolation[0] < 2.0);
        assert!(draw.interpolation > 0.0 && draw.interpolation < 1.0);
        let mut sorted = draw.permutation.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        total += draw.extrapolation[0];
    }
    // variance of Beta(2, 2): 1/20
    near("mean", total / steps as f64, 1.5, 5.0 * (0.05 / steps as f64).sqrt());
    assert_eq!(ft.draw([8, 4], 6, 1, 3).unwrap(), ft.draw([8, 4], 6, 1, 3).unwrap());
    let many = |g| ft.clone().with_granularity(g).draw([8, 4], 6, 0, 3).unwrap().extrapolation.len();
    assert_eq!([Granularity::Batch, Granularity::Sample, Granularity::Dimension].map(many), [1, 8, 4]);
    let late = ft.clone().with_start(5);
    assert_eq!(late.draw([8, 4], 6, 4, 3).unwrap().interpolation, 1.0);
    assert_eq!(late.draw([8, 4], 1, 4, 3).unwrap().extrapolation, [1.0]);
    assert_ne!(late.draw([8, 4], 6, 5, 3).unwrap().interpolation, 1.0);
    // scores of independent rows: the mean stays, the variance shrinks by mu^2 + (1 - mu)^2
    let (m, d, mu) = (4000, 6, 0.3);
    let u = directions(1, [m, d]).inner();
    let mut draw = ft.draw([1, d], m, 0, 1).unwrap();
    draw.interpolation = mu;
    let before = values(&u);
    let mixed = draw.interpolate(u.clone());
    assert_eq!(values(&u), before, "the stored rows stay");
    let q = directions(2, [1, d]);
    let trace = |c: &Tensor<2>| ScoreTrace::record(&q, &q, &q, c, 0.2);
    let (old, new) = (trace(&u), trace(&mixed));
    near("mean", new.negative_mean[0], old.negative_mean[0], 1e-5);
    let ratio = new.negative_variance[0] / old.negative_variance[0];
    near("variance", ratio, mu * mu + (1.0 - mu) * (1.0 - mu), 0.05);
    says(ft.clone().with_extrapolation(Some(0.0)).unwrap_err(), "extrapolation's Beta 0");
    says(ft.clone().with_interpolation(Some(-1.0)).unwrap_err(), "interpolation's Beta -1");
    says(ft.draw([8, 4], 1, 0, 3).unwrap_err(), "1 rows of a queue");
    let long = constant(vec![2.0; 12], [4, 3]);
    let [a, b] = views();
    says(ft.loss(long.clone(), b, stored(), 0, 1).unwrap_err(), "queries, row 0: length 3.46");
    says(ft.loss(a, long, stored(), 0, 1).unwrap_err(), "keys, row 0");
}

#[test]
fn score_traces_are_their_definitions() {
    let (n, m, d, t) = (5, 40, 6, 0.2);
    let (q, k, u) = (directions(1, [n, d]), directions(2, [n, d]), directions(3, [m, d]));
    let trace = ScoreTrace::record(&q, &q, &k, &u, t);
    let (q, k, u) = (values(&q), values(&k), values(&u));
    let tolerance = if has_f64() { 1e-10 } else { 1e-4 };
    let mut positives = Vec::new();
    for i in 0..n {
        let own = &q[i * d..(i + 1) * d];
        let scores: Vec<f64> = u.chunks(d).map(|row| dot(own, row)).collect();
        let mean = scores.iter().sum::<f64>() / m as f64;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / m as f64;
        let log_mean = (scores.iter().map(|s| (s / t).exp()).sum::<f64>() / m as f64).ln();
        positives.push(dot(own, &k[i * d..(i + 1) * d]));
        let got = [trace.positive[i], trace.negative_mean[i], trace.negative_variance[i], trace.log_mean_exp[i]];
        close("trace", &got, &[positives[i], mean, variance, log_mean], tolerance, tolerance);
        near("exp", trace.positive_exp()[i], (positives[i] / t).exp(), 100.0 * tolerance);
    }
    let summary = trace.summary();
    let mean = positives.iter().sum::<f64>() / n as f64;
    let variance = positives.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n as f64;
    close("summary", &[summary.positive_mean, summary.positive_variance], &[mean, variance], tolerance, tolerance);
    near("variance", summary.negative_variance, trace.negative_variance.iter().sum::<f64>() / n as f64, 1e-12);
}

#[test]
fn hallucinated_queries_extrapolate() {
    let network = HallucinatorConfig::new(3).init(1, (&device().autodiff(), wide())).unwrap();
    let [q, k] = views();
    let e = values(&network.extrapolated(q.clone(), k.clone(), 0.1));
    close("e", &e[..3], &[-0.032009088, 0.876861019, 0.501127679], bound(), 0.0);
    let k0 = worked(1, 3, 0.35);
    near("cos(e, k)", dot(&units(e[..3].to_vec(), 3), &k0), 0.885539259, bound());
    near("q.k", dot(&worked(1, 3, 0.0), &k0), 0.904369186, bound());
    close("r = 0", &values(&network.extrapolated(q.clone(), k.clone(), 0.0)), &values(&q), bound(), 0.0);
    // longer rows are brought to length 1 first, by default
    let scaled = values(&network.extrapolated(q.clone() * 5.0, k.clone() * 2.0, 0.1));
    close("scale", &scaled, &e, 1e-6, 0.0);
    let raw = HallucinatorConfig::new(3).with_normalise(false).init(1, (&device().autodiff(), wide())).unwrap();
    let expected: Vec<f64> = values(&(q.clone() * 5.5 - k.clone() * 0.1));
    close("raw", &values(&raw.extrapolated(q.clone() * 5.0, k.clone(), 0.1)), &expected, 1e-5, 0.0);
    // away from the key, in their plane
    let (a, b) = (directions(1, [20, 3]), directions(2, [20, 3]));
    let out = values(&network.extrapolated(a.clone(), b.clone(), 0.07));
    let (a, b) = (values(&a), values(&b));
    for ((e, q), k) in out.chunks(3).zip(a.chunks(3)).zip(b.chunks(3)) {
        let e = units(e.to_vec(), 3);
        assert!(dot(&e, k) < dot(q, k), "further from the key");
        let normal = [q[1] * k[2] - q[2] * k[1], q[2] * k[0] - q[0] * k[2], q[0] * k[1] - q[1] * k[0]];
        near("in the plane of q and k", dot(&e, &normal), 0.0, 1e-6);
    }
    for step in 0..50 {
        let r = network.extrapolation(step, 3);
        assert!((0.0..0.1).contains(&r) && r == network.extrapolation(step, 3));
    }
    let network = HallucinatorConfig::new(3);
    says(network.clone().with_largest_extrapolation(-0.1).validate().unwrap_err(), "largest extrapolation -0.1");
    says(HallucinatorConfig::new(0).validate().unwrap_err(), "width of the features 0");
}

/// The network that gives its input e back: `relu(x) - relu(-x)` of the second half.
fn identity(d: usize) -> Hallucinator {
    let mut network = HallucinatorConfig::new(d).init(1, (&device().autodiff(), wide())).unwrap();
    let set = |shape: [usize; 2], at: &dyn Fn(usize, usize) -> f64| {
        let all = (0..shape[0] * shape[1]).map(|k| at(k / shape[1], k % shape[1])).collect();
        Param::from_tensor(constant(all, shape))
    };
    let maps = &mut network.mlp.maps;
    // e is in the inputs d..2d; plus in the first half of the hidden columns, minus in the second
    maps[0].weight = set([2 * d, 2 * d], &|r, c| if r == d + c { 1.0 } else { -f64::from(r == c && c >= d) });
    maps[1].weight = set([2 * d, 2 * d], &|r, c| f64::from(r == c));
    maps[2].weight = set([2 * d, d], &|r, c| if r == c { 1.0 } else { -f64::from(r == c + d) });
    for map in maps.iter_mut() {
        let width = map.weight.dims()[1];
        map.bias = Some(Param::from_tensor(constant(vec![0.0; width], [width])));
    }
    network
}

#[test]
fn a_hallucinator_that_copies_changes_nothing() {
    let (n, d) = (6, 4);
    let network = identity(d);
    let (q, k) = (directions(1, [n, d]), directions(2, [n, d]));
    close("copy", &values(&network.forward(q.clone(), k.clone(), 0.0)), &values(&q), 1e-6, 0.0);
    let queue = queue_of(directions(3, [10, d]));
    let held = values(&queue.rows().unwrap());
    let moco = Moco::new(0.2).unwrap();
    let expected = one(moco.loss(q.clone(), k.clone(), &queue));
    let loss = network.moco_loss(&moco, q.clone(), k.clone(), &queue, 0.0);
    near_value("MoCo", loss.clone(), expected);
    assert_eq!(values(&queue.rows().unwrap()), held, "the queue is the caller's");
    let gradients = loss.backward();
    assert!(q.grad(&gradients).is_some() && k.grad(&gradients).is_none(), "keys are constants under MoCo");
    let host = NtXent::new(0.5).unwrap();
    let expected = one(host.loss(q.clone(), k.clone()));
    near_value("SimCLR in halves", network.simclr_halves_loss(&host, q.clone(), k.clone(), 0.0), expected);
    // in one table: every negative twice, the own image but for the positive left out
    let (a, b) = (values(&q), values(&k));
    let row = |x: &[f64], i: usize| x[i * d..(i + 1) * d].to_vec();
    let table: Vec<Vec<f64>> = (0..2 * n).map(|i| if i < n { row(&a, i) } else { row(&b, i - n) }).collect();
    let twice: f64 = (0..2 * n)
        .map(|i| {
            let s = |j: usize| (dot(&table[i], &table[j]) / 0.5).exp();
            let positive = s((i + n) % (2 * n));
            let negatives: f64 = (0..2 * n).filter(|j| j % n != i % n).map(|j| 2.0 * s(j)).sum();
            (1.0 + negatives / positive).ln()
        })
        .sum();
    let loss = network.simclr_loss(&host, q.clone(), k.clone(), 0.0);
    near_value("SimCLR in one table", loss, twice / (2 * n) as f64);
    let (z0, z1) = (directions(4, [n, d]), directions(5, [n, d]));
    let expected = one(simsiam(q.clone(), k.clone(), z0.clone(), z1.clone()));
    near_value("SimSiam", network.simsiam_loss([q, k], [z0, z1], [0.0, 0.0]), expected);
}

#[test]
fn finite_differences_of_the_hallucinator() {
    let (n, d) = (5, 3);
    let network = HallucinatorConfig::new(d).init(4, (&device().autodiff(), wide())).unwrap();
    let shapes = [[n, d], [n, d], [2 * d, 2 * d], [2 * d, d]];
    let with = |x: &[Tensor<2>]| {
        let mut network = network.clone();
        network.mlp.maps[0].weight = Param::from_tensor(x[2].clone());
        network.mlp.maps[2].weight = Param::from_tensor(x[3].clone());
        network
    };
    let host = NtXent::new(0.5).unwrap();
    differences("SimCLR", &shapes, |x| with(x).simclr_loss(&host, x[0].clone(), x[1].clone(), 0.05));
    differences("SimCLR in halves", &shapes, |x| with(x).simclr_halves_loss(&host, x[0].clone(), x[1].clone(), 0.05));
    let queue = queue_of(directions(3, [7, d]));
    let moco = Moco::new(0.2).unwrap();
    let k = directions(9, [n, d]);
    differences("MoCo", &[shapes[0], shapes[2], shapes[3]], |x| {
        let network = with(&[x[0].clone(), k.clone(), x[1].clone(), x[2].clone()]);
        network.moco_loss(&moco, x[0].clone(), k.clone(), &queue, 0.05)
    });
    let z = [directions(6, [n, d]), directions(7, [n, d])];
    differences("SimSiam", &shapes, |x| with(x).simsiam_loss([x[0].clone(), x[1].clone()], z.clone(), [0.05, 0.02]));
}
