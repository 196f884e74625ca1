//! AdaInf (Wang et al. 2024): real and generated images together, how many copies of the real ones, and how strong the views.
//!
//! All arms train for the same number of steps. The generator is a Gaussian model of the real images, poor (pixels shuffled) or good.
//! Smaller than in the paper: 200 real and 2,000 generated digits, 250 steps of 100.
//!
//! ```sh
//! cargo run --release --example adainf                                                   # rendered shapes, 20 steps
//! cargo run --release --example adainf -- --data DATA/optdigits --seeds 3                # copies of 200 real digits
//! cargo run --release --example adainf -- --data DATA/fashion-mnist --real 500 --generated 5000 --steps 400 --seeds 3   # copies x strength
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::augment::{Views, presets};
use contrastive::data::image::ImageSet;
use contrastive::sampler::Copies;
use contrastive::train::Budget;
use contrastive::vision::data::{advice, distinguishable, inflated, noise_images};
use contrastive::vision::evaluate::{Outcome, Protocol};
use contrastive::vision::method::{AdaInfConfig, DistinctSimClrConfig, Settings, SimClrConfig, VisionModel};
use std::error::Error;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// Real images.
    #[arg(long, default_value_t = 200)]
    real: usize,
    /// Generated images.
    #[arg(long, default_value_t = 2000)]
    generated: usize,
    /// Copies of each real image in the inflated arms.
    #[arg(long, default_value_t = 10)]
    copies: usize,
}

struct Study {
    arguments: Arguments,
    protocol: Protocol,
    rows: Vec<Outcome>,
}

impl Study {
    /// Trains on a set, and scores by the protocol's labelled images.
    fn run<S: Settings>(&mut self, name: &str, set: &ImageSet, settings: S, views: Option<&Views>) -> Result {
        let device = self.arguments.common.device()?;
        for seed in 0..self.arguments.common.seeds {
            let mut frame = self.protocol.frame.clone();
            if let Some(views) = views {
                frame.views = views.clone();
            }
            let protocol = Protocol { train: set.clone(), frame, ..self.protocol.clone() };
            let (mut outcome, run) = protocol.run_watched(settings.clone(), seed, &device)?;
            outcome.quality = self.protocol.quality(run.trained_model().encoder(), &device)?;
            outcome.name = name.into();
            eprintln!("{name}, seed {seed}: NC5 {:.1}", outcome.quality.nc5);
            self.rows.push(outcome);
        }
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result {
    let arguments = Arguments::parse();
    let mut protocol = arguments.common.protocol()?;
    match &arguments.common.data {
        None => protocol = protocol.with_budget(Budget::Steps(arguments.common.steps.unwrap_or(20))),
        Some(_) => {
            protocol = protocol.with_budget(Budget::Steps(arguments.common.steps.unwrap_or(250)));
            protocol.frame = protocol.frame.with_batch(arguments.common.batch.unwrap_or(100));
        }
    }
    let temperature = if protocol.name == "D8" { 0.2 } else { 0.5 };
    let host = SimClrConfig::new(temperature);
    let real = protocol.train.first(arguments.real)?;
    let (count, m) = (real.len(), arguments.copies);
    let side = protocol.train.shape()[1];
    let (by_strength, colour) = (protocol.name != "D8", protocol.name == "C32");
    let generated = arguments.generated;
    let mut study = Study { arguments, protocol, rows: Vec::new() };
    if !by_strength || colour {
        study.run("no generated images", &real, AdaInfConfig::new(host, count, 1), None)?;
    }
    for poor in [true, false] {
        let what = if poor { "poor" } else { "good" };
        let made = noise_images(&real, generated, poor, 1)?;
        let score = distinguishable(real.rows().view(), made.rows().view(), 5, 1)?;
        let advised = advice(count, generated, Some(score))?;
        println!(
            "{what} generator: two-sample score {score:.2}; advised: {} copies, a share of {:.2} real, strength {:.2} ({})",
            advised.replicate, advised.share, advised.strength, advised.reason
        );
        let both = inflated(&real, &made)?;
        let of = |m: usize| AdaInfConfig::new(host, count, m);
        println!(
            "share of real draws: {:.4} with {m} copies, {:.4} with 1",
            of(m).source(&both, 100, 0)?.share(),
            of(1).source(&both, 100, 0)?.share()
        );
        if by_strength {
            for (views, strength) in [("strong", 1.0), ("weak", 0.0)] {
                let recipe = Views::two(presets::adainf(side, strength)?);
                if poor {
                    study.run(&format!("real alone, {views}"), &real, of(1), Some(&recipe))?;
                }
                study.run(&format!("{what}, 1 copy, {views}"), &both, of(1), Some(&recipe))?;
                study.run(&format!("{what}, {m} copies, {views}"), &both, of(m), Some(&recipe))?;
            }
            continue;
        }
        study.run(&format!("{what}, 1 copy"), &both, of(1), None)?;
        study.run(&format!("{what}, {m} copies"), &both, of(m), None)?;
        if poor {
            study.run(&format!("{what}, {m} copies, shuffled"), &both, of(m).with_copies(Copies::Shuffled), None)?;
            let apart =
                AdaInfConfig::new(DistinctSimClrConfig::new(temperature), count, m).with_copies(Copies::Shuffled);
            study.run(&format!("{what}, {m} copies, apart"), &both, apart, None)?;
        }
    }
    vision::table(&study.protocol, &study.rows);
    Ok(())
}
