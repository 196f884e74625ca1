//! DebCSE (Miao, Du and Zhang, CIKM 2023): positives of other words and similar meaning, negatives of similar words and other meaning,
//! drawn by inverse propensity.
//! `cargo run --release --example debcse -- --data ../shared/data --seeds 3`
//!
//! Smaller than the paper, whose code was not released: an encoder of words from scratch; the teacher is a bag of words weighted by idf.

mod shared {
    #[allow(dead_code, reason = "each example uses a part")]
    pub mod text;
}

use clap::Parser;
use contrastive::text::encoder::Embed;
use contrastive::text::method::{DebCseConfig, DebCseData, SimCseConfig};
use contrastive::{Device, exit_code};
use shared::text::{Run, columns, measured, print_row};
use std::error::Error;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "DebCSE: sentence embeddings from pairs drawn against the bias of the surface")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// w: the share of the drawn positive.
    #[arg(long, default_value_t = 0.5)]
    drawn_share: f64,
    /// m: hard negatives of each sentence.
    #[arg(long, default_value_t = 1)]
    negatives: usize,
    /// Weights pairs instead of drawing them by their weight.
    #[arg(long)]
    weighting: bool,
}

fn main() -> ExitCode {
    exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let Arguments { run, drawn_share, negatives, weighting } = Arguments::parse();
    let sets = run.sets()?;
    let corpus = &sets.corpus;
    let texts: Vec<&str> = corpus.texts(0).iter().map(String::as_str).collect();
    let config = DebCseConfig::new()
        .with_encoder(run.encoder())
        .with_drawn_share(drawn_share)
        .with_negatives(negatives)
        .with_weighting(weighting)
        .with_training(run.training());
    let simcse = SimCseConfig::new().with_encoder(run.encoder()).with_training(run.training());
    // the teacher and what it proposes for a few sentences
    let teacher = run.untrained(corpus, true, 1)?.embed(&texts)?;
    let data = DebCseData::new(corpus.clone(), &teacher)?;
    let (method, _) = config.parts(&data, 1, &Device::default())?;
    method.notes().iter().for_each(|note| println!("  {note}"));
    println!("  t_pos {:.3}", method.pools().least_positive);
    for at in (0..texts.len()).filter(|at| !method.pools().positives[*at].ids.is_empty()).take(3) {
        let likely = |pool: &contrastive::text::method::debcse::Pool| {
            let best = (0..pool.ids.len()).max_by(|a, b| pool.law[*a].total_cmp(&pool.law[*b]));
            best.map_or("none", |best| texts[pool.ids[best] as usize])
        };
        println!("  {:?}\n    + {:?}", texts[at], likely(&method.pools().positives[at]));
        println!("    - {:?}", likely(&method.pools().negatives[at]));
    }
    println!("{}", columns(&sets));
    let mut rows = ["untrained", "idf-weighted, untrained", "SimCSE", "DebCSE"].map(|name| (name, Vec::new()));
    for seed in 1..=run.seeds {
        rows[0].1.push(measured(&run.untrained(corpus, false, seed)?, &sets)?);
        rows[1].1.push(measured(&run.untrained(corpus, true, seed)?, &sets)?);
        rows[2].1.push(measured(&run.train(&simcse, corpus, corpus, false, seed)?, &sets)?);
        rows[3].1.push(measured(&run.train(&config, &data, corpus, false, seed)?, &sets)?);
    }
    rows.iter().for_each(|(name, runs)| print_row(name, runs));
    Ok(())
}
