//! Edge lists with labels and features in text files beside them (struc2vec, OpenNE, node2vec), and tables in comma-
//! separated files.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::super::error::{GraphError, Origin};
use super::super::features::Features;
use super::super::graph::Draft;
use super::super::split::NodeSplit;
use super::ids::{Nodes, RawEdge, Strangers, classes_of, edges};
use super::npz::bags;
use super::{MAX_FEATURES, ReadOptions, file_bytes, name_of};
use crate::user_item::data::{excerpt, integer, lines, words};

/// Names that make a first line a header.
const HEADERS: &[&[u8]] =
    &[b"src", b"source", b"from", b"node", b"node_id", b"id", b"id1", b"node1", b"u", b"user", b"fromnodeid"];

/// A line that holds data, split at blanks, commas, semicolons and tabs.
fn fields(line: &[u8]) -> Vec<&[u8]> {
    match line.iter().find(|byte| matches!(byte, b',' | b';' | b'\t')) {
        Some(&separator) => line.split(|&byte| byte == separator).map(<[u8]>::trim_ascii).collect(),
        None => words(line).collect(),
    }
}

/// Lines of fields, without comments and a header.
pub(super) fn rows(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<&[u8]>)> {
    let data = lines(bytes).filter(|(_, line)| !line.starts_with(b"#") && !line.starts_with(b"%"));
    let header = |fields: &[&[u8]]| HEADERS.contains(&&fields[0].to_ascii_lowercase()[..]);
    data.map(|(line, text)| (line, fields(text)))
        .enumerate()
        .filter(move |(at, row)| *at > 0 || !header(&row.1))
        .map(|row| row.1)
}

pub(super) fn text(fields: &[&[u8]]) -> String {
    format!("{:?}", excerpt(&fields.join(&b' ')))
}

/// A finite number.
pub(super) fn number(token: &[u8], path: &Path, line: usize) -> Result<f64, GraphError> {
    let parsed = std::str::from_utf8(token).ok().and_then(|token| token.parse::<f64>().ok());
    parsed.filter(|value| value.is_finite()).ok_or_else(|| {
        Origin::line(path, line).malformed(format!("{:?}", excerpt(token)), "a finite number such as 3, 0.5 or 2e-3")
    })
}

/// A value of a feature, which may have become infinite in `f32`.
pub(super) fn value(token: &[u8], path: &Path, line: usize) -> Result<f32, GraphError> {
    let value = number(token, path, line)? as f32;
    let fits = value.is_finite();
    let wrong = || Origin::line(path, line).malformed(format!("{:?}", excerpt(token)), "numbers up to 3.4e38");
    fits.then_some(value).ok_or_else(wrong)
}

/// The edges of a file: two columns, or three with a weight, the same number in all lines.
pub(super) fn raw_edges<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<RawEdge<'a>>, GraphError> {
    let mut width = None;
    let edge = |(line, fields): (usize, Vec<&'a [u8]>)| {
        let expected = *width.get_or_insert(fields.len());
        if fields.len() != expected || !(2..=3).contains(&expected) {
            let allowed = "two nodes, and in all lines or none a weight";
            return Err(
                Origin::line(path, line).malformed(format!("{} columns in {}", fields.len(), text(&fields)), allowed)
            );
        }
        let weight = fields.get(2).map(|token| number(token, path, line)).transpose()?;
        Ok(RawEdge { line, from: fields[0], to: fields[1], weight })
    };
    rows(bytes).map(edge).collect()
}

/// (line, node, class) of every class of every node.
type RawLabel<'a> = (usize, &'a [u8], &'a [u8]);

fn raw_labels<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<RawLabel<'a>>, GraphError> {
    let mut labels = Vec::new();
    for (line, fields) in rows(bytes) {
        if fields.len() < 2 {
            let allowed = "a node and its class, or classes";
            return Err(Origin::line(path, line).malformed(text(&fields), allowed));
        }
        labels.extend(fields[1..].iter().map(|&class| (line, fields[0], class)));
    }
    Ok(labels)
}

/// Adds the classes that are known, and refuses a node that has two where `single` says so.
fn label(
    draft: &mut Draft,
    path: &Path,
    raw: &[RawLabel<'_>],
    nodes: &Nodes<'_>,
    options: &ReadOptions,
) -> Result<(), GraphError> {
    let mut strangers = Strangers::new("labels", &options.cleaning);
    let mut known = Vec::with_capacity(raw.len());
    for &(line, node, class) in raw {
        if let Some(node) = strangers.find(nodes, node, Origin::line(path, line))? {
            known.push((node, class));
        }
    }
    strangers.note(&mut draft.notes);
    draft.labels = Some(classes_of(nodes.count, known.into_iter(), path)?);
    Ok(())
}

/// Features in text: "node v v v ..." or "node i:v i:v ...", by the first line.
fn features(
    draft: &mut Draft,
    path: &Path,
    bytes: &[u8],
    nodes: &Nodes<'_>,
    options: &ReadOptions,
) -> Result<(), GraphError> {
    let mut strangers = Strangers::new("features", &options.cleaning);
    let mut given = vec![false; nodes.count];
    let sparse = rows(bytes).take(1).any(|(_, fields)| fields[1..].iter().any(|field| field.contains(&b':')));
    let (mut entries, mut dense, mut width) = (Vec::new(), Vec::new(), None);
    for (line, fields) in rows(bytes) {
        let wrong = |allowed: String| Origin::line(path, line).malformed(text(&fields), allowed);
        let Some(node) = strangers.find(nodes, fields[0], Origin::line(path, line))? else { continue };
        if std::mem::replace(&mut given[node as usize], true) {
            return Err(wrong("one row of features for a node".into()));
        }
        if sparse {
            for field in &fields[1..] {
                let mut parts = field.splitn(2, |&byte| byte == b':');
                let column = parts.next().and_then(integer).filter(|&column| column < MAX_FEATURES);
                let allowed = || wrong(format!("column:value, columns below {MAX_FEATURES}"));
                let (Some(column), Some(token)) = (column, parts.next()) else { return Err(allowed()) };
                entries.push((node, column as u32, value(token, path, line)?));
            }
            continue;
        }
        let width = *width.get_or_insert(fields.len() - 1);
        if fields.len() - 1 != width || width == 0 {
            return Err(wrong(format!("a node and {width} values, as in the first row, and at least one")));
        }
        let values = fields[1..].iter().map(|token| value(token, path, line)).collect::<Result<Vec<f32>, _>>()?;
        dense.push((node, values));
    }
    strangers.note(&mut draft.notes);
    draft.missing_features = (0..nodes.count as u32).filter(|&node| !given[node as usize]).collect();
    draft.features = Some(match width {
        None => {
            let width = entries.iter().map(|entry: &(u32, u32, f32)| entry.1 as usize + 1).max().unwrap_or(0);
            Features::Sparse(bags(nodes.count, width, &entries, Origin::file(path))?)
        }
        Some(width) => {
            let cells = nodes.count as u64 * width as u64;
            // one row may be long and the nodes many: a table is made only where most of it was in the file
            if cells * 4 > options.max_bytes.min(64 * bytes.len() as u64 + 4096) {
                return Err(Origin::file(path).limit("the number of dense features", cells, bytes.len() as u64 * 16));
            }
            let mut rows = Array2::zeros((nodes.count, width));
            for (node, values) in dense {
                rows.row_mut(node as usize).iter_mut().zip(values).for_each(|(to, from)| *to = from);
            }
            Features::Dense(rows)
        }
    });
    Ok(())
}

/// Reads an edge list and what lies beside it.
pub(super) fn edge_list(
    path: &Path,
    labels: Option<&Path>,
    feature_file: Option<&Path>,
    options: &ReadOptions,
) -> Result<Draft, GraphError> {
    let bytes = file_bytes(path, options)?;
    let raw = raw_edges(path, &bytes)?;
    let label_bytes = labels.map(|path| file_bytes(path, options)).transpose()?;
    let raw_classes = match (labels, &label_bytes) {
        (Some(path), Some(bytes)) => raw_labels(path, bytes)?,
        _ => Vec::new(),
    };
    let ends = raw.iter().flat_map(|edge| [(edge.line, edge.from), (edge.line, edge.to)]);
    // a node may have a class and no edge; a wrong id there is reported with the file of the edges, so check it first
    if let Some(labels) = labels {
        Nodes::of(labels, raw_classes.iter().map(|&(line, node, _)| (line, node)))?;
    }
    let labelled = raw_classes.iter().map(|&(line, node, _)| (line, node));
    let nodes = Nodes::of(path, ends.chain(labelled))?;
    let mut notes = Vec::new();
    let edges = edges(path, &raw, &nodes, &options.cleaning, &mut notes)?;
    let mut draft = Draft { notes, ..Draft::new(name_of(path), nodes.count, edges) };
    if let Some(path) = labels {
        label(&mut draft, path, &raw_classes, &nodes, options)?;
    }
    if let Some(path) = feature_file {
        features(&mut draft, path, &file_bytes(path, options)?, &nodes, options)?;
    }
    draft.ids = nodes.ids;
    Ok(draft)
}

/// Reads a folder of `edges.csv` (src,dst[,weight]) with optional `features.csv` (node,feature,value), `labels.csv`
/// (node,label; -1 for none) and `split.csv` (node,split).
pub(super) fn tables(folder: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let read = |path: &Option<PathBuf>| path.as_deref().map(|path| file_bytes(path, options)).transpose();
    let path = folder.join("edges.csv");
    let bytes = file_bytes(&path, options)?;
    let raw = raw_edges(&path, &bytes)?;
    let (label_path, feature_path, split_path) = (there("labels.csv"), there("features.csv"), there("split.csv"));
    let (label_bytes, feature_bytes, split_bytes) = (read(&label_path)?, read(&feature_path)?, read(&split_path)?);
    let raw_classes = match (&label_path, &label_bytes) {
        (Some(path), Some(bytes)) => raw_labels(path, bytes)?,
        _ => Vec::new(),
    };
    let entries = match (&feature_path, &feature_bytes) {
        (Some(path), Some(bytes)) => raw_entries(path, bytes)?,
        _ => Vec::new(),
    };
    // the list of labels is the list of nodes; without one, every node that occurs
    let nodes = match &label_path {
        Some(path) => Nodes::of(path, raw_classes.iter().map(|&(line, node, _)| (line, node)))?,
        None => {
            let ends = raw.iter().flat_map(|edge| [(edge.line, edge.from), (edge.line, edge.to)]);
            Nodes::of(&path, ends.chain(entries.iter().map(|entry| (entry.line, entry.node))))?
        }
    };
    let mut notes = Vec::new();
    let edges = edges(&path, &raw, &nodes, &options.cleaning, &mut notes)?;
    let mut draft = Draft { notes, ..Draft::new(name_of(folder), nodes.count, edges) };
    if let Some(path) = &label_path {
        label(&mut draft, path, &raw_classes, &nodes, options)?;
    }
    if let Some(path) = &feature_path {
        bag_table(&mut draft, path, &entries, &nodes, options)?;
    }
    if let (Some(path), Some(bytes)) = (&split_path, &split_bytes) {
        draft.splits.push(("public".into(), split_table(path, bytes, &nodes)?));
    }
    draft.ids = nodes.ids;
    Ok(draft)
}

/// One line of `features.csv`.
struct Entry<'a> {
    line: usize,
    node: &'a [u8],
    feature: u32,
    value: f32,
}

fn raw_entries<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<Entry<'a>>, GraphError> {
    let entry = |(line, fields): (usize, Vec<&'a [u8]>)| {
        let wrong = || {
            let allowed = format!("node,feature,value with features below {MAX_FEATURES}");
            Origin::line(path, line).malformed(text(&fields), allowed)
        };
        let &[node, feature, token] = &fields[..] else { return Err(wrong()) };
        let feature = integer(feature).filter(|&feature| feature < MAX_FEATURES).ok_or_else(wrong)?;
        Ok(Entry { line, node, feature: feature as u32, value: value(token, path, line)? })
    };
    rows(bytes).map(entry).collect()
}

fn bag_table(
    draft: &mut Draft,
    path: &Path,
    raw: &[Entry<'_>],
    nodes: &Nodes<'_>,
    options: &ReadOptions,
) -> Result<(), GraphError> {
    let mut strangers = Strangers::new("features", &options.cleaning);
    let (mut entries, mut given) = (Vec::with_capacity(raw.len()), vec![false; nodes.count]);
    for entry in raw {
        if let Some(node) = strangers.find(nodes, entry.node, Origin::line(path, entry.line))? {
            given[node as usize] = true;
            entries.push((node, entry.feature, entry.value));
        }
    }
    strangers.note(&mut draft.notes);
    draft.missing_features = (0..nodes.count as u32).filter(|&node| !given[node as usize]).collect();
    let width = raw.iter().map(|entry| entry.feature as usize + 1).max().unwrap_or(0);
    draft.features = Some(Features::Sparse(bags(nodes.count, width, &entries, Origin::file(path))?));
    Ok(())
}

fn split_table(path: &Path, bytes: &[u8], nodes: &Nodes<'_>) -> Result<NodeSplit, GraphError> {
    let mut split = NodeSplit::default();
    for (line, fields) in rows(bytes) {
        let wrong = |allowed: &str| Origin::line(path, line).malformed(text(&fields), allowed);
        let &[node, part] = &fields[..] else { return Err(wrong("node,split")) };
        let node = nodes.get(node).ok_or_else(|| wrong("a node of the graph"))?;
        match part {
            b"train" => split.train.push(node),
            b"val" | b"valid" | b"validation" => split.validation.push(node),
            b"test" => split.test.push(node),
            b"none" | b"" | b"unlabeled" | b"unlabelled" | b"other" => (),
            _ => return Err(wrong("train, val, test or none")),
        }
    }
    Ok(NodeSplit::new(split.train, split.validation, split.test))
}
