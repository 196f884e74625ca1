//! MEOW and AdaMEOW on a network of several types of nodes: `cargo run --release --example meow -- [--data heco-acm]`.
//!
//! Rows of the table: the features as they are, the network untrained, all negatives alike, MEOW, AdaMEOW. Without `--data`, a generated
//! network with planted classes. The papers train 500 epochs and more at lower rates.

use clap::Parser;
use contrastive::Device;
use contrastive::data::Limits;
use contrastive::eval::{Summary, ndarray::Array2};
use contrastive::graph::hetero::data::{HeteroGraph, NetworkOptions, planted_network};
use contrastive::graph::hetero::evaluate::{clusters_nmi, label_rate};
use contrastive::graph::hetero::method::{MeowConfig, Negatives};
use contrastive::graph::parts::to_array;
use contrastive::train::MethodConfig;
use std::{error::Error, path::PathBuf, time::Instant};

#[derive(Parser, Debug)]
struct Arguments {
    /// A folder of HeCo's layout; without it, a generated network.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Meta-paths by the types' names.
    #[arg(long, value_delimiter = ',', default_value = "P-A-P,P-S-P")]
    paths: Vec<String>,
    /// Targets that each path keeps for each target; without it, all.
    #[arg(long, value_delimiter = ',')]
    keep: Vec<usize>,
    /// Numbers of clusters.
    #[arg(long, value_delimiter = ',', default_value = "20,60")]
    clusters: Vec<usize>,
    /// Epochs from one clustering to the next.
    #[arg(long, default_value_t = 10)]
    cluster_every: usize,
    /// Epochs.
    #[arg(long, default_value_t = 40)]
    epochs: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 5e-3)]
    lr: f64,
    /// Temperature of all three.
    #[arg(long, default_value_t = 0.4)]
    temperature: f64,
    /// Weight of the prototypical term.
    #[arg(long, default_value_t = 1.0)]
    prototypes: f64,
    /// The split that is probed: labels a class.
    #[arg(long, default_value = "20")]
    rate: String,
    /// Number of seeds, from 1.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Leaves AdaMEOW out.
    #[arg(long)]
    no_adaptive: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let graph = match &arguments.data {
        Some(folder) => HeteroGraph::open_heco(folder, &Limits::default())?,
        None => {
            eprintln!("no --data: using a GENERATED network (planted classes)");
            planted_network(&NetworkOptions::default())?
        }
    };
    let types: Vec<String> = graph.types().iter().map(|of| format!("{} {}", of.count, of.name)).collect();
    println!("{}: {}", graph.name(), types.join(", "));
    let config = MeowConfig::new(arguments.paths.clone()).with_keep(arguments.keep.clone());
    let config = config.with_edge_masks([0.3, 0.2][..arguments.paths.len().min(2)].to_vec());
    let config = if arguments.paths.len() == 2 { config } else { config.with_edge_masks(Vec::new()) };
    let config = config.with_clusters(arguments.clusters.clone()).with_cluster_every(arguments.cluster_every);
    let config = config.with_cluster_restarts(1).with_prototype_weight(arguments.prototypes);
    let config = config.with_learning_rate(arguments.lr).with_temperature(arguments.temperature);
    let raw = graph.target_type().features.as_ref().map(|features| features.to_dense());
    let mut rows = vec![("features as they are", Negatives::Alike, None), ("untrained", Negatives::Alike, Some(0))];
    rows.push(("all negatives alike", Negatives::Alike, Some(arguments.epochs)));
    rows.push(("MEOW", Negatives::Clustered, Some(arguments.epochs)));
    rows.push(("AdaMEOW", Negatives::Learned, Some(arguments.epochs)));
    rows.truncate(if arguments.no_adaptive { 4 } else { 5 });
    println!("| row | Macro-F1 | Micro-F1 | AUC | NMI | s a run |\n|---|---|---|---|---|---|");
    for (name, negatives, epochs) in rows {
        let (mut scores, start) = ([Vec::new(), Vec::new(), Vec::new(), Vec::new()], Instant::now());
        for seed in 1..=arguments.seeds {
            let embedded: Array2<f32> = match (epochs, &raw) {
                (Some(epochs), _) => {
                    let mut training =
                        config.clone().with_negatives(negatives).build(&graph, seed, &Device::default())?;
                    for _ in 0..epochs {
                        training.train_epoch()?;
                    }
                    to_array(&training.method().embed(&training.trained_model()))
                }
                (None, Some(raw)) => raw.clone(),
                (None, None) => continue,
            };
            let found = label_rate(&graph, embedded.view(), &arguments.rate)?;
            let nmi = clusters_nmi(&graph, embedded.view(), &[seed])?;
            let all = [found.macro_f1, found.micro_f1, found.auc, nmi];
            scores.iter_mut().zip(all).for_each(|(scores, score)| scores.push(100.0 * score));
        }
        let seconds = start.elapsed().as_secs_f64() / arguments.seeds as f64;
        let cell = |scores: &Vec<f64>| {
            let summary = Summary::of(scores);
            format!("{:.2} +- {:.2}", summary.mean, summary.std)
        };
        if !scores[0].is_empty() {
            println!("| {name} | {} | {seconds:.0} |", scores.iter().map(cell).collect::<Vec<_>>().join(" | "));
        }
    }
    Ok(())
}
