//! Orbit adjacencies of graphlets against what random walks see: `cargo run --release --example orbits -- [--data usa-airports.edgelist]`.
//!
//! Without `--data`, a generated graph in which nodes far from each other have the same role. Each row of the table is a representation of
//! the nodes, read by the same linear probe over the same splits (60/20/20); penalty and key are chosen on the validation nodes.

use clap::Parser;
use contrastive::eval::ndarray::Array2;
use contrastive::eval::probe::{LinearProbe, LogisticRegression, Scaling, Split, Targets};
use contrastive::graph::node::data::{Graph, Loops, Normalisation, RoleGraphOptions, role_graph};
use contrastive::graph::node::graphlets::{Graphlets, Orbit, Sides, factorise, ppmi, walk_counts};
use contrastive::kernels::sparse::Csr;
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser, Debug)]
struct Arguments {
    /// A graph with a class for each node, in any supported format. Without it, a generated one.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Columns of the factors.
    #[arg(long, default_value_t = 16)]
    rank: usize,
    /// Number of random splits, with seeds 0, 1, ...
    #[arg(long, default_value_t = 5)]
    seeds: u64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

/// A probe's accuracies by split: on the validation nodes (for the best penalty), and on the test nodes.
struct Scores {
    validation: Vec<f64>,
    test: Vec<f64>,
}

struct Task {
    classes: Vec<u32>,
    count: usize,
    splits: Vec<Split>,
}

impl Task {
    fn probe(&self, x: &Array2<f32>) -> Result<Scores, Box<dyn Error>> {
        let grid: Vec<f64> = (-4..4).map(|power| f64::from(3 * power).exp2()).collect();
        let classifier = LogisticRegression::new(1.0).with_missing_classes(true);
        let probe = LinearProbe::new().with_classifier(classifier).with_scaling(Scaling::Standardise);
        let targets = Targets::single(&self.classes, self.count);
        let report = probe.with_validation(&grid).run(x.view(), targets, &self.splits)?;
        Ok(Scores {
            validation: report.runs().iter().map(|run| run.chosen_by.unwrap_or(0.0)).collect(),
            test: report.runs().iter().map(|run| run.accuracy).collect(),
        })
    }
}

fn print(name: &str, values: &[f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    println!("{name:<44} {mean:.3} +- {deviation:.3}");
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let graph = match &arguments.data {
        Some(path) => Graph::read(path)?,
        None => {
            eprintln!("no --data: using a GENERATED graph (motifs on a cycle)");
            role_graph(&RoleGraphOptions::default())?
        }
    };
    graph.notes().iter().for_each(|note| eprintln!("note: {note}"));
    let labels = graph.require_labels()?;
    let classes = labels.complete().ok_or("a class for every node is needed")?;
    let splits = (0..arguments.seeds).map(|seed| Split::random(graph.num_nodes(), 0.6, 0.2, seed));
    let task = Task { classes, count: labels.num_classes(), splits: splits.collect::<Result<_, _>>()? };
    let graphlets = Graphlets::new(&graph)?;
    println!(
        "{}: {} nodes, {} edges, {} classes",
        graph.name(),
        graphlets.num_nodes(),
        graphlets.num_edges(),
        task.count
    );

    let degrees = graphlets.node_degrees().mapv(|count| (count as f64).ln_1p() as f32);
    let embed = |counts: &Csr<f64>, sides| factorise(&ppmi(counts, 0.0), arguments.rank, sides, 1);
    println!("\n{:<44} accuracy of the linear probe on test nodes", "representation");
    print("log degree", &task.probe(&degrees.slice(contrastive::eval::ndarray::s![.., ..1]).to_owned())?.test);
    print("log graphlet degree vector (15)", &task.probe(&degrees)?.test);
    let walks = walk_counts(&graph.matrix(Normalisation::None, Loops::Remove), 3);
    print("PPMI of walks of 3 steps", &task.probe(&embed(&walks, Sides::Left)?)?.test);

    // the keys: for every split the one that is best on its validation nodes
    let mut best = vec![(f64::MIN, 0.0, Orbit::BASE[0]); task.splits.len()];
    let mut all = Vec::new();
    for key in Orbit::all() {
        let scores = task.probe(&embed(&graphlets.orbit(key).to_csr(), Sides::Left)?)?;
        for ((best, &validation), &test) in best.iter_mut().zip(&scores.validation).zip(&scores.test) {
            if validation > best.0 {
                *best = (validation, test, key);
            }
        }
        all.push((key, scores));
    }
    print("PPMI of the orbit key chosen on validation", &best.iter().map(|best| best.1).collect::<Vec<_>>());
    let chosen: Vec<String> = best.iter().map(|best| best.2.to_string()).collect();
    println!("chosen by split: {}", chosen.join(", "));
    println!("\nevery key, its mean over all splits (for orientation: no choice may be made by these)");
    for (key, scores) in &all {
        print(&key.to_string(), &scores.test);
    }
    Ok(())
}
