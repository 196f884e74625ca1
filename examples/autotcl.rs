//! AutoTCL (Zheng et al. 2024): an augmenter learns which steps of a series carry its content; the encoder contrasts series and views.
//!
//! ```sh
//! cargo run --release --example autotcl                                  # generated series
//! cargo run --release --example autotcl -- --data UCR_FOLDER --data UEA_FOLDER --sets GunPoint,NATOPS --seeds 5 --steps 300
//! ```
//!
//! Rows: the encoder untrained; trained with v = x (its masks alone); with fixed augmentations; with learned views. The encoder is 64 wide in
//! all rows: at the paper's 320 the trend costs twenty times the net.

use clap::Parser;
use contrastive::Device;
use contrastive::timeseries::augment::{Augmentation, Augmentations};
use contrastive::timeseries::data::{Over, Scaling, Series, SeriesError, read_archive, seasonal};
use contrastive::timeseries::encoder::{DilatedNetConfig, TrendNet, embed_windows};
use contrastive::timeseries::evaluate::{Classifier, classify, classify_raw};
use contrastive::timeseries::method::{AutoTclConfig, FixedViews};
use contrastive::train::MethodConfig;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folders with a folder for each data set; generated series without.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Names of the sets.
    #[arg(long, value_delimiter = ',')]
    sets: Vec<String>,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps to train.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Series of a batch.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Depth of the net.
    #[arg(long, default_value_t = 5)]
    depth: usize,
}

fn accuracy(net: &TrendNet, train: &Series, test: &Series, device: &Device) -> Result<f64, SeriesError> {
    let (x, x_test) = (embed_windows(net, train, device)?, embed_windows(net, test, device)?);
    let (y, y_test) = (train.labels()?, test.labels()?);
    let report = classify(Classifier::Svm, (x.view(), &y.ids), (x_test.view(), &y_test.ids), y.names.len())?;
    Ok(report.accuracy)
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let arguments = Arguments::parse();
    let device = Device::default();
    let mut sets: Vec<(String, Series, Series)> = Vec::new();
    for name in &arguments.sets {
        let folder = arguments.data.iter().map(|folder| folder.join(name)).find(|folder| folder.exists());
        let (mut train, mut test) = read_archive(folder.unwrap_or_else(|| name.into()))?;
        if train.channels() > 1 {
            let scaling = Scaling::fit(&train, Over::Channels)?;
            (train, test) = (scaling.apply(&train)?, scaling.apply(&test)?);
        }
        sets.push((name.clone(), train, test));
    }
    if sets.is_empty() {
        let all = seasonal(180, 100, 1)?;
        let rows = |range: std::ops::Range<usize>| all.select(&range.collect::<Vec<_>>());
        sets.push(("seasonal".into(), rows(0..60)?, rows(60..180)?));
    }
    let net = DilatedNetConfig::new().with_output(64).with_hidden(32).with_depth(arguments.depth);
    let fixed = Augmentations::always(vec![Augmentation::Jitter(0.2), Augmentation::Scale(0.2)]);
    let rows = [
        ("untrained", None),
        ("v = x", Some(FixedViews::Same)),
        ("jitter and scale", Some(FixedViews::Fixed(fixed))),
        ("AutoTCL", Some(FixedViews::Learned)),
    ];
    println!(
        "{:18} {:>8} {}",
        "accuracy",
        "raw",
        rows.iter().map(|(name, _)| format!("{name:>18}")).collect::<String>()
    );
    let mut means = vec![0.0; rows.len() + 1];
    for (name, train, test) in &sets {
        let raw = classify_raw(train, test)?.accuracy;
        means[0] += raw / sets.len() as f64;
        print!("{name:18} {raw:8.3} ");
        for (k, (_, views)) in rows.iter().enumerate() {
            let mut scores = Vec::new();
            for seed in 0..arguments.seeds {
                let config = AutoTclConfig::new().with_net(net.clone()).with_views(views.clone().unwrap_or_default());
                let training = config.training.clone().with_batch_size(arguments.batch).with_learning_rate(1e-3);
                let mut training = config.with_training(training).build(train, seed, &device)?;
                for _ in 0..views.as_ref().map_or(0, |_| arguments.steps) {
                    training.train_step()?;
                }
                scores.push(accuracy(&training.trained_model().encoder, train, test, &device)?);
            }
            let (n, mean) = (scores.len() as f64, scores.iter().sum::<f64>() / scores.len() as f64);
            let deviation = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
            means[k + 1] += mean / sets.len() as f64;
            print!("     {mean:.3} ±{deviation:.3}  ");
        }
        println!();
    }
    println!(
        "{:18} {:8.3} {}",
        "mean",
        means[0],
        means[1..].iter().map(|m| format!("     {m:.3}        ")).collect::<String>()
    );
    Ok(())
}
