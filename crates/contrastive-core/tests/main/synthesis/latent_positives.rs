//! Latent positives: checks of HaLP's specification.

use crate::common::{device, values};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::{LatentPositive, LatentPositives, Reach};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64], bound: f64) {
    crate::common::close(what, got, want, bound, 0.0);
}

fn wide(data: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(data, shape), (&device().autodiff(), DType::F64)).require_grad()
}

fn units(rows: usize, width: usize, seed: u64) -> Tensor<2> {
    let mut rng = generator(seed);
    let data = (0..rows * width).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect();
    unit_rows(wide(data, [rows, width])).detach()
}

fn row(x: &Tensor<2>, i: usize) -> Vec<f64> {
    let width = x.dims()[1];
    values(&x.clone().slice([i..i + 1, 0..width]))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn at(one: &LatentPositive, key: &[f64], target: &[f64]) -> Vec<f64> {
    key.iter().zip(target).map(|(k, p)| one.key * k + one.prototype * p).collect()
}

fn maker(count: usize, lambda: f64) -> LatentPositives {
    LatentPositives::new(count).unwrap().with_reach(Reach::Uniform(lambda)).unwrap()
}

/// The point of the great circle from k to p at this share of the way.
fn on_circle(k: &[f64], p: &[f64], t: f64) -> Vec<f64> {
    let w = dot(k, p).acos();
    k.iter().zip(p).map(|(k, p)| (((1.0 - t) * w).sin() * k + (t * w).sin() * p) / w.sin()).collect()
}

#[test]
fn the_border_has_the_numbers_of_the_specification() {
    needs_f64!();
    let k = [0.2f64.cos(), 0.2f64.sin(), 0.0];
    let (p0, p) = ([1.0, 0.0, 0.0], [0.0, 0.5f64.cos(), 0.5f64.sin()]);
    let t = LatentPositives::border(dot(&k, &p), dot(&k, &p0), dot(&p, &p0)).unwrap();
    close("t_max", &[t], &[0.4355292518], 1e-9);
    let g = on_circle(&k, &p, t);
    close("g", &g, &[0.7054430507, 0.6519529936, 0.2780420768], 1e-9);
    close("length and equal cosines", &[dot(&g, &g), dot(&g, &p0)], &[1.0, dot(&g, &p)], 1e-12);
    // the module makes the same point
    let (keys, prototypes) = (wide(k.to_vec(), [1, 3]), wide([p0, p].concat(), [2, 3]));
    let one = maker(1, 0.0).each(&keys, &prototypes, 1, 0).unwrap()[0][0];
    assert!(one.target == 1 && one.kept);
    close("made", &at(&one, &k, &p), &g, 1e-12);
    let three: Vec<f64> = g.iter().map(|v| v * 3.0).collect();
    close("sum", &values(&maker(3, 0.0).make(&keys, &prototypes, 1, 0).unwrap().sums), &three, 1e-9);
}

#[test]
fn positives_stay_in_the_cell_of_their_prototype() {
    needs_f64!();
    let (mut negative, mut dropped) = (0, 0);
    for (seed, width, m) in [(1, 3, 5), (2, 3, 2), (3, 16, 20), (4, 8, 7)] {
        let (keys, prototypes) = (units(40, width, seed), units(m, width, seed + 100));
        for lambda in [0.0, 0.8] {
            let each = maker(30, lambda).each(&keys, &prototypes, seed, 3).unwrap();
            for (i, positives) in each.iter().enumerate() {
                let k = row(&keys, i);
                let near: Vec<f64> = (0..m).map(|j| dot(&k, &row(&prototypes, j))).collect();
                let own = (0..m).fold(0, |best, j| if near[j] > near[best] { j } else { best });
                let p0 = row(&prototypes, own);
                for one in positives {
                    assert_ne!(one.target, own, "the own prototype is no target");
                    let p = row(&prototypes, one.target);
                    assert!(one.t_max > 0.0 && one.t_max <= 1.0, "{}", one.t_max);
                    let g = at(one, &k, &p);
                    close("length", &[dot(&g, &g)], &[1.0], 1e-10);
                    let border = on_circle(&k, &p, one.t_max);
                    close("at the border", &[dot(&border, &p0)], &[dot(&border, &p)], 1e-9);
                    if one.t < one.t_max - 1e-6 {
                        assert!(dot(&g, &p0) > dot(&g, &p), "within the border the own one is nearer");
                    }
                    let w = near[one.target].acos();
                    negative += usize::from((1.0 - dot(&p, &p0)) / (near[own] - near[one.target]) + w.cos() < 0.0);
                    let third = (0..m).filter(|j| ![own, one.target].contains(j));
                    let passed = third.clone().all(|j| dot(&g, &row(&prototypes, j)) <= dot(&g, &p0));
                    assert_eq!(one.kept, passed, "the rank filter");
                    dropped += usize::from(!one.kept);
                }
            }
        }
    }
    assert!(negative > 20 && dropped > 20, "both branches were seen: {negative}, {dropped}");
}

#[test]
fn ends_of_the_great_circle() {
    needs_f64!();
    let border = LatentPositives::border;
    // the key is its prototype: half the way
    let t = border(0.3, 1.0, 0.3).unwrap();
    close("midpoint", &[t], &[0.5], 1e-12);
    // nearly the key itself: a straight line of share 1 / (1 + kappa)
    let [key, own, between] = [1e-5f64, 5e-6, 1.2e-5].map(f64::cos);
    let want = 1.0 / (1.0 + (1.0 - between) / (own - key));
    close("linear limit", &[border(key, own, between).unwrap()], &[want], 1e-12);
    // the key is the prototype, which is as near as the own one
    assert_eq!(border(1.0, 1.0, 1.0), Some(1.0));
    // opposite: no way at all
    assert_eq!(border(-1.0, 0.2, 0.5), None);
    let keys = wide(vec![1.0, 0.0], [1, 2]);
    let prototypes = wide(vec![0.8, 0.6, -1.0, 0.0], [2, 2]);
    let made = maker(10, 0.8).make(&keys, &prototypes, 1, 0).unwrap();
    assert_eq!((made.kept[0], made.share()), (0, 0.0));
    close("nothing", &values(&made.sums), &[0.0, 0.0], 0.0);
    // two prototypes in one place
    let twins = wide(vec![0.8, 0.6, 0.8, 0.6], [2, 2]);
    assert!(values(&maker(10, 0.8).make(&keys, &twins, 1, 0).unwrap().sums).iter().all(|v| v.is_finite()));
}

#[test]
fn the_sum_and_its_loss_are_those_of_all_positives_written_down() {
    needs_f64!();
    let (keys, prototypes) = (units(6, 5, 11), units(9, 5, 12));
    let latent = maker(40, 0.5);
    let each = latent.each(&keys, &prototypes, 7, 2).unwrap();
    let made = latent.make(&keys, &prototypes, 7, 2).unwrap();
    let mut rng = generator(13);
    let raw: Vec<f64> = (0..30).map(|_| rng.random::<f64>() * 4.0 - 2.0).collect();
    let tau = 0.07;
    let (mut sum, mut kept) = (0.0, 0.0);
    for i in 0..6 {
        let k = row(&keys, i);
        let q = &raw[5 * i..5 * i + 5];
        let length = dot(q, q).sqrt();
        let mut total = vec![0.0; 5];
        for one in each[i].iter().filter(|one| one.kept) {
            let g = at(one, &k, &row(&prototypes, one.target));
            sum += dot(q, &g) / length / tau;
            kept += 1.0;
            total.iter_mut().zip(&g).for_each(|(t, g)| *t += g);
        }
        close("sum of a key", &row(&made.sums, i), &total, 1e-10);
        assert_eq!(made.kept[i], each[i].iter().filter(|one| one.kept).count());
    }
    assert!(kept > 100.0 && kept < 240.0, "some are kept, some not: {kept}");
    close("share", &[made.share()], &[kept / 240.0], 1e-12);
    let q = wide(raw.clone(), [6, 5]);
    let loss = latent.loss(q.clone(), &made, tau).unwrap();
    close("loss", &values(&loss), &[-sum / (kept + 1e-8)], 1e-9);
    // the gradient is minus the sum over tau times the number, across the query alone
    let got = values(&q.grad(&loss.backward()).unwrap());
    for i in 0..6 {
        let q = &raw[5 * i..5 * i + 5];
        let (length, s) = (dot(q, q).sqrt(), row(&made.sums, i));
        let along = dot(q, &s) / (length * length);
        let want: Vec<f64> = (0..5).map(|c| -(s[c] - along * q[c]) / length / (tau * kept)).collect();
        close("gradient", &got[5 * i..5 * i + 5], &want, 1e-8);
    }
    for k in 0..30 {
        let at = |h: f64| {
            let mut moved = raw.clone();
            moved[k] += h;
            values(&latent.loss(wide(moved, [6, 5]), &made, tau).unwrap())[0]
        };
        let want = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((got[k] - want).abs() < 1e-7 * want.abs().max(1.0), "{k}: {} instead of {want}", got[k]);
    }
}

#[test]
fn keys_and_prototypes_get_no_gradient() {
    needs_f64!();
    let mut rng = generator(21);
    let mut draw = |n: usize| (0..n).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<f64>>();
    let (k, p, q) = (wide(draw(12), [3, 4]), wide(draw(20), [5, 4]), wide(draw(12), [3, 4]));
    let latent = maker(20, 0.8);
    let made = latent.make(&unit_rows(k.clone()), &unit_rows(p.clone()), 1, 1).unwrap();
    let gradients = latent.loss(q.clone(), &made, 0.1).unwrap().backward();
    assert!(q.grad(&gradients).is_some() && k.grad(&gradients).is_none() && p.grad(&gradients).is_none());
}

#[test]
fn a_larger_lambda_is_easier() {
    needs_f64!();
    let (keys, prototypes) = (units(50, 8, 31), units(6, 8, 32));
    let mean = |lambda: f64| {
        let each = maker(60, lambda).each(&keys, &prototypes, 5, 0).unwrap();
        let cosine = |(i, one): (usize, &LatentPositive)| {
            let k = row(&keys, i);
            dot(&k, &at(one, &k, &row(&prototypes, one.target)))
        };
        let all: Vec<f64> =
            each.iter().enumerate().flat_map(|(i, list)| list.iter().map(move |one| (i, one))).map(cosine).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let means: Vec<f64> = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].into_iter().map(mean).collect();
    assert!(means.windows(2).all(|pair| pair[0] < pair[1]), "{means:?}");
    // the form with a gap stands just before the border
    let short = LatentPositives::new(5).unwrap().with_reach(Reach::Short(0.01)).unwrap();
    let one = short.each(&keys, &prototypes, 5, 0).unwrap()[0][0];
    close("gap", &[one.t], &[(one.t_max - 0.01).max(0.0)], 1e-15);
}

#[test]
fn draws_depend_on_seed_and_step_alone_and_use_the_nearest_prototypes() {
    needs_f64!();
    let (keys, prototypes) = (units(4, 6, 41), units(12, 6, 42));
    let latent = maker(50, 0.8).with_nearest(3).unwrap();
    let draw = |seed, step| latent.each(&keys, &prototypes, seed, step).unwrap();
    assert_eq!(draw(1, 2), draw(1, 2));
    assert!(draw(1, 2) != draw(1, 3) && draw(1, 2) != draw(2, 2));
    for (i, list) in draw(1, 2).iter().enumerate() {
        let k = row(&keys, i);
        let mut order: Vec<usize> = (0..12).collect();
        let near = |j: &usize| dot(&k, &row(&prototypes, *j));
        order.sort_by(|a, b| near(b).total_cmp(&near(a)));
        assert!(list.iter().all(|one| order[1..4].contains(&one.target)));
    }
}

#[test]
fn what_latent_positives_refuse() {
    needs_f64!();
    let says = |text: String, want: &str| assert!(text.contains(want), "{text}");
    says(LatentPositives::new(0).unwrap_err().to_string(), "positives of each key 0");
    let latent = LatentPositives::new(4).unwrap();
    says(latent.with_reach(Reach::Uniform(1.5)).unwrap_err().to_string(), "reach of latent positives 1.5");
    says(latent.with_reach(Reach::Short(f64::NAN)).unwrap_err().to_string(), "NaN");
    says(latent.with_nearest(0).unwrap_err().to_string(), "prototypes that targets are drawn from 0");
    let (keys, prototypes) = (units(3, 4, 1), units(5, 4, 2));
    let single = units(1, 4, 2);
    says(latent.make(&keys, &single, 1, 1).unwrap_err().to_string(), "1 prototypes: at least 2");
    let long = keys.clone() * 1.1;
    says(latent.make(&long, &prototypes, 1, 1).unwrap_err().to_string(), "keys, row 0: length 1.1");
    says(latent.make(&keys, &(prototypes.clone() * f64::NAN), 1, 1).unwrap_err().to_string(), "prototypes, row 0");
    let made = latent.make(&keys, &prototypes, 1, 1).unwrap();
    says(latent.loss(keys, &made, 0.0).unwrap_err().to_string(), "temperature 0");
}
