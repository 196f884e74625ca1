//! CSGCL beside GRACE and GCA at the same settings: `cargo run --release --example csgcl -- [--data FILE]`.

#[path = "shared/nodes.rs"]
mod nodes;

use clap::Parser;
use contrastive::graph::encoder::Activation;
use contrastive::graph::method::node::{Centrality, CsgclConfig, GraceConfig, NodeMethodConfig};

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: nodes::Run,
    /// Width of the embeddings and of the projector.
    #[arg(long, default_value_t = 64)]
    dim: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 5e-4)]
    lr: f64,
    /// Temperature of the contrast.
    #[arg(long, default_value_t = 0.4)]
    temperature: f64,
    /// Epoch after which strong communities gain weight.
    #[arg(long, default_value_t = 100)]
    start: usize,
    /// Their largest weight.
    #[arg(long, default_value_t = 1.0)]
    largest: f64,
    /// CSGCL alone.
    #[arg(long)]
    alone: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let (run, dim) = (&arguments.run, arguments.dim);
    let graph = run.graph()?;
    let config = CsgclConfig::new()
        .with_dim(dim)
        .with_projection(dim)
        .with_activation(Activation::Relu)
        .with_edge_drop([0.2, 0.4])
        .with_feature_drop([0.3, 0.4])
        .with_temperature(arguments.temperature)
        .with_learning_rate(arguments.lr)
        .with_team_up_start(arguments.start)
        .with_team_up_largest(arguments.largest)
        .with_epochs(200);
    let communities = config.build(&graph, 0, &run.device()?)?;
    let method = communities.method();
    let modularity: f64 = method.strength().iter().sum();
    println!("{} communities of modularity {modularity:.4}", method.partition().count());
    if !arguments.alone {
        run.raw(&graph)?;
        let grace = GraceConfig::new().with_dim(dim).with_projection(dim).with_temperature(arguments.temperature);
        let grace = grace.with_learning_rate(arguments.lr);
        run.train(&graph, &grace, true)?;
        run.train(&graph, &grace.adaptive(Centrality::Degree), false)?;
    }
    run.train(&graph, &config, false)
}
