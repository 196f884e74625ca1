//! Objectives that compare no pairs, or few, against the reference libraries' values, gradients and states, in f64 and f32.
//! With `--nocapture`, the largest error of each file by type.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use serde_json::Value;
use std::collections::BTreeMap;

/// Absolute and relative error allowed of a value.
type Bound = (f64, f64);

fn loss_bound(dtype: DType) -> Bound {
    if dtype == DType::F64 { (1e-12, 1e-10) } else { (1e-6, 1e-5) }
}

fn gradient_bound(dtype: DType) -> Bound {
    if dtype == DType::F64 { (1e-9, 1e-9) } else { (1e-5, 1e-4) }
}

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

/// A golden file's cases one by one, and the largest errors seen.
struct Golden {
    worst: BTreeMap<(String, &'static str), f64>,
    case: Value,
    dtype: DType,
}

impl Golden {
    /// Runs `test` on all cases whose name starts with `prefix`, in all types.
    fn each(file: &str, prefix: &str, mut test: impl FnMut(&mut Self)) {
        let Some(data) = golden(file) else { return };
        let mut worst = BTreeMap::new();
        let mut count = 0;
        for case in cases(&data).iter().filter(|c| c["name"].as_str().unwrap().starts_with(prefix)) {
            for dtype in types() {
                let mut golden = Self { worst, case: case.clone(), dtype };
                test(&mut golden);
                worst = golden.worst;
                count += 1;
            }
        }
        assert!(count > 0, "{file}: no case of {prefix:?}");
        for ((dtype, what), error) in worst {
            println!("{file} {prefix} {dtype}: largest error of {what} {error:.1e}");
        }
    }

    fn input(&self, name: &str) -> Tensor<2> {
        matrix(&self.case["inputs"][name], self.dtype)
    }

    fn vector(&self, name: &str) -> Tensor<1> {
        let values = numbers(&self.case["inputs"][name]);
        let n = values.len();
        tracked(values, [n], self.dtype)
    }

    fn number(&self, name: &str) -> f64 {
        self.case["params"][name].as_f64().unwrap_or_else(|| panic!("{} has no {name}", self.case))
    }

    fn close(&mut self, what: &'static str, got: &[f64], expected: &Value, (absolute, relative): Bound) {
        let expected = expected.as_f64().map_or_else(|| numbers(expected), |value| vec![value]);
        close(&format!("{} {:?} {what}", self.case["name"], self.dtype), got, &expected, absolute, relative);
        let error = got.iter().zip(&expected).fold(0f64, |worst, (g, e)| worst.max((g - e).abs() / e.abs().max(1.0)));
        let seen = self.worst.entry((format!("{:?}", self.dtype), what)).or_default();
        *seen = seen.max(error);
    }

    /// The loss and the gradients of the named inputs; an input without a gradient must have zeros in the file.
    fn check_at(&mut self, expected: &Value, loss: Tensor<1>, inputs: &[(&str, &Tensor<2>)]) {
        self.check_within(expected, loss, inputs, 1.0);
    }

    /// The same with bounds wider by a factor.
    fn check_within(&mut self, expected: &Value, loss: Tensor<1>, inputs: &[(&str, &Tensor<2>)], factor: f64) {
        let wider = |(absolute, relative)| (absolute * factor, relative * factor);
        self.close("loss", &values(&loss), &expected["loss"], wider(loss_bound(self.dtype)));
        assert_eq!(expected["grads"].as_object().unwrap().len(), inputs.len(), "inputs with a gradient");
        // an upstream factor other than 1
        let gradients = (loss * 3.0).backward();
        for (name, input) in inputs {
            let shape: usize = input.dims().iter().product();
            let got = input.grad(&gradients).map_or_else(|| vec![0.0; shape], |g| values(&(g * (1.0 / 3.0))));
            self.close("gradients", &got, &expected["grads"][name], wider(gradient_bound(self.dtype)));
        }
    }

    fn check(&mut self, loss: Tensor<1>, inputs: &[(&str, &Tensor<2>)]) {
        self.check_at(&self.case["expected"].clone(), loss, inputs);
    }
}

#[test]
fn golden_barlow_twins() {
    Golden::each("barlow_twins", "barlow", |g| {
        let (a, b) = (g.input("z0"), g.input("z1"));
        let mut objective = BarlowTwins::new(g.number("lambda")).unwrap().with_epsilon(g.number("eps")).unwrap();
        if let Some(scale) = g.case["params"]["scale_loss"].as_f64() {
            objective = objective.with_scale(scale).unwrap();
        }
        g.check(objective.loss(a.clone(), b.clone()), &[("z0", &a), ("z1", &b)]);
    });
}

#[test]
fn golden_vicreg() {
    for (prefix, form) in [("vicreg_lightly", Variance::Mean), ("vicreg_solo", Variance::Sum)] {
        Golden::each("vicreg", prefix, |g| {
            let (a, b) = (g.input("z0"), g.input("z1"));
            let objective = VicReg::new(g.number("lambda"), g.number("mu"), g.number("nu")).unwrap();
            let objective = objective.with_variance(form).with_epsilon(g.number("eps")).unwrap();
            g.check(objective.loss(a.clone(), b.clone()), &[("z0", &a), ("z1", &b)]);
        });
    }
}

#[test]
fn golden_simsiam_and_byol() {
    for (prefix, loss) in [("simsiam", simsiam as fn(_, _, _, _) -> _), ("byol", byol)] {
        Golden::each("simsiam_byol", prefix, |g| {
            let names = ["p0", "p1", "z0", "z1"];
            let [p0, p1, z0, z1] = names.map(|name| g.input(name));
            let loss: Tensor<1> = loss(p0.clone(), p1.clone(), z0.clone(), z1.clone());
            g.check(loss, &[("p0", &p0), ("p1", &p1), ("z0", &z0), ("z1", &z1)]);
        });
    }
}

#[test]
fn golden_dino() {
    Golden::each("dino", "dino", |g| {
        let dino = Dino::new(g.number("student_temp"), g.number("teacher_temp"), g.number("center_momentum")).unwrap();
        let steps = g.case["expected"]["steps"].as_array().unwrap().clone();
        let mut center = DinoCenter::zeros(g.input("teacher_0_0").dims()[1], &device(), g.dtype);
        for (step, expected) in steps.iter().enumerate() {
            let views = |side: &str, count: usize| -> Vec<Tensor<2>> {
                (0..count).map(|v| g.input(&format!("{side}_{step}_{v}"))).collect()
            };
            let (teacher, student) = (views("teacher", 2), views("student", 4));
            let names: Vec<String> = (0..4).map(|v| format!("student_{step}_{v}")).collect();
            let inputs: Vec<(&str, &Tensor<2>)> = names.iter().map(String::as_str).zip(&student).collect();
            let loss = dino.loss(&teacher, &student, &center);
            g.check_at(expected, loss, &inputs);
            // a saved and restored centre goes on as if nothing had happened
            let saved = dino.next_center(&center, &teacher).to_data();
            center = DinoCenter::from_data(saved, &device()).unwrap();
            g.close("centre", &values(&center.values()), &expected["center_after"], loss_bound(g.dtype));
        }
    });
}

#[test]
fn golden_sinkhorn_codes() {
    Golden::each("sinkhorn_codes", "sinkhorn", |g| {
        let sinkhorn = Sinkhorn::new(g.number("epsilon"), g.number("iterations") as usize).unwrap();
        for sinkhorn in [sinkhorn.clone(), sinkhorn.with_log_domain()] {
            let codes = sinkhorn.codes(g.input("scores"));
            let bound = if g.dtype == DType::F64 { (1e-12, 1e-10) } else { (1e-5, 1e-4) };
            g.close("codes", &values(&codes), &g.case["expected"]["codes"].clone(), bound);
        }
    });
}

#[test]
fn golden_optimal_transport() {
    Golden::each("optimal_transport", "ot", |g| {
        let sinkhorn = Sinkhorn::new(g.number("reg"), 5000).unwrap();
        let (bound, tolerance) = if g.dtype == DType::F64 { (1e-8, 1e-12) } else { (1e-5, 1e-6) };
        for sinkhorn in [sinkhorn.clone(), sinkhorn.with_log_domain()] {
            let (cost, a, b) = (g.input("cost"), g.vector("a"), g.vector("b"));
            let plan = sinkhorn.converged_plan(cost.clone(), a, b, tolerance).unwrap();
            let expected = g.case["expected"].clone();
            g.close("plan", &values(&plan), &expected["plan"], (bound, 0.0));
            let price = values(&(plan * cost.inner()).sum());
            g.close("cost", &price, &expected["cost_entropic_plan"], (bound, 0.0));
            assert!(price[0] >= expected["emd_cost"].as_f64().unwrap() - bound, "below the cost of the best plan");
        }
    });
}

#[test]
fn golden_swav() {
    Golden::each("swav", "swav", |g| {
        let sinkhorn = Sinkhorn::new(g.number("sinkhorn_epsilon"), g.number("sinkhorn_iterations") as usize).unwrap();
        for sinkhorn in [sinkhorn.clone(), sinkhorn.with_log_domain()] {
            let swav = SwAv::new(g.number("temperature"), sinkhorn).unwrap();
            let has = |name: &str| g.case["inputs"].get(name).is_some();
            let named = |names: [&'static str; 2]| -> Vec<(&str, Tensor<2>)> {
                names.into_iter().filter(|name| has(name)).map(|name| (name, g.input(name))).collect()
            };
            let (large, small, queues) =
                (named(["high0", "high1"]), named(["low0", "low1"]), named(["queue0", "queue1"]));
            let tensors = |named: &[(&str, Tensor<2>)]| named.iter().map(|(_, t)| t.clone()).collect::<Vec<_>>();
            let loss = match queues.is_empty() {
                true => swav.loss(&tensors(&large), &tensors(&small)),
                false => swav.loss_with_queues(&tensors(&large), &tensors(&small), &tensors(&queues)),
            };
            let inputs: Vec<(&str, &Tensor<2>)> = large.iter().chain(&small).map(|(name, t)| (*name, t)).collect();
            g.check(loss, &inputs);
        }
    });
}

#[test]
fn golden_align_uniform() {
    Golden::each("align_uniform", "alignment", |g| {
        let (x, y) = (g.input("x"), g.input("y"));
        let loss = Alignment::new(g.number("alpha")).unwrap().loss(x.clone(), y.clone());
        g.check(loss, &[("x", &x), ("y", &y)]);
    });
    for portable in [false, true] {
        let _bodies = contrastive_core::testing::portable(portable);
        Golden::each("align_uniform", "uniformity", |g| {
            let x = g.input("x");
            g.check(Uniformity::new(g.number("t")).unwrap().loss(x.clone()), &[("x", &x)]);
        });
        Golden::each("align_uniform", "hypersphere", |g| {
            let (x, y) = (g.input("x"), g.input("y"));
            let alignment = Alignment::new(g.number("alpha")).unwrap();
            let uniformity = Uniformity::new(g.number("t")).unwrap();
            let both = AlignmentUniformity::new(alignment, uniformity, g.number("lam")).unwrap();
            g.check(both.loss(x.clone(), y.clone()), &[("x", &x), ("y", &y)]);
        });
    }
}

/// The ratio of the largest and the smallest eigenvalue of the covariance.
fn condition(x: &Tensor<2>, epsilon: f64) -> f64 {
    let [n, d] = x.dims();
    let x = nalgebra::DMatrix::from_row_slice(n, d, &values(x));
    let x = nalgebra::DMatrix::from_fn(n, d, |i, k| x[(i, k)] - x.column(k).mean());
    let eigenvalues = (x.transpose() * x / (n as f64 - 1.0)).symmetric_eigenvalues().map(|w| w + epsilon);
    eigenvalues.max() / eigenvalues.min()
}

#[test]
fn golden_whitening() {
    let forms = [
        ("zca", WhiteningForm::Zca),
        ("shuffled_group_zca", WhiteningForm::Zca),
        ("cholesky", WhiteningForm::Cholesky),
    ];
    for (prefix, form) in forms {
        Golden::each("whitening", prefix, |g| {
            let x = g.input("x");
            let whitening = Whitening::new(form, g.number("eps")).unwrap();
            let whitened = match g.case["params"]["groups"].as_u64() {
                None => whitening.whiten(x.clone()),
                Some(groups) => {
                    let order = integers(&g.case["inputs"]["permutation"]).into_iter().map(|k| k as usize);
                    let whitening = whitening.with_groups(groups as usize).unwrap();
                    whitening.whiten_in_order(x.clone(), &order.collect::<Vec<_>>())
                }
            }
            .unwrap();
            let expected = g.case["expected"].clone();
            // the rounding of the covariance counts as many times over as its eigenvalues lie apart
            let factor = if g.dtype == DType::F64 { 1.0 } else { 1.0 + condition(&x, g.number("eps")) / 100.0 };
            let bound = if g.dtype == DType::F64 { (1e-10, 1e-10) } else { (1e-5 * factor, 1e-4) };
            g.close("output", &values(&whitened), &expected["output"], bound);
            g.check_within(&expected, (whitened * g.input("cotangent").inner()).sum(), &[("x", &x)], factor);
        });
    }
}

#[test]
fn golden_triplet() {
    let mined = [
        ("triplet_all", Mining::All),
        ("triplet_swap", Mining::All),
        ("triplet_smooth", Mining::All),
        ("triplet_miner_semihard", Mining::Semihard),
        ("triplet_miner_hard", Mining::Hard),
        ("triplet_miner_easy", Mining::Easy),
        ("triplet_miner_all", Mining::All),
        ("batch_hard", Mining::BatchHard),
        ("batch_easy_hard", Mining::BatchEasySemihard),
    ];
    for (prefix, mining) in mined {
        Golden::each("triplet", prefix, |g| {
            let x = g.input("embeddings");
            let labels = integers(&g.case["inputs"]["labels"]);
            let mut triplet = Triplet::new(g.number("margin")).unwrap().with_mining(mining).unwrap();
            let params = g.case["params"].clone();
            if params["swap"] == true {
                triplet = triplet.with_swap().unwrap();
            }
            if params["smooth_loss"] == true {
                triplet = triplet.with_smooth_hinge();
            }
            if params["reduction"] == "mean over all triplets" {
                triplet = triplet.with_mean_over_all();
            }
            g.check(triplet.loss(x.clone(), &labels), &[("embeddings", &x)]);
        });
    }
    Golden::each("triplet", "torch_triplet", |g| {
        let [a, p, n] = ["anchor", "positive", "negative"].map(|name| g.input(name));
        let swap = g.case["params"]["swap"].as_bool().unwrap();
        let loss = triplet_margin(a.clone(), p.clone(), n.clone(), g.number("margin"), swap).unwrap();
        g.check(loss, &[("anchor", &a), ("positive", &p), ("negative", &n)]);
    });
}
