//! SepCLR (Louiset et al. 2024): what two kinds of images share, and what only one of them has.
//!
//! Half of the images have something on them: stripes on digits, or digits on clothes. The common space should tell the digit (the
//! clothes), the salient one what lies on it. Smaller than in the paper: weights 10, 10, 10 and batches of 128.
//!
//! ```sh
//! cargo run --release --example sepclr                                                  # generated digits, 60 steps
//! cargo run --release --example sepclr -- --data DATA/optdigits --seeds 3               # digits with stripes, 400 steps
//! cargo run --release --example sepclr -- --data DATA/fashion-mnist --digits DATA/optdigits --seeds 3   # digits on clothes
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::augment::{Views, presets};
use contrastive::data::image::{ImageSet, Images, shapes};
use contrastive::objective::Attribute;
use contrastive::train::{Budget, TrainingConfig};
use contrastive::vision::data::{TwoKinds, digits, digits_on, striped};
use contrastive::vision::encoder::{EncoderConfig, embed};
use contrastive::vision::evaluate::Protocol;
use contrastive::vision::method::{Frame, SepClrConfig, Separation, SimClrConfig, VisionModel};
use std::error::Error;
use std::path::PathBuf;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// With clothes as --data: the folder of the digits that lie on them.
    #[arg(long)]
    digits: Option<PathBuf>,
    /// Width of the representations.
    #[arg(long, default_value_t = 16)]
    width: usize,
}

/// Shapes in grey, 8 x 8: digits where there is no file.
fn generated(count: usize, seed: u64) -> Result<ImageSet> {
    let set = shapes(count, 8, seed);
    Ok(ImageSet::new(Images {
        name: "generated shapes".into(),
        shape: [1, 8, 8],
        white: 255,
        pixels: (0..count).flat_map(|image| set.bytes(image)[..64].to_vec()).collect(),
        labels: (0..count).map(|image| set.label(image).map_or(-1, |label| label as i32)).collect(),
        classes: set.classes().to_vec(),
        ids: set.ids().to_vec(),
        notes: Vec::new(),
    })?)
}

/// The two parts and the protocol: the small one of 8 x 8 images, or that of clothes.
fn data(arguments: &Arguments) -> Result<([TwoKinds; 2], Protocol)> {
    let common = &arguments.common;
    let small = |[train, test]: [ImageSet; 2]| -> Result<([TwoKinds; 2], Protocol)> {
        let parts = [striped(&train, 1)?, striped(&test, 2)?];
        let mut d8 = Protocol::d8(parts.clone().map(|part| part.set));
        let training = TrainingConfig::new(Budget::Steps(400), 128, 2e-3);
        d8.frame = Frame::new(EncoderConfig::mlp(&[192, 64]), [64, 16], Views::two(presets::d8(0.4)), training);
        Ok((parts, d8))
    };
    let (parts, mut protocol) = match (&common.data, &arguments.digits) {
        (None, _) => {
            eprintln!("no --data: using GENERATED images (rendered shapes of 8 x 8 with stripes)");
            let (parts, protocol) = small([generated(600, 1)?, generated(300, 2)?])?;
            (parts, protocol.with_budget(Budget::Steps(60)))
        }
        (Some(path), None) => small(digits(path)?)?,
        (Some(_), Some(folder)) => {
            let f28 = common.protocol()?;
            let [train, test] = digits(folder)?;
            let parts = [digits_on(&f28.train, &train, 1)?, digits_on(&f28.test, &test, 2)?];
            let [train, test] = parts.clone().map(|part| part.set);
            (parts, Protocol { train, test, ..f28.with_budget(Budget::Steps(400)) })
        }
    };
    if let Some(steps) = common.steps {
        protocol = protocol.with_budget(Budget::Steps(steps));
    }
    Ok((parts, protocol))
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result {
    let arguments = Arguments::parse();
    let (parts, protocol) = data(&arguments)?;
    let [train, test] = &parts;
    let device = arguments.common.device()?;
    // targets' stripes or digits as a known, discrete attribute
    let class = Attribute { values: train.salient.iter().map(|class| f64::from(*class)).collect(), width: 5e-6 };
    let base = SepClrConfig::new(&train.kinds).with_representation(arguments.width);
    let arms = [
        ("SepCLR", base.clone()),
        ("no joint entropy", base.clone().with_weights([1.0, 1.0, 0.0])),
        ("one coordinate, attribute known", base.with_weights([10.0, 0.0, 10.0]).with_attributes(vec![class])),
    ];
    println!("{}: of {} target images, points of 100 by 20 neighbours", protocol.train.name(), test.targets().len());
    println!("{:<34}{:>21}{:>25}", "", "common attribute from", "salient attribute from");
    println!("{:<34}{:>10}{:>11}{:>14}{:>11}", "", "common", "salient", "common", "salient");
    let line = |name: &str, found: Separation| {
        let Separation { common: [a, b], salient: [c, d] } = found;
        println!("{name:<34}{a:>10.1}{b:>11.1}{c:>14.1}{d:>11.1}");
    };
    for seed in 0..arguments.common.seeds {
        for (name, settings) in &arms {
            let (_, run) = protocol.run_watched(settings.clone(), seed, &device)?;
            let model = run.trained_model();
            let rows = [model.represent(&train.set, &device)?, model.represent(&test.set, &device)?];
            line(&format!("{name}, seed {seed}"), Separation::of((&rows[0], train), (&rows[1], test), 20)?);
        }
        let (_, run) = protocol.run_watched(SimClrConfig::new(0.2), seed, &device)?;
        let rows = |set| embed(run.trained_model().encoder(), set, &device).map(|rows| [rows.clone(), rows]);
        let (a, b) = (rows(&train.set)?, rows(&test.set)?);
        line(&format!("SimCLR, one tower, seed {seed}"), Separation::of((&a, train), (&b, test), 20)?);
    }
    Ok(())
}
