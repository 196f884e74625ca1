//! Objectives that no crate names yet, put together of this crate's parts: SepCLR's terms, OpTA's transport and BECLR's uniformity, MEOW's
//! weighted negatives.

use crate::common::*;
use crate::spec_checks::tight;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::*;
use contrastive_core::optimal_transport::OptimalTransport;
use contrastive_core::pairs::Exclusions;
use contrastive_core::similarity::{Similarity, unit_rows};

/// `sin(0.7 i + 1.3 j + 0.2 i j + phase)`, rows of any length.
fn raw(n: usize, d: usize, phase: f64) -> Tensor<2> {
    let at = |at: usize| ((at / d) as f64, (at % d) as f64);
    let values = (0..n * d).map(at).map(|(i, j)| (0.7 * i + 1.3 * j + 0.2 * i * j + phase).sin());
    tracked(values.collect(), [n, d], wide())
}

/// `mean_i log mean_j k(c_i, c_j) k(s_i, s_j)` with `k = e^{-|x - y|^2}`, the row itself among the j: distances of the two vectors side
/// by side.
fn joint_entropy(c: Tensor<2>, s: Tensor<2>) -> f64 {
    let n = c.dims()[0];
    let sums = LogSums::new(1.0).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
    let both = Tensor::cat(vec![c, s], 1);
    let values = sums.values(&Inputs::new(both.clone(), both));
    values.iter().map(|l| l - (n as f64).ln()).sum::<f64>() / n as f64
}

#[test]
fn sepclr_of_its_parts() {
    // kernels e^{-|x - y|^2 / (2 tau)} at tau 0.5
    let [c1, c2] = views();
    let (align, unif) = (Alignment::new(2.0).unwrap(), Uniformity::new(1.0).unwrap());
    let common = [one(align.loss(c1.clone(), c2.clone())), one(unif.loss(c1.clone())), one(unif.loss(c2.clone()))];
    close("align and unif", &common, &[0.126241844, -1.252979290, -1.216164197], bound(), 0.0);
    near("common", common.iter().sum(), -2.342901643, bound());
    let (s1, s2) = (raw(4, 2, 0.0), raw(4, 2, 0.35));
    // rows 1 and 2 are targets; backgrounds stand at 0
    let target = constant(vec![0.0, 1.0, 1.0, 0.0], [4, 1]);
    let pick = |x: &Tensor<2>| x.clone().slice([1..3, 0..2]);
    let flat = align.with_similarity(Similarity::Dot);
    let raw_unif = unif.with_similarity(Similarity::Dot);
    let [t1, t2] = [&s1, &s2].map(|s| s.clone() * target.clone());
    let salient =
        one(flat.loss(pick(&s1), pick(&s2))) + one(raw_unif.loss(t1.clone())) + one(raw_unif.loss(t2.clone()));
    near("salient", salient, -1.341733514, bound());
    let background = |s: &Tensor<2>| {
        let rows = Tensor::cat(vec![s.clone().slice([0..1, 0..2]), s.clone().slice([3..4, 0..2])], 0);
        one(flat.loss(rows.clone(), rows.zeros_like()))
    };
    near("background", 0.5 * (background(&s1) + background(&s2)), 1.159677683, bound());
    let joint = 0.5 * (joint_entropy(c1.clone(), t1.clone()) + joint_entropy(c2, t2));
    near("joint", joint, -1.083244300, bound());
    // identical rows: 0; far apart: -log n; a constant vector says nothing
    let same = constant([0.6, 0.8].repeat(4), [4, 2]);
    near("identical", joint_entropy(same.clone(), same.clone()), 0.0, tight());
    near("uniformity of identical rows", one(raw_unif.loss(same.clone())), 0.0, tight());
    let far = constant((0..8).map(|k| 10.0 * k as f64).collect(), [4, 2]);
    near("far apart", joint_entropy(far, same.clone()), -(4f64.ln()), tight());
    near("constant", joint_entropy(c1.clone(), same), joint_entropy(c1.clone(), t1.zeros_like()), 1e-6);
    // the joint term sees no gradient of a background's row, which the zero replaces
    let value = raw_unif.loss(s1.clone() * target);
    let slopes = values(&s1.grad(&value.backward()).unwrap());
    assert_eq!([&slopes[..2], &slopes[6..]].concat(), [0.0; 4]);
    assert!(slopes[2..6].iter().any(|g| g.abs() > 1e-3));
}

/// A pass of OpTA: each support goes to the mean of the queries that the plan gives it.
fn transported(support: &Tensor<2>, queries: &Tensor<2>) -> Tensor<2> {
    let ([n, d], [m, _]) = (support.dims(), queries.dims());
    let gap =
        support.clone().reshape([n, 1, d]).expand([n, m, d]) - queries.clone().reshape([1, m, d]).expand([n, m, d]);
    let cost: Tensor<2> = (gap.clone() * gap).sum_dim(2).reshape([n, m]);
    let largest = values(&cost.clone().max())[0];
    let even = |count: usize| Tensor::<1>::full([count], 1.0 / count as f64, (&device(), wide()));
    let transport = OptimalTransport::new(0.05).unwrap().with_tolerance(1e-5).unwrap();
    let plan = transport.plan(cost * (1.0 / largest), even(n), even(m)).unwrap().plan;
    // rows of the plan sum to 1 / n; the published numbers stop a little before the end
    plan.matmul(queries.clone()) * n as f64
}

#[test]
fn transported_prototypes() {
    let support = || plain(vec![0.0, 0.0, 1.0, 0.0], [2, 2]);
    let queries = plain(vec![0.1, 0.2, -0.1, 0.1, 0.9, 0.3, 1.2, -0.1], [4, 2]);
    let once = transported(&support(), &queries);
    close("one pass", &values(&once), &[0.000003, 0.150000, 1.049988, 0.100000], 1e-5, 0.0);
    let five = (0..5).fold(support(), |s, _| transported(&s, &queries));
    close("five passes", &values(&five), &[0.000008, 0.150001, 1.049996, 0.099999], 1e-5, 0.0);
    // moved and scaled together
    let moved = |x: &Tensor<2>| x.clone() * 3.0 + 1.5;
    let other = transported(&moved(&support()), &moved(&queries));
    close("moved", &values(&other), &values(&moved(&once)), 1e-5, 0.0);
    // queries that are where the supports are
    let own = plain(vec![0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0], [4, 2]);
    close("fixed point", &values(&transported(&support(), &own)), &values(&support()), 1e-2, 0.0);
}

/// Distances are costs: a batch that is the prototypes goes to itself, and the plan has even margins.
#[test]
fn prototypes_are_assigned_to_themselves() {
    let n = 6;
    let prototypes = plain(units(normal(3, n * 4), 4), [n, 4]);
    let order = [3, 0, 5, 1, 4, 2];
    let batch = crate::spec_checks::reordered(&prototypes, &order);
    let distances =
        |a: &Tensor<2>, b: &Tensor<2>| (a.clone().matmul(b.clone().transpose()) * -2.0 + 2.0).clamp_min(0.0).sqrt();
    let even = || Tensor::<1>::full([n], 1.0 / n as f64, (&device(), wide()));
    let transport = OptimalTransport::new(0.05).unwrap().with_tolerance(1e-5).unwrap();
    let plan = transport.plan(distances(&batch, &prototypes), even(), even()).unwrap().plan;
    let found: Vec<i64> = plan.clone().argmax(1).into_data().iter::<i64>().collect();
    assert_eq!(found, order.map(|k| k as i64));
    for side in [0, 1] {
        close("margins", &values(&plan.clone().sum_dim(side)), &[1.0 / n as f64; 6], 1e-4, 0.0);
    }
}

/// `log mean_i (1 / (2 n - 2)) sum over other samples of e^{z_i . z_j / T}`, over both views.
fn repulsion(a: Tensor<2>, b: Tensor<2>, t: f64) -> f64 {
    let n = a.dims()[0];
    let samples: Vec<i64> = (0..2 * n as i64).map(|i| i % n as i64).collect();
    let sums = LogSums::new(t).unwrap().with_exclusions(Exclusions::same_ids(&samples, &samples));
    let rows = sums.values(&Inputs::self_contrast(Tensor::cat(vec![a, b], 0)));
    (rows.iter().map(|l| l.exp()).sum::<f64>() / (2 * n * (2 * n - 2)) as f64).ln()
}

#[test]
fn uniformity_over_other_things() {
    let [a, b] = views();
    near("worked", repulsion(a, b, 2.0), 0.122612392, bound());
    let same = constant([0.6, 0.8].repeat(4), [4, 2]);
    near("equal rows", repulsion(same.clone(), same, 2.0), 0.5, tight());
}

/// MEOW's loss: each clustering counts the rows of other clusters once more among the negatives; the positive is not among them.
fn meow(u: &Tensor<2>, v: &Tensor<2>, clusterings: &[Vec<i64>], t: f64) -> f64 {
    let n = u.dims()[0];
    let inputs = Inputs::new(u.clone(), v.clone());
    let others = |of: &Vec<i64>| LogSums::new(t).unwrap().with_exclusions(Exclusions::same_ids(of, of)).values(&inputs);
    let sums: Vec<Vec<f64>> = clusterings.iter().map(others).collect();
    let (a, b) = (units(values(u), 4), units(values(v), 4));
    let row = |i: usize| {
        let all = sums.iter().map(|s| s[i].exp()).sum::<f64>().ln();
        all - dot(&a[i * 4..i * 4 + 4], &b[i * 4..i * 4 + 4]) / t
    };
    (0..n).map(row).sum::<f64>() / n as f64
}

#[test]
fn negatives_weighted_by_clusterings() {
    let (n, t) = (9, 0.4);
    let (u, v) = (rows(1, [n, 4]), rows(2, [n, 4]));
    let alone: Vec<i64> = (0..n as i64).collect();
    let decoupled = PairObjective::new(t).unwrap().with_denominator(Denominator::NegativesOnly);
    let infonce = one(decoupled.loss(&Inputs::new(u.clone(), v.clone())));
    // every node a cluster: T times all others
    near("alone", meow(&u, &v, &vec![alone; 3], t), infonce + 3f64.ln(), tight());
    // by the definition, with the n x n weights
    let clusterings: Vec<Vec<i64>> =
        vec![(0..n as i64).map(|i| i % 3).collect(), (0..n as i64).map(|i| i * i % 5).collect()];
    let (a, b) = (units(values(&u), 4), units(values(&v), 4));
    let s = |i: usize, j: usize| dot(&a[i * 4..i * 4 + 4], &b[j * 4..j * 4 + 4]) / t;
    let weight = |i: usize, j: usize| clusterings.iter().filter(|c| c[i] != c[j]).count() as f64;
    let row = |i: usize| (0..n).map(|j| weight(i, j) * s(i, j).exp()).sum::<f64>().ln() - s(i, i);
    let expected = (0..n).map(row).sum::<f64>() / n as f64;
    near("weighted", meow(&u, &v, &clusterings, t), expected, tight());
    // one cluster for everything leaves no negatives, and says so
    let sums = LogSums::new(t).unwrap().with_exclusions(Exclusions::same_ids(&[0; 9], &[0; 9]));
    assert_eq!(sums.values(&Inputs::new(u, v)), [f64::NEG_INFINITY; 9]);
}

/// AdaMEOW: `-mean_i [ s_ii - log sum_j g_ij e^{s_ij} ]` with `g_ij = sigmoid(w2 . tanh(W1 v_i + W1 u_j + b1) + b2)`, in blocks of
/// anchors. W1 meets each row once: a pair costs only its hidden layer. Divided by the mean of the anchor's weights the loss is
/// bounded.
fn adaptive(v: &Tensor<2>, u: &Tensor<2>, net: &[Tensor<2>; 4], t: f64, divided: bool, block: usize) -> Tensor<1> {
    let [w1, b1, w2, b2] = net.clone();
    let n = v.dims()[0];
    let (v, u) = (unit_rows(v.clone()), unit_rows(u.clone()));
    let tables = [v.clone(), v.clone().matmul(w1.clone()), (v * u.clone()).sum_dim(1) * (1.0 / t)];
    let shared = [u.clone(), u.matmul(w1) + b1, w2, b2];
    row_blocks(&tables, &shared, &vec![1.0 / n as f64; n], block, |_, own, all| {
        let ([b, h], m) = (own[1].dims(), all[1].dims()[0]);
        let pairs = own[1].clone().reshape([b, 1, h]) + all[1].clone().reshape([1, m, h]);
        let score = pairs.tanh().reshape([b * m, h]).matmul(all[2].clone()) + all[3].clone();
        let g = (score * -1.0).exp().add_scalar(1.0).recip().reshape([b, m]);
        let s = own[0].clone().matmul(all[0].clone().transpose()) * (1.0 / t);
        let sum = (s.exp() * g.clone()).sum_dim(1).log();
        let sum = if divided { sum - g.mean_dim(1).log() } else { sum };
        sum - own[2].clone()
    })
}

#[test]
fn negatives_weighted_by_a_network() {
    let (n, d, h, t) = (7, 5, 3, 0.6);
    let (v, u) = (rows(11, [n, d]), rows(12, [n, d]));
    let net = |b2: f64| {
        let number = constant(vec![b2], [1, 1]);
        [rows(13, [d, h]), rows(14, [1, h]), rows(15, [h, 1]), number]
    };
    // by the definition: the network on every sum of two rows
    let plain = |x: &Tensor<2>| values(x);
    let (a, c) = (units(plain(&v), d), units(plain(&u), d));
    let [w1, b1, w2] = [plain(&net(0.2)[0]), plain(&net(0.2)[1]), plain(&net(0.2)[2])];
    let weight = |i: usize, j: usize| {
        let hidden = |k: usize| {
            let sum: f64 = (0..d).map(|q| w1[q * h + k] * (a[i * d + q] + c[j * d + q])).sum();
            (sum + b1[k]).tanh()
        };
        1.0 / (1.0 + (-(0..h).map(|k| w2[k] * hidden(k)).sum::<f64>() - 0.2).exp())
    };
    let s = |i: usize, j: usize| dot(&a[i * d..][..d], &c[j * d..][..d]) / t;
    let row = |i: usize| (0..n).map(|j| weight(i, j) * s(i, j).exp()).sum::<f64>().ln() - s(i, i);
    let expected = (0..n).map(row).sum::<f64>() / n as f64;
    for block in [1, 3, n] {
        near("blocks", one(adaptive(&v, &u, &net(0.2), t, false, block)), expected, tight());
    }
    // equal weights c: InfoNCE + log c
    let mut flat = net(-0.4);
    flat[2] = constant(vec![0.0; h], [h, 1]);
    let infonce = one(InfoNce::new(t).unwrap().loss(v.clone(), u.clone()));
    let level = (1.0 / (1.0 + 0.4f64.exp())).ln();
    near("level", one(adaptive(&v, &u, &flat, t, false, 2)), infonce + level, tight());
    near("level, divided", one(adaptive(&v, &u, &flat, t, true, 2)), infonce, tight());
    // the raw form falls without end as all weights vanish; divided by their mean it has a floor
    let at = |b2: f64, divided: bool| one(adaptive(&v, &u, &net(b2), t, divided, 4));
    assert!(at(-5.0, false) < at(0.0, false) - 4.0 && at(-10.0, false) < at(-5.0, false) - 4.0);
    let floor = -2.0 / t;
    assert!([0.0, -5.0, -20.0].iter().all(|b2| at(*b2, true) > floor), "{floor}");
    // gradients reach both views and the network
    let small = net(0.2);
    let tape = adaptive(&v, &u, &small, t, false, 3).backward();
    let slopes_of = |leaf: &Tensor<2>| values(&leaf.grad(&tape).expect("a gradient"));
    for leaf in [&v, &u, &small[0], &small[1], &small[2]] {
        let slopes = slopes_of(leaf);
        assert!(slopes.iter().all(|g| g.is_finite()) && slopes.iter().any(|g| g.abs() > 1e-4), "{slopes:?}");
    }
    let (mut up, mut down) = (small.clone(), small.clone());
    (up[1], down[1]) = (small[1].clone() + 1e-5, small[1].clone() - 1e-5);
    let along = (one(adaptive(&v, &u, &up, t, false, 3)) - one(adaptive(&v, &u, &down, t, false, 3))) / 2e-5;
    near("differences", slopes_of(&small[1]).iter().sum(), along, bound());
}
