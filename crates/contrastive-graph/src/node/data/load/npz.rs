//! Graphs in npz archives (Shchur et al. 2018; Bojchevski, Guennemann 2018), and archives of split masks.

use std::path::Path;

use contrastive_kernels::sparse::Csr;
use ndarray::Array2;

use super::super::clean::{Edges, Places};
use super::super::error::{GraphError, Origin};
use super::super::features::{Features, Labels};
use super::super::graph::Draft;
use super::super::split::NodeSplit;
use super::npy::{Archive, Array};
use super::{MAX_FEATURES, ReadOptions, classes_of, file_bytes, name_of};

/// The ways in which the parts of a matrix are named.
const STYLES: &[(&str, &str)] =
    &[("adj_", "attr_"), ("adj_matrix.", "attr_matrix."), ("adj_matrix_", "attr_matrix_"), ("adj.", "attr.")];

/// A compressed-sparse-row matrix in four members.
struct Parts {
    rows: usize,
    columns: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f64>,
}

/// Reads and checks the members `{prefix}data`, `indices`, `indptr`, `shape`.
fn parts(archive: &mut Archive<'_>, prefix: &str) -> Result<Parts, GraphError> {
    let shape = archive.need(&format!("{prefix}shape"))?;
    let (indptr, indices) = (archive.need(&format!("{prefix}indptr"))?, archive.need(&format!("{prefix}indices"))?);
    // pattern matrices may come without values
    let values = archive.get(&format!("{prefix}data"))?;
    sparse(&shape, &indptr, &indices, values.as_ref())
}

/// Checks the parts of a matrix against each other.
fn sparse(shape: &Array, indptr: &Array, indices: &Array, values: Option<&Array>) -> Result<Parts, GraphError> {
    let [rows, columns] = shape.indices()?[..] else {
        return Err(shape.origin.clone().malformed(format!("{} numbers", shape.len()), "rows and columns"));
    };
    let pointer = indptr.indices()?;
    let steps = pointer.len() as u64;
    if rows.checked_add(1) != Some(steps) {
        let found = format!("{steps} row starts for {rows} rows");
        return Err(indptr.origin.clone().malformed(found, "one more than rows"));
    }
    let entries = indices.len() as u64;
    if pointer[0] != 0 || pointer.windows(2).any(|ends| ends[0] > ends[1]) || pointer.last() != Some(&entries) {
        let found = format!("row starts that do not run from 0 to the {entries} entries without decreasing");
        return Err(indptr.origin.clone().malformed(found, "row starts from 0 to the number of entries"));
    }
    if columns > u64::from(u32::MAX) {
        return Err(shape.origin.clone().limit("the number of columns", columns, u32::MAX.into()));
    }
    let numbers = indices.indices()?;
    if let Some(beyond) = numbers.iter().find(|&&column| column >= columns) {
        return Err(indices.origin.clone().malformed(format!("column {beyond}"), format!("0..{columns}")));
    }
    let values = match values {
        Some(values) if values.len() as u64 == entries => values.floats()?,
        Some(values) => {
            let found = format!("{} values", values.len());
            return Err(values.origin.clone().malformed(found, format!("{entries}, one for each index")));
        }
        None => vec![1.0; numbers.len()],
    };
    let indptr = pointer.into_iter().map(|start| start as usize).collect();
    let indices = numbers.into_iter().map(|column| column as u32).collect();
    Ok(Parts { rows: rows as usize, columns: columns as usize, indptr, indices, values })
}

/// Sparse features from checked parts; repeated places are summed.
pub(super) fn bags(
    rows: usize,
    columns: usize,
    entries: &[(u32, u32, f32)],
    origin: Origin,
) -> Result<Csr<f32>, GraphError> {
    if columns as u64 > MAX_FEATURES {
        return Err(origin.limit("the number of features", columns as u64, MAX_FEATURES));
    }
    Csr::from_triplets(rows, columns, entries).map_err(|error| origin.malformed(error.to_string(), "finite values"))
}

impl Parts {
    fn entries(&self) -> impl Iterator<Item = (u32, u32, f64)> {
        let row = |row: usize| (self.indptr[row]..self.indptr[row + 1]).map(move |at| (row as u32, at));
        (0..self.rows).flat_map(row).map(|(row, at)| (row, self.indices[at], self.values[at]))
    }

    fn features(&self, origin: Origin) -> Result<Csr<f32>, GraphError> {
        let entries: Vec<_> = self.entries().map(|(row, column, value)| (row, column, value as f32)).collect();
        bags(self.rows, self.columns, &entries, origin)
    }
}

/// A sparse matrix of features from its arrays (also those of a pickle).
pub(super) fn features_from(
    shape: &Array,
    indptr: &Array,
    indices: &Array,
    values: &Array,
) -> Result<Csr<f32>, GraphError> {
    let parts = sparse(shape, indptr, indices, Some(values))?;
    parts.features(values.origin.clone())
}

/// Reads a graph.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let bytes = file_bytes(path, options)?;
    let mut archive = Archive::open(path, &bytes, options.max_bytes)?;
    let style = STYLES.iter().find(|(adjacency, _)| archive.has(&format!("{adjacency}indptr")));
    let Some(&(adjacency, attributes)) = style else {
        let found = format!("the members {}", archive.names().join(", "));
        let allowed = "adj_data, adj_indices, adj_indptr, adj_shape (or adj_matrix.data and so on)";
        return Err(Origin::file(path).malformed(found, allowed));
    };
    let matrix = parts(&mut archive, adjacency)?;
    if matrix.rows != matrix.columns {
        let found = format!("an adjacency of {} x {}", matrix.rows, matrix.columns);
        return Err(Origin::file(path).malformed(found, "as many rows as columns"));
    }
    let nodes = matrix.rows;
    let pairs = matrix.entries().map(|(from, to, _)| (from, to)).collect();
    let edges = Edges { pairs, weights: matrix.values, places: Places::File(path.to_path_buf()), unordered: false };
    let mut draft = Draft::new(name_of(path), nodes, edges);
    if archive.has(&format!("{attributes}indptr")) {
        let origin = Origin::part(path, attributes.trim_end_matches(['_', '.']));
        draft.features = Some(Features::Sparse(parts(&mut archive, attributes)?.features(origin)?));
    } else if let Some(array) = first(&mut archive, &["attr_matrix", "attr", "features"])? {
        draft.features = Some(Features::Dense(dense(&array)?));
    }
    if let Some(array) = archive.get("labels")? {
        let classes = array.integers()?;
        let tokens: Vec<(u32, String)> = (0..).zip(classes.iter().map(i64::to_string)).collect();
        check_rows(&array, "labels", nodes)?;
        let mut labels = classes_of(nodes, tokens.iter().map(|(node, class)| (*node, class.as_bytes())), path)?;
        if let Some(names) = archive.get("class_names")? {
            labels = named(labels, &names)?;
        }
        draft.labels = Some(labels);
    }
    Ok(draft)
}

/// The names of the classes, where there is one for each number.
fn named(labels: Labels, names: &Array) -> Result<Labels, GraphError> {
    let texts = names.texts()?;
    Ok(if texts.len() == labels.num_classes() { labels.with_names(texts) } else { labels })
}

fn first(archive: &mut Archive<'_>, names: &[&str]) -> Result<Option<Array>, GraphError> {
    match names.iter().find(|name| archive.has(name)) {
        Some(name) => archive.get(name),
        None => Ok(None),
    }
}

fn check_rows(array: &Array, what: &str, nodes: usize) -> Result<(), GraphError> {
    let found = array.len();
    if found == nodes && array.shape.len() == 1 {
        return Ok(());
    }
    let found = format!("{what} of shape {:?}", array.shape);
    Err(array.origin.clone().malformed(found, format!("one for each of the {nodes} nodes")))
}

/// A dense table.
fn dense(array: &Array) -> Result<Array2<f32>, GraphError> {
    let unfit = || array.origin.clone().malformed(format!("shape {:?}", array.shape), "a table of nodes x features");
    let [rows, columns] = array.shape[..] else { return Err(unfit()) };
    let values = array.floats()?.into_iter().map(|value| value as f32).collect();
    Array2::from_shape_vec((rows, columns), values).map_err(|_| unfit())
}

/// Reads a split from `train_mask`, `val_mask`, `test_mask`.
pub(super) fn read_split(path: &Path, nodes: usize, options: &ReadOptions) -> Result<NodeSplit, GraphError> {
    let bytes = file_bytes(path, options)?;
    let mut archive = Archive::open(path, &bytes, options.max_bytes)?;
    let mut part = |name: &str| -> Result<Vec<u32>, GraphError> {
        let array = archive.need(name)?;
        check_rows(&array, "a mask", nodes)?;
        let mask = array.integers()?;
        Ok((0..).zip(mask).filter(|(_, marked)| *marked != 0).map(|(node, _)| node).collect())
    };
    Ok(NodeSplit::new(part("train_mask")?, part("val_mask")?, part("test_mask")?))
}
