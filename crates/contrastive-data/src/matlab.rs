//! Matrices in MATLAB 5 files: numbers, full or sparse, packed or not. Nothing else of the format is read, and variables that
//! nobody asks for are left alone.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::error::FileError;
use super::lines::excerpt;
use super::npy::Array;
use super::open::Limits;
use super::place::Origin;
use super::sparse::{Compressed, Triplets};

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const CELL: u8 = 1;
const SPARSE: u8 = 5;

/// A matrix of a MATLAB file.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Its name in the file.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Its values.
    pub cells: Cells,
    /// Where it stands.
    pub origin: Origin,
}

/// The values of a [`Matrix`].
#[derive(Clone, Debug)]
pub enum Cells {
    /// Every value, `[rows, columns]` in row-major order.
    Full(Array),
    /// Those that are stored, in column order.
    Sparse(Triplets),
}

impl Matrix {
    /// The values that are not 0, in a full matrix row by row.
    ///
    /// # Errors
    /// [`FileError::Limit`] for more of them than `packed` bytes may claim.
    pub fn triplets(&self, packed: usize) -> Result<Triplets, FileError> {
        match &self.cells {
            Cells::Full(array) => Triplets::full(array, packed),
            Cells::Sparse(triplets) => Ok(triplets.clone()),
        }
    }

    /// The values of a single row or a single column: a value for each place, those that a sparse matrix does not store being 0.
    /// `None` for a matrix of several rows and columns.
    pub fn vector(&self) -> Option<Vec<f64>> {
        if self.rows != 1 && self.columns != 1 {
            return None;
        }
        match &self.cells {
            Cells::Full(array) => array.floats().ok(),
            Cells::Sparse(triplets) => {
                let mut values = vec![0.0; self.rows.max(self.columns)];
                for &(row, column, value) in &triplets.entries {
                    values[row.max(column) as usize] = value;
                }
                Some(values)
            }
        }
    }
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
fn element<'a>(bytes: &'a [u8], origin: &Origin) -> Result<Element<'a>, FileError> {
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

/// The numbers of an element in a given shape.
fn numbers(element: &Element<'_>, shape: Option<Vec<usize>>, origin: &Origin) -> Result<Array, FileError> {
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
    let shape = shape.unwrap_or_else(|| vec![element.data.len() / size]);
    Array::raw(name, shape, element.data.to_vec(), origin.clone())
}

/// The wanted variable in a matrix element, with the place of its name among those wanted.
fn matrix(bytes: &[u8], path: &Path, wanted: &[&[&str]], packed: usize) -> Result<Option<(usize, Matrix)>, FileError> {
    let origin = Origin::file(path);
    let flags = element(bytes, &origin)?;
    let dimensions = element(flags.rest, &origin)?;
    let name = element(dimensions.rest, &origin)?;
    let text = String::from_utf8_lossy(name.data).to_lowercase();
    let Some(role) = wanted.iter().position(|names| names.contains(&&text[..])) else { return Ok(None) };
    let origin = Origin::part(path, &excerpt(name.data));
    let unfit = |found: String, allowed: &str| origin.clone().malformed(found, allowed);
    let (class, flag) = match flags.data {
        [class, flag, ..] => (*class, *flag),
        _ => return Err(unfit("no array flags".into(), "a matrix")),
    };
    if flag & 8 != 0 || !(SPARSE..=15).contains(&class) {
        let what = if class == CELL { "a cell array".to_owned() } else { format!("array class {class}") };
        return Err(unfit(what, "a real matrix of numbers, full or sparse"));
    }
    let sides = numbers(&dimensions, None, &origin)?.indices()?;
    let &[rows, columns] = &sides[..] else { return Err(unfit(format!("{} dimensions", sides.len()), "a matrix")) };
    for side in [rows, columns] {
        if side > u32::MAX.into() {
            return Err(origin.limit("a side of the matrix", side, u32::MAX.into()));
        }
    }
    let cells = if class == SPARSE {
        let ir = element(name.rest, &origin)?;
        let jc = element(ir.rest, &origin)?;
        let pr = element(jc.rest, &origin)?;
        let starts = numbers(&jc, None, &origin)?;
        let entries = starts.indices()?.last().copied().unwrap_or(0);
        let shape = [rows, columns].map(u64::to_le_bytes).concat();
        let shape = Array::raw("u8", vec![2], shape, origin.clone())?;
        // room for more entries than there are may be reserved
        let (ir, pr) = (leading(&ir, entries, &origin)?, leading(&pr, entries, &origin)?);
        Cells::Sparse(Triplets::compressed(Compressed::Columns, &shape, &starts, &ir, Some(&pr), packed)?)
    } else {
        let shape = vec![rows as usize, columns as usize];
        Cells::Full(numbers(&element(name.rest, &origin)?, Some(shape), &origin)?.from_column_major())
    };
    let name = String::from_utf8_lossy(name.data).into_owned();
    Ok(Some((role, Matrix { name, rows: rows as usize, columns: columns as usize, cells, origin })))
}

/// The first `count` numbers of an element.
fn leading(element: &Element<'_>, count: u64, origin: &Origin) -> Result<Array, FileError> {
    let all = numbers(element, None, origin)?;
    let size = element.data.len().checked_div(all.len()).unwrap_or(1);
    match usize::try_from(count).ok().filter(|&count| count <= all.len()) {
        Some(count) => {
            let part = Element { kind: element.kind, data: &element.data[..count * size], rest: &[] };
            numbers(&part, None, origin)
        }
        None => Err(origin.clone().malformed(format!("{} numbers", all.len()), format!("{count}, one for each entry"))),
    }
}

/// Whether bytes begin as a MATLAB file of version 5 to 7.2 does.
pub fn is_matlab(bytes: &[u8]) -> bool {
    bytes.get(124..128).is_some_and(|end| end == [0, 1, b'I', b'M'] || end == [1, 0, b'M', b'I'])
}

/// The first matrix under one of the names of each list (in any case), as far as they are there.
///
/// # Errors
/// [`FileError::Malformed`] for a file of another kind (also MATLAB's 4 and 7.3), damaged data, and a wanted variable that is no real
/// matrix of numbers; [`FileError::Limit`] for data that unpacks to more than [`Limits::unpacked`] says.
pub fn matlab_matrices(
    path: &Path,
    bytes: &[u8],
    wanted: &[&[&str]],
    limits: &Limits,
) -> Result<Vec<Option<Matrix>>, FileError> {
    let allowed = "a MATLAB 5 file (little-endian), as `save -v7` or scipy.io.savemat writes it";
    let bad = |found: String| Origin::byte(path, 0).malformed(found, allowed);
    if bytes.starts_with(b"MATLAB 7.3") || bytes.starts_with(b"\x89HDF") {
        return Err(bad("a MATLAB 7.3 file (HDF5)".into()));
    }
    let Some(header) = bytes.get(..128) else { return Err(bad(format!("{} bytes", bytes.len()))) };
    if header[124..128] != [0, 1, b'I', b'M'] {
        return Err(bad(format!("version and byte order {:?}", &header[124..128])));
    }
    let mut found: Vec<Option<Matrix>> = wanted.iter().map(|_| None).collect();
    let mut rest = &bytes[128..];
    let mut left = limits.unpacked(bytes.len());
    while !rest.is_empty() {
        let origin = Origin::byte(path, bytes.len() - rest.len());
        let outer = element(rest, &origin)?;
        rest = outer.rest;
        let mut unpacked = Vec::new();
        let inner = if outer.kind == COMPRESSED {
            let damaged = |error: std::io::Error| {
                origin.clone().malformed(format!("cannot be unpacked: {error}"), "undamaged zlib data")
            };
            // only counted at first: data that unpacks to too much costs no memory
            let mut counted = ZlibDecoder::new(outer.data).take(left.saturating_add(1));
            let size = std::io::copy(&mut counted, &mut std::io::sink()).map_err(damaged)?;
            if size > left {
                return Err(origin.limit("the unpacked size in bytes", size, left));
            }
            unpacked.reserve_exact(size as usize);
            ZlibDecoder::new(outer.data).take(size).read_to_end(&mut unpacked).map_err(damaged)?;
            left -= size;
            element(&unpacked, &origin)?
        } else {
            outer
        };
        if inner.kind == MATRIX
            && let Some((role, matrix)) = matrix(inner.data, path, wanted, bytes.len())?
        {
            found[role].get_or_insert(matrix);
        }
    }
    Ok(found)
}
