//! MoCo v2 (Chen et al. 2020): a view finds its key, made by a momentum encoder, among a queue of former keys.
//!
//! ```sh
//! cargo run --release --example moco                                                  # rendered shapes, 40 steps: far below the paper's
//! cargo run --release --example moco -- --data optdigits --batch 64 --queue 1024 --temperature 0.1 --seeds 3
//! cargo run --release --example moco -- --run-dir runs/moco --steps 20                # and on with --steps 40 --resume
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::vision::method::MocoConfig;
use std::error::Error;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// The paper: 0.2; CIFAR: 0.1.
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// Keys in the queue (the paper: 65,536).
    #[arg(long, default_value_t = 256)]
    queue: usize,
    /// Momentum of the key encoder (the paper: 0.999).
    #[arg(long, default_value_t = 0.99)]
    momentum: f64,
    /// Both views as queries.
    #[arg(long)]
    symmetric: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let protocol = arguments.common.protocol()?;
    let settings = MocoConfig {
        temperature: arguments.temperature,
        momentum: arguments.momentum,
        symmetric: arguments.symmetric,
        ..MocoConfig::new(arguments.queue)
    };
    let mut rows = vec![protocol.raw()?];
    for seed in 0..arguments.common.seeds {
        rows.push(protocol.untrained(seed, &arguments.common.device()?)?);
        rows.push(arguments.common.run(&protocol, settings, seed)?);
    }
    vision::table(&protocol, &rows);
    Ok(())
}
