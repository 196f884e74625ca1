//! Small files in layouts that users bring, and files that must be refused: `tests/cases` holds them, one folder for each.
//! What is right was computed apart (numpy, scipy, networkx).

use std::path::PathBuf;

use contrastive_graph::node::data::{Cleaning, Graph, GraphNote, ReadOptions};
use contrastive_graph::user_item::data::{
    self, Column, Columns, Dataset, FileNote, IdPolicy, LoadOptions, Note, Split,
};

fn case(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(path)
}

fn whole() -> LoadOptions {
    LoadOptions { split: Split::None, ..Default::default() }
}

fn data_with(path: &str, options: &LoadOptions) -> Dataset {
    Dataset::open(case(path), options).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dataset(path: &str) -> Dataset {
    data_with(path, &whole())
}

fn graph(path: &str) -> Graph {
    Graph::read(case(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn refused<T>(path: &str, outcome: Result<T, impl std::error::Error>, parts: &[&str]) {
    let Err(error) = outcome else { panic!("{path} was accepted") };
    let message = error.to_string();
    parts.iter().for_each(|part| assert!(message.contains(part), "{path}: {part:?} is not in: {message}"));
    assert!(message.chars().count() < 500, "{path}: {message}");
}

fn layouts(data: &Dataset) -> usize {
    data.notes.iter().filter(|note| matches!(note, Note::File(FileNote::Layout { .. }))).count()
}

fn labels(data: &Dataset) -> Vec<(String, String)> {
    data.train.pairs().map(|(user, item)| (data.user_label(user), data.item_label(item))).collect()
}

#[test]
fn ratings_with_blanks_are_no_lists() {
    let data = data_with("selfrec", &LoadOptions::default());
    assert_eq!((data.num_users(), data.num_items(), data.train.len(), data.test.len()), (12, 30, 60, 24));
    assert!(data.train.degrees().1.into_iter().all(|degree| degree <= 4));
    assert_eq!(layouts(&data), 1, "{:?}", data.notes);
    assert_eq!(dataset("bar").train.len(), 5);
    assert_eq!(dataset("bar/r.txt").train.len(), 5);
}

#[test]
fn ids_are_text_unless_every_one_is_a_plain_number() {
    let data = dataset("zeros");
    assert!(
        labels(&data).iter().all(|(user, item)| user.starts_with('u') && item.starts_with("0108") && item.len() == 10)
    );
    for name in ["asin", "hex"] {
        let data = dataset(name);
        let text = std::fs::read_to_string(case(name).join(if name == "asin" { "ratings.csv" } else { "events.csv" }))
            .unwrap();
        let mut rows: Vec<(String, String)> = text
            .lines()
            .skip(1)
            .map(|line| {
                let mut fields = line.split(',').map(str::to_owned);
                (fields.next().unwrap(), fields.next().unwrap())
            })
            .collect();
        let mut read = labels(&data);
        read.sort();
        let header = text.lines().next().unwrap();
        for turn in 0..2 {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("turned.csv");
            let mut turned: Vec<&str> = text.lines().skip(1).collect();
            if turn == 1 {
                turned.reverse();
            }
            std::fs::write(&path, format!("{header}\n{}\n", turned.join("\n"))).unwrap();
            let mut again = labels(&Dataset::open(&path, &whole()).unwrap());
            again.sort();
            assert_eq!(again, read, "{name}: the order of rows changes nothing");
        }
        rows.sort();
        rows.dedup();
        assert_eq!(read, rows, "{name}");
    }
    assert_eq!(dataset("asin").train.len(), 30);
    let tokens = data_with("neg", &LoadOptions { ids: IdPolicy::Tokens, ..whole() });
    assert!(labels(&tokens).iter().any(|(user, _)| user == "-7764718109640371813"));
    assert!(labels(&tokens).iter().any(|(user, _)| user == "3520058621574741751"));
    let folder = tempfile::TempDir::new().unwrap();
    let text = std::fs::read_to_string(case("neg/events.csv"))
        .unwrap()
        .replace("user_id,item_id", "user_id:token,item_id:token");
    std::fs::write(folder.path().join("e.inter"), text.replace(',', "\t")).unwrap();
    assert_eq!(labels(&Dataset::open(folder.path(), &whole()).unwrap()), labels(&tokens));
}

#[test]
fn a_row_of_words_is_data_where_columns_are_given_by_position() {
    let columns = Columns { user: Some(Column::Index(0)), item: Some(Column::Index(1)), ..Default::default() };
    let data = data_with("lost", &LoadOptions { columns, ..whole() });
    assert_eq!((data.train.len(), data.user_label(0)), (6, "anna".to_owned()));
    refused("lost", Dataset::open(case("lost"), &whole()), &["no user column; found anna, tea", "--user-column"]);
}

#[test]
fn empty_fields_and_columns_nobody_asked_for_stop_nothing() {
    let data = dataset("rbempty");
    assert_eq!((data.train.len(), data.notes.iter().filter(|note| matches!(note, Note::File(_))).count()), (36, 0));
    let last = data_with("rbempty", &LoadOptions { split: Split::LeaveOneOut, ..Default::default() });
    assert_eq!(last.train.len() + last.test.len(), 36);
    assert!(last.notes.iter().any(|note| note.to_string().contains("without a time")), "{:?}", last.notes);
}

#[test]
fn dates_are_times() {
    // 36 rows, of which 5 repeat a pair
    let all = dataset("iso_nohead");
    assert_eq!(all.train.len(), 31);
    assert!(all.notes.iter().any(|note| matches!(note, Note::DuplicatePairs { dropped: 5, .. })), "{:?}", all.notes);
    let data = data_with("iso_nohead", &LoadOptions { split: Split::LeaveOneOut, ..Default::default() });
    // of the rows of user 0 the last is the latest
    let text = std::fs::read_to_string(case("iso_nohead/checkins.csv")).unwrap();
    for user in 0..data.num_users() as u32 {
        let label = data.user_label(user);
        // of a repeated pair the first row counts
        let mut rows: Vec<Vec<&str>> = Vec::new();
        for row in text.lines().map(|line| line.split(',').collect::<Vec<_>>()).filter(|row| row[0] == label) {
            if !rows.iter().any(|earlier| earlier[1] == row[1]) {
                rows.push(row);
            }
        }
        let latest = rows.iter().max_by_key(|row| row[2]).unwrap();
        let held = data.test.items(user);
        assert_eq!(held.iter().map(|&item| data.item_label(item)).collect::<Vec<_>>(), [latest[1]]);
    }
}

#[test]
fn other_endings_packings_and_line_ends_are_understood() {
    let data = dataset("hetrec");
    assert_eq!((data.num_users(), data.num_items(), data.train.len()), (12, 28, 96));
    let packed = dataset("gz/ratings.csv.gz");
    assert_eq!(packed.name, "ratings");
    assert_eq!(labels(&packed), labels(&dataset("gz")));
    let data = data_with("cr", &LoadOptions::default());
    assert_eq!((data.num_users(), data.train.len(), data.test.len()), (4, 12, 3));
    let data = data_with("faults/lightgcn-cr", &LoadOptions::default());
    assert_eq!((data.num_users(), data.train.len(), data.test.len()), (2, 4, 2));
    let data = data_with("lightgcl_pkl", &LoadOptions::default());
    assert_eq!((data.num_users(), data.num_items()), (8, 12));
    // five of the 27 test entries are training entries
    assert_eq!((data.train.len(), data.test.len()), (24, 22));
    assert!(
        data.train.contains(0, 1)
            && data.train.contains(0, 11)
            && data.train.contains(7, 8)
            && !data.train.contains(6, 0)
    );
    let data = dataset("amz23");
    assert!(data.item_label(0).starts_with('B') && data.train.len() > 10);
}

#[test]
fn quotes_that_are_not_closed_are_refused() {
    for (folder, line) in [("", 2), ("q1", 2), ("q2", 2), ("q3", 3)] {
        let path = format!("faults/csv-unclosed-quote/{folder}/ratings.csv");
        refused(&path, Dataset::open(case(&path), &whole()), &[&format!("ratings.csv:{line}:"), "quote"]);
    }
}

#[test]
fn headers_of_edge_lists_are_what_cannot_be_data() {
    assert_eq!((graph("dglcsv").num_nodes(), graph("dglcsv").num_edges()), (4, 3));
    let text = graph("faults/edgelist-header");
    assert_eq!((text.num_nodes(), text.num_edges()), (4, 3));
    let tags = graph("tags");
    assert_eq!((tags.num_nodes(), tags.num_edges(), tags.id(0)), (4, 4, "#rust".to_owned()));
    for name in ["musae_node12", "musae_git", "musae_target18"] {
        let graph = graph(name);
        assert_eq!((graph.num_nodes(), graph.num_edges()), (90, 360), "{name}");
    }
    let classes = graph("musae_target18");
    assert_eq!(classes.labels().unwrap().class_sizes(), [5; 18]);
    assert!(classes.notes().iter().any(|note| note.to_string().contains("taken for classes")), "{:?}", classes.notes());
}

#[test]
fn class_zero_is_a_class() {
    assert_eq!(graph("mat").labels().unwrap().class_sizes(), [20; 3]);
    let flickr = graph("faults/mat-label-0");
    assert!(flickr.labels().unwrap().complete().is_some(), "every node of a full column has a class");
}

#[test]
fn graphs_of_other_libraries_are_read() {
    let karate = graph("karate");
    assert_eq!((karate.num_nodes(), karate.num_edges()), (34, 78));
    assert_eq!(karate.labels().unwrap().num_classes(), 2);
    assert_eq!((graph("nx").num_nodes(), graph("nx").num_edges(), graph("nx").is_weighted()), (34, 78, false));
    let hetero = graph("hetero");
    assert_eq!((hetero.num_nodes(), hetero.labels().unwrap().num_classes(), hetero.splits().len()), (60, 3, 10));
    assert_eq!((hetero.features().unwrap().num_features(), hetero.splits()[9].0.as_str()), (8, "9"));
    let own = graph("plan2");
    assert_eq!((own.num_nodes(), own.num_edges(), own.labels().unwrap().num_classes()), (12, 12, 3));
    let nell = graph("plannell");
    assert_eq!(nell.num_nodes(), 20);
    assert!(
        (12..20)
            .all(|node| nell.labels().unwrap().of(node).is_empty() && nell.features().unwrap().row(node).is_empty())
    );
    assert!((0..12).all(|node| nell.labels().unwrap().class(node).is_some()));
    let linqs = graph("linqs");
    assert_eq!((linqs.num_nodes(), linqs.features().unwrap().num_features()), (60, 12));
    assert_eq!((linqs.labels().unwrap().num_classes(), linqs.id(0)), (3, "1000".to_owned()));
    let wiki = graph("wikics");
    assert_eq!((wiki.num_nodes(), wiki.num_edges(), wiki.labels().unwrap().num_classes()), (3, 2, 2));
    let split = &wiki.splits()[0].1;
    assert_eq!((&split.train[..], &split.validation[..], &split.test[..]), (&[0u32][..], &[1u32][..], &[2u32][..]));
}

#[test]
fn networkx_weights_are_weights() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("g.edgelist");
    std::fs::write(&path, "# made by\n0 1 {'weight': 4}\n1 2 {'color': 'red', 'weight': 0.5}\n2 3 {}\n").unwrap();
    let graph = Graph::read(&path).unwrap();
    assert_eq!(graph.edges().map(|edge| edge.2).collect::<Vec<_>>(), [4.0, 0.5, 1.0]);
    assert!(
        graph.notes().iter().any(|note| matches!(note, GraphNote::File(FileNote::Missing { rows: 1, line: 4, .. })))
    );
}

#[test]
fn claims_beyond_what_a_file_holds_are_refused() {
    let read = |path: &str| Graph::read(case(path));
    refused("geom-gcn-wide", read("faults/geom-gcn-wide"), &["feature_amount is 4194303"]);
    refused("planetoid-classes", read("faults/planetoid-classes"), &["allowed: at most"]);
    refused("mat-bomb", read("faults/mat-bomb"), &["unpacked size in bytes"]);
    refused("npz-bomb", read("faults/npz-bomb"), &["unpacked size in bytes"]);
    refused("npz-labels", read("faults/npz-labels"), &["unpacked size in bytes"]);
    refused("npz-name-flip", read("faults/npz-name-flip"), &["latels", "labels", "undamaged"]);
    // no limit overflows
    for path in ["faults/mat-bomb", "faults/npz-bomb", "hetero", "mat", "linqs", "plan2", "karate"] {
        drop(Graph::read_with(case(path), &ReadOptions { max_bytes: u64::MAX, ..Default::default() }));
    }
    drop(Dataset::open(case("gz"), &LoadOptions { max_bytes: u64::MAX, ..whole() }).unwrap());
    let strict = ReadOptions::from(Cleaning { strict: true, ..Cleaning::default() });
    drop(Graph::read_with(case("nx"), &strict).unwrap());
    assert_eq!(data::Format::LightGcn, "light-gcn".parse().unwrap());
}
