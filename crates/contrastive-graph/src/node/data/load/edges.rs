//! Edges in text: two columns, or three with a weight, or networkx's `a b {'weight': w}`.

use std::path::Path;

use contrastive_data::{
    Doubt, FileError, FileNote, IdMap, Origin, Row, Table, TableOptions, all_lines, excerpt, file_name, finite, words,
};

use super::super::clean::{Cleaning, Dangling, Edges, Places, Tally};
use super::super::error::GraphError;
use super::super::note::GraphNote;
use super::ids::Nodes;

/// Names of columns in headers of edge lists. Which of two names an edge starts from is told by their order.
const NAMES: &[&str] = &[
    "src",
    "dst",
    "source",
    "target",
    "from",
    "to",
    "node",
    "nodeid",
    "id",
    "id1",
    "id2",
    "node1",
    "node2",
    "srcid",
    "dstid",
    "sourceid",
    "targetid",
    "fromnodeid",
    "tonodeid",
    "fromid",
    "toid",
    "user",
    "weight",
    "idfrom",
    "idto",
    "head",
    "tail",
];

/// An edge while it is read.
pub(super) struct Edge<'e> {
    pub line: usize,
    pub from: &'e [u8],
    pub to: &'e [u8],
    pub weight: Option<f64>,
}

/// A finite number.
pub(super) fn number(token: &[u8], path: &Path, line: usize) -> Result<f64, FileError> {
    finite(token).ok_or_else(|| {
        Origin::line(path, line).malformed(format!("{:?}", excerpt(token)), "a finite number such as 3, 0.5 or 2e-3")
    })
}

/// Gives every edge of a file, of which all or none have a weight.
fn each(
    path: &Path,
    bytes: &[u8],
    doubt: Doubt,
    notes: &mut Vec<GraphNote>,
    take: &mut dyn FnMut(Edge<'_>) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    if bytes.starts_with(b"%%MatrixMarket") {
        let allowed = "an edge list: `a b` or `a b weight` on each line, without a line of sizes";
        return Err(Origin::line(path, 1).malformed("a MatrixMarket file", allowed).into());
    }
    let data = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.starts_with(b"#");
    if all_lines(bytes).map(|(_, line)| line).find(data).is_some_and(|line| line.contains(&b'{')) {
        return attributed(path, bytes, notes, take);
    }
    let table = Table::parse(path, bytes, &TableOptions { doubt, names: NAMES, ..TableOptions::default() })?;
    notes.extend(table.notes().iter().cloned().map(GraphNote::File));
    let (mut rows, mut row) = (table.rows(), Row::default());
    if table.width() != 0 && !(2..=3).contains(&table.width()) {
        rows.read(&mut row)?;
        let found = format!("{} columns in {:?}", table.width(), row.excerpt());
        let line = Origin::line(path, row.line.max(1));
        return Err(line.malformed(found, "two nodes, and in all lines or none a weight").into());
    }
    while rows.read(&mut row).map_err(|error| edge_width(error, path, &row))? {
        let weight = row.fields.get(2).map(|token| number(token, path, row.line)).transpose()?;
        take(Edge { line: row.line, from: &row.fields[0], to: &row.fields[1], weight })?;
    }
    notes.extend(rows.note().map(GraphNote::File));
    Ok(())
}

/// What a row of another width means among edges.
fn edge_width(error: FileError, path: &Path, row: &Row<'_>) -> FileError {
    match error {
        FileError::ColumnCount { found, text, .. } => Origin::line(path, row.line)
            .malformed(format!("{found} columns in {text:?}"), "two nodes, and in all lines or none a weight"),
        other => other,
    }
}

/// networkx's edge lists: two nodes and a dictionary, of which the weight is read. Edges without one among others have weight 1.
fn attributed(
    path: &Path,
    bytes: &[u8],
    notes: &mut Vec<GraphNote>,
    take: &mut dyn FnMut(Edge<'_>) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    let mut rows = Vec::new();
    for (line, text) in all_lines(bytes) {
        let text = text.trim_ascii();
        if text.is_empty() || (rows.is_empty() && text.starts_with(b"#")) {
            continue;
        }
        let wrong = |allowed: &str| Origin::line(path, line).malformed(format!("{:?}", excerpt(text)), allowed);
        let allowed = "two nodes and a dictionary, as in `0 1 {'weight': 4}`";
        let brace = text.iter().position(|&byte| byte == b'{').ok_or_else(|| wrong(allowed))?;
        if !text.ends_with(b"}") {
            return Err(wrong(allowed).into());
        }
        let ends: Vec<&[u8]> = match text[..brace].contains(&b',') {
            true => text[..brace]
                .split(|&byte| byte == b',')
                .map(<[u8]>::trim_ascii)
                .filter(|end| !end.is_empty())
                .collect(),
            false => words(&text[..brace]).collect(),
        };
        let &[from, to] = &ends[..] else { return Err(wrong(allowed).into()) };
        let weight = match weight_in(&text[brace..]) {
            None => None,
            Some(token) => Some(number(token, path, line)?),
        };
        rows.push((line, from, to, weight));
    }
    let weighted = rows.iter().any(|row| row.3.is_some());
    let bare = || rows.iter().filter(|row| row.3.is_none());
    if weighted && let Some(first) = bare().next() {
        let (file, outcome) = (file_name(path), "taken for 1");
        let (rows, line) = (bare().count(), first.0);
        notes.push(GraphNote::File(FileNote::Missing { file, what: "a weight", rows, line, outcome }));
    }
    for &(line, from, to, weight) in &rows {
        take(Edge { line, from, to, weight: weighted.then(|| weight.unwrap_or(1.0)) })?;
    }
    Ok(())
}

/// What stands behind `'weight':`.
fn weight_in(dictionary: &[u8]) -> Option<&[u8]> {
    let keys: [&[u8]; 2] = [b"'weight'", b"\"weight\""];
    let behind = keys.iter().find_map(|key| {
        let at = dictionary.windows(key.len()).position(|window| window == *key)?;
        dictionary[at + key.len()..].trim_ascii_start().strip_prefix(b":")
    })?;
    let end = behind.iter().position(|byte| matches!(byte, b',' | b'}')).unwrap_or(behind.len());
    Some(behind[..end].trim_ascii())
}

/// Edges whose ends are codes of ids that are collected while they are read.
pub(super) fn collecting(
    path: &Path,
    bytes: &[u8],
    doubt: Doubt,
    ids: &mut IdMap,
    notes: &mut Vec<GraphNote>,
) -> Result<Edges, GraphError> {
    let (mut pairs, mut weights, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    each(path, bytes, doubt, notes, &mut |edge| {
        pairs.push((ids.code(edge.from, path, edge.line)?, ids.code(edge.to, path, edge.line)?));
        weights.extend(edge.weight);
        lines.push(edge.line as u32);
        Ok(())
    })?;
    Ok(Edges { pairs, weights, places: Places::Lines(path.to_path_buf(), lines), unordered: false })
}

/// Edges between known nodes; the others as the cleaning says.
pub(super) fn between(
    path: &Path,
    bytes: &[u8],
    nodes: &Nodes,
    cleaning: &Cleaning,
    notes: &mut Vec<GraphNote>,
) -> Result<Edges, GraphError> {
    let mut dangling = Tally::default();
    let (mut pairs, mut weights, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    each(path, bytes, Doubt::Names, notes, &mut |edge| {
        let unknown = match (nodes.get(edge.from), nodes.get(edge.to)) {
            (Some(from), Some(to)) => {
                pairs.push((from, to));
                weights.extend(edge.weight);
                lines.push(edge.line as u32);
                return Ok(());
            }
            (None, _) => edge.from,
            (Some(_), None) => edge.to,
        };
        if cleaning.dangling == Dangling::Refuse {
            let (origin, allowed) =
                (Origin::line(path, edge.line), format!("the {} nodes listed beside it", nodes.count));
            return Err(GraphError::DanglingEdge { origin, node: excerpt(unknown), allowed });
        }
        dangling.add(|| excerpt(unknown));
        Ok(())
    })?;
    notes.extend(dangling.note(|count, first| GraphNote::DanglingEdges { count, first }));
    Ok(Edges { pairs, weights, places: Places::Lines(path.to_path_buf(), lines), unordered: false })
}
