//! TS2Vec on real motions: an encoder of dilated convolutions, two crops that share time steps, and neighbours of pooled features.

use super::{dot, unit};
use crate::common::digits::{gauss, shared_text, shuffled, step as update};
use crate::common::{device, values};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig1d};
use burn::optim::AdamWConfig;
use burn::tensor::{Device, Tensor, TensorData, activation::gelu};
use contrastive_core::memory::update_target;
use contrastive_core::objective::Ts2Vec;
use contrastive_core::sampler::OverlappingCrops;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Series `[T, F]` one after the other, and classes.
struct Series {
    values: Vec<Vec<f32>>,
    labels: Vec<String>,
    length: usize,
    width: usize,
}

/// Series of one line each: a label, and numbers for each dimension.
fn series<'a>(lines: impl Iterator<Item = (&'a str, Vec<Vec<f32>>)>) -> Series {
    let mut all = Series { values: Vec::new(), labels: Vec::new(), length: 0, width: 0 };
    for (label, columns) in lines {
        (all.length, all.width) = (columns[0].len(), columns.len());
        all.labels.push(label.to_string());
        all.values.push((0..all.length).flat_map(|t| columns.iter().map(move |column| column[t])).collect());
    }
    all
}

fn numbers(part: &str, between: char) -> Vec<f32> {
    part.split(between).map(|v| v.trim().parse().expect("a number")).collect()
}

/// BasicMotions, a `.ts` file: dimensions between colons, the label last.
fn motions(part: &str) -> Option<Series> {
    let text = shared_text(&format!("uea/BasicMotions/BasicMotions_{part}.ts"))?;
    let lines = text.lines().skip_while(|line| !line.starts_with("@data")).skip(1).filter(|line| !line.is_empty());
    Some(series(lines.map(|line| {
        let (columns, label) = line.rsplit_once(':').expect("a label");
        (label, columns.split(':').map(|column| numbers(column, ',')).collect())
    })))
}

/// GunPoint, tab-separated: the label first.
fn gun_point(part: &str) -> Option<Series> {
    let text = shared_text(&format!("ucr/GunPoint/GunPoint_{part}.tsv"))?;
    Some(series(text.lines().map(|line| {
        let (label, rest) = line.split_once('\t').expect("a label");
        (label, vec![numbers(rest, '\t')])
    })))
}

impl Series {
    /// `[B, T, F]`.
    fn tensor(&self, places: &[usize], device: &Device) -> Tensor<3> {
        let rows: Vec<f32> = places.iter().flat_map(|i| self.values[*i].iter().copied()).collect();
        Tensor::from_data(TensorData::new(rows, [places.len(), self.length, self.width]), device)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.values.len()).collect()
    }
}

#[derive(Module, Debug)]
struct Block {
    first: Conv1d,
    second: Conv1d,
    skip: Option<Conv1d>,
}

/// TS2Vec's encoder without dropout: a linear map of each time step, and residual blocks of dilation 1, 2, 4 and so on.
#[derive(Module, Debug)]
struct Encoder {
    input: Linear,
    blocks: Vec<Block>,
}

fn conv(
    inputs: usize,
    outputs: usize,
    kernel: usize,
    dilation: usize,
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Conv1d {
    let around = dilation * (kernel / 2);
    let config = Conv1dConfig::new(inputs, outputs, kernel).with_dilation(dilation);
    let mut layer = config.with_padding(PaddingConfig1d::Explicit(around, around)).init(device);
    let deviation = 1.0 / ((inputs * kernel) as f64).sqrt();
    let weights: Vec<f32> = (0..outputs * inputs * kernel).map(|_| (deviation * gauss(rng)) as f32).collect();
    layer.weight = Param::from_tensor(Tensor::from_data(TensorData::new(weights, [outputs, inputs, kernel]), device));
    layer.bias = Some(Param::from_tensor(Tensor::zeros([outputs], device)));
    layer
}

impl Encoder {
    fn new(features: usize, hidden: usize, output: usize, depth: usize, seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut input = LinearConfig::new(features, hidden).init(device);
        let weights: Vec<f32> = (0..features * hidden).map(|_| gauss(&mut rng) as f32).collect();
        input.weight = Param::from_tensor(Tensor::from_data(TensorData::new(weights, [features, hidden]), device));
        input.bias = Some(Param::from_tensor(Tensor::zeros([hidden], device)));
        let block = |k: usize| {
            let width = if k == depth { output } else { hidden };
            let skip = (k == depth).then(|| conv(hidden, width, 1, 1, &mut rng, device));
            let first = conv(hidden, width, 3, 1 << k, &mut rng, device);
            Block { first, second: conv(width, width, 3, 1 << k, &mut rng, device), skip }
        };
        Self { input, blocks: (0..=depth).map(block).collect() }
    }

    /// `[B, T, F]` to `[B, T, D]`; a time step with a NaN counts as masked, and so do those that `kept` (`B T`) leaves out.
    fn forward(&self, x: Tensor<3>, kept: Option<&[bool]>) -> Tensor<3> {
        let [b, t, f] = x.dims();
        let numbers = values(&x.clone().reshape([b * t, f]));
        let open = |at: usize| numbers[at * f..(at + 1) * f].iter().all(|v| !v.is_nan()) && kept.is_none_or(|k| k[at]);
        let mask: Vec<f32> = (0..b * t).map(|at| f32::from(u8::from(open(at)))).collect();
        let mask = Tensor::<3>::from_data(TensorData::new(mask, [b, t, 1]), &x.device());
        let sound = x.clone().mask_fill(x.is_nan(), 0.0);
        let hidden = (self.input.forward(sound) * mask).swap_dims(1, 2);
        let out = self.blocks.iter().fold(hidden, |x, block| {
            let y = block.second.forward(gelu(block.first.forward(gelu(x.clone()))));
            y + block.skip.as_ref().map_or(x.clone(), |skip| skip.forward(x))
        });
        out.swap_dims(1, 2)
    }

    /// The largest of each channel over time, of every series.
    fn pooled(&self, series: &Series) -> Vec<Vec<f64>> {
        let z = self.forward(series.tensor(&series.all(), &device()), None);
        let [b, _, d] = z.dims();
        let rows: Tensor<2> = z.max_dim(1).reshape([b, d]);
        values(&rows).chunks(d).map(<[f64]>::to_vec).collect()
    }
}

/// The share of the second rows whose nearest first row, by the distance of standardised columns, has their class.
fn nearest(first: &[Vec<f64>], labels: &[String], second: &[Vec<f64>], truth: &[String]) -> f64 {
    let (n, d) = (first.len() as f64, first[0].len());
    let mean: Vec<f64> = (0..d).map(|k| first.iter().map(|r| r[k]).sum::<f64>() / n).collect();
    let spread = |k: usize| (first.iter().map(|r| (r[k] - mean[k]).powi(2)).sum::<f64>() / n + 1e-12).sqrt();
    let scale: Vec<f64> = (0..d).map(|k| 1.0 / spread(k)).collect();
    let gap = |a: &[f64], b: &[f64]| (0..d).map(|k| ((a[k] - b[k]) * scale[k]).powi(2)).sum::<f64>();
    let right = second.iter().zip(truth).filter(|(x, label)| {
        let near = (0..first.len()).min_by(|i, j| gap(&first[*i], x).total_cmp(&gap(&first[*j], x)));
        &labels[near.expect("a first row")] == *label
    });
    right.count() as f64 / second.len() as f64
}

#[test]
fn an_encoder_reaches_as_far_as_its_dilations() {
    let (t, at) = (60, 30);
    let encoder = Encoder::new(2, 6, 5, 2, 1, &device());
    let run = |x: &[f32], kept: Option<&[bool]>| {
        let x = Tensor::<3>::from_data(TensorData::new(x.to_vec(), [1, t, 2]), &device());
        values(&encoder.forward(x, kept))
    };
    let mut x: Vec<f32> = (0..2 * t).map(|k| (k as f32 * 0.7).sin()).collect();
    let before = run(&x, None);
    x[2 * at] += 1.0;
    let after = run(&x, None);
    let moved: Vec<usize> = (0..t).filter(|s| before[5 * s..5 * s + 5] != after[5 * s..5 * s + 5]).collect();
    // two convolutions in each of three blocks: 2 (1 + 2 + 4)
    assert_eq!([moved[0], moved[moved.len() - 1]], [at - 14, at + 14]);
    // a NaN row is a masked one
    x[2 * at + 1] = f32::NAN;
    let missing = run(&x, None);
    let kept: Vec<bool> = (0..t).map(|s| s != at).collect();
    x[2 * at + 1] = 5.0;
    assert_eq!(missing, run(&x, Some(&kept)));
    assert!(missing.iter().all(|v| v.is_finite()));
    let sound: f64 = dot(&unit(missing.clone()), &unit(before));
    assert!(sound < 0.9999, "the step is missed");
}

/// The accuracies of raw series, of an untrained encoder and of a trained one.
fn learnt(train: &Series, test: &Series, steps: usize) -> [f64; 3] {
    let batch = 8;
    let objective = Ts2Vec::default();
    let on = device().autodiff();
    let mut encoder = Encoder::new(train.width, 32, 64, 4, 1, &on);
    let accuracy =
        |encoder: &Encoder| nearest(&encoder.pooled(train), &train.labels, &encoder.pooled(test), &test.labels);
    let untrained = accuracy(&encoder.valid());
    let flat = |series: &Series| -> Vec<Vec<f64>> {
        series.values.iter().map(|x| x.iter().map(|v| f64::from(*v)).collect()).collect()
    };
    let raw = nearest(&flat(train), &train.labels, &flat(test), &test.labels);
    let mut average = encoder.valid();
    let mut optimiser = AdamWConfig::new().with_weight_decay(0.01).init();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..steps {
        let order = shuffled(&mut rng, train.values.len());
        let series = train.tensor(&order[..batch], &on);
        let crops = OverlappingCrops::draw(train.length, 0, batch, step, 3).unwrap();
        let mut view = |x: Tensor<3>| {
            let [b, t, _] = x.dims();
            let kept: Vec<bool> = (0..b * t).map(|_| rng.random::<bool>()).collect();
            encoder.forward(x, Some(&kept))
        };
        let (a, b) = (view(crops.first(series.clone())), view(crops.second(series)));
        let [a, b] = crops.common(a, b);
        let loss = objective.loss(a, b);
        let value = values(&loss)[0] / 20.0;
        first += if step < 20 { value } else { 0.0 };
        last += if step >= steps - 20 { value } else { 0.0 };
        encoder = update(encoder, &mut optimiser, 1e-3, loss);
        // the running mean of the weights
        average = update_target(&encoder, average, (step + 1) as f64 / (step + 2) as f64);
    }
    let learnt = accuracy(&average);
    println!(
        "nearest neighbours {raw:.3} raw, {untrained:.3} untrained, {learnt:.3} learnt; loss {first:.2} to {last:.2}"
    );
    assert!(last < first);
    [raw, untrained, learnt]
}

#[test]
fn motions_are_told_apart() {
    let (Some(train), Some(test)) = (motions("TRAIN"), motions("TEST")) else { return };
    // an encoder that was never trained does so too: nothing is left to gain
    let [raw, untrained, learnt] = learnt(&train, &test, 100);
    assert!(learnt > raw + 0.2 && learnt >= untrained - 0.025 && learnt >= 0.9);
}

#[test]
fn guns_are_told_from_fingers() {
    let (Some(train), Some(test)) = (gun_point("TRAIN"), gun_point("TEST")) else { return };
    let [raw, untrained, learnt] = learnt(&train, &test, 200);
    assert!(learnt >= 0.93 && learnt > raw && learnt >= untrained - 0.02, "{raw} {untrained} {learnt}");
}
