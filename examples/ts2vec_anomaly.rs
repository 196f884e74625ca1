//! TS2Vec (Yue et al. 2022) for anomalies: how much a step changes its own representation.
//!
//! ```sh
//! cargo run --release --example ts2vec_anomaly                                 # a generated series with spikes
//! cargo run --release --example ts2vec_anomaly -- --data wfdb-ecg/100.hea      # MIT-BIH record 100, abnormal beats
//! ```
//!
//! The first half trains, the second is scored. An alarm within the delay of the beginning of a true segment marks all of it.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::ndarray::Array2;
use contrastive::timeseries::data::{Over, Scaling, Series, SeriesError, daily, read_annotations, read_wfdb};
use contrastive::timeseries::encoder::DilatedNetConfig;
use contrastive::timeseries::evaluate::{AnomalyRule, alarms, anomaly_scores, delay_adjusted};
use contrastive::timeseries::method::Ts2VecConfig;
use contrastive::train::MethodConfig;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Header of a WFDB record with annotations (.atr) beside it; a generated series without.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Samples of the record that become one step, by their mean.
    #[arg(long, default_value_t = 6)]
    every: usize,
    /// Steps of a training.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Steps of context.
    #[arg(long, default_value_t = 100)]
    context: usize,
}

/// A series, which steps are true anomalies, and the rule's delay.
fn load(arguments: &Arguments) -> Result<(Series, Vec<bool>, usize), SeriesError> {
    let Some(path) = &arguments.data else {
        let plain = daily(4000, 3)?;
        let mut values = plain.of(0).to_owned();
        let mut truth = vec![false; 4000];
        for at in (137..4000).step_by(311) {
            values[[at, 0]] += 4.0;
            truth[at..at + 3].fill(true);
        }
        return Ok((Series::new(vec![values])?, truth, 3));
    };
    let record = read_wfdb(path)?;
    let (raw, every) = (record.series.of(0), arguments.every.max(1));
    let steps = raw.nrows() / every;
    let mean = |t: usize, c: usize| (0..every).map(|k| raw[[t * every + k, c]]).sum::<f32>() / every as f32;
    let values = Array2::from_shape_fn((steps, raw.ncols()), |(t, c)| mean(t, c));
    let mut truth = vec![false; steps];
    // a beat lasts from 0.25 s before its mark to 0.4 s behind it
    let per_second = record.rate / every as f64;
    for beat in read_annotations(path.with_extension("atr"), raw.nrows())?.iter().filter(|a| a.is_abnormal_beat()) {
        let at = beat.sample / every;
        let (before, after) = ((0.25 * per_second) as usize, (0.4 * per_second) as usize);
        truth[at.saturating_sub(before)..(at + after).min(steps)].fill(true);
    }
    Ok((Series::new(vec![values])?, truth, (0.65 * per_second) as usize))
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let arguments = Arguments::parse();
    let device = Device::default();
    let (series, truth, delay) = load(&arguments)?;
    let half = series.longest() / 2;
    let train = series.steps(0..half)?;
    let scaling = Scaling::fit(&train, Over::Channels)?;
    let (scaled, train) = (scaling.apply(&series)?, scaling.apply(&train)?);
    let net = DilatedNetConfig::new().with_output(64).with_hidden(32).with_depth(6);
    let config = Ts2VecConfig::new().with_net(net).with_max_train_length(1000).with_steps(Some(arguments.steps));
    let mut training = config.build(&train, 1, &device)?;
    let untrained = anomaly_scores(&training.trained_model(), scaled.of(0), arguments.context, &device)?;
    for _ in 0..arguments.steps {
        training.train_step()?;
    }
    let trained = anomaly_scores(&training.trained_model(), scaled.of(0), arguments.context, &device)?;
    let plain: Vec<f64> =
        scaled.of(0).rows().into_iter().map(|row| row.iter().map(|v| f64::from(v.abs())).sum()).collect();

    println!(
        "{} steps, {} of them in true segments of the second half",
        series.longest(),
        truth[half..].iter().filter(|t| **t).count()
    );
    println!("{:24} {:>9} {:>9} {:>9} {:>9}", "score", "alarms", "precision", "recall", "F1");
    let rule = AnomalyRule { delay, ..AnomalyRule::default() };
    for (name, scores) in [("size of the value", &plain), ("untrained net", &untrained), ("TS2Vec", &trained)] {
        let raised = alarms(&scores[..half], &scores[half..], &rule)?;
        let report = delay_adjusted(&raised, &truth[half..], delay)?;
        let count = raised.iter().filter(|r| **r).count();
        println!("{name:24} {count:9} {:9.3} {:9.3} {:9.3}", report.precision, report.recall, report.f1);
    }
    Ok(())
}
