//! Graph sets in files: the folders of TUDataset, and one file of text.

use super::set::{GraphParts, GraphSet};
use crate::node::data::GraphError;
use contrastive_data::{FileError, Limits, Origin, Place, read_text};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Files beyond this size are refused.
const MAX_BYTES: u64 = 2 << 30;

/// The lines of a file that are not blank, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

fn text_of(path: &Path) -> Result<String, GraphError> {
    let bytes = read_text(path, &Limits::new(MAX_BYTES))?;
    let wrong = |error: std::string::FromUtf8Error| {
        Origin::byte(path, error.utf8_error().valid_up_to()).malformed("bytes that are not UTF-8", "text")
    };
    Ok(String::from_utf8(bytes).map_err(wrong)?)
}

/// A number of a line.
fn number<T: FromStr>(token: &str, path: &Path, line: usize, allowed: &str) -> Result<T, FileError> {
    let excerpt: String = token.chars().take(40).collect();
    token.trim().parse().map_err(|_| Origin::line(path, line).malformed(format!("{excerpt:?}"), allowed))
}

/// A number on each line.
fn column<T: FromStr>(path: &Path, allowed: &str) -> Result<Vec<(usize, T)>, GraphError> {
    let text = text_of(path)?;
    lines(&text).map(|(line, token)| Ok((line, number(token, path, line, allowed)?))).collect()
}

/// Labels by rank among those that occur: 0, 1, ...
fn ranked(values: &[(usize, i64)]) -> Vec<u32> {
    let mut ranks: BTreeMap<i64, u32> = values.iter().map(|&(_, value)| (value, 0)).collect();
    ranks.values_mut().zip(0..).for_each(|(rank, at)| *rank = at);
    values.iter().map(|(_, value)| ranks[value]).collect()
}

impl GraphSet {
    /// Reads a folder of TUDataset (`NAME/NAME_A.txt`, `NAME_graph_indicator.txt`, and where there are such: `NAME_graph_labels.txt`,
    /// `NAME_node_labels.txt`, `NAME_edge_labels.txt`, `NAME_node_attributes.txt`), or one file of text: the number of graphs; for each a line "nodes
    /// class" and for each of its nodes a line "label degree neighbour neighbour ...", neighbours numbered within the graph
    /// from 0. Labels and classes are numbered by their rank.
    ///
    /// # Errors
    /// [`GraphError::File`] with file and line of what is missing or wrong, and as [`new`](Self::new).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GraphError> {
        let path = path.as_ref();
        if path.is_dir() { Self::read_folder(path) } else { Self::read_file(path) }
    }

    fn read_folder(folder: &Path) -> Result<Self, GraphError> {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let file = |part: &str| -> PathBuf { folder.join(format!("{name}_{part}.txt")) };
        let existing = |part: &str| Some(file(part)).filter(|path| path.exists());
        let (edges_file, indicator_file) = (file("A"), file("graph_indicator"));
        let indicator: Vec<(usize, usize)> = column(&indicator_file, "the number of a graph, from 1")?;
        let mut sizes: Vec<usize> = Vec::new();
        for &(line, graph) in &indicator {
            let wrong =
                |allowed: String| Origin::line(&indicator_file, line).malformed(format!("graph {graph}"), allowed);
            match (graph, sizes.len()) {
                (graph, known) if graph == known && known > 0 => sizes[known - 1] += 1,
                (graph, known) if graph == known + 1 => sizes.push(1),
                (_, known) => return Err(wrong(format!("graph {known} or {}, no graph is skipped", known + 1)).into()),
            }
        }
        let nodes = indicator.len();
        let text = text_of(&edges_file)?;
        let (mut edges, mut at_line) = (Vec::new(), Vec::new());
        for (line, row) in lines(&text) {
            let ends: Vec<&str> = row.split(',').collect();
            let &[a, b] = &ends[..] else {
                return Err(Origin::line(&edges_file, line)
                    .malformed(format!("{} fields", ends.len()), "\"row, column\"")
                    .into());
            };
            let end = |token| -> Result<u32, GraphError> {
                let allowed = "a node, from 1";
                let node: usize = number(token, &edges_file, line, allowed)?;
                match (1..=nodes).contains(&node) {
                    true => Ok(node as u32 - 1),
                    false => Err(Origin::line(&edges_file, line)
                        .malformed(format!("node {node}"), format!("1 to {nodes}, the lines of the indicator"))
                        .into()),
                }
            };
            edges.push((end(a)?, end(b)?));
            at_line.push(line);
        }
        let labels = |part: &str, count: usize| -> Result<Option<Vec<u32>>, GraphError> {
            let Some(path) = existing(part) else { return Ok(None) };
            let values: Vec<(usize, i64)> = column(&path, "a whole number")?;
            if values.len() != count {
                return Err(Origin::file(&path)
                    .malformed(format!("{} lines", values.len()), format!("one for each of {count}"))
                    .into());
            }
            Ok(Some(ranked(&values)))
        };
        let parts = GraphParts {
            edge_labels: labels("edge_labels", edges.len())?,
            node_labels: labels("node_labels", nodes)?,
            classes: labels("graph_labels", sizes.len())?,
            attributes: existing("node_attributes").map(|path| attributes(&path, nodes)).transpose()?,
            name,
            sizes,
            edges,
        };
        Self::from_places(parts, &|place| match place {
            Place::Edge(edge) => Origin::line(&edges_file, at_line[edge]),
            Place::Part(part) => Origin::part(&indicator_file, &part),
            _ => Origin::file(&edges_file),
        })
    }

    fn read_file(path: &Path) -> Result<Self, GraphError> {
        let text = text_of(path)?;
        let mut rows = lines(&text);
        let end = || Origin::file(path).malformed("the end of the file", "as many graphs and nodes as the counts say");
        let (line, first) = rows.next().ok_or_else(end)?;
        let count: usize = number(first, path, line, "the number of graphs")?;
        if count > text.len() {
            return Err(Origin::line(path, line)
                .malformed(format!("{count} graphs"), "as many graphs as the file has")
                .into());
        }
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut parts = GraphParts { name, ..Default::default() };
        let (mut classes, mut tags, mut at_line, mut graph_line) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for graph in 0..count {
            let (line, row) = rows.next().ok_or_else(end)?;
            let fields: Vec<&str> = row.split_whitespace().collect();
            let &[size, class] = &fields[..] else {
                let found = format!("{} fields at the start of graph {graph}", fields.len());
                return Err(Origin::line(path, line).malformed(found, "number of nodes and class").into());
            };
            let size: usize = number(size, path, line, "a number of nodes")?;
            classes.push((line, number(class, path, line, "a class, a whole number")?));
            graph_line.push(line);
            let start = tags.len();
            for node in 0..size {
                let (line, row) = rows.next().ok_or_else(end)?;
                let mut fields = row.split_whitespace();
                let mut next =
                    |what| fields.next().ok_or_else(|| Origin::line(path, line).malformed("too few fields", what));
                tags.push((line, number(next("label degree neighbours ...")?, path, line, "a label, a whole number")?));
                let degree: usize = number(next("label degree neighbours ...")?, path, line, "a number of neighbours")?;
                let own: Vec<&str> = fields.collect();
                if own.len() != degree {
                    let allowed = format!("{degree}, as the line says");
                    return Err(Origin::line(path, line)
                        .malformed(format!("{} neighbours", own.len()), allowed)
                        .into());
                }
                for token in own {
                    let other: usize = number(token, path, line, "a node of the graph, from 0")?;
                    if other >= size {
                        let allowed = format!("below {size}, the nodes of graph {graph}");
                        return Err(Origin::line(path, line).malformed(format!("neighbour {other}"), allowed).into());
                    }
                    parts.edges.push(((start + node) as u32, (start + other) as u32));
                    at_line.push(line);
                }
            }
            parts.sizes.push(size);
        }
        if let Some((line, _)) = rows.next() {
            let found = format!("more lines after graph {count}");
            return Err(Origin::line(path, line).malformed(found, "as many graphs as the first line says").into());
        }
        parts.classes = Some(ranked(&classes));
        // one label for all is none: the degrees stand in
        let several = tags.iter().any(|tag: &(usize, i64)| tag.1 != tags[0].1);
        parts.node_labels = several.then(|| ranked(&tags));
        Self::from_places(parts, &|place| match place {
            Place::Edge(edge) => Origin::line(path, at_line[edge]),
            _ => Origin::file(path),
        })
    }
}

fn attributes(path: &Path, nodes: usize) -> Result<Array2<f32>, GraphError> {
    let text = text_of(path)?;
    let (mut values, mut width, mut rows) = (Vec::new(), None, 0);
    for (line, row) in lines(&text) {
        let before = values.len();
        for token in row.split(',') {
            values.push(number::<f32>(token, path, line, "numbers between commas")?);
        }
        let own = values.len() - before;
        if *width.get_or_insert(own) != own {
            let allowed = format!("{}, as in the lines before", width.unwrap_or(0));
            return Err(Origin::line(path, line).malformed(format!("{own} attributes"), allowed).into());
        }
        rows += 1;
    }
    if rows != nodes {
        return Err(Origin::file(path)
            .malformed(format!("{rows} lines"), format!("one for each of {nodes} nodes"))
            .into());
    }
    Ok(Array2::from_shape_vec((rows, width.unwrap_or(0)), values).expect("rows of one width"))
}
