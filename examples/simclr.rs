//! SimCLR (Chen et al. 2020) on images: two views of each, one encoder, the other views of the batch as negatives.
//!
//! ```sh
//! cargo run --release --example simclr                                       # rendered shapes, 40 steps: settings far below the paper's
//! cargo run --release --example simclr -- --data optdigits --seeds 3         # protocol D8
//! cargo run --release --example simclr -- --data fashion-mnist --epochs 5
//! cargo run --release --example simclr -- --by-hand                          # the same loop, written out
//! cargo run --release --example simclr -- --run-dir runs/simclr --steps 20   # and on with --steps 40 --resume
//! ```

#[path = "shared/vision.rs"]
mod vision;

use burn::module::Module;
use burn::tensor::DType;
use clap::Parser;
use contrastive::head::MlpHeadConfig;
use contrastive::objective::NtXent;
use contrastive::train::{Budget, Parameters, epoch_rng};
use contrastive::vision::data::{Ahead, Loader};
use contrastive::vision::evaluate::{Outcome, Protocol};
use contrastive::vision::method::{Projected, SimClrConfig, VisionModel};
use std::error::Error;
use std::time::Instant;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// The paper: 0.1 on ImageNet, 0.5 on CIFAR; the protocol D8: 0.2.
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// The loop written out below, instead of that of the library.
    #[arg(long)]
    by_hand: bool,
}

/// Algorithm 1 of the paper.
fn by_hand(protocol: &Protocol, arguments: &Arguments, seed: u64) -> Result<Outcome, Box<dyn Error>> {
    let (frame, device) = (&protocol.frame, arguments.common.device()?);
    let (plain, on) = ((device.clone(), DType::F32), (device.clone().autodiff(), DType::F32));
    let encoder = frame.encoder.init(protocol.train.shape(), seed, &on)?;
    let [hidden, output] = frame.projector;
    let projector = MlpHeadConfig::new(encoder.width(), hidden, output).init(seed + 100, &on.0)?;
    let mut parameters = Parameters::new(Projected { encoder, projector }, &frame.training.optimiser, &[])?;
    let objective = NtXent::new(arguments.temperature)?;
    let mut loader = Loader::new(&protocol.train, &frame.views, frame.training.batch_size, Ahead::default(), plain)?;
    let steps = match frame.training.budget {
        Budget::Steps(steps) => steps,
        Budget::Epochs(epochs) => epochs * (protocol.train.len() / frame.training.batch_size),
    };
    let (start, mut left, mut epoch) = (Instant::now(), 0, 0);
    for _ in 0..steps {
        if left == 0 {
            epoch += 1;
            left = loader.start(epoch, &mut epoch_rng(seed, epoch));
        }
        left -= 1;
        let batch = loader.next_batch();
        let [first, second] = batch.pair(|view| parameters.model().project(view));
        parameters.optimizer_step(&objective.loss(first, second), frame.training.learning_rate);
    }
    let seconds = start.elapsed().as_secs_f64();
    let quality = protocol.quality(&parameters.model().encoder.valid(), &device)?;
    Ok(Outcome { name: "SimCLR by hand".into(), quality, projected: f64::NAN, seconds, waiting: 0.0 })
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let protocol = arguments.common.protocol()?;
    let mut rows = vec![protocol.raw()?];
    for seed in 0..arguments.common.seeds {
        rows.push(protocol.untrained(seed, &arguments.common.device()?)?);
        rows.push(match arguments.by_hand {
            true => by_hand(&protocol, &arguments, seed)?,
            false => arguments.common.run(&protocol, SimClrConfig::new(arguments.temperature), seed)?,
        });
    }
    vision::table(&protocol, &rows);
    Ok(())
}
