//! A small real trainee: logistic regression by Adam on points of two overlapping clouds.
#![allow(dead_code)]

use burn::tensor::{Device, Tensor, TensorData};
use contrastive_train::*;
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const POINTS: usize = 96;
const WIDTH: usize = 6;
pub const BATCH: usize = 16;

pub struct Logistic {
    pub lr: f64,
    pub weights: Tensor<2>,
    adam: Adam,
    order: Vec<usize>,
    device: Device,
    /// Waits this long in every step, so that a signal finds it at work.
    pub pause: Duration,
    /// Elements of a tensor that makes checkpoints larger: a constant and one per epoch.
    pub ballast: [usize; 2],
    epoch: usize,
    /// Where to write the number of the epoch that has begun.
    pub marker: Option<PathBuf>,
    /// The loss of this (epoch, step) becomes NaN.
    pub nan_at: Option<(usize, usize)>,
    /// The ballast is infinite from this epoch on.
    pub infinite_from: Option<usize>,
    /// The evaluation `score` of each epoch, instead of the accuracy.
    pub scores: Option<Vec<f64>>,
    /// Every evaluation fails the test.
    pub forbid_work: bool,
}

impl Logistic {
    pub fn new(lr: f64) -> Self {
        let device = Device::default();
        Self {
            lr,
            weights: Tensor::zeros([WIDTH, 1], &device),
            adam: Adam::new(AdamConfig::new().with_lr(lr).with_weight_decay(0.01)),
            order: Vec::new(),
            device,
            pause: Duration::ZERO,
            ballast: [0, 0],
            epoch: 0,
            marker: None,
            nan_at: None,
            infinite_from: None,
            scores: None,
            forbid_work: false,
        }
    }

    pub fn values(&self) -> Vec<f32> {
        self.weights.clone().into_data().try_to_vec().unwrap()
    }

    fn points(&self, rows: &[usize]) -> (Tensor<2>, Tensor<2>) {
        let label = |row: usize| if row.is_multiple_of(2) { 1.0f32 } else { -1.0 };
        let value = |row: usize, k: usize| {
            ((row * 7919 + k * 104_729 + row * k * 31) % 1009) as f32 / 504.5 - 1.0 + 0.3 * label(row)
        };
        let x: Vec<f32> = rows.iter().flat_map(|&row| (0..WIDTH).map(move |k| value(row, k))).collect();
        let y: Vec<f32> = rows.iter().map(|&row| label(row)).collect();
        let n = rows.len();
        let tensor = |v: Vec<f32>, w| Tensor::from_data(TensorData::new(v, [n, w]), &self.device);
        (tensor(x, WIDTH), tensor(y, 1))
    }
}

impl Trainee for Logistic {
    fn name(&self) -> &str {
        "logistic"
    }

    fn config(&self) -> Value {
        json!({"lr": self.lr, "optimiser": {"name": "adam", "weight_decay": 0.01f32}})
    }

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        assert!(!self.forbid_work, "a complete run must not train");
        if let Some(marker) = &self.marker {
            atomic_write(marker, |out| write!(out, "{epoch}"))?;
        }
        // A fresh permutation each time: the order must not depend on earlier epochs.
        self.order = (0..POINTS).collect();
        self.order.shuffle(&mut rng);
        self.epoch = epoch;
        Ok(POINTS / BATCH)
    }

    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        std::thread::sleep(self.pause);
        let (x, y) = self.points(&self.order[step * BATCH..(step + 1) * BATCH]);
        let leaf = self.weights.clone().autodiff().require_grad();
        let margin = x.autodiff().matmul(leaf.clone()) * y.autodiff();
        let loss = ((-margin).exp() + 1.0).log().mean();
        let mut value = f64::from(loss.clone().into_scalar::<f32>());
        let grad = leaf.grad_remove(&mut loss.backward()).expect("the weights have a gradient");
        drop(leaf);
        self.adam.update(&mut self.weights, grad);
        if self.nan_at == Some((self.epoch, step)) {
            value = f64::NAN;
        }
        Ok(vec![("logistic", value)])
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        let (x, y) = self.points(&(0..POINTS).collect::<Vec<_>>());
        let right = (x.matmul(self.weights.clone()) * y).greater_elem(0.0).int().sum().into_scalar::<i32>();
        let mut metrics = Metrics::from([("accuracy".into(), f64::from(right) / POINTS as f64)]);
        if let Some(scores) = &self.scores {
            metrics.insert("score".into(), scores[self.epoch - 1]);
        }
        Ok(Some(metrics))
    }

    fn state(&self) -> State {
        let mut state = State::from([("weights".into(), self.weights.clone().into_data())]);
        let ballast = self.ballast[0] + self.ballast[1] * self.epoch;
        let (ballast, fill) = match self.infinite_from.is_some_and(|epoch| epoch <= self.epoch) {
            true => (1, f32::INFINITY),
            false => (ballast, self.epoch as f32),
        };
        state.insert("ballast".into(), TensorData::new(vec![fill; ballast], [ballast]));
        self.adam.save("adam", &mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        let weights = take_tensor(&mut state, "weights", &[WIDTH, 1])?;
        self.weights = Tensor::from_data(weights, &self.device);
        self.adam.load("adam", &mut state, &[WIDTH, 1])
    }

    fn model(&self) -> State {
        State::from([("weights".into(), self.weights.clone().into_data())])
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        vec![("weights".into(), Array2::from_shape_vec((WIDTH, 1), self.values()).unwrap())]
    }
}

pub fn options(epochs: usize) -> FitOptions {
    FitOptions::new(&Device::default()).epochs(epochs).seed(5).progress(false)
}

/// The weights of a run that went through.
pub fn uninterrupted(epochs: usize) -> Vec<f32> {
    let mut trainee = Logistic::new(0.05);
    fit(&mut trainee, &options(epochs)).unwrap();
    trainee.values()
}

/// Losses and metrics without the wall times.
pub fn numbers(history: &[EpochRecord]) -> Vec<(usize, BTreeMap<String, f64>, Option<Metrics>)> {
    history.iter().map(|r| (r.epoch, r.losses.clone(), r.metrics.clone())).collect()
}

pub fn metrics_lines(dir: &Path) -> Vec<EpochRecord> {
    let text = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The number of epochs that a checkpoint holds.
pub fn checkpoint_epoch(path: &Path) -> Result<usize, TrainError> {
    let (_, metadata) = read_safetensors(path)?;
    let run: Value = serde_json::from_str(&metadata["run"]).unwrap();
    Ok(run["epoch"].as_u64().unwrap() as usize)
}

/// This test binary once more, running only the test `name` with `folder` in the environment.
pub fn child(name: &str, folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("CONTRASTIVE_TRAIN_CHILD", folder);
    #[cfg(unix)]
    starts_with(&mut command, libc::SIG_DFL, &[libc::SIGINT, libc::SIGTERM, libc::SIGHUP]);
    command
}

/// The command starts with these signals at `SIG_DFL` or `SIG_IGN`, whatever this process was started with.
#[cfg(unix)]
pub fn starts_with(command: &mut std::process::Command, how: libc::sighandler_t, signals: &'static [libc::c_int]) {
    use std::os::unix::process::CommandExt;
    let set = move || {
        for &signal in signals {
            // SAFETY: no function is installed.
            unsafe { libc::signal(signal, how) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec this calls signal(2) alone, which is safe there.
    unsafe { command.pre_exec(set) };
}

/// The folder, if this process is such a child.
pub fn child_folder() -> Option<PathBuf> {
    std::env::var_os("CONTRASTIVE_TRAIN_CHILD").map(PathBuf::from)
}
