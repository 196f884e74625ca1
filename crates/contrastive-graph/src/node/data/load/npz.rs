//! Graphs in npz archives: compressed rows (Shchur et al. 2018; Bojchevski, Guennemann 2018), lists of edges with masks of several
//! splits (Platonov et al. 2023), scipy's `save_npz`; and archives of split masks.

use std::path::Path;

use contrastive_data::{Archive, Array, Compressed, FileError, Limits, Origin, Pickle, Triplets, listed};
use contrastive_kernels::sparse::Csr;
use ndarray::{Array2, Ix2};

use super::super::clean::{Edges, Places};
use super::super::error::GraphError;
use super::super::features::{Features, Labels};
use super::super::graph::Draft;
use super::super::split::NodeSplit;
use super::{MAX_FEATURES, ReadOptions, classes_of, file_bytes, name_of};

/// The ways in which the parts of a matrix are named; without a prefix, as scipy's `save_npz` writes one matrix.
const STYLES: &[(&str, &str)] = &[
    ("adj_", "attr_"),
    ("adj_matrix.", "attr_matrix."),
    ("adj_matrix_", "attr_matrix_"),
    ("adj.", "attr."),
    ("", "attr_"),
];

/// Lists of edges, one edge a row or one a column.
const EDGES: &[&str] = &["edges", "edge_index", "edge_list", "edgelist"];

const FULL: &[&str] = &["adj_matrix", "adj", "adjacency", "A"];
const FEATURES: &[&str] = &["attr_matrix", "attr", "node_features", "features", "node_attr", "x", "feat"];
const LABELS: &[&str] = &["labels", "node_labels", "label", "y"];
const NAMES: &[&str] = &["class_names", "label_names"];

/// Masks of the three parts of splits.
const MASKS: [&[&str]; 3] = [
    &["train_masks", "train_mask"],
    &["val_masks", "val_mask", "valid_masks", "valid_mask"],
    &["test_masks", "test_mask"],
];

/// Whether a matrix stands there in parts under a prefix.
fn has_parts(archive: &Archive<'_>, prefix: &str) -> bool {
    archive.has(&format!("{prefix}shape"))
        && (archive.has(&format!("{prefix}indptr")) || archive.has(&format!("{prefix}row")))
        || archive.has(&format!("{prefix}indptr"))
}

/// Reads and checks the members `{prefix}data`, `indices`, `indptr`, `shape`, or `row`, `col`, `data`, `shape`.
fn parts(archive: &mut Archive<'_>, prefix: &str) -> Result<Triplets, FileError> {
    let packed = archive.packed();
    let shape = archive.need(&format!("{prefix}shape"))?;
    // pattern matrices may come without values
    let values = archive.get(&format!("{prefix}data"))?;
    if archive.has(&format!("{prefix}row")) {
        let (rows, columns) = (archive.need(&format!("{prefix}row"))?, archive.need(&format!("{prefix}col"))?);
        return Triplets::coordinates(&shape, &rows, &columns, values.as_ref(), packed);
    }
    let (starts, indices) = (archive.need(&format!("{prefix}indptr"))?, archive.need(&format!("{prefix}indices"))?);
    let by_columns = match archive.get(&format!("{prefix}format"))? {
        Some(format) if format.is_text() => format.texts()?.iter().any(|format| format == "csc"),
        _ => false,
    };
    let side = if by_columns { Compressed::Columns } else { Compressed::Rows };
    Triplets::compressed(side, &shape, &starts, &indices, values.as_ref(), packed)
}

/// Sparse features from the members `{prefix}data` and so on of an archive.
pub(crate) fn sparse_features(archive: &mut Archive<'_>, prefix: &str) -> Result<Csr<f32>, FileError> {
    features_of(&parts(archive, prefix)?)
}

/// Sparse features from entries; repeated places are summed.
pub(super) fn bags(
    rows: usize,
    columns: usize,
    entries: &[(u32, u32, f32)],
    origin: Origin,
) -> Result<Csr<f32>, FileError> {
    if columns as u64 > MAX_FEATURES {
        return Err(origin.limit("the number of features", columns as u64, MAX_FEATURES));
    }
    Csr::from_triplets(rows, columns, entries).map_err(|error| origin.malformed(error.to_string(), "finite values"))
}

/// Sparse features of a matrix.
pub(super) fn features_of(matrix: &Triplets) -> Result<Csr<f32>, FileError> {
    let narrow: Vec<_> = matrix.entries.iter().map(|&(row, column, value)| (row, column, value as f32)).collect();
    bags(matrix.rows, matrix.columns, &narrow, matrix.origin.clone())
}

/// A dense table.
pub(super) fn dense(array: &Array) -> Result<Array2<f32>, FileError> {
    let unfit =
        || array.origin().clone().malformed(format!("shape {:?}", array.shape()), "a table of nodes x features");
    if array.shape().len() != 2 {
        return Err(unfit());
    }
    array.to_f32()?.into_dimensionality::<Ix2>().map_err(|_| unfit())
}

/// The number of nodes with pairs and weights of the edges.
type Links = (usize, Vec<(u32, u32)>, Vec<f64>);

/// The edges of a square matrix.
fn square(matrix: Triplets, path: &Path) -> Result<Links, FileError> {
    if matrix.rows != matrix.columns {
        let found = format!("an adjacency of {} x {}", matrix.rows, matrix.columns);
        return Err(Origin::file(path).malformed(found, "as many rows as columns"));
    }
    let pairs = matrix.entries.iter().map(|&(from, to, _)| (from, to)).collect();
    let weights = matrix.entries.iter().map(|entry| entry.2).collect();
    Ok((matrix.rows, pairs, weights))
}

/// The edges of a list of pairs; `nodes` is the number of nodes, if something else tells it.
fn listed_edges(array: &Array, name: &str, nodes: Option<usize>, packed: usize) -> Result<Links, FileError> {
    let limit = Limits::things(packed);
    let columns = match *array.shape() {
        // two edges of two ends: the name says how they lie
        [2, 2] => name == "edge_index",
        [_, 2] => false,
        [2, _] => true,
        _ => {
            let found = format!("shape {:?}", array.shape());
            return Err(array.origin().clone().malformed(found, "edges x 2, or 2 x edges"));
        }
    };
    let count = array.len() / 2;
    if count as u64 > limit {
        return Err(array.origin().clone().limit("the number of edges", count as u64, limit));
    }
    let ends = array.below(nodes.map_or(limit, |nodes| nodes as u64))?;
    let at =
        |edge: usize| if columns { (ends[edge], ends[count + edge]) } else { (ends[2 * edge], ends[2 * edge + 1]) };
    let pairs: Vec<(u32, u32)> = (0..count).map(at).collect();
    let greatest = ends.iter().max().map_or(0, |&greatest| greatest as usize + 1);
    Ok((nodes.unwrap_or(greatest), pairs, Vec::new()))
}

/// Number of nodes by the features or labels.
fn counted(archive: &mut Archive<'_>) -> Result<Option<usize>, FileError> {
    for names in [FEATURES, LABELS] {
        if let Some(name) = names.iter().find(|name| archive.has(name)) {
            return Ok(archive.peek_shape(name)?.and_then(|shape| shape.first().copied()));
        }
    }
    Ok(None)
}

/// Reads a graph.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let bytes = file_bytes(path, options)?;
    let mut archive = Archive::open(path, &bytes, &Limits::new(options.max_bytes))?;
    let style = STYLES.iter().find(|(adjacency, _)| has_parts(&archive, adjacency));
    let packed = bytes.len();
    let (nodes, pairs, weights) = if let Some((adjacency, _)) = style {
        square(parts(&mut archive, adjacency)?, path)?
    } else if let Some(name) = EDGES.iter().find(|name| archive.has(name)) {
        let nodes = counted(&mut archive)?;
        listed_edges(&archive.need(name)?, name, nodes, packed)?
    } else if let Some(array) = archive.first(FULL)? {
        square(Triplets::full(&array, packed)?, path)?
    } else {
        let found = format!("the members {}", listed(&archive.names()));
        let allowed =
            "adj_data, adj_indices, adj_indptr, adj_shape (or adj_matrix.data and so on), or edges, node_features";
        return Err(Origin::file(path).malformed(found, allowed).into());
    };
    if nodes as u64 > Limits::things(packed) {
        return Err(Origin::file(path).limit("the number of nodes", nodes as u64, Limits::things(packed)).into());
    }
    let edges = Edges { pairs, weights, places: Places::File(path.to_path_buf()), unordered: false };
    let mut draft = Draft::new(name_of(path), nodes, edges);
    let attributes = style.map_or("attr_", |style| style.1);
    if has_parts(&archive, attributes) {
        let matrix = parts(&mut archive, attributes)?;
        draft.features = Some(Features::Sparse(features_of(&matrix)?));
    } else if let Some(array) = archive.first(FEATURES)? {
        draft.features = Some(Features::Dense(dense(&array)?));
    }
    if let Some(name) = LABELS.iter().find(|name| archive.has(name)) {
        let mut labels = labels(&mut archive, name, nodes, path)?;
        if let Some(names) = archive.first(NAMES).unwrap_or(None)
            && names.is_text()
        {
            labels = named(labels, &names)?;
        }
        draft.labels = Some(labels);
    }
    draft.splits = splits(&mut archive, nodes)?;
    Ok(draft)
}

/// The classes: a number or a text for each node, or a mark for each node and class.
fn labels(archive: &mut Archive<'_>, name: &str, nodes: usize, path: &Path) -> Result<Labels, GraphError> {
    let origin = Origin::part(path, name);
    if archive.descr(name)?.is_some_and(|descr| descr.contains('O')) {
        let bytes = archive.bytes(name)?.unwrap_or_default();
        let tokens = Pickle::parse_part(path, name, Array::pickled(&bytes, origin.clone())?)?.tokens()?;
        if tokens.len() != nodes {
            let found = format!("{} objects", tokens.len());
            return Err(origin.malformed(found, format!("one for each of the {nodes} nodes")).into());
        }
        return classes_of(nodes, (0..).zip(tokens.iter().map(String::as_bytes)), path);
    }
    let array = archive.need(name)?;
    let table = matches!(*array.shape(), [rows, columns] if rows == nodes && columns > 1 && nodes > 1);
    if table {
        let width = array.shape()[1];
        let marks = array.marks()?;
        let marked = (0..).zip(&marks).filter(|(_, mark)| **mark).map(|(at, _): (usize, _)| (at / width, at % width));
        let mut of_node = vec![Vec::new(); nodes];
        marked.for_each(|(node, class)| of_node[node].push(class as u32));
        let names = Limits::things(archive.packed()).min(1 << 16);
        if width as u64 > names {
            return Err(origin.limit("the number of classes", width as u64, names).into());
        }
        return Ok(Labels::multi(&of_node).with_names((0..width).map(|class| class.to_string()).collect()));
    }
    check_count(&array, "labels", nodes)?;
    let tokens: Vec<String> = match array.is_text() {
        true => array.texts()?,
        false => array.integers()?.iter().map(i64::to_string).collect(),
    };
    classes_of(nodes, (0..).zip(tokens.iter().map(String::as_bytes)), path)
}

/// The names of the classes, where there is one for each number.
fn named(labels: Labels, names: &Array) -> Result<Labels, GraphError> {
    let texts = names.texts()?;
    Ok(if texts.len() == labels.num_classes() { labels.with_names(texts) } else { labels })
}

/// Refuses an array that is not one for each node, as a list, a row or a column.
fn check_count(array: &Array, what: &str, nodes: usize) -> Result<(), FileError> {
    let long = array.shape().iter().filter(|&&side| side != 1).count() <= 1;
    if array.len() == nodes && long && array.shape().len() <= 2 && !array.shape().is_empty() {
        return Ok(());
    }
    let found = format!("{what} of shape {:?}", array.shape());
    Err(array.origin().clone().malformed(found, format!("one for each of the {nodes} nodes")))
}

/// Splits from masks: one list for each node, or a table of splits x nodes or nodes x splits, named by their numbers.
fn splits(archive: &mut Archive<'_>, nodes: usize) -> Result<Vec<(String, NodeSplit)>, GraphError> {
    let mut parts: [Vec<Vec<u32>>; 3] = Default::default();
    let mut single = false;
    for (part, names) in parts.iter_mut().zip(MASKS) {
        let Some(array) = archive.first(names)? else { continue };
        single |= array.shape().len() == 1;
        *part = masks(&array, nodes)?;
    }
    let [train, validation, test] = parts;
    let count = train.len();
    let mut splits = Vec::with_capacity(count);
    for (number, train) in train.into_iter().enumerate() {
        // one test mask may serve all splits
        let of = |part: &Vec<Vec<u32>>| match part.len() {
            1 => part[0].clone(),
            _ => part.get(number).cloned().unwrap_or_default(),
        };
        let name = if single && count == 1 { "public".to_owned() } else { number.to_string() };
        splits.push((name, NodeSplit::new(train, of(&validation), of(&test))));
    }
    Ok(splits)
}

/// The nodes that each mask of an array marks.
fn masks(array: &Array, nodes: usize) -> Result<Vec<Vec<u32>>, FileError> {
    let (count, by_columns) = match *array.shape() {
        [length] if length == nodes => (1, false),
        [count, length] if length == nodes => (count, false),
        [length, count] if length == nodes => (count, true),
        _ => {
            let found = format!("a mask of shape {:?}", array.shape());
            return Err(array.origin().clone().malformed(found, format!("one for each of the {nodes} nodes")));
        }
    };
    let marks = array.marks()?;
    let at =
        |mask: usize, node: usize| if by_columns { marks[node * count + mask] } else { marks[mask * nodes + node] };
    let marked = |mask: usize| (0..nodes).filter(|&node| at(mask, node)).map(|node| node as u32).collect();
    Ok((0..count).map(marked).collect())
}

/// Reads a split from `train_mask`, `val_mask`, `test_mask`.
pub(super) fn read_split(path: &Path, nodes: usize, options: &ReadOptions) -> Result<NodeSplit, GraphError> {
    let bytes = file_bytes(path, options)?;
    let mut archive = Archive::open(path, &bytes, &Limits::new(options.max_bytes))?;
    let mut part = |name: &str| -> Result<Vec<u32>, GraphError> {
        let array = archive.need(name)?;
        check_count(&array, "a mask", nodes)?;
        Ok((0..).zip(array.marks()?).filter(|(_, marked)| *marked).map(|(node, _)| node).collect())
    };
    Ok(NodeSplit::new(part("train_mask")?, part("val_mask")?, part("test_mask")?))
}
