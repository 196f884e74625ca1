//! DCL (Yeh et al. 2022): NT-Xent without the positive in the denominator, beside NT-Xent, at several batch sizes for equal steps. The published
//! gain shrinks as batches grow.
//!
//! ```sh
//! cargo run --release --example dcl                                                       # rendered shapes, 40 steps
//! cargo run --release --example dcl -- --data optdigits --batches 16,128 --steps 1600 --rate 1e-3 --seeds 3
//! cargo run --release --example dcl -- --data fashion-mnist --batches 16,64,256 --steps 400 --seeds 3
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::vision::method::{DclConfig, SimClrConfig};
use std::error::Error;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// The paper: 0.1.
    #[arg(long, default_value_t = 0.1)]
    temperature: f64,
    /// Batch sizes to compare.
    #[arg(long, value_delimiter = ',', default_value = "16,64")]
    batches: Vec<usize>,
    /// Learning rate at all of them.
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// DCLW, too, with weights of width 0.5.
    #[arg(long)]
    weighted: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (common, mut protocol) = (&arguments.common, arguments.common.protocol()?);
    let mut rows = vec![protocol.raw()?];
    for batch in &arguments.batches {
        protocol.frame = protocol.frame.with_batch(*batch).with_rate(arguments.rate);
        for seed in 0..common.seeds {
            let dcl = DclConfig::new(arguments.temperature);
            let mut found = vec![protocol.run(SimClrConfig::new(arguments.temperature), seed, &common.device()?)?];
            found.push(protocol.run(dcl, seed, &common.device()?)?);
            if arguments.weighted {
                found.push(protocol.run(dcl.with_weights(0.5), seed, &common.device()?)?);
            }
            rows.extend(found.into_iter().map(|mut row| {
                row.name = format!("{} at {batch}", if row.name == "SimCLR" { "NT-Xent" } else { row.name.as_str() });
                row
            }));
        }
    }
    vision::table(&protocol, &rows);
    Ok(())
}
