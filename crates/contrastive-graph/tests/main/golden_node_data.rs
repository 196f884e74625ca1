//! Published graphs: counts as stated in their papers and recounted from the files with standard text tools, and layers of
//! torch_geometric that fix the normalisations.

use crate::common::{close, golden, numbers, shared, tracked, values};
use burn::tensor::{DType, Device};
use contrastive_eval::clustering::KMeans;
use contrastive_eval::probe::{LinearProbe, LogisticRegression, Scaling, Split, Targets};
use contrastive_graph::node::augment::edges::EdgeDraw;
use contrastive_graph::node::data::{
    Cleaning, DiffusionOptions, Direction, Features, Graph, GraphNote, Kernel, Loops, Normalisation,
};
use contrastive_graph::node::method::{
    CsgclConfig, GraceConfig, NodeMethod, NodeMethodConfig, NodeTraining, TwoViewMethod,
};
use contrastive_kernels::sparse::Csr;
use contrastive_nn::layer::Activation;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn read(path: &str) -> Option<Graph> {
    let path = shared()?.join("data").join(path);
    Some(Graph::read(path).unwrap_or_else(|error| panic!("{error}")))
}

/// Nodes, edges, features, values that are not 0, classes, labelled nodes.
fn counts(graph: &Graph) -> [usize; 6] {
    let features = graph.features().map_or((0, 0), |f| (f.num_features(), f.num_nonzero()));
    let labels = graph.labels().map_or((0, 0), |l| (l.num_classes(), l.num_labelled()));
    [graph.num_nodes(), graph.num_edges(), features.0, features.1, labels.0, labels.1]
}

fn sparse(graph: &Graph) -> bool {
    matches!(graph.features(), Some(Features::Sparse(_)))
}

#[test]
fn golden_cora_has_the_published_counts_and_the_public_split() {
    let Some(cora) = read("planetoid/ind.cora") else { return };
    assert_eq!(counts(&cora), [2708, 5278, 1433, 49_216, 7, 2708]);
    assert!(sparse(&cora) && !cora.is_weighted() && !cora.is_directed());
    assert_eq!(cora.split("public").unwrap().sizes(), (140, 500, 1000));
    assert_eq!((cora.neighbours(0), cora.labels().unwrap().class(0)), (&[633, 1862, 2582][..], Some(3)));
    // 10,858 entries in the file: both directions of 5,278 links, and repetitions
    assert_eq!(cora.notes(), [GraphNote::DuplicateEdges { count: 10_858 - 2 * 5278, summed: false }]);
    let components = cora.components();
    assert_eq!((components.sizes.len(), components.largest().len()), (78, 2485));
}

#[test]
fn golden_citeseer_has_its_nodes_without_features() {
    let Some(graph) = read("planetoid/citeseer") else { return };
    assert_eq!(counts(&graph), [3327, 4552, 3703, 105_165, 6, 3312]);
    assert_eq!(graph.split("public").unwrap().sizes(), (120, 500, 1000));
    let count = 15;
    assert!(graph.notes().contains(&GraphNote::MissingFeatures { count, first: "2407".into() }), "{:?}", graph.notes());
    assert!(graph.notes().contains(&GraphNote::MissingLabels { count, first: "2407".into() }));
    // 124 loops, each listed from both of its ends
    let loops = |note: &GraphNote| matches!(note, GraphNote::SelfLoops { count: 248, kept: false, .. });
    assert!(graph.notes().iter().any(loops), "{:?}", graph.notes());
    assert!(graph.notes().iter().any(|note| matches!(note, GraphNote::IsolatedNodes { count: 48, .. })));
}

#[test]
fn golden_open_copies_equal_the_pickles() {
    for name in ["cora", "citeseer"] {
        let (Some(raw), Some(open)) = (read(&format!("planetoid/ind.{name}")), read(&format!("planetoid/open/{name}")))
        else {
            return;
        };
        assert_eq!((raw.indptr(), raw.indices()), (open.indptr(), open.indices()), "{name}: edges");
        assert_eq!(raw.features(), open.features(), "{name}: features");
        assert_eq!(raw.labels(), open.labels(), "{name}: labels");
        assert_eq!(raw.split("public"), open.split("public"), "{name}: split");
    }
}

#[test]
fn golden_a_folder_of_two_graphs_is_not_one() {
    let Some(root) = shared() else { return };
    let message = Graph::read(root.join("data/planetoid")).unwrap_err().to_string();
    assert!(message.contains("found ind.citeseer.graph, ind.cora.graph"), "{message}");
}

#[test]
fn golden_cora_as_npz() {
    let Some(graph) = read("gnn-benchmark-npz") else { return };
    let [nodes, edges, features, _, classes, labelled] = counts(&graph);
    assert_eq!([nodes, features, classes, labelled], [2708, 1433, 7, 2708]);
    assert!(sparse(&graph) && edges <= 5429, "{edges}");
    let path = shared().unwrap().join("data/gnn-benchmark-npz/cora.npz");
    let directed = Cleaning { direction: Direction::Directed, ..Default::default() };
    assert_eq!(Graph::read_with(path, &directed.into()).unwrap().num_edges(), 5429);
    assert_ne!(graph.labels().unwrap().name(0), "0", "class names are read");
}

#[test]
fn golden_geom_gcn() {
    let Some(cornell) = read("geom-gcn/cornell") else { return };
    assert_eq!((cornell.num_nodes(), cornell.labels().unwrap().num_classes()), (183, 5));
    assert_eq!(cornell.features().unwrap().num_features(), 1703);
    assert!(matches!(cornell.features(), Some(Features::Dense(_))));
    let names: Vec<&str> = cornell.splits().iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, ["0", "1"]);
    let split = cornell.split("0").unwrap().sizes();
    // train and validation and test cover the nodes
    assert_eq!(split.0 + split.1 + split.2, 183);
    let film = read("geom-gcn/film/out1_graph_edges.txt").unwrap();
    assert_eq!((film.num_nodes(), film.labels().unwrap().num_classes(), film.splits().len()), (7600, 5, 2));
    assert!(sparse(&film));
    assert!(film.notes().contains(&GraphNote::MoreFeatures { stated: 931, found: 932 }), "{:?}", film.notes());
    for (graph, lines) in [("cornell", 298), ("film", 33_391)] {
        let path = shared().unwrap().join("data/geom-gcn").join(graph);
        let text = std::fs::read_to_string(path.join("out1_graph_edges.txt")).unwrap();
        let mut pairs: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(pairs.len(), lines);
        pairs.sort_unstable();
        pairs.dedup();
        let loops = pairs.iter().filter(|pair| pair.split_once('\t').is_some_and(|(a, b)| a == b)).count();
        let directed = Cleaning { direction: Direction::Directed, ..Default::default() };
        assert_eq!(Graph::read_with(&path, &directed.into()).unwrap().num_edges(), pairs.len() - loops);
    }
}

#[test]
fn golden_chameleon() {
    let Some(mut graph) = read("musae-chameleon") else { return };
    let loops: usize =
        graph.notes().iter().map(|note| if let GraphNote::SelfLoops { count, .. } = note { *count } else { 0 }).sum();
    assert_eq!((graph.num_nodes(), graph.num_edges() + loops), (2277, 31_421));
    assert_eq!(graph.features().unwrap().num_features(), 3132);
    assert!(sparse(&graph));
    assert_eq!(graph.targets().unwrap()[..3], [171.0, 8089.0, 8568.0]);
    let sizes = graph.labels().unwrap().class_sizes();
    // equal sizes up to ties: 93 pages share one count (recounted with a script)
    assert_eq!(sizes, [456, 460, 453, 521, 387]);
    let split = shared().unwrap().join("data/geom-gcn/splits/chameleon_split_0.6_0.2_0.npz");
    graph.read_split("geom-gcn 0", split).unwrap();
    let (train, validation, test) = graph.split("geom-gcn 0").unwrap().sizes();
    assert_eq!(train + validation + test, 2277);
}

#[test]
fn golden_edge_lists_with_labels_beside_them() {
    let Some(wiki) = read("openne-wiki") else { return };
    assert_eq!((wiki.num_nodes(), wiki.labels().unwrap().num_classes()), (2405, 17));
    assert_eq!((wiki.labels().unwrap().name(0), wiki.ids()), ("0".into(), None));
    let directed = Cleaning {
        direction: Direction::Directed,
        self_loops: contrastive_graph::node::data::SelfLoops::Keep,
        ..Default::default()
    };
    let path = shared().unwrap().join("data/openne-wiki");
    assert_eq!(Graph::read_with(path, &directed.into()).unwrap().num_edges(), 16_523);
    for (name, nodes, lines) in [("usa", 1190, 13_599), ("brazil", 131, 1074)] {
        let graph = read(&format!("struc2vec/{name}-airports.edgelist")).unwrap();
        let dropped: usize = graph
            .notes()
            .iter()
            .map(|note| match note {
                GraphNote::SelfLoops { count, .. } | GraphNote::DuplicateEdges { count, .. } => *count,
                _ => 0,
            })
            .sum();
        assert_eq!((graph.num_nodes(), graph.labels().unwrap().num_classes()), (nodes, 4), "{name}");
        assert!(graph.num_edges() + dropped <= lines && graph.num_edges() > lines / 3, "{name}");
        assert_eq!(graph.labels().unwrap().num_labelled(), nodes);
    }
    let usa = read("struc2vec/usa-airports.edgelist").unwrap();
    assert_eq!((usa.id(0), usa.ids().unwrap().len()), ("10005".into(), 1190));
}

#[test]
fn golden_blogcatalog_as_matlab_and_as_tables() {
    let (Some(matlab), Some(open)) = (read("blogcatalog/BlogCatalog.mat"), read("blogcatalog/open")) else { return };
    assert_eq!(counts(&matlab), [5196, 171_743, 8189, 369_435, 6, 5196]);
    assert!(sparse(&matlab));
    assert_eq!((matlab.indptr(), matlab.indices()), (open.indptr(), open.indices()));
    assert_eq!(matlab.features(), open.features());
    let classes = |graph: &Graph| graph.labels().unwrap().complete().unwrap();
    assert_eq!(classes(&matlab), classes(&open));
}

/// torch_geometric's GCNConv is `A_hat (X W^T) + b`, three LightGCN steps average powers of the normalised adjacency, a mean
/// SAGE layer adds the neighbours' mean.
#[test]
fn golden_operators_agree_with_torch_geometric() {
    let Some(file) = golden("graph_layers") else { return };
    let mut seen = [0; 2];
    for case in file["cases"].as_array().unwrap() {
        let (name, inputs) = (case["name"].as_str().unwrap(), &case["inputs"]);
        let shape = |tensor: &serde_json::Value| [0, 1].map(|side| tensor["shape"][side].as_u64().unwrap() as usize);
        let matrix = |key: &str| tracked(numbers(&inputs[key]), shape(&inputs[key]), DType::F64);
        let ends = numbers(&inputs["edge_index"]);
        let (from, to) = ends.split_at(ends.len() / 2);
        let edges: Vec<(u32, u32)> = from.iter().zip(to).map(|(&from, &to)| (from as u32, to as u32)).collect();
        let nodes = shape(&inputs["x"])[0];
        let expected = numbers(&case["expected"]["output"]);
        for direction in [Direction::Undirected, Direction::Directed] {
            let graph = Graph::from_edges(nodes, &edges, &Cleaning { direction, ..Default::default() }).unwrap();
            let output = if name.starts_with("GCNConv") {
                seen[0] += 1;
                let product = graph.gcn_operator().apply(matrix("x").matmul(matrix("weight").transpose()));
                let bias = numbers(&inputs["bias"]);
                let width = bias.len();
                values(&product).iter().enumerate().map(|(at, value)| value + bias[at % width]).collect::<Vec<f64>>()
            } else if name.starts_with("SAGEConv") {
                seen[1] += 1;
                let neighbours = graph.mean_operator().apply(matrix("x")).matmul(matrix("weight_neigh").transpose());
                let output = values(&(neighbours + matrix("x").matmul(matrix("weight_root").transpose())));
                let bias = numbers(&inputs["bias"]);
                output.iter().enumerate().map(|(at, value)| value + bias[at % bias.len()]).collect()
            } else {
                continue;
            };
            close(name, &output, &expected, 1e-10, 1e-10);
        }
        let plain = Graph::from_edges(nodes, &edges, &Cleaning::default()).unwrap();
        assert_eq!(plain.matrix(Normalisation::None, Loops::AsIs).nnz(), edges.len(), "{name}");
    }
    assert!(seen.iter().all(|&count| count >= 6), "{seen:?}");
}

#[test]
fn golden_diffusion_of_cora_keeps_nearly_all_of_every_walk() {
    let Some(cora) = read("planetoid/ind.cora") else { return };
    for kernel in [Kernel::PersonalisedPageRank { alpha: 0.15 }, Kernel::Heat { t: 5.0 }] {
        let options = DiffusionOptions { kernel, ..Default::default() };
        let lost = |epsilon| cora.diffusion(&DiffusionOptions { epsilon, ..options }).unwrap().greatest_loss;
        let (default, rough) = (lost(options.epsilon), lost(1e-4));
        println!("{kernel:?}: {default:.4} lost at most, {rough:.4} at 1e-4");
        assert!(default > 0.0 && default <= 0.05 && rough > 0.3, "{kernel:?}: {default}, {rough}");
    }
}

#[test]
fn golden_csgcl_views_of_cora_lose_edges_between_communities_first() {
    let Some(cora) = read("planetoid/ind.cora") else { return };
    // the drop rates of GRACE on Cora, five seeds (check 8a of CSGCL)
    let config = CsgclConfig::new().with_edge_drop([0.2, 0.4]).with_feature_drop([0.3, 0.4]);
    let training = config.build(&cora, 1, &Device::default()).unwrap();
    let (labels, views) = (training.method().partition().labels(), training.method().views());
    // entries, and how many of them lead from one community to another
    let count = |graph: &Csr<f64>| {
        let between = |row: usize| graph.row(row).0.iter().filter(|&&to| labels[row] != labels[to as usize]).count();
        [graph.nnz(), (0..graph.rows()).map(between).sum()].map(|count| count as f64)
    };
    let [entries, between] = count(views.data.adjacency());
    for seed in 1..=5 {
        let drawn = views.draw(&mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        for (view, nominal) in drawn.iter().zip([0.2, 0.4]) {
            let [kept, kept_between] = count(&view.adjacency);
            let share = (between - kept_between) / (entries - kept);
            assert!(
                share > 1.5 * between / entries,
                "seed {seed}: {share} of the dropped, {} of all",
                between / entries
            );
            let dropped = 1.0 - kept / entries;
            assert!((dropped - nominal).abs() < 0.04, "seed {seed}: {dropped} dropped at {nominal}");
        }
    }
}

/// CSGCL, checks 8b and 8c, at the budget that GRACE has there. GRACE drops what is published for Cora, CSGCL what is published for WikiCS:
/// of its five published pairs of rates the one with the best probe on seed 0. Clusters are those of the embeddings as they are, their NMI
/// the mean of ten runs of k-means.
#[test]
#[ignore = "ten trainings of 200 epochs, 11 CPU minutes: .ci/long runs it"]
fn golden_csgcl_on_cora_is_no_worse_than_grace() {
    let Some(cora) = read("planetoid/ind.cora") else { return };
    let labels = cora.labels().unwrap();
    let classes = labels.complete().unwrap();
    let grace = GraceConfig::new()
        .with_dim(64)
        .with_projection(64)
        .with_activation(Activation::Relu)
        .with_edge_drop([0.2, 0.4])
        .with_edge_draw(EdgeDraw::PerEntry)
        .with_feature_drop([0.3, 0.4])
        .with_temperature(0.4)
        .with_learning_rate(5e-4);
    let csgcl = |seed| {
        CsgclConfig::new()
            .with_dim(64)
            .with_projection(64)
            .with_activation(Activation::Relu)
            .with_edge_drop([0.2, 0.7])
            .with_edge_draw(EdgeDraw::PerEntry)
            .with_feature_drop([0.1, 0.2])
            .with_temperature(0.4)
            .with_learning_rate(5e-4)
            .with_team_up_start(100)
            .with_team_up_largest(1.0)
            .with_detection_seed(seed)
    };
    let judge = |x: Array2<f32>, seed: u64| {
        let clusters = KMeans::new(7).evaluate(x.view(), &classes, &Vec::from_iter(0..10)).unwrap();
        let split = |k| Split::random(classes.len(), 0.1, 0.1, 10 * seed + k).unwrap();
        let splits: Vec<Split> = (0..3).map(split).collect();
        let classifier = LogisticRegression::new(1.0).with_missing_classes(true);
        let grid: Vec<f64> = (-10..10).map(|power| f64::from(power).exp2()).collect();
        let probe =
            LinearProbe::new().with_classifier(classifier).with_scaling(Scaling::UnitLength).with_validation(&grid);
        let accuracy = probe.run(x.view(), Targets::single(&classes, 7), &splits).unwrap().accuracy().mean;
        [clusters.get("nmi").unwrap().mean, accuracy]
    };
    fn trained<M: NodeMethod>(mut training: NodeTraining<M>) -> Array2<f32> {
        assert!((0..200).all(|_| training.train_epoch().unwrap().is_finite()));
        training.embed()
    }
    let mut gains = [0.0; 2];
    for seed in 1..=5 {
        let device = Device::default();
        let without = judge(trained(grace.build(&cora, seed, &device).unwrap()), seed);
        let with = judge(trained(csgcl(seed).build(&cora, seed, &device).unwrap()), seed);
        println!("seed {seed}: NMI, accuracy: GRACE {without:.4?}, CSGCL {with:.4?}");
        gains.iter_mut().zip(with.iter().zip(without)).for_each(|(gain, (a, b))| *gain += (a - b) / 5.0);
    }
    println!("CSGCL's gain: {gains:.4?}");
    assert!(gains[0] >= -0.01 && gains[1] >= -0.01, "{gains:?}");
}
