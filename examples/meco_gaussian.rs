//! The mean of a Gaussian by an unnormalised model: MECO and binary NCE, landscape and runs:
//! `cargo run --release --example meco_gaussian -- [--seeds 3]`.
//!
//! Data N(R, 1), model log p~ = theta x - x^2 / 2, noise N(0, sd^2). The likelihood has curvature 1 for every R; NCE's landscape goes
//! flat. The sampled method needs noise that covers the data: with a narrow law few noise samples carry all the weight.

use clap::Parser;
#[path = "shared/mean_study.rs"]
mod mean_study;

use mean_study::{MeanStudy, StudyRun};

#[derive(Parser, Debug)]
struct Arguments {
    /// Runs of each setting.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Steps of a run.
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// MECO's learning rate.
    #[arg(long, default_value_t = 0.02)]
    rate: f64,
    /// MECO's share of a new batch in the moving average.
    #[arg(long, default_value_t = 0.1)]
    gamma: f64,
}

/// The smallest and the largest error of some runs.
fn errors(runs: &[StudyRun]) -> String {
    let (low, high) = runs.iter().fold((f64::INFINITY, 0f64), |(l, h), r| (l.min(r.error), h.max(r.error)));
    let show = |e: f64| if e < 1.0 { format!("{e:.3}") } else { format!("{e:.1}") };
    if high.is_finite() { format!("{}-{}", show(low), show(high)) } else { "runs away".to_string() }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    println!("Landscape, noise sd 1");
    println!(
        "{:>4} {:>14} {:>14} {:>20} {:>20}",
        "R", "curvature NCE", "curvature MLE", "gap NCE at 0.75 R", "gap MLE at 0.75 R"
    );
    for mean in [1.0, 2.0, 4.0, 6.0, 8.0, 16.0] {
        let study = MeanStudy::new(mean, 1.0);
        let theta = 0.75 * mean;
        let (nce, mle) = (study.nce_gap(theta), study.likelihood_gap(theta));
        println!("{mean:>4} {:>14.2e} {:>14} {nce:>20.2e} {mle:>20.3}", study.nce_curvature(), 1);
    }
    println!(
        "\n|error| of theta over {} seeds, {} steps, 64 data and 256 noise samples a step",
        arguments.seeds, arguments.steps
    );
    let head = ["R", "sd", "MECO", "gamma 1", "NCE 0.1", "NCE 0.5", "NCE 2.5", "fewest effective"];
    println!("{}", head.map(|h| format!("{h:>16}")).concat());
    for (mean, sd) in [(2.0, 1.0), (3.0, 1.0), (3.0, 2.0), (4.0, 2.0), (6.0, 4.0)] {
        let study = |seed| MeanStudy::new(mean, sd).with_steps(arguments.steps, seed);
        let meco = |gamma: f64| {
            (0..arguments.seeds).map(|s| study(s).meco(arguments.rate, gamma)).collect::<Result<Vec<_>, _>>()
        };
        let nce = |rate: f64| (0..arguments.seeds).map(|s| study(s).nce(rate)).collect::<Vec<_>>();
        let runs = meco(arguments.gamma)?;
        let fewest = runs.iter().map(|r| r.fewest_effective).fold(f64::INFINITY, f64::min);
        let columns = [
            format!("{mean}"),
            format!("{sd}"),
            errors(&runs),
            errors(&meco(1.0)?),
            errors(&nce(0.1)),
            errors(&nce(0.5)),
            errors(&nce(2.5)),
            format!("{fewest:.1}"),
        ];
        println!("{}", columns.map(|c| format!("{c:>16}")).concat());
    }
    Ok(())
}
