//! TS2Vec (Yue et al. 2022) for forecasting: causal vectors of every step, ridge regression to the steps that follow.
//!
//! ```sh
//! cargo run --release --example ts2vec_forecast                                    # a generated series, a small net
//! cargo run --release --example ts2vec_forecast -- --data ETTh1.csv --column OT --seeds 3 --paper
//! cargo run --release --example ts2vec_forecast -- --data ETTh1.csv --column OT --seeds 3 --paper --autotcl 300   # and AutoTCL, 64 wide
//! ```
//!
//! Rows: persistence (every step stays as it is), the same regression on the raw window, on an untrained net, and on TS2Vec. Errors are on
//! the scale of the training part's deviation.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::ndarray::{Array2, ArrayView2};
use contrastive::timeseries::data::{
    CALENDAR, Over, Scaling, Series, SeriesError, Short, TableOptions, calendar_columns, daily, read_table, windows,
};
use contrastive::timeseries::encoder::{DilatedNetConfig, SeriesEncoder, last_steps};
use contrastive::timeseries::evaluate::{ForecastError, etth_parts, forecast, persistence, raw_windows, share_parts};
use contrastive::timeseries::method::{AutoTclConfig, Ts2VecConfig};
use contrastive::train::MethodConfig;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// A table with a line for each time step; a generated series without.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The one column to forecast; all without.
    #[arg(long)]
    column: Option<String>,
    /// The table has neither a header nor a time column.
    #[arg(long)]
    plain: bool,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps to train; the paper's rule without.
    #[arg(long)]
    steps: Option<usize>,
    /// Steps to forecast.
    #[arg(long, value_delimiter = ',')]
    horizons: Vec<usize>,
    /// The paper's net and the split of ETTh, 12/4/4 months.
    #[arg(long)]
    paper: bool,
    /// A row of AutoTCL, an encoder of width 64 trained for so many steps on windows of 257, beside the same one as it was drawn.
    #[arg(long)]
    autotcl: Option<usize>,
}

const CONTEXT: usize = 200;

struct Vectors<'a> {
    inputs: &'a Series,
    device: &'a Device,
}

impl Vectors<'_> {
    fn of(&self, net: &impl SeriesEncoder) -> Result<Array2<f32>, SeriesError> {
        last_steps(net, self.inputs.of(0), CONTEXT, false, self.device)
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let arguments = Arguments::parse();
    let device = Device::default();
    let mut series = match &arguments.data {
        Some(path) if arguments.plain => {
            read_table(path, &TableOptions { header: false, time: None, ..TableOptions::default() })?
        }
        Some(path) => read_table(path, &TableOptions::default())?,
        None => daily(3000, 1)?,
    };
    if let Some(column) = &arguments.column {
        series = series.channel(column)?;
    }
    let length = series.longest();
    let parts = if arguments.paper && !arguments.plain { etth_parts() } else { share_parts(length) };
    let horizons = match (&arguments.horizons[..], arguments.data.is_some()) {
        ([], false) => vec![24, 48],
        ([], true) => vec![24, 48, 168, 336, 720],
        (given, _) => given.to_vec(),
    };
    // values and calendar, both scaled by the training part
    let values = Scaling::fit(&series.steps(parts.train.clone())?, Over::Channels)?.apply(&series)?;
    let inputs: Series = match calendar_columns(&series) {
        Ok(calendar) => {
            let calendar = Series::new(calendar)?;
            let train = calendar.steps(parts.train.clone())?;
            let scaled = Scaling::fit_or_one(&train, Over::Channels)?.apply(&calendar)?;
            values.beside(&[scaled.of(0).to_owned()], &CALENDAR.map(str::to_string))?
        }
        Err(_) => values.clone(),
    };
    let training_part = inputs.steps(parts.train.clone())?;
    let net = DilatedNetConfig::new();
    let net = if arguments.paper { net } else { net.with_output(64).with_hidden(32).with_depth(6) };
    let config = Ts2VecConfig::new().with_net(net).with_steps(arguments.steps);

    let mut rows: Vec<(&str, Vec<Vec<ForecastError>>)> =
        vec![("persistence", vec![]), ("raw window, ridge", vec![]), ("untrained net", vec![]), ("TS2Vec", vec![])];
    let truth = values.of(0);
    rows[0].1.push(horizons.iter().map(|&h| persistence(truth, &parts, h)).collect::<Result<_, _>>()?);
    let window = if values.channels() > 1 { 48 } else { CONTEXT + 1 };
    let raw = raw_windows(truth, window);
    let errors = |vectors: ArrayView2<'_, f32>| -> Result<Vec<ForecastError>, SeriesError> {
        horizons.iter().map(|&h| Ok(forecast(vectors, truth, &parts, h, CONTEXT)?.error)).collect()
    };
    rows[1].1.push(errors(raw.view())?);
    let vectors = Vectors { inputs: &inputs, device: &device };
    for seed in 0..arguments.seeds {
        let mut training = config.build(&training_part, seed, &device)?;
        rows[2].1.push(errors(vectors.of(&training.trained_model())?.view())?);
        for _ in 0..config.steps_for(&training_part) {
            training.train_step()?;
        }
        rows[3].1.push(errors(vectors.of(&training.trained_model())?.view())?);
    }
    if let Some(steps) = arguments.autotcl {
        rows.extend([("untrained, 64", vec![]), ("AutoTCL, 64", vec![])]);
        let cut = windows(&training_part, 257, 0.5, Short::Drop)?.series;
        let small = DilatedNetConfig::new().with_output(64).with_hidden(32).with_depth(5);
        let config = AutoTclConfig::new().with_net(small).with_local(0.3).with_size(3e-3);
        let training = config.training.clone().with_batch_size(8).with_learning_rate(1e-3);
        let config = config.with_training(training);
        for seed in 0..arguments.seeds {
            let mut training = config.build(&cut, seed, &device)?;
            rows[4].1.push(errors(vectors.of(&training.trained_model().encoder)?.view())?);
            for _ in 0..steps {
                training.train_step()?;
            }
            rows[5].1.push(errors(vectors.of(&training.trained_model().encoder)?.view())?);
        }
    }
    let heads: String = horizons.iter().map(|h| format!(" {h:>13}")).collect();
    println!("{:18}{heads} {:>13}", "MSE / MAE", "mean");
    for (name, seeds) in rows {
        print!("{name:18}");
        let mean = |k: usize| {
            let n = seeds.len() as f64;
            (seeds.iter().map(|s| s[k].mse).sum::<f64>() / n, seeds.iter().map(|s| s[k].mae).sum::<f64>() / n)
        };
        let all: Vec<(f64, f64)> = (0..horizons.len()).map(mean).collect();
        let n = all.len() as f64;
        let last = (all.iter().map(|e| e.0).sum::<f64>() / n, all.iter().map(|e| e.1).sum::<f64>() / n);
        all.iter().chain([&last]).for_each(|(mse, mae)| print!("   {mse:.3} {mae:.3}"));
        println!();
    }
    Ok(())
}
