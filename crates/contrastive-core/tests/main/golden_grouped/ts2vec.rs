//! TS2Vec.

use crate::golden_grouped::*;

fn part(kind: &str, case: &Value, z: &[Tensor<3>], portable: bool) -> Tensor<1> {
    let _bodies = contrastive_core::testing::portable(portable);
    let number = |name: &str| case["params"][name].as_f64();
    let unit = number("temporal_unit").unwrap_or(0.0) as usize;
    let objective = Ts2Vec::new(number("alpha").unwrap_or(0.5), unit).unwrap();
    let (a, b) = (z[0].clone(), z[1].clone());
    match kind {
        "hierarchical" => objective.loss(a, b),
        "instance" => objective.instance_loss(a, b),
        _ => objective.temporal_loss(a, b),
    }
}

#[test]
fn golden_ts2vec() {
    for kind in ["hierarchical", "instance", "temporal"] {
        golden_case("ts2vec", kind, |case, z: &[Tensor<3>], portable| part(kind, case, z, portable));
    }
}

fn series(f: impl Fn(f64, f64, f64) -> f64, [b, t, c]: [usize; 3]) -> Vec<f64> {
    (0..b * t * c).map(|at| f((at / (t * c)) as f64, (at / c % t) as f64, (at % c) as f64)).collect()
}

#[test]
fn ts2vec_numbers_of_the_specification() {
    let shape = [2, 4, 3];
    let z1 = || tracked(series(|b, t, c| (1.0 + b + 2.0 * t + 3.0 * c).sin(), shape), shape, wide());
    let z2 = || tracked(series(|b, t, c| (1.0 + 2.0 * b + t + 2.0 * c).cos(), shape), shape, wide());
    let objective = Ts2Vec::default();
    let bound = if has_f64() { 1e-9 } else { 1e-5 };
    close("instance", &values(&objective.instance_loss(z1(), z2())), &[1.1932778956], bound, 0.0);
    close("temporal", &values(&objective.temporal_loss(z1(), z2())), &[1.9573622233], bound, 0.0);
    close("all scales", &values(&objective.loss(z1(), z2())), &[1.0365921845], bound, 0.0);
}

#[test]
fn ts2vec_at_its_ends() {
    let objective = Ts2Vec::default();
    let z = |seed: u64, shape: [usize; 3]| tracked(random(shape.iter().product(), seed), shape, wide());
    let bound = if has_f64() { 1e-12 } else { 1e-5 };
    // a single step, a single instance: nothing to tell apart
    assert_eq!(one(&objective.temporal_loss(z(1, [3, 1, 4]), z(2, [3, 1, 4]))), 0.0);
    assert_eq!(one(&objective.instance_loss(z(1, [1, 5, 4]), z(2, [1, 5, 4]))), 0.0);
    let (a, b) = (z(1, [1, 1, 4]), z(2, [1, 1, 4]));
    let loss = objective.loss(a.clone(), b);
    assert_eq!(one(&loss), 0.0);
    assert_eq!(values(&a.grad(&loss.backward()).unwrap()), vec![0.0; 4]);
    // all rows equal: the logarithm of the number of candidates
    let equal = || tracked(vec![0.4; 3 * 5 * 2], [3, 5, 2], wide());
    close("equal steps", &values(&objective.temporal_loss(equal(), equal())), &[9f64.ln()], bound, 0.0);
    close("equal instances", &values(&objective.instance_loss(equal(), equal())), &[5f64.ln()], bound, 0.0);
    // a single step is NT-Xent of inner products
    let (a, b) = (z(3, [6, 1, 4]), z(4, [6, 1, 4]));
    let nt_xent = PairObjective::new(1.0).unwrap().with_pairs(Pairs::TwoViews).with_similarity(Similarity::Dot);
    let rows = Tensor::cat(vec![a.clone().reshape([6, 4]), b.clone().reshape([6, 4])], 0);
    let want = values(&nt_xent.dense(&Inputs::self_contrast(rows)));
    close("NT-Xent", &values(&objective.instance_loss(a, b)), &want, bound, 0.0);
    // another order of the instances changes nothing; of the steps only with the hierarchy
    let shape = [4, 6, 3];
    let (a, b) = (z(5, shape), z(6, shape));
    let moved = |x: &Tensor<3>, dim: usize, order: &[usize]| {
        let parts = order.iter().map(|&k| x.clone().narrow(dim, k, 1)).collect();
        Tensor::cat(parts, dim)
    };
    let turned = |dim: usize, order: &[usize]| [&a, &b].map(|x| moved(x, dim, order));
    let [c, d] = turned(0, &[2, 0, 3, 1]);
    let plain = one(&objective.loss(a.clone(), b.clone()));
    close("instances", &values(&objective.loss(c, d)), &[plain], bound, 0.0);
    let [c, d] = turned(1, &[3, 1, 5, 0, 2, 4]);
    for loss in [Ts2Vec::instance_loss, Ts2Vec::temporal_loss] {
        let want = values(&loss(&objective, a.clone(), b.clone()));
        close("steps of one scale", &values(&loss(&objective, c.clone(), d.clone())), &want, bound, 0.0);
    }
    assert!((one(&objective.loss(c, d)) - plain).abs() > 1e-3);
    assert!(Ts2Vec::new(1.5, 0).unwrap_err().to_string().contains("[0, 1]"));
}

#[test]
fn ts2vec_by_differences() {
    needs_f64!();
    for (instance, unit, portable) in [(0.5, 0, false), (0.3, 1, true), (1.0, 0, false), (0.0, 0, true)] {
        let _bodies = contrastive_core::testing::portable(portable);
        let objective = Ts2Vec::new(instance, unit).unwrap();
        let tables = [random(3 * 7 * 4, 1), random(3 * 7 * 4, 2)];
        numeric::differences("TS2Vec", &tables, 4, 2, |x| objective.loss(three(&x[0], 3), three(&x[1], 3)));
    }
}

#[test]
fn long_series_are_the_definition() {
    // 2 x 700 steps: many stripes of the engine; by the dense definition, and in another type
    let (b, t, d) = (2, 700, 4);
    let data = [random(b * t * d, 1), random(b * t * d, 2)];
    let run = |dtype: DType| {
        let z = data.clone().map(|x| tracked(x, [b, t, d], dtype));
        let loss = Ts2Vec::default().temporal_loss(z[0].clone(), z[1].clone());
        let value = one(&loss);
        (value, values(&z[0].grad(&(loss * (b * t) as f64).backward()).unwrap()))
    };
    let (value, slopes) = run(wide());
    let nt_xent = PairObjective::new(1.0).unwrap().with_pairs(Pairs::TwoViews).with_similarity(Similarity::Dot);
    let halves = data.clone().map(|x| tracked(x, [b * t, d], wide()));
    let dense = (0..b).map(|g| {
        let rows = Tensor::cat(halves.iter().map(|x| group_of(x, b, g)).collect(), 0);
        nt_xent.dense(&Inputs::self_contrast(rows)) * (1.0 / b as f64)
    });
    let dense = dense.reduce(|a, b| a + b).unwrap();
    let bound = if has_f64() { 1e-11 } else { 1e-4 };
    close("value", &[value], &values(&dense), bound, 0.0);
    let want = values(&halves[0].grad(&(dense * (b * t) as f64).backward()).unwrap());
    close("gradients", &slopes, &want, bound * 10.0, bound);
    let (narrow, narrow_slopes) = run(DType::F32);
    close("f32", &[narrow], &[value], 1e-5, 1e-5);
    close("f32 gradients", &narrow_slopes, &slopes, 1e-3, 1e-3);
}
