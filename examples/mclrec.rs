//! MCLRec (Qin et al., SIGIR 2023): learnt transformations of encoded views, trained in turn with the encoder.
//! `cargo run --release --example mclrec -- --data Beauty.txt --core 8`
//!
//! Smaller than published unless `--full`: width 32, one block, lists of at most 20. Published (Beauty, full ranking): HR@20 0.1243, NDCG@20 0.0539.

mod shared {
    pub mod sequences;
}

use clap::Parser;
use contrastive::seqrec::method::MclRecConfig;
use shared::sequences::Run;
use std::error::Error;

#[derive(Parser)]
#[command(about = "MCLRec: meta-optimized contrastive learning")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// Weight of the contrast of encoded views.
    #[arg(long, default_value_t = 0.0)]
    lambda: f64,
    /// Weight of the contrasts with transformed views.
    #[arg(long, default_value_t = 0.05)]
    beta: f64,
    /// Factor of the regulariser.
    #[arg(long, default_value_t = 0.1)]
    band: f64,
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
    let config = MclRecConfig::new()
        .with_base(base.clone())
        .with_contrast_weight(arguments.lambda)
        .with_model_weight(arguments.beta)
        .with_band(arguments.band);
    run.floor(&data, generated.as_ref())?;
    if run.by_hand {
        let (method, model) = config.parts(&data, run.seed, &run.device()?)?;
        return run.by_hand(method, model, &data);
    }
    run.untrained(&data, &base)?;
    if arguments.compare {
        run.train("sasrec", &data, &base)?;
    }
    run.train("mclrec", &data, &config)
}
