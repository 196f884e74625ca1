//! One epoch of LightGCL (or LightGCN), where its time goes, and one full ranking.
//!
//! ```text
//! cargo bench --bench lightgcl_epoch -- [--data DIR] [--method lightgcl|lightgcn] [--steps K]
//! ```
//!
//! `DIR` is any folder that `Dataset::open` reads; without it, a set is generated. LightGCL: D = 64, 2 layers, rank 5,
//! batches of 4096, all nodes as candidates. LightGCN: D = 64, 3 layers, batches of 2048. With `--steps`, only so many
//! steps run and the epoch's time is computed from them. One step before them is not counted.

use clap::{Parser, ValueEnum};
use contrastive::Device;
use contrastive::graph::parts::Candidates;
use contrastive::graph::user_item::data::{Dataset, LoadOptions, NodeOrder, generate};
use contrastive::graph::user_item::method::{LightGclConfig, LightGcnConfig, Method, MethodConfig, Training};
use contrastive::train::{FitOptions, Trainee, epoch_rng};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Name {
    Lightgcl,
    Lightgcn,
}

#[derive(Parser)]
struct Options {
    /// A folder with interactions; without it, a generated set.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The method.
    #[arg(long, value_enum, default_value = "lightgcl")]
    method: Name,
    /// How nodes are numbered inside: clusters, degree or file.
    #[arg(long, default_value = "clusters")]
    order: String,
    /// Runs only so many steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let data = match &options.data {
        Some(folder) => Dataset::open(folder, &LoadOptions::default())?,
        None => {
            let sizes = generate::PlantedOptions {
                users: 12_000,
                items: 9_000,
                communities: 60,
                mean_degree: 30.0,
                ..Default::default()
            };
            generate::planted(&sizes)?.dataset
        }
    };
    let (users, items) = (data.num_users(), data.num_items());
    println!(
        "{}: {users} users, {items} items, {} training and {} test pairs; {} threads",
        data.name,
        data.train.len(),
        data.test.len(),
        rayon::current_num_threads()
    );
    let order = match options.order.as_str() {
        "clusters" => NodeOrder::Clusters,
        "degree" => NodeOrder::Degree,
        "file" => NodeOrder::File,
        other => return Err(format!("--order {other}; allowed are clusters, degree, file").into()),
    };
    let fit = FitOptions::new(&Device::flex());
    let start = Instant::now();
    let built = |name: &str| println!("{name}, built in {:.2} s", start.elapsed().as_secs_f64());
    match options.method {
        Name::Lightgcl => {
            let config = LightGclConfig::new()
                .with_dim(64)
                .with_batch_size(4096)
                .with_candidates(Candidates::All)
                .with_node_order(order);
            let training = config.training_on(&data, &fit)?;
            built("LightGCL: D = 64, 2 layers, rank 5, batches of 4096, all nodes as candidates");
            run(training, &options)
        }
        Name::Lightgcn => {
            let config = LightGcnConfig::new().with_dim(64).with_layers(3).with_batch_size(2048).with_node_order(order);
            let training = config.training_on(&data, &fit)?;
            built("LightGCN: D = 64, 3 layers, batches of 2048");
            run(training, &options)
        }
    }
}

fn run<M: Method>(mut training: Training<M>, options: &Options) -> Result<(), Box<dyn Error>> {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let steps = training.begin_epoch(1, epoch_rng(7, 1))?;
    let begin = Cost::since(start, cpu);
    let wanted = options.steps.unwrap_or(steps).clamp(1, steps);
    // first touches of memory and the threads' start are no part of an epoch
    training.step(0)?;
    let before = training.parts();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut losses = Vec::new();
    for step in 0..wanted {
        losses = training.step(step)?;
    }
    let taken = Cost::since(start, cpu);
    let parts = training.parts();
    let memory = peak_memory();
    let times = steps as f64 / wanted as f64;
    let epoch = begin.plus(taken, times);
    if wanted < steps {
        println!("{wanted} of {steps} steps in {taken}; the epoch is computed from them");
    }
    println!("epoch of {steps} steps: {epoch}; sampling {:.3} s", begin.wall);
    println!("a step: {:.1} ms", 1e3 * taken.wall / wanted as f64);
    let named = [
        ("sampling", parts.sampling.as_secs_f64()),
        ("propagation", times * (parts.propagation - before.propagation).as_secs_f64()),
        ("objective", times * (parts.objective - before.objective).as_secs_f64()),
        ("optimiser", times * (parts.optimiser - before.optimiser).as_secs_f64()),
    ];
    let known: f64 = named.iter().map(|(_, seconds)| seconds).sum();
    for (name, seconds) in named.into_iter().chain([("other", (epoch.wall - known).max(0.0))]) {
        println!("  {name:<12}{:5.1} %", 100.0 * seconds / epoch.wall);
    }
    let shown = losses.iter().map(|(name, value)| format!("{name} {value:.4}"));
    println!("losses of the last step: {}", shown.collect::<Vec<_>>().join(", "));
    println!("peak memory of the process: {memory} after the steps");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let metrics = training.evaluate()?.ok_or("nothing to evaluate on")?;
    println!("full ranking of all items for all test users: {}", Cost::since(start, cpu));
    let shown = metrics.iter().map(|(name, value)| format!("{name} {value:.4}"));
    println!("  {}", shown.collect::<Vec<_>>().join(", "));
    println!("peak memory of the process: {} after the ranking", peak_memory());
    Ok(())
}

/// Wall and CPU seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: Option<f64>,
}

impl Cost {
    fn since(start: Instant, cpu: Option<f64>) -> Self {
        Self { wall: start.elapsed().as_secs_f64(), cpu: cpu_seconds().zip(cpu).map(|(after, before)| after - before) }
    }

    fn plus(self, other: Self, times: f64) -> Self {
        let cpu = self.cpu.zip(other.cpu).map(|(a, b)| a + times * b);
        Self { wall: self.wall + times * other.wall, cpu }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cpu {
            Some(cpu) => write!(f, "{:.2} s wall, {cpu:.2} s CPU", self.wall),
            None => write!(f, "{:.2} s wall, CPU n/a", self.wall),
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

/// The most memory the process has held so far.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or_else(|| "n/a".to_string(), |kib| format!("{:.0} MB", kib * 1024.0 * 1e-6))
}
