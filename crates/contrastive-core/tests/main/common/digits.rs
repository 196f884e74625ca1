//! Real digits of 8 x 8 pixels (optdigits, the test part), a small network, views, and a probe: enough for studies of seconds.
#![allow(dead_code)]

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;

pub type Rows = Vec<Vec<f64>>;

/// Pixels from 0 to 1, and classes.
#[derive(Clone)]
pub struct Digits {
    pub images: Rows,
    pub labels: Vec<usize>,
}

/// The digits, from `$CONTRASTIVE_SHARED/data/optdigits` or `../shared/data` beside the workspace; `None`, with a line saying so, where
/// there are none.
///
/// # Panics
/// When there are none and `CONTRASTIVE_REQUIRE_SHARED=1`, or a line is no digit.
pub fn digits() -> Option<Digits> {
    read("optdigits.tes")
}

/// The digits of the training part; as [`digits`].
///
/// # Panics
/// As [`digits`].
pub fn training_digits() -> Option<Digits> {
    read("optdigits.tra")
}

/// The text of a file of `$CONTRASTIVE_SHARED/data` or `../shared/data` beside the workspace; `None`, with a line saying so, where there
/// is none.
///
/// # Panics
/// When there is none and `CONTRASTIVE_REQUIRE_SHARED=1`.
pub fn shared_text(name: &str) -> Option<String> {
    let shared = match std::env::var_os("CONTRASTIVE_SHARED") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = shared.join("data").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            let required = std::env::var("CONTRASTIVE_REQUIRE_SHARED").is_ok_and(|v| v == "1");
            assert!(!required, "{}: {error}", path.display());
            println!("{}: {error}; nothing learnt from it", path.display());
            None
        }
    }
}

fn read(file: &str) -> Option<Digits> {
    let text = shared_text(&format!("optdigits/{file}"))?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let numbers: Vec<usize> = line.split(',').map(|v| v.trim().parse().expect("a digit's number")).collect();
        assert_eq!(numbers.len(), 65, "{line}");
        images.push(numbers[..64].iter().map(|v| *v as f64 / 16.0).collect());
        labels.push(numbers[64]);
    }
    Some(Digits { images, labels })
}

impl Digits {
    /// These images.
    pub fn pick(&self, places: &[usize]) -> Self {
        Self {
            images: places.iter().map(|i| self.images[*i].clone()).collect(),
            labels: places.iter().map(|i| self.labels[*i]).collect(),
        }
    }

    /// The first `per_class` of each class and the rest, as places.
    pub fn split(&self, per_class: impl Fn(usize) -> usize) -> [Vec<usize>; 2] {
        let mut taken = [0; 10];
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for (i, label) in self.labels.iter().enumerate() {
            let full = taken[*label] >= per_class(*label);
            if full {
                rest.push(i)
            } else {
                first.push(i)
            }
            taken[*label] += usize::from(!full);
        }
        [first, rest]
    }
}

/// A normal number.
pub fn gauss(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A permutation of 0..count.
pub fn shuffled(rng: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    (1..count).rev().for_each(|k| order.swap(k, rng.random_range(0..=k)));
    order
}

/// A view of a digit: moved by up to a pixel, a square of 2 x 2 pixels cut out, and noise.
pub fn view(image: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let (dx, dy) = (rng.random_range(-1..=1i32), rng.random_range(-1..=1i32));
    let (cx, cy) = (rng.random_range(0..7i32), rng.random_range(0..7i32));
    let pixel =
        |x: i32, y: i32| if (0..8).contains(&x) && (0..8).contains(&y) { image[(y * 8 + x) as usize] } else { 0.0 };
    let mut all = Vec::with_capacity(64);
    for y in 0..8 {
        for x in 0..8 {
            let cut = (cx..cx + 2).contains(&x) && (cy..cy + 2).contains(&y);
            let value = if cut { 0.0 } else { pixel(x + dx, y + dy) };
            all.push(value + 0.1 * gauss(rng));
        }
    }
    all
}

/// Rows as an f32 tensor, `[n, width]`.
pub fn tensor(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows.iter().flatten().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len()]), device)
}

/// Rows of a tensor.
pub fn rows_of(x: Tensor<2>) -> Rows {
    let width = x.dims()[1];
    let values: Vec<f64> = x.into_data().iter::<f64>().collect();
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

/// Linear layers with rectifiers between them.
#[derive(Module, Debug)]
pub struct Mlp {
    pub layers: Vec<Linear>,
}

/// Weights of variance `2 / inputs`, always the same for a seed.
pub fn linear(inputs: usize, outputs: usize, rng: &mut ChaCha8Rng, device: &Device) -> Linear {
    let mut layer = LinearConfig::new(inputs, outputs).init(device);
    let deviation = (2.0 / inputs as f64).sqrt();
    let weights: Rows = (0..inputs).map(|_| (0..outputs).map(|_| deviation * gauss(rng)).collect()).collect();
    layer.weight = Param::from_tensor(tensor(&weights, device));
    layer.bias = Some(Param::from_tensor(Tensor::zeros([outputs], device)));
    layer
}

impl Mlp {
    pub fn new(widths: &[usize], seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self { layers: widths.windows(2).map(|w| linear(w[0], w[1], &mut rng, device)).collect() }
    }

    /// The output of the first `depth` layers, without a rectifier after the last of them.
    pub fn up_to(&self, depth: usize, x: Tensor<2>) -> Tensor<2> {
        let start = self.layers[0].forward(x);
        self.layers[1..depth].iter().fold(start, |x, layer| layer.forward(relu(x)))
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.up_to(self.layers.len(), x)
    }
}

/// A step of an optimiser.
pub fn step<M: Module>(model: M, optimiser: &mut ModuleOptimizer, rate: f64, loss: Tensor<1>) -> M {
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    optimiser.step(rate, model, gradients)
}

/// The accuracy of logistic regression on standardised features, learnt on a few labelled rows.
pub fn probe(train: (&[Vec<f64>], &[usize]), test: (&[Vec<f64>], &[usize])) -> f64 {
    let (n, d) = (train.0.len(), train.0[0].len());
    let mean: Vec<f64> = (0..d).map(|k| train.0.iter().map(|r| r[k]).sum::<f64>() / n as f64).collect();
    let spread = |k: usize| train.0.iter().map(|r| (r[k] - mean[k]).powi(2)).sum::<f64>() / n as f64;
    let scale: Vec<f64> = (0..d).map(|k| 1.0 / (spread(k) + 1e-6).sqrt()).collect();
    let standard = |rows: &[Vec<f64>]| -> Rows {
        let row = |r: &Vec<f64>| (0..d).map(|k| (r[k] - mean[k]) * scale[k]).chain([1.0]).collect();
        rows.iter().map(row).collect()
    };
    let (x, y) = (standard(train.0), standard(test.0));
    let mut w = vec![vec![0.0; d + 1]; 10];
    let scores =
        |w: &Rows, x: &[f64]| -> Vec<f64> { w.iter().map(|w| w.iter().zip(x).map(|(a, b)| a * b).sum()).collect() };
    for _ in 0..200 {
        let mut gradient: Rows = w.iter().map(|w| w.iter().map(|w| 1e-3 * w).collect()).collect();
        for (x, label) in x.iter().zip(train.1) {
            let s = scores(&w, x);
            let top = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = s.iter().map(|s| (s - top).exp()).sum();
            for (c, g) in gradient.iter_mut().enumerate() {
                let pull = ((s[c] - top).exp() / sum - f64::from(u8::from(c == *label))) / n as f64;
                g.iter_mut().zip(x).for_each(|(g, x)| *g += pull * x);
            }
        }
        w.iter_mut().zip(&gradient).for_each(|(w, g)| w.iter_mut().zip(g).for_each(|(w, g)| *w -= 0.3 * g));
    }
    let right = y.iter().zip(test.1).filter(|(x, label)| {
        let s = scores(&w, x);
        (0..10).all(|c| s[c] <= s[**label])
    });
    right.count() as f64 / y.len() as f64
}
