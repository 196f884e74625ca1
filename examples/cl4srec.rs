//! CL4SRec (Xie et al., ICDE 2022): SASRec, and two edited copies (crop, mask, reorder) of each list told from those of others.
//! `cargo run --release --example cl4srec -- --data Beauty.txt --core 8`
//!
//! Smaller than published unless `--full`: width 32, one block, lists of at most 20. Published (Beauty, full ranking): HR@20 0.0974, NDCG@20 0.0428.

mod shared {
    pub mod sequences;
}

use clap::Parser;
use contrastive::seqrec::method::Cl4SRecConfig;
use shared::sequences::Run;
use std::error::Error;

#[derive(Parser)]
#[command(about = "CL4SRec: contrastive learning for sequential recommendation")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// Weight of the contrast.
    #[arg(long, default_value_t = 0.1)]
    lambda: f64,
    /// Temperature of the contrast.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Also train SASRec, the same without the contrast.
    #[arg(long)]
    compare: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let run = &arguments.run;
    let (data, generated) = run.dataset()?;
    let base = run.base()?;
    let config = Cl4SRecConfig::new()
        .with_base(base.clone())
        .with_contrast_weight(arguments.lambda)
        .with_temperature(arguments.temperature);
    run.floor(&data, generated.as_ref())?;
    if run.by_hand {
        let (method, model) = config.parts(&data, run.seed, &run.device()?)?;
        return run.by_hand(method, model, &data);
    }
    run.untrained(&data, &base)?;
    if arguments.compare {
        run.train("sasrec", &data, &base)?;
    }
    run.train("cl4srec", &data, &config)
}
