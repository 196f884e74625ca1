//! WhitenedCSE (Zhuo et al., ACL 2023): three views of a sentence, whitened in groups of shuffled channels before the head.
//! `cargo run --release --example whitenedcse -- --data ../shared/data --seeds 3`
//!
//! Smaller than the paper: an encoder of words from scratch instead of BERT-base, 16 groups of 8 channels instead of 128 of 6.

mod shared {
    #[allow(dead_code, reason = "each example uses a part")]
    pub mod text;
}

use clap::Parser;
use contrastive::exit_code;
use contrastive::text::method::{Root, SimCseConfig, WhitenedCseConfig};
use shared::text::{Run, columns, measured, print_row};
use std::error::Error;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "WhitenedCSE: sentence embeddings with shuffled group whitening")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// V: the anchor and its positives.
    #[arg(long, default_value_t = 3)]
    views: usize,
    /// G: groups of channels.
    #[arg(long, default_value_t = 16)]
    groups: usize,
    /// Cholesky's root instead of the symmetric one.
    #[arg(long)]
    cholesky: bool,
}

fn main() -> ExitCode {
    exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let Arguments { run, views, groups, cholesky } = Arguments::parse();
    let sets = run.sets()?;
    let root = if cholesky { Root::Cholesky } else { Root::Zca };
    let paper = WhitenedCseConfig::new()
        .with_encoder(run.encoder())
        .with_views(views)
        .with_groups(groups)
        .with_root(root)
        .with_training(run.training());
    let reference = paper.clone().with_reference_layout(true);
    let simcse = SimCseConfig::new().with_encoder(run.encoder()).with_training(run.training());
    println!("{}", columns(&sets));
    let names = ["untrained", "SimCSE", "WhitenedCSE", "WhitenedCSE, the release's layout"];
    let mut rows = names.map(|name| (name, Vec::new()));
    let corpus = &sets.corpus;
    for seed in 1..=run.seeds {
        rows[0].1.push(measured(&run.untrained(corpus, false, seed)?, &sets)?);
        rows[1].1.push(measured(&run.train(&simcse, corpus, corpus, false, seed)?, &sets)?);
        rows[2].1.push(measured(&run.train(&paper, corpus, corpus, false, seed)?, &sets)?);
        rows[3].1.push(measured(&run.train(&reference, corpus, corpus, false, seed)?, &sets)?);
    }
    rows.iter().for_each(|(name, runs)| print_row(name, runs));
    Ok(())
}
