//! Sets of graphs: files, memory, `petgraph`, unions, and what is refused.

use crate::common::shared;
use contrastive_graph::graphs::data::{GraphParts, GraphSet, GraphUnion, MotifOptions, motif_graphs};
use contrastive_graph::node::data::{GraphError, GraphNote};
use ndarray::Array2;
use petgraph::graph::UnGraph;
use std::path::Path;

fn parts() -> GraphParts {
    GraphParts {
        name: "two".into(),
        sizes: vec![3, 2],
        edges: vec![(0, 1), (1, 2), (3, 4)],
        edge_labels: Some(vec![1, 0, 1]),
        node_labels: Some(vec![0, 1, 0, 2, 2]),
        attributes: None,
        classes: Some(vec![0, 1]),
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("SET");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(format!("SET_{name}.txt")), text).unwrap();
    }
    root
}

const FILES: [(&str, &str); 5] = [
    ("A", "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n"),
    ("graph_indicator", "1\n1\n1\n2\n2\n"),
    ("graph_labels", "-1\n1\n"),
    ("node_labels", "0\n1\n0\n7\n7\n"),
    ("edge_labels", "3\n3\n2\n2\n3\n3\n"),
];

#[test]
fn one_set_from_memory_petgraph_folder_and_text() {
    let set = GraphSet::new(parts()).unwrap();
    assert_eq!((set.len(), set.num_nodes(), set.num_edges()), (2, 5, 3));
    assert_eq!((set.num_node_labels(), set.num_edge_labels(), set.num_classes()), (3, 2, 2));
    let mut first = UnGraph::<u32, u32>::new_undirected();
    let nodes: Vec<_> = [0, 1, 0].into_iter().map(|label| first.add_node(label)).collect();
    first.add_edge(nodes[1], nodes[0], 1);
    first.add_edge(nodes[1], nodes[2], 0);
    let mut second = UnGraph::new_undirected();
    let nodes = [second.add_node(2), second.add_node(2)];
    second.add_edge(nodes[0], nodes[1], 1);
    let from_petgraph =
        GraphSet::from_petgraph(&[first, second], |&label| label, |&label| label, Some(vec![0, 1])).unwrap();
    let root = folder(&FILES);
    let read = GraphSet::read(root.path().join("SET")).unwrap();
    let file = root.path().join("two.txt");
    std::fs::write(&file, "2\n3 -1\n0 1 1\n5 2 0 2\n0 1 1\n2 4\n9 1 1\n9 1 0\n").unwrap();
    let text = GraphSet::read(&file).unwrap();
    for other in [&from_petgraph, &read, &text] {
        for graph in 0..2 {
            assert_eq!(other.graph(graph).edges, set.graph(graph).edges, "{}", other.name());
            assert_eq!(other.graph(graph).labels, set.graph(graph).labels, "{}", other.name());
        }
        assert_eq!(other.classes().unwrap(), [0, 1]);
    }
    for other in [&from_petgraph, &read] {
        (0..2).for_each(|graph| assert_eq!(other.graph(graph).edge_labels, set.graph(graph).edge_labels));
    }
    assert!((set.edge_label_shares()[1] - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn degrees_stand_in_for_labels_and_findings_are_noted() {
    let edges = vec![(0, 1), (1, 0), (1, 2), (1, 2), (2, 2)];
    let set = GraphSet::new(GraphParts { sizes: vec![4], edges, ..Default::default() }).unwrap();
    assert_eq!((set.graph(0).labels, set.graph(0).edges), (vec![1, 2, 1, 0], vec![(0, 1), (1, 2)]));
    assert!(!set.has_node_labels() && set.classes().is_err());
    let expected = [
        GraphNote::SelfLoops { count: 1, first: "2".into(), kept: false },
        GraphNote::DuplicateEdges { count: 1, summed: false },
        GraphNote::Symmetrised { count: 1 },
        GraphNote::IsolatedNodes { count: 1, first: "3".into() },
    ];
    assert_eq!(set.notes(), expected);
}

#[test]
fn a_union_is_block_diagonal_and_pools_means() {
    let set = GraphSet::new(parts()).unwrap();
    let union = GraphUnion::new(&[set.graph(1), set.graph(0)], 2);
    assert_eq!(union.labels, [2, 2, 0, 1, 0]);
    assert_eq!(union.adjacency.to_f64().row(3).0, [2, 4]);
    assert_eq!(
        (union.edge_counts.to_f64().row(3), union.edge_counts.to_f64().row(0).0),
        ((&[0, 1][..], &[1.0, 1.0][..]), &[1][..])
    );
    assert_eq!(union.pooling.to_f64().row(1), (&[2, 3, 4][..], &[1.0 / 3.0; 3][..]));
}

#[test]
fn splits_take_a_share_of_each_class() {
    let set = motif_graphs(&MotifOptions::default()).unwrap();
    let [train, test] = set.split(0.8, 3).unwrap();
    let classes = set.classes().unwrap();
    let ones = |list: &[usize]| list.iter().filter(|&&graph| classes[graph] == 1).count();
    assert_eq!((train.len(), test.len(), ones(&train), ones(&test)), (96, 24, 48, 12));
    assert!(matches!(set.split(1.0, 3), Err(GraphError::Option { name: "share", .. })));
    let some = set.select(&test[..3]).unwrap();
    (0..3).for_each(|at| assert_eq!(some.graph(at), set.graph(test[at])));
    assert_eq!((some.classes().unwrap()[0], some.num_node_labels()), (classes[test[0]], 3));
    assert!(set.select(&[]).is_err());
    let once = GraphSet::new(GraphParts { classes: Some(vec![0, 1]), ..parts() }).unwrap();
    assert!(matches!(once.split(0.5, 1), Err(GraphError::ClassTooSmall { class: 0, found: 1, wanted: 2 })));
    assert!(motif_graphs(&MotifOptions { graphs: 1, ..Default::default() }).is_err());
    assert!(motif_graphs(&MotifOptions { nodes: 5, ..Default::default() }).is_err());
}

fn refused(parts: GraphParts, words: &str) {
    let message = GraphSet::new(parts).unwrap_err().to_string();
    assert!(message.contains(words), "{message:?} instead of {words:?}");
}

#[test]
fn wrong_sets_in_memory_are_refused() {
    refused(GraphParts::default(), "no node");
    refused(
        GraphParts { sizes: vec![3, 0, 2], ..parts() },
        "graph number 1: no node; allowed: at least one node in each graph",
    );
    refused(
        GraphParts { edges: vec![(0, 1), (2, 3), (3, 4)], ..parts() },
        "edge number 1: an edge between node 2 of graph 0 and node 3 of graph 1",
    );
    refused(
        GraphParts { edges: vec![(0, 1), (1, 2), (3, 9)], ..parts() },
        "edge number 2: an edge to node 9; allowed: nodes below 5",
    );
    refused(GraphParts { edge_labels: Some(vec![1]), ..parts() }, "1 edge labels; allowed: one for each of the 3");
    refused(GraphParts { classes: Some(vec![1]), ..parts() }, "1 classes; allowed: one for each of the 2");
    refused(GraphParts { node_labels: Some(vec![1]), ..parts() }, "node labels for 1 nodes");
    refused(GraphParts { attributes: Some(Array2::from_elem((5, 1), f32::NAN)), ..parts() }, "feature 0 is NaN");
    let both = GraphParts { edges: vec![(0, 1), (1, 0), (3, 4)], ..parts() };
    refused(both, "edge number 1: edge (1, 0) with labels 1 and 0; allowed: one label for both directions");
}

#[test]
fn wrong_files_are_refused_by_file_and_line() {
    let cases: [(&str, &str, &str); 7] = [
        (
            "graph_indicator",
            "1\n1\n1\n3\n3\n",
            "SET_graph_indicator.txt:4: graph 3; allowed: graph 1 or 2, no graph is skipped",
        ),
        (
            "A",
            "1, 2\n2, 1\n\n3, 4\n4, 3\n4, 5\n5, 4\n",
            "SET_A.txt:4: an edge between node 2 of graph 0 and node 3 of graph 1",
        ),
        ("A", "1, 2\n2, 6\n", "SET_A.txt:2: node 6; allowed: 1 to 5"),
        ("A", "1 2\n", "SET_A.txt:1: 1 fields"),
        ("edge_labels", "3\n3\n", "SET_edge_labels.txt: 2 lines; allowed: one for each of 6"),
        ("node_labels", "0\nC\n0\n7\n7\n", "SET_node_labels.txt:2: \"C\"; allowed: a whole number"),
        ("graph_labels", "1\n", "SET_graph_labels.txt: 1 lines; allowed: one for each of 2"),
    ];
    for (name, text, words) in cases {
        let files = FILES.map(|(own, old)| (own, if own == name { text } else { old }));
        let root = folder(&files);
        let message = GraphSet::read(root.path().join("SET")).unwrap_err().to_string();
        assert!(message.contains(words), "{message:?} instead of {words:?}");
    }
    assert!(GraphSet::read(Path::new("/nowhere/SET")).is_err());
    let root = folder(&FILES[..1]);
    assert!(GraphSet::read(root.path().join("SET")).unwrap_err().to_string().contains("SET_graph_indicator.txt"));
    for (text, words) in [
        ("2\n1 0\n0 0\n", "the end of the file; allowed: as many graphs and nodes as the counts say"),
        ("1\n1 0\n0 0\n1 0\n", ":4: more lines after graph 1"),
        ("1\n2 0\n0 1 1\n0 2 0\n", ":4: 1 neighbours; allowed: 2, as the line says"),
        ("1\n2 0\n0 1 2\n0 0\n", ":3: neighbour 2; allowed: below 2"),
        ("1\n2\n", ":2: 1 fields at the start of graph 0"),
        ("1\n0 1\n", "no node"),
        ("999999\n", ":1: 999999 graphs"),
        ("x\n", ":1: \"x\"; allowed: the number of graphs"),
    ] {
        let file = root.path().join("set.txt");
        std::fs::write(&file, text).unwrap();
        let message = GraphSet::read(&file).unwrap_err().to_string();
        assert!(message.contains(words), "{message:?} instead of {words:?}");
    }
}

#[test]
fn golden_sets_have_the_published_counts() {
    let Some(root) = shared() else { return };
    let read = |path: &str| GraphSet::read(root.join("data").join(path)).unwrap_or_else(|error| panic!("{error}"));
    let counts = |set: &GraphSet| [set.len(), set.num_nodes(), set.num_edges(), set.num_classes()];
    let mutag = read("tudataset/MUTAG");
    assert_eq!(counts(&mutag), [188, 3371, 3721, 2]);
    assert_eq!((mutag.num_node_labels(), mutag.num_edge_labels(), mutag.notes().len()), (7, 4, 0));
    let proteins = read("tudataset/PROTEINS");
    assert_eq!(counts(&proteins), [1113, 43_471, 81_044, 2]);
    assert_eq!((proteins.num_node_labels(), proteins.attributes().unwrap().ncols()), (3, 1));
    let imdb = read("gin-format/IMDBBINARY.txt");
    assert_eq!(counts(&imdb), [1000, 19_773, 96_531, 2]);
    assert!(!imdb.has_node_labels());
    let ptc = read("gin-format/PTC.txt");
    assert_eq!((ptc.len(), ptc.num_nodes()), (344, 8792));
}
