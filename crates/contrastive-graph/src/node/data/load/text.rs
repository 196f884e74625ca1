//! Edge lists with labels and features in text files beside them (struc2vec, OpenNE, node2vec), and tables in comma-
//! separated files.

use std::path::{Path, PathBuf};

use contrastive_data::{Doubt, FileError, IdMap, Origin, Row, Table, TableOptions, excerpt, integer};
use ndarray::Array2;

use super::super::clean::Edges;
use super::super::error::GraphError;
use super::super::features::Features;
use super::super::graph::Draft;
use super::super::note::GraphNote;
use super::super::split::NodeSplit;
use super::edges::{between, collecting, number};
use super::ids::{Nodes, Strangers, classes_of};
use super::npz::bags;
use super::{MAX_FEATURES, ReadOptions, file_text, name_of};

/// Names of columns in tables about nodes.
const NAMES: &[&str] = &[
    "node", "nodeid", "id", "label", "class", "y", "target", "feature", "value", "split", "name", "newid", "mltarget",
    "pagename", "pagetype", "mature",
];

/// A value of a feature, which may have become infinite in `f32`.
pub(super) fn value(token: &[u8], path: &Path, line: usize) -> Result<f32, FileError> {
    let value = number(token, path, line)? as f32;
    let fits = value.is_finite();
    let wrong = || Origin::line(path, line).malformed(format!("{:?}", excerpt(token)), "numbers up to 3.4e38");
    fits.then_some(value).ok_or_else(wrong)
}

/// A table about nodes. `ragged` allows rows of different widths.
pub(super) fn node_table<'a>(
    path: &Path,
    bytes: &'a [u8],
    ragged: bool,
    notes: &mut Vec<GraphNote>,
) -> Result<Table<'a>, FileError> {
    let options = TableOptions { doubt: Doubt::Names, names: NAMES, ragged, ..TableOptions::default() };
    let table = Table::parse(path, bytes, &options)?;
    notes.extend(table.notes().iter().cloned().map(GraphNote::File));
    Ok(table)
}

/// All rows of a table.
pub(super) fn all_rows<'a>(table: &Table<'a>, notes: &mut Vec<GraphNote>) -> Result<Vec<Row<'a>>, FileError> {
    let (mut rows, mut row, mut all) = (table.rows(), Row::default(), Vec::new());
    while rows.read(&mut row)? {
        all.push(std::mem::take(&mut row));
    }
    notes.extend(rows.note().map(GraphNote::File));
    Ok(all)
}

/// The nodes of a file and their classes: rows of a node and a class, or classes.
fn labels<'a>(path: &Path, bytes: &'a [u8], notes: &mut Vec<GraphNote>) -> Result<Vec<Row<'a>>, FileError> {
    let rows = all_rows(&node_table(path, bytes, true, notes)?, notes)?;
    match rows.iter().find(|row| row.fields.len() < 2) {
        Some(row) => {
            Err(Origin::line(path, row.line)
                .malformed(format!("{:?}", row.excerpt()), "a node and its class, or classes"))
        }
        None => Ok(rows),
    }
}

/// Adds the classes that are known.
fn label(
    draft: &mut Draft,
    path: &Path,
    rows: &[Row<'_>],
    nodes: &Nodes,
    options: &ReadOptions,
) -> Result<(), GraphError> {
    let mut strangers = Strangers::new("labels", &options.cleaning);
    let mut known: Vec<(u32, &[u8])> = Vec::with_capacity(rows.len());
    for row in rows {
        for class in &row.fields[1..] {
            if let Some(node) = strangers.find(nodes, &row.fields[0], Origin::line(path, row.line))? {
                known.push((node, class));
            }
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
    nodes: &Nodes,
    options: &ReadOptions,
) -> Result<(), GraphError> {
    let mut strangers = Strangers::new("features", &options.cleaning);
    let mut given = vec![false; nodes.count];
    let table = node_table(path, bytes, true, &mut draft.notes)?;
    let (mut entries, mut dense, mut width) = (Vec::new(), Vec::new(), None);
    let (mut rows, mut row, mut sparse) = (table.rows(), Row::default(), None);
    while rows.read(&mut row)? {
        let sparse = *sparse.get_or_insert_with(|| row.fields[1..].iter().any(|field| field.contains(&b':')));
        let wrong = |allowed: String| Origin::line(path, row.line).malformed(format!("{:?}", row.excerpt()), allowed);
        let Some(node) = strangers.find(nodes, &row.fields[0], Origin::line(path, row.line))? else { continue };
        if std::mem::replace(&mut given[node as usize], true) {
            return Err(wrong("one row of features for a node".into()).into());
        }
        if sparse {
            for field in &row.fields[1..] {
                let mut parts = field.splitn(2, |&byte| byte == b':');
                let column = parts.next().and_then(integer).filter(|&column| column < MAX_FEATURES);
                let allowed = || wrong(format!("column:value, columns below {MAX_FEATURES}"));
                let (Some(column), Some(token)) = (column, parts.next()) else { return Err(allowed().into()) };
                entries.push((node, column as u32, value(token, path, row.line)?));
            }
            continue;
        }
        let width = *width.get_or_insert(row.fields.len() - 1);
        if row.fields.len() - 1 != width || width == 0 {
            return Err(wrong(format!("a node and {width} values, as in the first row, and at least one")).into());
        }
        for token in &row.fields[1..] {
            dense.push(value(token, path, row.line)?);
        }
        entries.push((node, 0, 0.0));
    }
    draft.notes.extend(rows.note().map(GraphNote::File));
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
            let most = options.max_bytes.min((bytes.len() as u64).saturating_mul(64).saturating_add(4096));
            if cells.saturating_mul(4) > most {
                return Err(Origin::file(path).limit("the number of dense features", cells, most / 4).into());
            }
            let mut rows = Array2::zeros((nodes.count, width));
            for ((node, ..), values) in entries.into_iter().zip(dense.chunks_exact(width)) {
                rows.row_mut(node as usize).iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            }
            Features::Dense(rows)
        }
    });
    Ok(())
}

/// Codes of ids become the numbers of the nodes.
fn renumbered(mut edges: Edges, nodes: &Nodes) -> Edges {
    for (from, to) in &mut edges.pairs {
        (*from, *to) = (nodes.of_code[*from as usize], nodes.of_code[*to as usize]);
    }
    edges
}

/// Reads an edge list and what lies beside it.
pub(super) fn edge_list(
    path: &Path,
    label_file: Option<&Path>,
    feature_file: Option<&Path>,
    options: &ReadOptions,
) -> Result<Draft, GraphError> {
    let (mut notes, mut ids) = (Vec::new(), IdMap::new("node"));
    let edges = collecting(path, &file_text(path, options)?, Doubt::Data, &mut ids, &mut notes)?;
    let label_bytes = label_file.map(|path| file_text(path, options)).transpose()?;
    let rows = match (label_file, &label_bytes) {
        (Some(path), Some(bytes)) => labels(path, bytes, &mut notes)?,
        _ => Vec::new(),
    };
    // a node may have a class and no edge
    for row in &rows {
        ids.code(&row.fields[0], label_file.unwrap_or(path), row.line)?;
    }
    let nodes = Nodes::of(ids, &mut notes);
    let mut draft = Draft { notes, ..Draft::new(name_of(path), nodes.count, renumbered(edges, &nodes)) };
    if let Some(path) = label_file {
        label(&mut draft, path, &rows, &nodes, options)?;
    }
    if let Some(path) = feature_file {
        features(&mut draft, path, &file_text(path, options)?, &nodes, options)?;
    }
    draft.ids = nodes.ids;
    Ok(draft)
}

/// Reads a folder of `edges.csv` (src,dst[,weight]) with optional `features.csv` (node,feature,value), `labels.csv`
/// (node,label; -1 for none) and `split.csv` (node,split).
pub(super) fn tables(folder: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let there = |name: &str| super::detect::packed_or_plain(folder, name);
    let read = |path: &Option<PathBuf>| path.as_deref().map(|path| file_text(path, options)).transpose();
    let path = there("edges.csv").unwrap_or_else(|| folder.join("edges.csv"));
    let bytes = file_text(&path, options)?;
    let (label_path, feature_path, split_path) = (there("labels.csv"), there("features.csv"), there("split.csv"));
    let (label_bytes, feature_bytes, split_bytes) = (read(&label_path)?, read(&feature_path)?, read(&split_path)?);
    let mut notes = Vec::new();
    let label_rows = match (&label_path, &label_bytes) {
        (Some(path), Some(bytes)) => labels(path, bytes, &mut notes)?,
        _ => Vec::new(),
    };
    let entries = match (&feature_path, &feature_bytes) {
        (Some(path), Some(bytes)) => all_rows(&node_table(path, bytes, false, &mut notes)?, &mut notes)?,
        _ => Vec::new(),
    };
    // the list of labels is the list of nodes; without one, every node that occurs
    let (nodes, edges) = match &label_path {
        Some(labels) => {
            let listed = label_rows.iter().map(|row| (row.line, &row.fields[0][..]));
            let nodes = Nodes::listed(labels, listed, &mut notes)?;
            let edges = between(&path, &bytes, &nodes, &options.cleaning, &mut notes)?;
            (nodes, edges)
        }
        None => {
            let mut ids = IdMap::new("node");
            let edges = collecting(&path, &bytes, Doubt::Names, &mut ids, &mut notes)?;
            for row in &entries {
                ids.code(&row.fields[0], feature_path.as_deref().unwrap_or(folder), row.line)?;
            }
            let nodes = Nodes::of(ids, &mut notes);
            let edges = renumbered(edges, &nodes);
            (nodes, edges)
        }
    };
    let mut draft = Draft { notes, ..Draft::new(name_of(folder), nodes.count, edges) };
    if let Some(path) = &label_path {
        label(&mut draft, path, &label_rows, &nodes, options)?;
    }
    if let Some(path) = &feature_path {
        bag_table(&mut draft, path, &entries, &nodes, options)?;
    }
    if let (Some(path), Some(bytes)) = (&split_path, &split_bytes) {
        let rows = all_rows(&node_table(path, bytes, false, &mut draft.notes)?, &mut draft.notes)?;
        draft.splits.push(("public".into(), split_table(path, &rows, &nodes)?));
    }
    draft.ids = nodes.ids;
    Ok(draft)
}

fn bag_table(
    draft: &mut Draft,
    path: &Path,
    rows: &[Row<'_>],
    nodes: &Nodes,
    options: &ReadOptions,
) -> Result<(), GraphError> {
    let mut strangers = Strangers::new("features", &options.cleaning);
    let (mut entries, mut given, mut width) = (Vec::with_capacity(rows.len()), vec![false; nodes.count], 0);
    for row in rows {
        let wrong = || {
            let allowed = format!("node,feature,value with features below {MAX_FEATURES}");
            Origin::line(path, row.line).malformed(format!("{:?}", row.excerpt()), allowed)
        };
        let [node, feature, token] = &row.fields[..] else { return Err(wrong().into()) };
        let feature = integer(feature).filter(|&feature| feature < MAX_FEATURES).ok_or_else(wrong)?;
        let value = value(token, path, row.line)?;
        width = width.max(feature as usize + 1);
        if let Some(node) = strangers.find(nodes, node, Origin::line(path, row.line))? {
            given[node as usize] = true;
            entries.push((node, feature as u32, value));
        }
    }
    strangers.note(&mut draft.notes);
    draft.missing_features = (0..nodes.count as u32).filter(|&node| !given[node as usize]).collect();
    draft.features = Some(Features::Sparse(bags(nodes.count, width, &entries, Origin::file(path))?));
    Ok(())
}

fn split_table(path: &Path, rows: &[Row<'_>], nodes: &Nodes) -> Result<NodeSplit, GraphError> {
    let mut split = NodeSplit::default();
    for row in rows {
        let wrong = |allowed: &str| {
            GraphError::from(Origin::line(path, row.line).malformed(format!("{:?}", row.excerpt()), allowed))
        };
        let [node, part] = &row.fields[..] else { return Err(wrong("node,split")) };
        let node = nodes.get(node).ok_or_else(|| wrong("a node of the graph"))?;
        match &part[..] {
            b"train" => split.train.push(node),
            b"val" | b"valid" | b"validation" => split.validation.push(node),
            b"test" => split.test.push(node),
            b"none" | b"" | b"unlabeled" | b"unlabelled" | b"other" => (),
            _ => return Err(wrong("train, val, test or none")),
        }
    }
    Ok(NodeSplit::new(split.train, split.validation, split.test))
}
