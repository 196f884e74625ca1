//! XSimGCL on user-item interactions: `cargo run --release --example xsimgcl -- [--data DIR] [--device cpu]`.
//!
//! It overfits sooner than LightGCN where pairs are few: hold some out and take the best epoch, `--validation 0.1 --patience 3
//! --evaluate-every 2`.

mod shared;

use clap::Parser;
use contrastive::graph::user_item::method::{MethodConfig, XSimGclConfig};

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: shared::Run,
    /// Number of propagations.
    #[arg(long, default_value_t = 2)]
    layers: usize,
    /// The layer that is contrasted with the mean of all.
    #[arg(long, default_value_t = 1)]
    contrast_layer: usize,
    /// Length of the noise in every layer.
    #[arg(long, default_value_t = 0.2)]
    epsilon: f64,
    /// Temperature of the contrast.
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// Weight of the contrast.
    #[arg(long, default_value_t = 0.2)]
    contrast: f64,
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
    let config = XSimGclConfig::new()
        .with_dim(run.dim)
        .with_layers(arguments.layers)
        .with_contrast_layer(arguments.contrast_layer)
        .with_epsilon(arguments.epsilon)
        .with_temperature(arguments.temperature)
        .with_contrast_weight(arguments.contrast)
        .with_learning_rate(run.lr)
        .with_batch_size(run.batch)
        .with_l2(arguments.l2);
    let model = config.fit(&data, &run.options()?)?;
    run.report(&data, &model)
}
