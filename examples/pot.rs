//! POT around GRACE, and GRACE beside it: `cargo run --release --example pot -- [--data planetoid/ind.cora] [--dim 64]`.
//!
//! Prints the mean score of the nodes (how much nearer each is to its positive than to its negatives, at least), its deviation over the
//! nodes, both also over the lengths of the embeddings (a score grows with them), the share of nodes below 0, the certified score, and
//! linear probes. `--certify` only bounds an untrained encoder, for graphs of any size.

#[allow(dead_code)]
#[path = "shared/nodes.rs"]
mod nodes;

use clap::Parser;
use contrastive::eval::Summary;
use contrastive::graph::node::evaluate::NodeReport;
use contrastive::graph::node::method::pot::{EdgeBudget, PotConfig, Score};
use contrastive::graph::node::method::{GraceConfig, NodeMethodConfig};
use std::{error::Error, time::Instant};

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: nodes::Run,
    /// Width of the embeddings and of the projector.
    #[arg(long, default_value_t = 16)]
    dim: usize,
    /// Share of the regulariser.
    #[arg(long, default_value_t = 0.3)]
    kappa: f64,
    /// The released score in place of the sound one.
    #[arg(long)]
    official: bool,
    /// Bounds for all views, whatever they lose.
    #[arg(long)]
    all_edges: bool,
    /// Only the certified score of an untrained encoder.
    #[arg(long)]
    certify: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (run, device) = (&arguments.run, arguments.run.device()?);
    let graph = run.graph()?;
    let host = GraceConfig::cora().with_dim(arguments.dim).with_projection(arguments.dim).with_feature_drop([0.0; 2]);
    let epochs = if arguments.certify { 0 } else { run.epochs(&host) };
    let score = if arguments.official { Score::Official } else { Score::Sound };
    let budget = if arguments.all_edges { EdgeBudget::All } else { EdgeBudget::Expected };
    let kappas = if arguments.certify { vec![0.0] } else { vec![0.0, arguments.kappa] };
    println!(
        "| kappa | score, mean | deviation over nodes | over the length, mean | deviation | below 0 | certified \
        | below 0 | outside the budget | s an epoch | probes |\n|{}",
        "---|".repeat(11)
    );
    for kappa in kappas {
        let config = PotConfig::new(host.clone()).with_kappa(kappa).with_score(score).with_budget(budget);
        let (mut columns, mut report, mut seconds) = (vec![Vec::new(); 8], NodeReport::default(), 0.0);
        for seed in run.seeds() {
            let mut training = config.build(&graph, seed, &device)?;
            let start = Instant::now();
            for _ in 0..epochs {
                training.train_epoch()?;
            }
            seconds += start.elapsed().as_secs_f64();
            let model = training.trained_model();
            let start = Instant::now();
            let certified = training.method().compactness(&model, Score::Certified, seed)?;
            if arguments.certify {
                println!("certified {} nodes in {:.1} s", certified.nodes.len(), start.elapsed().as_secs_f64());
            }
            let sound = training.method().compactness(&model, Score::Sound, seed)?;
            let (whole, relative, share) =
                (sound.summary(), sound.relative(), |count: usize| count as f64 / sound.nodes.len() as f64);
            let of_sound = [whole.mean, whole.std, relative.mean, relative.std, share(sound.below_zero())];
            let rest = [certified.summary().mean, share(certified.below_zero()), share(sound.outside)];
            let row = of_sound.into_iter().chain(rest);
            columns.iter_mut().zip(row).for_each(|(column, number)| column.push(number));
            if !arguments.certify {
                report.extend(NodeReport::of(&graph, training.embed().view(), seed)?);
            }
        }
        let runs = run.seeds().count() * epochs.max(1);
        let cells: Vec<String> = columns.iter().map(|column| format!("{:.4}", Summary::of(column).mean)).collect();
        println!("| {kappa} | {} | {:.2} | {report} |", cells.join(" | "), seconds / runs as f64);
    }
    Ok(())
}
