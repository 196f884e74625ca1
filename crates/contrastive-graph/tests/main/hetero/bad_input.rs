//! What is wrong with a network is said with its place.

use burn::tensor::Device;
use contrastive_data::Limits;
use contrastive_graph::hetero::data::*;
use contrastive_graph::hetero::method::{MeowConfig, Negatives};
use contrastive_graph::node::data::{Features, Labels, NodeSplit};
use contrastive_train::{MethodConfig, testing};

fn graph() -> HeteroGraph {
    let types = vec![NodeType::new("P", 4), NodeType::new("A", 2)];
    let graph = HeteroGraph::new("small", types, "P").unwrap();
    graph.with_links("P", "A", &[(0, 0), (1, 0), (2, 1), (3, 1)]).unwrap()
}

fn said(error: impl std::fmt::Display, words: &[&str]) {
    let message = error.to_string();
    assert!(words.iter().all(|word| message.contains(word)) && message.contains("allowed"), "{message}");
}

#[test]
fn networks_that_cannot_be_are_refused() {
    let types = || vec![NodeType::new("P", 4), NodeType::new("A", 2)];
    said(HeteroGraph::new("x", vec![NodeType::new("P", 0)], "P").unwrap_err(), &["\"P\"", "0 nodes"]);
    said(HeteroGraph::new("x", vec![NodeType::new("P-Q", 1)], "P-Q").unwrap_err(), &["P-Q"]);
    said(HeteroGraph::new("x", vec![NodeType::new("P", 1), NodeType::new("P", 2)], "P").unwrap_err(), &["twice"]);
    said(HeteroGraph::new("x", types(), "B").unwrap_err(), &["\"B\"", "P, A"]);
    let short = NodeType::new("P", 4).with_features(Features::Dense(ndarray::Array2::zeros((3, 2))));
    said(HeteroGraph::new("x", vec![short], "P").unwrap_err(), &["3 x 2", "4 nodes"]);
    let graph = || HeteroGraph::new("x", types(), "P").unwrap();
    said(graph().with_links("P", "A", &[(0, 0), (1, 2)]).unwrap_err(), &["edge number 1", "2 of type A", "0 to 1"]);
    said(graph().with_links("P", "C", &[]).unwrap_err(), &["\"C\""]);
    said(graph().with_labels(Labels::single(&[Some(0); 3])).unwrap_err(), &["3", "4"]);
    said(graph().with_split("20", NodeSplit::new(vec![0], vec![9], vec![])).unwrap_err(), &["node 9"]);
    said(graph().split("20").unwrap_err(), &["split"]);
    said(graph().classes().unwrap_err(), &["class"]);
}

#[test]
fn meta_paths_that_do_not_fit_are_refused() {
    for (path, words) in [
        ("P-B-P", vec!["\"B\""]),
        ("P", vec!["single type"]),
        ("A-P-A", vec!["from A to A", "from the target P"]),
        ("P-A", vec!["from P to A"]),
        ("P-P", vec!["0 relations between P and P"]),
    ] {
        said(MetaPath::new(&graph(), path).unwrap_err(), &words);
    }
    let twice = graph().with_links("A", "P", &[(0, 0)]).unwrap();
    said(MetaPath::new(&twice, "P-A-P").unwrap_err(), &["2 relations"]);
    said(MetaPath::new(&graph(), "P-A-P").unwrap().strongest(0).unwrap_err(), &["0", "1 or more"]);
}

#[test]
fn settings_of_meow_are_refused() {
    let config = || MeowConfig::new(vec!["P-A-P".into()]).with_clusters(vec![2]);
    testing::settings_are_refused([
        (MeowConfig::new(vec![]), "paths"),
        (config().with_keep(vec![0]), "keep"),
        (config().with_keep(vec![3, 3]), "keep"),
        (config().with_edge_masks(vec![1.5]), "edge_masks"),
        (config().with_edge_masks(vec![0.1, 0.2]), "edge_masks"),
        (config().with_dim(0), "dim"),
        (config().with_dropout(1.0), "dropout"),
        (config().with_feature_mask(-0.1), "feature_mask"),
        (config().with_temperature(0.0), "temperature"),
        (config().with_clusters(vec![]), "clusterings"),
        (config().with_clusters(vec![1]), "clusters"),
        (config().with_cluster_every(0), "cluster_every"),
        (config().with_cluster_iterations(0), "cluster_iterations"),
        (config().with_cluster_restarts(0), "cluster_restarts"),
        (config().with_prototype_weight(-1.0), "prototype_weight"),
        (config().with_hidden(0), "hidden"),
        (config().with_learning_rate(0.0), "learning_rate"),
    ]);
    let build = |config: MeowConfig, graph: &HeteroGraph| match config.build(graph, 1, &Device::default()) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    said(build(config().with_clusters(vec![5]), &graph()), &["clusters", "5", "4"]);
    let lone = HeteroGraph::new("x", vec![NodeType::new("P", 3), NodeType::new("A", 1)], "P").unwrap();
    let lone = lone.with_links("P", "A", &[(0, 0), (2, 0)]).unwrap();
    said(build(config(), &lone), &["node 1", "\"P\"", "no instance"]);
    let one = HeteroGraph::new("x", vec![NodeType::new("P", 1), NodeType::new("A", 1)], "P").unwrap();
    said(build(config(), &one.with_links("P", "A", &[(0, 0)]).unwrap()), &["1 nodes"]);
    said(build(config().with_validate_on(Some("20".into())), &graph()), &["split"]);
    said(
        build(MeowConfig::new(vec!["P-A-P".into(), "P-C-P".into()]).with_negatives(Negatives::Alike), &graph()),
        &["\"C\""],
    );
}

#[test]
fn folders_of_heco_say_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let open = || HeteroGraph::open_heco(folder.path(), &Limits::default());
    said(open().unwrap_err(), &["no file of pairs", "pa.txt"]);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("pa.txt", "0\t1\n1\t0\n");
    assert_eq!(open().unwrap().types().iter().map(|of| of.count).collect::<Vec<_>>(), [2, 2]);
    write("pa.txt", "0\t1\n1 x\n");
    said(open().unwrap_err(), &["pa.txt:2", "\"1 x\"", "two whole numbers"]);
    write("pa.txt", "0\t1\n\n1 0 5\n");
    said(open().unwrap_err(), &["pa.txt:3"]);
    write("pa.txt", "0\t1\n1\t0\n");
    write("ap.txt", "0\t1\n");
    said(open().unwrap_err(), &["start at another type", "target first"]);
    assert!(HeteroGraph::open_heco(&folder.path().join("absent"), &Limits::default()).is_err());
}
