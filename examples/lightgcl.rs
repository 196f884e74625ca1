//! LightGCL on user-item interactions: `cargo run --release --example lightgcl -- [--data DIR] [--device cpu]`.
//!
//! With `--by-hand` it trains by a loop that you can copy and change: sample, propagate, compare, step.

mod shared;

use clap::Parser;
use contrastive::graph::parts::{Candidates, to_array};
use contrastive::graph::user_item::Embeddings;
use contrastive::graph::user_item::data::{Dataset, NegativePolicy, PairSampler, Triples};
use contrastive::graph::user_item::method::{LightGclConfig, Method, MethodConfig};
use contrastive::train::{FitOptions, OptimiserConfig, Parameters, epoch_rng};
use std::error::Error;

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

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
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
    run.report(&data, &by_hand(&config, &data, run)?)
}

/// What `fit` does, with the same numbers where nodes keep those of the file: sample, propagate, compare, step.
fn by_hand(config: &LightGclConfig, data: &Dataset, run: &shared::Run) -> Result<Embeddings, Box<dyn Error>> {
    let (users, items) = (data.train.num_users(), data.train.num_items());
    let mut method = config.build(&data.train)?;
    let sampler = PairSampler::new(&data.train, NegativePolicy::Reject)?;
    let table = config.table().init(users, items, run.seed, run.options()?.device());
    let mut parameters = Parameters::new(table, &OptimiserConfig::adam(), &[])?;
    let mut triples = Triples::default();
    for epoch in 1..=run.epochs {
        let mut rng = epoch_rng(run.seed, epoch);
        sampler.epoch(&mut rng, &mut triples);
        let (mut sum, steps) = (0.0, triples.num_batches(run.batch));
        for batch in triples.batches(run.batch) {
            let table = parameters.model().table.val();
            let views = method.encode(&table, &mut rng);
            let losses = method.losses(&table, &views, &batch, &mut rng);
            let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("BPR at least");
            sum += total.clone().into_data().iter::<f64>().sum::<f64>();
            parameters.optimizer_step(&total, run.lr); // backward, and Adam on the table
        }
        println!("epoch {epoch}: loss {:.4}", sum / steps as f64);
    }
    let (users, items) = method.graph().split(method.embed(&parameters.model().table.val().inner()));
    Ok(Embeddings::new(to_array(&users), to_array(&items)))
}
