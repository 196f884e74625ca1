//! DCCF beside LightGCN, LightGCL and itself without contrast: `cargo run --release --example dccf -- [--data DIR] [--keep 0.3]`.
//!
//! With `--false-pairs 0.2` a fifth as many random pairs as there are join the training part, and the table says how well the masks of the
//! last layer tell them from the true ones (area under the curve; a half is chance).

use clap::Parser;
use contrastive::Device;
use contrastive::eval::{Summary, ranking::RankingReport, scores::roc_auc};
use contrastive::graph::parts::Readout;
use contrastive::graph::user_item::data::{Dataset, Interactions, LoadOptions, NodeOrder, generate, split};
use contrastive::graph::user_item::method::{DccfConfig, LightGclConfig, LightGcnConfig, MethodConfig};
use contrastive::train::FitOptions;
use rand::{RngExt, SeedableRng};
use std::{collections::BTreeMap, error::Error, path::PathBuf};

#[derive(Parser, Debug)]
struct Arguments {
    /// Interactions; without it, a generated set with planted communities.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Number of seeds, from 1.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Share of the training pairs to keep, drawn by the seed.
    #[arg(long, default_value_t = 1.0)]
    keep: f64,
    /// Rank this share of the kept training pairs in place of the test part, to choose settings by.
    #[arg(long)]
    validation: Option<f64>,
    /// Random pairs that join the training part, as a share of it.
    #[arg(long, default_value_t = 0.0)]
    false_pairs: f64,
    /// Epochs of DCCF.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Learning rate of DCCF.
    #[arg(long, default_value_t = 5e-3)]
    lr: f64,
    /// Triples in a batch.
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// DCCF alone, without the methods beside it.
    #[arg(long)]
    alone: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let whole = match &arguments.data {
        Some(path) => Dataset::open(path, &LoadOptions::default())?,
        None => {
            eprintln!("no --data: using GENERATED interactions (planted communities, popularity skew)");
            let options = generate::PlantedOptions { users: 400, items: 300, communities: 20, ..Default::default() };
            generate::planted(&options)?.dataset
        }
    };
    let mut rows: BTreeMap<&str, Vec<[f64; 3]>> = BTreeMap::new();
    let row = |of: RankingReport, auc| [of.get("recall@20"), of.get("ndcg@20"), auc].map(|x| x.unwrap_or(f64::NAN));
    for seed in 1..=arguments.seeds {
        let mut data = whole.clone();
        data.train = data.train.subsample(arguments.keep, seed)?;
        if let Some(share) = arguments.validation {
            (data.train, data.test) = split::random(&data.train, share, seed)?;
        }
        let truth = data.train.clone();
        data.train = with_false_pairs(&truth, arguments.false_pairs, seed)?;
        let config = DccfConfig::sslrec().with_intents(32).with_dim(32).with_learning_rate(arguments.lr);
        let config = config.with_batch_size(arguments.batch).with_node_order(NodeOrder::File);
        for (name, config) in [("DCCF", config.clone()), ("DCCF without contrast", config.with_contrast_weight(0.0))] {
            let mut training = config.training_on(&data, &options(arguments.epochs, seed))?;
            (0..arguments.epochs).try_for_each(|_| training.train_epoch().map(drop))?;
            let auc = (arguments.false_pairs > 0.0).then(|| {
                let method = training.method();
                let layers = method.views(&training.table(), &training.beside()).layers;
                let mask = layers[layers.len() - 1].masks[0].clone().into_data().iter::<f32>().collect::<Vec<_>>();
                let of_users = method.pattern().indptr()[method.graph().users];
                // the entries of the users' rows are the pairs in order
                let labels: Vec<bool> = data.train.pairs().map(|(user, item)| truth.contains(user, item)).collect();
                roc_auc(&labels, &mask[..of_users])
            });
            let report = training.embeddings().evaluate(&data.train, &data.test, &[20])?;
            rows.entry(name).or_default().push(row(report, auc.transpose()?));
        }
        if arguments.alone {
            continue;
        }
        let gcn = LightGcnConfig::new().with_layers(2).with_readout(Readout::Sum).with_dim(32);
        let gcn = gcn.with_learning_rate(5e-3).with_batch_size(arguments.batch).fit(&data, &options(80, seed))?;
        let gcl = LightGclConfig::new().with_contrast_weight(0.05).with_dim(32);
        let gcl = gcl.with_learning_rate(5e-3).with_batch_size(arguments.batch).fit(&data, &options(32, seed))?;
        for (name, model) in [("LightGCN, 80 epochs", gcn), ("LightGCL, 32 epochs", gcl)] {
            rows.entry(name).or_default().push(row(model.evaluate(&data.train, &data.test, &[20])?, None));
        }
    }
    println!("| method | Recall@20 / NDCG@20 by seed | mean | AUC of the masks |\n|---|---|---|---|");
    for (name, values) in rows {
        let seeds: Vec<String> = values.iter().map(|row| format!("{:.4} / {:.4}", row[0], row[1])).collect();
        let [recall, ndcg, auc] = [0, 1, 2].map(|k| Summary::of(&values.iter().map(|v| v[k]).collect::<Vec<_>>()).mean);
        let auc = if auc.is_nan() { String::new() } else { format!("{auc:.3}") };
        println!("| {name} | {} | {recall:.4} / {ndcg:.4} | {auc} |", seeds.join(", "));
    }
    Ok(())
}

fn options(epochs: usize, seed: u64) -> FitOptions {
    FitOptions::new(&Device::default()).epochs(epochs).seed(seed).progress(false).evaluate_every(epochs)
}

/// The pairs, and as many random ones as the share says.
fn with_false_pairs(truth: &Interactions, share: f64, seed: u64) -> Result<Interactions, Box<dyn Error>> {
    let (users, items) = (truth.num_users() as u32, truth.num_items() as u32);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let pair = |_| (rng.random_range(0..users), rng.random_range(0..items));
    let drawn: Vec<(u32, u32)> = (0..(truth.len() as f64 * share) as usize).map(pair).collect();
    Ok(Interactions::from_pairs(users as usize, items as usize, truth.pairs().chain(drawn))?)
}
