//! What the examples on graphs of nodes share: the graph, the budget, and linear probes of what comes out.

use clap::{Args, ValueEnum};
use contrastive::Device;
use contrastive::eval::ndarray::Array2;
use contrastive::graph::node::data::{
    BlockModelOptions, Cleaning, Dangling, Direction, Duplicates, Format, Graph, ReadOptions, SelfLoops, block_model,
};
use contrastive::graph::node::evaluate::NodeReport;
use contrastive::graph::node::method::{NodeMethod, NodeMethodConfig, NodeTraining};
use contrastive::train::{FitOptions, parse_device};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

/// Features made of the graph itself.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum OwnFeatures {
    /// A column for each node: the first layer is an embedding table.
    Identity,
    /// The rows of the adjacency.
    Adjacency,
    /// A column for each degree, up to 100.
    Degree,
}

/// How files are read: a flag for each of the [`ReadOptions`].
#[derive(Args, Debug)]
struct Reading {
    /// planetoid, npz, geom-gcn, musae, tables, linqs, wiki-cs, matlab or edge-list; without it, found by content and name.
    #[arg(long)]
    format: Option<Format>,
    /// Labels of an edge list, where they are not beside it.
    #[arg(long)]
    label_file: Option<PathBuf>,
    /// Features of an edge list, where they are not beside it.
    #[arg(long)]
    feature_file: Option<PathBuf>,
    /// Edges keep their direction.
    #[arg(long)]
    directed: bool,
    /// Edges from a node to itself stay.
    #[arg(long)]
    keep_self_loops: bool,
    /// Weights of repeated edges are added up.
    #[arg(long)]
    sum_duplicates: bool,
    /// Edges to unknown nodes are left out instead of refused.
    #[arg(long)]
    drop_dangling: bool,
    /// The greatest size of a file in bytes.
    #[arg(long)]
    max_bytes: Option<u64>,
    /// Refuse what is otherwise only noted.
    #[arg(long)]
    strict: bool,
}

impl Reading {
    fn options(&self) -> ReadOptions {
        let usual = ReadOptions::default();
        let mut cleaning = Cleaning { strict: self.strict, ..Cleaning::default() };
        if self.directed {
            cleaning.direction = Direction::Directed;
        }
        if self.keep_self_loops {
            cleaning.self_loops = SelfLoops::Keep;
        }
        if self.sum_duplicates {
            cleaning.duplicates = Duplicates::Sum;
        }
        if self.drop_dangling {
            cleaning.dangling = Dangling::Drop;
        }
        ReadOptions {
            format: self.format,
            cleaning,
            max_bytes: self.max_bytes.unwrap_or(usual.max_bytes),
            labels: self.label_file.clone(),
            features: self.feature_file.clone(),
        }
    }
}

/// Graph, budget and device of a run.
#[derive(Args, Debug)]
pub struct Run {
    /// A graph with features in any supported format: planetoid/ind.cora, an npz, a folder, ... Without it, a generated one.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Features made of the graph, for one without: take the place of those that it has.
    #[arg(long, value_enum)]
    features: Option<OwnFeatures>,
    /// Nodes of the generated graph.
    #[arg(long, default_value_t = 1500)]
    nodes: usize,
    /// auto, flex (CPU), ndarray, wgpu, vulkan, metal, cuda, ... as compiled in.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Epochs; without it, those of the settings.
    #[arg(long)]
    epochs: Option<usize>,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Folder for checkpoints, metrics and embeddings, one below it for each method and seed.
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Go on from the checkpoints in the run folder.
    #[arg(long)]
    resume: bool,
    /// Only train and say how long it took.
    #[arg(long)]
    no_probe: bool,
    /// No probe of the features themselves.
    #[arg(long)]
    no_raw: bool,
}

/// How long trainings took.
#[derive(Default)]
struct Clock {
    seconds: f64,
    epochs: usize,
    objective: f64,
    backward: f64,
}

impl Run {
    /// The graph, with what it is said aloud.
    pub fn graph(&self) -> Result<Graph, Box<dyn Error>> {
        let graph = match &self.data {
            Some(path) => Graph::read_with(path, &self.reading.options())?,
            None => {
                eprintln!("no --data: using a GENERATED graph (stochastic block model)");
                block_model(&BlockModelOptions { nodes: self.nodes, ..BlockModelOptions::default() })?
            }
        };
        let graph = match self.features {
            None if graph.features().is_some() => graph,
            None => {
                eprintln!("note: the graph has no features; each node gets its own (--features chooses others)");
                graph.with_identity_features()
            }
            Some(OwnFeatures::Identity) => graph.with_identity_features(),
            Some(OwnFeatures::Adjacency) => graph.with_adjacency_features(),
            Some(OwnFeatures::Degree) => graph.with_degree_features(100),
        };
        graph.notes().iter().for_each(|note| eprintln!("note: {note}"));
        let features = graph.features().map_or(0, |features| features.num_features());
        println!("{}: {} nodes, {} edges, {features} features", graph.name(), graph.num_nodes(), graph.num_edges());
        Ok(graph)
    }

    /// The device.
    pub fn device(&self) -> Result<Device, Box<dyn Error>> {
        Ok(parse_device(&self.device)?)
    }

    /// The epochs: those asked for, or those of the settings.
    pub fn epochs(&self, config: &impl NodeMethodConfig) -> usize {
        self.epochs.unwrap_or(config.epochs())
    }

    /// The seeds.
    pub fn seeds(&self) -> std::ops::Range<u64> {
        self.seed..self.seed + self.seeds
    }

    /// Trains with every seed and prints the probes of the embeddings, untrained and trained.
    pub fn train(&self, graph: &Graph, config: &impl NodeMethodConfig, untrained: bool) -> Result<(), Box<dyn Error>> {
        let device = self.device()?;
        let (mut before, mut after, mut clock) = (NodeReport::default(), NodeReport::default(), Clock::default());
        let mut name = "";
        for seed in self.seeds() {
            let mut training = config.build(graph, seed, &device)?;
            name = training.method().name();
            if untrained {
                self.probe(graph, &training.embed(), seed, &mut before)?;
            }
            let epochs = self.epochs(config);
            let embeddings = match &self.run_dir {
                Some(folder) => {
                    let options = FitOptions::new(&device).epochs(epochs).seed(seed).resume(self.resume);
                    training.fit(&options.run_dir(folder.join(format!("{name}-{seed}"))))?.nodes
                }
                None => timed(&mut training, epochs, &mut clock)?,
            };
            self.probe(graph, &embeddings, seed, &mut after)?;
        }
        if clock.epochs > 0 {
            let each = clock.seconds / clock.epochs as f64;
            let (pairs, share) = (2.0 * graph.num_nodes() as f64, clock.objective / clock.seconds);
            println!(
                "{name:18} {each:.3} s an epoch: {:.1}% objective ({:.3e} pairs a second), {:.1}% backward of the encoder",
                100.0 * share,
                pairs * (pairs - 1.0) * clock.epochs as f64 / clock.objective,
                100.0 * clock.backward / clock.seconds
            );
        }
        if untrained && !self.no_probe {
            println!("{:18} {before}", "untrained encoder");
        }
        if !self.no_probe {
            println!("{name:18} {after}");
        }
        Ok(())
    }

    /// Probes of the features themselves.
    pub fn raw(&self, graph: &Graph) -> Result<(), Box<dyn Error>> {
        let mut report = NodeReport::default();
        if !(self.no_probe || self.no_raw) {
            let features = graph.require_features()?.row_normalised().to_dense();
            self.probe(graph, &features, self.seed, &mut report)?;
            println!("{:18} {report}", "raw features");
        }
        Ok(())
    }

    /// Adds the probes of embeddings to a report.
    fn probe(&self, graph: &Graph, x: &Array2<f32>, seed: u64, report: &mut NodeReport) -> Result<(), Box<dyn Error>> {
        if self.no_probe {
            return Ok(());
        }
        // what cannot be probed can be trained all the same
        match NodeReport::of(graph, x.view(), seed) {
            Ok(of_seed) => report.extend(of_seed),
            Err(error) => eprintln!("note: no probe: {error}"),
        }
        Ok(())
    }
}

/// Epoch after epoch, with the time they take.
fn timed<M: NodeMethod>(
    training: &mut NodeTraining<M>,
    epochs: usize,
    clock: &mut Clock,
) -> Result<Array2<f32>, Box<dyn Error>> {
    let start = Instant::now();
    for epoch in 1..=epochs {
        let loss = training.train_epoch()?;
        if epoch == 1 || epoch % 50 == 0 || epoch == epochs {
            eprintln!("epoch {epoch}: loss {loss:.4}");
        }
    }
    clock.seconds += start.elapsed().as_secs_f64();
    clock.epochs += epochs;
    clock.objective += training.parts().objective.as_secs_f64();
    clock.backward += training.parts().backward.as_secs_f64();
    Ok(training.embed())
}
