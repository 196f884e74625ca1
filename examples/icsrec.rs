//! ICSRec (Qin et al., WSDM 2024): subsequences that lead to the same item share an intent, and so do those of a cluster.
//! `cargo run --release --example icsrec -- --data Beauty.txt --core 8`
//!
//! Smaller than published unless `--full`: width 32, one block, lists of at most 20. Published (Beauty, full ranking): HR@20 0.1298, NDCG@20 0.0663.

mod shared {
    pub mod sequences;
}

use clap::Parser;
use contrastive::seqrec::method::IcsRecConfig;
use shared::sequences::Run;
use std::error::Error;

#[derive(Parser)]
#[command(about = "ICSRec: intent contrastive learning with cross subsequences")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// Weight of the coarse contrast.
    #[arg(long, default_value_t = 0.3)]
    lambda: f64,
    /// Weight of the fine contrast.
    #[arg(long, default_value_t = 0.1)]
    beta: f64,
    /// Number of clusters.
    #[arg(long, default_value_t = 32)]
    clusters: usize,
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
    let config = IcsRecConfig::new()
        .with_base(base.clone())
        .with_coarse_weight(arguments.lambda)
        .with_fine_weight(arguments.beta)
        .with_clusters(arguments.clusters);
    run.floor(&data, generated.as_ref())?;
    if run.by_hand {
        let (method, model) = config.parts(&data, run.seed, &run.device()?)?;
        return run.by_hand(method, model, &data);
    }
    run.untrained(&data, &base)?;
    if arguments.compare {
        run.train("sasrec", &data, &base)?;
    }
    run.train("icsrec", &data, &config)
}
