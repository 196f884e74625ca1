//! All sequential recommenders in one table: floor, untrained, SASRec, CL4SRec, DuoRec, ICSRec, MCLRec on one encoder, sampler and policy.
//! `cargo run --release --example seqrec_table -- --data Beauty.txt --core 8 --epochs 30 --at 2,5,10,15 --seeds 3`
//!
//! The settings are those of the specification's small experiments unless `--full` asks for the published ones. MCLRec's released schedule
//! takes two steps of the encoder a batch: its row at half the epochs has the encoder steps of the others.

mod shared {
    #[allow(dead_code, reason = "the loop by hand is for the examples of one method")]
    pub mod sequences;
}

use clap::Parser;
use contrastive::seqrec::method::{Cl4SRecConfig, DuoRecConfig, IcsRecConfig, ItemLoss, MclRecConfig, Schedule};
use shared::sequences::Run;
use std::error::Error;

#[derive(Parser)]
#[command(about = "Sequential recommenders in one table")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// Of sasrec, sasrec-bce, cl4srec, duorec, icsrec, mclrec, mclrec-no-band, mclrec-joint.
    #[arg(long, value_delimiter = ',', default_value = "sasrec,cl4srec,duorec,icsrec,mclrec")]
    methods: Vec<String>,
    /// Clusters of ICSRec.
    #[arg(long, default_value_t = 32)]
    clusters: usize,
    /// Without the floor and the untrained encoder.
    #[arg(long)]
    no_floor: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let Arguments { run, methods, clusters, no_floor } = Arguments::parse();
    let (data, generated) = run.dataset()?;
    let base = run.base()?;
    if !no_floor {
        run.floor(&data, generated.as_ref())?;
        run.untrained(&data, &base)?;
    }
    for method in &methods {
        match method.as_str() {
            "sasrec" => run.train(method, &data, &base)?,
            "sasrec-bce" => {
                run.train(method, &data, &base.clone().with_loss(ItemLoss::Bce))?;
            }
            "cl4srec" => run.train(method, &data, &Cl4SRecConfig::new().with_base(base.clone()))?,
            "duorec" => run.train(method, &data, &DuoRecConfig::new().with_base(base.clone()))?,
            "icsrec" => {
                let config = IcsRecConfig::new().with_base(base.clone()).with_clusters(clusters);
                run.train(method, &data, &config.with_coarse_weight(0.3).with_fine_weight(0.1))?;
            }
            "mclrec" | "mclrec-no-band" | "mclrec-joint" => {
                let config = MclRecConfig::new().with_base(base.clone()).with_model_weight(0.05);
                let config = match method.as_str() {
                    "mclrec-no-band" => config.with_band(0.0),
                    "mclrec-joint" => config.with_schedule(Schedule::Joint),
                    _ => config,
                };
                run.train(method, &data, &config)?;
            }
            other => return Err(format!("method {other:?}: allowed are those that --help names").into()),
        }
    }
    Ok(())
}
