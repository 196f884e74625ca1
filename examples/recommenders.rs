//! The methods on user-item graphs beside each other, over seeds: `cargo run --release --example recommenders -- [--data DIR]`.
//!
//! All have the same width, rate, batches and number of layers; with `--validation` and `--patience` each takes its best epoch. Prints
//! Recall@20 and NDCG@20 on the test part for every seed, their means, the epochs taken, and CPU seconds.

use clap::{Parser, ValueEnum};
use contrastive::Device;
use contrastive::eval::Summary;
use contrastive::eval::ranking::LeftOut;
use contrastive::graph::parts::Readout;
use contrastive::graph::user_item::Embeddings;
use contrastive::graph::user_item::data::{Dataset, LoadOptions, generate, split};
use contrastive::graph::user_item::method::{
    Initialisation, LightGclConfig, LightGcnConfig, MethodConfig, MfBprConfig, SglConfig, XSimGclConfig,
};
use contrastive::train::FitOptions;
use std::error::Error;
use std::path::PathBuf;

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Name {
    Mf,
    Lightgcn,
    Sgl,
    Lightgcl,
    Xsimgcl,
}

#[derive(Parser, Debug)]
struct Arguments {
    /// Interactions; without it, a generated set.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which methods.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "mf,lightgcn,sgl,lightgcl,xsimgcl")]
    methods: Vec<Name>,
    /// Number of seeds, from 1.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Epochs, at most.
    #[arg(long, default_value_t = 40)]
    epochs: usize,
    /// Share of the training pairs to keep.
    #[arg(long, default_value_t = 1.0)]
    keep: f64,
    /// Share of these to hold out for validation.
    #[arg(long)]
    validation: Option<f64>,
    /// Evaluate after every so many epochs.
    #[arg(long, default_value_t = 2)]
    evaluate_every: usize,
    /// Stop after so many evaluations without a better NDCG@20 on the validation part.
    #[arg(long)]
    patience: Option<usize>,
    /// Width of the embeddings.
    #[arg(long, default_value_t = 32)]
    dim: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 5e-3)]
    lr: f64,
    /// Triples in a batch.
    #[arg(long, default_value_t = 2048)]
    batch: usize,
    /// Standard deviation of the start of all tables, in place of each method's own.
    #[arg(long)]
    deviation: Option<f64>,
    /// XSimGCL: length of the noise.
    #[arg(long, default_value_t = 0.2)]
    epsilon: f64,
    /// XSimGCL: weight of the contrast.
    #[arg(long, default_value_t = 0.2)]
    contrast: f64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let all = match &arguments.data {
        Some(path) => Dataset::open(path, &LoadOptions::default())?,
        None => generate::planted(&generate::PlantedOptions::default())?.dataset,
    };
    for name in &arguments.methods {
        let (mut recall, mut ndcg, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        let mut ranked = Vec::new();
        let before = cpu_seconds();
        for seed in 1..=arguments.seeds {
            let (data, options) = arguments.run(&all, seed)?;
            let model = arguments.train(*name, &data, &options)?;
            let report = model.evaluate_test(&data, LeftOut::TrainAndValidation, &[20])?;
            let value = |metric| report.get(metric).unwrap_or(f64::NAN);
            recall.push(value("recall@20"));
            ndcg.push(value("ndcg@20"));
            if arguments.validation.is_some() {
                let other = model.evaluate_test(&data, LeftOut::Train, &[20])?;
                ranked.push(other.get("recall@20").unwrap_or(f64::NAN));
            }
            let best = model.report.as_ref().and_then(|report| report.best.as_ref());
            let epoch = best.map_or(String::new(), |best| format!(" (epoch {})", best.epoch));
            lines.push(format!("{:.4} / {:.4}{epoch}", value("recall@20"), value("ndcg@20")));
        }
        let other = match ranked.is_empty() {
            true => String::new(),
            false => format!(" (validation items ranked: {})", Summary::of(&ranked)),
        };
        let cpu = before.zip(cpu_seconds()).map(|(a, b)| (b - a) / arguments.seeds as f64);
        println!(
            "| {name:?} | {} | {} / {}{other} | {} |",
            lines.join(" | "),
            Summary::of(&recall),
            Summary::of(&ndcg),
            cpu.map_or("n/a".into(), |cpu| format!("{cpu:.1}"))
        );
    }
    Ok(())
}

impl Arguments {
    fn run(&self, all: &Dataset, seed: u64) -> Result<(Dataset, FitOptions), Box<dyn Error>> {
        let mut data = all.clone();
        if self.keep < 1.0 {
            data.train = data.train.subsample(self.keep, seed)?;
        }
        if let Some(share) = self.validation {
            let (train, validation) = split::random(&data.train, share, seed)?;
            (data.train, data.validation) = (train, Some(validation));
        }
        let options = FitOptions::new(&Device::default()).epochs(self.epochs).seed(seed).progress(false);
        Ok((
            data,
            match self.patience {
                Some(patience) => options.evaluate_every(self.evaluate_every).early_stopping("ndcg@20", patience),
                None => options.evaluate_every(0),
            },
        ))
    }

    fn train(&self, name: Name, data: &Dataset, options: &FitOptions) -> Result<Embeddings, Box<dyn Error>> {
        let sum = Readout::Sum;
        Ok(match name {
            Name::Mf => self.shared(MfBprConfig::new()).fit(data, options)?,
            Name::Lightgcn => self.shared(LightGcnConfig::new().with_layers(2).with_readout(sum)).fit(data, options)?,
            Name::Sgl => self.shared(SglConfig::new().with_layers(2)).fit(data, options)?,
            Name::Lightgcl => self.shared(LightGclConfig::new().with_contrast_weight(0.05)).fit(data, options)?,
            Name::Xsimgcl => {
                let config = XSimGclConfig::new().with_epsilon(self.epsilon).with_contrast_weight(self.contrast);
                self.shared(config).fit(data, options)?
            }
        })
    }

    fn shared<C: MethodConfig>(&self, config: C) -> C {
        let config = config.with_dim(self.dim).with_learning_rate(self.lr).with_batch_size(self.batch);
        match self.deviation {
            Some(deviation) => config.with_initialisation(Initialisation::Normal { deviation }),
            None => config,
        }
    }
}

/// Seconds the processors have spent on this process; none where `/proc` is not there to tell.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}
