//! Triplets.

use crate::common::*;
use crate::unpaired::support::*;
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;

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
            triplet = if smooth { triplet.with_smooth_hinge() } else { triplet };
            triplet = if swap { triplet.with_swap().unwrap() } else { triplet };
            triplet = if over_all { triplet.with_mean_over_all() } else { triplet };
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
fn rows_that_nearly_coincide_are_told_apart() {
    if !has_f64() {
        return;
    }
    // rows far from the origin in pairs 1e-5 apart: inner products alone would lose all digits of their distance
    let (n, d) = (12, 3);
    let (places, offsets) = (normal(1, n / 2 * d), normal(2, n * d));
    let data: Vec<f64> = (0..n * d).map(|at| 10.0 + places[at % (n / 2 * d)] + 1e-5 * offsets[at]).collect();
    let labels: Vec<i64> = (0..n as i64).map(|i| i % 6 / 2).collect();
    for mining in [Mining::Hard, Mining::BatchEasySemihard] {
        let triplet = Triplet::new(0.0)
            .unwrap()
            .with_mining(mining)
            .unwrap()
            .with_smooth_hinge()
            .with_similarity(Similarity::Dot);
        let [sum, _, all] = triplets(&data, d, &labels, 0.0, mining, true, false);
        let got = one(triplet.loss(tracked(data.clone(), [n, d], wide()), &labels));
        // tensor operations have them from inner products
        let bound = if on_ndarray() { 1e-10 } else { 1e-13 };
        close(&format!("{mining:?}"), &[got], &[sum / all.max(1.0)], bound, 1e-12);
    }
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
    let (absolute, relative) = if has_f64() { (1e-9, 1e-6) } else { (1e-6, 2e-3) };
    close("gradients", &h, &back, absolute, relative);
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

/// The kernel, with few and with many positives of each row, the body of tensor operations, and the definition.
#[test]
fn every_form_of_the_triplet_loss_is_the_same() {
    let tight = if has_f64() { 1e-10 } else { 2e-4 };
    for (n, classes) in [(1, 1), (6, 6), (23, 5), (150, 2)] {
        let labels: Vec<i64> = (0..n as i64).map(|i| (i * i + i / 7) % classes).collect();
        let data = normal(9, n * 4);
        let of = |triplet: &Triplet, form: usize| {
            let x = tracked(data.clone(), [n, 4], wide());
            let value = match form {
                0 => triplet.dense(x.clone(), &labels),
                1 => triplet.loss(x.clone(), &labels),
                _ => contrastive_core::testing::portably(|| triplet.loss(x.clone(), &labels)),
            };
            // any upstream factor
            let gradients = (value.clone() * -1.5).backward();
            (values(&value), values(&x.grad(&gradients).unwrap()))
        };
        let minings =
            [Mining::All, Mining::Hard, Mining::Semihard, Mining::Easy, Mining::BatchHard, Mining::BatchEasySemihard];
        for (mining, similarity) in minings.into_iter().flat_map(|m| [(m, Similarity::Cosine), (m, Similarity::Dot)]) {
            let plain = Triplet::new(0.2).unwrap().with_mining(mining).unwrap().with_similarity(similarity);
            let mut all = vec![plain.clone(), plain.clone().with_smooth_hinge(), plain.clone().with_mean_over_all()];
            if mining == Mining::All && n < 100 {
                all.push(plain.clone().with_swap().unwrap());
                all.push(plain.with_smooth_hinge().with_swap().unwrap().with_mean_over_all());
            }
            for triplet in all {
                let (value, gradient) = of(&triplet, 0);
                for form in [1, 2] {
                    let (v, g) = of(&triplet, form);
                    close(&format!("{triplet:?}, form {form} of {n} rows"), &v, &value, tight, tight);
                    close(&format!("gradient of {triplet:?}, form {form} of {n} rows"), &g, &gradient, tight, tight);
                }
            }
        }
    }
}
