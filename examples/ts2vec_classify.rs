//! TS2Vec (Yue et al. 2022) for classification: crops, contrast, a support vector machine on the pooled vectors.
//!
//! ```sh
//! cargo run --release --example ts2vec_classify                                       # generated series, a small net
//! cargo run --release --example ts2vec_classify -- --data UCR_FOLDER --sets GunPoint,ECG200 --seeds 3 --paper
//! ```
//!
//! Every set has the rows raw (nearest raw series) and untrained (the same net as it was drawn): what a trained net is worth is what it
//! adds to these.

use clap::Parser;
use contrastive::Device;
use contrastive::timeseries::data::{Over, Scaling, Series, SeriesError, read_archive, seasonal};
use contrastive::timeseries::encoder::{DilatedNet, DilatedNetConfig, embed_windows};
use contrastive::timeseries::evaluate::{Classifier, classify, classify_raw};
use contrastive::timeseries::method::Ts2VecConfig;
use contrastive::train::MethodConfig;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folder with a folder for each data set (NAME/NAME_TRAIN.tsv, .ts or .arff); generated series without.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Names of the sets.
    #[arg(long, value_delimiter = ',')]
    sets: Vec<String>,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps to train; the paper's rule (200 or 600) without.
    #[arg(long)]
    steps: Option<usize>,
    /// The paper's net (320, 64, depth 10) instead of a small one.
    #[arg(long)]
    paper: bool,
}

/// What the paper reports, recalled.
const PUBLISHED: &str = "ArrowHead .857 CBF 1 Coffee 1 ECG200 .92 ECGFiveDays 1 GunPoint .98 ItalyPowerDemand .925 \
    SyntheticControl .997 Trace 1 BasicMotions .975 JapaneseVowels .984 NATOPS .928";

fn published(name: &str) -> Option<f64> {
    PUBLISHED.split_whitespace().skip_while(|word| *word != name).nth(1)?.parse().ok()
}

/// Accuracy of a support vector machine on the vectors of a net, and of the nearest vector.
fn accuracy(net: &DilatedNet, train: &Series, test: &Series, device: &Device) -> Result<[f64; 2], SeriesError> {
    let (x, x_test) = (embed_windows(net, train, device)?, embed_windows(net, test, device)?);
    let (y, y_test) = (train.labels()?, test.labels()?);
    let of = |classifier| {
        let report = classify(classifier, (x.view(), &y.ids), (x_test.view(), &y_test.ids), y.names.len());
        report.map(|report| report.accuracy)
    };
    Ok([of(Classifier::Svm)?, of(Classifier::Nearest)?])
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let arguments = Arguments::parse();
    let device = Device::default();
    let net = DilatedNetConfig::new();
    let net = if arguments.paper { net } else { net.with_output(64).with_hidden(32).with_depth(5) };
    let config = Ts2VecConfig::new().with_net(net).with_steps(arguments.steps);

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

    println!(
        "{:18} {:>6} {:>10} {:>10} {:>14} {:>14} {:>9}",
        "set", "raw", "untrained", "(1-NN)", "TS2Vec", "(1-NN)", "published"
    );
    let mut means = [0.0; 6];
    for (name, train, test) in &sets {
        let raw = classify_raw(train, test)?.accuracy;
        let (mut untrained, mut trained) = (Vec::new(), Vec::new());
        for seed in 0..arguments.seeds {
            let mut training = config.build(train, seed, &device)?;
            untrained.push(accuracy(&training.trained_model(), train, test, &device)?);
            for _ in 0..config.steps_for(train) {
                training.train_step()?;
            }
            trained.push(accuracy(&training.trained_model(), train, test, &device)?);
        }
        let n = arguments.seeds as f64;
        let mean = |each: &[[f64; 2]], k: usize| each.iter().map(|a| a[k]).sum::<f64>() / n;
        let deviation = |each: &[[f64; 2]], k: usize| {
            let m = mean(each, k);
            (each.iter().map(|a| (a[k] - m).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt()
        };
        let row = [raw, mean(&untrained, 0), mean(&untrained, 1), mean(&trained, 0), mean(&trained, 1)];
        let spread = [deviation(&trained, 0), deviation(&trained, 1)];
        let paper = published(name).map_or("-".into(), |p| format!("{p:.3}"));
        println!(
            "{name:18} {:6.3} {:10.3} {:10.3} {:8.3} ±{:.3} {:8.3} ±{:.3} {paper:>9}",
            row[0], row[1], row[2], row[3], spread[0], row[4], spread[1]
        );
        let paper = published(name).unwrap_or(f64::NAN);
        row.iter().chain([&paper]).zip(&mut means).for_each(|(v, sum)| *sum += v / sets.len() as f64);
    }
    let [raw, untrained, untrained_near, trained, near, paper] = means;
    println!(
        "{:18} {raw:6.3} {untrained:10.3} {untrained_near:10.3} {trained:8.3} {:6} {near:8.3} {:6} {paper:9.3}",
        "mean", "", ""
    );
    Ok(())
}
