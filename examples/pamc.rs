//! PamC beside its unapproximated twin: `cargo run --release --example pamc -- [--data FILE] [--seeds 3] [--curve 1000000]`.
//!
//! Every run pre-trains an auto-encoder, clusters its codes by k-means, and goes on from there with meta-nodes (the official
//! proxy, and the Jensen proxy, which holds clusters apart also from a poor start) and with all pairs as negatives; the accuracies
//! are those of the last epoch. Then a step of the loss alone (value and gradient) is timed, with the peak of what it allocates,
//! for both and for the twin with its matrices written out.

use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use contrastive::Device;
use contrastive::eval::clustering::compare;
use contrastive::graph::node::data::{BlockModelOptions, Graph, Loops, Normalisation, block_model};
use contrastive::graph::node::method::{NodeMethodConfig, PamcConfig, PamcData, PamcNegatives, PamcStart, powers};
use contrastive::kernels::sparse::Csr;
use contrastive::objective::{MetaNodes, PamC, SparsePositives};
use contrastive::train::FitOptions;
use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

#[derive(Parser, Debug)]
struct Arguments {
    /// A graph in any of the supported formats (Planetoid: DIR/ind.citeseer). Without it, a generated one.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Runs.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Steps on the whole graph.
    #[arg(long, default_value_t = 100)]
    epochs: usize,
    /// Epochs of the auto-encoder.
    #[arg(long, default_value_t = 30)]
    pretraining: usize,
    /// Weight of the contrast in all runs, instead of the published ones.
    #[arg(long)]
    alpha: Option<f64>,
    /// Weight of the self-training in all runs.
    #[arg(long)]
    beta: Option<f64>,
    /// Learning rate of all runs.
    #[arg(long)]
    lr: Option<f64>,
    /// PamC's negatives in its first row: Official, Jensen, SecondOrder or PerAnchor.
    #[arg(long, default_value = "Official")]
    negatives: String,
    /// Times the loss on generated graphs up to this many nodes, in steps of 10 from 1000; nothing else is done.
    #[arg(long)]
    curve: Option<usize>,
    /// Largest graph of the curve whose pairs are all compared.
    #[arg(long, default_value_t = 30_000)]
    pairs_limit: usize,
}

/// The system's allocator, which knows its peak.
struct Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises about `at` and `layout` are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Milliseconds (the median of some) and peak MiB of the value and gradient of a loss.
fn cost(rows: &Tensor<2>, repeats: usize, loss: impl Fn(&Tensor<2>) -> Tensor<1>) -> (f64, f64) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            let leaf = rows.clone().autodiff().require_grad();
            leaf.grad(&loss(&leaf).backward()).expect("a gradient of the embeddings");
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[repeats / 2], (PEAK.load(Relaxed) - before) as f64 / (1 << 20) as f64)
}

/// The twin as it was published: all N x N cosines, and the positives as a table among them.
fn written_out(rows: &Tensor<2>, weights: &Tensor<2>, tau: f64) -> Tensor<1> {
    let [n, _] = rows.dims();
    let unit = rows.clone() / (rows.clone() * rows.clone()).sum_dim(1).clamp_min(1e-24).sqrt();
    let apart = Tensor::<2>::ones([n, n], &rows.device()) - Tensor::eye(n, &rows.device());
    let cosines = unit.clone().matmul(unit.transpose()) * apart.clone();
    let terms = (cosines * tau).exp();
    let positives = ((terms.clone() * weights.clone()).sum_dim(1) + 1e-10).log();
    ((terms * apart).sum_dim(1).log() - positives).mean()
}

fn table(weights: &Csr<f64>, device: &Device) -> Tensor<2> {
    let n = weights.rows();
    let mut values = vec![0f32; n * n];
    for i in 0..n {
        let (columns, shares) = weights.row(i);
        columns.iter().zip(shares).for_each(|(&j, &w)| values[i * n + j as usize] = w as f32);
    }
    Tensor::from_data(TensorData::new(values, [n, n]), device)
}

/// Prints a line for each form of the loss.
fn costs(
    rows: &Tensor<2>,
    weights: Csr<f64>,
    clusters: &MetaNodes,
    tau: f64,
    pairs: bool,
) -> Result<(), Box<dyn Error>> {
    let n = rows.dims()[0];
    let device = rows.device();
    let dense = (pairs && n <= 5000).then(|| table(&weights, &device));
    let positives = SparsePositives::new(weights)?;
    let pamc = PamC::new(tau)?;
    let line = |name: &str, (time, memory): (f64, f64)| {
        println!("{n:>9} {:>10} {name:<22} {time:>12.2} {memory:>12.2}", positives.nnz());
    };
    line("PamC, official", cost(rows, 5, |z| pamc.loss(z, &positives, clusters)));
    let jensen = pamc.clone().with_proxy(contrastive::objective::MetaNodeProxy::Jensen);
    line("PamC, Jensen", cost(rows, 5, |z| jensen.loss(z, &positives, clusters)));
    if pairs {
        line("all pairs, streaming", cost(rows, 3, |z| pamc.unapproximated(z, &positives)));
    }
    if let Some(dense) = dense {
        line("all pairs, written out", cost(rows, 3, |z| written_out(z, &dense, tau)));
    }
    Ok(())
}

fn heading() {
    println!("{:>9} {:>10} {:<22} {:>12} {:>12}", "nodes", "positives", "loss and gradient", "ms", "peak MiB");
}

fn curve(most: usize, pairs_limit: usize) -> Result<(), Box<dyn Error>> {
    heading();
    let device = Device::default();
    let sizes = std::iter::successors(Some(1000), |n| Some(n * 10)).flat_map(|n| [n, 3 * n]);
    for nodes in sizes.take_while(|n| *n <= most) {
        let graph = block_model(&BlockModelOptions { nodes, communities: 10, features: 0, ..Default::default() })?;
        let labels = graph.require_labels()?.complete().expect("generated labels");
        let weights = powers(&graph.matrix(Normalisation::Mean, Loops::Add), 2, true, Some(32));
        // embeddings near the centre of their community
        let noise = |k: usize| ((k as f64 * 12.9898).sin() * 43758.5453).fract();
        let value = |k: usize| noise(k) + if k % 10 == labels[k / 10] as usize { 2.0 } else { 0.0 };
        let values: Vec<f32> = (0..nodes * 10).map(|k| value(k) as f32).collect();
        let rows = Tensor::from_data(TensorData::new(values, [nodes, 10]), &device);
        costs(&rows, weights, &MetaNodes::new(&labels), 0.5, nodes <= pairs_limit)?;
    }
    Ok(())
}

/// The clusters after all steps, with the time of a step.
fn train(
    config: &PamcConfig,
    start: &PamcStart,
    graph: &Graph,
    weights: &Csr<f64>,
) -> Result<(Vec<u32>, f64), Box<dyn Error>> {
    let mut training = config.build_from(start.clone(), graph, weights.clone(), &Device::default())?;
    let begin = Instant::now();
    for _ in 0..config.epochs() {
        training.train_epoch()?;
    }
    let clusters = training.clusters().expect("PamC has clusters");
    Ok((clusters, 1e3 * begin.elapsed().as_secs_f64() / config.epochs() as f64))
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(most) = arguments.curve {
        return curve(most, arguments.pairs_limit);
    }
    let (graph, pamc, twin) = match &arguments.data {
        Some(path) => (Graph::read(path)?, PamcData::CiteSeer.pamc(), PamcData::CiteSeer.unapproximated()),
        None => {
            let (pamc, twin) = (PamcData::Dblp.pamc(), PamcData::Dblp.unapproximated());
            (block_model(&BlockModelOptions::default())?, pamc, twin)
        }
    };
    let classes = graph.require_labels()?;
    // nodes without a class are trained on and not counted
    let known: Vec<usize> = (0..graph.num_nodes()).filter(|node| classes.class(*node).is_some()).collect();
    let labels: Vec<u32> = known.iter().map(|node| classes.class(*node).expect("a class")).collect();
    let accuracy = |clusters: &[u32]| -> Result<_, Box<dyn Error>> {
        let of_known: Vec<u32> = known.iter().map(|node| clusters[*node]).collect();
        Ok(compare(&labels, &of_known)?)
    };
    println!(
        "{}: {} nodes, {} edges, {} classes",
        graph.name(),
        graph.num_nodes(),
        graph.num_edges(),
        classes.num_classes()
    );
    println!("{:>5} {:<12} {:>8} {:>8} {:>8} {:>8} {:>10}", "seed", "", "ACC", "NMI", "ARI", "F1", "ms a step");
    for seed in 0..arguments.seeds {
        let shared = |config: &PamcConfig| {
            let mut config = PamcConfig { clusters: classes.num_classes(), ..config.clone() };
            config.alpha = arguments.alpha.unwrap_or(config.alpha);
            config.beta = arguments.beta.unwrap_or(config.beta);
            config.training.learning_rate = arguments.lr.unwrap_or(config.training.learning_rate);
            config
                .with_hidden(vec![256, 64])
                .with_epochs(arguments.epochs)
                .with_pretraining_epochs(arguments.pretraining)
        };
        let negatives: PamcNegatives = serde_json::from_value(arguments.negatives.clone().into())?;
        let (pamc, twin) = (shared(&pamc).with_negatives(negatives), shared(&twin));
        let start = pamc.pretrain(&graph, &FitOptions::new(&Device::default()).seed(seed).progress(false))?;
        let line = |name: &str, clusters: &[u32], time: f64| -> Result<(), Box<dyn Error>> {
            let r = accuracy(clusters)?;
            println!(
                "{seed:>5} {name:<12} {:>8.4} {:>8.4} {:>8.4} {:>8.4} {time:>10.1}",
                r.accuracy, r.nmi, r.ari, r.macro_f1
            );
            Ok(())
        };
        line("k-means", &start.labels, 0.0)?;
        let weights = pamc.weights(&graph)?;
        let jensen = pamc.clone().with_negatives(PamcNegatives::Jensen);
        let same = pamc.clone().with_negatives(PamcNegatives::AllPairs);
        for (name, config, weights) in [
            ("PamC", &pamc, &weights),
            ("PamC, Jensen", &jensen, &weights),
            ("twin", &twin, &twin.weights(&graph)?),
            ("PamC's, all", &same, &weights),
        ] {
            let (clusters, time) = train(config, &start, &graph, weights)?;
            line(name, &clusters, time)?;
        }
        if seed + 1 == arguments.seeds {
            let training = pamc.build_from(start.clone(), &graph, weights.clone(), &Device::default())?;
            let z: Vec<f32> = training.embed().iter().copied().collect();
            let rows = Tensor::from_data(TensorData::new(z, [graph.num_nodes(), pamc.dim]), &Device::default());
            println!();
            heading();
            costs(&rows, weights, &MetaNodes::new(&start.labels), pamc.tau, true)?;
        }
    }
    Ok(())
}
