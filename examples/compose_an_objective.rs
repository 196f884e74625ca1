//! An objective that nobody has published, composed of parts: `cargo run --release --example compose_an_objective`.
//!
//! The data: a hidden state wanders through a box of three dimensions; 64 sensors see it through a non-linear mixture, under
//! noise and under a drift of their own that is larger than the signal. Frames that are near in time are near in state. An
//! encoder learns that with the objective below: temporal neighbours attract, frames of the window and of earlier windows
//! repel in a Gaussian kernel whose width swings with training. It is then asked for what it never saw: which frames, at
//! any time, had the nearest hidden states.

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use contrastive::Device;
use contrastive::error::ObjectiveError;
use contrastive::memory::Queue;
use contrastive::objective::{CandidateBlocks, Denominator, PairObjective, Reduction};
use contrastive::pairs::{Exclusions, Pairs};
use contrastive::similarity::Similarity;
use contrastive::temperature::TemperatureSchedule;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The objective. `rows` are a window of consecutive frames, `earlier` rows of windows before it.
fn wandering(
    rows: Tensor<2>,
    earlier: Option<Tensor<2>>,
    widths: &TemperatureSchedule,
    step: usize,
) -> Result<Tensor<1>, ObjectiveError> {
    let mut candidates = CandidateBlocks::new().with_block(rows.clone());
    if let Some(earlier) = earlier {
        let half = vec![0.5; earlier.dims()[0]];
        candidates = candidates.with_weighted_block(earlier, &half)?; // they are stale: two count as one
    }
    let objective = PairObjective::with_input_scale()
        .with_similarity(Similarity::NegativeSquaredDistance)
        .with_pairs(Pairs::Band(3)) // up to three frames before and after
        .with_exclusions(Exclusions::own_row(0))
        .with_denominator(Denominator::NegativesOnly) // neighbours do not compete with each other
        .with_reduction(Reduction::MeanNonZero); // frames that are good enough are left in peace
    Ok(objective.loss(&candidates.inputs(rows.clone()).with_scale(widths.scale(step, &rows))))
}

#[derive(Parser, Debug)]
struct Arguments {
    /// Steps of training.
    #[arg(long, default_value_t = 600)]
    steps: usize,
    /// Of data, initial values and windows.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

const SENSORS: usize = 64;
const STATE: usize = 3;
const FRAMES: usize = 6000;
const WINDOW: usize = 256;

#[derive(Module, Debug)]
struct Encoder {
    hidden: Param<Tensor<2>>,
    out: Param<Tensor<2>>,
}

impl Encoder {
    fn forward(&self, frames: Tensor<2>) -> Tensor<2> {
        frames.matmul(self.hidden.val()).tanh().matmul(self.out.val())
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut rng = ChaCha8Rng::seed_from_u64(arguments.seed);
    let (states, frames) = wander(&mut rng);
    let device = Device::default().autodiff();
    let mut weights = |rows: usize, columns: usize| {
        let values: Vec<f32> = (0..rows * columns).map(|_| normal(&mut rng) / (rows as f32).sqrt()).collect();
        Param::from_tensor(Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device).require_grad())
    };
    let mut encoder = Encoder { hidden: weights(SENSORS, 64), out: weights(64, 4) };
    let before = recall(&states, &encoded(&encoder, &frames, &device));
    let raw = recall(&states, &frames);

    let mut optimiser = AdamConfig::new().init();
    let mut earlier = Queue::new(4 * WINDOW, 4, &device)?;
    let widths = TemperatureSchedule::Cosine { min: 0.5, max: 2.0, period: 200 };
    for step in 0..arguments.steps {
        let start = rng.next_u32() as usize % (FRAMES - WINDOW);
        let window = frames[start * SENSORS..(start + WINDOW) * SENSORS].to_vec();
        let rows = encoder.forward(Tensor::from_data(TensorData::new(window, [WINDOW, SENSORS]), &device));
        let loss = wandering(rows.clone(), earlier.rows().map(Tensor::from_inner), &widths, step)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &encoder);
        encoder = optimiser.step(3e-3, encoder, gradients);
        earlier.push(rows.detach());
        if step % 100 == 0 || step + 1 == arguments.steps {
            println!("step {step:>4}: loss {:.4}", loss.into_scalar::<f32>());
        }
    }
    let after = recall(&states, &encoded(&encoder, &frames, &device));
    println!("of the 10 frames with the nearest hidden states, found among the 10 nearest");
    println!("  raw sensors     {raw:.3}");
    println!("  random encoder  {before:.3}");
    println!("  trained         {after:.3}");
    Ok(())
}

fn encoded(encoder: &Encoder, frames: &[f32], device: &Device) -> Vec<f32> {
    let data = TensorData::new(frames.to_vec(), [FRAMES, SENSORS]);
    encoder.forward(Tensor::from_data(data, device)).into_data().iter::<f32>().collect()
}

/// States `[FRAMES, STATE]` that wander in a box, and what the sensors make of them, `[FRAMES, SENSORS]`.
fn wander(rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
    let mix: Vec<f32> = (0..SENSORS * STATE).map(|_| normal(rng)).collect();
    let drift_of: Vec<f32> = (0..SENSORS * 2).map(|_| normal(rng)).collect();
    let (mut state, mut drift) = ([0.5f32; STATE], [0f32; 2]);
    let (mut states, mut frames) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES {
        for x in &mut state {
            *x += 0.04 * normal(rng);
            *x = if *x < 0.0 {
                -*x
            } else if *x > 1.0 {
                2.0 - *x
            } else {
                *x
            };
        }
        // jumps from frame to frame, and drowns the signal
        drift.iter_mut().for_each(|x| *x = 1.5 * normal(rng));
        states.extend(state);
        for sensor in 0..SENSORS {
            let seen: f32 = (0..STATE).map(|k| 2.0 * mix[sensor * STATE + k] * (state[k] - 0.5)).sum();
            let moved: f32 = (0..2).map(|k| drift_of[sensor * 2 + k] * drift[k]).sum();
            frames.push(seen.sin() + moved + 0.1 * normal(rng));
        }
    }
    (states, frames)
}

/// Of every 20th frame: how many of the 10 frames with the nearest states are among the 10 nearest rows. Frames within 50 steps
/// do not count: they are near for being near in time.
fn recall(states: &[f32], rows: &[f32]) -> f64 {
    let nearest = |table: &[f32], i: usize| {
        let width = table.len() / FRAMES;
        let own = &table[i * width..][..width];
        let far = |j: &usize| j.abs_diff(i) > 50;
        let mut all: Vec<(f32, usize)> = (0..FRAMES)
            .filter(far)
            .map(|j| (own.iter().zip(&table[j * width..]).map(|(x, y)| (x - y) * (x - y)).sum(), j))
            .collect();
        all.select_nth_unstable_by(10, |x, y| x.0.total_cmp(&y.0));
        all[..10].iter().map(|x| x.1).collect::<Vec<_>>()
    };
    let asked: Vec<usize> = (0..FRAMES).step_by(20).collect();
    let found = asked.iter().map(|&i| {
        let wanted = nearest(states, i);
        nearest(rows, i).iter().filter(|j| wanted.contains(j)).count()
    });
    found.sum::<usize>() as f64 / (10 * asked.len()) as f64
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let mut uniform = || (rng.next_u32() as f64 + 0.5) / f64::from(u32::MAX) / 1.0000001;
    let (u, v) = (uniform(), uniform());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}
