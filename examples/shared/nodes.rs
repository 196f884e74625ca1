//! What the examples on graphs of nodes share: the graph, the budget, and linear probes of what comes out.

use clap::{Args, ValueEnum};
use contrastive::Device;
use contrastive::eval::Summary;
use contrastive::eval::clustering::KMeans;
use contrastive::eval::ndarray::Array2;
use contrastive::eval::probe::{Intercept, LinearProbe, Link, LogisticRegression, Scaling, Split, Targets};
use contrastive::graph::method::node::{NodeMethod, NodeMethodConfig, NodeTraining};
use contrastive::graph::node::{BlockModelOptions, Graph, block_model};
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

/// Graph, budget and device of a run.
#[derive(Args, Debug)]
pub struct Run {
    /// A graph with features in any supported format: planetoid/ind.cora, an npz, a folder, ... Without it, a generated one.
    #[arg(long)]
    data: Option<PathBuf>,
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
    seed: u64,
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

/// Accuracies by protocol, one for each seed and split.
#[derive(Default)]
pub struct Scores(Vec<(&'static str, Vec<f64>)>);

impl Scores {
    fn add(&mut self, protocol: &'static str, values: impl IntoIterator<Item = f64>) {
        let at = self.0.iter().position(|(name, _)| *name == protocol).unwrap_or_else(|| {
            self.0.push((protocol, Vec::new()));
            self.0.len() - 1
        });
        self.0[at].1.extend(values);
    }

    /// One line.
    pub fn print(&self, method: &str) {
        let cells = self.0.iter().map(|(name, values)| format!("{name} {}", Summary::of(values)));
        println!("{method:18} {}", cells.collect::<Vec<_>>().join("   "));
    }
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
            Some(path) => Graph::read(path)?,
            None => {
                eprintln!("no --data: using a GENERATED graph (stochastic block model)");
                block_model(&BlockModelOptions { nodes: self.nodes, ..BlockModelOptions::default() })?
            }
        };
        let graph = match self.features {
            None => graph,
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

    /// The seeds.
    pub fn seeds(&self) -> std::ops::Range<u64> {
        self.seed..self.seed + self.seeds
    }

    /// Trains with every seed and prints the probes of the embeddings, untrained and trained.
    pub fn train(&self, graph: &Graph, config: &impl NodeMethodConfig, untrained: bool) -> Result<(), Box<dyn Error>> {
        let device = self.device()?;
        let (mut before, mut after, mut clock) = (Scores::default(), Scores::default(), Clock::default());
        let mut name = "";
        for seed in self.seeds() {
            let mut training = config.build(graph, seed, &device)?;
            name = training.method().name();
            if untrained {
                self.judge(graph, &training.embed(), seed, &mut before)?;
            }
            let epochs = self.epochs.unwrap_or(config.epochs());
            let embeddings = match &self.run_dir {
                Some(folder) => {
                    let options = FitOptions::new(&device).epochs(epochs).seed(seed).resume(self.resume);
                    training.fit(&options.run_dir(folder.join(format!("{name}-{seed}"))))?.nodes
                }
                None => by_hand(&mut training, epochs, &mut clock)?,
            };
            self.judge(graph, &embeddings, seed, &mut after)?;
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
            before.print("untrained encoder");
        }
        if !self.no_probe {
            after.print(name);
        }
        Ok(())
    }

    /// Probes of the features themselves.
    pub fn raw(&self, graph: &Graph) -> Result<(), Box<dyn Error>> {
        let mut scores = Scores::default();
        if !(self.no_probe || self.no_raw) {
            let features = graph.require_features()?.row_normalised().to_dense();
            self.judge(graph, &features, self.seed, &mut scores)?;
            scores.print("raw features");
        }
        Ok(())
    }

    /// GRACE's protocol on three random splits of 10/90 and on the public split where there is one, GCA's 10/10/80 with the
    /// penalty chosen on the validation nodes, and how well k-means finds the classes.
    fn judge(&self, graph: &Graph, x: &Array2<f32>, seed: u64, scores: &mut Scores) -> Result<(), Box<dyn Error>> {
        if self.no_probe {
            return Ok(());
        }
        let labels = graph.require_labels()?;
        let classes: Vec<u32> = (0..labels.num_nodes()).map(|node| labels.class(node).unwrap_or(0)).collect();
        let labelled: Vec<u32> = (0u32..).take(classes.len()).filter(|&i| labels.class(i as usize).is_some()).collect();
        let targets = || Targets::single(&classes, labels.num_classes());
        let random = |train, validation| -> Result<Vec<Split>, _> {
            (0..3).map(|k| Split::random_of(labelled.clone(), train, validation, 10 * seed + k)).collect()
        };
        let mut probe = |name, probe: LinearProbe, splits: &[Split]| -> Result<(), Box<dyn Error>> {
            let report = probe.run(x.view(), targets(), splits)?;
            scores.add(name, report.runs().iter().map(|run| run.accuracy));
            Ok(())
        };
        // a class may be too rare to occur in a tenth of the nodes
        let softmax = LogisticRegression::new(1.0).with_missing_classes(true);
        let one_by_one = softmax.clone().with_link(Link::Sigmoid).with_intercept(Intercept::Penalised);
        probe("10/90", LinearProbe::grace().with_classifier(one_by_one), &random(0.1, 0.0)?)?;
        let grid: Vec<f64> = (-10..10).map(|power| f64::from(power).exp2()).collect();
        let scaled = LinearProbe::new().with_classifier(softmax).with_scaling(Scaling::UnitLength);
        probe("10/10/80", scaled.with_validation(&grid), &random(0.1, 0.1)?)?;
        if let Some(split) = graph.split("public") {
            let (train, validation, test) = (split.train.clone(), split.validation.clone(), split.test.clone());
            probe("public", LinearProbe::grace(), &[Split::new(classes.len(), train, validation, test)?])?;
        }
        if labelled.len() == classes.len() {
            let clusters = KMeans::new(labels.num_classes());
            let report = clusters.evaluate(x.view(), &classes, &[seed])?;
            scores.add("k-means NMI", report.get("nmi").map(|nmi| nmi.mean));
            // by direction, as the objectives compare them
            let mut unit = x.to_owned();
            for mut row in unit.rows_mut() {
                let length = row.dot(&row).sqrt().max(1e-12);
                row /= length;
            }
            let report = clusters.evaluate(unit.view(), &classes, &[seed])?;
            scores.add("of unit rows", report.get("nmi").map(|nmi| nmi.mean));
        }
        Ok(())
    }
}

/// The loop of `fit`, written out.
fn by_hand<M: NodeMethod>(
    training: &mut NodeTraining<M>,
    epochs: usize,
    clock: &mut Clock,
) -> Result<Array2<f32>, Box<dyn Error>> {
    let start = Instant::now();
    for epoch in 1..=epochs {
        let loss = training.step()?;
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
