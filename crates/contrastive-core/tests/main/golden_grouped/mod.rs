//! Objectives with groups of their own: golden values of the reference code, the checks of the methods' specifications, and
//! "a group axis is a loop over groups".

mod codes;
mod groco;
mod groups;
mod pixpro;
mod ts2vec;

use crate::common::numeric::{gradients, gradients_in};
use crate::common::*;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
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

fn three(x: &Tensor<2>, groups: usize) -> Tensor<3> {
    let [rows, d] = x.dims();
    x.clone().reshape([groups, rows / groups, d])
}

fn group_of(x: &Tensor<2>, groups: usize, g: usize) -> Tensor<2> {
    let [rows, d] = x.dims();
    let n = rows / groups;
    x.clone().slice([g * n..(g + 1) * n, 0..d])
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
