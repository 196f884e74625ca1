//! Graphs in MATLAB 5 files.

use std::path::Path;

use contrastive_data::{Cells, Limits, Matrix, Origin, matlab_matrices};

use super::super::clean::{Edges, Places};
use super::super::error::GraphError;
use super::super::features::Features;
use super::super::graph::Draft;
use super::super::note::GraphNote;
use super::npz::{bags, dense};
use super::{MAX_FEATURES, ReadOptions, classes_of, file_bytes, name_of};

const ADJACENCY: &[&str] = &["network", "adjacency", "adj", "a", "w", "net", "graph"];
const ATTRIBUTES: &[&str] = &["attributes", "attribute", "features", "feature", "attrb", "x", "feat", "attr"];
const LABELS: &[&str] = &["label", "labels", "group", "y", "gnd", "class", "classes"];

/// Reads a graph.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let bytes = file_bytes(path, options)?;
    let packed = bytes.len();
    let limits = Limits::new(options.max_bytes);
    let mut found = matlab_matrices(path, &bytes, &[ADJACENCY, ATTRIBUTES, LABELS], &limits)?;
    let (labels, attributes, adjacency) = (found.pop().flatten(), found.pop().flatten(), found.pop().flatten());
    drop(bytes);
    let Some(adjacency) = adjacency else {
        let allowed = format!("a matrix named {} (in any case)", ADJACENCY.join(", "));
        return Err(Origin::file(path).malformed("no adjacency matrix", allowed).into());
    };
    let nodes = adjacency.rows;
    let fits = |matrix: &Matrix, columns: usize| {
        if matrix.rows == nodes && matrix.columns == columns {
            return Ok(());
        }
        let found = format!("{} x {}", matrix.rows, matrix.columns);
        Err(matrix.origin.clone().malformed(found, format!("{nodes} x {columns}, to fit the adjacency")))
    };
    fits(&adjacency, nodes)?;
    let entries = adjacency.triplets(packed)?.entries;
    let pairs = entries.iter().map(|&(from, to, _)| (from, to)).collect();
    let weights = entries.iter().map(|entry| entry.2).collect();
    let edges = Edges { pairs, weights, places: Places::File(path.to_path_buf()), unordered: false };
    let mut draft = Draft::new(name_of(path), nodes, edges);
    drop(entries);
    if let Some(matrix) = attributes {
        fits(&matrix, matrix.columns)?;
        if matrix.columns as u64 > MAX_FEATURES {
            return Err(matrix.origin.limit("the number of features", matrix.columns as u64, MAX_FEATURES).into());
        }
        draft.features = Some(features(matrix, packed)?);
    }
    if let Some(matrix) = labels {
        label(&mut draft, &matrix, nodes, packed, path)?;
    }
    Ok(draft)
}

/// A table in which most values differ from 0 is no bag of words.
fn features(matrix: Matrix, packed: usize) -> Result<Features, GraphError> {
    if let Cells::Full(array) = &matrix.cells
        && 2 * array.count_nonzero()? > array.len() as u64
    {
        return Ok(Features::Dense(dense(array)?));
    }
    let entries = matrix.triplets(packed)?.entries;
    let narrow: Vec<_> = entries.iter().map(|&(row, column, value)| (row, column, value as f32)).collect();
    drop(entries);
    Ok(Features::Sparse(bags(matrix.rows, matrix.columns, &narrow, matrix.origin)?))
}

/// One column or row holds class numbers, 0 among them; several columns (or, turned, rows) hold a mark for each class.
fn label(draft: &mut Draft, matrix: &Matrix, nodes: usize, packed: usize, path: &Path) -> Result<(), GraphError> {
    let single = matrix.rows.min(matrix.columns) == 1 && matrix.rows.max(matrix.columns) == nodes;
    let mut tokens: Vec<(u32, String)> = Vec::new();
    if single {
        let values = matrix.vector().expect("one row or column");
        let mut stored = vec![true; nodes];
        if let Cells::Sparse(triplets) = &matrix.cells {
            stored.fill(false);
            triplets.entries.iter().for_each(|&(row, column, _)| stored[row.max(column) as usize] = true);
            // zeros that are stored are a class, so what is not stored is none
            let zeros = triplets.entries.iter().any(|entry| entry.2 == 0.0);
            let absent = stored.iter().filter(|&&stored| !stored).count();
            if absent > 0 && !zeros {
                draft.notes.push(GraphNote::ImpliedClass { count: absent });
                stored.fill(true);
            }
        }
        let known = (0u32..).zip(values).filter(|&(node, value)| stored[node as usize] && value.is_finite());
        tokens.extend(known.map(|(node, class)| (node, class.to_string())));
    } else {
        let turned = matrix.rows != nodes && matrix.columns == nodes;
        if matrix.rows != nodes && !turned {
            let found = format!("{} x {}", matrix.rows, matrix.columns);
            let allowed = format!("{nodes} x 1, 1 x {nodes}, or a column of marks for each class");
            return Err(matrix.origin.clone().malformed(found, allowed).into());
        }
        for (row, column, value) in matrix.triplets(packed)?.entries {
            let (node, class) = if turned { (column, row) } else { (row, column) };
            if value != 0.0 {
                tokens.push((node, class.to_string()));
            }
        }
    }
    let classes = tokens.iter().map(|(node, class)| (*node, class.as_bytes()));
    draft.labels = Some(classes_of(nodes, classes, path)?);
    Ok(())
}
