//! CoCoSoDa (Shi et al., ICSE 2023): queries and code told apart, with replaced tokens, a momentum encoder and four queues.
//! `cargo run --release --example cocosoda -- --data ../shared/data/cosqa --seeds 3`
//!
//! A bag of sub-words of width 128 stands for the pre-trained transformer of the paper, so only the order of the rows compares. Published
//! (CodeSearchNet Python, fine-tuned): MRR 0.757. Held out are the functions that answer CoSQA's web queries, filled up to 1,000 at random.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::ndarray::Array2;
use contrastive::eval::ranking::{ItemSets, RankingError, Seen, TargetRanks};
use contrastive::text::bm25::Bm25;
use contrastive::text::data::code::*;
use contrastive::text::method::*;
use contrastive::train::{Budget, MethodConfig, TrainingConfig};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "CoCoSoDa: contrastive learning for code search")]
struct Arguments {
    /// The folder of CoSQA, or a file in CodeSearchNet's format; generated functions without.
    #[arg(long)]
    data: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    /// Rows of each queue; a quarter of the training pairs where that is less.
    #[arg(long, default_value_t = 1024)]
    queue: usize,
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Also train each term alone.
    #[arg(long)]
    single_terms: bool,
}

/// Queries, and the numbers of their codes in a codebase.
struct Search<'a>(&'static str, Vec<String>, Vec<u32>, &'a [(Language, String)]);

fn generated(count: usize) -> Vec<CodePair> {
    let [things, acts] =
        [["file", "list", "user", "date", "graph", "image"], ["read", "write", "sort", "count", "find", "merge"]];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let pair = |number| {
        let [a, b, c] = [(); 3].map(|()| rng.random_range(0..6));
        let (key, other) = (rng.random_range(0..400), rng.random_range(0..400));
        let code = format!("def {}_{}(x_{key}):\n    return {}(x_{key}, k{other})", acts[a], things[b], acts[c]);
        let query = format!("{} the {} x {key}, then {}", acts[a], things[b], acts[c]);
        CodePair { code, query, language: Language::Python, number }
    };
    (0..count).map(pair).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let cosqa = arguments.data.as_ref().filter(|path| path.is_dir()).map(|path| CosqaFolder::read(path)).transpose()?;
    let read = match &arguments.data {
        Some(path) if path.is_dir() => read_code_search_net(&path.join("open/code_docstring.jsonl"))?,
        Some(path) => read_code_search_net(path)?,
        None => {
            eprintln!("no --data: using GENERATED functions of six acts on six things");
            CodePairs { name: "generated".into(), pairs: generated(1500) }
        }
    };
    let (CodePairs { name, mut pairs }, dropped) = read.without_duplicates();
    pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let asked: HashSet<u32> =
        cosqa.iter().flat_map(|cosqa| cosqa.dev.codes.iter().chain(&cosqa.test.codes)).copied().collect();
    pairs.sort_by_key(|pair| !asked.contains(&(pair.number as u32)));
    let (held_out, train) = pairs.split_at(1000.min(pairs.len() / 5).max(if asked.is_empty() { 0 } else { 1000 }));
    println!("{name}: {} training pairs, {} held out, {dropped} duplicates dropped", train.len(), held_out.len());
    let codes: Vec<_> = held_out.iter().map(|pair| (pair.language, pair.code.clone())).collect();
    let base: Vec<_> =
        cosqa.iter().flat_map(|cosqa| &cosqa.codebase).map(|code| (Language::Python, code.clone())).collect();
    let queries = held_out.iter().map(|pair| pair.query.clone()).collect();
    let mut searches = vec![Search("held out", queries, (0..codes.len() as u32).collect(), &codes)];
    for (name, part) in cosqa.iter().flat_map(|cosqa| [("web dev", &cosqa.dev), ("web test", &cosqa.test)]) {
        searches.push(Search(name, part.queries.clone(), part.codes.clone(), &base));
    }
    let heads = searches.iter().map(|search| format!("| {} MRR | R@1 | R@10 ", search.0)).collect::<String>();
    println!("| row {heads}|\n|---|{}", "---|".repeat(3 * searches.len()));

    let bm25 = searches.iter().map(|Search(_, queries, targets, codes)| {
        let words =
            |(language, code): &(_, String)| code_words(*language, code).into_iter().map(|word| word.0).collect();
        let bm25 = Bm25::new(&codes.iter().map(words).collect::<Vec<Vec<String>>>(), 1.2, 0.75)?;
        let (offsets, none) = (vec![0; queries.len() + 1], []);
        let score = |query: usize, scores: &mut [f64]| bm25.score(&query_words(&queries[query]), scores);
        Ok(TargetRanks::of_scores(codes.len(), targets, ItemSets::new(&offsets, &none)?, Seen::Keep, score)?)
    });
    print("BM25", &[bm25.collect::<Result<Vec<_>, Box<dyn Error>>>()?]);

    let tokenizer = CodeTokenizer::build(train, 2, 30_000)?;
    let corpus = CodeCorpus::new(&name, &tokenizer, train, &[])?;
    let training = TrainingConfig::new(Budget::Epochs(arguments.epochs), 32, arguments.rate);
    let full = CoCoSoDaConfig::new().with_queue(arguments.queue.min(train.len() / 4)).with_training(training);
    let mut rows = vec![
        ("untrained".to_string(), full.clone(), 0),
        ("InfoNCE, query to code".into(), full.clone().in_batch(), arguments.epochs),
        (
            "momentum and queues, nothing replaced".into(),
            full.clone().with_rate(0.0).with_terms(Term::ACROSS.to_vec()),
            arguments.epochs,
        ),
        ("CoCoSoDa".into(), full.clone(), arguments.epochs),
    ];
    if arguments.single_terms {
        rows.extend(
            Term::ALL
                .map(|term| (format!("{} alone", term.name()), full.clone().with_terms(vec![term]), arguments.epochs)),
        );
    }
    for (name, config, epochs) in rows {
        let run = |seed| -> Result<Vec<TargetRanks>, Box<dyn Error>> {
            let mut training = config.build(&corpus, seed, &Device::default())?;
            (0..epochs).try_for_each(|_| training.train_epoch().map(drop))?;
            let encode = |tokens: Vec<CodeTokens>| -> Array2<f32> {
                training.trained_model().encode(&tokens.iter().map(|tokens| tokens.ids()).collect::<Vec<_>>())
            };
            let ranks = |Search(_, queries, targets, codes): &Search| -> Result<TargetRanks, RankingError> {
                let queries = encode(queries.iter().map(|query| tokenizer.query(query)).collect());
                let codes = encode(codes.iter().map(|(language, code)| tokenizer.code(*language, code)).collect());
                TargetRanks::of_pairs(queries.view(), codes.view(), targets)
            };
            Ok(searches.iter().map(ranks).collect::<Result<_, _>>()?)
        };
        print(&name, &(1..=arguments.seeds).map(run).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(())
}

/// A row: means over seeds, of MRR with the smallest and largest value.
fn print(name: &str, runs: &[Vec<TargetRanks>]) {
    let of = |search: usize, value: &dyn Fn(&TargetRanks) -> f64| {
        runs.iter().map(|run| value(&run[search])).collect::<Vec<_>>()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let cells = (0..runs[0].len()).map(|search| {
        let mrr = of(search, &|ranks| ranks.mrr(RANK_CUTOFF));
        let (low, high) = mrr.iter().fold((1f64, 0f64), |(low, high), x| (low.min(*x), high.max(*x)));
        let range = if runs.len() > 1 { format!(" ({low:.3} to {high:.3})") } else { String::new() };
        let [one, ten] = [1, 10].map(|k| mean(&of(search, &|ranks| ranks.hit_rate(k))));
        format!("| {:.3}{range} | {one:.3} | {ten:.3} ", mean(&mrr))
    });
    println!("| {name} {}|", cells.collect::<String>());
}
