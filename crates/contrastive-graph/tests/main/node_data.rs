//! Graphs of nodes: making them, their matrices and measures against dense oracles, generated graphs against their
//! probabilities.

mod diffusion;
mod without;

use std::fs;

use contrastive_graph::node::data::{
    BlockModelOptions, Cleaning, Density, DiffusionOptions, Direction, Duplicates, Features, Graph, GraphNote, Labels,
    Loops, NodeRecord, NodeSplit, Normalisation, PageRankOptions, SelfLoops, block_model,
};
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;
use petgraph::Undirected;
use petgraph::graph::{DiGraph, UnGraph};
use petgraph::stable_graph::StableGraph;
use tempfile::TempDir;

fn dense(matrix: &Csr<f64>) -> Array2<f64> {
    let mut table = Array2::zeros((matrix.rows(), matrix.cols()));
    for row in 0..matrix.rows() {
        let (columns, values) = matrix.row(row);
        columns.iter().zip(values).for_each(|(&column, &value)| table[[row, column as usize]] = value);
    }
    table
}

fn assert_close(got: &Array2<f64>, expected: &Array2<f64>, tolerance: f64, what: &str) {
    assert_eq!(got.dim(), expected.dim(), "{what}");
    for (place, expected) in expected.indexed_iter() {
        assert!(
            (got[place] - expected).abs() <= tolerance,
            "{what} at {place:?}: {} instead of {expected}",
            got[place]
        );
    }
}

/// Two triangles joined by an edge, weights 1 to 7, an isolated node and a self-loop.
fn toy(direction: Direction) -> Graph {
    let edges =
        [(0, 1, 1.0), (1, 2, 2.0), (2, 0, 3.0), (2, 3, 4.0), (3, 4, 5.0), (4, 5, 6.0), (5, 3, 7.0), (4, 4, 2.0)];
    let cleaning = Cleaning { direction, self_loops: SelfLoops::Keep, ..Cleaning::default() };
    Graph::from_weighted_edges(7, &edges, &cleaning).unwrap()
}

fn edges_of(graph: &Graph) -> Vec<(u32, u32, f64)> {
    graph.edges().collect()
}

#[test]
fn edges_are_cleaned_as_the_options_say() {
    let edges = [(0, 1, 1.0), (1, 0, 3.0), (0, 1, 5.0), (2, 1, 1.0), (2, 2, 1.0)];
    let graph = |cleaning: Cleaning| Graph::from_weighted_edges(3, &edges, &cleaning).unwrap();
    let plain = graph(Cleaning::default());
    assert_eq!(edges_of(&plain), [(0, 1, 3.0), (1, 2, 1.0)]);
    assert_eq!((plain.num_edges(), plain.num_entries(), plain.is_weighted()), (2, 4, true));
    let expected = [
        GraphNote::SelfLoops { count: 1, first: "2".into(), kept: false },
        GraphNote::DuplicateEdges { count: 1, summed: false },
        GraphNote::Symmetrised { count: 1 },
        GraphNote::UnequalWeights { count: 1 },
    ];
    assert_eq!(plain.notes(), expected);
    let summed = graph(Cleaning { duplicates: Duplicates::Sum, ..Cleaning::default() });
    assert_eq!(edges_of(&summed), [(0, 1, 6.0), (1, 2, 1.0)]);
    let directed = Cleaning { direction: Direction::Directed, self_loops: SelfLoops::Keep, ..Cleaning::default() };
    assert_eq!(edges_of(&graph(directed)), [(0, 1, 1.0), (1, 0, 3.0), (2, 1, 1.0), (2, 2, 1.0)]);
    // weights that are all 1 say nothing and are not stored; counts of repetitions are weights
    let unit = Graph::from_weighted_edges(2, &[(0, 1, 1.0)], &Cleaning::default()).unwrap();
    assert_eq!(unit, Graph::from_edges(2, &[(0, 1)], &Cleaning::default()).unwrap());
    let twice = Cleaning { duplicates: Duplicates::Sum, ..Cleaning::default() };
    assert_eq!(edges_of(&Graph::from_edges(2, &[(0, 1), (0, 1)], &twice).unwrap()), [(0, 1, 2.0)]);
}

#[test]
fn a_graph_without_edges_works_everywhere() {
    let graph = Graph::from_edges(4, &[], &Cleaning::default()).unwrap();
    assert_eq!(graph.notes(), [GraphNote::IsolatedNodes { count: 4, first: "0".into() }]);
    assert_eq!(dense(&graph.matrix(Normalisation::Symmetric, Loops::Add)), Array2::<f64>::eye(4));
    assert_eq!(graph.mean_operator().nnz(), 0);
    assert_eq!(graph.pagerank(&PageRankOptions::default()).unwrap(), [0.25; 4]);
    assert_eq!(graph.eigenvector_centrality(10, 1e-9).unwrap(), [0.5; 4]);
    assert_eq!(graph.components().sizes, [1; 4]);
    let alone = graph.diffusion(&DiffusionOptions::default()).unwrap();
    assert_close(&dense(&alone.matrix), &Array2::eye(4), 1e-15, "diffusion");
    assert_eq!(graph.filter_edges(|_, _| false).num_edges(), 0);
}

#[test]
fn petgraph_graphs_of_every_kind_give_the_same_graph() {
    let mut directed = DiGraph::<u8, f64, u16>::default();
    let nodes: Vec<_> = (0..4).map(|value| directed.add_node(value)).collect();
    let links = [(0, 1, 2.0), (1, 2, 3.0), (2, 1, 3.0)];
    links.iter().for_each(|&(a, b, w)| assert!(directed.add_edge(nodes[a], nodes[b], w).index() < 9));
    let record = |value: &u8| NodeRecord {
        features: if *value == 3 { Vec::new() } else { vec![f32::from(*value), 1.0] },
        label: (*value != 1).then_some(u32::from(*value % 2)),
    };
    let graph = Graph::from_petgraph_with(&directed, record, |weight| *weight, &Cleaning::default()).unwrap();
    assert_eq!(edges_of(&graph), [(0, 1, 2.0), (1, 2, 3.0)]);
    assert!(graph.notes().contains(&GraphNote::MissingFeatures { count: 1, first: "3".into() }));
    assert!(graph.notes().contains(&GraphNote::MissingLabels { count: 1, first: "1".into() }));
    assert_eq!(graph.features().unwrap().row(2), [(0, 2.0), (1, 1.0)]);
    assert_eq!(
        (0..4).map(|node| graph.labels().unwrap().class(node)).collect::<Vec<_>>(),
        [Some(0), None, Some(0), Some(1)]
    );

    let mut undirected = UnGraph::<u8, f64, u8>::default();
    let nodes: Vec<_> = (0..4).map(|value| undirected.add_node(value)).collect();
    [(1, 0, 2.0), (2, 1, 3.0), (1, 2, 9.0)]
        .iter()
        .for_each(|&(a, b, w)| assert!(undirected.add_edge(nodes[a], nodes[b], w).index() < 9));
    let same = Graph::from_petgraph_with(&undirected, record, |weight| *weight, &Cleaning::default()).unwrap();
    assert_eq!((same.indptr(), same.indices(), same.weights()), (graph.indptr(), graph.indices(), graph.weights()));
    assert!(same.notes().contains(&GraphNote::DuplicateEdges { count: 1, summed: false }));
    let wish = Cleaning { direction: Direction::Directed, ..Cleaning::default() };
    assert!(Graph::from_petgraph(&undirected, &wish).unwrap_err().to_string().contains("Direction::Undirected"));

    // a stable graph with a hole: the nodes behind it move up
    let mut stable = StableGraph::<u8, f64, Undirected, usize>::default();
    let nodes: Vec<_> = (0..5).map(|value| stable.add_node(value)).collect();
    [(0, 2), (2, 3), (1, 4)].iter().for_each(|&(a, b)| assert!(stable.add_edge(nodes[a], nodes[b], 1.0).index() < 9));
    stable.remove_node(nodes[1]);
    let moved = Graph::from_petgraph(&stable, &Cleaning::default()).unwrap();
    assert_eq!((moved.num_nodes(), edges_of(&moved)), (4, vec![(0, 1, 1.0), (1, 2, 1.0)]));
    let ragged = |value: &u8| NodeRecord { features: vec![0.0; 1 + usize::from(*value)], label: None };
    let error = Graph::from_petgraph_with(&directed, ragged, |_| 1.0, &Cleaning::default()).unwrap_err();
    assert!(error.to_string().contains("node number 1: 2 features"), "{error}");
}

#[test]
fn matrices_are_their_definitions() {
    for direction in [Direction::Undirected, Direction::Directed] {
        let graph = toy(direction);
        let mut adjacency = Array2::<f64>::zeros((7, 7));
        for (from, to, weight) in graph.edges() {
            adjacency[[to as usize, from as usize]] = weight;
            if !graph.is_directed() {
                adjacency[[from as usize, to as usize]] = weight;
            }
        }
        for loops in [Loops::AsIs, Loops::Add, Loops::Remove] {
            let mut expected = adjacency.clone();
            for node in 0..7 {
                match loops {
                    Loops::Add if expected[[node, node]] == 0.0 => expected[[node, node]] = 1.0,
                    Loops::Remove => expected[[node, node]] = 0.0,
                    _ => (),
                }
            }
            assert_eq!(dense(&graph.matrix(Normalisation::None, loops)), expected);
            let degrees = expected.sum_axis(ndarray::Axis(1));
            let inverse = |node: usize, power: f64| if degrees[node] > 0.0 { degrees[node].powf(power) } else { 0.0 };
            let scaled = |both: bool| {
                Array2::from_shape_fn((7, 7), |(row, column)| {
                    let weight = expected[[row, column]];
                    if both { weight * inverse(row, -0.5) * inverse(column, -0.5) } else { weight * inverse(row, -1.0) }
                })
            };
            assert_close(&dense(&graph.matrix(Normalisation::Symmetric, loops)), &scaled(true), 1e-14, "symmetric");
            assert_close(&dense(&graph.matrix(Normalisation::Mean, loops)), &scaled(false), 1e-14, "mean");
        }
        assert_eq!(graph.operator(Normalisation::Symmetric, Loops::Add).is_symmetric(), !graph.is_directed());
    }
}

#[test]
fn pagerank_solves_its_equation() {
    let restart = vec![0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 1.0];
    for direction in [Direction::Undirected, Direction::Directed] {
        for wish in [None, Some(restart.clone())] {
            let graph = toy(direction);
            let options =
                PageRankOptions { restart: wish.clone(), max_iterations: 2000, tolerance: 1e-15, ..Default::default() };
            let rank = graph.pagerank(&options).unwrap();
            assert!((rank.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let teleport =
                wish.map_or(vec![1.0 / 7.0; 7], |weights| weights.iter().map(|weight| weight / 4.0).collect());
            let (out, matrix) = (graph.degrees(), dense(&graph.matrix(Normalisation::None, Loops::AsIs)));
            let stuck: f64 = (0..7).filter(|&node| out[node] == 0.0).map(|node| rank[node]).sum();
            for to in 0..7 {
                let moved: f64 = (0..7)
                    .filter(|&from| out[from] > 0.0)
                    .map(|from| matrix[[to, from]] * rank[from] / out[from])
                    .sum();
                let expected = 0.85 * (moved + stuck * teleport[to]) + 0.15 * teleport[to];
                assert!((rank[to] - expected).abs() < 1e-12, "node {to}: {} and {expected}", rank[to]);
            }
        }
    }
    // GCA's score: the total stays, where every node has an edge; the degrees are its fixed point
    let ring = Graph::from_edges(4, &[(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)], &Cleaning::default()).unwrap();
    let score = ring.lazy_pagerank(0.85, 500).unwrap();
    ring.degrees().iter().zip(&score).for_each(|(degree, score)| assert!((score - 4.0 * degree / 10.0).abs() < 1e-12));
    assert_eq!(ring.lazy_pagerank(0.85, 0).unwrap(), [1.0; 4]);
    // worked: a path of three, one step: ends 0.15 + 0.85 / 2, middle 0.15 + 0.85 x 2
    let path = Graph::from_edges(3, &[(0, 1), (1, 2)], &Cleaning::default()).unwrap();
    let once = path.lazy_pagerank(0.85, 1).unwrap();
    assert!((once[0] - 0.575).abs() < 1e-15 && (once[1] - 1.85).abs() < 1e-15);
}

#[test]
fn eigenvector_centrality_is_an_eigenvector() {
    let graph = toy(Direction::Undirected);
    let score = graph.eigenvector_centrality(10_000, 1e-15).unwrap();
    let matrix = dense(&graph.matrix(Normalisation::None, Loops::AsIs));
    let product: Vec<f64> =
        (0..7).map(|row| (0..7).map(|column| matrix[[row, column]] * score[column]).sum()).collect();
    let lambda: f64 = product.iter().zip(&score).map(|(a, b)| a * b).sum();
    product.iter().zip(&score).for_each(|(product, score)| assert!((product - lambda * score).abs() < 1e-9));
    assert!(score.iter().all(|&value| value >= 0.0) && score[6] < 1e-9);
    // a star is bipartite: the centre weighs sqrt(leaves) times a leaf
    let star = Graph::from_edges(5, &[(0, 1), (0, 2), (0, 3), (0, 4)], &Cleaning::default()).unwrap();
    let score = star.eigenvector_centrality(1000, 1e-13).unwrap();
    assert!((score[0] / score[1] - 2.0).abs() < 1e-9, "{score:?}");
}

#[test]
fn components_ignore_directions() {
    let cleaning = Cleaning { direction: Direction::Directed, ..Cleaning::default() };
    let graph = Graph::from_edges(7, &[(5, 1), (1, 3), (0, 2), (6, 5)], &cleaning).unwrap();
    let components = graph.components();
    assert_eq!(components.of_node, [0, 1, 0, 1, 2, 1, 1]);
    assert_eq!((components.sizes.clone(), components.largest()), (vec![2, 4, 1], vec![1, 3, 5, 6]));
    let long: Vec<(u32, u32)> = (0..50_000).map(|node| (50_000 - node, 49_999 - node)).collect();
    assert_eq!(Graph::from_edges(50_001, &long, &Cleaning::default()).unwrap().components().sizes, [50_001]);
}

#[test]
fn generated_graphs_follow_their_probabilities() {
    let (inside, between) = (0.05, 0.004);
    let options = BlockModelOptions {
        nodes: 1501,
        communities: 4,
        density: Density::Probabilities { inside, between },
        features: 103,
        own_words: 5.0,
        other_words: 8.0,
        seed: 3,
    };
    let graph = block_model(&options).unwrap();
    let labels = graph.labels().unwrap();
    assert_eq!(labels.class_sizes(), [376, 375, 375, 375]);
    let class = |node: u32| labels.class(node as usize).unwrap();
    let (mut within, mut across) = (0.0, 0.0);
    graph.edges().for_each(|(a, b, _)| if class(a) == class(b) { within += 1.0 } else { across += 1.0 });
    let pairs_within: f64 = labels.class_sizes().iter().map(|&size| (size * (size - 1) / 2) as f64).sum();
    let pairs_across = 1501.0 * 1500.0 / 2.0 - pairs_within;
    // five standard deviations of a binomial
    let assert_near = |count: f64, trials: f64, p: f64, what: &str| {
        let (mean, deviation) = (trials * p, (trials * p * (1.0 - p)).sqrt());
        assert!((count - mean).abs() < 5.0 * deviation, "{what}: {count} of {mean} +- {deviation}");
    };
    assert_near(within, pairs_within, inside, "links inside");
    assert_near(across, pairs_across, between, "links between");
    let Some(Features::Sparse(words)) = graph.features() else { panic!("bags of words are sparse") };
    let (mut own, mut other) = (0.0, 0.0);
    for node in 0..1501 {
        words
            .row(node)
            .0
            .iter()
            .for_each(|word| if word % 4 == class(node as u32) { own += 1.0 } else { other += 1.0 });
    }
    assert_near(own, 1501.0 * 26.0, 5.0 / 25.75, "own words");
    assert_near(other, 1501.0 * 77.0, 8.0 / 77.25, "other words");
    assert_eq!(block_model(&options).unwrap(), graph);
    assert_ne!(block_model(&BlockModelOptions { seed: 4, ..options.clone() }).unwrap(), graph);
    // the ends of the range
    let certain = Density::Probabilities { inside: 1.0, between: 0.0 };
    let cliques =
        block_model(&BlockModelOptions { nodes: 9, communities: 3, density: certain, features: 0, ..options.clone() })
            .unwrap();
    assert_eq!((cliques.num_edges(), cliques.components().sizes, cliques.features()), (9, vec![3; 3], None));
    let all = Density::Probabilities { inside: 1.0, between: 1.0 };
    let clique =
        block_model(&BlockModelOptions { nodes: 9, communities: 3, density: all, features: 0, ..options.clone() })
            .unwrap();
    assert_eq!(clique.num_edges(), 36);
    let one = BlockModelOptions {
        nodes: 1,
        communities: 1,
        density: Density::Degrees { inside: 0.0, between: 0.0 },
        features: 0,
        ..options
    };
    assert_eq!(block_model(&one).unwrap().num_nodes(), 1);
}

#[test]
fn two_hundred_thousand_nodes_are_a_matter_of_seconds() {
    let start = std::time::Instant::now();
    let options =
        BlockModelOptions { nodes: 200_000, communities: 500, features: 2000, own_words: 3.0, ..Default::default() };
    let graph = block_model(&options).unwrap();
    let mean_degree = graph.num_entries() as f64 / 200_000.0;
    assert!((mean_degree - 10.0).abs() < 0.1, "{mean_degree}");
    println!("200k nodes, {} edges: {:?}", graph.num_edges(), start.elapsed());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn splits_are_disjoint_and_have_their_sizes() {
    let graph = block_model(&BlockModelOptions { nodes: 500, ..Default::default() }).unwrap();
    let labels = graph.labels().unwrap();
    let split = NodeSplit::per_class(labels, 20, 100, 200, 1).unwrap();
    assert_eq!(split.sizes(), (100, 100, 200));
    for class in 0..5 {
        assert_eq!(split.train.iter().filter(|&&node| labels.class(node as usize) == Some(class)).count(), 20);
    }
    assert_eq!(NodeSplit::per_class(labels, 20, 100, 200, 1).unwrap(), split);
    assert_ne!(NodeSplit::per_class(labels, 20, 100, 200, 2).unwrap(), split);
    assert_eq!(NodeSplit::fractions(labels, 0.1, 0.1, 1).unwrap().sizes(), (50, 50, 400));
    assert_eq!(NodeSplit::random(10, 0.3, 0.3, 1).unwrap().sizes(), (3, 3, 4));
    let stratified = NodeSplit::stratified(labels, 0.6, 0.2, 1).unwrap();
    assert_eq!(stratified.sizes(), (300, 100, 100));
    for class in 0..5 {
        assert_eq!(stratified.test.iter().filter(|&&node| labels.class(node as usize) == Some(class)).count(), 20);
    }
    let mut graph = graph.clone();
    for (name, split) in [("a", split), ("b", stratified)] {
        graph.add_split(name, split).unwrap();
    }
    assert_eq!((graph.splits().len(), graph.split("b").unwrap().train.len()), (2, 300));
}

#[test]
fn labels_and_features_are_what_was_given() {
    let labels = Labels::multi(&[vec![2, 0, 2], vec![], vec![1]]);
    assert_eq!((labels.of(0), labels.of(1), labels.class(2)), (&[0, 2][..], &[][..], Some(1)));
    assert_eq!((labels.num_classes(), labels.num_labelled(), labels.is_single()), (3, 2, false));
    assert_eq!((labels.class_sizes(), labels.complete()), (vec![1, 1, 1], None));
    let rows = Features::from_entries(3, 4, &[(0, 1, 1.0), (0, 3, 3.0), (2, 0, -2.0)]).unwrap();
    let normal = rows.row_normalised();
    assert_eq!((normal.row(0), normal.row(1), normal.row(2)), (vec![(1, 0.25), (3, 0.75)], vec![], vec![(0, -1.0)]));
    let dense = Features::Dense(rows.to_dense());
    assert_eq!(dense.row_normalised().to_dense(), normal.to_dense());
    assert_eq!((dense.num_nonzero(), dense.operator().is_none(), rows.operator().unwrap().shape()), (3, true, [3, 4]));
}

#[test]
fn edges_can_be_dropped() {
    let graph = toy(Direction::Undirected);
    let mut asked = Vec::new();
    let fewer = graph.filter_edges(|from, to| {
        asked.push((from, to));
        from != 2 && to != 2
    });
    assert_eq!(asked.len(), graph.num_edges());
    assert_eq!(edges_of(&fewer), [(0, 1, 1.0), (3, 4, 5.0), (3, 5, 7.0), (4, 4, 2.0), (4, 5, 6.0)]);
    assert!((0..7).all(|node| fewer.neighbours(node).iter().all(|&to| fewer.has_edge(to, node))));
}

#[test]
fn files_of_every_format_are_read_as_written() {
    let folder = TempDir::new().unwrap();
    crate::node_files::planetoid(folder.path());
    let tiny = Graph::read(folder.path()).unwrap();
    assert_eq!((tiny.name(), edges_of(&tiny)), ("tiny", vec![(0, 1, 1.0), (0, 5, 1.0), (3, 5, 1.0)]));
    let words: Vec<_> =
        (0..6).map(|node| tiny.features().unwrap().row(node).iter().map(|entry| entry.0).collect::<Vec<_>>()).collect();
    assert_eq!(words, [vec![0, 2], vec![1], vec![], vec![0], vec![], vec![2]]);
    let classes: Vec<_> = (0..6).map(|node| tiny.labels().unwrap().class(node)).collect();
    assert_eq!(classes, [Some(1), Some(0), Some(1), Some(1), None, Some(0)]);
    assert_eq!(*tiny.split("public").unwrap(), NodeSplit::new(vec![0], vec![1, 2], vec![3, 5]));
    assert!(tiny.notes().contains(&GraphNote::MissingFeatures { count: 1, first: "4".into() }));

    let archives = [("adj_", "attr_"), ("adj_matrix.", "attr_matrix."), ("adj_matrix_", "attr_matrix_")];
    let read = |(adjacency, attributes): (&str, &str), deflated| {
        let path = folder.path().join("a.npz");
        fs::write(&path, crate::node_files::zipped(&crate::node_files::npz_members(adjacency, attributes), deflated))
            .unwrap();
        Graph::read(path).unwrap()
    };
    let first = read(archives[0], false);
    assert_eq!(edges_of(&first), [(0, 1, 1.0), (0, 2, 1.0), (2, 3, 1.0)]);
    assert_eq!((first.labels().unwrap().name(1), first.features().unwrap().num_features()), ("sci".into(), 5));
    archives.into_iter().for_each(|style| assert_eq!(read(style, true), first));

    for packed in [false, true] {
        let path = folder.path().join("b.mat");
        fs::write(&path, crate::node_files::matlab(packed)).unwrap();
        let graph = Graph::read(path).unwrap();
        assert_eq!(edges_of(&graph), [(0, 1, 1.0), (1, 2, 1.0)]);
        assert_eq!(graph.labels().unwrap().complete(), Some(vec![0, 1, 0]));
        assert_eq!(
            (graph.features().unwrap().row(0), graph.features().unwrap().row(2)),
            (vec![(0, 1.0)], vec![(2, 1.0)])
        );
    }

    let text = |at: usize| {
        let (open, files) = &crate::node_files::texts()[at];
        let folder = TempDir::new().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
        let graph = Graph::read(folder.path()).unwrap();
        assert_eq!(Graph::read(folder.path().join(open)).unwrap().indices(), graph.indices());
        graph
    };
    assert_eq!(text(0).features().unwrap().row(1), [(1, 1.0), (2, 1.0)]);
    assert_eq!((text(1).features().unwrap().num_features(), text(1).features().unwrap().row(0)), (5, vec![(1, 1.0)]));
    assert_eq!((text(2).targets().unwrap(), text(2).labels().unwrap().num_classes()), (&[17.0, 3.0, 99.0][..], 5));
    assert_eq!((text(3).split("public").unwrap().sizes(), text(3).labels().unwrap().num_labelled()), ((1, 1, 1), 3));
    let list = text(4);
    assert_eq!(
        (list.ids().unwrap(), list.labels().unwrap().complete()),
        (&["10", "20", "30", "40"].map(String::from)[..], Some(vec![0, 1, 1, 0]))
    );
    assert_eq!(edges_of(&list), [(0, 1, 0.5), (1, 2, 1.0)]);
    assert!(list.notes().contains(&GraphNote::Renumbered { ids: 4, first: "10".into(), last: "40".into() }));
    assert!(list.notes().contains(&GraphNote::MissingFeatures { count: 1, first: "30".into() }));
}
