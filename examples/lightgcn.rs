//! LightGCN on user-item interactions: `cargo run --release --example lightgcn -- [--data DIR] [--device cpu]`.

mod shared;

use clap::Parser;
use contrastive::graph::parts::Readout;
use contrastive::graph::user_item::method::{LightGcnConfig, MethodConfig, Sampling};

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: shared::Run,
    /// Number of propagations.
    #[arg(long, default_value_t = 2)]
    layers: usize,
    /// Mean over layers, as published, instead of the sum.
    #[arg(long)]
    mean: bool,
    /// Draws a user, then one of its items, as the released PyTorch code does, instead of going through all pairs.
    #[arg(long)]
    uniform_users: bool,
    /// Weight of the penalty on the batch's rows.
    #[arg(long, default_value_t = 1e-4)]
    l2: f64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let run = &arguments.run;
    let data = run.dataset()?;
    let config = LightGcnConfig::new()
        .with_dim(run.dim)
        .with_layers(arguments.layers)
        .with_readout(if arguments.mean { Readout::Mean } else { Readout::Sum })
        .with_learning_rate(run.lr)
        .with_batch_size(run.batch)
        .with_sampling(if arguments.uniform_users { Sampling::UniformUsers } else { Sampling::Pairs })
        .with_l2(arguments.l2);
    let model = config.fit(&data, &run.options()?)?;
    run.report(&data, &model)
}
