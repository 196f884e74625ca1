//! Sentence embeddings in one table: bags of words, SimCSE in both forms, WhitenedCSE in both layouts, DebCSE with two teachers.
//! `cargo run --release --example text_table -- --data ../shared/data --seeds 3`
//!
//! Spearman's correlation of cosines and gold scores times 100 (protocol "all"); uniformity, alignment and the bias of length on STS-B
//! dev. Every training has the same steps, batches and rate; the last step counts, nothing is chosen on dev.

mod shared {
    #[allow(dead_code, reason = "each example uses a part")]
    pub mod text;
}

use clap::Parser;
use contrastive::text::data::Corpus;
use contrastive::text::encoder::{Embed, Embedder};
use contrastive::text::evaluate::Protocol;
use contrastive::text::method::debcse::{Pool, Pools};
use contrastive::text::method::{DebCseConfig, DebCseData, Head, SimCseConfig, WhitenedCseConfig};
use contrastive::{Device, exit_code};
use shared::text::{Run, TextSets, columns, measured, print_row};
use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Sentence embeddings in one table")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// Rows whose names hold one of these; all without.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
}

const ROWS: [&str; 11] = [
    "untrained: mean of random word vectors",
    "the same weighted by idf",
    "SimCSE",
    "SimCSE, three times the steps",
    "WhitenedCSE",
    "WhitenedCSE, the release's layout",
    "DebCSE, teacher idf",
    "DebCSE, teacher SimCSE",
    "SimCSE, STS-B pairs of 4 or more",
    "SimCSE, SNLI entailments",
    "SimCSE, SNLI with contradictions",
];

fn main() -> ExitCode {
    exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let Arguments { run, rows } = Arguments::parse();
    let sets = run.sets()?;
    println!("protocol {}\n{}", Protocol::All, columns(&sets));
    for name in ROWS.iter().filter(|name| rows.is_empty() || rows.iter().any(|row| name.contains(row.as_str()))) {
        let runs = (1..=run.seeds).map(|seed| Ok(measured(&model(&run, &sets, name, seed)?, &sets)?));
        print_row(name, &runs.collect::<Result<Vec<_>, Box<dyn Error>>>()?);
    }
    Ok(())
}

fn model(run: &Run, sets: &TextSets, name: &str, seed: u64) -> Result<Embedder, Box<dyn Error>> {
    let (corpus, tokens) = (&sets.corpus, sets.corpus.tokens());
    let simcse = SimCseConfig::new().with_encoder(run.encoder()).with_training(run.training());
    let kept = simcse.clone().with_head(Head::Kept);
    let white = WhitenedCseConfig::new().with_encoder(run.encoder()).with_training(run.training());
    let supervised = |data: Corpus| run.train(&kept, &data, corpus, true, seed);
    match name {
        _ if name == ROWS[0] => run.untrained(corpus, false, seed),
        _ if name == ROWS[1] => run.untrained(corpus, true, seed),
        _ if name == ROWS[2] => run.train(&simcse, corpus, corpus, false, seed),
        _ if name == ROWS[3] => {
            let longer = Run { steps: 3 * run.steps, ..run.clone() };
            run.train(&simcse.with_training(longer.training()), corpus, corpus, false, seed)
        }
        _ if name == ROWS[4] => run.train(&white, corpus, corpus, false, seed),
        _ if name == ROWS[5] => run.train(&white.with_reference_layout(true), corpus, corpus, false, seed),
        _ if name == ROWS[6] || name == ROWS[7] => {
            let teacher = if name == ROWS[6] { ROWS[1] } else { ROWS[2] };
            let texts: Vec<&str> = corpus.texts(0).iter().map(String::as_str).collect();
            let data = DebCseData::new(corpus.clone(), &model(run, sets, teacher, seed)?.embed(&texts)?)?;
            let config = DebCseConfig::new().with_encoder(run.encoder()).with_training(run.training());
            if seed == 1 {
                quality(config.parts(&data, 1, &Device::default())?.0.pools(), sets);
            }
            run.train(&config, &data, corpus, false, seed)
        }
        _ if name == ROWS[8] => supervised(Corpus::pairs("STS-B", &sets.pairs, tokens.clone(), 32)?),
        _ if name == ROWS[9] => supervised(Corpus::pairs("SNLI", &sets.entailments, tokens.clone(), 32)?),
        _ => supervised(Corpus::triples("SNLI", &sets.triples, tokens.clone(), 32)?),
    }
}

/// The mean gold score of what is drawn, where pairs of the pools have one: by the law, and by the rank of the surface.
fn quality(pools: &Pools, sets: &TextSets) {
    let numbers: HashMap<&str, u32> = (0u32..).zip(sets.corpus.texts(0)).map(|(n, text)| (text.as_str(), n)).collect();
    let scored = [&sets.validation, &sets.test].into_iter().chain(sets.sets.iter().flat_map(|set| &set.subsets));
    let mut gold = HashMap::new();
    for ([a, b], score) in scored.flat_map(|subset| subset.pairs.iter().zip(&subset.gold)) {
        if let (Some(a), Some(b)) = (numbers.get(a.as_str()), numbers.get(b.as_str())) {
            gold.extend([((*a, *b), *score), ((*b, *a), *score)]);
        }
    }
    let mean = |pools: &[Pool], weight: &dyn Fn(&Pool, usize) -> f64| {
        let (mut sum, mut total, mut count) = (0.0, 0.0, 0);
        for (i, pool) in pools.iter().enumerate() {
            for (at, j) in pool.ids.iter().enumerate() {
                let Some(score) = gold.get(&(i as u32, *j)) else { continue };
                (sum, total, count) = (sum + weight(pool, at) * score, total + weight(pool, at), count + 1);
            }
        }
        (sum / total, count)
    };
    let best = |pool: &Pool, at: usize| f64::from(pool.surface.iter().all(|other| *other <= pool.surface[at]));
    let law = |pool: &Pool, at: usize| pool.law[at];
    let ((p, n), (m, k)) = (mean(&pools.positives, &law), mean(&pools.negatives, &law));
    println!("  drawn: positives {p:.2} ({n} scored pairs), negatives {m:.2} ({k}); difference {:.2}", p - m);
    let ((p, _), (m, _)) = (mean(&pools.positives, &best), mean(&pools.negatives, &best));
    println!("  most similar surface: positives {p:.2}, negatives {m:.2}; difference {:.2}", p - m);
    let similar: Vec<_> = gold.iter().filter(|(_, score)| **score >= 4.0).map(|(pair, _)| *pair).collect();
    let kept = similar.iter().filter(|(i, j)| !pools.positives[*i as usize].ids.contains(j)).count();
    println!("  of {} pairs of 4 or more, {kept} would stay negatives (all in SimCSE)", similar.len());
}
