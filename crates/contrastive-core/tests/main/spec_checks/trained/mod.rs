//! Trainings of seconds by the small protocol of the vision specifications: digits of 8 x 8 pixels, views, a small network, and accuracies
//! of nearest class means.

mod adaptive;
mod batches;
mod moco;
mod series;
mod views;

use crate::common::device;
use crate::common::digits::{Digits, Mlp, Rows, digits, gauss, rows_of, shuffled, step, tensor, training_digits};
use burn::module::Module;
use burn::optim::AdamConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::tensor::{Device, Tensor, activation::relu};
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The digits to learn from, with labels that only the evaluation and Hydra see, and those to judge by.
struct Study {
    train: Digits,
    test: Digits,
}

/// How long, how fast, from which seed.
#[derive(Clone, Copy)]
struct Run {
    batch: usize,
    steps: usize,
    rate: f64,
    seed: u64,
}

impl Run {
    fn new(steps: usize, seed: u64) -> Self {
        Self { batch: 128, steps, rate: 2e-3, seed }
    }
}

/// A step of a training: its number, and the images of its batch.
struct Batch<'a> {
    step: usize,
    places: &'a [usize],
}

impl Study {
    fn load() -> Option<Self> {
        Some(Self { train: training_digits()?, test: digits()? })
    }

    /// Trains by Adam on two views of each image; `after` sees the model after every step.
    fn train<M: Module>(
        &self,
        run: Run,
        mut model: M,
        mut loss: impl FnMut(&M, [Tensor<2>; 2], Batch) -> Tensor<1>,
        after: impl Fn(M) -> M,
    ) -> M {
        let device = device().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(1000 + run.seed);
        let mut optimiser = AdamConfig::new().with_weight_decay(Some(WeightDecayConfig::new(1e-5))).init();
        let mut order = Vec::new();
        for step_at in 0..run.steps {
            if order.len() < run.batch {
                order = shuffled(&mut rng, self.train.images.len());
            }
            let places = order.split_off(order.len() - run.batch);
            let mut views = || {
                let rows: Rows = places.iter().map(|i| view(&self.train.images[*i], 0.6, &mut rng)).collect();
                tensor(&rows, &device)
            };
            let views = [views(), views()];
            let value = loss(&model, views, Batch { step: step_at, places: &places });
            model = after(step(model, &mut optimiser, run.rate, value));
        }
        model
    }

    /// The accuracy, in points of 100, of the class means of five labelled digits each: the mean of 40 draws.
    fn class_means(&self, features: impl Fn(Tensor<2>) -> Tensor<2>) -> f64 {
        let [train, test] = self.features(features);
        let d = train[0].len();
        let by_class: Vec<Vec<usize>> =
            (0..10).map(|c| (0..train.len()).filter(|i| self.train.labels[*i] == c).collect()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut right = 0;
        for _ in 0..40 {
            let centre = |of: &Vec<usize>| {
                let mut sum = vec![0.0; d];
                for k in shuffled(&mut rng, of.len()).into_iter().take(5) {
                    sum.iter_mut().zip(&train[of[k]]).for_each(|(s, x)| *s += x);
                }
                unit(sum)
            };
            let centres: Rows = by_class.iter().map(centre).collect();
            for (x, label) in test.iter().zip(&self.test.labels) {
                let scores: Vec<f64> = centres.iter().map(|c| dot(c, x)).collect();
                right += usize::from(scores.iter().all(|s| *s <= scores[*label]));
            }
        }
        100.0 * right as f64 / (40 * test.len()) as f64
    }

    /// The accuracy, in points of 100, of the 20 nearest, weighted by `e^(cos / 0.07)`.
    fn neighbours(&self, features: impl Fn(Tensor<2>) -> Tensor<2>) -> f64 {
        let [train, test] = self.features(features);
        let right = test.iter().zip(&self.test.labels).filter(|(x, label)| {
            let mut near: Vec<(f64, usize)> =
                train.iter().zip(&self.train.labels).map(|(t, l)| (dot(t, x), *l)).collect();
            near.select_nth_unstable_by(20, |a, b| b.0.total_cmp(&a.0));
            let mut votes = [0.0; 10];
            near[..20].iter().for_each(|(s, l)| votes[*l] += (s / 0.07).exp());
            votes.iter().all(|v| *v <= votes[**label])
        });
        100.0 * right.count() as f64 / test.len() as f64
    }

    /// Unit features of both parts.
    fn features(&self, features: impl Fn(Tensor<2>) -> Tensor<2>) -> [Rows; 2] {
        [&self.train, &self.test]
            .map(|part| rows_of(features(tensor(&part.images, &device()))).into_iter().map(unit).collect())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(x: Vec<f64>) -> Vec<f64> {
    let length = dot(&x, &x).sqrt().max(1e-12);
    x.into_iter().map(|v| v / length).collect()
}

/// A view of strength s: turned, scaled, sheared and moved by bilinear interpolation, brighter or darker, noisy, and in half of the cases
/// with a square of 2 x 2 pixels cut out.
fn view(image: &[f64], s: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut within = |range: f64| range * s * (2.0 * rng.random::<f64>() - 1.0);
    let (turn, scale, shear) = (within(0.35), 1.0 + within(0.25), within(0.25));
    let (dx, dy, light) = (within(1.3), within(1.3), 1.0 + within(0.3));
    let cut = (rng.random::<f64>() < 0.5).then(|| (rng.random_range(0..7), rng.random_range(0..7)));
    let (sine, cosine) = turn.sin_cos();
    let pixel = |x: f64, y: f64| {
        let at = |x: f64, y: f64| match (0.0..8.0).contains(&x) && (0.0..8.0).contains(&y) {
            true => image[y as usize * 8 + x as usize],
            false => 0.0,
        };
        let ((x0, y0), (u, v)) = ((x.floor(), y.floor()), (x - x.floor(), y - y.floor()));
        let [upper, lower] = [y0, y0 + 1.0].map(|y| at(x0, y) * (1.0 - u) + at(x0 + 1.0, y) * u);
        upper * (1.0 - v) + lower * v
    };
    let mut all = Vec::with_capacity(64);
    for i in 0..64 {
        let (x, y) = ((i % 8) as f64 - 3.5, (i / 8) as f64 - 3.5);
        let (x, y) = (x + shear * y, y);
        let (x, y) = ((cosine * x - sine * y) / scale + 3.5 + dx, (sine * x + cosine * y) / scale + 3.5 + dy);
        let shut = cut.is_some_and(|(a, b)| (a..a + 2).contains(&(i % 8)) && (b..b + 2).contains(&(i / 8)));
        let value = if shut { 0.0 } else { pixel(x, y) * light };
        all.push((value + 0.08 * s * gauss(rng)).max(0.0));
    }
    all
}

/// An encoder of 64 - 192 - 64 with rectifiers, and a projector.
#[derive(Module, Debug)]
struct Network {
    encoder: Mlp,
    head: MlpHead,
}

impl Network {
    fn new(seed: u64) -> Self {
        Self::with_head(seed, MlpHeadConfig::new(64, 64, 32))
    }

    fn with_head(seed: u64, head: MlpHeadConfig) -> Self {
        let device: Device = device().autodiff();
        Self { encoder: Mlp::new(&[64, 192, 64], seed, &device), head: head.init(100 + seed, &device).unwrap() }
    }

    fn features(&self, x: Tensor<2>) -> Tensor<2> {
        relu(self.encoder.forward(x))
    }

    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.features(x))
    }
}

/// Class means of what an objective of two views makes of a fresh network.
fn two_views(study: &Study, run: Run, loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>) -> (Network, f64) {
    let loss = |network: &Network, [a, b]: [Tensor<2>; 2], _: Batch| loss(network.project(a), network.project(b));
    let network = study.train(run, Network::new(run.seed), loss, |network| network).valid();
    let accuracy = study.class_means(|x| network.features(x));
    (network, accuracy)
}
