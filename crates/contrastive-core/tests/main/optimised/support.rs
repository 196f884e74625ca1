//! Random rows, and the definitions in plain loops.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::{ISogClr, SogClr, TemperatureRule, Views};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Normal numbers, always the same for a seed.
pub fn normal(seed: u64, count: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut one = || {
        let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    (0..count).map(|_| one()).collect()
}

pub fn rows(seed: u64, shape: [usize; 2]) -> Tensor<2> {
    tracked(normal(seed, shape[0] * shape[1]), shape, DType::F64)
}

/// Values and gradients of tracked tables, with an upstream factor.
pub fn gradients<const D: usize>(loss: Tensor<1>, inputs: &[&Tensor<D>]) -> Vec<Vec<f64>> {
    let all = (loss * 3.0).backward();
    let of = |x: &&Tensor<D>| x.grad(&all).map_or_else(Vec::new, |g| values(&(g * (1.0 / 3.0))));
    inputs.iter().map(of).collect()
}

pub fn unit(x: &[f64]) -> Vec<f64> {
    let length = x.iter().map(|v| v * v).sum::<f64>().sqrt();
    x.iter().map(|v| v / length).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `h_ij` of every anchor of a batch, side by side: of two views alike one list of 2n anchors, of modalities two of n.
pub fn differences_to_positives(views: Views, a: &[f64], b: &[f64], width: usize) -> Vec<Vec<Vec<f64>>> {
    let [a, b] = [a, b].map(|x| x.chunks(width).map(unit).collect::<Vec<_>>());
    let n = a.len();
    let side = |anchors: &[Vec<f64>], candidates: &[Vec<f64>], positive: &dyn Fn(usize) -> usize| {
        let row = |i: usize| {
            let own = dot(&anchors[i], &candidates[positive(i)]);
            let others = (0..candidates.len()).filter(|j| j % n != i % n);
            others.map(|j| dot(&anchors[i], &candidates[j]) - own).collect::<Vec<_>>()
        };
        (0..anchors.len()).map(row).collect::<Vec<_>>()
    };
    match views {
        Views::Alike => {
            let all = [a, b].concat();
            vec![side(&all, &all, &|i| (i + n) % (2 * n))]
        }
        Views::Modalities => vec![side(&a, &b, &|i| i), side(&b, &a, &|i| i)],
    }
}

/// `log mean e^{h / tau}`, the softmax's mean of h, and its divergence from the uniform distribution.
pub fn softmax(h: &[f64], tau: f64) -> (f64, f64, f64) {
    let top = h.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = h.iter().map(|h| ((h - top) / tau).exp()).collect();
    let sum: f64 = e.iter().sum();
    let log = top / tau + (sum / h.len() as f64).ln();
    let mean = dot(&e, h) / sum;
    let divergence = e.iter().map(|e| e / sum * (e / sum * h.len() as f64).max(1e-300).ln()).sum();
    (log, mean, divergence)
}

pub fn sogclr(samples: usize, temperature: f64, views: Views, gamma: f64) -> SogClr {
    let share = contrastive_core::objective::AverageWeight::constant(gamma).unwrap();
    SogClr::new(samples, temperature, views).unwrap().with_average(share)
}

pub fn isogclr(samples: usize, rule: TemperatureRule, views: Views, gamma: f64) -> ISogClr {
    let share = contrastive_core::objective::AverageWeight::constant(gamma).unwrap();
    ISogClr::new(samples, rule, views).unwrap().with_average(share)
}

/// A permutation of 0..count.
pub fn shuffled(rng: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for k in (1..count).rev() {
        order.swap(k, rng.random_range(0..=k));
    }
    order
}

/// Ranks; of equal numbers their mean.
fn ranks(x: &[f64]) -> Vec<f64> {
    let below = |v: f64| x.iter().filter(|u| **u < v).count() as f64;
    let same = |v: f64| x.iter().filter(|u| **u == v).count() as f64;
    x.iter().map(|v| below(*v) + (same(*v) - 1.0) / 2.0).collect()
}

/// Spearman's correlation.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    let centred = |x: &[f64]| {
        let r = ranks(x);
        let mean = r.iter().sum::<f64>() / r.len() as f64;
        unit(&r.iter().map(|r| r - mean).collect::<Vec<_>>())
    };
    dot(&centred(x), &centred(y))
}
