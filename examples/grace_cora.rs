//! GRACE and GCA on a graph of nodes: `cargo run --release --example grace_cora -- [--data planetoid/ind.cora]`.
//!
//! Without `--data`, a generated graph. How long an epoch over many nodes takes: `--nodes 200000 --dim 32 --epochs 1 --no-probe`.

#[path = "shared/nodes.rs"]
mod nodes;

use burn::module::Module;
use clap::{Parser, ValueEnum};
use contrastive::Device;
use contrastive::eval::ndarray::Array2;
use contrastive::graph::node::data::Graph;
use contrastive::graph::node::evaluate::NodeReport;
use contrastive::graph::node::method::{
    Centrality, GraceConfig, NodeMethod, NodeMethodConfig, TwoViewMethod, ViewModel,
};
use contrastive::graph::parts::to_array;
use contrastive::train::{Parameters, epoch_rng};
use std::error::Error;

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
    /// Train by the loop that is written out below.
    #[arg(long)]
    by_hand: bool,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
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
    if arguments.by_hand {
        let run = &arguments.run;
        let embeddings = by_hand(&config, &graph, run.epochs(&config), run.seed, &run.device()?)?;
        println!("{}", NodeReport::of(&graph, embeddings.view(), run.seed)?);
        return Ok(());
    }
    arguments.run.raw(&graph)?;
    arguments.run.train(&graph, &config, true)
}

/// What `fit` does, with the same numbers: two views, an encoder for both, the contrast, a step.
fn by_hand(
    config: &GraceConfig,
    graph: &Graph,
    epochs: usize,
    seed: u64,
    device: &Device,
) -> Result<Array2<f32>, Box<dyn Error>> {
    let training = config.build(graph, seed, device)?;
    let (grace, settings) = (training.method(), &config.training);
    let mut parameters = Parameters::new(training.model().clone(), &settings.optimiser, &[])?;
    for epoch in 1..=epochs {
        let views = grace.views().inputs(&mut epoch_rng(seed, epoch))?;
        let outputs = views.map(|(edges, features)| parameters.model().compared(&edges, &features));
        let loss = grace.contrast(outputs, epoch)?;
        if epoch == 1 || epoch % 50 == 0 {
            println!("epoch {epoch}: loss {:.4}", loss.clone().into_data().iter::<f64>().sum::<f64>());
        }
        parameters.optimizer_step(&loss, settings.learning_rate); // backward, and Adam on every tensor
    }
    Ok(to_array(&grace.embed(&parameters.model().valid())))
}
