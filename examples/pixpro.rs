//! PixPro and PixContrast (Xie et al. 2021) on canvases of 3 x 3 digits, beside SimCLR on the whole canvas: what a linear probe reads in single
//! cells of the frozen feature map.
//!
//! ```sh
//! cargo run --release --example pixpro                                              # tiles are rendered shapes, 20 steps
//! cargo run --release --example pixpro -- --data optdigits --seeds 3                # 600 steps of 64
//! ```

use clap::Parser;
use contrastive::Device;
use contrastive::data::augment::{Augmentation, Interpolation, Step, Views};
use contrastive::data::image::{ImageSet, shapes};
use contrastive::eval::Summary;
use contrastive::train::{Budget, MethodConfig, Trainee, TrainingConfig};
use contrastive::vision::data::{Ahead, Canvases, digits};
use contrastive::vision::encoder::EncoderConfig;
use contrastive::vision::evaluate::{Measures, Protocol, cell_probe};
use contrastive::vision::method::*;
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// A folder with optdigits. Without it, rendered shapes.
    #[arg(long)]
    data: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps of 64 canvases; 600 with --data, 20 without.
    #[arg(long)]
    steps: Option<usize>,
    /// Canvases to learn from, and to judge by.
    #[arg(long, num_args = 2, default_values_t = [1000, 400])]
    canvases: Vec<usize>,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (parts, steps): ([ImageSet; 2], usize) = match &arguments.data {
        Some(path) => (digits(path)?, 600),
        None => {
            eprintln!("no --data: using GENERATED images (canvases of rendered shapes)");
            ([shapes(300, 8, 1), shapes(150, 8, 2)], 20)
        }
    };
    let canvas = |part: usize| Canvases::new(&parts[part], 3, arguments.canvases[part], 1 + part as u64);
    let [train, test] = [canvas(0)?, canvas(1)?];
    let [_, height, _] = train.images.shape();
    let crop =
        Step::Crop { area: [0.4, 1.0], aspect: [0.75, 4.0 / 3.0], interpolation: Interpolation::Bilinear, centre: 1 };
    let views = Views::two(Augmentation::new(height).then(crop.always()).then(Step::Noise(0.1).always()));
    // two halvings: 24 pixels become 6 cells
    let training = TrainingConfig::new(Budget::Steps(arguments.steps.unwrap_or(steps)), 64, 2e-3);
    let frame = Frame::new(EncoderConfig::conv(&[32, 64]), [128, 64], views, training);
    let (measures, ahead) = (Measures::DIGITS, Ahead::default());
    let protocol =
        Protocol { name: "canvases", train: train.images.clone(), test: test.images.clone(), frame, measures, ahead };
    let device = Device::default();
    let both = [&train, &test];
    println!(
        "{} canvases to learn from, {} to judge by: accuracy in single cells",
        train.images.len(),
        test.images.len()
    );
    println!("{:<28} {:.1}", "pixels of the tile", cell_probe(None, both, &device)?);
    let mut table: Vec<(&str, Vec<f64>, Vec<f64>)> = Vec::new();
    for seed in 0..arguments.seeds {
        let mut add = |name: &'static str, accuracy: f64, spread: f64| match table.iter_mut().find(|row| row.0 == name)
        {
            Some(row) => {
                row.1.push(accuracy);
                row.2.push(spread);
            }
            None => table.push((name, vec![accuracy], vec![spread])),
        };
        let plain = (device.clone().inner(), burn::tensor::DType::F32);
        let untrained = protocol.frame.encoder.init(protocol.train.shape(), seed, &plain)?;
        add("untrained", cell_probe(Some(&untrained), both, &device)?, f64::NAN);
        macro_rules! row {
            ($settings:expr) => {{
                let settings = $settings;
                let mut run = protocol.config(settings).build(&protocol.train, seed, &device)?;
                for _ in 0..arguments.steps.unwrap_or(steps) {
                    run.train_step()?;
                }
                let spread = run.evaluate()?.and_then(|metrics| metrics.get("spread").copied()).unwrap_or(f64::NAN);
                add(settings.name(), cell_probe(Some(run.trained_model().encoder()), both, &device)?, spread);
            }};
        }
        row!(SimClrConfig::new(0.2));
        row!(PixProConfig::contrast());
        row!(PixProConfig::consistency());
        row!(PixProConfig::contrast().with_instance(1.0));
        row!(PixProConfig::consistency().with_instance(1.0));
        eprintln!("seed {seed} done");
    }
    for (name, accuracies, spreads) in table {
        let (accuracy, spread) = (Summary::of(&accuracies), Summary::of(&spreads));
        println!(
            "{name:<28} {:.1} +- {:.1}   spread of the projections {:.3}",
            accuracy.mean, accuracy.std, spread.mean
        );
    }
    Ok(())
}
