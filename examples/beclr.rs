//! BECLR (Poulakakis-Daktylidis and Jamali-Rad 2024): few labelled images a class. OpTA moves class means to the queries of an episode, for any
//! features; DyCE is a memory in clusters that gives a batch neighbours as further positives.
//!
//! Smaller than in the paper: small encoders, memories of some thousand rows.
//!
//! ```sh
//! cargo run --release --example beclr                                                     # rendered shapes: a smoke test
//! cargo run --release --example beclr -- --data DATA/optdigits --seeds 3 --opta           # pixels, SimCLR's features
//! cargo run --release --example beclr -- --data DATA/omniglot --seeds 3 --opta --steps 400
//! cargo run --release --example beclr -- --data DATA/fashion-mnist --seeds 3 --steps 400  # DyCE off, intended, row to row
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::Device;
use contrastive::data::Limits;
use contrastive::data::augment::{Views, presets};
use contrastive::data::image::omniglot;
use contrastive::eval::few_shot::FewShot;
use contrastive::memory::DyCeConfig;
use contrastive::objective::Pairing;
use contrastive::opta::OpTa;
use contrastive::train::{Budget, MethodConfig};
use contrastive::vision::encoder::embed;
use contrastive::vision::evaluate::{FewShotTask, Protocol};
use contrastive::vision::method::{BeclrConfig, Settings, SimClrConfig, VisionModel};
use ndarray::Array2;
use std::error::Error;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// OpTA alone, on pixels and on SimCLR's features.
    #[arg(long)]
    opta: bool,
    /// Rows of the memories.
    #[arg(long, default_value_t = 2048)]
    memory: usize,
    /// Prototypes of the memories.
    #[arg(long, default_value_t = 50)]
    prototypes: usize,
    /// The first epoch with neighbours.
    #[arg(long, default_value_t = 3)]
    from_epoch: usize,
}

/// Omniglot's characters, one half to learn from and the other for episodes; or any other data.
fn protocol(common: &vision::Common) -> Result<Protocol> {
    let Some(path) = common.data.as_deref().filter(|path| path.join("images_background_small1").is_dir()) else {
        return common.protocol();
    };
    let all = omniglot(&path.join("images_background_small1"), Some(28), &Limits::default())?;
    let half =
        |k: u32| all.select(&(0..all.len()).filter(|i| all.label(*i).map(|l| l % 2) == Some(k)).collect::<Vec<_>>());
    let mut protocol = Protocol::f28([half(0)?, half(1)?]);
    protocol.frame.views = Views::two(presets::letters(28));
    Ok(protocol.with_budget(common.steps.map_or(Budget::Epochs(20), Budget::Steps)))
}

struct Table {
    ways: usize,
    queries: usize,
    labels: Vec<u32>,
}

impl Table {
    /// Accuracies with class means as they are, and moved; the last pair with unequal numbers of queries.
    fn line(&self, name: &str, x: &Array2<f32>, cpu: f64) -> Result {
        let of = |task: FewShotTask| -> Result<[f64; 2]> {
            let points = |found: FewShot| 100.0 * found.mean;
            let moved = OpTa::for_shots(task.shots);
            Ok([
                points(task.evaluate(x.view(), &self.labels, None)?),
                points(task.evaluate(x.view(), &self.labels, Some(&moved))?),
            ])
        };
        let task =
            |shots| FewShotTask { ways: self.ways, ..FewShotTask::new(shots) }.with_queries(self.queries, self.queries);
        let ([a, b], [c, d]) = (of(task(1))?, of(task(5))?);
        let [e, f] = of(task(1).with_queries(1, if self.queries == 15 { 29.min(self.most()) } else { self.queries }))?;
        println!(
            "{name:<28}{a:>8.1}{b:>7.1}{:>7.1}{c:>8.1}{d:>7.1}{:>7.1}{e:>8.1}{f:>7.1}{:>7.1}{cpu:>8.1}",
            b - a,
            d - c,
            f - e
        );
        Ok(())
    }

    /// Most queries of the smallest class beside one labelled row.
    fn most(&self) -> usize {
        let mut counts = std::collections::BTreeMap::new();
        self.labels.iter().for_each(|label| *counts.entry(label).or_insert(0) += 1);
        counts.values().min().map_or(0, |least: &usize| least - 1)
    }
}

fn train<S: Settings>(protocol: &Protocol, table: &Table, settings: S, seed: u64, device: &Device) -> Result {
    let (name, start) = (format!("{}, seed {seed}", settings.name()), vision::cpu_seconds());
    let mut run = protocol.config(settings).build(&protocol.train, seed, device)?;
    match protocol.frame.training.budget {
        Budget::Steps(steps) => (0..steps).try_for_each(|_| run.train_step().map(drop))?,
        Budget::Epochs(epochs) => (0..epochs).try_for_each(|_| run.train_epoch().map(drop))?,
    }
    let cpu = vision::cpu_seconds() - start;
    table.line(&name, &embed(run.trained_model().encoder(), &protocol.test, device)?, cpu)
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result {
    let arguments = Arguments::parse();
    let (common, mut protocol) = (&arguments.common, protocol(&arguments.common)?);
    let device = common.device()?;
    let (rows, labels) = protocol.test.labelled();
    protocol.test = protocol.test.select(&rows)?;
    let ways = protocol.test.classes().len().min(5);
    let mut table = Table { ways, queries: 15, labels };
    if table.most() < 19 {
        table.queries = 5;
    }
    println!(
        "{}: {} images, {ways}-way episodes of {} queries a class, 200 of them",
        protocol.test.name(),
        rows.len(),
        table.queries
    );
    println!("{:<28}{:>22}{:>22}{:>22}", "", "1-shot", "5-shot", "1-shot, uneven");
    println!("{:<28}{}{:>8}", "", format!("{:>8}{:>7}{:>7}", "plain", "OpTA", "gain").repeat(3), "CPU s");
    let pixels = protocol.test.rows();
    table.line("pixels", &pixels, 0.0)?;
    for shots in [1, 5] {
        let task =
            FewShotTask { ways, count: 2000, ..FewShotTask::new(shots) }.with_queries(table.queries, table.queries);
        let moved = OpTa::for_shots(shots);
        let [without, with] = [None, Some(&moved)].map(|moved| {
            let start = vision::cpu_seconds();
            task.evaluate(pixels.view(), &table.labels, moved).map(|_| (vision::cpu_seconds() - start) / 2.0)
        });
        println!("{shots}-shot episode of pixels: {:.2} CPU ms, with OpTA {:.2}", without?, with?);
    }
    for seed in 0..common.seeds {
        train(&protocol, &table, SimClrConfig::new(0.2), seed, &device)?;
        if arguments.opta {
            continue;
        }
        let capacity = arguments.memory.min(protocol.train.len() / 2);
        let memory = DyCeConfig::new(capacity, arguments.prototypes.min(capacity / 8).max(2), 5);
        let base = BeclrConfig::new(memory).from_epoch(arguments.from_epoch, 10);
        for settings in [base.clone().without_memory(), base.clone(), base.with_pairing(Pairing::RowToRow)] {
            train(&protocol, &table, settings, seed, &device)?;
        }
    }
    Ok(())
}
