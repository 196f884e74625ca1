//! Gated recurrent units: PyTorch's values, finite differences, the released stepping.

use crate::common::{constant, device, noise, shape, tracked, values};
use crate::golden::{cases, close, computed_in, golden, numbers};
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use contrastive_nn::layer::{Directions, Gru, GruConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

fn cube(value: &Value, dtype: DType) -> Tensor<3> {
    let s = shape(value);
    tracked(numbers(value), [s[0], s[1], s[2]], dtype)
}

fn net(input: usize, hidden: usize, layers: usize, directions: Directions) -> Gru {
    let config = GruConfig::new(input, hidden).with_layers(layers).with_directions(directions);
    config.init(&mut ChaCha8Rng::seed_from_u64(1), (&device(), DType::F64)).unwrap()
}

#[test]
fn golden_gru() {
    let Some(file) = golden("gru") else { return };
    for (dtype, bytes, [absolute, relative]) in [(DType::F64, 8, [1e-9, 1e-9]), (DType::F32, 4, [1e-5, 1e-4])] {
        computed_in(bytes);
        for case in cases(&file) {
            let (name, inputs, expected) = (case["name"].as_str().unwrap(), &case["inputs"], &case["expected"]);
            let x = cube(&inputs["x"], dtype);
            let directions = if name.contains("both_ways") { Directions::Both } else { Directions::Forward };
            let layers = if name.contains("two_layers") { 2 } else { 1 };
            let hidden = shape(&inputs["weight_hh_l0"])[1];
            let mut gru = net(x.dims()[2], hidden, layers, directions);
            // [3H, F] there, [F, 3H] here
            let mut leaves = Vec::new();
            for (at, cell) in gru.cells.iter_mut().enumerate() {
                let (layer, reverse) = (at / directions.count(), at % directions.count() == 1);
                let key = |what: &str| format!("{what}_l{layer}{}", if reverse { "_reverse" } else { "" });
                for (map, side) in [(&mut cell.input, "ih"), (&mut cell.state, "hh")] {
                    let (weight, bias) =
                        (&inputs[key(&format!("weight_{side}"))], &inputs[key(&format!("bias_{side}"))]);
                    let s = shape(weight);
                    let leaf: Tensor<2> = tracked(numbers(weight), [s[0], s[1]], dtype);
                    map.weight = Param::from_tensor(leaf.clone().transpose().detach());
                    map.bias = Some(Param::from_tensor(tracked(numbers(bias), [s[0]], dtype)));
                    leaves.push((at, side, key(&format!("weight_{side}")), key(&format!("bias_{side}"))));
                }
            }
            let start = inputs.get("h0").map(|h0| cube(h0, dtype));
            let lengths: Option<Vec<usize>> =
                inputs.get("lengths").map(|l| numbers(l).into_iter().map(|l| l as usize).collect());
            let out = gru.forward_from(x.clone(), start.clone(), lengths.as_deref());
            close(name, &values(out.steps.clone()), &numbers(&expected["output"]), absolute, relative);
            close(name, &values(out.last.clone()), &numbers(&expected["h_n"]), absolute, relative);
            let weigh = |x: Tensor<3>, by: &str| (x * cube(&inputs[by], dtype).detach()).sum();
            let loss = weigh(out.steps, "cotangent") + weigh(out.last, "cotangent_h_n");
            let gradients = loss.backward();
            let check = |what: &str, got: Vec<f64>| {
                close(&format!("{name} {what}"), &got, &numbers(&expected["grads"][what]), absolute, relative);
            };
            check("x", values(x.grad(&gradients).unwrap()));
            if let Some(start) = start {
                check("h0", values(start.grad(&gradients).unwrap()));
            }
            for (at, side, weight, bias) in leaves {
                let map = if side == "ih" { &gru.cells[at].input } else { &gru.cells[at].state };
                check(&weight, values(map.weight.val().grad(&gradients).unwrap().transpose()));
                check(&bias, values(map.bias.as_ref().unwrap().val().grad(&gradients).unwrap()));
            }
        }
    }
}

#[test]
fn gradients_of_recurrent_units_are_finite_differences() {
    for directions in [Directions::Forward, Directions::Both, Directions::BothForward] {
        let gru = net(2, 3, 2, directions);
        let loss = |x: Tensor<3>| {
            let out = gru.forward_from(x, None, Some(&[5, 3]));
            out.steps.clone().powi_scalar(2).sum() + out.summary().powi_scalar(3).sum()
        };
        let base = noise(2 * 5 * 2, 4);
        let x = tracked(base.clone(), [2, 5, 2], DType::F64);
        let got = values(x.grad(&loss(x.clone()).backward()).unwrap());
        for k in 0..base.len() {
            let at = |h: f64| {
                let mut moved = base.clone();
                moved[k] += h;
                values(loss(constant(moved, [2, 5, 2], DType::F64)))[0]
            };
            let want = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((got[k] - want).abs() < 1e-8, "{directions:?} {k}: {} instead of {want}", got[k]);
        }
    }
}

#[test]
fn the_released_stepping_is_a_net_fed_one_frame_at_a_time() {
    let (frames, reference) = (net(2, 3, 3, Directions::Both), net(2, 3, 3, Directions::BothForward));
    let x = constant(noise(2 * 6 * 2, 5), [2, 6, 2], DType::F64);
    // one frame at a time, the states of both directions carried on
    let (mut state, mut steps) = (None, Vec::new());
    for t in 0..6 {
        let out = frames.forward_from(x.clone().slice([0..2, t..t + 1, 0..2]), state, None);
        state = Some(out.last.clone());
        steps.push(out.steps);
    }
    let whole = reference.forward(x.clone());
    close("states", &values(whole.steps.clone()), &values(Tensor::cat(steps, 1)), 1e-14, 0.0);
    close("last", &values(whole.last.clone()), &values(state.unwrap()), 1e-14, 0.0);
    // its summary is its last step; that of the true net begins with the last step and ends with the first
    let last = |x: Tensor<3>, t: usize, from: usize, to: usize| values(x.slice([0..2, t..t + 1, from..to]));
    close("summary", &values(whole.summary()), &last(whole.steps, 5, 0, 6), 0.0, 0.0);
    let both = frames.forward(x);
    let (summary, steps) = (both.summary(), both.steps);
    close("forward", &values(summary.clone().slice([0..2, 0..3])), &last(steps.clone(), 5, 0, 3), 0.0, 0.0);
    close("backward", &values(summary.slice([0..2, 3..6])), &last(steps, 0, 3, 6), 0.0, 0.0);
}

#[test]
fn settings_of_recurrent_units() {
    assert_eq!(GruConfig::new(2, 0).validate().unwrap_err().to_string(), "gru: hidden is 0; allowed is 1 or more");
    assert!(GruConfig::new(0, 2).validate().is_err() && GruConfig::new(2, 2).with_layers(0).validate().is_err());
}
