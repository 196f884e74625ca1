//! Bad graphs: a table of what a user may hand over and the message that must come back, and damaged files of every format,
//! which must give a graph or a typed error, without a panic and without memory beyond what the file justifies.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::node_files::{Pickled, ints, matlab, npy, npz_members, planetoid, texts, zipped};
use contrastive_graph::node::data::{
    BlockModelOptions, Cleaning, Dangling, Density, Direction, Features, Graph, GraphError, GraphNote, Labels,
    NodeSplit, PageRankOptions, ReadOptions, SelfLoops, block_model,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

/// Remembers the greatest single request for memory of each thread: that of a test, whatever others do beside it.
struct Watched;

thread_local! {
    static GREATEST: Cell<usize> = const { Cell::new(0) };
}

fn requested(size: usize) {
    let _ = GREATEST.try_with(|greatest| greatest.set(greatest.get().max(size)));
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        requested(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        requested(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        requested(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The files of these tests are small (the largest unpacks to 64 MiB): nothing may ask for much more.
fn assert_modest() {
    let greatest = GREATEST.get();
    assert!(greatest <= 160 << 20, "{greatest} bytes at once");
}

fn strict() -> Cleaning {
    Cleaning { strict: true, ..Cleaning::default() }
}

fn put(folder: &Path, files: &[(&str, Vec<u8>)]) {
    files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}

/// The message for a file, or several, of which the first is opened.
fn message_of(files: &[(&str, &[u8])], cleaning: Cleaning) -> String {
    let folder = TempDir::new().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    match Graph::read_with(folder.path().join(files[0].0), &cleaning.into()) {
        Err(error) => error.to_string(),
        Ok(graph) => panic!("{} was accepted: {:?}", files[0].0, graph.notes()),
    }
}

fn assert_says(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} is not in: {message}"));
}

#[test]
fn edges_in_memory_are_refused_with_their_position() {
    let lenient = Cleaning::default();
    let refused = |nodes, edges: &[(u32, u32)], cleaning: &Cleaning| {
        Graph::from_edges(nodes, edges, cleaning).unwrap_err().to_string()
    };
    assert_says(&refused(0, &[], &lenient), &["no node", "at least one"]);
    assert_says(
        &refused(3, &[(0, 1), (1, 3)], &lenient),
        &["edge number 1", "unknown node 3", "0..3", "Dangling::Drop"],
    );
    assert_says(&refused(3, &[(0, 1), (2, 2)], &strict()), &["edge number 1", "self-loop at node 2"]);
    assert_says(&refused(3, &[(0, 1), (1, 2), (0, 1)], &strict()), &["edge number 2", "edge 0 -> 1 occurred already"]);
    assert_says(&refused(4, &[(0, 1), (1, 2)], &strict()), &["1 nodes have no edge", "the first is 3"]);
    for weight in [-1.0, f64::NAN, f64::INFINITY, 1e200, 1e-200] {
        let error = Graph::from_weighted_edges(2, &[(0, 1, weight)], &lenient).unwrap_err();
        assert_says(&error.to_string(), &["edge number 0", "edge weight", "1e-150 to 1e150"]);
    }
    let kept = Cleaning { dangling: Dangling::Drop, self_loops: SelfLoops::Keep, ..lenient };
    let graph = Graph::from_edges(3, &[(0, 1), (1, 7), (2, 2), (1, 0), (0, 1)], &kept).unwrap();
    assert_eq!((graph.num_edges(), graph.num_self_loops()), (2, 1));
    let notes = [
        GraphNote::DanglingEdges { count: 1, first: "7".into() },
        GraphNote::SelfLoops { count: 1, first: "2".into(), kept: true },
        GraphNote::DuplicateEdges { count: 1, summed: false },
        GraphNote::IsolatedNodes { count: 1, first: "2".into() },
    ];
    assert_eq!(graph.notes(), notes);
}

#[test]
fn node_data_and_options_are_refused_with_what_is_allowed() {
    let graph = Graph::from_edges(3, &[(0, 1)], &Cleaning::default()).unwrap();
    let says = |error: GraphError, parts: &[&str]| assert_says(&error.to_string(), parts);
    let features = |rows: usize, value: f32| Features::Dense(ndarray::Array2::from_elem((rows, 2), value));
    says(graph.clone().with_features(features(2, 1.0)).unwrap_err(), &["features for 2 nodes", "3 nodes"]);
    says(graph.clone().with_features(features(3, f32::NAN)).unwrap_err(), &["node number 0", "NaN", "finite"]);
    says(Features::from_entries(2, 2, &[(0, 2, 1.0)]).unwrap_err(), &["features", "2 x 2"]);
    says(graph.clone().with_labels(Labels::single(&[None])).unwrap_err(), &["labels for 1 nodes", "3 nodes"]);
    says(graph.require_features().unwrap_err(), &["no features", "with_features"]);
    says(graph.require_labels().unwrap_err(), &["no labels", "with_labels"]);
    let mut split = graph.clone();
    let mut add =
        |train: Vec<u32>, test: Vec<u32>| split.add_split("s", NodeSplit::new(train, vec![], test)).unwrap_err();
    says(add(vec![0, 3], vec![]), &["\"s\"", "node 3 is not in the graph"]);
    says(add(vec![0, 1], vec![1]), &["node 1 is named twice"]);
    says(add(vec![], vec![1]), &["no node to train on"]);
    let labels = Labels::single(&[Some(0), Some(1), None]);
    says(NodeSplit::per_class(&labels, 2, 0, 0, 1).unwrap_err(), &["class 0", "1 labelled", "at least 2"]);
    says(NodeSplit::per_class(&labels, 0, 0, 0, 1).unwrap_err(), &["per_class = 0"]);
    says(NodeSplit::per_class(&labels, 1, 1, usize::MAX, 1).unwrap_err(), &["validation + test"]);
    says(NodeSplit::fractions(&labels, 0.8, 0.4, 1).unwrap_err(), &["train + validation", "0 to 1"]);
    says(NodeSplit::fractions(&labels, f64::NAN, 0.4, 1).unwrap_err(), &["train = NaN"]);
    says(NodeSplit::fractions(&labels, 0.1, 0.4, 1).unwrap_err(), &["train = 0.1", "at least one"]);
    for damping in [-0.1, 1.0, f64::NAN] {
        let options = PageRankOptions { damping, ..Default::default() };
        says(graph.pagerank(&options).unwrap_err(), &["damping", "0 to 1, 1 excluded"]);
    }
    let options = PageRankOptions { max_iterations: 1, tolerance: 1e-300, ..Default::default() };
    says(graph.pagerank(&options).unwrap_err(), &["PageRank did not converge", "after 1 iterations"]);
    says(graph.eigenvector_centrality(1, 1e-300).unwrap_err(), &["eigenvector centrality did not converge"]);
    for (options, name) in [
        (BlockModelOptions { nodes: 0, ..Default::default() }, "nodes = 0"),
        (BlockModelOptions { communities: 0, ..Default::default() }, "communities = 0"),
        (BlockModelOptions { communities: 1001, ..Default::default() }, "communities = 1001"),
        (BlockModelOptions { features: 3, ..Default::default() }, "features = 3"),
        (BlockModelOptions { own_words: 41.0, ..Default::default() }, "own_words = 41"),
        (BlockModelOptions { other_words: f64::NAN, ..Default::default() }, "words"),
        (
            BlockModelOptions { density: Density::Degrees { inside: 500.0, between: 1.0 }, ..Default::default() },
            "inside",
        ),
        (
            BlockModelOptions { density: Density::Probabilities { inside: 0.1, between: -0.1 }, ..Default::default() },
            "between",
        ),
    ] {
        says(block_model(&options).unwrap_err(), &[name, "allowed"]);
    }
}

/// Files of which the first is opened, how, and parts of the message.
type Case<'a> = (Vec<(&'a str, &'a [u8])>, Cleaning, &'a [&'a str]);

#[test]
fn files_are_refused_with_their_place() {
    let lenient = Cleaning::default();
    let cases: Vec<Case<'_>> = vec![
        (vec![("a.edgelist", b"0 1\n0 1 2\n")], lenient, &["a.edgelist:2", "3 columns", "two nodes"]),
        (vec![("a.edgelist", b"0\n")], lenient, &["a.edgelist:1", "1 columns"]),
        (vec![("a.edgelist", b"%%MatrixMarket matrix\n3 3 1\n1 2\n")], lenient, &["a.edgelist:1", "MatrixMarket"]),
        (vec![("a.edgelist", b"0 1\n1 \x002\n")], lenient, &["a.edgelist:2", "NUL byte"]),
        (vec![("a.edgelist", b"0 1 {'weight': x}\n")], lenient, &["a.edgelist:1", "\"x\"", "finite number"]),
        (vec![("a.edgelist", b"0 1 {}\n1 2\n")], lenient, &["a.edgelist:2", "dictionary"]),
        (vec![("a.edgelist", b"a \xff\n")], lenient, &["a.edgelist:1", "UTF-8"]),
        (vec![("a.edgelist", b"0 1 nan\n")], lenient, &["a.edgelist:1", "\"nan\"", "finite number"]),
        (vec![("a.edgelist", b"0 1 -2\n")], lenient, &["a.edgelist:1", "edge weight -2"]),
        (vec![("a.edgelist", b"")], lenient, &["a.edgelist", "no node"]),
        (vec![("a.edgelist", b"0 1\n3 3\n")], strict(), &["a.edgelist:2", "self-loop at node 3"]),
        (vec![("a.edgelist", b"5 9\n9 7\n5 9\n")], strict(), &["a.edgelist:3", "edge 5 -> 9 occurred already"]),
        (
            vec![("a.edgelist", b"0 1\n"), ("labels-a.txt", b"0 1\n")],
            strict(),
            &["1 nodes have no label", "first is 1"],
        ),
        (vec![("a.edgelist", b"0 1\n"), ("a.features", b"0 1 2\n1 1\n")], lenient, &["a.features:2", "2 values"]),
        (
            vec![("a.edgelist", b"0 1\n"), ("a.features", b"0 1 2\n")],
            strict(),
            &["1 nodes have no features", "first is 1"],
        ),
        (
            vec![("a.edgelist", b"0 1\n"), ("a.features", b"0 99999999999:1\n")],
            lenient,
            &["a.features:1", "columns below 4194304"],
        ),
        (
            vec![("edges.csv", b"src,dst\n0,1\n1,9\n"), ("labels.csv", b"node,label\n0,1\n1,0\n")],
            lenient,
            &["edges.csv:3", "unknown node 9", "2 nodes listed"],
        ),
        (vec![("ind.a.graph", b"x")], lenient, &["ind.a.allx", "no such file"]),
        (vec![("a.npz", b"x")], lenient, &["a.npz", "npz archive"]),
        (vec![("a.mat", b"x")], lenient, &["a.mat", "MATLAB 5"]),
        (vec![("out1_graph_edges.txt", b"")], lenient, &["out1_node_feature_label.txt", "no such file"]),
        (
            vec![("a_edges.csv", b"id1,id2\n0,1\n"), ("a_features.json", b"{\"0\": [1], \"1\": 7}")],
            lenient,
            &["a_features.json:1", "object of node"],
        ),
        (
            vec![("a_edges.csv", b"id1,id2\n0,1\n"), ("a_features.json", b"{\"0\": [1], \"0\": [7], \"1\":[]}")],
            lenient,
            &["a_features.json: key \"0\"", "repeated key"],
        ),
    ];
    for (files, cleaning, parts) in cases {
        assert_says(&message_of(&files, cleaning), parts);
    }
    assert_says(
        &Graph::read("nowhere/at/all").unwrap_err().to_string(),
        &["nowhere/at/all: no such file", "looked for"],
    );
    let empty = TempDir::new().unwrap();
    assert_says(&Graph::read(empty.path()).unwrap_err().to_string(), &["found nothing", "looked for"]);
    let small = ReadOptions { max_bytes: 3, ..Default::default() };
    let path = empty.path().join("a.edgelist");
    fs::write(&path, b"0 1\n").unwrap();
    assert_says(&Graph::read_with(&path, &small).unwrap_err().to_string(), &["size in bytes is 4", "at most 3"]);
}

#[test]
fn claims_beyond_the_file_cost_no_memory() {
    let npz = |name: &str, bytes: Vec<u8>| {
        let mut members = npz_members("adj_", "attr_");
        members.iter_mut().find(|member| member.0 == name).unwrap().1 = bytes;
        zipped(&members, true)
    };
    let pickle = |bytes: Vec<u8>| {
        let folder = TempDir::new().unwrap();
        planetoid(folder.path());
        fs::write(folder.path().join("ind.tiny.allx"), bytes).unwrap();
        Graph::read(folder.path()).unwrap_err().to_string()
    };
    let matrix = |rows, columns| Pickled::new().csr([rows, columns], &[0, 1], &[0], &[1.0]).end();
    let huge = npy("<f4", "(1152921504606846976,)", &[0; 16]);
    assert_says(
        &message_of(&[("a.npz", &npz("adj_data", huge.clone()))], Cleaning::default()),
        &["adj_data", "1152921504606846976"],
    );
    let wrapping = npy("<f8", "(4294967296, 4294967297)", &[0; 16]);
    assert_says(
        &message_of(&[("a.npz", &npz("attr_data", wrapping))], Cleaning::default()),
        &["attr_data", "as many bytes"],
    );
    let wide = npy("<i8", "(2,)", &[4i64.to_le_bytes(), (1i64 << 60).to_le_bytes()].concat());
    assert_says(
        &message_of(&[("a.npz", &npz("attr_shape", wide.clone()))], Cleaning::default()),
        &["number of columns"],
    );
    assert_says(&message_of(&[("a.npz", &npz("adj_shape", wide))], Cleaning::default()), &["at most"]);
    let bag = ints(&[4, 2_000_000_000]);
    assert_says(
        &message_of(&[("a.npz", &npz("attr_shape", bag))], Cleaning::default()),
        &["number of features", "4194304"],
    );
    assert_says(
        &message_of(&[("a.npz", &npz("adj_shape", npy("|O", "(2,)", b".")))], Cleaning::default()),
        &["element type \"|O\""],
    );
    assert_says(&pickle(matrix(2_000_000_000, 3)), &["2 row starts for 2000000000 rows"]);
    assert_says(&pickle(matrix(1, 2_000_000_000)), &["number of features", "4194304"]);
    assert_says(&pickle(matrix(-1, 3)), &["from 0 up"]);
    assert_says(&pickle(Pickled::new().raw(b"T\xff\xff\xff\xff").end()), &["byte 2", "4294967295 bytes announced"]);
    assert_says(
        &pickle(Pickled::new().global("os", "system").short(b"true").raw(b"\x85R").end()),
        &["the name os system", "csr_matrix"],
    );
    assert_says(&pickle(Pickled::new().raw(b"i").end()), &["byte 2", "opcode 0x69"]);
    assert_says(&pickle(Pickled::new().raw(b"0").end()), &["opcode 0x30"]);
    assert_says(&pickle(Pickled::new().raw(b"h\x07").end()), &["slot 7 of the memo"]);
    assert_says(&pickle(Pickled::new().raw(b"R").end()), &["no value on the stack"]);
    assert_says(&pickle(Pickled::new().raw(b"]q\x01h\x01a").end()), &["a list of 1"]);
    assert_says(&pickle(vec![0x80, 6, b'.']), &["pickle protocol 6"]);
    // lists in lists a million deep, and marks without end
    assert_says(
        &pickle(Pickled::new().raw(&b"]".repeat(1 << 20)).raw(&b"a".repeat((1 << 20) - 1)).end()),
        &["memory for the values of this pickle"],
    );
    assert_says(&pickle(Pickled::new().raw(&b"(".repeat(1 << 20)).end()), &["no value on the stack"]);
    // one long list shared by many nodes
    let folder = TempDir::new().unwrap();
    planetoid(folder.path());
    let list = Pickled::new().raw(b"}(K\x00](").raw(&b"K\x01".repeat(20_000)).raw(b"eq\x05");
    fs::write(folder.path().join("ind.tiny.graph"), list.raw(&b"K\x01h\x05".repeat(20_000)).raw(b"u").end()).unwrap();
    assert_says(&Graph::read(folder.path()).unwrap_err().to_string(), &["number of neighbours"]);
    // a far test node must not stretch the graph
    planetoid(folder.path());
    fs::write(folder.path().join("ind.tiny.test.index"), "5\n4000000000\n").unwrap();
    assert_says(&Graph::read(folder.path()).unwrap_err().to_string(), &["test.index:2", "test node 4000000000"]);
    // an archive that unpacks to more than the limit
    let zeros = zipped(&[("adj_indptr".into(), vec![0; 64 << 20])], true);
    let options = ReadOptions { max_bytes: 1 << 20, ..Default::default() };
    fs::write(folder.path().join("a.npz"), &zeros).unwrap();
    let error = Graph::read_with(folder.path().join("a.npz"), &options).unwrap_err();
    assert_says(&error.to_string(), &["a.npz"]);
    assert_modest();
}

const DAMAGE: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\t",
    b" ",
    b"-1",
    b",",
    b"\"",
    b"nan",
    b"1e999",
    b"99999999999999999999",
    b"4294967295",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"(",
    b"]",
    b"e",
    b"u",
    b"q\x01",
    b"h\x01",
    b"R",
    b".",
    b"",
    b"#",
    b"{",
    b"node",
];

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

fn damaged(rng: &mut ChaCha8Rng, valid: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..=below(rng, 3) {
        let at = below(rng, bytes.len() + 1);
        let end = (at + below(rng, 6)).min(bytes.len());
        match below(rng, 5) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << below(rng, 8),
            2 => drop(bytes.splice(at..end, DAMAGE[below(rng, DAMAGE.len())].iter().copied())),
            3 => bytes.truncate(at),
            _ => {
                let copy = bytes[at..end].to_vec();
                let to = below(rng, bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
        }
    }
    bytes
}

fn assert_consistent(graph: &Graph) {
    let nodes = graph.num_nodes();
    assert!(nodes > 0 && graph.indptr().len() == nodes + 1);
    for node in 0..nodes as u32 {
        let row = graph.neighbours(node);
        assert!(row.windows(2).all(|pair| pair[0] < pair[1]) && row.iter().all(|&to| (to as usize) < nodes));
        assert!(graph.is_directed() || row.iter().all(|&to| graph.has_edge(to, node)));
    }
    assert!(graph.weights().is_none_or(|weights| weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)));
    assert!(graph.features().is_none_or(|features| features.num_nodes() == nodes));
    assert!(graph.labels().is_none_or(|labels| labels.num_nodes() == nodes && labels.class_sizes().len() <= 64));
    assert!(graph.gcn_operator().to_f64().values().iter().all(|value| value.is_finite()));
}

/// One graph per format: the file to open, and the files that may be damaged.
fn sets() -> Vec<crate::node_files::Set> {
    let folder = TempDir::new().unwrap();
    planetoid(folder.path());
    let names = [
        "ind.tiny.x",
        "ind.tiny.tx",
        "ind.tiny.allx",
        "ind.tiny.y",
        "ind.tiny.ty",
        "ind.tiny.ally",
        "ind.tiny.graph",
        "ind.tiny.test.index",
    ];
    let files = names.map(|name| (name, fs::read(folder.path().join(name)).unwrap())).to_vec();
    let mut sets = vec![("ind.tiny.graph", files)];
    sets.push(("a.npz", vec![("a.npz", zipped(&npz_members("adj_", "attr_"), false))]));
    sets.push(("a.npz", vec![("a.npz", zipped(&npz_members("adj_matrix.", "attr_matrix."), true))]));
    sets.push(("a.mat", vec![("a.mat", matlab(false))]));
    sets.push(("a.mat", vec![("a.mat", matlab(true))]));
    sets.extend(texts());
    sets
}

#[test]
fn damaged_files_never_panic() {
    let sets = sets();
    let mut rng = ChaCha8Rng::seed_from_u64(2024);
    let mut outcomes = vec![[0usize; 2]; sets.len()];
    let folder = TempDir::new().unwrap();
    for round in 0..2500 {
        let (open, files) = &sets[round % sets.len()];
        let place = folder.path().join((round % sets.len()).to_string());
        if round < sets.len() {
            fs::create_dir_all(&place).unwrap();
            put(&place, files);
        }
        let (name, valid) = &files[below(&mut rng, files.len())];
        let bytes = damaged(&mut rng, valid);
        fs::write(place.join(name), &bytes).unwrap();
        let cleaning = Cleaning {
            dangling: if below(&mut rng, 2) == 0 { Dangling::Drop } else { Dangling::Refuse },
            direction: if below(&mut rng, 4) == 0 { Direction::Directed } else { Direction::Undirected },
            strict: below(&mut rng, 8) == 0,
            ..Default::default()
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| match Graph::read_with(place.join(open), &cleaning.into()) {
            Ok(graph) => {
                assert_consistent(&graph);
                0
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                1
            }
        }));
        fs::write(place.join(name), valid).unwrap();
        match outcome {
            Ok(outcome) => outcomes[round % sets.len()][outcome] += 1,
            Err(_) => panic!("round {round}: {open} with {name} {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    assert_modest();
    // Both happen for every format, or the damage tests nothing.
    for ((open, _), [accepted, refused]) in sets.iter().zip(&outcomes) {
        assert!(*accepted >= 5 && *refused >= 60, "{open}: {accepted} accepted, {refused} refused");
    }
}
