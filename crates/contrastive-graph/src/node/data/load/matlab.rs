//! Graphs in MATLAB 5 files: matrices of numbers, full or sparse, packed or not. Nothing else of the format is read, and
//! variables that no graph needs are left alone.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::super::clean::{Edges, Places};
use super::super::error::{GraphError, Origin};
use super::super::features::Features;
use super::super::graph::Draft;
use super::ids::classes_of;
use super::npy::Array;
use super::npz::bags;
use super::{MAX_FEATURES, ReadOptions, file_bytes, name_of};
use crate::user_item::data::excerpt;

const ADJACENCY: &[&str] = &["network", "adjacency", "adj", "a", "w"];
const ATTRIBUTES: &[&str] = &["attributes", "attribute", "features", "feature", "attrb", "x"];
const LABELS: &[&str] = &["label", "labels", "group", "y", "gnd"];

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const SPARSE: u8 = 5;

/// A matrix: its places in column order with their values, as they stand in the file.
struct Matrix {
    rows: usize,
    columns: usize,
    /// (row, column, value), without the zeros of a full matrix.
    entries: Vec<(u32, u32, f64)>,
    sparse: bool,
    origin: Origin,
}

/// A data element: its type, its bytes, and what follows it.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
    rest: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// The next element; inside a matrix and for packed elements sizes are rounded up to 8 bytes alike.
fn element<'a>(bytes: &'a [u8], origin: &Origin) -> Result<Element<'a>, GraphError> {
    let short = || origin.clone().malformed(format!("{} bytes", bytes.len()), "a whole data element");
    let (tag, size) = (word(bytes, 0).ok_or_else(short)?, word(bytes, 4).ok_or_else(short)?);
    if tag >> 16 != 0 {
        let (size, kind) = ((tag >> 16) as usize, tag & 0xffff);
        let data = bytes.get(4..4 + size).filter(|_| size <= 4).ok_or_else(short)?;
        return Ok(Element { kind, data, rest: &bytes[8..] });
    }
    let end = 8 + size as usize;
    let data = bytes.get(8..end).ok_or_else(short)?;
    let padded = if tag == COMPRESSED { end } else { end.next_multiple_of(8) };
    Ok(Element { kind: tag, data, rest: bytes.get(padded..).unwrap_or(&[]) })
}

/// The numbers of an element.
fn numbers(element: &Element<'_>, origin: &Origin) -> Result<Array, GraphError> {
    let (name, size) = match element.kind {
        1 => ("i1", 1),
        2 => ("u1", 1),
        3 => ("i2", 2),
        4 => ("u2", 2),
        5 => ("i4", 4),
        6 => ("u4", 4),
        7 => ("f4", 4),
        9 => ("f8", 8),
        12 => ("i8", 8),
        13 => ("u8", 8),
        kind => return Err(origin.clone().malformed(format!("data type {kind}"), "numbers of 1 to 8 bytes")),
    };
    Array::raw(name, vec![element.data.len() / size], element.data, origin.clone())
}

/// The wanted variable in a matrix element.
fn matrix(bytes: &[u8], path: &Path, wanted: &[&[&str]]) -> Result<Option<(usize, Matrix)>, GraphError> {
    let origin = Origin::file(path);
    let flags = element(bytes, &origin)?;
    let dimensions = element(flags.rest, &origin)?;
    let name = element(dimensions.rest, &origin)?;
    let text = String::from_utf8_lossy(name.data).to_lowercase();
    let Some(role) = wanted.iter().position(|names| names.contains(&&text[..])) else { return Ok(None) };
    let origin = Origin::part(path, &excerpt(name.data));
    let unfit = |found: String, allowed: &str| origin.clone().malformed(found, allowed);
    let sides = numbers(&dimensions, &origin)?.indices()?;
    let &[rows, columns] = &sides[..] else { return Err(unfit(format!("{} dimensions", sides.len()), "a matrix")) };
    for side in [rows, columns] {
        if side > u32::MAX.into() {
            return Err(origin.limit("a side of the matrix", side, u32::MAX.into()));
        }
    }
    let (class, flag) = match flags.data {
        [class, flag, ..] => (*class, *flag),
        _ => return Err(unfit("no array flags".into(), "a matrix")),
    };
    if flag & 8 != 0 || !(SPARSE..=15).contains(&class) {
        return Err(unfit(format!("array class {class}"), "a real matrix of numbers, full or sparse"));
    }
    let mut entries = Vec::new();
    if class == SPARSE {
        let ir = element(name.rest, &origin)?;
        let jc = element(ir.rest, &origin)?;
        let pr = element(jc.rest, &origin)?;
        let (ir, jc) = (numbers(&ir, &origin)?.indices()?, numbers(&jc, &origin)?.indices()?);
        let values = numbers(&pr, &origin)?.floats()?;
        let ends = jc.last().copied().unwrap_or(1);
        let ascending = jc.first() == Some(&0) && jc.windows(2).all(|pair| pair[0] <= pair[1]);
        if jc.len() as u64 != columns + 1 || !ascending || ends > ir.len() as u64 || ends > values.len() as u64 {
            let found = format!("{} column starts, {} rows, {} values", jc.len(), ir.len(), values.len());
            return Err(unfit(found, "column starts from 0 to the number of entries, one more than columns"));
        }
        for column in 0..columns as usize {
            for at in jc[column] as usize..jc[column + 1] as usize {
                if ir[at] >= rows {
                    return Err(unfit(format!("row {}", ir[at]), "rows within the matrix"));
                }
                entries.push((ir[at] as u32, column as u32, values[at]));
            }
        }
    } else {
        let values = numbers(&element(name.rest, &origin)?, &origin)?.floats()?;
        if rows.checked_mul(columns) != Some(values.len() as u64) {
            return Err(unfit(format!("{} values for {rows} x {columns}", values.len()), "a value for each place"));
        }
        let place = |(at, value): (usize, f64)| ((at as u64 % rows) as u32, (at as u64 / rows) as u32, value);
        entries.extend(values.into_iter().enumerate().map(place).filter(|entry| entry.2 != 0.0));
    }
    let (rows, columns, sparse) = (rows as usize, columns as usize, class == SPARSE);
    Ok(Some((role, Matrix { rows, columns, entries, sparse, origin })))
}

/// The adjacency, attributes and labels of a file, as far as they are there.
fn matrices(path: &Path, bytes: &[u8], options: &ReadOptions) -> Result<[Option<Matrix>; 3], GraphError> {
    let bad = |found: String| {
        Origin::byte(path, 0).malformed(found, "a MATLAB 5 file (little-endian), as `save -v7` writes it")
    };
    let Some(header) = bytes.get(..128) else { return Err(bad(format!("{} bytes", bytes.len()))) };
    if header[124..128] != [0, 1, b'I', b'M'] {
        return Err(bad(format!("version and byte order {:?}", &header[124..128])));
    }
    let wanted = [ADJACENCY, ATTRIBUTES, LABELS];
    let mut found = [None, None, None];
    let mut rest = &bytes[128..];
    let mut left = options.max_bytes;
    while !rest.is_empty() {
        let origin = Origin::byte(path, bytes.len() - rest.len());
        let outer = element(rest, &origin)?;
        rest = outer.rest;
        let mut unpacked = Vec::new();
        let inner = if outer.kind == COMPRESSED {
            let read = ZlibDecoder::new(outer.data).take(left + 1).read_to_end(&mut unpacked);
            read.map_err(|error| {
                origin.clone().malformed(format!("cannot be unpacked: {error}"), "undamaged zlib data")
            })?;
            if unpacked.len() as u64 > left {
                return Err(origin.limit("the unpacked size in bytes", unpacked.len() as u64, left));
            }
            left -= unpacked.len() as u64;
            element(&unpacked, &origin)?
        } else {
            outer
        };
        if inner.kind == MATRIX
            && let Some((role, matrix)) = matrix(inner.data, path, &wanted)?
        {
            found[role].get_or_insert(matrix);
        }
    }
    Ok(found)
}

/// Reads a graph.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let bytes = file_bytes(path, options)?;
    let [adjacency, attributes, labels] = matrices(path, &bytes, options)?;
    let Some(adjacency) = adjacency else {
        let allowed = format!("a matrix named {} (in any case)", ADJACENCY.join(", "));
        return Err(Origin::file(path).malformed("no adjacency matrix", allowed));
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
    let pairs = adjacency.entries.iter().map(|&(from, to, _)| (from, to)).collect();
    let weights = adjacency.entries.iter().map(|entry| entry.2).collect();
    let edges = Edges { pairs, weights, places: Places::File(path.to_path_buf()), unordered: false };
    let mut draft = Draft::new(name_of(path), nodes, edges);
    if let Some(matrix) = attributes {
        fits(&matrix, matrix.columns)?;
        if matrix.columns as u64 > MAX_FEATURES {
            return Err(matrix.origin.limit("the number of features", matrix.columns as u64, MAX_FEATURES));
        }
        let narrow: Vec<_> = matrix.entries.iter().map(|&(row, column, value)| (row, column, value as f32)).collect();
        let rows = Features::Sparse(bags(nodes, matrix.columns, &narrow, matrix.origin)?);
        // a table in which most values differ from 0 is no bag of words
        let full = !matrix.sparse && 2 * narrow.len() > nodes * matrix.columns;
        draft.features = Some(if full { Features::Dense(rows.to_dense()) } else { rows });
    }
    if let Some(matrix) = labels {
        let column = matrix.columns == 1;
        fits(&matrix, matrix.columns)?;
        // one column holds class numbers; several hold a mark for each class
        let token = |&(node, class, value): &(u32, u32, f64)| {
            (node, if column { value.to_string() } else { class.to_string() })
        };
        let tokens: Vec<(u32, String)> = matrix.entries.iter().map(token).collect();
        let classes = tokens.iter().map(|(node, class)| (*node, class.as_bytes()));
        draft.labels = Some(classes_of(nodes, classes, path)?);
    }
    Ok(draft)
}
