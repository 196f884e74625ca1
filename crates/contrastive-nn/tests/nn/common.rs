//! What the tests share.

use crate::golden::numbers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;

/// The CPU device, with autodiff.
pub fn device() -> Device {
    Device::default().autodiff()
}

/// A tensor that is differentiated.
pub fn tracked<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), dtype)).require_grad()
}

/// A tensor that is not.
pub fn constant<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), dtype))
}

/// The numbers of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).try_to_vec().unwrap()
}

/// The shape of a golden tensor.
pub fn shape(value: &Value) -> Vec<usize> {
    value["shape"].as_array().expect("a shape").iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// A golden tensor as rows of its last axis, differentiated.
pub fn rows(value: &Value, dtype: DType) -> Tensor<2> {
    let (numbers, shape) = (numbers(value), shape(value));
    let width = *shape.last().expect("an axis");
    let count = numbers.len() / width;
    tracked(numbers, [count, width], dtype)
}

/// Golden whole numbers.
pub fn ids(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|x| x as u32).collect()
}

/// Some numbers that look random, in [-1, 1].
pub fn noise(count: usize, seed: usize) -> Vec<f64> {
    let mut state = seed as u64 * 2 + 1;
    let mut next = || {
        state = contrastive_kernels::layer::dropout::mix(state);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The gradients of a function of several tables by central differences, in f64.
pub fn differences(tables: &[(Vec<f64>, [usize; 2])], f: impl Fn(&[Tensor<2>]) -> Tensor<1>) -> Vec<Vec<f64>> {
    let value = |tables: &[(Vec<f64>, [usize; 2])]| {
        let tables: Vec<_> = tables.iter().map(|(x, shape)| constant(x.clone(), *shape, DType::F64)).collect();
        values(f(&tables))[0]
    };
    let step = 1e-5;
    let mut moved = tables.to_vec();
    let mut gradients = Vec::new();
    for k in 0..tables.len() {
        let mut gradient = Vec::new();
        for i in 0..tables[k].0.len() {
            let mut at = |x: f64| {
                moved[k].0[i] = x;
                value(&moved)
            };
            let x = tables[k].0[i];
            gradient.push((at(x + step) - at(x - step)) / (2.0 * step));
            moved[k].0[i] = x;
        }
        gradients.push(gradient);
    }
    gradients
}

/// The gradients of the same by the backward pass.
pub fn gradients(
    tables: &[(Vec<f64>, [usize; 2])],
    dtype: DType,
    f: impl Fn(&[Tensor<2>]) -> Tensor<1>,
) -> Vec<Vec<f64>> {
    let tables: Vec<_> = tables.iter().map(|(x, shape)| tracked(x.clone(), *shape, dtype)).collect();
    let gradients = f(&tables).backward();
    let of = |x: &Tensor<2>| x.grad(&gradients).map_or(vec![0.0; x.shape().num_elements()], values);
    tables.iter().map(of).collect()
}
