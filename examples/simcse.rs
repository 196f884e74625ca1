//! SimCSE (Gao, Yao and Chen, EMNLP 2021): a sentence encoded twice with different dropout is its own positive.
//! `cargo run --release --example simcse -- --data ../shared/data --seeds 3`
//!
//! Smaller than the paper: an encoder of words from scratch instead of BERT-base, thousands of sentences instead of a million.

mod shared {
    #[allow(dead_code, reason = "each example uses a part")]
    pub mod text;
}

use clap::Parser;
use contrastive::text::data::Corpus;
use contrastive::text::method::{Head, SimCseConfig};
use contrastive::train::{MethodConfig, Trainee};
use contrastive::{Device, exit_code};
use shared::text::{Run, columns, measured, print_row};
use std::error::Error;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "SimCSE: sentence embeddings by dropout, or by pairs and hard negatives")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// tau.
    #[arg(long, default_value_t = 0.05)]
    temperature: f64,
    /// alpha: the weight of a sentence's own hard negative.
    #[arg(long, default_value_t = 1.0)]
    hard_negative_weight: f64,
    /// Steps the unsupervised form by hand and prints its loss.
    #[arg(long)]
    by_hand: bool,
}

fn main() -> ExitCode {
    exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let Arguments { run, temperature, hard_negative_weight, by_hand } = Arguments::parse();
    let sets = run.sets()?;
    let config = SimCseConfig::new()
        .with_encoder(run.encoder())
        .with_temperature(temperature)
        .with_hard_negative_weight(hard_negative_weight)
        .with_training(run.training());
    if by_hand {
        let mut training = config.build(&sets.corpus, 1, &Device::default())?;
        while training.global_step() < run.steps {
            let losses = training.train_step()?;
            if training.global_step().is_multiple_of(50) {
                println!("step {:4}: {losses:?}", training.global_step());
            }
        }
        println!("dev: {:?}", training.evaluate()?);
        return Ok(());
    }
    println!("{}", columns(&sets));
    let supervised = config.clone().with_head(Head::Kept);
    let tokens = sets.corpus.tokens();
    let triples = Corpus::triples("triples", &sets.triples, tokens.clone(), 32)?;
    let mut rows = [("untrained", Vec::new()), ("SimCSE", Vec::new()), ("SimCSE, supervised", Vec::new())];
    for seed in 1..=run.seeds {
        rows[0].1.push(measured(&run.untrained(&sets.corpus, false, seed)?, &sets)?);
        rows[1].1.push(measured(&run.train(&config, &sets.corpus, &sets.corpus, false, seed)?, &sets)?);
        rows[2].1.push(measured(&run.train(&supervised, &triples, &sets.corpus, true, seed)?, &sets)?);
    }
    rows.iter().for_each(|(name, runs)| print_row(name, runs));
    Ok(())
}
