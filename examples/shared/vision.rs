//! What the examples on images share: data, device, run folder, and the table at the end.
#![allow(dead_code)]

use clap::Args;
use contrastive::Device;
use contrastive::data::image::{FolderOptions, ImageSet, image_folder, shapes};
use contrastive::nn::layer::ChannelNormKind;
use contrastive::train::{Budget, FitOptions, MethodConfig, parse_device};
use contrastive::vision::VisionError;
use contrastive::vision::data::{cifar_subset, digits, fashion};
use contrastive::vision::evaluate::{Outcome, Protocol};
use contrastive::vision::method::{Settings, VisionModel};
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
pub struct Common {
    /// A folder with optdigits, with Fashion-MNIST's four files, or with images in one folder for each class; or a file of CIFAR-10 records.
    /// Without it, rendered shapes.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// A budget in epochs ...
    #[arg(long, conflicts_with = "steps")]
    pub epochs: Option<usize>,
    /// ... or in steps; the protocol's without either (40 steps on rendered shapes).
    #[arg(long)]
    pub steps: Option<usize>,
    /// Images of a batch; the protocol's without.
    #[arg(long)]
    pub batch: Option<usize>,
    /// The highest learning rate; the protocol's without.
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Batch norms of convolutions over ghosts of so many images.
    #[arg(long)]
    pub ghosts: Option<usize>,
    /// Such as `flex`, `cuda:0`.
    #[arg(long)]
    pub device: Option<String>,
    /// A run folder: metrics, checkpoints, embeddings.
    #[arg(long)]
    pub run_dir: Option<PathBuf>,
    /// Goes on where the run folder stopped.
    #[arg(long)]
    pub resume: bool,
}

/// The two halves of a set.
pub fn halves(set: &ImageSet) -> Result<[ImageSet; 2], VisionError> {
    let part = |k: usize| set.select(&(0..set.len()).filter(|i| usize::from(i % 3 == 2) == k).collect::<Vec<_>>());
    Ok([part(0)?, part(1)?])
}

impl Common {
    pub fn device(&self) -> Result<Device, Box<dyn Error>> {
        Ok(self.device.as_deref().map(parse_device).transpose()?.unwrap_or_default())
    }

    /// The protocol that fits the data.
    pub fn protocol(&self) -> Result<Protocol, Box<dyn Error>> {
        let mut protocol = match &self.data {
            None => {
                eprintln!("no --data: using GENERATED images (600 rendered shapes of 32 x 32)");
                Protocol::c32(halves(&shapes(600, 32, 1))?).with_budget(Budget::Steps(40))
            }
            Some(path) => protocol_of(path)?,
        };
        if let Some(batch) = self.batch {
            protocol.frame = protocol.frame.with_batch(batch);
        }
        if let Some(rate) = self.learning_rate {
            protocol.frame = protocol.frame.with_rate(rate);
        }
        if let Some(ghost) = self.ghosts {
            protocol.frame.encoder = protocol.frame.encoder.with_norm(ChannelNormKind::Ghost(ghost));
        }
        match (self.epochs, self.steps) {
            (Some(epochs), _) => protocol = protocol.with_budget(Budget::Epochs(epochs)),
            (_, Some(steps)) => protocol = protocol.with_budget(Budget::Steps(steps)),
            _ => {}
        }
        Ok(protocol)
    }

    /// Trains and scores a method; in the run folder where there is one.
    pub fn run<S: Settings>(&self, protocol: &Protocol, settings: S, seed: u64) -> Result<Outcome, Box<dyn Error>> {
        let device = self.device()?;
        let Some(folder) = &self.run_dir else { return Ok(protocol.run(settings, seed, &device)?) };
        let options = FitOptions::new(&device).seed(seed).run_dir(folder).resume(self.resume);
        let name = settings.name().to_string();
        let trained = protocol.config(settings).fit(&protocol.train, &options)?;
        let quality = protocol.quality(trained.model.encoder(), &device)?;
        let seconds = trained.report.history.iter().map(|epoch| epoch.seconds).sum();
        Ok(Outcome { name, quality, projected: f64::NAN, seconds, waiting: 0.0 })
    }
}

fn protocol_of(path: &Path) -> Result<Protocol, Box<dyn Error>> {
    if path.is_file() {
        return Ok(Protocol::c32(cifar_subset(path, 3000)?));
    }
    if path.join("optdigits.tra").is_file() {
        return Ok(Protocol::d8(digits(path)?));
    }
    if path.join("train-images-idx3-ubyte.gz").is_file() {
        return Ok(Protocol::f28(fashion(path, [6000, 2000])?));
    }
    let mut options = FolderOptions::default();
    options.decoding.size = Some([32, 32]);
    let set = image_folder(path, &options)?;
    set.notes().iter().for_each(|note| eprintln!("{note}"));
    Ok(Protocol::c32(halves(&set)?))
}

/// Rows of one name become one, with mean and deviation.
pub fn table(protocol: &Protocol, rows: &[Outcome]) {
    println!("{}: {} images to learn from, {} to judge by", protocol.name, protocol.train.len(), protocol.test.len());
    println!(
        "{:<26} {:>13} {:>7} {:>7} {:>8} {:>9} {:>8} {:>8}",
        "", "NC5", "kNN", "probe", "spread", "of z", "seconds", "waiting"
    );
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    for name in names {
        let of: Vec<&Outcome> = rows.iter().filter(|row| row.name == name).collect();
        let n = of.len() as f64;
        let mean = |value: &dyn Fn(&Outcome) -> f64| of.iter().map(|row| value(row)).sum::<f64>() / n;
        let nc5 = mean(&|row| row.quality.nc5);
        let deviation = (of.iter().map(|row| (row.quality.nc5 - nc5).powi(2)).sum::<f64>() / n).sqrt();
        let [knn, probe] = [mean(&|row| row.quality.knn), mean(&|row| row.quality.probe)];
        let [spread, z] = [mean(&|row| row.quality.spread), mean(&|row| row.projected)];
        let [seconds, waiting] = [mean(&|row| row.seconds), mean(&|row| row.waiting)];
        println!(
            "{name:<26} {nc5:>6.1} +- {deviation:>3.1} {knn:>7.1} {probe:>7.1} {spread:>8.3} {z:>9.3} {seconds:>8.1} {:>7.1}%",
            100.0 * waiting
        );
    }
}

/// CPU seconds of this process so far; 0 where the system does not say.
pub fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
