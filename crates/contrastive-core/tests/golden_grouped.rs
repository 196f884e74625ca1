//! Objectives with groups of their own: golden values of the reference code, the checks of the methods' specifications, and
//! "a group axis is a loop over groups".

mod common;
#[macro_use]
#[path = "common/numeric.rs"]
mod numeric;

use burn::tensor::{DType, Tensor, TensorData};
use common::*;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use numeric::{gradients, same};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::sync::Arc;

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

fn wide() -> DType {
    types()[0]
}

fn random(count: usize, seed: u64) -> Vec<f64> {
    numeric::normal(&mut ChaCha8Rng::seed_from_u64(seed), count, 1)
}

fn shaped<const D: usize>(tensor: &Value, dtype: DType) -> Tensor<D> {
    let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).expect("a golden shape");
    tracked(numbers(tensor), shape.try_into().expect("as many axes"), dtype)
}

fn one(value: &Tensor<1>) -> f64 {
    values(value)[0]
}

/// The loss and the gradients of the named inputs, in all types, natively and portably.
fn golden_case<const D: usize>(file: &str, prefix: &str, loss: impl Fn(&Value, &[Tensor<D>], bool) -> Tensor<1>) {
    let Some(data) = golden(file) else { return };
    let mut count = 0;
    for case in cases(&data).iter().filter(|c| c["name"].as_str().unwrap().starts_with(prefix)) {
        let expected = &case["expected"];
        let names: Vec<&String> = expected["grads"].as_object().unwrap().keys().collect();
        for (dtype, portable) in types().into_iter().flat_map(|t| [(t, false), (t, true)]) {
            let what = format!("{} {dtype:?}, portable {portable}", case["name"]);
            let inputs: Vec<Tensor<D>> =
                names.iter().map(|name| shaped(&case["inputs"][name.as_str()], dtype)).collect();
            let value = loss(case, &inputs, portable);
            let (absolute, relative) = if dtype == DType::F64 { (1e-12, 1e-10) } else { (1e-6, 1e-5) };
            close(&what, &values(&value), &[expected["loss"].as_f64().unwrap()], absolute, relative);
            let all = (value * 3.0).backward();
            let (absolute, relative) = if dtype == DType::F64 { (1e-9, 1e-9) } else { (1e-5, 1e-4) };
            for (name, input) in names.iter().zip(&inputs) {
                let got = input
                    .grad(&all)
                    .map_or_else(|| vec![0.0; input.dims().iter().product()], |g| values(&(g * (1.0 / 3.0))));
                let want = numbers(&expected["grads"][name.as_str()]);
                close(&format!("{what}, gradient of {name}"), &got, &want, absolute, relative);
            }
            count += 1;
        }
    }
    assert!(count > 0, "{file}: no case of {prefix:?}");
}

// ---- the group axis ----

fn three(x: &Tensor<2>, groups: usize) -> Tensor<3> {
    let [rows, d] = x.dims();
    x.clone().reshape([groups, rows / groups, d])
}

fn group_of(x: &Tensor<2>, groups: usize, g: usize) -> Tensor<2> {
    let [rows, d] = x.dims();
    let n = rows / groups;
    x.clone().slice([g * n..(g + 1) * n, 0..d])
}

#[test]
fn a_group_axis_is_a_loop_over_groups() {
    needs_f64!();
    let (groups, n, m, d) = (5, 6, 9, 4);
    let tables = [random(groups * n * d, 1), random(groups * m * d, 2), random(groups * n * d, 3)];
    let lists = |g: usize| {
        // some anchors without a positive
        let offsets = (0..=n).map(|i| (i + 1) / 2).collect();
        Pairs::Lists(Arc::new(
            PairLists::new(offsets, (0..3).map(|q| ((g + q * q) % m) as u32).collect(), None).unwrap(),
        ))
    };
    let base = || PairObjective::new(0.3).unwrap();
    let weights = Arc::new((0..n).map(|i| 0.1 + i as f64).collect::<Vec<_>>());
    let labels = [0, 1, 0, 2, 1, 1];
    let cases: Vec<(&str, bool, Option<Vec<Pairs>>, PairObjective)> = vec![
        ("InfoNCE", false, None, base()),
        ("both directions", false, None, base().pairs(Pairs::Diagonal).direction(Direction::Both)),
        ("NT-Xent", true, None, base().pairs(Pairs::TwoViews)),
        ("inner products", true, None, base().pairs(Pairs::TwoViews).similarity(Similarity::Dot)),
        ("SupCon", true, None, base().pairs(Pairs::labels(&labels)).reduction(Reduction::MeanWithPositives)),
        ("own denominators", true, None, base().pairs(Pairs::labels(&labels)).denominator(Denominator::OwnPositive)),
        ("DCL", false, None, base().denominator(Denominator::NegativesOnly)),
        ("one other row", true, None, base().pairs(Pairs::labels(&[0; 6])).denominator(Denominator::NegativesOnly)),
        (
            "weighted rows",
            false,
            None,
            base().reduction(Reduction::Weighted(weights)).exclusions(Exclusions::own_row(2)),
        ),
        ("lists", false, Some((0..groups).map(lists).collect()), base().positive_weights(PositiveWeights::Sum)),
        (
            "lists inside",
            false,
            Some((0..groups).map(lists).collect()),
            base().placement(Placement::Inside).reduction(Reduction::MeanWithPositives),
        ),
        ("beside", false, None, base().pairs(Pairs::Beside)),
        ("beside, DCL", false, None, base().pairs(Pairs::Beside).denominator(Denominator::NegativesOnly)),
    ];
    for (name, itself, pairs, objective) in cases {
        let beside = name.starts_with("beside");
        let square = name == "both directions";
        let shares: Vec<f64> = (0..groups).map(|g| 0.3 + g as f64).collect();
        for weighted in [false, true] {
            let by_loop = gradients(&tables, d, |x| {
                let terms = (0..groups).map(|g| {
                    let own = group_of(&x[0], groups, g);
                    let mut inputs = match (itself, square) {
                        (true, _) => Inputs::within(own),
                        (false, true) => Inputs::new(own, group_of(&x[2], groups, g)),
                        (false, false) => Inputs::new(own, group_of(&x[1], groups, g)),
                    };
                    if beside {
                        inputs = inputs.with_paired(group_of(&x[2], groups, g));
                    }
                    let objective = match &pairs {
                        Some(pairs) => objective.clone().pairs(pairs[g].clone()),
                        None => objective.clone(),
                    };
                    objective.dense(&inputs) * if weighted { shares[g] } else { 1.0 / groups as f64 }
                });
                terms.reduce(|a, b| a + b).unwrap()
            });
            for portable in [false, true] {
                let mut grouped = Grouped::new(objective.clone()).portable(portable);
                if let Some(pairs) = &pairs {
                    grouped = grouped.with_pairs(pairs.clone());
                }
                if weighted {
                    grouped = grouped.with_weights(shares.clone());
                }
                let by_axis = gradients(&tables, d, |x| {
                    let other = if square { &x[2] } else { &x[1] };
                    let mut inputs = match itself {
                        true => GroupedInputs::within(three(&x[0], groups)),
                        false => GroupedInputs::new(three(&x[0], groups), three(other, groups)),
                    };
                    if beside {
                        inputs = inputs.with_paired(three(&x[2], groups));
                    }
                    grouped.loss(&inputs)
                });
                same(&format!("{name}, portable {portable}, weighted {weighted}"), by_axis, by_loop.clone(), 1e-11);
            }
        }
    }
}

#[test]
fn groups_share_a_learned_temperature() {
    needs_f64!();
    let (groups, n, d) = (4, 5, 3);
    let (a, b) = (random(groups * n * d, 1), random(groups * n * d, 2));
    let value = |portable: bool, log_scale: f64| {
        let scale = tracked(vec![log_scale], [1], DType::F64);
        let table = |x: &[f64]| Tensor::from_inner(tracked(x.to_vec(), [groups, n, d], DType::F64).inner());
        let inputs = GroupedInputs::new(table(&a), table(&b)).with_scale(scale.clone().exp());
        let loss = Grouped::new(PairObjective::with_input_scale()).portable(portable).loss(&inputs);
        let slope = scale.grad(&loss.backward()).map(|g| values(&g)[0]);
        (one(&loss), slope.expect("a gradient of the scale"))
    };
    for portable in [false, true] {
        let h = 1e-5;
        let difference = (value(portable, 0.7 + h).0 - value(portable, 0.7 - h).0) / (2.0 * h);
        close("scale", &[value(portable, 0.7).1], &[difference], 1e-8, 0.0);
    }
    close("bodies", &[value(false, 0.7).0], &[value(true, 0.7).0], 1e-12, 0.0);
}

#[test]
fn groups_over_several_blocks_and_types() {
    // 3 blocks of groups portably, and f32 against f64
    let (groups, n, d) = (2100, 64, 3);
    let data = random(groups * n * d, 3);
    let objective = PairObjective::new(0.5).unwrap().pairs(Pairs::TwoViews);
    let run = |dtype: DType, portable: bool| {
        let x = tracked(data.clone(), [groups, n, d], dtype);
        let loss = Grouped::new(objective.clone()).portable(portable).loss(&GroupedInputs::within(x.clone()));
        let value = one(&loss);
        let scaled = loss * (groups * n) as f64;
        (value, values(&x.grad(&scaled.backward()).unwrap()))
    };
    let (value, slopes) = run(wide(), false);
    for (dtype, portable) in [(wide(), true), (DType::F32, false), (DType::F32, true)] {
        let (v, s) = run(dtype, portable);
        let tolerance = if dtype == DType::F64 { 1e-11 } else { 2e-4 };
        close(&format!("{dtype:?} {portable}"), &[v], &[value], tolerance, 0.0);
        close(&format!("{dtype:?} {portable} gradients"), &s, &slopes, tolerance, tolerance);
    }
}

// ---- TS2Vec ----

fn part(kind: &str, case: &Value, z: &[Tensor<3>], portable: bool) -> Tensor<1> {
    let number = |name: &str| case["params"][name].as_f64();
    let unit = number("temporal_unit").unwrap_or(0.0) as usize;
    let objective = Ts2Vec::new(number("alpha").unwrap_or(0.5), unit).unwrap().portable(portable);
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
    let nt_xent = PairObjective::new(1.0).unwrap().pairs(Pairs::TwoViews).similarity(Similarity::Dot);
    let rows = Tensor::cat(vec![a.clone().reshape([6, 4]), b.clone().reshape([6, 4])], 0);
    let want = values(&nt_xent.dense(&Inputs::within(rows)));
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
        let objective = Ts2Vec::new(instance, unit).unwrap().portable(portable);
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
    let nt_xent = PairObjective::new(1.0).unwrap().pairs(Pairs::TwoViews).similarity(Similarity::Dot);
    let halves = data.clone().map(|x| tracked(x, [b * t, d], wide()));
    let dense = (0..b).map(|g| {
        let rows = Tensor::cat(halves.iter().map(|x| group_of(x, b, g)).collect(), 0);
        nt_xent.dense(&Inputs::within(rows)) * (1.0 / b as f64)
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

// ---- GroCo ----

#[test]
fn golden_groco() {
    golden_case("groco", "groco", |case, z: &[Tensor<2>], portable| {
        let number = |name: &str| case["params"][name].as_f64().unwrap();
        let groco = GroCo::new(number("topk_neg") as usize).unwrap().with_steepness(number("steepness")).unwrap();
        let stop = case["params"]["stop_grad"].as_bool().unwrap();
        groco.with_stop_gradient(stop).portable(portable).loss(z, z.len())
    });
}

/// `sin(0.7 i + 1.3 j + 0.2 i j + phase)`, rows of length 1: the common inputs of the specifications.
fn sine_rows(n: usize, d: usize, phase: f64) -> Vec<f64> {
    let raw: Vec<f64> = (0..n * d)
        .map(|at| ((at / d) as f64, (at % d) as f64))
        .map(|(i, j)| (0.7 * i + 1.3 * j + 0.2 * i * j + phase).sin())
        .collect();
    let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    raw.chunks(d).flat_map(|row| row.iter().map(move |v| v / length(row))).collect()
}

fn sines(n: usize, d: usize, phase: f64) -> Tensor<2> {
    tracked(sine_rows(n, d, phase), [n, d], wide())
}

#[test]
fn groco_numbers_of_the_specification() {
    let bound = if has_f64() { 1e-8 } else { 1e-5 };
    for (k, beta, want) in [(3, 1.0, 0.359497276), (1, 1.0, 0.536081832), (3, 10.0, 0.127634584)] {
        let groco = GroCo::new(k).unwrap().with_steepness(beta).unwrap();
        let views = [sines(4, 3, 0.0), sines(4, 3, 0.35)];
        close(&format!("{k} {beta}"), &values(&groco.loss(&views, 2)), &[want], bound, 0.0);
    }
}

#[test]
fn groco_by_the_definition_and_its_invariances() {
    let (b, d, k) = (7, 4, 3);
    let views: Vec<Vec<f64>> = (0..4).map(|seed| random(b * d, seed + 10)).collect();
    let groco = GroCo::new(k).unwrap().with_steepness(2.0).unwrap();
    let loss = |views: &[Vec<f64>], positives: usize| {
        let tensors: Vec<Tensor<2>> = views.iter().map(|v| tracked(v.clone(), [b, d], wide())).collect();
        one(&groco.loss(&tensors, positives))
    };
    // the definition in loops, with the matrix of the network
    let cosine = |x: &[f64], i: usize, y: &[f64], j: usize| {
        let (p, q) = (&x[i * d..(i + 1) * d], &y[j * d..(j + 1) * d]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(p, q) / (dot(p, p) * dot(q, q)).sqrt()
    };
    for positives in [2, 4] {
        let mut total = 0.0;
        for a in 0..4 {
            for i in 0..b {
                let others = (0..b).filter(|j| *j != i);
                let mut negative: Vec<f64> = others.map(|j| cosine(&views[a], i, &views[a], j)).collect();
                negative.sort_by(f64::total_cmp);
                let kept = &negative[negative.len() - k..];
                let own = (0..positives).filter(|v| *v != a);
                let mut positive: Vec<f64> = own.map(|v| cosine(&views[a], i, &views[v], i)).collect();
                positive.sort_by(f64::total_cmp);
                let mut x = [kept, &positive].concat();
                let n = x.len();
                let mut p: Vec<Vec<f64>> =
                    (0..n).map(|i| (0..n).map(|r| f64::from(u8::from(i == r))).collect()).collect();
                for layer in 0..n {
                    for at in (layer % 2..n - 1).step_by(2) {
                        let w = 0.5 + (2.0 * (x[at + 1] - x[at])).atan() / std::f64::consts::PI;
                        let mix = |s: f64, t: f64| (w * s + (1.0 - w) * t, (1.0 - w) * s + w * t);
                        (x[at], x[at + 1]) = mix(x[at], x[at + 1]);
                        p.iter_mut().for_each(|row| (row[at], row[at + 1]) = mix(row[at], row[at + 1]));
                    }
                }
                let upper = |i: usize| p[i][k..].iter().sum::<f64>();
                let cost = |i: usize| -(if i < k { 1.0 - upper(i) } else { upper(i) }).ln();
                total += (0..n).map(cost).sum::<f64>() / n as f64;
            }
        }
        let bound = if has_f64() { 1e-11 } else { 1e-4 };
        close("definition", &[loss(&views, positives)], &[total / (4 * b) as f64], bound, 0.0);
        // another order of the images, of the views that give positives, other lengths of the rows: the same
        let turned: Vec<Vec<f64>> = views
            .iter()
            .map(|v| (0..b).flat_map(|i| v[(i * 3 + 1) % b * d..][..d].to_vec()).map(|x| x * 7.0).collect())
            .collect();
        let mut swapped = turned.clone();
        swapped.swap(0, 1);
        for other in [turned, swapped] {
            close("order", &[loss(&other, positives)], &[loss(&views, positives)], bound, 0.0);
        }
    }
}

#[test]
fn groco_gradients() {
    needs_f64!();
    let (b, d) = (6, 4);
    let tables = [random(b * d, 1), random(b * d, 2), random(b * d, 3)];
    for (stop, portable) in [(true, false), (true, true), (false, false), (false, true)] {
        let groco = GroCo::new(3).unwrap().with_steepness(3.0).unwrap().with_stop_gradient(stop).portable(portable);
        let whole = gradients(&tables, d, |x| groco.loss(x, 2));
        if !stop {
            // of all inputs together
            numeric::differences("GroCo", &tables, d, 3, |x| groco.loss(x, 2));
            continue;
        }
        // a view that gives no positives is an anchor and its own negatives: by stopping, half of that is not differentiated
        let free = GroCo::new(3).unwrap().with_steepness(3.0).unwrap().with_stop_gradient(false);
        let other = gradients(&tables, d, |x| free.loss(x, 2));
        close("value", &[whole.0], &[other.0], 1e-13, 0.0);
        assert!(whole.1[2].iter().zip(&other.1[2]).any(|(a, b)| (a - b).abs() > 1e-4));
    }
    // with one negative and one positive the anchor's gradient is that of the closed form, everything else held
    let (b, d) = (2, 3);
    let [x, y] = [random(b * d, 7), random(b * d, 8)];
    let stopped = GroCo::new(1).unwrap();
    let (_, exact) = gradients(&[x.clone(), y.clone()], d, |t| stopped.loss(t, 2));
    let unit = |row: &[f64]| {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter().map(|v| v / length).collect::<Vec<_>>()
    };
    let cosine = |a: &[f64], b: &[f64]| unit(a).iter().zip(unit(b)).map(|(a, b)| a * b).sum::<f64>();
    for at in 0..b * d {
        let i = at / d;
        let value = |h: f64| {
            let mut anchor = x[i * d..(i + 1) * d].to_vec();
            anchor[at % d] += h;
            let s = cosine(&anchor, &x[(1 - i) * d..(2 - i) * d]);
            let p = cosine(&anchor, &y[i * d..(i + 1) * d]);
            -(0.5 + (p - s).atan() / std::f64::consts::PI).ln() / 4.0
        };
        let difference = (value(1e-6) - value(-1e-6)) / 2e-6;
        close("closed form", &[exact[0][at]], &[difference], 1e-8, 0.0);
    }
}

#[test]
fn groco_refuses() {
    assert!(GroCo::new(0).unwrap_err().to_string().contains("hard negatives 0"));
    for beta in [0.0, -1.0, f64::NAN] {
        assert!(GroCo::new(1).unwrap().with_steepness(beta).unwrap_err().to_string().contains("steepness"));
    }
    let groco = GroCo::new(5).unwrap();
    assert!(groco.validate(6, 2, 2).is_ok());
    for ([images, views, positives], part) in [
        ([5, 2, 2], "hard negatives 5"),
        ([1, 2, 2], "images of a view 1"),
        ([9, 1, 1], "views 1"),
        ([9, 3, 0], "views that give positives 0"),
        ([9, 3, 1], "views that give positives 1"),
        ([9, 3, 4], "views that give positives 4"),
    ] {
        let error = groco.validate(images, views, positives).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

// ---- PixPro ----

fn crops(tensor: &Value) -> Vec<CropBox> {
    numbers(tensor).chunks(4).map(|c| CropBox::new([c[0], c[1], c[2], c[3]]).unwrap()).collect()
}

#[test]
fn golden_pixpro() {
    golden_case("pixpro", "pixpro", |case, maps: &[Tensor<4>], _| {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let objective = PixPro::new(params["pos_ratio"].as_f64().unwrap()).unwrap();
        let boxes = ["coord_q", "coord_k"].map(|name| crops(&inputs[name]));
        // names in order: k, q; the released code takes every direction twice
        objective.loss(maps[1].clone(), maps[0].clone(), &boxes[0], &boxes[1]) * 2.0
    });
}

fn crop(corners: [f64; 4]) -> CropBox {
    CropBox::new(corners).unwrap()
}

fn counts(lists: &PairLists) -> Vec<usize> {
    (0..lists.anchors()).map(|i| lists.of(i).len()).collect()
}

#[test]
fn cells_that_see_the_same_place() {
    let (whole, middle) = (crop([0.0, 0.0, 1.0, 1.0]), crop([0.25, 0.25, 0.75, 0.75]));
    let near = |a: CropBox, b: CropBox, shape: [usize; 2]| same_place(a, b, shape, 0.7).unwrap();
    let want = [0, 2, 2, 0, 2, 8, 8, 2, 2, 8, 8, 2, 0, 2, 2, 0];
    assert_eq!(counts(&near(whole, middle, [4, 4])), want);
    let flipped = near(whole, crop([0.75, 0.25, 0.25, 0.75]), [4, 4]);
    assert_eq!(counts(&flipped), want);
    let same = near(whole, whole, [4, 4]);
    assert!((0..16).all(|i| same.of(i) == [i as u32]));
    assert_eq!(counts(&near(whole, crop([2.0, 2.0, 3.0, 3.0]), [4, 4])), [0; 16]);
    // the other way round is the transpose; moved or scaled together, nothing changes; maps that are not square
    let shape = [3, 5];
    let (a, b) = (crop([0.1, 0.0, 0.7, 0.9]), crop([0.9, 0.2, 0.3, 0.8]));
    let (forward, back) = (near(a, b, shape), near(b, a, shape));
    assert!(counts(&forward).iter().sum::<usize>() > 15);
    for i in 0..15 {
        for j in 0..15 {
            assert_eq!(forward.of(i).contains(&j), back.of(j as usize).contains(&(i as u32)));
        }
    }
    let moved = |[x0, y0, x1, y1]: [f64; 4]| crop([x0 * 3.0 + 0.5, y0 * 3.0 - 2.0, x1 * 3.0 + 0.5, y1 * 3.0 - 2.0]);
    assert_eq!(near(moved([0.1, 0.0, 0.7, 0.9]), moved([0.9, 0.2, 0.3, 0.8]), shape), forward);
    // both flipped: the cells of a row in the other order, on both sides
    let both = near(crop([0.7, 0.0, 0.1, 0.9]), crop([0.3, 0.2, 0.9, 0.8]), shape);
    let mirror = |cell: usize| cell / 5 * 5 + 4 - cell % 5;
    for i in 0..15 {
        let mut want: Vec<u32> = forward.of(i).iter().map(|&j| mirror(j as usize) as u32).collect();
        want.sort_unstable();
        assert_eq!(both.of(mirror(i)), want);
    }
    // rows are v and columns u: a crop of the left edge meets the left column of a map that is not square
    let left = near(crop([0.0, 0.0, 1.0, 1.0]), crop([0.0, 0.0, 0.05, 1.0]), [2, 4]);
    assert!(counts(&left)[0] > 0 && counts(&left)[4] > 0 && counts(&left)[3] == 0 && counts(&left)[7] == 0);
}

/// `[1, 3, 4, 4]` whose 16 cells are the rows of the specifications' common input.
fn sine_map(phase: f64) -> Tensor<4> {
    let rows = sine_rows(16, 3, phase);
    let data = (0..48).map(|at| rows[at % 16 * 3 + at / 16]).collect();
    tracked(data, [1, 3, 4, 4], wide())
}

#[test]
fn pixpro_numbers_of_the_specification() {
    let (first, second) = ([crop([0.0, 0.0, 1.0, 1.0])], [crop([0.25, 0.25, 0.75, 0.75])]);
    let bound = if has_f64() { 1e-8 } else { 1e-5 };
    let (x, other) = (sine_map(0.0), sine_map(0.35));
    let y = propagate(x.clone(), x.clone(), 2.0).unwrap();
    let loss = PixPro::new(0.7).unwrap().loss(y, other.clone(), &first, &second);
    close("PixPro", &values(&loss), &[-0.088298936], bound, 0.0);
    let contrast = PixContrast::new(0.3, 0.7).unwrap().loss(x, other, &first, &second);
    close("PixContrast", &values(&contrast), &[1.043155591], bound, 0.0);
}

#[test]
fn propagation_at_its_ends() {
    let bound = if has_f64() { 1e-9 } else { 1e-5 };
    let x = tracked(random(2 * 4 * 6, 1), [2, 4, 2, 3], wide());
    let unit = |x: Tensor<4>| x.clone() / (x.clone() * x).sum_dim(1).sqrt();
    // sharp: every cell itself
    let sharp = propagate(x.clone(), x.clone(), 4000.0).unwrap();
    close("sharp", &values(&sharp), &values(&unit(x.clone())), 1e-4, 0.0);
    // blunt: the mean over all cells
    let blunt = propagate(x.clone(), x.clone(), 0.0).unwrap();
    let cells: Tensor<4> = unit(x.clone()).reshape([2, 4, 1, 6]).sum_dim(3);
    let mean = unit(cells).repeat_dim(3, 3).repeat_dim(2, 2);
    close("blunt", &values(&blunt), &values(&mean), bound, 0.0);
    // all cells equal: agreement everywhere
    let equal = tracked(vec![0.3; 2 * 4 * 6], [2, 4, 2, 3], wide());
    let boxes = [crop([0.0, 0.0, 1.0, 1.0]), crop([0.0, 0.5, 1.0, 1.0])];
    let y = propagate(equal.clone(), equal.clone(), 2.0).unwrap();
    // the count of pairs is 1e-6 too large
    close("equal", &values(&PixPro::new(0.7).unwrap().loss(y, equal, &boxes, &boxes)), &[-1.0], bound + 1e-6, 0.0);
    assert!(propagate(x.clone(), x, -1.0).unwrap_err().to_string().contains("sharpness"));
}

#[test]
fn images_whose_crops_do_not_meet() {
    let shape = [2, 3, 2, 2];
    let map = |seed: u64| tracked(random(24, seed), shape, wide());
    let (here, there) = (crop([0.0, 0.0, 1.0, 1.0]), crop([5.0, 5.0, 6.0, 6.0]));
    let (pixpro, contrast) = (PixPro::new(0.7).unwrap(), PixContrast::new(0.3, 0.7).unwrap());
    type Loss<'a> = &'a dyn Fn(Tensor<4>, Tensor<4>, &[CropBox], &[CropBox]) -> Tensor<1>;
    let losses: [Loss; 2] = [&|a, b, p, q| pixpro.loss(a, b, p, q), &|a, b, p, q| contrast.loss(a, b, p, q)];
    for loss in losses {
        let (a, b) = (map(1), map(2));
        let nothing = loss(a.clone(), b.clone(), &[here; 2], &[there; 2]);
        assert_eq!(one(&nothing), 0.0);
        let g = nothing.backward();
        assert_eq!(values(&a.grad(&g).unwrap()), vec![0.0; 24]);
        // one of two images: half of what it is alone
        let first = |x: &Tensor<4>| x.clone().slice([0..1, 0..3, 0..2, 0..2]);
        let alone = one(&loss(first(&a), first(&b), &[here], &[here]));
        let half = one(&loss(a.clone(), b.clone(), &[here, here], &[here, there]));
        close("half", &[half], &[alone / 2.0], 1e-6, 0.0);
        assert!(alone.abs() > 1e-3);
    }
}

#[test]
fn pixpro_by_differences_and_constant_keys() {
    needs_f64!();
    let shape = [2, 4, 2, 3];
    let first = [crop([0.0, 0.0, 0.8, 0.9]), crop([0.5, 0.1, 0.1, 0.6])];
    let second = [crop([0.1, 0.2, 1.0, 1.0]), crop([0.0, 0.0, 0.7, 0.5])];
    let (pixpro, contrast) = (PixPro::new(0.9).unwrap(), PixContrast::new(0.3, 0.9).unwrap());
    let map = |x: &Tensor<2>| -> Tensor<4> { x.clone().reshape(shape) };
    let tables = [random(48, 1), random(48, 2)];
    for sharpness in [0.5, 1.0, 2.0, 3.0] {
        numeric::differences("PixPro", &tables, 4, 2, |x| {
            let y = propagate(map(&x[0]), map(&x[0]).tanh(), sharpness).unwrap();
            pixpro.loss(y, map(&x[1]), &first, &second)
        });
    }
    numeric::differences("PixContrast", &tables, 4, 2, |x| contrast.loss(map(&x[0]), map(&x[1]), &first, &second));
    let (_, detached) = gradients(&tables, 4, |x| pixpro.loss(map(&x[0]), map(&x[1]).detach(), &first, &second));
    assert!(detached[0].iter().any(|g| g.abs() > 1e-3) && detached[1].iter().all(|g| *g == 0.0));
}

#[test]
fn pixpro_refuses() {
    for corners in [[0.0, 0.0, f64::NAN, 1.0], [0.0, f64::INFINITY, 1.0, 1.0]] {
        assert!(CropBox::new(corners).unwrap_err().to_string().contains("corner of a crop"));
    }
    assert!(CropBox::new([0.0, 0.3, 1.0, 0.3]).unwrap_err().to_string().contains("area of a crop 0"));
    for threshold in [0.0, -1.0, f64::NAN] {
        assert!(PixPro::new(threshold).unwrap_err().to_string().contains("distance threshold"));
        assert!(PixContrast::new(0.3, threshold).is_err());
        let whole = crop([0.0, 0.0, 1.0, 1.0]);
        assert!(same_place(whole, whole, [2, 2], threshold).is_err());
    }
    assert!(PixContrast::new(0.0, 0.7).unwrap_err().to_string().contains("temperature 0"));
}

// ---- codes ----

#[test]
fn codes_in_place_are_those_of_tensor_operations() {
    let (n, k) = (50, 7);
    for dtype in types() {
        let scores = || {
            Tensor::<2>::from_data(TensorData::new(random(n * k, 1), [n, k]).convert_dtype(dtype), (&device(), dtype))
        };
        for sinkhorn in [Sinkhorn::new(0.2, 3).unwrap(), Sinkhorn::new(0.2, 3).unwrap().in_log_domain()] {
            let (native, portable) = (sinkhorn.codes(scores()), sinkhorn.clone().portable(true).codes(scores()));
            let bound = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
            close("codes", &values(&native), &values(&portable), bound, bound);
        }
    }
}

#[test]
fn codes_of_the_swav_specification() {
    let prototypes = sines(3, 3, 0.9).inner();
    let scores = |phase: f64| sines(4, 3, phase).inner().matmul(prototypes.clone().transpose());
    let codes = |phase: f64, epsilon: f64| values(&Sinkhorn::new(epsilon, 3).unwrap().codes(scores(phase)));
    let want =
        [0.999999, 0.000001, 0.0, 0.980526, 0.019474, 0.0, 0.000876, 0.990776, 0.008348, 0.0, 0.002859, 0.997141];
    close("first view", &codes(0.0, 0.05), &want, 1e-5, 0.0);
    close("second view", &codes(0.35, 0.05)[3..6], &[0.522843, 0.477115, 0.000042], 1e-5, 0.0);
    close("blunt", &codes(0.0, 0.5)[..3], &[0.679151, 0.208350, 0.112499], 1e-5, 0.0);
    let sums: Vec<f64> = (0..3).map(|k| codes(0.0, 0.05).iter().skip(k).step_by(3).sum()).collect();
    close("columns", &sums, &[1.981, 1.013, 1.005], 1e-3, 0.0);
    let swav = SwAv::new(0.1, Sinkhorn::new(0.05, 3).unwrap()).unwrap();
    close("loss", &values(&swav.loss(&[scores(0.0), scores(0.35)], &[])), &[0.397701506], 1e-5, 0.0);
}
