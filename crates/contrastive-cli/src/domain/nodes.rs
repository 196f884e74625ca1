//! Graphs of nodes.

use super::{Described, Domain, Evaluation, Job, Scores, Trained, check, parsed, say};
use crate::failure::Failure;
use crate::reading::{self, Source};
use crate::registry::Method;
use crate::run::Run;
use crate::table::Table;
use contrastive_graph::node::data::{
    BlockModelOptions, Cleaning, Dangling, Direction, Duplicates, Graph, ReadOptions, SelfLoops, block_model,
};
use contrastive_graph::node::evaluate::NodeReport;
use contrastive_graph::node::method::NodeMethodConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A graph with features.
#[derive(Clone, Copy, Debug)]
pub struct Nodes;

/// A line of the registry.
pub fn method<C: NodeMethodConfig + DeserializeOwned>(name: &'static str, about: &'static str, config: C) -> Method {
    let defaults = serde_json::to_value(config).expect("settings are JSON");
    Method { name, about, domain: &Nodes, defaults, check: check::<C>, train: train::<C> }
}

fn options(source: &Source) -> Result<ReadOptions, Failure> {
    let (reading, usual) = (&source.reading, ReadOptions::default());
    reading.only(Nodes.name(), Nodes.flags())?;
    let mut cleaning = Cleaning { strict: reading.strict, ..Cleaning::default() };
    if reading.directed {
        cleaning.direction = Direction::Directed;
    }
    if reading.keep_self_loops {
        cleaning.self_loops = SelfLoops::Keep;
    }
    if reading.sum_duplicates {
        cleaning.duplicates = Duplicates::Sum;
    }
    if reading.drop_dangling {
        cleaning.dangling = Dangling::Drop;
    }
    Ok(ReadOptions {
        format: reading::parsed("format", &reading.format)?,
        cleaning,
        max_bytes: reading.max_bytes.unwrap_or(usual.max_bytes),
        labels: reading.label_file.clone(),
        features: reading.feature_file.clone(),
    })
}

fn read(source: &Source) -> Result<(Graph, Vec<String>), Failure> {
    let options = options(source)?;
    let graph = match &source.data {
        Some(path) => Graph::read_with(path, &options)?,
        None => block_model(&BlockModelOptions { nodes: 300, communities: 4, ..BlockModelOptions::default() })?,
    };
    let mut notes: Vec<String> = graph.notes().iter().map(ToString::to_string).collect();
    if graph.features().is_some() {
        return Ok((graph, notes));
    }
    notes.push("the graph has no features; each node gets its own".into());
    Ok((graph.with_identity_features(), notes))
}

fn described(graph: &Graph, notes: Vec<String>) -> Described {
    let (nodes, edges) = (graph.num_nodes(), graph.num_edges());
    let features = graph.features().map_or(0, |features| features.num_features());
    let classes = graph.labels().map_or(0, |labels| labels.num_classes());
    let directed = if graph.is_directed() { "directed" } else { "undirected" };
    let what =
        format!("{}: {nodes} nodes, {edges} {directed} edges, {features} features, {classes} classes", graph.name());
    let splits: Vec<&String> = graph.splits().iter().map(|(name, _)| name).collect();
    let facts = vec![
        ("nodes", json!(nodes)),
        ("edges", json!(edges)),
        ("features", json!(features)),
        ("classes", json!(classes)),
        ("splits", json!(splits)),
    ];
    Described { what, facts, notes }
}

fn ids(graph: &Graph) -> Vec<String> {
    (0..graph.num_nodes() as u32).map(|node| graph.id(node)).collect()
}

fn train<C: NodeMethodConfig + DeserializeOwned>(settings: &Value, job: &Job) -> Result<Trained, Failure> {
    let config: C = parsed(settings).map_err(Failure::new)?;
    config.validate()?;
    let (graph, notes) = read(&job.source)?;
    let described = described(&graph, notes);
    say(&described.notes);
    eprintln!("{}", described.what);
    let found = config.fit(&graph, &job.options)?;
    let mut table = Table::new("nodes", found.nodes, ids(&graph));
    if let Some(labels) = graph.labels().filter(|labels| labels.is_single()) {
        let name = |node: usize| labels.class(node).map_or(String::new(), |class| labels.name(class));
        table = table.with_labels((0..graph.num_nodes()).map(name).collect());
    }
    Ok(Trained { report: found.report, tables: vec![table] })
}

impl Domain for Nodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn about(&self) -> &'static str {
        "graphs of nodes: Planetoid, npz, geom-gcn, MUSAE, tables, LINQS, WikiCS, MATLAB, edge lists"
    }

    fn flags(&self) -> &'static [&'static str] {
        &[
            "format",
            "label-file",
            "feature-file",
            "directed",
            "keep-self-loops",
            "sum-duplicates",
            "drop-dangling",
            "max-bytes",
            "strict",
        ]
    }

    fn describe(&self, source: &Source) -> Result<Described, Failure> {
        let (graph, notes) = read(source)?;
        Ok(described(&graph, notes))
    }

    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure> {
        let table = run.table(Some("nodes"))?;
        let (graph, _) = read(&run.record.source)?;
        run.same_ids(&table, &ids(&graph))?;
        let report = NodeReport::of(&graph, table.rows.view(), asked.seed)?;
        let mut scores = Scores::default();
        for protocol in report.protocols() {
            if let Some(summary) = report.get(protocol.name) {
                scores.values.push((protocol.name.to_string(), summary.mean));
            }
            scores
                .notes
                .extend(protocol.left_out.as_ref().map(|reason| format!("{} left out: {reason}", protocol.name)));
        }
        Ok(scores)
    }
}
