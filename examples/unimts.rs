//! UniMTS (Zhang et al. 2024): signals of sensors on a body find their captions; with rotations a new mounting of a sensor does not matter.
//!
//! ```sh
//! cargo run --release --example unimts                                         # simulated from generated motion capture
//! cargo run --release --example unimts -- --data hmp-adl --seeds 3 --epochs 15
//! ```
//!
//! The paper trains ten layers on signals simulated from 13,000 captioned motions, and CLIP's text transformer. Here are four layers of width
//! 32 and means of words, trained on wrist signals of some persons with the names of their activities: pre-training at scale is not shown.

use clap::Parser;
use contrastive::Device;
use contrastive::nn::encoder::StGcnConfig;
use contrastive::timeseries::data::*;
use contrastive::timeseries::evaluate::classify_raw;
use contrastive::timeseries::method::{UniMtsConfig, label_ranks};
use contrastive::train::{Budget, MethodConfig, TrainingConfig};
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folder of the HMP trials; generated motion capture without.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Persons of the test part.
    #[arg(long, value_delimiter = ',', default_value = "f2,m1,m3")]
    test: Vec<String>,
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[arg(long, default_value_t = 20)]
    epochs: usize,
    /// Steps of an input, 20 a second.
    #[arg(long, default_value_t = 200)]
    length: usize,
}

/// Motions of the training and the test part, with the labels of the test part.
fn parts(arguments: &Arguments) -> Result<(Motions, Motions, Names, Option<f64>), SeriesError> {
    let Some(folder) = &arguments.data else {
        println!("simulated wrist sensors on generated bodies; captions are the label's words");
        let says = ["waving", "walking", "bowing", "standing"];
        let wrist = |count: usize, seed: u64| -> Result<Motions, SeriesError> {
            let captures: Vec<_> = generated_captures(count, 60, seed)
                .into_iter()
                .enumerate()
                .map(|(i, (positions, _))| (positions, vec![says[i % 4].to_string()]))
                .collect();
            let all = Motions::simulated(&captures, &Simulator::default(), false)?.0;
            let right = |motion: &Motion| Motion {
                joints: vec![21],
                signals: motion.signals.slice(contrastive::eval::ndarray::s![.., 21..22, ..]).to_owned(),
                captions: motion.captions.clone(),
            };
            Motions::new(all.iter().map(right).collect())
        };
        let labels = Names::new(&(0..60).map(|i| says[i % 4]).collect::<Vec<_>>());
        return Ok((wrist(80, 1)?, wrist(60, 2)?, labels, None));
    };
    // the activities with a hundred trials or more
    let all = read_hmp(folder)?;
    let classes = all.labels()?.clone();
    let count = |class: u32| classes.ids.iter().filter(|id| **id == class).count();
    let rows: Vec<usize> = (0..all.len()).filter(|&i| count(classes.ids[i]) >= 100).collect();
    let all = all.select(&rows)?.relabelled()?;
    let persons = all.persons()?;
    let tested = |i: usize| arguments.test.contains(&persons.names[persons.ids[i] as usize]);
    let part = |test: bool| all.select(&(0..all.len()).filter(|&i| tested(i) == test).collect::<Vec<_>>());
    let (train, test) = (part(false)?, part(true)?);
    let raw = classify_raw(&train, &test)?.accuracy;
    let labels = test.labels()?.clone();
    // a sensor on the right wrist, 32 values a second
    Ok((Motions::from_series(&train, &[21], 32.0)?, Motions::from_series(&test, &[21], 32.0)?, labels, Some(raw)))
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let arguments = Arguments::parse();
    let device = Device::default();
    let (train, test, labels, raw) = parts(&arguments)?;
    println!("{} motions to train on, {} to test on, {} labels", train.len(), test.len(), labels.names.len());
    raw.iter().for_each(|raw| println!("raw 1-NN with all training labels, as recorded: {raw:.3}"));
    let (length, net) = match arguments.data {
        Some(_) => (arguments.length, StGcnConfig::small(3)),
        None => (60, StGcnConfig::new(3).with_widths(vec![8; 2]).with_strides(vec![4, 1])),
    };
    println!("{:22} {:>16} {:>16} {:>16}", "zero-shot accuracy", "as recorded", "rotated", "lost");
    for (name, rotate, epochs) in [
        ("untrained", false, 0),
        ("without rotations", false, arguments.epochs),
        ("with rotations", true, arguments.epochs),
    ] {
        let mut columns = [const { Vec::new() }; 3];
        for seed in 0..arguments.seeds {
            let config = UniMtsConfig::new()
                .with_net(net.clone())
                .with_length(length)
                .with_rotate(rotate)
                .with_training(TrainingConfig::new(Budget::Epochs(arguments.epochs), 32, 1e-3));
            let mut training = config.build(&train, seed, &device)?;
            for _ in 0..epochs {
                training.train_epoch()?;
            }
            let (model, words) = (training.trained_model(), training.method().vocabulary());
            let score = |motions: &Motions| -> Result<f64, SeriesError> {
                let scores = model.zero_shot(words, motions, &labels.names, length, &device)?;
                Ok(label_ranks(scores.view(), &labels.ids, &[])?.accuracy)
            };
            // a random rotation a recording, the same for every row
            let (recorded, rotated) = (score(&test)?, score(&test.remounted(100 + seed))?);
            columns.iter_mut().zip([recorded, rotated, recorded - rotated]).for_each(|(column, v)| column.push(v));
        }
        let shown = columns.map(|scores: Vec<f64>| {
            let (n, mean) = (scores.len() as f64, scores.iter().sum::<f64>() / scores.len() as f64);
            let deviation = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
            format!("{mean:.3} ±{deviation:.3}")
        });
        println!("{name:22} {:>16} {:>16} {:>16}", shown[0], shown[1], shown[2]);
    }
    Ok(())
}
