//! Matrix factorisation with BPR, the plain baseline: `cargo run --release --example mf_bpr -- [--data DIR] [--device cpu]`.

mod shared;

use clap::Parser;
use contrastive::graph::user_item::method::{MethodConfig, MfBprConfig};

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: shared::Run,
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
    let config = MfBprConfig::new()
        .with_dim(run.dim)
        .with_learning_rate(run.lr)
        .with_batch_size(run.batch)
        .with_l2(arguments.l2);
    let model = config.fit(&data, &run.options()?)?;
    run.report(&data, &model)
}
