//! LightGCL on user-item interactions: `cargo run --release --example lightgcl -- [--data DIR] [--device cpu]`.
//!
//! The loop of `fit` is this, written out with `--by-hand`: sample, spread, compare, step.

mod shared;

use clap::Parser;
use contrastive::graph::parts::Candidates;
use contrastive::graph::user_item::method::{LightGclConfig, MethodConfig};
use contrastive::train::{FitOptions, Trainee};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: shared::Run,
    /// Number of propagations.
    #[arg(long, default_value_t = 2)]
    layers: usize,
    /// Rank of the reconstructed view.
    #[arg(long, default_value_t = 5)]
    rank: usize,
    /// Temperature of the contrast.
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// Weight of the contrast.
    #[arg(long, default_value_t = 0.05)]
    contrast: f64,
    /// Weight of the squares of the whole table.
    #[arg(long, default_value_t = 1e-7)]
    l2: f64,
    /// Compare with this many drawn nodes instead of all.
    #[arg(long)]
    candidates: Option<usize>,
    /// Write the training loop out instead of calling `fit`.
    #[arg(long)]
    by_hand: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let run = &arguments.run;
    let data = run.dataset()?;
    let config = LightGclConfig::new()
        .with_dim(run.dim)
        .with_layers(arguments.layers)
        .with_rank(arguments.rank)
        .with_temperature(arguments.temperature)
        .with_contrast_weight(arguments.contrast)
        .with_candidates(arguments.candidates.map_or(Candidates::All, |count| Candidates::Sampled { count }))
        .with_learning_rate(run.lr)
        .with_batch_size(run.batch)
        .with_l2(arguments.l2);
    let options: FitOptions = run.options()?;
    if !arguments.by_hand {
        return run.report(&data, &config.fit(&data, &options)?);
    }
    let mut training = config.training_on(&data, &options)?;
    for epoch in 1..=5 {
        let steps = training.begin_epoch(epoch, ChaCha8Rng::seed_from_u64(epoch as u64))?;
        let mut sum = 0.0;
        for step in 0..steps {
            sum += training.step(step)?[0].1;
        }
        println!("epoch {epoch}: loss {:.4}", sum / steps as f64);
    }
    run.report(&data, &training.embeddings())
}
