//! IRWE, role and place of nodes from walks: `cargo run --release --example irwe -- [--data usa-airports.edgelist --other brazil-airports.edgelist]`.
//!
//! Without `--data`, a generated graph of repeated motifs, and another one of them as `--other`. No parity with the publication is
//! claimed: its text was not at hand. Smaller than the defaults: walks of 6 steps, 200 of them a node, 10 epochs.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::Summary;
use contrastive::eval::clustering::KMeans;
use contrastive::eval::ndarray::{Array2, s};
use contrastive::eval::probe::{LinearProbe, LogisticRegression, Scaling, Split, Targets};
use contrastive::graph::node::augment::community::{Partition, modularity};
use contrastive::graph::node::data::{Graph, Loops, Normalisation, RoleGraphOptions, role_graph};
use contrastive::graph::node::graphlets::{Graphlets, Sides, factorise, ppmi, walk_counts};
use contrastive::graph::node::method::irwe::IrweConfig;
use contrastive::train::{Budget, FitOptions, MethodConfig};
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser, Debug)]
struct Arguments {
    /// A graph with a class for each node. Without it, a generated one.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A graph to be read without training on it.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Width D.
    #[arg(long, default_value_t = 64)]
    dim: usize,
    /// Walks of a node for its statistics.
    #[arg(long, default_value_t = 200)]
    walks: usize,
    /// Epochs.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Random splits (20/10/70).
    #[arg(long, default_value_t = 10)]
    splits: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn probe(graph: &Graph, x: &Array2<f32>, splits: u64) -> Result<Vec<f64>, Box<dyn Error>> {
    let labels = graph.require_labels()?;
    let classes = labels.complete().ok_or("a class for every node is needed")?;
    let splits =
        (0..splits).map(|seed| Split::random(graph.num_nodes(), 0.2, 0.1, seed)).collect::<Result<Vec<_>, _>>()?;
    let grid: Vec<f64> = (-4..4).map(|power| f64::from(3 * power).exp2()).collect();
    let probe = LinearProbe::new().with_classifier(LogisticRegression::new(1.0).with_missing_classes(true));
    let probe = probe.with_scaling(Scaling::Standardise).with_validation(&grid);
    let report = probe.run(x.view(), Targets::single(&classes, labels.num_classes()), &splits)?;
    Ok(report.runs().iter().map(|run| run.micro_f1).collect())
}

/// Modularity of k-means clusters, as many as classes.
fn clustered(graph: &Graph, x: &Array2<f32>, seed: u64) -> Result<f64, Box<dyn Error>> {
    let clusters = KMeans::new(graph.require_labels()?.num_classes()).fit(x.view(), seed)?.labels;
    let adjacency = graph.matrix(Normalisation::None, Loops::Remove);
    Ok(modularity(&adjacency, &Partition::from_labels(&clusters), 1.0)?)
}

fn print(name: &str, f1: &[f64], modularity: &[f64]) {
    let [f1, modularity] = [f1, modularity].map(Summary::of);
    println!("{name:<36} {:.3} +- {:.3}   {:>10.3}", f1.mean, f1.std, modularity.mean);
}

fn run() -> Result<(), Box<dyn Error>> {
    let Arguments { data, other, dim, walks: of_a_node, epochs, splits, seeds } = Arguments::parse();
    let read = |path: &Option<PathBuf>, seed| match path {
        Some(path) => Graph::read(path),
        None => role_graph(&RoleGraphOptions { seed, ..Default::default() }),
    };
    if data.is_none() {
        eprintln!("no --data: using GENERATED graphs (motifs on a cycle)");
    }
    let graph = read(&data, 7)?;
    let other = (data.is_none() || other.is_some()).then(|| read(&other, 8)).transpose()?;
    println!("{}: {} nodes, {} edges", graph.name(), graph.num_nodes(), graph.num_edges());
    let mut config = IrweConfig { dim, steps: 6, statistics_walks: of_a_node, ..Default::default() };
    config.training = config.training.with_budget(Budget::Epochs(epochs));

    println!("\n{:<36} micro F1         modularity", "representation");
    let row = |name, x: &Array2<f32>| -> Result<(), Box<dyn Error>> {
        print(name, &probe(&graph, x, splits)?, &[clustered(&graph, x, 1)?]);
        Ok(())
    };
    let degrees = Graphlets::new(&graph)?.node_degrees().mapv(|count| (count as f64).ln_1p() as f32);
    row("log degree", &degrees.slice(s![.., ..1]).to_owned())?;
    row("log graphlet degree vector", &degrees)?;
    let walks = walk_counts(&graph.matrix(Normalisation::None, Loops::Remove), 3);
    row("PPMI of walks of 3 steps", &factorise(&ppmi(&walks, 0.0), dim.min(graph.num_nodes()), Sides::Left, 1)?)?;
    let (mut scores, mut transferred) = ([(); 4].map(|()| (Vec::new(), Vec::new())), Vec::new());
    for seed in 1..=seeds {
        let untrained = config.build(&graph, seed, &Device::default())?;
        let before = untrained.method().embed(&untrained.trained_model());
        let trained = config.fit(&graph, &FitOptions::new(&Device::default()).seed(seed).progress(false))?;
        let after = trained.method.embed(&trained.model);
        for (own, x) in scores.iter_mut().zip([&before.identity, &before.position, &after.identity, &after.position]) {
            own.0.extend(probe(&graph, x, splits)?);
            own.1.push(clustered(&graph, x, seed)?);
        }
        if let Some(other) = &other {
            let read = trained.method.infer(&trained.model, other, None)?;
            transferred.extend(probe(other, &read.identity, splits)?);
        }
    }
    for (name, own) in ["psi, untrained", "gamma, untrained", "psi", "gamma"].iter().zip(&scores) {
        print(name, &own.0, &own.1);
    }
    if let Some(other) = &other {
        print(&format!("psi read on {} without training", other.name()), &transferred, &[f64::NAN]);
    }
    Ok(())
}
