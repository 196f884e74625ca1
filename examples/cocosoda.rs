//! CoCoSoDa (Shi et al., ICSE 2023): queries and code told apart, with replaced tokens, a momentum encoder and four queues.
//! `cargo run --release --example cocosoda -- --data ../shared/data/cosqa --seeds 3`
//!
//! A bag of sub-words of width 128 stands for the pre-trained transformer of the paper, so only the order of the rows compares. Published
//! (CodeSearchNet Python, fine-tuned): MRR .757. Of CoSQA's functions those that answer its web queries are held out, filled up to 1,000 at random.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::ranking::TargetRanks;
use contrastive::text::data::code::*;
use contrastive::text::method::*;
use contrastive::train::{Budget, MethodConfig, TrainingConfig};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "CoCoSoDa: contrastive learning for code search")]
struct Arguments {
    /// The folder of CoSQA, a file in CodeSearchNet's format (.jsonl) or in CONCODE's (.json); generated functions without.
    #[arg(long)]
    data: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    /// Rows of each queue; a quarter of the training pairs where that is less.
    #[arg(long, default_value_t = 1024)]
    queue: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Also train each term alone, and the released code's choices.
    #[arg(long)]
    ablations: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (read, cosqa) = match &arguments.data {
        Some(path) if path.is_dir() => {
            (read_code_search_net(&path.join("open/code_docstring.jsonl"))?, Some(CosqaFolder::read(path)?))
        }
        Some(path) if path.extension().is_some_and(|end| end == "json") => (read_concode(path)?, None),
        Some(path) => (read_code_search_net(path)?, None),
        None => {
            eprintln!("no --data: using GENERATED functions of six acts on six things");
            (CodePairs { name: "generated".into(), pairs: generated_functions(1500, 1) }, None)
        }
    };
    let (CodePairs { name, mut pairs }, dropped) = read.without_duplicates();
    pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let answers = cosqa.iter().flat_map(|cosqa| cosqa.dev.codes.iter().chain(&cosqa.test.codes));
    let answers: HashSet<usize> = answers.map(|code| *code as usize).collect();
    pairs.sort_by_key(|pair| !answers.contains(&pair.number));
    let (held_out, train) = pairs.split_at(if pairs.len() > 5000 { 1000 } else { pairs.len() / 5 });
    println!("{name}: {} training pairs, {} held out, {dropped} duplicates dropped", train.len(), held_out.len());
    let mut searches = vec![CodeSearch::of_pairs("held out", held_out)];
    for (name, queries) in cosqa.iter().flat_map(|cosqa| [("web dev", &cosqa.dev), ("web test", &cosqa.test)]) {
        let codebase = cosqa.as_ref().map_or(&[][..], |cosqa| &cosqa.codebase);
        searches.push(CodeSearch::of_web_queries(name, queries, Language::Python, codebase));
    }
    let heads: String = searches.iter().map(|search| format!("| {} MRR | R@1 | R@10 ", search.name)).collect();
    println!("| row {heads}|\n|---|{}", "---|".repeat(3 * searches.len()));
    print("BM25", &[searches.iter().map(CodeSearch::bm25_ranks).collect::<Result<Vec<_>, _>>()?]);

    let tokenizer = CodeTokenizer::build(train, 2, 30_000)?;
    let corpus = CodeCorpus::new(&name, &tokenizer, train, &[])?;
    let training = TrainingConfig::new(Budget::Epochs(arguments.epochs), 32, arguments.rate);
    let full = CoCoSoDaConfig::new().with_queue(arguments.queue.min(train.len() / 4)).with_training(training);
    let unreplaced = full.clone().with_rate(0.0).with_terms(Term::ACROSS.to_vec());
    let mut rows = vec![
        ("untrained", full.clone(), 0),
        ("InfoNCE, query to code", full.clone().in_batch(), arguments.epochs),
        ("momentum and queues, nothing replaced", unreplaced, arguments.epochs),
        ("CoCoSoDa", full.clone(), arguments.epochs),
    ];
    if arguments.ablations {
        rows.extend(Term::ALL.map(|term| (term.name(), full.clone().with_terms(vec![term]), arguments.epochs)));
        let released =
            CoCoSoDaConfig { training: full.training.clone(), queue: full.queue, ..CoCoSoDaConfig::released() };
        rows.push(("as released", released, arguments.epochs));
    }
    for (name, config, epochs) in rows {
        let run = |seed| -> Result<Vec<TargetRanks>, Box<dyn Error>> {
            let mut training = config.build(&corpus, seed, &Device::default())?;
            (0..epochs).try_for_each(|_| training.train_epoch().map(drop))?;
            let model = training.trained_model();
            Ok(searches.iter().map(|search| search.ranks(&model, &tokenizer)).collect::<Result<_, _>>()?)
        };
        print(name, &(1..=arguments.seeds).map(run).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(())
}

/// A row: means over the seeds, of MRR with the smallest and the largest value.
fn print(name: &str, runs: &[Vec<TargetRanks>]) {
    let mut row = format!("| {name} ");
    for search in 0..runs[0].len() {
        let of = |value: &dyn Fn(&TargetRanks) -> f64| runs.iter().map(|run| value(&run[search])).collect::<Vec<_>>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mrr = of(&|ranks| ranks.mrr(RANK_CUTOFF));
        row += &format!("| {:.3} ", mean(&mrr));
        if runs.len() > 1 {
            let (low, high) = mrr.iter().fold((1f64, 0f64), |(low, high), x| (low.min(*x), high.max(*x)));
            row += &format!("({low:.3} to {high:.3}) ");
        }
        let [one, ten] = [1, 10].map(|k| mean(&of(&|ranks| ranks.hit_rate(k))));
        row += &format!("| {one:.3} | {ten:.3} ");
    }
    println!("{row}|");
}
