//! Random rows, and finite differences.

use crate::common::*;
use burn::tensor::{DType, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers that are near enough to normal, always the same for a seed.
pub fn normal(seed: u64, count: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0).map(|x| x * 2f64.sqrt()).collect()
}

pub fn wide() -> DType {
    if has_f64() { DType::F64 } else { DType::F32 }
}

pub fn rows(seed: u64, shape: [usize; 2]) -> Tensor<2> {
    tracked(normal(seed, shape[0] * shape[1]), shape, wide())
}

pub fn plain(values: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(wide()), (&device(), wide()))
}

pub fn one<const D: usize>(tensor: Tensor<D>) -> f64 {
    values(&tensor)[0]
}

/// Every input's gradient against the central difference of the value. Inputs are normal numbers of the given shapes.
pub fn differences(name: &str, shapes: &[[usize; 2]], loss: impl Fn(&[Tensor<2>]) -> Tensor<1>) {
    let data = shapes.iter().enumerate().map(|(k, shape)| normal(100 + k as u64, shape[0] * shape[1])).collect();
    differences_at(name, shapes, data, loss);
}

pub fn differences_at(
    name: &str,
    shapes: &[[usize; 2]],
    data: Vec<Vec<f64>>,
    loss: impl Fn(&[Tensor<2>]) -> Tensor<1>,
) {
    if !has_f64() {
        return;
    }
    let leaves = |data: &[Vec<f64>]| -> Vec<Tensor<2>> {
        data.iter().zip(shapes).map(|(d, shape)| tracked(d.clone(), *shape, DType::F64)).collect()
    };
    let inputs = leaves(&data);
    let gradients = (loss(&inputs) * -2.0).backward();
    let step = 1e-5;
    for (k, input) in inputs.iter().enumerate() {
        let gradient = values(&input.grad(&gradients).unwrap_or_else(|| panic!("{name}: no gradient of input {k}")));
        let largest = gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
        assert!(largest > 1e-6, "{name}: the gradient of input {k} is zero");
        for at in 0..gradient.len() {
            let [above, below] = [step, -step].map(|step| {
                let mut moved = data.clone();
                moved[k][at] += step;
                one(loss(&leaves(&moved)))
            });
            let difference = -2.0 * (above - below) / (2.0 * step);
            let error = (difference - gradient[at]).abs();
            assert!(error < 1e-7 * (1.0 + largest), "{name}: input {k} at {at}: {difference} and {}", gradient[at]);
        }
    }
}
