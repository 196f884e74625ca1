//! What MoCHi, FT and the Hallucinator change in MoCo, with the numbers their papers watch beside the accuracy:
//!
//! ```sh
//! cargo run --release --example hard_negatives                                   # rendered shapes, 40 steps: far below the papers'
//! cargo run --release --example hard_negatives -- --data optdigits --seeds 3     # protocol D8, batches of 64
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::augment::{Step, presets};
use contrastive::train::{MethodConfig, Metrics};
use contrastive::vision::evaluate::{Outcome, Protocol};
use contrastive::vision::method::*;
use std::error::Error;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    #[arg(long, default_value_t = 0.1)]
    temperature: f64,
    /// Keys in the queue.
    #[arg(long, default_value_t = 256)]
    queue: usize,
    /// Steps of plain MoCo before MoCHi mixes.
    #[arg(long, default_value_t = 100)]
    warm_up: usize,
}

/// Trains step by step; what the steps around 100 (or the first ones) saw, and the last ones, on average over ten steps each.
fn run<S: Settings>(
    protocol: &Protocol,
    settings: S,
    seed: u64,
    arguments: &Arguments,
    rows: &mut Vec<Outcome>,
) -> Result<[Metrics; 2], Box<dyn Error>> {
    let device = arguments.common.device()?;
    let start = Start::of(protocol);
    let name = settings.name().to_string();
    let mut training = protocol.config(settings).build(&protocol.train, seed, &device)?;
    let mut seen: [Vec<Metrics>; 2] = Default::default();
    for step in 0..start.steps {
        training.train_step()?;
        if step < 10 {
            seen[0].push(training.method().method().observed());
        }
        if step + 10 >= start.steps {
            seen[1].push(training.method().method().observed());
        }
    }
    let quality = protocol.quality(training.trained_model().encoder(), &device)?;
    rows.push(Outcome { name, quality, projected: f64::NAN, seconds: 0.0, waiting: 0.0 });
    Ok(seen.map(|steps| mean(&steps)))
}

struct Start {
    steps: usize,
}

impl Start {
    fn of(protocol: &Protocol) -> Self {
        let training = &protocol.frame.training;
        let steps = match training.budget {
            contrastive::train::Budget::Steps(steps) => steps,
            contrastive::train::Budget::Epochs(epochs) => epochs * (protocol.train.len() / training.batch_size),
        };
        Self { steps }
    }
}

fn mean(each: &[Metrics]) -> Metrics {
    let mut sums = Metrics::new();
    for (name, value) in each.iter().flatten() {
        *sums.entry(name.clone()).or_insert(0.0) += value / each.len() as f64;
    }
    sums
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut protocol = arguments.common.protocol()?;
    if arguments.common.batch.is_none() {
        protocol.frame = protocol.frame.with_batch(64);
    }
    let (queue, t) = (arguments.queue, arguments.temperature);
    let mochi = MochiConfig { warm_up: arguments.warm_up, ..MochiConfig::new(queue).with_temperature(t) };
    let ft = FeatureTransformConfig::new(queue).with_temperature(t);
    let maker = HallucinatorConfig::new(Host::Moco(queue)).with_temperature(t);
    // the same crops for the generator on and off: its first view keeps to the middle
    let mut boxed = protocol.clone();
    boxed.frame.views.each[0] = presets::boxed(boxed.frame.views.each[0].clone(), [0.25, 0.25, 0.75, 0.75], 0.1);
    let crops = boxed.frame.views.each[0].steps.iter().any(|chance| matches!(chance.step, Step::BoxedCrop { .. }));
    println!("the Hallucinator's first view: {}", if crops { "crops in the box" } else { "no crops in these views" });
    let (mut rows, mut watched) = (vec![protocol.raw()?], Vec::new());
    for seed in 0..arguments.common.seeds {
        rows.push(protocol.untrained(seed, &arguments.common.device()?)?);
        for settings in [mochi.without_mixtures(), mochi] {
            watched.push((settings.name(), run(&protocol, settings, seed, &arguments, &mut rows)?));
        }
        for (positives, negatives) in [(None, Some(1.6)), (Some(2.0), None), (Some(2.0), Some(1.6))] {
            let settings = ft.with_transforms(positives, negatives);
            watched.push((settings.name(), run(&protocol, settings, seed, &arguments, &mut rows)?));
        }
        for settings in [maker.off(), maker] {
            watched.push((settings.name(), run(&boxed, settings, seed, &arguments, &mut rows)?));
        }
        eprintln!("seed {seed} done");
    }
    vision::table(&protocol, &rows);
    println!("\nwhat the first ten and the last ten steps saw, seed by seed");
    for (name, [first, last]) in watched {
        let shown = last.iter().map(|(key, end)| match first.get(key) {
            Some(start) => format!("{key} {start:.3} -> {end:.3}"),
            None => format!("{key} {end:.3}"),
        });
        println!("{name:<26} {}", shown.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
