//! Convolutions over time: PyTorch's values, finite differences, the portable body.

use crate::reference::{self, golden, numbers};
use crate::{close, device, values};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_nn::layer::{Conv1dOptions, Padding, conv1d};
use serde_json::Value;

fn dims(tensor: &Value) -> [usize; 3] {
    let side = |k: usize| tensor["shape"][k].as_u64().unwrap() as usize;
    [side(0), side(1), side(2)]
}

/// A golden tensor of three axes, its axes taken in this order; a leaf.
fn tensor(tensor: &Value, order: [isize; 3], dtype: DType) -> Tensor<3> {
    let on = device().autodiff();
    let data = TensorData::new(numbers(tensor), dims(tensor));
    Tensor::<3>::from_data(data, (&on, dtype)).permute(order).detach().require_grad()
}

#[test]
fn golden_conv1d() {
    let Some(file) = golden("conv1d") else { return };
    for (dtype, bytes, bounds) in
        [(DType::F64, 8, [[0.0, 1e-10], [1e-9, 1e-9]]), (DType::F32, 4, [[1e-5, 1e-5], [1e-5, 1e-4]])]
    {
        reference::computed_in(bytes);
        for case in reference::cases(&file) {
            let (inputs, params, expected) = (&case["inputs"], &case["params"], &case["expected"]);
            let size = |name: &str| params[name].as_u64().unwrap() as usize;
            let x = tensor(&inputs["x"], [0, 2, 1], dtype);
            let weight = tensor(&inputs["weight"], [2, 1, 0], dtype);
            let bias = inputs.get("bias").map(|bias| {
                let values = numbers(bias);
                let data = TensorData::new(values.clone(), [values.len()]);
                Tensor::<1>::from_data(data, (&device().autodiff(), dtype)).require_grad()
            });
            let options = Conv1dOptions {
                dilation: size("dilation"),
                stride: size("stride"),
                groups: size("groups"),
                padding: Padding::Explicit(size("pad_left"), size("pad_right")),
            };
            let y = conv1d(x.clone(), weight.clone(), bias.clone(), options);
            let name = case["name"].as_str().unwrap();
            let [[value, value_part], [gradient, gradient_part]]: [[f64; 2]; 2] = bounds;
            let turned = |x: Tensor<3>, order: [isize; 3]| values(&x.permute(order));
            reference::close(
                name,
                &turned(y.clone(), [0, 2, 1]),
                &numbers(&expected["output"]),
                value.max(1e-12),
                value_part,
            );
            let cotangent = tensor(&inputs["cotangent"], [0, 2, 1], dtype).detach();
            let gradients = (y * cotangent).sum().backward();
            let close = |what: &str, got: Vec<f64>| {
                reference::close(what, &got, &numbers(&expected["grads"][what]), gradient, gradient_part);
            };
            close("x", turned(x.grad(&gradients).unwrap(), [0, 2, 1]));
            close("weight", turned(weight.grad(&gradients).unwrap(), [2, 1, 0]));
            if let Some(bias) = bias {
                close("bias", values(&bias.grad(&gradients).unwrap()));
            }
        }
    }
}

#[test]
fn gradients_of_convolutions_are_finite_differences() {
    let on = device().autodiff();
    let make = |n: usize, k: usize, shape: [usize; 3]| {
        let data: Vec<f64> = (0..n).map(|i| ((i * k + 3) as f64 * 0.7).sin()).collect();
        Tensor::<3>::from_data(TensorData::new(data, shape), (&on, DType::F64)).require_grad()
    };
    for (stride, dilation, padding) in
        [(1, 2, Padding::Same), (2, 1, Padding::Causal), (3, 2, Padding::Valid), (1, 20, Padding::Same)]
    {
        let options = Conv1dOptions { stride, dilation, padding, ..Conv1dOptions::default() };
        let (x, w) = (make(2 * 9 * 2, 1, [2, 9, 2]), make(3 * 2 * 3, 5, [3, 2, 3]));
        let loss = |x: Tensor<3>, w: Tensor<3>| {
            let y = conv1d(x, w, None, options);
            (y.clone() * y.tanh()).sum()
        };
        let gradients = loss(x.clone(), w.clone()).backward();
        for (leaf, first) in [(&x, true), (&w, false)] {
            let (got, base) = (values(&leaf.grad(&gradients).unwrap()), values(leaf));
            for k in 0..base.len() {
                let at = |h: f64| {
                    let mut moved = base.clone();
                    moved[k] += h;
                    let moved = Tensor::<3>::from_data(TensorData::new(moved, leaf.dims()), (&on, DType::F64));
                    values(&if first { loss(moved, w.clone()) } else { loss(x.clone(), moved) })[0]
                };
                let want = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((got[k] - want).abs() < 1e-7 * want.abs().max(1.0), "{options:?} {k}: {} and {want}", got[k]);
            }
        }
    }
}

#[test]
fn paddings_are_what_they_say() {
    let x = Tensor::<3>::from_data([[[1.0], [2.0], [4.0], [8.0]]], &device());
    let w = Tensor::<3>::from_data([[[100.0]], [[10.0]], [[1.0]]], &device());
    let run =
        |padding| values(&conv1d(x.clone(), w.clone(), None, Conv1dOptions { padding, ..Conv1dOptions::default() }));
    close("same", &run(Padding::Same), &[12.0, 124.0, 248.0, 480.0], 1e-4);
    close("causal", &run(Padding::Causal), &[1.0, 12.0, 124.0, 248.0], 1e-4);
    close("valid", &run(Padding::Valid), &[124.0, 248.0], 1e-4);
}
