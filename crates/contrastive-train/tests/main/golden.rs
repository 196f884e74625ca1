//! Optimisers, clipping, averages and schedules against torch, lightly, apex and transformers.

use crate::golden_values::{cases, close, computed_in, golden, numbers};
use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_train::*;
use serde_json::Value;
use std::collections::BTreeMap;

/// Parameters by the names of a golden case.
#[derive(Module, Debug)]
struct Named {
    matrix: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

fn tensor<const D: usize>(value: &Value, dtype: DType) -> Tensor<D> {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    Tensor::from_data(TensorData::new(numbers(value), shape), (&Device::default(), dtype))
}

fn tracked<const D: usize>(value: &Value, dtype: DType) -> Param<Tensor<D>> {
    Param::from_tensor(tensor::<D>(value, dtype).autodiff())
}

fn host(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// What the parameters of a case say.
fn optimiser(case: &Value) -> OptimiserConfig {
    let (name, p) = (case["name"].as_str().unwrap(), &case["params"]);
    let number = |key: &str| p[key].as_f64().unwrap_or(0.0);
    let decay = p["weight_decay"]["matrix"].as_f64().unwrap_or(number("weight_decay"));
    let sgd = SgdConfig {
        momentum: number("momentum"),
        dampening: number("dampening"),
        nesterov: p["nesterov"].as_bool().unwrap_or(false),
        weight_decay: decay,
    };
    let beta = |at: usize| p["betas"][at].as_f64().unwrap();
    let trust = |form| TrustRatio { coefficient: number("trust_coefficient"), epsilon: number("eps"), form };
    match name.split('_').next().unwrap() {
        "sgd" => OptimiserConfig::Sgd(sgd),
        "adam" => {
            OptimiserConfig::Adam { beta_1: beta(0), beta_2: beta(1), epsilon: number("eps"), weight_decay: decay }
        }
        "adamw" => {
            OptimiserConfig::AdamW { beta_1: beta(0), beta_2: beta(1), epsilon: number("eps"), weight_decay: decay }
        }
        "lars" => OptimiserConfig::Layerwise { sgd, trust: trust(TrustForm::Lars) },
        "larc" if p["clip"].as_bool().unwrap() => OptimiserConfig::Layerwise { sgd, trust: trust(TrustForm::LarcClip) },
        "larc" => OptimiserConfig::Layerwise { sgd, trust: trust(TrustForm::LarcScale) },
        other => panic!("no optimiser {other:?}"),
    }
}

/// The names of buffers in the golden file and here.
const BUFFERS: [(&str, &str); 3] = [("momentum_buffer", "velocity"), ("exp_avg", "m"), ("exp_avg_sq", "v")];

#[test]
fn golden_optimisers() {
    let Some(file) = golden("optimisers") else { return };
    for (dtype, bytes, tolerance) in [(DType::F64, 8, 1e-12), (DType::F32, 4, 1e-5)] {
        computed_in(bytes);
        for case in cases(&file) {
            let (name, inputs, p) = (case["name"].as_str().unwrap(), &case["inputs"], &case["params"]);
            let model = Named { matrix: tracked(&inputs["matrix"], dtype), bias: tracked(&inputs["bias"], dtype) };
            let plain_bias = p["weight_decay"]["bias"].as_f64() == Some(0.0);
            let groups = plain_bias.then(|| Group::new(Select::NormsAndBiases).without_decay());
            let groups: Vec<Group> = groups.into_iter().collect();
            let mut parameters = Parameters::new(model, &optimiser(case), &groups).unwrap();
            for (k, expected) in case["expected"]["steps"].as_array().unwrap().iter().enumerate() {
                let rate = p["rate_by_step"][k].as_f64().or(p["rate"].as_f64()).unwrap();
                let mut gradients = GradientsParams::new();
                let model = parameters.model();
                gradients.register(model.matrix.id, tensor::<2>(&inputs[format!("matrix_grad_{k}")], dtype));
                gradients.register(model.bias.id, tensor::<1>(&inputs[format!("bias_grad_{k}")], dtype));
                if let Some(limit) = p["max_norm"].as_f64() {
                    let norm = gradient_norm(model, &gradients);
                    close("gradient norm", &[norm], &[expected["gradient_norm"].as_f64().unwrap()], 0.0, tolerance);
                    gradients = Clipping::Norm(limit).apply(model, gradients);
                }
                assert!(parameters.step(gradients, rate, &Select::All).is_none());
                let state = parameters.tensors();
                for key in ["matrix", "bias"] {
                    let (got, want) = (host(&state[&format!("model.{key}")]), numbers(&expected[key]));
                    close(&format!("{name}, step {k}, {key}"), &got, &want, tolerance, tolerance);
                }
            }
            let state = parameters.state();
            for (tensor, buffers) in case["expected"]["state"].as_object().unwrap() {
                for (theirs, ours) in BUFFERS.iter().filter(|(theirs, _)| !buffers[*theirs].is_null()) {
                    let (got, want) = (host(&state[&format!("optimiser.{tensor}.{ours}")]), numbers(&buffers[*theirs]));
                    close(&format!("{name}, {tensor}, {theirs}"), &got, &want, tolerance, tolerance);
                }
            }
        }
    }
}

#[derive(Module, Debug)]
struct Three {
    a: Param<Tensor<2>>,
    b: Param<Tensor<1>>,
    c: Param<Tensor<3>>,
}

#[test]
fn golden_gradient_clipping() {
    let Some(file) = golden("gradient_clipping") else { return };
    for (dtype, bytes, tolerance) in [(DType::F64, 8, 1e-12), (DType::F32, 4, 1e-5)] {
        computed_in(bytes);
        for case in cases(&file) {
            let (name, inputs, p) = (case["name"].as_str().unwrap(), &case["inputs"], &case["params"]);
            let (a, b, c) = (&inputs["a"], &inputs["b"], &inputs["c"]);
            let model = Three { a: tracked(a, dtype), b: tracked(b, dtype), c: tracked(c, dtype) };
            let mut gradients = GradientsParams::new();
            gradients.register(model.a.id, tensor::<2>(a, dtype));
            gradients.register(model.b.id, tensor::<1>(b, dtype));
            gradients.register(model.c.id, tensor::<3>(c, dtype));
            let clipping = match p["max_norm"].as_f64() {
                Some(limit) => {
                    let want = case["expected"]["norm"].as_f64().unwrap();
                    close(name, &[gradient_norm(&model, &gradients)], &[want], 0.0, tolerance);
                    Clipping::Norm(limit)
                }
                None => Clipping::Value(p["max_value"].as_f64().unwrap()),
            };
            let clipped = clipping.apply(&model, gradients);
            let got = [
                host(&clipped.get::<2>(model.a.id).unwrap().into_data()),
                host(&clipped.get::<1>(model.b.id).unwrap().into_data()),
                host(&clipped.get::<3>(model.c.id).unwrap().into_data()),
            ];
            for (key, got) in ["a", "b", "c"].iter().zip(got) {
                close(
                    &format!("{name}, {key}"),
                    &got,
                    &numbers(&case["expected"]["clipped"][key]),
                    tolerance,
                    tolerance,
                );
            }
        }
    }
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[test]
fn golden_weight_average() {
    let Some(file) = golden("weight_average") else { return };
    for (dtype, bytes, tolerance) in [(DType::F64, 8, 1e-12), (DType::F32, 4, 1e-5)] {
        computed_in(bytes);
        for case in cases(&file) {
            let (name, p) = (case["name"].as_str().unwrap(), &case["params"]);
            let layer = |k: usize| Layer {
                weight: tracked(&case["inputs"][format!("weight_{k}")], dtype),
                bias: tracked(&case["inputs"][format!("bias_{k}")], dtype),
            };
            // a momentum encoder is the core's; an average that copies first is one that starts with the second weights
            let momenta = p["momentum_by_step"].as_array();
            let start = usize::from(name.starts_with("ema_first_copies"));
            let averaging = p["decay"].as_f64().map_or(Averaging::Equal, |decay| Averaging::Exponential { decay });
            let mut average = WeightAverage::new(averaging, &layer(start));
            let mut encoder = layer(0).valid();
            for (k, expected) in case["expected"]["steps"].as_array().unwrap().iter().enumerate() {
                let state = match momenta {
                    Some(momenta) => {
                        let momentum = momenta[k].as_f64().unwrap();
                        encoder = contrastive_core::memory::update_target(&layer(k + 1), encoder, momentum);
                        let mut state = State::new();
                        save_module(&encoder, "average.model", &mut state);
                        state
                    }
                    None => {
                        if k >= start {
                            average.update(&layer(k + 1));
                        }
                        let mut state = State::new();
                        average.save(&mut state);
                        let mut again = WeightAverage::new(averaging, &layer(0));
                        again.load(&mut state.clone()).unwrap();
                        average = again;
                        state
                    }
                };
                for key in ["weight", "bias"] {
                    let (got, want) = (host(&state[&format!("average.model.{key}")]), numbers(&expected[key]));
                    close(&format!("{name}, step {k}, {key}"), &got, &want, tolerance, tolerance);
                }
            }
        }
    }
}

/// The schedule that the name and the parameters of a case describe.
fn schedule(name: &str, p: &Value) -> Schedule {
    let (rate, count) = (p["rate"].as_f64().unwrap(), |key: &str| p[key].as_u64().unwrap() as usize);
    let share = |key: &str| p[key].as_f64().unwrap() / rate;
    let of = |shape| Schedule::of(shape).with_warm_up(count("warm_up"));
    match name.rsplit_once('_').unwrap().0 {
        "cosine_warm_up" => of(Shape::Cosine { floor: 0.0 }),
        "cosine_min_warm_up" | "cosine_torch" => of(Shape::Cosine { floor: share("min_rate") }),
        "linear_warm_up" => of(Shape::Polynomial { power: 1.0, floor: 0.0 }),
        "constant_warm_up" => of(Shape::Constant),
        "inverse_sqrt" => of(Shape::InverseSqrt),
        "polynomial_1" | "polynomial_2" => {
            of(Shape::Polynomial { power: p["power"].as_f64().unwrap(), floor: share("end") })
        }
        "drops" => {
            let at = p["at"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
            of(Shape::Drops { at, factor: p["factor"].as_f64().unwrap() })
        }
        "step_drops" => of(Shape::Regular { every: count("every"), factor: p["factor"].as_f64().unwrap() }),
        "swav" => {
            let warm_up = WarmUp { length: count("warm_up"), from: share("start"), inclusive: true };
            let warm_up = (warm_up.length > 0).then_some(warm_up);
            Schedule { warm_up, ..Schedule::cosine(share("end")) }
        }
        other => panic!("no schedule {other:?}"),
    }
}

#[test]
fn golden_schedules() {
    let Some(file) = golden("schedules") else { return };
    let mut kinds = BTreeMap::new();
    for case in cases(&file) {
        let (name, p) = (case["name"].as_str().unwrap(), &case["params"]);
        let (rate, steps) = (p["rate"].as_f64().unwrap(), p["steps"].as_u64().unwrap() as usize);
        let schedule = schedule(name, p);
        schedule.validate().unwrap();
        let want = numbers(&case["expected"]["rate_by_step"]);
        let got: Vec<f64> = (0..want.len()).map(|step| rate * schedule.share_at(step, steps)).collect();
        // the references rise again beyond the end of a cosine; here it stays at its floor
        let compared = if name.starts_with("cosine") { steps + 1 } else { want.len() };
        close(name, &got[..compared], &want[..compared], 1e-15, 1e-12);
        if matches!(schedule.shape, Shape::Cosine { .. }) {
            assert!(got[steps.min(got.len() - 1)..].windows(2).all(|pair| pair[0] == pair[1]), "{name}: {got:?}");
        }
        kinds.insert(name.rsplit_once('_').unwrap().0.to_string(), got);
    }
    println!("{} kinds of schedules", kinds.len());
}
