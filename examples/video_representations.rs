//! Which loss on videos finds what the agent controls? Four losses against four kinds of noise on a small grid:
//! `cargo run --release --example video_representations -- [--seeds 3] [--noise exogenous] [--pixels] [--remedy]`
//!
//! Each cell: accuracy of the state from 100 labelled observations (nearest neighbour), and success of tabular Q-learning on clusters
//! of the features. The videos are generated: 400 episodes of 10 random moves.

use clap::{Parser, ValueEnum};
use contrastive::Device;
use contrastive::rl::RlError;
use contrastive::rl::evaluate::{QLearning, probe, q_learning, split};
use contrastive::rl::method::video::{Negatives, VideoConfig, VideoObjective, embed};
use contrastive::rl::world::grid::{ExoGrid, Noise, PIXELS, Sight, Videos, Walker};
use contrastive::train::{Budget, FitOptions, MethodConfig, TrainingConfig};
use std::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kind {
    None,
    Iid,
    Exogenous,
    All,
}

#[derive(Parser, Debug)]
struct Arguments {
    /// Runs of each cell.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The kind of noise.
    #[arg(long, value_enum, default_value_t = Kind::All)]
    noise: Kind,
    /// Steps of training; 1,000 without.
    #[arg(long)]
    steps: Option<usize>,
    /// The grid as pictures of 50 x 50, and dots as noise, read by a small convolutional net (250 steps of 64 at 1e-3 unless --steps).
    #[arg(long)]
    pixels: bool,
    /// Instead: where the negatives come from, by amplitude and batch.
    #[arg(long)]
    remedy: bool,
}

/// Probe accuracy, and success of Q-learning where it is asked for.
fn run(noise: Noise, config: &VideoConfig, seed: u64, control: bool) -> Result<(f64, f64), RlError> {
    let sight = if config.pictures.is_some() { Sight::Picture } else { Sight::Turned };
    let world = ExoGrid::new(noise, seed)?.with_sight(sight);
    let videos = Videos::record(&world, 400, 10, Walker::Uniform, seed);
    let options = FitOptions::new(&Device::flex()).seed(seed).progress(false).evaluate_every(0);
    let trained = config.fit(&videos, &options)?;
    let unit = config.unit_features();
    let features = embed(&trained.model, videos.frames.view(), unit);
    let [bank, tests] = split(features.nrows(), 100, 500, seed);
    let pick = |rows: &[usize]| features.select(ndarray::Axis(0), rows);
    let states = |rows: &[usize]| rows.iter().map(|row| videos.states[*row]).collect::<Vec<_>>();
    let accuracy = probe(pick(&bank).view(), &states(&bank), pick(&tests).view(), &states(&tests))?;
    let success = match control {
        true => q_learning(&world, features.view(), |x| embed(&trained.model, x, unit), &QLearning::default(), seed)?,
        false => 0.0,
    };
    Ok((accuracy, success))
}

fn range(values: &[f64]) -> String {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
    if high - low < 0.005 { format!("{low:.2}") } else { format!("{low:.2}-{high:.2}") }
}

const ANYWHERE: VideoObjective = VideoObjective::Contrast { negatives: Negatives::Anywhere };

fn table(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let vectors = [
        ("none", Kind::None, Noise::None),
        ("iid .3", Kind::Iid, Noise::Iid(0.3)),
        ("exogenous .3", Kind::Exogenous, Noise::Exogenous(0.3)),
        ("exogenous .1", Kind::Exogenous, Noise::Exogenous(0.1)),
    ];
    let pictures = [
        ("none", Kind::None, Noise::None),
        ("dots anew", Kind::Iid, Noise::Iid(1.0)),
        ("dots that drift", Kind::Exogenous, Noise::Exogenous(1.0)),
    ];
    let rows = if arguments.pixels { &pictures[..] } else { &vectors };
    let steps = arguments.steps.unwrap_or(if arguments.pixels { 250 } else { 1000 });
    let objectives = [VideoObjective::Autoencoder, VideoObjective::Forward, ANYWHERE, VideoObjective::Acro];
    let head = ["autoencoder", "forward", "contrast", "ACRO"].map(|name| format!("{name:>24}")).concat();
    println!("{} seeds, {} steps: accuracy of the state / success", arguments.seeds, steps);
    println!("{:<16}{head}", "noise");
    for &(name, kind, noise) in rows {
        if arguments.noise != Kind::All && arguments.noise != kind {
            continue;
        }
        let mut cells = String::new();
        for objective in objectives {
            let (batch, rate) = if arguments.pixels { (64, 1e-3) } else { (128, 1e-2) };
            let config =
                VideoConfig::new(objective).with_training(TrainingConfig::new(Budget::Steps(steps), batch, rate));
            let config = if arguments.pixels { config.with_pictures(PIXELS, &[8, 16, 32]) } else { config };
            let found =
                (0..arguments.seeds).map(|seed| run(noise, &config, seed, true)).collect::<Result<Vec<_>, _>>()?;
            let [accuracy, success]: [Vec<f64>; 2] =
                [found.iter().map(|f| f.0).collect(), found.iter().map(|f| f.1).collect()];
            cells += &format!("{:>24}", format!("{} / {}", range(&accuracy), range(&success)));
        }
        println!("{name:<16}{cells}");
    }
    Ok(())
}

/// Where the negatives come from, against exogenous noise.
fn remedy(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let sources = [Negatives::Anywhere, Negatives::OtherEpisodes, Negatives::SameEpisode];
    println!("exogenous noise, accuracy of the state by where the negatives come from; {} seeds", arguments.seeds);
    let head =
        ["anywhere", "other episodes", "same episode", "anywhere, dot, t 1"].map(|name| format!("{name:>20}")).concat();
    println!("{:>10}{:>8}{head}", "amplitude", "batch");
    for amplitude in [0.1, 0.3, 1.0] {
        for batch in [32, 128, 512] {
            let training = TrainingConfig::new(Budget::Steps(arguments.steps.unwrap_or(1000)), batch, 1e-2);
            let contrast =
                |negatives| VideoConfig::new(VideoObjective::Contrast { negatives }).with_training(training.clone());
            // the release compares inner products at temperature 1
            let released = contrast(Negatives::Anywhere).with_temperature(1.0, false);
            let mut cells = String::new();
            for config in sources.map(contrast).into_iter().chain([released]) {
                let noise = Noise::Exogenous(amplitude);
                let found = (0..arguments.seeds).map(|seed| Ok(run(noise, &config, seed, false)?.0));
                cells += &format!("{:>20}", range(&found.collect::<Result<Vec<_>, RlError>>()?));
            }
            println!("{amplitude:>10}{batch:>8}{cells}");
        }
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.remedy { remedy(&arguments) } else { table(&arguments) }
}
