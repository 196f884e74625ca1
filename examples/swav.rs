//! SwAV (Caron et al. 2020): the even assignment of one view to prototypes is predicted from the other; beside it the same with plain softmax
//! codes, which collapse.
//!
//! ```sh
//! cargo run --release --example swav                                         # rendered shapes, 40 steps: far below the paper's
//! cargo run --release --example swav -- --data optdigits --prototypes 60 --seeds 3
//! cargo run --release --example swav -- --small 2                            # multi-crop: two small crops beside the large ones
//! cargo run --release --example swav -- --data optdigits --prototypes 60 --queue 1280 --queue-from 5
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::augment::presets;
use contrastive::vision::method::{Codes, SwAvConfig};
use std::error::Error;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// The paper: 3,000; about ten times the classes of small data.
    #[arg(long, default_value_t = 40)]
    prototypes: usize,
    /// Former rows that take part in the assignment.
    #[arg(long, default_value_t = 0)]
    queue: usize,
    /// The epoch from which the queue is filled.
    #[arg(long, default_value_t = 1)]
    queue_from: usize,
    /// Steps in which prototypes do not move.
    #[arg(long, default_value_t = 0)]
    frozen: usize,
    /// Small crops of half the side beside the two large ones; for encoders of convolutions, not for the perceptron of optdigits.
    #[arg(long, default_value_t = 0)]
    small: usize,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut protocol = arguments.common.protocol()?;
    if arguments.small > 0 {
        let side = protocol.train.shape()[1];
        protocol.frame.views = presets::swav(side, side / 2, arguments.small);
    }
    let settings = SwAvConfig::new(arguments.prototypes)
        .with_queue(arguments.queue, arguments.queue_from)
        .with_frozen(arguments.frozen);
    if let Some(warning) = settings.warning(protocol.frame.training.batch_size) {
        eprintln!("{warning}");
    }
    let device = arguments.common.device()?;
    let (mut rows, mut used) = (vec![protocol.raw()?], Vec::new());
    for seed in 0..arguments.common.seeds {
        rows.push(protocol.untrained(seed, &device)?);
        if arguments.common.run_dir.is_some() {
            rows.push(arguments.common.run(&protocol, settings, seed)?);
            continue;
        }
        for codes in [Codes::Even, Codes::Softmax] {
            let (outcome, training) = protocol.run_watched(settings.with_codes(codes), seed, &device)?;
            used.push(format!("{} {}", outcome.name, training.method().method().prototypes_in_use()));
            rows.push(outcome);
        }
    }
    vision::table(&protocol, &rows);
    println!("prototypes in use in the last batch: {}", used.join(", "));
    Ok(())
}
