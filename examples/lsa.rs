//! LSA on images whose labels are partly wrong: the detectors in turn, each alone, none, and one that knows.
//!
//! ```sh
//! cargo run --release --example lsa                                                              # rendered shapes, 4 epochs
//! cargo run --release --example lsa -- --data optdigits --foreign fashion-mnist --seeds 3        # D8, 40 epochs
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::augment::presets;
use contrastive::data::image::shapes;
use contrastive::train::{Budget, FitOptions, MethodConfig, Schedule, TrainingConfig};
use contrastive::vision::data::fashion;
use contrastive::vision::method::{SimClrConfig, VisionModel};
use contrastive::vision::robustness::lsa::{Detector, Features, LsaConfig, LsaViews, NoisyImages};
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// A folder with Fashion-MNIST, whose images are the foreign ones; rendered shapes without.
    #[arg(long)]
    foreign: Option<PathBuf>,
    /// The share of foreign images.
    #[arg(long, default_value_t = 0.4)]
    replaced: f64,
    /// The share of images with another class's label.
    #[arg(long, default_value_t = 0.1)]
    flipped: f64,
    /// Epochs with labels.
    #[arg(long, default_value_t = 40)]
    labelled_epochs: usize,
    /// Epochs before the first detection; the paper has none, of 195 steps and more each, where an epoch of D8 has 29.
    #[arg(long, default_value_t = 0)]
    warm_up: usize,
    /// Weight of the divergence of the mean prediction from even classes (PLS: 1).
    #[arg(long, default_value_t = 0.0)]
    balance: f64,
    /// Some of the arms, by their number in the table, counted from 0.
    #[arg(long, value_delimiter = ',')]
    only: Vec<usize>,
}

const ARMS: [&str; 6] = ["CE + mixup", "loss only", "linear only", "alternate", "alternate, two networks", "oracle"];

fn arm(name: &str, plain: LsaConfig) -> LsaConfig {
    match name {
        "CE + mixup" => plain.plain(),
        "loss only" => plain.with_detectors(&[Detector::Loss]),
        "linear only" => plain.with_detectors(&[Detector::Linear]),
        "alternate" => plain,
        "oracle" => plain.with_detectors(&[Detector::Oracle]),
        _ => LsaConfig { networks: 2, ..plain },
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (device, protocol) = (arguments.common.device()?, arguments.common.protocol()?);
    let epochs = if arguments.common.data.is_some() { arguments.labelled_epochs } else { 4 };
    let foreign = match &arguments.foreign {
        Some(folder) => fashion(folder, [protocol.train.len(), 1])?[0].clone(),
        None => shapes(protocol.train.len(), 28, 77),
    };
    let weak = protocol.frame.views.each[0].clone();
    let strong = if protocol.name == "D8" { presets::d8(1.0) } else { weak.clone() };
    println!(
        "{}, {:.0} % foreign, {:.0} % flipped",
        protocol.name,
        100.0 * arguments.replaced,
        100.0 * arguments.flipped
    );
    // for each arm and seed: best and last accuracy; AUCs of both detectors (foreign, then all), means over the epochs; the flagged share
    let mut found: Vec<Vec<[f64; 7]>> = vec![Vec::new(); ARMS.len()];
    for seed in 0..arguments.common.seeds {
        let shares = [arguments.replaced, arguments.flipped];
        let data = NoisyImages::spoilt(&protocol.train, &foreign, shares, seed)?.with_test(protocol.test.clone());
        let mut before = protocol.clone();
        before.train = data.train.clone();
        let mut trainings = (0..2).map(|k| before.run_watched(SimClrConfig::new(0.2), seed + 100 * k, &device));
        let encoders = trainings.by_ref().map(|run| Ok(run?.1.trained_model().encoder().clone()));
        let data = data.with_pretrained(encoders.collect::<Result<Vec<_>, Box<dyn Error>>>()?);
        let training = TrainingConfig::new(Budget::Epochs(epochs), protocol.frame.training.batch_size, 1e-3)
            .with_schedule(Schedule::cosine(0.0));
        let views = LsaViews { weak: weak.clone(), strong: weak.clone(), noisy: strong.clone() };
        let mut plain = LsaConfig::new(protocol.frame.encoder.clone(), views, training).with_features(Features::Frozen);
        (plain.warm_up, plain.balance) = (arguments.warm_up.min(epochs / 2), arguments.balance);
        let chosen = |arm: &usize| arguments.only.is_empty() || arguments.only.contains(arm);
        for (_, (name, found)) in ARMS.iter().zip(&mut found).enumerate().filter(|(at, _)| chosen(at)) {
            let options = FitOptions::new(&device).seed(seed).progress(false);
            let trained = arm(name, plain.clone()).fit(&data, &options)?;
            let of = |metric: &str| -> Vec<f64> {
                trained.report.history.iter().filter_map(|epoch| epoch.metrics.as_ref()?.get(metric).copied()).collect()
            };
            let mean = |metric: &str| of(metric).iter().sum::<f64>() / of(metric).len() as f64;
            let accuracies = of("accuracy");
            let [best, last] = [accuracies.iter().copied().fold(0.0, f64::max), *accuracies.last().ok_or("no epoch")?];
            let aucs = ["loss_auc", "linear_auc", "loss_auc_all", "linear_auc_all"].map(mean);
            found.push([best, last, aucs[0], aucs[1], aucs[2], aucs[3], mean("flagged")]);
            eprintln!("{name}, seed {seed}: best {:.1}, last {:.1}", 100.0 * best, 100.0 * last);
        }
    }
    println!("{:<24} {:>6} {:>13}   AUC foreign: loss, linear   AUC all: loss, linear   flagged", "", "best", "last");
    let mut last = [0.0; ARMS.len()];
    for ((name, rows), last) in ARMS.iter().zip(&found).zip(&mut last) {
        let n = rows.len() as f64;
        let mean = |at: usize| rows.iter().map(|row| row[at]).sum::<f64>() / n;
        *last = 100.0 * mean(1);
        let deviation = (rows.iter().map(|row| (100.0 * row[1] - *last).powi(2)).sum::<f64>() / n).sqrt();
        println!(
            "{name:<24} {:>6.1} {:>6.1} +- {deviation:>3.1} {:>19.3} {:>7.3} {:>15.3} {:>7.3} {:>9.3}",
            100.0 * mean(0),
            *last,
            mean(2),
            mean(3),
            mean(4),
            mean(5),
            mean(6)
        );
    }
    let [plain, loss, linear, alternate, ..] = last;
    println!("alternate - (CE + mixup): {:+.1} points", alternate - plain);
    println!("alternate beats both single detectors: {}", if alternate > loss.max(linear) { "yes" } else { "no" });
    Ok(())
}
