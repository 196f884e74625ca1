//! Four questions about images that one table of methods does not answer.
//!
//! ```sh
//! cargo run --release --example vision_studies                                                    # all, on rendered shapes: a smoke test
//! cargo run --release --example vision_studies -- --only stop,codes --data optdigits --seeds 3    # what keeps methods from a collapse
//! cargo run --release --example vision_studies -- --only ghosts --data fashion-mnist --seeds 3    # large batches, whole or in ghosts
//! cargo run --release --example vision_studies -- --only epochs --data fashion-mnist --epochs 10  # 60,000 images; CPU seconds an epoch
//! cargo run --release --example vision_studies -- --only episodes --data omniglot --seeds 3       # 20-way one-shot runs, 5-way episodes
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::Limits;
use contrastive::data::augment::{Views, presets};
use contrastive::data::image::{ImageSet, omniglot, one_shot_runs};
use contrastive::eval::Summary;
use contrastive::eval::few_shot::Episodes;
use contrastive::nn::layer::ChannelNormKind;
use contrastive::norm::Regime;
use contrastive::train::{Budget, MethodConfig};
use contrastive::vision::data::fashion;
use contrastive::vision::encoder::{Encoder, EncoderConfig, embed};
use contrastive::vision::evaluate::{Measures, Protocol, Quality, one_shot_errors};
use contrastive::vision::method::*;
use std::error::Error;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// Of stop, codes, ghosts, epochs, episodes.
    #[arg(long, value_delimiter = ',', default_value = "stop,codes,ghosts,episodes")]
    only: Vec<String>,
}

/// SimSiam without its stopped gradient collapses where nothing else keeps the rows apart; SwAV with plain codes uses few prototypes.
fn collapse(arguments: &Arguments, study: &str) -> Result {
    let (common, protocol) = (&arguments.common, arguments.common.protocol()?);
    let mut rows = Vec::new();
    for seed in 0..common.seeds {
        rows.push(protocol.untrained(seed, &common.device()?)?);
        let hidden = (protocol.frame.projector[1] / 4).max(1);
        for (stop, norm) in
            [(true, true), (false, true), (true, false), (false, false)].into_iter().filter(|_| study == "stop")
        {
            let settings = SimSiamConfig { stop, output_norm: norm, ..SimSiamConfig::new(hidden) };
            let mut row = common.run(&protocol, settings, seed)?;
            row.name = format!("SimSiam, stop {stop}, norm {norm}");
            rows.push(row);
        }
        for codes in [Codes::Even, Codes::Softmax].into_iter().filter(|_| study == "codes") {
            let settings = SwAvConfig::new(60).with_codes(codes);
            let (mut row, run) = protocol.run_watched(settings, seed, &common.device()?)?;
            eprintln!("{codes:?} codes, seed {seed}: {} prototypes in use", run.method().method().prototypes_in_use());
            row.name = format!("SwAV, {codes:?} codes");
            rows.push(row);
        }
    }
    vision::table(&protocol, &rows);
    Ok(())
}

/// Batches of 128 and 1,024 (an eighth on shapes), whole or in ghosts of 128, at equal updates; the larger batch's rate as found and scaled.
fn ghosts(arguments: &Arguments) -> Result {
    let (common, protocol) = (&arguments.common, arguments.common.protocol()?);
    let small = if protocol.train.len() >= 1024 { 128 } else { 16 };
    let steps = if protocol.train.len() >= 1024 { 300 } else { 20 };
    let regime = Regime::new(small, protocol.frame.training.learning_rate, 1)?;
    let mut rows = Vec::new();
    for seed in 0..common.seeds {
        rows.push(protocol.untrained(seed, &common.device()?)?);
        for (batch, ghost, scaled) in
            [(1, false, false), (8, false, false), (8, false, true), (8, true, false), (8, true, true)]
        {
            let mut protocol = protocol.clone().with_budget(Budget::Steps(steps));
            let rate = if scaled { regime.with_scaled_rate(batch * small)?.rate() } else { regime.rate() };
            protocol.frame = protocol.frame.with_batch(batch * small).with_rate(rate);
            if ghost {
                protocol.frame.encoder = protocol.frame.encoder.with_norm(ChannelNormKind::Ghost(small));
            }
            let mut row = common.run(&protocol, SimClrConfig::new(0.5), seed)?;
            let (of, times) = (if ghost { ", ghosts" } else { "" }, if scaled { ", rate x2.8" } else { "" });
            row.name = format!("{}{of}{times}", batch * small);
            eprintln!("{}, seed {seed}: NC5 {:.1}", row.name, row.quality.nc5);
            rows.push(row);
        }
    }
    vision::table(&protocol, &rows);
    Ok(())
}

/// CPU seconds of this process so far; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// All 60,000 images: the probe (10,000 labels) and the CPU seconds after each epoch.
fn epochs(arguments: &Arguments) -> Result {
    let (common, device) = (&arguments.common, arguments.common.device()?);
    let path = common.data.as_deref().ok_or("--only epochs needs --data, a folder with Fashion-MNIST's four files")?;
    let mut protocol = Protocol::f28(fashion(path, [60_000, 10_000])?);
    protocol.frame.encoder = EncoderConfig::conv(&[32, 64, 128]);
    protocol.frame = protocol.frame.with_batch(256).with_rate(common.learning_rate.unwrap_or(1e-3));
    let labelled = protocol.train.first(10_000)?;
    for seed in 0..common.seeds {
        let score = |encoder: &Encoder| -> Result<Quality> {
            let (train, test) = (embed(encoder, &labelled, &device)?, embed(encoder, &protocol.test, &device)?);
            Ok(Quality::of([train.view(), test.view()], [&labelled, &protocol.test], &Measures::IMAGES)?)
        };
        let mut training = protocol.config(SimClrConfig::new(0.5)).build(&protocol.train, seed, &device)?;
        let mut cpu = 0.0;
        for epoch in 0..=common.epochs.unwrap_or(2) {
            if epoch > 0 {
                let start = cpu_seconds();
                training.train_epoch()?;
                cpu += cpu_seconds() - start;
            }
            let Quality { nc5, knn, probe, .. } = score(training.trained_model().encoder())?;
            println!(
                "seed {seed}, epoch {epoch}: NC5 {nc5:.1}, kNN {knn:.1}, probe {probe:.1}; {cpu:.0} CPU s of training"
            );
        }
    }
    Ok(())
}

/// Omniglot: one-shot runs and episodes by pixels, an untrained and a trained encoder; of other data the episodes alone.
fn episodes(arguments: &Arguments) -> Result {
    let (common, device) = (&arguments.common, arguments.common.device()?);
    let omniglot_at = common.data.as_deref().filter(|path| path.join("all_runs").is_dir());
    let (protocol, runs) = match omniglot_at {
        Some(path) => {
            let background = omniglot(&path.join("images_background_small1"), Some(28), &Limits::default())?;
            let mut protocol = Protocol::f28([background.clone(), background]);
            protocol.frame.views = Views::two(presets::letters(28));
            (protocol, one_shot_runs(&path.join("all_runs"), Some(28), &Limits::default())?)
        }
        None => (common.protocol()?, Vec::new()),
    };
    let protocol = match (common.epochs, common.steps) {
        (Some(epochs), _) => protocol.with_budget(Budget::Epochs(epochs)),
        (_, Some(steps)) => protocol.with_budget(Budget::Steps(steps)),
        _ => protocol,
    };
    // characters that a training saw tell nothing: episodes of Omniglot are drawn from the runs' alphabets
    let score = |name: &str, encoder: Option<&Encoder>| -> Result {
        if !runs.is_empty() {
            let errors = Summary::of(&one_shot_errors(encoder, &runs, &device)?);
            println!(
                "{name:24} wrong in {} runs of 20-way one-shot: {:.3} +- {:.3}",
                runs.len(),
                errors.mean,
                errors.std
            );
            return Ok(());
        }
        let rows = |set: &ImageSet| encoder.map_or_else(|| Ok(set.rows()), |encoder| embed(encoder, set, &device));
        let (labelled, labels) = protocol.test.labelled();
        let x = rows(&protocol.test.select(&labelled)?)?;
        for shots in [1, 5] {
            let ways = protocol.test.classes().len().min(5);
            let found = Episodes::new(ways, shots).with_queries(5).with_count(200).nearest_means(x.view(), &labels)?;
            println!("{name:24} {ways}-way {shots}-shot: {found}");
        }
        Ok(())
    };
    score("pixels", None)?;
    for seed in 0..common.seeds {
        let plain = (device.clone().inner(), burn::tensor::DType::F32);
        score(
            &format!("untrained, seed {seed}"),
            Some(&protocol.frame.encoder.init(protocol.train.shape(), seed, &plain)?),
        )?;
        let (_, run) = protocol.run_watched(SimClrConfig::new(0.2), seed, &device)?;
        score(&format!("SimCLR, seed {seed}"), Some(run.trained_model().encoder()))?;
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result {
    let arguments = Arguments::parse();
    for study in &arguments.only {
        match study.as_str() {
            "stop" | "codes" => collapse(&arguments, study)?,
            "ghosts" => ghosts(&arguments)?,
            "epochs" => epochs(&arguments)?,
            "episodes" => episodes(&arguments)?,
            other => return Err(format!("--only {other}: allowed are stop, codes, ghosts, epochs, episodes").into()),
        }
    }
    Ok(())
}
