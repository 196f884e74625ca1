//! Methods on graphs: CPU seconds, memory beyond what was there before, counts of operations; ratios of one run.
//!
//! ```text
//! cargo bench --bench graph_methods -- [--only NAME,..] [--heco DIR] [--data DIR] [--graph FILE] [--airports FILE]
//! ```
//!
//! Names: dccf, gowalla, meow, pot, certified, orbits, walks, dsla, margins. `--heco` takes ACM in place of a generated network, `--data` is a
//! folder of interactions (Gowalla) for one step of DCCF, `--graph` a graph for POT (Cora), `--airports` a list of edges to walk on. One step before each is not counted.

use burn::tensor::{Distribution, Tensor};
use clap::Parser;
use contrastive::Device;
use contrastive::data::Limits;
use contrastive::graph::graphs::data::{GraphUnion, MotifOptions, motif_graphs};
use contrastive::graph::graphs::method::DslaConfig;
use contrastive::graph::hetero::data::{HeteroGraph, NetworkOptions, planted_network};
use contrastive::graph::hetero::method::{MeowConfig, Negatives};
use contrastive::graph::node::augment::walk::random_walks;
use contrastive::graph::node::data::{BlockModelOptions, Cleaning, Graph, Loops, Normalisation, RoleGraphOptions};
use contrastive::graph::node::data::{block_model, role_graph};
use contrastive::graph::node::graphlets::{Graphlets, Orbit};
use contrastive::graph::node::method::pot::{PotConfig, Score};
use contrastive::graph::node::method::{GraceConfig, NodeMethodConfig};
use contrastive::graph::user_item::data::{Dataset, LoadOptions, generate};
use contrastive::graph::user_item::method::{DccfConfig, LightGcnConfig, MethodConfig as _};
use contrastive::objective::DiscrepancyLearning;
use contrastive::train::{FitOptions, MethodConfig as _};
use std::{error::Error, path::PathBuf};

#[path = "measure/mod.rs"]
mod measure;
use measure::cost;

#[derive(Parser)]
struct Options {
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A folder of HeCo's layout.
    #[arg(long)]
    heco: Option<PathBuf>,
    /// A folder of interactions for one step of DCCF.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A graph with features for POT (Cora); without it, a generated one.
    #[arg(long)]
    graph: Option<PathBuf>,
    /// A graph to walk on.
    #[arg(long)]
    airports: Option<PathBuf>,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

type Done<T = ()> = Result<T, Box<dyn Error>>;
/// A part by its name.
type Part = (&'static str, fn(&Options) -> Done);

/// CPU seconds of one of `times` steps, after one that does not count, and the most MiB they held.
fn timed(times: usize, mut step: impl FnMut() -> Done) -> Done<(f64, f64)> {
    step()?;
    let (seconds, bytes, done) = cost(|| (0..times).try_for_each(|_| step()));
    done?;
    Ok((seconds / times as f64, mib(bytes)))
}

/// CPU seconds of a step of each: the median of seven turns of `times` steps, after one turn that does not count.
fn in_turns<const N: usize>(times: usize, mut steps: [&mut dyn FnMut() -> Done; N]) -> Done<[f64; N]> {
    let mut turns: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for turn in 0..8 {
        for (step, seconds) in steps.iter_mut().zip(&mut turns) {
            let (spent, _, done) = cost(|| (0..times).try_for_each(|_| step()));
            done?;
            seconds.extend((turn > 0).then_some(spent / times as f64));
        }
    }
    Ok(turns.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }))
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn main() -> Done {
    let options = Options::parse();
    let parts: [Part; 9] = [
        ("dccf", dccf),
        ("gowalla", gowalla),
        ("meow", meow),
        ("pot", pot),
        ("certified", certified),
        ("orbits", orbits),
        ("walks", walks),
        ("dsla", dsla),
        ("margins", margins),
    ];
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    parts.into_iter().filter(|part| wanted(part.0)).try_for_each(|part| part.1(&options))
}

fn dccf(_: &Options) -> Done {
    let run = FitOptions::new(&Device::default()).seed(1).progress(false);
    let sizes = generate::PlantedOptions { users: 2000, items: 1500, ..Default::default() };
    let data = generate::planted(&sizes)?.dataset;
    let (dim, layers, k, batch) = (32, 2, 32, 1024);
    let gcn = LightGcnConfig::new().with_layers(layers).with_dim(dim).with_batch_size(batch);
    let mut gcn = gcn.training_on(&data, &run)?;
    let config = DccfConfig::sslrec().with_layers(layers).with_intents(k).with_dim(dim).with_batch_size(batch);
    let mut dccf = config.training_on(&data, &run)?;
    let (edges, nodes) = (2 * data.train.len(), data.train.num_users() + data.train.num_items());
    let mut silent = config.with_contrast_weight(0.0).training_on(&data, &run)?;
    let [base, found, alone] = in_turns(
        10,
        [
            &mut || gcn.train_step().map(drop).map_err(Into::into),
            &mut || dccf.train_step().map(drop).map_err(Into::into),
            &mut || silent.train_step().map(drop).map_err(Into::into),
        ],
    )?;
    let (work, plain) = ((10 * edges * dim + 4 * nodes * k * dim) * layers, 2 * layers * edges * dim);
    println!(
        "DCCF: {:.1} CPU ms a step, {:.1} of LightGCN's, without its contrast {:.1}; products forward {work}, LightGCN's {plain}",
        1e3 * found,
        found / base,
        alone / base
    );
    Ok(())
}

fn gowalla(options: &Options) -> Done {
    let Some(folder) = &options.data else { return Ok(()) };
    let data = Dataset::open(folder, &LoadOptions::default())?;
    let run = FitOptions::new(&Device::default()).seed(1).progress(false);
    let (made, bytes, training) = cost(|| {
        let config = DccfConfig::sslrec().with_dim(32).with_layers(2);
        config.training_on(&data, &run).map_err(Box::new)
    });
    let mut training = training?;
    let (first, peak, step) = cost(|| training.train_step());
    step?;
    println!(
        "DCCF on {}: made in {made:.1} CPU s with {:.0} MiB at the most, the first step {first:.1} CPU s and {:.0} MiB more",
        data.name,
        mib(bytes),
        mib(peak)
    );
    Ok(())
}

fn meow(options: &Options) -> Done {
    let graph = match &options.heco {
        Some(folder) => HeteroGraph::open_heco(folder, &Limits::default())?,
        None => planted_network(&NetworkOptions { targets: 1000, authors: 1500, ..Default::default() })?,
    };
    let config = MeowConfig::acm().with_cluster_every(10).with_cluster_restarts(1).with_clusters(vec![20, 60]);
    let n = graph.num_targets();
    for (name, negatives, passes) in
        [("alike", Negatives::Alike, 6), ("MEOW", Negatives::Clustered, 16), ("AdaMEOW", Negatives::Learned, 6)]
    {
        let mut training = config.clone().with_negatives(negatives).build(&graph, 1, &Device::default())?;
        // ten epochs, of which one clusters
        let (seconds, peak) = timed(10, || training.train_epoch().map(drop).map_err(Into::into))?;
        let data = training.method().prepared();
        let entries: usize = data.clean.iter().chain(&data.masked).chain([&data.coarse]).map(|of| of.nnz()).sum();
        let hidden = if negatives == Negatives::Learned { 12 * n * n * config.hidden } else { 0 };
        println!(
            "{name}: {seconds:.2} CPU s an epoch, {peak:.0} MiB; contrast of {n} targets {:.1} GFLOP, sparse products {:.1}",
            (passes * n * n * config.dim + hidden) as f64 * 1e-9,
            (8 * entries * config.dim) as f64 * 1e-9
        );
    }
    Ok(())
}

fn pot(options: &Options) -> Done {
    let graph = match &options.graph {
        Some(path) => Graph::read(path)?,
        None => block_model(&BlockModelOptions { nodes: 2000, ..Default::default() })?,
    };
    let host = GraceConfig::new().with_dim(64).with_projection(64).with_feature_drop([0.0; 2]);
    let mut grace = host.build(&graph, 1, &Device::default())?;
    let mut pot = PotConfig::new(host).build(&graph, 1, &Device::default())?;
    let [base, found] = in_turns(
        3,
        [&mut || grace.train_epoch().map(|_| ()).map_err(Into::into), &mut || {
            pot.train_epoch().map(|_| ()).map_err(Into::into)
        }],
    )?;
    println!(
        "POT on {}: {:.1} CPU ms an epoch, {:.2} of GRACE's; 14 sparse products beside GRACE's 8",
        graph.name(),
        1e3 * found,
        found / base
    );
    Ok(())
}

fn certified(_: &Options) -> Done {
    for nodes in [50_000, 200_000] {
        let communities = nodes / 400;
        let sizes = BlockModelOptions { nodes, communities, features: 2000, own_words: 3.0, ..Default::default() };
        let graph = block_model(&sizes)?;
        let host = GraceConfig::new().with_dim(64).with_projection(64).with_feature_drop([0.0; 2]);
        let pot = PotConfig::new(host).build(&graph, 1, &Device::default())?;
        let model = pot.trained_model();
        let (seconds, peak, found) = cost(|| pot.method().compactness(&model, Score::Certified, 1).map_err(Box::new));
        println!(
            "certified: {} nodes, {} entries: {seconds:.1} CPU s, {:.0} MiB, {:.0} bytes a node and entry",
            found?.nodes.len(),
            graph.num_entries(),
            mib(peak),
            peak as f64 / (nodes + graph.num_entries()) as f64
        );
    }
    Ok(())
}

/// Nodes that come one by one and choose ten neighbours by their degrees (Barabasi and Albert): degrees follow a power law.
fn power_law(nodes: u32) -> Done<Graph> {
    let (mut edges, mut ends, mut state) = (Vec::new(), (0..10).collect::<Vec<u32>>(), 1u64);
    for node in 10..nodes {
        let known = ends.len();
        for _ in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let to = ends[(state >> 33) as usize % known];
            edges.push((node, to));
            ends.extend([node, to]);
        }
    }
    Ok(Graph::from_edges(nodes as usize, &edges, &Cleaning::default())?)
}

fn orbits(_: &Options) -> Done {
    let graph = power_law(20_000)?;
    let degree = graph.num_entries() as f64 / graph.num_nodes() as f64;
    let (seconds, peak, graphlets) = cost(|| Graphlets::new(&graph));
    let graphlets = graphlets?;
    let pairs: u64 = graphlets.orbit(Orbit::new(1, 3, 3)?).matrix().values().iter().map(|t| t * t / 2).sum();
    let written = 13 * graph.num_entries();
    println!(
        "orbits: mean degree {degree:.1}, all keys of edges {seconds:.2} CPU s, {:.0} MiB; {:.0} ns for each of {pairs} pairs, {:.0} ns for each of \
         {written} entries",
        mib(peak),
        1e9 * seconds / pairs as f64,
        1e9 * seconds / written as f64
    );
    let adjacency = graphlets.orbit(Orbit::new(1, 0, 0)?);
    let (seconds, peak, found) = cost(|| adjacency.matrix().product(adjacency.matrix()));
    let steps: u64 = adjacency.row_sums().iter().map(|degree| degree * degree).sum();
    let entries = found?.nnz();
    println!(
        "square of its adjacency: {seconds:.2} CPU s, {:.1} ns for each of {steps} products, {entries} entries, {:.0} MiB",
        1e9 * seconds / steps as f64,
        mib(peak)
    );
    let (seconds, peak, found) = cost(|| adjacency.matrix().product_at(adjacency.matrix(), adjacency.matrix()));
    found?;
    println!("the same on edges alone: {seconds:.2} CPU s, {:.1} MiB", mib(peak));
    Ok(())
}

fn walks(options: &Options) -> Done {
    let graph = match &options.airports {
        Some(path) => Graph::read(path)?,
        None => role_graph(&RoleGraphOptions::default())?,
    };
    let matrix = graph.matrix(Normalisation::None, Loops::Remove);
    let starts: Vec<u32> = (0..graph.num_nodes() as u32).collect();
    let (count, steps) = (20_000_000 / starts.len() / 6, 6);
    let mut run = || random_walks(&matrix, &starts, count, steps, 1).map(drop).map_err(Into::into);
    let (seconds, _) = timed(5, &mut run)?;
    let all = starts.len() * count * steps;
    println!("walks on {}: {:.1} million steps a CPU second", graph.name(), all as f64 / seconds * 1e-6);
    Ok(())
}

fn dsla(_: &Options) -> Done {
    let set = motif_graphs(&MotifOptions { graphs: 256, nodes: 24, ..Default::default() })?;
    let mut config = DslaConfig { dim: 64, layers: 3, ..DslaConfig::default() };
    config.training = config.training.with_batch_size(256);
    let mut training = config.build(&set, 1, &Device::default())?;
    let model = training.model().clone();
    let graphs: Vec<_> = (0..set.len()).map(|at| set.graph(at)).collect();
    let mut forward_and_backward = || {
        let union = GraphUnion::new(&graphs, set.num_edge_labels());
        let scores = model.head.forward(model.encoder.forward(&union), &mut contrastive::nn::Pass::evaluation());
        drop(scores.sum().backward());
        Ok(())
    };
    let [step, pass] =
        in_turns(3, [&mut || training.train_step().map(drop).map_err(Into::into), &mut forward_and_backward])?;
    let spent = training.timing();
    let parts = [spent.batch, spent.losses, spent.backward, spent.optimiser].map(|part| part.as_secs_f64());
    let [copies, forward, backward, optimiser] = parts.map(|part| 100.0 * part / parts.iter().sum::<f64>());
    println!(
        "D-SLA: a batch of 256 graphs {:.0} CPU ms, {:.2} of {} forwards and backwards of the originals; copies {copies:.0} %, forward \
         {forward:.0} %, backward {backward:.0} %, optimiser {optimiser:.0} %",
        1e3 * step,
        step / (config.candidates() as f64 * pass),
        config.candidates()
    );
    Ok(())
}

fn margins(_: &Options) -> Done {
    let (graphs, candidates, width) = (256, 5, 300);
    let device = Device::default().autodiff();
    let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let (scores, rows) =
        (random([graphs, candidates]).require_grad(), random([graphs * candidates, width]).require_grad());
    let edits: Vec<f32> = (0..graphs * candidates).map(|at| (at % candidates) as f32).collect();
    let objective = DiscrepancyLearning::default();
    let (seconds, peak) = timed(3, || {
        let terms = objective.terms(scores.clone(), rows.clone(), &edits, 3);
        drop((terms.discrimination + terms.edits + terms.margin).backward());
        Ok(())
    })?;
    println!(
        "margins of {graphs} graphs of width {width}: {:.1} CPU ms, {peak:.1} MiB; an array of B x B x D has {:.1}",
        1e3 * seconds,
        mib(4 * graphs * graphs * width)
    );
    Ok(())
}
