//! How much memory a big batch needs with a representation-gradient cache, and how long it takes.
//!
//! ```text
//! cargo bench --bench gradient_cache -- [--batch 65536] [--chunk 1024] [--whole]
//! ```
//!
//! Two views of a generated batch go through an encoder of three layers (64 -> 1024 -> 1024 -> 64, ReLU), InfoNCE at
//! temperature 0.1. The memory is the peak resident set of the process, so a run does one thing: `--whole` takes the batch
//! in one piece. The gradient's norm is printed to compare runs.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Tensor, TensorData, activation::relu};
use clap::Parser;
use contrastive::Device;
use contrastive::error::ObjectiveError;
use contrastive::gradient_cache::{Chunk, GradientCache, Tower, untaped};
use contrastive::objective::InfoNce;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Instant;

#[derive(Parser)]
struct Options {
    /// Rows of each view.
    #[arg(long, default_value_t = 65_536)]
    batch: usize,
    /// Rows of a chunk.
    #[arg(long, default_value_t = 1024)]
    chunk: usize,
    /// The batch in one piece.
    #[arg(long)]
    whole: bool,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

const INPUTS: usize = 64;
const HIDDEN: usize = 1024;
const WIDTH: usize = 64;

#[derive(Module, Debug)]
struct Encoder {
    layers: [Linear; 3],
}

impl Encoder {
    fn new(device: &Device) -> Self {
        device.seed(1);
        let layer = |from, to| LinearConfig::new(from, to).init(device);
        Self { layers: [layer(INPUTS, HIDDEN), layer(HIDDEN, HIDDEN), layer(HIDDEN, WIDTH)] }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [first, second, third] = &self.layers;
        third.forward(relu(second.forward(relu(first.forward(x)))))
    }
}

/// Rows of a view: each thing and each view has its own numbers, made when they are needed.
fn rows(chunk: &Chunk, device: &Device) -> Tensor<2> {
    let uniform = |rng: &mut ChaCha8Rng| (rng.next_u32() as f32) / (u32::MAX as f32) - 0.5;
    let row = |i: usize| {
        let mut thing = ChaCha8Rng::seed_from_u64(i as u64);
        let mut view = ChaCha8Rng::seed_from_u64(((chunk.tower as u64 + 1) << 40) + i as u64);
        (0..INPUTS).map(move |_| uniform(&mut thing) + 0.3 * uniform(&mut view))
    };
    let values: Vec<f32> = chunk.rows.clone().flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [chunk.rows.len(), INPUTS]), device)
}

fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let field =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    field.expect("a peak in the status") / 1024.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let device = Device::default().autodiff();
    let encoder = Encoder::new(&device);
    let objective = InfoNce::new(0.1)?;
    let n = options.batch;
    let chunk = if options.whole { n } else { options.chunk };
    let start = Instant::now();
    let mut sum = GradientsAccumulator::new();
    let plain = untaped(&encoder);
    let encode = |c: &Chunk| if c.taped { &encoder } else { &plain }.forward(rows(c, &device));
    let before = peak();
    let loss = if options.whole {
        let view = |tower| encode(&Chunk { tower, rows: 0..n, seed: 0, taped: true });
        let loss = objective.loss(view(0), view(1));
        sum.accumulate(&encoder, GradientsParams::from_grads(loss.backward(), &encoder));
        loss
    } else {
        GradientCache::new(chunk)?.backward(
            &[Tower::new(n, &encode), Tower::new(n, &encode)],
            |z| Ok::<_, ObjectiveError>(objective.loss(z[0].clone(), z[1].clone())),
            |g| sum.accumulate(&encoder, GradientsParams::from_grads(g, &encoder)),
        )?
    };
    let (seconds, most) = (start.elapsed().as_secs_f64(), peak());
    let gradients = sum.grads();
    let norms = encoder.layers.iter().map(|l| {
        let g = gradients.get::<2>(l.weight.id).expect("a gradient of every layer");
        (g.clone() * g).sum().into_scalar::<f32>()
    });
    println!(
        "batch {n} in {}: loss {:.6}, gradient norm {:.6e}, {seconds:.1} s, peak {most:.0} MiB ({before:.0} MiB before)",
        if options.whole { "one piece".to_string() } else { format!("chunks of {chunk}") },
        loss.into_scalar::<f32>(),
        norms.sum::<f32>().sqrt(),
    );
    Ok(())
}
