//! GRACE and GCA on a graph of nodes: `cargo run --release --example grace_cora -- [--data planetoid/ind.cora]`.
//!
//! Without `--data`, a generated graph. How long an epoch over many nodes takes: `--nodes 200000 --dim 32 --epochs 1 --no-probe`.

#[path = "shared/nodes.rs"]
mod nodes;

use clap::{Parser, ValueEnum};
use contrastive::graph::node::method::{Centrality, GraceConfig};

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Preset {
    Cora,
    Citeseer,
    Pubmed,
    Dblp,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Adaptive {
    Degree,
    Pagerank,
    Eigenvector,
}

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    run: nodes::Run,
    /// The paper's settings for this data set.
    #[arg(long, value_enum, default_value = "cora")]
    preset: Preset,
    /// GCA: keep what is central.
    #[arg(long, value_enum)]
    adaptive: Option<Adaptive>,
    /// Width of the embeddings and of the projector.
    #[arg(long)]
    dim: Option<usize>,
    /// Learning rate of Adam.
    #[arg(long)]
    lr: Option<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut config = match arguments.preset {
        Preset::Cora => GraceConfig::cora(),
        Preset::Citeseer => GraceConfig::citeseer(),
        Preset::Pubmed => GraceConfig::pubmed(),
        Preset::Dblp => GraceConfig::dblp(),
    };
    if let Some(adaptive) = arguments.adaptive {
        config = config.adaptive(match adaptive {
            Adaptive::Degree => Centrality::Degree,
            Adaptive::Pagerank => Centrality::PageRank,
            Adaptive::Eigenvector => Centrality::Eigenvector,
        });
    }
    if let Some(dim) = arguments.dim {
        config = config.with_dim(dim).with_projection(dim);
    }
    if let Some(lr) = arguments.lr {
        config = config.with_learning_rate(lr);
    }
    let graph = arguments.run.graph()?;
    arguments.run.raw(&graph)?;
    arguments.run.train(&graph, &config, true)
}
