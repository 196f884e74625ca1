//! What every reader of text makes of files as they come: with a byte order mark, other line ends, packed, with comments, damaged.
//! The table in `docs/formats.md` is compared with what happens; `CONTRASTIVE_WRITE_DOCS=1` writes it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use contrastive_data::FileNote;
use contrastive_graph::node::data::{Graph, GraphNote};
use contrastive_graph::user_item::data::{Dataset, LoadOptions, Note, Split};
use tempfile::TempDir;

/// A reader: its name, its files (the first is treated and opened), and the file's rows of data without a header.
struct Reader {
    name: &'static str,
    files: Vec<(&'static str, String)>,
    header: Option<&'static str>,
    graph: bool,
    /// A huge number in a place where a number is.
    huge: (&'static str, &'static str),
}

fn readers() -> Vec<Reader> {
    let text = |text: &str| text.to_owned();
    vec![
        Reader {
            name: "LightGCN lists",
            files: vec![("train.txt", text("0 1 2\n1 0 3 4\n2 4\n")), ("test.txt", text("0 3\n"))],
            header: None,
            graph: false,
            huge: ("2 4", "2 99999999999999999999"),
        },
        Reader {
            name: "ratings",
            files: vec![("u.data", text("1\t2\t3\n1\t1\t5\n2\t1\t4\n"))],
            header: None,
            graph: false,
            huge: ("2\t1\t4", "2\t99999999999999999999\t4"),
        },
        Reader {
            name: "RecBole",
            files: vec![("a.inter", text("user_id:token\titem_id:token\n1\t2\n1\t1\n2\t1\n"))],
            header: Some("user_id:token\titem_id:token\n"),
            graph: false,
            huge: ("2\t1", "2\t99999999999999999999"),
        },
        Reader {
            name: "delimited",
            files: vec![("a.csv", text("user,item\n1,2\n1,1\n2,1\n"))],
            header: Some("user,item\n"),
            graph: false,
            huge: ("2,1", "2,99999999999999999999"),
        },
        Reader {
            name: "edge list",
            files: vec![("g.edgelist", text("0 1\n1 2\n2 3\n"))],
            header: None,
            graph: true,
            huge: ("2 3", "2 99999999999999999999"),
        },
        Reader {
            name: "networkx",
            files: vec![("g.edgelist", text("0 1 {}\n1 2 {}\n2 3 {}\n"))],
            header: None,
            graph: true,
            huge: ("2 3", "2 99999999999999999999"),
        },
        Reader {
            name: "tables",
            files: vec![
                ("edges.csv", text("src,dst\n0,1\n1,2\n2,3\n")),
                ("labels.csv", text("node,label\n0,1\n1,0\n2,1\n3,0\n")),
            ],
            header: Some("src,dst\n"),
            graph: true,
            huge: ("2,3", "2,99999999999999999999"),
        },
        Reader {
            name: "geom-gcn",
            files: vec![
                ("out1_graph_edges.txt", text("node_id\tnode_id\n0\t1\n1\t2\n")),
                ("out1_node_feature_label.txt", text("node_id\tfeature\tlabel\n0\t1,0\t1\n1\t0,1\t0\n2\t1,1\t1\n")),
            ],
            header: Some("node_id\tnode_id\n"),
            graph: true,
            huge: ("1\t2", "1\t99999999999999999999"),
        },
        Reader {
            name: "MUSAE",
            files: vec![
                ("a_edges.csv", text("id1,id2\n0,1\n1,2\n")),
                ("a_features.json", text("{\"0\": [1], \"1\": [0], \"2\": [1]}")),
                ("a_target.csv", text("id,label\n0,1\n1,0\n2,1\n")),
            ],
            header: Some("id1,id2\n"),
            graph: true,
            huge: ("1,2", "1,99999999999999999999"),
        },
        Reader {
            name: "LINQS",
            files: vec![("a.content", text("p\t1\t0\tx\nq\t0\t1\ty\nr\t1\t1\tx\n")), ("a.cites", text("p\tq\nq\tr\n"))],
            header: None,
            graph: true,
            huge: ("r\t1", "r\t1e999"),
        },
        Reader {
            name: "WikiCS",
            files: vec![(
                "data.json",
                text("{\"features\": [[1], [2]],\n\"labels\": [0, 1],\n\"links\": [[1], [0]]}\n"),
            )],
            header: None,
            graph: true,
            huge: ("[[1], [2]]", "[[1], [1e999]]"),
        },
    ]
}

/// What came out, and whether a note tells of the file itself.
type Outcome = Result<(String, bool), String>;

fn open(reader: &Reader, path: &Path) -> Outcome {
    let said = |error: &dyn std::error::Error| {
        let message = error.to_string();
        assert!(message.chars().count() < 500 && !message.contains('\n'), "{message}");
        assert!(!message.contains("Some(") && !message.contains("Err("), "{message}");
        message
    };
    if reader.graph {
        let graph = Graph::read(path).map_err(|error| said(&error))?;
        let edges: Vec<_> = graph.edges().map(|(from, to, _)| (graph.id(from), graph.id(to))).collect();
        let noted =
            graph.notes().iter().any(|note| matches!(note, GraphNote::File(_) | GraphNote::DuplicateEdges { .. }));
        return Ok((format!("{edges:?} {:?} {:?}", graph.labels(), graph.features()), noted));
    }
    let options = LoadOptions { split: Split::None, ..Default::default() };
    let data = Dataset::open(path, &options).map_err(|error| said(&error))?;
    let pairs: Vec<_> = data.train.pairs().map(|(user, item)| (data.user_label(user), data.item_label(item))).collect();
    let layout = |note: &Note| matches!(note, Note::File(FileNote::Layout { .. }));
    let noted = |note: &Note| matches!(note, Note::File(_) | Note::DuplicatePairs { .. }) && !layout(note);
    Ok((format!("{pairs:?}"), data.notes.iter().any(noted)))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// The last line but one, or the last, again.
fn with_repeated_row(text: &str) -> String {
    let last = text.lines().last().unwrap();
    format!("{text}{last}\n")
}

/// Treatments of a file, by name. `None` where one makes no sense.
fn treated(reader: &Reader, treatment: &str) -> Option<Vec<u8>> {
    let text = &reader.files[0].1;
    let json = reader.name == "WikiCS";
    let line = |end: &str| text.replace('\n', end).into_bytes();
    Some(match treatment {
        "byte order mark" => [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
        "CR LF" => line("\r\n"),
        "CR" => line("\r"),
        "gzip" => gzip(text.as_bytes()),
        "empty last lines" => format!("{text}\n\n").into_bytes(),
        "no end of the last line" => text.trim_end().as_bytes().to_vec(),
        "trailing blanks" => line("  \n"),
        "comment first" => format!("# made by hand\n{text}").into_bytes(),
        "comment last" => format!("{text}# the end\n").into_bytes(),
        "no header" => text.strip_prefix(reader.header?)?.as_bytes().to_vec(),
        "repeated row" if !json => with_repeated_row(text).into_bytes(),
        "huge number" => text.replacen(reader.huge.0, reader.huge.1, 1).into_bytes(),
        "NUL byte" => format!("{text}\0\n").into_bytes(),
        "UTF-16" => [b"\xff\xfe".to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat(),
        "cut in the middle of a row" => text.trim_end().as_bytes()[..text.trim_end().len() - 2].to_vec(),
        "empty file" => Vec::new(),
        _ => return None,
    })
}

const TREATMENTS: &[&str] = &[
    "byte order mark",
    "CR LF",
    "CR",
    "gzip",
    "empty last lines",
    "no end of the last line",
    "trailing blanks",
    "comment first",
    "comment last",
    "no header",
    "repeated row",
    "huge number",
    "NUL byte",
    "UTF-16",
    "cut in the middle of a row",
    "empty file",
    "a directory",
];

fn cell(reader: &Reader, treatment: &str) -> String {
    let folder = TempDir::new().unwrap();
    for (name, content) in &reader.files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let path = folder.path().join(reader.files[0].0);
    let plain = open(reader, &path).unwrap_or_else(|error| panic!("{}: {error}", reader.name));
    assert!(!plain.1, "{}: the plain file has a note", reader.name);
    if treatment == "a directory" {
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    } else {
        let Some(bytes) = treated(reader, treatment) else { return "-".into() };
        fs::write(&path, bytes).unwrap();
    }
    match open(reader, &path) {
        Err(_) => "refused".into(),
        Ok((read, noted)) => {
            let same = if read == plain.0 { "same" } else { "as it says" };
            if noted { format!("{same}, noted") } else { same.into() }
        }
    }
}

#[test]
fn every_reader_answers_as_the_table_says() {
    let readers = readers();
    let names: Vec<&str> = readers.iter().map(|reader| reader.name).collect();
    let mut table = format!("| treatment | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for treatment in TREATMENTS {
        let cells: Vec<String> = readers.iter().map(|reader| cell(reader, treatment)).collect();
        table += &format!("| {treatment} | {} |\n", cells.join(" | "));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let document = fs::read_to_string(&path).unwrap();
    let start = document.find("| treatment |").expect("docs/formats.md has the table");
    let end = start + document[start..].find("\n\n").map_or(document.len() - start, |end| end + 1);
    if std::env::var_os("CONTRASTIVE_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{}{table}{}", &document[..start], &document[end..])).unwrap();
        return;
    }
    assert_eq!(&document[start..end], table, "docs/formats.md; CONTRASTIVE_WRITE_DOCS=1 writes the table");
}
