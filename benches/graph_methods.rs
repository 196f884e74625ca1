//! Methods on graphs, as ratios of one run: a step of DCCF beside LightGCN, an epoch of MEOW and AdaMEOW beside negatives that count alike, and
//! an epoch of POT beside GRACE.
//!
//! ```text
//! cargo bench --bench graph_methods -- [--scale K] [--heco DIR]
//! ```
//!
//! `--scale` multiplies the generated sizes; `--heco` takes ACM in place of the generated network. One step before each is not counted.

use clap::Parser;
use contrastive::Device;
use contrastive::data::Limits;
use contrastive::graph::hetero::data::{HeteroGraph, NetworkOptions, planted_network};
use contrastive::graph::hetero::method::{MeowConfig, Negatives};
use contrastive::graph::node::data::{BlockModelOptions, block_model};
use contrastive::graph::node::method::pot::{PotConfig, Score};
use contrastive::graph::node::method::{GraceConfig, NodeMethodConfig};
use contrastive::graph::user_item::data::generate;
use contrastive::graph::user_item::method::{DccfConfig, LightGcnConfig, MethodConfig as _};
use contrastive::train::{FitOptions, MethodConfig as _};
use std::{error::Error, path::PathBuf, time::Instant};

#[derive(Parser)]
struct Options {
    /// Factor of the sizes.
    #[arg(long, default_value_t = 1)]
    scale: usize,
    /// A folder of HeCo's layout.
    #[arg(long)]
    heco: Option<PathBuf>,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds of one call, after one that does not count.
fn timed(mut step: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    step()?;
    let start = Instant::now();
    (0..3).try_for_each(|_| step())?;
    Ok(start.elapsed().as_secs_f64() / 3.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (scale, device) = (options.scale, Device::default());
    let run = FitOptions::new(&device).seed(1).progress(false);
    let sizes = generate::PlantedOptions { users: 2000 * scale, items: 1500 * scale, ..Default::default() };
    let data = generate::planted(&sizes)?.dataset;
    let (dim, layers, k, batch) = (32, 2, 32, 1024);
    let gcn = LightGcnConfig::new().with_layers(layers).with_dim(dim).with_batch_size(batch);
    let mut gcn = gcn.training_on(&data, &run)?;
    let dccf = DccfConfig::sslrec().with_layers(layers).with_intents(k).with_dim(dim).with_batch_size(batch);
    let mut dccf = dccf.training_on(&data, &run)?;
    let (edges, nodes) = (2 * data.train.len(), data.train.num_users() + data.train.num_items());
    let base = timed(|| Ok(drop(gcn.train_step()?)))?;
    let found = timed(|| Ok(drop(dccf.train_step()?)))?;
    let work = 6 * layers * edges * dim + 4 * layers * edges * dim + 4 * nodes * k * dim * layers;
    println!(
        "DCCF step: {:.1} of LightGCN's; forward {work} operations without the contrast, LightGCN {}",
        found / base,
        2 * layers * edges * dim
    );

    let graph = match &options.heco {
        Some(folder) => HeteroGraph::open_heco(folder, &Limits::default())?,
        None => {
            planted_network(&NetworkOptions { targets: 1000 * scale, authors: 1500 * scale, ..Default::default() })?
        }
    };
    let config = MeowConfig::acm().with_cluster_every(10).with_clusters(vec![20, 60]);
    let n = graph.num_targets();
    let mut base = 0.0;
    for (name, negatives, passes) in
        [("alike", Negatives::Alike, 6), ("MEOW", Negatives::Clustered, 16), ("AdaMEOW", Negatives::Learned, 6)]
    {
        let mut training = config.clone().with_negatives(negatives).build(&graph, 1, &device)?;
        let seconds = timed(|| Ok(drop(training.train_epoch()?)))?;
        base = if base == 0.0 { seconds } else { base };
        let hidden = if negatives == Negatives::Learned { 12 * n * n * config.hidden } else { 0 };
        let contrast = passes * n * n * config.dim + hidden;
        println!(
            "{name} epoch: {:.2} of the first; {contrast} operations in the contrast of {n} targets",
            seconds / base
        );
    }

    let graph = block_model(&BlockModelOptions { nodes: 2000 * scale, ..Default::default() })?;
    let host = GraceConfig::new().with_dim(64).with_projection(64).with_feature_drop([0.0; 2]);
    let mut grace = host.build(&graph, 1, &device)?;
    let mut pot = PotConfig::new(host).build(&graph, 1, &device)?;
    let base = timed(|| Ok(grace.train_epoch().map(|_| ())?))?;
    let found = timed(|| Ok(pot.train_epoch().map(|_| ())?))?;
    let start = Instant::now();
    pot.method().compactness(&pot.trained_model(), Score::Certified, 1)?;
    println!(
        "POT epoch: {:.2} of GRACE's; 14 sparse products beside GRACE's 8; certified in {:.2} of a GRACE epoch",
        found / base,
        start.elapsed().as_secs_f64() / base
    );
    Ok(())
}
