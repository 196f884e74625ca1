//! SASRec on Beauty (S3-Rec's lists) at the published size: an epoch by BCE per position and by the full softmax, the full ranking, and
//! ICSRec's clusters, in CPU seconds, with the peak of memory and the share of the parts.
//! `cargo bench --bench sequences` (the data in `$CONTRASTIVE_SHARED` or `../shared`; generated lists of the same size otherwise).
//!
//! Measured peer (S3-Rec's code, 2 threads): 45.5 CPU s and 1,559 MiB an epoch by BCE, 21 s a full ranking.

use contrastive::Device;
use contrastive::cluster::{KMeans, k_means_from};
use contrastive::eval::ranking::Seen;
use contrastive::seqrec::data::generate::{GenerateOptions, markov_intents};
use contrastive::seqrec::data::{LeaveOneOut, Mode, Part, Sequences, ShortUsers};
use contrastive::seqrec::method::{IcsRecConfig, ItemLoss, MclRecConfig, SasRecConfig, SequenceMethod, SequenceModel};
use contrastive::train::{MethodConfig, Training};
use std::path::PathBuf;

/// CPU seconds of this process so far; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Resident memory at its peak, MiB; 0 where the system does not say.
fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn data() -> LeaveOneOut {
    let root = std::env::var_os("CONTRASTIVE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let sequences = Sequences::read(root.join("data/s3rec/Beauty.txt")).unwrap_or_else(|error| {
        println!("{error}: GENERATED lists instead");
        let options = GenerateOptions { users: 22_363, items: 12_101, length: (5, 13), ..GenerateOptions::default() };
        markov_intents(&options).expect("options in range").sequences
    });
    LeaveOneOut::new(&sequences, ShortUsers::Drop).expect("lists of three")
}

/// An epoch, or its first steps for the slow ones, scaled to the whole.
fn epoch<M: SequenceMethod>(name: &str, mut training: Training<M>, steps: Option<usize>) -> f64 {
    let samples = training.method().base().samples().len();
    let batches = samples.div_ceil(training.config().batch_size);
    let taken = steps.unwrap_or(batches);
    let start = cpu_seconds();
    for _ in 0..taken {
        training.train_step().expect("a step");
    }
    let spent = (cpu_seconds() - start) * batches as f64 / taken as f64;
    let t = training.timing();
    let all = (t.batch + t.losses + t.backward + t.optimiser).as_secs_f64() / 100.0;
    let [batch, losses, backward, optimiser] =
        [t.batch, t.losses, t.backward, t.optimiser].map(|part| part.as_secs_f64() / all);
    println!(
        "{name:34} {spent:7.2} CPU s an epoch of {batches} ({taken} taken), peak {:.0} MiB; batches {batch:.0}%, encoding and losses {losses:.0}%, backward {backward:.0}%, optimiser {optimiser:.0}%",
        peak()
    );
    spent
}

fn main() {
    let (data, device) = (data(), Device::default());
    println!("{} users, {} items, resident before: {:.0} MiB", data.num_users(), data.num_items(), peak());
    let base = SasRecConfig::new();
    let position = base.clone().with_mode(Mode::PerPosition);
    let build = |config: &SasRecConfig| config.build(&data, 1, &device).expect("settings in range");
    let bce = epoch("BCE per position", build(&position.clone().with_loss(ItemLoss::Bce)), None);
    println!("{:34} {:.1} times the peer's rate", "", 45.5 / bce);
    epoch("full softmax per position", build(&position), None);
    epoch("full softmax, every prefix", build(&base), Some(60));
    let icsrec = IcsRecConfig::new().with_base(base.clone()).with_fine_weight(0.0).build(&data, 1, &device);
    let icsrec = epoch("ICSRec without clusters", icsrec.expect("settings in range"), Some(60));
    let mclrec = MclRecConfig::new().with_base(base.clone()).build(&data, 1, &device);
    epoch("MCLRec", mclrec.expect("settings in range"), Some(30));
    let training = build(&base);
    let model = SequenceModel::of_training(&training);
    let start = cpu_seconds();
    let ranks = model.evaluate(&data, Part::Test, Seen::Exclude).expect("finite rows");
    println!("{:34} {:7.2} CPU s ({} ranks)", "full ranking", cpu_seconds() - start, ranks.ranks().len());
    let samples = training.method().samples();
    let start = cpu_seconds();
    let rows = model.encoder().encode_lists((0..samples.len()).map(|row| samples.get(row).input));
    let encoding = cpu_seconds() - start;
    let shape = [rows.nrows(), rows.ncols()];
    let rows = burn::tensor::TensorData::new(rows.into_raw_vec_and_offset().0, shape);
    let rows = burn::tensor::Tensor::<2>::from_data(rows, &device);
    let settings = KMeans { iterations: 20, ..KMeans::new(256, 1) };
    let first: Vec<u32> = (0..256).map(|k| k * 500).collect();
    let start = cpu_seconds();
    let found = k_means_from(&rows, &contrastive::linear::gather_rows(rows.clone(), &first), &settings).expect("rows");
    let clusters = cpu_seconds() - start;
    println!(
        "{:34} {clusters:7.2} CPU s for {} iterations, {encoding:.2} to encode: {:.0}% of an epoch",
        "ICSRec's clusters",
        found.iterations,
        100.0 * (clusters + encoding) / icsrec
    );
}
