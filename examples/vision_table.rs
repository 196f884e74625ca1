//! All methods on images in one frame: the same encoder, views and steps, beside raw pixels, the untrained and a supervised encoder.
//!
//! ```sh
//! cargo run --release --example vision_table                                              # rendered shapes, 40 steps
//! cargo run --release --example vision_table -- --data optdigits --seeds 3                # protocol D8
//! cargo run --release --example vision_table -- --data fashion-mnist --steps 120 --seeds 3
//! cargo run --release --example vision_table -- --data optdigits --only simclr,swav       # some of them
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::vision::evaluate::{Outcome, Protocol};
use contrastive::vision::method::*;
use std::error::Error;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// Temperature of SimCLR and DCL; those with a queue have half of it.
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// Rows of queues.
    #[arg(long, default_value_t = 256)]
    queue: usize,
    /// SwAV's prototypes.
    #[arg(long, default_value_t = 60)]
    prototypes: usize,
    /// Some of the methods: simclr, dcl, moco, nnclr, ressl, simsiam, byol, barlow, vicreg, swav, dino, cacr, groco, mochi, ft, hallucinator,
    /// amcl, isogclr, supervised.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[rustfmt::skip]
const ALL: [&str; 19] = [
    "simclr", "dcl", "moco", "nnclr", "ressl", "simsiam", "byol", "barlow", "vicreg", "swav", "dino", "cacr", "groco", "mochi", "ft",
    "hallucinator", "amcl", "isogclr", "supervised",
];

fn run(name: &str, arguments: &Arguments, protocol: &Protocol, seed: u64) -> Result<Outcome, Box<dyn Error>> {
    let (common, t, queue) = (&arguments.common, arguments.temperature, arguments.queue);
    let output = protocol.frame.projector[1];
    match name {
        "simclr" => common.run(protocol, SimClrConfig::new(t), seed),
        "dcl" => common.run(protocol, DclConfig::new(t), seed),
        "moco" => common.run(protocol, MocoConfig::new(queue).with_temperature(t / 2.0), seed),
        "nnclr" => common.run(protocol, NnClrConfig { temperature: t / 2.0, queue, predictor: output }, seed),
        "ressl" => common.run(protocol, ReSslConfig { student: 0.1, teacher: 0.04, queue, momentum: 0.99 }, seed),
        "simsiam" => common.run(protocol, SimSiamConfig::new((output / 4).max(1)), seed),
        "byol" => common.run(protocol, ByolConfig::new(2 * output), seed),
        "barlow" => common.run(protocol, BarlowTwinsConfig::default(), seed),
        "vicreg" => common.run(protocol, VicRegConfig::default(), seed),
        "swav" => common.run(protocol, SwAvConfig::new(arguments.prototypes), seed),
        "dino" => common.run(protocol, DinoConfig::new(4 * output), seed),
        "cacr" => common.run(protocol, CacrConfig::default(), seed),
        "groco" => common.run(protocol, GroCoConfig::new(10), seed),
        "mochi" => common.run(protocol, MochiConfig::new(queue).with_temperature(t / 2.0), seed),
        "ft" => common.run(protocol, FeatureTransformConfig::new(queue).with_temperature(t / 2.0), seed),
        "hallucinator" => {
            common.run(protocol, HallucinatorConfig::new(Host::Moco(queue)).with_temperature(t / 2.0), seed)
        }
        "amcl" => common.run(protocol, AmclConfig::new(3), seed),
        "isogclr" => common.run(protocol, ISogClrConfig::default(), seed),
        "supervised" => Ok(protocol.supervised(seed, &common.device()?)?),
        _ => Err(format!("--only {name}: allowed are {}", ALL.join(", ")).into()),
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let protocol = arguments.common.protocol()?;
    let chosen = if arguments.only.is_empty() { ALL.map(String::from).to_vec() } else { arguments.only.clone() };
    let mut rows = vec![protocol.raw()?];
    for seed in 0..arguments.common.seeds {
        rows.push(protocol.untrained(seed, &arguments.common.device()?)?);
    }
    for name in &chosen {
        for seed in 0..arguments.common.seeds {
            rows.push(run(name, &arguments, &protocol, seed)?);
            eprintln!("{name}, seed {seed}: NC5 {:.1}", rows.last().map_or(0.0, |row| row.quality.nc5));
        }
    }
    vision::table(&protocol, &rows);
    Ok(())
}
