//! D-SLA on many small graphs: `cargo run --release --example dsla -- [--data tudataset/MUTAG]`.
//!
//! Without `--data`, generated graphs whose class is a motif. Trained on 80 % of the graphs without their classes; the others are
//! read by a linear probe, and their perturbed copies told from them. Smaller than the paper's setting: 3 layers, D = 32, 10 epochs
//! (paper: 5, 300, 100).

use clap::Parser;
use contrastive::Device;
use contrastive::eval::Summary;
use contrastive::graph::graphs::data::{GraphSet, MotifOptions, motif_graphs};
use contrastive::graph::graphs::evaluate::{discrimination, linear_probe};
use contrastive::graph::graphs::method::{DslaConfig, DslaModel, GraphFineTune};
use contrastive::train::{Budget, FitOptions, MethodConfig};
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser, Debug)]
struct Arguments {
    /// A folder of TUDataset or one file of graphs as text. Without it, generated graphs.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Width D.
    #[arg(long, default_value_t = 32)]
    dim: usize,
    /// Epochs.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Margin, in units of the embeddings.
    #[arg(long, default_value_t = 5.0)]
    margin: f64,
    /// Also fine-tune the encoders with a linear head, for as many epochs.
    #[arg(long)]
    fine_tune: bool,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

const COLUMNS: [&str; 5] = ["told", "rho(edits, d)", "within", "probe", "fine-tuned"];

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let set = match &arguments.data {
        Some(path) => GraphSet::read(path)?,
        None => {
            eprintln!("no --data: using GENERATED graphs (motifs on trees)");
            motif_graphs(&MotifOptions::default())?
        }
    };
    set.notes().iter().for_each(|note| eprintln!("note: {note}"));
    println!(
        "{}: {} graphs, {} nodes, {} edges, {} classes",
        set.name(),
        set.len(),
        set.num_nodes(),
        set.num_edges(),
        set.num_classes()
    );
    let device = Device::default();
    let mut config = DslaConfig { dim: arguments.dim, layers: 3, strong: false, ..DslaConfig::default() }
        .with_margin(arguments.margin);
    config.training = config.training.with_batch_size(32).with_budget(Budget::Epochs(arguments.epochs));
    let plain = config.clone().as_info_nce(0.2);
    let mut rows: [(&str, Vec<[f64; 5]>); 3] = [("untrained", vec![]), ("graph InfoNCE", vec![]), ("D-SLA", vec![])];
    for seed in 1..=arguments.seeds {
        let [train, test] = set.split(0.8, seed)?;
        let known = set.select(&train)?;
        let options = FitOptions::new(&device).seed(seed).progress(false);
        let models = [
            config.build(&known, seed, &device)?.trained_model(),
            plain.fit(&known, &options)?.model,
            config.fit(&known, &options)?.model,
        ];
        for ((_, scores), model) in rows.iter_mut().zip(&models) {
            scores.push(evaluate(&arguments, &config, model, &set, [&train, &test], seed)?);
        }
    }
    println!(
        "\n{} candidates of a graph: chance is {:.3}; means over {} seeds",
        config.candidates(),
        1.0 / config.candidates() as f64,
        arguments.seeds
    );
    println!("{:<16}{}", "", COLUMNS.map(|name| format!("{name:>16}")).concat());
    for (name, scores) in &rows {
        let cell = |at: usize| {
            let Summary { mean, std, .. } = Summary::of(&scores.iter().map(|row| row[at]).collect::<Vec<_>>());
            format!("{:>16}", if mean.is_nan() { "-".into() } else { format!("{mean:.3} +- {std:.3}") })
        };
        println!("{name:<16}{}", (0..COLUMNS.len()).map(cell).collect::<String>());
    }
    Ok(())
}

fn evaluate(
    arguments: &Arguments,
    config: &DslaConfig,
    model: &DslaModel,
    set: &GraphSet,
    [train, test]: [&[usize]; 2],
    seed: u64,
) -> Result<[f64; 5], Box<dyn Error>> {
    let told = discrimination(config, model, set, test, seed)?;
    let probe = linear_probe(set, model.embed(set).view(), [train, test])?;
    let tuned = match arguments.fine_tune {
        false => f64::NAN,
        true => {
            let tune = GraphFineTune::new().with_epochs(arguments.epochs).with_seed(seed);
            let classes = set.classes()?;
            let predicted = tune.run(model, set, train, &Device::default())?.predict(set, test);
            let right = predicted.iter().zip(test).filter(|(class, graph)| **class == classes[**graph]).count();
            right as f64 / test.len() as f64
        }
    };
    Ok([told.accuracy, told.correlation, told.within, probe, tuned])
}
