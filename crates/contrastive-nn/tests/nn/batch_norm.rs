//! Ghost batch norm whose ghost is the batch: batch norm.

use crate::common::{constant, device, shape, tracked, values};
use crate::golden::{cases, close, computed_in, golden, numbers};
use burn::module::{Param, RunningState};
use burn::tensor::{DType, Tensor};
use contrastive_core::norm::GhostBatchNormConfig;
use serde_json::Value;

/// `[n, channels, positions]` of a golden tensor.
fn cube(value: &Value, dtype: DType) -> Tensor<3> {
    let shape = shape(value);
    tracked(numbers(value), [shape[0], shape[1], shape[2..].iter().product()], dtype)
}

#[test]
fn golden_batch_norm() {
    let Some(file) = golden("batch_norm") else { return };
    for (dtype, bytes, [absolute, relative]) in [(DType::F64, 8, [1e-9, 1e-9]), (DType::F32, 4, [2e-5, 1e-4])] {
        computed_in(bytes);
        for case in cases(&file) {
            let (name, inputs, expected) = (case["name"].as_str().unwrap(), &case["inputs"], &case["expected"]);
            let loose = dtype == DType::F32 && name.contains("stress");
            let [absolute, relative] = if loose { [2e-3, 1e-3] } else { [absolute, relative] };
            let x = cube(&inputs["x"], dtype);
            let [n, channels, _] = x.dims();
            let list = |value: &Value| tracked(numbers(value), [channels], dtype);
            let state = |value: &Value| RunningState::new(constant(numbers(value), [channels], dtype).inner());
            let config = GhostBatchNormConfig::new(channels).with_ghost(n);
            let mut layer = config.init((&device(), dtype)).unwrap();
            if inputs.get("weight").is_some() {
                layer.gain = Param::from_tensor(list(&inputs["weight"]));
                layer.bias = Param::from_tensor(list(&inputs["bias"]));
            }
            layer.running_mean = state(&inputs["running_mean"]);
            layer.running_variance = state(&inputs["running_var"]);
            layer.training = Param::from_bool(name.starts_with("train"));
            let output = layer.forward(x.clone());
            let cotangent = cube(&inputs["cotangent"], dtype).detach();
            let gradients = (output.clone() * cotangent).sum().backward();
            close(name, &values(output), &numbers(&expected["output"]), absolute, relative);
            close(name, &values(x.grad(&gradients).unwrap()), &numbers(&expected["grads"]["x"]), absolute, relative);
            for (key, parameter) in [("weight", &layer.gain), ("bias", &layer.bias)] {
                if let Some(want) = expected["grads"].get(key) {
                    let got = values(parameter.val().grad(&gradients).unwrap());
                    close(&format!("{name} {key}"), &got, &numbers(want), absolute, relative);
                }
            }
            for (key, state) in [("running_mean", &layer.running_mean), ("running_var", &layer.running_variance)] {
                if let Some(want) = expected.get(key) {
                    close(&format!("{name} {key}"), &values(state.value_sync()), &numbers(want), absolute, relative);
                }
            }
        }
    }
}
