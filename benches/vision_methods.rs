//! What a step of each method on images costs beside the method it changes: CPU time and memory, protocol D8, batches of 128.
//!
//! ```text
//! cargo bench --bench vision_methods --no-default-features --features flex,vision -- [--data OPTDIGITS] [--steps 60] [--rounds 5]
//! ```
//!
//! Methods take turns in every round; the table has the median round. Views are made within the step. Memory is the most that a step holds
//! beyond what was there before it.

use clap::Parser;
use contrastive::Device;
use contrastive::data::image::shapes;
use contrastive::memory::DyCeConfig;
use contrastive::opta::OpTa;
use contrastive::train::MethodConfig;
use contrastive::vision::data::{Ahead, digits};
use contrastive::vision::evaluate::Protocol;
use contrastive::vision::method::*;
use ndarray::Array2;
use std::{error::Error, path::PathBuf};

#[path = "measure/mod.rs"]
mod measure;
use measure::cost;

#[derive(Parser)]
struct Options {
    /// The folder of optdigits; without it, rendered shapes of 8 x 8 in colour.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Steps of a method in a round.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only methods whose name or whose base begins so.
    #[arg(long, default_value = "")]
    only: String,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

type Step = Box<dyn FnMut() -> Result<(), Box<dyn Error>>>;

/// A method, the one it is compared with, the most its step may cost, and what was measured: CPU seconds of a step by round, bytes.
struct Row {
    name: &'static str,
    beside: &'static str,
    goal: Option<f64>,
    step: Step,
    seconds: Vec<f64>,
    bytes: usize,
}

impl Row {
    /// After `before` steps that do not count: queues are full, warm-ups are over.
    fn new<S: Settings + 'static>(
        (name, beside, goal): (&'static str, &'static str, Option<f64>),
        protocol: &Protocol,
        settings: S,
        before: usize,
    ) -> Result<Self, Box<dyn Error>>
    where
        VisionTraining<S>: 'static,
    {
        let mut training = protocol.config(settings).build(&protocol.train, 1, &Device::default())?;
        for _ in 0..before {
            training.train_step()?;
        }
        let step: Step = Box::new(move || training.train_step().map(drop).map_err(Into::into));
        Ok(Self { name, beside, goal, step, seconds: Vec::new(), bytes: 0 })
    }

    fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let parts = match &options.data {
        Some(folder) => digits(folder)?,
        None => [shapes(3823, 8, 1), shapes(500, 8, 2)],
    };
    let mut protocol = Protocol::d8(parts);
    // no thread ahead: all that a step costs is counted, and nothing else
    protocol.ahead = Ahead { threads: 0, batches: 1 };
    let (queue, before) = (1024, 40);
    let mochi = MochiConfig { warm_up: 0, ..MochiConfig::new(queue) };
    // 8,192 rows are full after 64 steps; neighbours from the second epoch on
    let memory = DyCeConfig { restarts: 1, ..DyCeConfig::new(8192, 200, 5) };
    let beclr = BeclrConfig::new(memory).from_epoch(2, 1000);
    let mut rows = vec![
        Row::new(("SimCLR", "SimCLR", None), &protocol, SimClrConfig::new(0.5), before)?,
        Row::new(("MoCo", "MoCo", None), &protocol, MocoConfig::new(queue), before)?,
        Row::new(("MoCHi", "MoCo", Some(1.3)), &protocol, mochi, before)?,
        Row::new(("FT", "MoCo", Some(1.3)), &protocol, FeatureTransformConfig::new(queue), before)?,
        Row::new(("Hallucinator", "MoCo", Some(1.3)), &protocol, HallucinatorConfig::new(Host::Moco(queue)), before)?,
        Row::new(("GroCo, k 10", "SimCLR", Some(1.3)), &protocol, GroCoConfig::new(10), before)?,
        Row::new(("CACR, V 2", "SimCLR", Some(1.3)), &protocol, CacrConfig::default(), before)?,
        Row::new(("AMCL, 3 heads", "SimCLR", Some(2.0)), &protocol, AmclConfig::new(3), before)?,
        Row::new(("BECLR, no memory", "SimCLR", None), &protocol, beclr.clone().without_memory(), before)?,
        Row::new(
            ("BECLR, DyCE 8,192 kept, not read", "BECLR, no memory", Some(1.3)),
            &protocol,
            beclr.clone().from_epoch(1_000_000, 1000),
            100,
        )?,
        Row::new(("BECLR, DyCE 8,192", "BECLR, no memory", Some(1.3)), &protocol, beclr, 100)?,
    ];
    rows.retain(|row| row.name.starts_with(&options.only) || row.beside.starts_with(&options.only));
    for _ in 0..options.rounds {
        for row in &mut rows {
            let (seconds, bytes, done) = cost(|| (0..options.steps).try_for_each(|_| (row.step)()));
            done?;
            row.seconds.push(seconds / options.steps as f64);
            row.bytes = row.bytes.max(bytes);
        }
    }
    println!("| method | CPU ms a step | beside | ratio | goal | MiB |\n|---|---|---|---|---|---|");
    for row in &rows {
        let base = rows.iter().find(|other| other.name == row.beside).map_or(f64::NAN, Row::median);
        let goal = row.goal.map_or(String::new(), |goal| format!("{goal}"));
        let (each, mib) = (1e3 * row.median(), row.bytes as f64 / f64::from(1 << 20));
        let ratio = row.median() / base;
        println!("| {} | {each:.2} | {} | {ratio:.2} | {goal} | {mib:.1} |", row.name, row.beside);
    }
    let numbers = measure::numbers(80, 64, 7);
    let rows = |from: usize, count: usize| {
        Array2::from_shape_fn((count, 64), |(i, j)| {
            numbers[(from + i) * 64 + j] + if i % 5 == j % 5 { 0.3 } else { 0.0 }
        })
    };
    let (means, queries) = (rows(0, 5), rows(5, 75));
    for (name, by) in [("one shot", OpTa::one_shot()), ("several shots", OpTa::several_shots())] {
        let (seconds, _, done) = cost(|| (0..200).try_for_each(|_| by.align(means.view(), queries.view()).map(drop)));
        done?;
        println!("OpTA, {name}: {:.3} CPU ms an episode of 5 ways and 75 queries of width 64; goal 1", 5.0 * seconds);
    }
    Ok(())
}
