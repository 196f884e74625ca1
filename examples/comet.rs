//! COMET (Wang et al. 2023): windows of recordings of persons at four levels, then a classifier from few labels on other persons.
//!
//! ```sh
//! cargo run --release --example comet                                   # generated persons with their own gait
//! cargo run --release --example comet -- --data hmp-adl --seeds 3 --epochs 10
//! ```
//!
//! The paper trains a net of width 320 and depth 10 for 100 epochs; this one has 64 and 5.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::probe::Split;
use contrastive::timeseries::data::{Series, SeriesError, Short, gaits, read_hmp, standardise_each, windows};
use contrastive::timeseries::encoder::{DilatedNet, DilatedNetConfig, embed_windows};
use contrastive::timeseries::evaluate::logistic_report;
use contrastive::timeseries::method::{CometConfig, Levels, Ts2VecConfig};
use contrastive::train::MethodConfig;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folder of the HMP trials; generated persons without.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Persons of the test part.
    #[arg(long, value_delimiter = ',', default_value = "f2,m1,m3")]
    test: Vec<String>,
    /// Persons of the validation part.
    #[arg(long, value_delimiter = ',', default_value = "f3,m2,m4")]
    validation: Vec<String>,
    /// Share of the training labels that the classifier sees.
    #[arg(long, default_value_t = 0.1)]
    labels: f64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Epochs to train.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
}

/// Windows of 64 steps at half overlap of the classes with a hundred trials or more, each trial scaled by itself.
fn hmp(folder: &PathBuf) -> Result<Series, SeriesError> {
    let all = read_hmp(folder)?;
    let classes = all.labels()?.clone();
    let count = |class: u32| classes.ids.iter().filter(|id| **id == class).count();
    let rows: Vec<usize> = (0..all.len()).filter(|&i| count(classes.ids[i]) >= 100).collect();
    let chosen = all.select(&rows)?.relabelled()?;
    Ok(windows(&standardise_each(&chosen), 64, 0.5, Short::Drop)?.series)
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let mut arguments = Arguments::parse();
    let device = Device::default();
    let all = match &arguments.data {
        Some(folder) => hmp(folder)?,
        None => {
            (arguments.test, arguments.validation) = (vec!["p4".into()], vec!["p3".into()]);
            windows(&standardise_each(&gaits(5, 4, 192, 1)?), 64, 0.5, Short::Drop)?.series
        }
    };
    let (labels, persons) = (all.labels()?.clone(), all.persons()?.clone());
    let classes = labels.names.len();
    let ids = |names: &[String]| -> Vec<u32> {
        names.iter().filter_map(|name| persons.names.iter().position(|p| p == name)).map(|id| id as u32).collect()
    };
    let split =
        Split::by_groups(&persons.ids, &ids(&arguments.validation), &ids(&arguments.test), &labels.ids, classes)?;
    let part = |rows: &[u32]| all.select(&rows.iter().map(|&row| row as usize).collect::<Vec<_>>());
    let (train, test) = (part(split.train())?, part(split.test())?);
    println!("{} windows to train on, {} to test on, {classes} classes", train.len(), test.len());

    let net = DilatedNetConfig::new().with_output(64).with_hidden(32).with_depth(5);
    // macro F1 on other persons of a logistic regression on a share of the training windows
    let score = |net: &DilatedNet, seed: u64| -> Result<f64, SeriesError> {
        let few = train.few_labelled(arguments.labels, seed)?;
        let (x, x_test) = (embed_windows(net, &few, &device)?, embed_windows(net, &test, &device)?);
        let (y, y_test) = (&few.labels()?.ids, &test.labels()?.ids);
        Ok(logistic_report((x.view(), y), (x_test.view(), y_test), classes)?.f1)
    };
    let settings = [
        ("untrained", None),
        ("sample + observation", Some(Levels::WITHIN_WINDOWS)),
        ("trial + sample + observation", Some(Levels::WITHOUT_PATIENT)),
        ("all four levels", Some(Levels::ALL)),
    ];
    let row = |name: &str, scores: &[f64]| {
        let (n, mean) = (scores.len() as f64, scores.iter().sum::<f64>() / scores.len() as f64);
        let deviation = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        println!("{name:30} {mean:.3} ±{deviation:.3}");
    };
    println!("{:30} macro F1, {} seeds", "levels", arguments.seeds);
    for (name, levels) in settings {
        let mut scores = Vec::new();
        for seed in 0..arguments.seeds {
            let config = CometConfig::new().with_net(net.clone()).with_levels(levels.unwrap_or(Levels::ALL));
            let training = config.training.clone().with_learning_rate(1e-3);
            let mut training = config.with_training(training).build(&train, seed, &device)?;
            for _ in 0..levels.map_or(0, |_| arguments.epochs) {
                training.train_epoch()?;
            }
            scores.push(score(&training.trained_model(), seed)?);
        }
        row(name, &scores);
    }
    let mut scores = Vec::new();
    for seed in 0..arguments.seeds {
        let config = Ts2VecConfig::new().with_net(net.clone());
        let training = config.training.clone().with_batch_size(256);
        let mut training = config.with_training(training).build(&train, seed, &device)?;
        for _ in 0..arguments.epochs {
            training.train_epoch()?;
        }
        scores.push(score(&training.trained_model(), seed)?);
    }
    row("TS2Vec", &scores);
    Ok(())
}
