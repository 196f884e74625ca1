//! Small studies on real digits: temperatures of a long tail, energies and out-of-distribution scores, and large batches.

use crate::common::digits::*;
use crate::common::*;
use crate::optimised::support::{spearman, unit};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::relu};
use contrastive_core::norm::{GhostBatchNorm, GhostBatchNormConfig, Regime, WeightDiffusion, fit_log};
use contrastive_core::objective::*;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Trains on views of the images, batches of 32, 60 epochs; the features of all digits.
fn contrast(
    images: &[Vec<f64>],
    all: &[Vec<f64>],
    seed: u64,
    mut loss: impl FnMut(Tensor<2>, Tensor<2>, &[usize]) -> Tensor<1>,
) -> Rows {
    let device = device().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(200 + seed);
    let mut network = Mlp::new(&[64, 128, 64, 32], seed, &device);
    let mut optimiser = AdamConfig::new().init();
    for _ in 0..60 {
        for batch in shuffled(&mut rng, images.len()).chunks_exact(32) {
            let mut views = || {
                let rows: Vec<_> = batch.iter().map(|i| view(&images[*i], &mut rng)).collect();
                tensor(&rows, &device)
            };
            let (a, b) = (network.forward(views()), network.forward(views()));
            network = step(network, &mut optimiser, 2e-3, loss(a, b, batch));
        }
    }
    rows_of(network.valid().up_to(2, tensor(all, &device.inner())))
}

#[test]
fn frequent_classes_get_warm_temperatures() {
    let Some(data) = digits() else { return };
    let size = |class: usize| (100.0 * 0.05f64.powf(class as f64 / 9.0)).round() as usize;
    let [tail, rest] = data.split(size);
    let tail = data.pick(&tail);
    let [few, test] = data.pick(&rest).split(|_| 10);
    let (few, test) = (data.pick(&rest).pick(&few), data.pick(&rest).pick(&test));
    let all = [few.images.clone(), test.images.clone()].concat();
    let accuracy = |features: &Rows| {
        let (shown, hidden) = features.split_at(few.images.len());
        probe((shown, &few.labels), (hidden, &test.labels))
    };
    let n = tail.images.len();
    let mut temperatures = [0.0; 10];
    let mut individual = 0.0;
    for seed in 0..3 {
        let mut objective = ISogClr::new(n, TemperatureRule::unimodal(), Views::Alike).unwrap();
        let features = contrast(&tail.images, &all, seed, |a, b, batch| objective.loss(a, b, batch).unwrap());
        individual += accuracy(&features) / 3.0;
        for (i, class) in tail.labels.iter().enumerate() {
            temperatures[*class] += objective.temperature(false, i) / (3.0 * size(*class) as f64);
        }
    }
    let fixed = [0.1, 0.5].map(|tau| {
        let objective = NtXent::new(tau).unwrap();
        (0..3).map(|s| accuracy(&contrast(&tail.images, &all, s, |a, b, _| objective.loss(a, b)))).sum::<f64>() / 3.0
    });
    let sizes: Vec<f64> = (0..10).map(|c| size(c) as f64).collect();
    let correlation = spearman(&temperatures, &sizes);
    println!("{n} digits; mean temperature by class {temperatures:.3?}, of {sizes:?}: Spearman {correlation:.2}");
    println!("accuracy: iSogCLR {individual:.3}, SimCLR at 0.1 and 0.5 {fixed:.3?}");
    assert!(correlation > 0.8, "{correlation}");
    assert!(individual >= fixed[0].min(fixed[1]) - 0.02, "{individual} against {fixed:?}");
}

/// Whitened principal components of the first rows, for all rows.
fn whitened(train: &[Vec<f64>], all: &[Vec<f64>], width: usize) -> Rows {
    let (n, d) = (train.len(), train[0].len());
    let mean = DVector::from_fn(d, |k, _| train.iter().map(|r| r[k]).sum::<f64>() / n as f64);
    let centred = DMatrix::from_fn(n, d, |i, k| train[i][k] - mean[k]);
    let eigen = SymmetricEigen::new(centred.transpose() * &centred / n as f64);
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let row = |r: &Vec<f64>| {
        let x = DVector::from_fn(d, |k, _| r[k] - mean[k]);
        order[..width].iter().map(|k| eigen.eigenvectors.column(*k).dot(&x) / eigen.eigenvalues[*k].sqrt()).collect()
    };
    all.iter().map(row).collect()
}

/// The log-density of `N(0, sd^2)` in each row.
fn gaussian(rows: &[Vec<f64>], sd: f64) -> Vec<f64> {
    let one = |x: &f64| -0.5 * (x / sd).powi(2) - sd.ln() - 0.5 * std::f64::consts::TAU.ln();
    rows.iter().map(|r| r.iter().map(one).sum()).collect()
}

/// The share of pairs in which the first outscores the second.
fn auroc(first: &[f64], second: &[f64]) -> f64 {
    let won = |a: &f64| {
        second
            .iter()
            .map(|b| {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    first.iter().map(won).sum::<f64>() / (first.len() * second.len()) as f64
}

#[test]
fn energies_of_digits_beat_their_gaussian() {
    let Some(data) = digits() else { return };
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..data.labels.len()).partition(|i| data.labels[*i] < 5);
    let (train, held) = inside.split_at(600);
    let places = [train, held, &outside].concat();
    let rows = whitened(&data.pick(train).images, &data.pick(&places).images, 8);
    let (train, rest) = rows.split_at(train.len());
    let (held, outside) = rest.split_at(held.len());
    // whitened: the fitted Gaussian is the standard one, and the noise law has 2.25 times its covariance
    let sd = 1.5;
    let plain = |v: &[f64], device: &Device| {
        let values: Vec<f32> = v.iter().map(|v| *v as f32).collect();
        Tensor::<1>::from_data(TensorData::new(values, [v.len()]), device)
    };
    let draw = |rng: &mut ChaCha8Rng, count: usize| -> Rows {
        (0..count).map(|_| (0..8).map(|_| sd * gauss(rng)).collect()).collect()
    };
    let device = device().autodiff();
    // p~ = q e^{-E}
    let model = |network: &Mlp, rows: &[Vec<f64>], device: &Device| {
        plain(&gaussian(rows, sd), device) - network.forward(tensor(rows, device)).reshape([rows.len()])
    };
    let run = |likelihood: bool| {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut network = Mlp::new(&[8, 64, 64, 1], 6, &device);
        let mut meco = Meco::new(0.1).unwrap();
        let mut normaliser = Tensor::<1>::zeros([1], &device).require_grad();
        let mut optimiser = AdamConfig::new().init();
        let mut fewest = f64::INFINITY;
        for _ in 0..800 {
            let x: Rows = (0..64).map(|_| train[rng.random_range(0..train.len())].clone()).collect();
            let y = draw(&mut rng, 512);
            let (of_x, of_y) = (model(&network, &x, &device), model(&network, &y, &device));
            let noise = |rows: &[Vec<f64>]| plain(&gaussian(rows, sd), &device);
            let loss = if likelihood {
                let step = meco.loss(of_x, of_y, noise(&y)).unwrap();
                fewest = fewest.min(step.seen.effective_samples);
                step.loss
            } else {
                BinaryNce.loss([of_x, noise(&x)], [of_y, noise(&y)], normaliser.clone()).unwrap()
            };
            let mut gradients = loss.backward();
            if let Some(g) = normaliser.grad_remove(&mut gradients) {
                normaliser = Tensor::from_inner(normaliser.inner() - g * 0.05).require_grad();
            }
            let gradients = burn::optim::GradientsParams::from_grads(gradients, &network);
            network = optimiser.step(1e-3, network, gradients);
        }
        let (network, plain_device) = (network.valid(), device.clone().inner());
        let score = |rows: &[Vec<f64>]| values(&model(&network, rows, &plain_device));
        let mut check = Meco::new(1.0).unwrap();
        let fresh = draw(&mut ChaCha8Rng::seed_from_u64(7), 100_000);
        let weights: Vec<f64> = score(&fresh).iter().zip(gaussian(&fresh, sd)).map(|(p, q)| p - q).collect();
        let log_z = check.observe(&weights).unwrap().log_normaliser;
        let of_held = score(held);
        let mean = of_held.iter().sum::<f64>() / of_held.len() as f64 - log_z;
        (mean, auroc(&of_held, &score(outside)), meco.log_normaliser().map(|u| u - log_z), fewest)
    };
    let (meco, meco_auroc, lag, fewest) = run(true);
    let (nce, nce_auroc, ..) = run(false);
    let fitted = gaussian(held, 1.0);
    let gauss_mean = fitted.iter().sum::<f64>() / fitted.len() as f64;
    let gauss_auroc = auroc(&fitted, &gaussian(outside, 1.0));
    println!("held-out log-likelihood: MECO {meco:.3}, NCE {nce:.3}, fitted Gaussian {gauss_mean:.3}");
    println!("AUROC of 0-4 against 5-9: MECO {meco_auroc:.3}, NCE {nce_auroc:.3}, Gaussian {gauss_auroc:.3}");
    println!("log u - log Z at the end {:.3}, fewest effective noise samples {fewest:.0}", lag.unwrap());
    assert!(meco > gauss_mean, "{meco} against {gauss_mean}");
    assert!(lag.unwrap().abs() < 0.3, "{lag:?}");
}

/// Linear layers with ghost batch normalisation between them.
#[derive(Module, Debug)]
struct Normed {
    layers: Vec<Linear>,
    norms: Vec<GhostBatchNorm>,
}

impl Normed {
    fn new(seed: u64, ghost: usize, device: &Device) -> Self {
        let Mlp { layers } = Mlp::new(&[64, 128, 128, 10], seed, device);
        let norm = |_| GhostBatchNormConfig::new(128).with_ghost(ghost).init(device).unwrap();
        Self { layers, norms: (0..2).map(norm).collect() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = self.layers.iter().zip(&self.norms).fold(x, |x, (l, n)| relu(n.forward(l.forward(x))));
        self.layers[2].forward(hidden)
    }
}

/// Test accuracy, and the slope of the second layer's distance in the first phase.
fn supervised(data: &Digits, regime: &Regime, ghost: usize, noisy_labels: bool, seed: u64) -> (f64, f64) {
    let device = device().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(300 + seed);
    let train = data.pick(&(0..1024).collect::<Vec<_>>());
    let mut labels = train.labels.clone();
    if noisy_labels {
        for label in &mut labels {
            if rng.random::<f64>() < 0.1 {
                *label = rng.random_range(0..10);
            }
        }
    }
    let mut network = Normed::new(seed, ghost, &device);
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: false };
    let mut optimiser = SgdConfig::new().with_momentum(Some(momentum)).init();
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let probe = WeightDiffusion::from(&network);
    let (mut curve, mut updates) = (Vec::new(), 0);
    for epoch in 0..regime.epochs() {
        for batch in shuffled(&mut rng, labels.len()).chunks_exact(regime.batch()) {
            let noisy = |i: &usize| train.images[*i].iter().map(|v| v + 0.3 * gauss(&mut rng)).collect();
            let rows: Rows = batch.iter().map(noisy).collect();
            let targets: Vec<i64> = batch.iter().map(|i| labels[*i] as i64).collect();
            let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [batch.len()]), &device);
            let loss = cross_entropy.forward(network.forward(tensor(&rows, &device)), targets);
            network = step(network, &mut optimiser, regime.rate_at(epoch, 0.1), loss);
            updates += 1;
            if epoch < regime.drops()[0] {
                // weight and bias of the first layer, then the second's weight
                curve.push((updates, probe.distances(&network)[2]));
            }
        }
    }
    let test = data.pick(&(1024..1524).collect::<Vec<_>>());
    let scores = rows_of(network.valid().forward(tensor(&test.images, &device.inner())));
    let right = scores.iter().zip(&test.labels).filter(|(s, l)| s.iter().all(|v| *v <= s[**l])).count();
    let from = 0.02 * curve.len() as f64;
    (right as f64 / 500.0, fit_log(&curve, from).unwrap().slope)
}

#[test]
fn large_batches_learn_like_small_ones() {
    let Some(data) = digits() else { return };
    // classes in a random order, as the file has them by writer
    let data = data.pick(&shuffled(&mut ChaCha8Rng::seed_from_u64(1), data.labels.len()));
    let small = Regime::new(32, 0.05, 20).unwrap().with_drops(vec![10, 15]).unwrap();
    let large = Regime::new(512, 0.05, 20).unwrap().with_drops(vec![10, 15]).unwrap();
    let scaled = small.with_scaled_rate(512).unwrap();
    let longer = small.for_batch(512).unwrap();
    assert_eq!([small.updates(1024), large.updates(1024), longer.updates(1024)], [640, 40, 640]);
    let runs = [
        ("small", &small, 32),
        ("large", &large, 512),
        ("+ rate", &scaled, 512),
        ("+ rate, ghosts", &scaled, 32),
        ("+ rate, longer", &longer, 512),
    ];
    let [sb, lb, rate, ghosts, long] = runs.map(|(what, regime, ghost)| {
        let mean = (0..3).map(|s| supervised(&data, regime, ghost, false, s).0).sum::<f64>() / 3.0;
        println!("{what:16} accuracy {mean:.3}");
        mean
    });
    assert!(lb + 0.02 < rate && rate <= sb + 0.005 && long >= sb - 0.005);
    assert!(ghosts > lb + 0.02);
    let slope =
        |regime: &Regime, ghost: usize| (0..4).map(|s| supervised(&data, regime, ghost, true, s).1).sum::<f64>() / 4.0;
    let slopes = [slope(&small, 32), slope(&large, 512), slope(&scaled, 512)];
    println!("slopes with noisy labels: small {:.2}, large {:.2}, + rate {:.2}", slopes[0], slopes[1], slopes[2]);
    assert!((slopes[2] / slopes[0] - 1.0).abs() < 0.25 && slopes[1] < 0.75 * slopes[0]);
}

/// The probe tells classes apart where they lie apart.
#[test]
fn the_probe_reads_what_is_there() {
    let centre = |c: usize| unit(&crate::optimised::support::normal(c as u64, 6));
    let rows = |seed: u64| -> (Rows, Vec<usize>) {
        let noise = crate::optimised::support::normal(seed, 600);
        (0..100)
            .map(|i| (centre(i % 10).iter().zip(&noise[i * 6..]).map(|(c, e)| c + 0.05 * e).collect(), i % 10))
            .unzip()
    };
    let ((x, y), (tx, ty)) = (rows(50), rows(51));
    assert!(probe((&x, &y), (&tx, &ty)) > 0.95);
    let shifted: Vec<usize> = ty.iter().map(|l| (l + 1) % 10).collect();
    assert!(probe((&x, &y), (&tx, &shifted)) < 0.05);
}
