//! CSGCL beside GRACE and GCA at the same settings: `cargo run --release --example csgcl -- [--data FILE]`.
//!
//! Methods have settings of their own in runs of their own: `--methods gca --edge-drop 0.3,0.4 --lr 0.01`. A graph without
//! features gets some by `--features identity` or `--features adjacency`.

#[path = "shared/nodes.rs"]
mod nodes;

use clap::{Parser, ValueEnum};
use contrastive::graph::node::augment::edges::EdgeDraw;
use contrastive::graph::node::method::{Centrality, Csgcl, CsgclConfig, GraceConfig, NodeMethodConfig, TwoViewMethod};
use contrastive::nn::layer::Activation;

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Method {
    Grace,
    Gca,
    Csgcl,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Rectifier {
    Relu,
    Prelu,
}

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: nodes::Run,
    /// Which methods.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "grace,gca,csgcl")]
    methods: Vec<Method>,
    /// Width of the embeddings and of the projector.
    #[arg(long, default_value_t = 64)]
    dim: usize,
    /// What follows the layers of the encoder.
    #[arg(long, value_enum, default_value = "relu")]
    activation: Rectifier,
    /// Mean shares of edges dropped in the two views.
    #[arg(long, value_delimiter = ',', num_args = 1, default_value = "0.2,0.4")]
    edge_drop: Vec<f64>,
    /// Mean shares of feature columns masked in the two views.
    #[arg(long, value_delimiter = ',', num_args = 1, default_value = "0.3,0.4")]
    feature_drop: Vec<f64>,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 5e-4)]
    lr: f64,
    /// Temperature of the contrast.
    #[arg(long, default_value_t = 0.4)]
    temperature: f64,
    /// CSGCL: epoch after which strong communities gain weight.
    #[arg(long, default_value_t = 100)]
    start: usize,
    /// CSGCL: their largest weight.
    #[arg(long, default_value_t = 1.0)]
    largest: f64,
    /// CSGCL: the seed of the detection of communities, which are the same for all seeds of the training.
    #[arg(long, default_value_t = 0)]
    detection_seed: u64,
    /// Draws each direction of an edge by itself, as the released codes do, instead of the edge.
    #[arg(long)]
    per_entry: bool,
    /// Takes the rows of features as they are, and does not divide each by its sum.
    #[arg(long)]
    plain_features: bool,
}

/// One number for each view.
fn both(values: &[f64]) -> Result<[f64; 2], String> {
    values.try_into().map_err(|_| format!("{} drop rates; allowed: two, as in 0.2,0.4", values.len()))
}

/// The communities, and how much more of the edges between them than of all a view drops.
fn describe(method: &Csgcl) {
    let (partition, views) = (method.partition(), method.views());
    let modularity: f64 = method.strength().iter().sum();
    println!("{} communities of modularity {modularity:.4}", partition.count());
    let adjacency = views.data.adjacency();
    let community = |node: usize| partition.labels()[node];
    let rows = (0..adjacency.rows()).flat_map(|u| adjacency.row(u).0.iter().map(move |&v| (u, v as usize)));
    let between: Vec<bool> = rows.map(|(u, v)| community(u) != community(v)).collect();
    let share = between.iter().filter(|&&between| between).count() as f64 / between.len() as f64;
    for (number, rule) in (1..).zip(&views.rules) {
        let drops = rule.edges.each(between.len());
        let all: f64 = drops.iter().sum();
        let lost: f64 = drops.iter().zip(&between).filter(|(_, between)| **between).map(|(drop, _)| drop).sum();
        let columns = rule.columns.each(views.data.num_features());
        println!(
            "view {number} drops {:.3} of the edges and {:.3} of the columns; between communities are {share:.3} of all edges, {:.3} of the dropped ones",
            all / drops.len() as f64,
            columns.iter().sum::<f64>() / columns.len() as f64,
            if all > 0.0 { lost / all } else { 0.0 }
        );
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let (run, dim) = (&arguments.run, arguments.dim);
    let (edges, columns) = (both(&arguments.edge_drop)?, both(&arguments.feature_drop)?);
    let activation = match arguments.activation {
        Rectifier::Relu => Activation::Relu,
        Rectifier::Prelu => Activation::PRelu,
    };
    let draw = if arguments.per_entry { EdgeDraw::PerEntry } else { EdgeDraw::PerPair };
    let csgcl = CsgclConfig::new()
        .with_dim(dim)
        .with_projection(dim)
        .with_activation(activation)
        .with_edge_drop(edges)
        .with_edge_draw(draw)
        .with_feature_drop(columns)
        .with_temperature(arguments.temperature)
        .with_learning_rate(arguments.lr)
        .with_team_up_start(arguments.start)
        .with_team_up_largest(arguments.largest)
        .with_detection_seed(arguments.detection_seed)
        .with_normalise_features(!arguments.plain_features)
        .with_epochs(200);
    let grace = GraceConfig::new()
        .with_dim(dim)
        .with_projection(dim)
        .with_activation(activation)
        .with_edge_drop(edges)
        .with_edge_draw(draw)
        .with_feature_drop(columns)
        .with_temperature(arguments.temperature)
        .with_learning_rate(arguments.lr)
        .with_normalise_features(!arguments.plain_features);
    let graph = run.graph()?;
    run.raw(&graph)?;
    for (number, method) in arguments.methods.iter().enumerate() {
        match method {
            Method::Grace => run.train(&graph, &grace, number == 0)?,
            Method::Gca => run.train(&graph, &grace.clone().adaptive(Centrality::Degree), number == 0)?,
            Method::Csgcl => {
                describe(csgcl.build(&graph, 0, &run.device()?)?.method());
                run.train(&graph, &csgcl, number == 0)?;
            }
        }
    }
    Ok(())
}
