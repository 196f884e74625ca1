//! Sparse matrices as scipy and MATLAB write them, checked part against part.

use super::error::FileError;
use super::npy::Array;
use super::open::Limits;
use super::place::Origin;

/// A matrix as a list of its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Triplets {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// (row, column, value), within the sides, in the order of the file. A place may occur twice.
    pub entries: Vec<(u32, u32, f64)>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Which of the two sides the compressed lists belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressed {
    /// A list for each row (scipy's csr).
    Rows,
    /// A list for each column (scipy's csc, MATLAB).
    Columns,
}

impl Triplets {
    /// From compressed lists: `starts` has one element more than there are lists, `indices` one for each entry, as `values` has
    /// (1 without it). `packed` is the size of the file, by which the number of entries is bounded ([`Limits::things`]).
    ///
    /// # Errors
    /// [`FileError::Malformed`] for parts that do not fit each other, [`FileError::Limit`] for too many lists or entries.
    pub fn compressed(
        side: Compressed,
        shape: &Array,
        starts: &Array,
        indices: &Array,
        values: Option<&Array>,
        packed: usize,
    ) -> Result<Self, FileError> {
        let (rows, columns) = sides(shape)?;
        let (lists, other, name) = match side {
            Compressed::Rows => (rows, columns, "row"),
            Compressed::Columns => (columns, rows, "column"),
        };
        let count = starts.len() as u64;
        if lists.checked_add(1) != Some(count) {
            let found = format!("{count} {name} starts for {lists} {name}s");
            return Err(starts.origin().clone().malformed(found, format!("one more than {name}s")));
        }
        let entries = indices.len() as u64;
        bounded(
            starts.origin(),
            if side == Compressed::Rows { "the number of rows" } else { "the number of columns" },
            count,
            packed,
        )?;
        bounded(indices.origin(), "the number of entries", entries, packed)?;
        let starts_at = starts.indices()?;
        let ascending = starts_at[0] == 0 && starts_at.windows(2).all(|ends| ends[0] <= ends[1]);
        if !ascending || starts_at.last() != Some(&entries) {
            let found = format!("{name} starts that do not run from 0 to the {entries} entries without decreasing");
            let allowed = format!("{name} starts from 0 to the number of entries");
            return Err(starts.origin().clone().malformed(found, allowed));
        }
        if other > u64::from(u32::MAX) || lists > u64::from(u32::MAX) {
            let what = if side == Compressed::Rows { "the number of columns" } else { "the number of rows" };
            return Err(shape.origin().clone().limit(what, other.max(lists), u32::MAX.into()));
        }
        let places = indices.below(other)?;
        let values = values_of(values, entries)?;
        let mut all = Vec::with_capacity(places.len());
        for list in 0..lists as usize {
            for at in starts_at[list] as usize..starts_at[list + 1] as usize {
                let value = values.as_ref().map_or(1.0, |values| values[at]);
                all.push(match side {
                    Compressed::Rows => (list as u32, places[at], value),
                    Compressed::Columns => (places[at], list as u32, value),
                });
            }
        }
        let origin = indices.origin().clone();
        Ok(Self { rows: rows as usize, columns: columns as usize, entries: all, origin })
    }

    /// From a row, a column and a value for each entry (scipy's coo).
    ///
    /// # Errors
    /// As [`compressed`](Self::compressed).
    pub fn coordinates(
        shape: &Array,
        rows: &Array,
        columns: &Array,
        values: Option<&Array>,
        packed: usize,
    ) -> Result<Self, FileError> {
        let (height, width) = sides(shape)?;
        let entries = rows.len() as u64;
        bounded(rows.origin(), "the number of entries", entries, packed)?;
        bounded(shape.origin(), "the number of rows", height, packed)?;
        if width > u64::from(u32::MAX) {
            return Err(shape.origin().clone().limit("the number of columns", width, u32::MAX.into()));
        }
        if columns.len() as u64 != entries {
            let found = format!("{} columns for {entries} rows", columns.len());
            return Err(columns.origin().clone().malformed(found, "as many columns as rows"));
        }
        let values = values_of(values, entries)?;
        let at = |at: usize| values.as_ref().map_or(1.0, |values| values[at]);
        let places = rows.below(height)?.into_iter().zip(columns.below(width)?);
        let all = places.enumerate().map(|(place, (row, column))| (row, column, at(place))).collect();
        Ok(Self { rows: height as usize, columns: width as usize, entries: all, origin: rows.origin().clone() })
    }

    /// The entries of a full matrix that are not 0. A list of numbers is a matrix of one column.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for an array of more than two sides or of texts, [`FileError::Limit`] for too many entries.
    pub fn full(array: &Array, packed: usize) -> Result<Self, FileError> {
        let (rows, columns) = match *array.shape() {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            _ => return Err(array.origin().clone().malformed(format!("shape {:?}", array.shape()), "a matrix")),
        };
        bounded(array.origin(), "the number of rows", rows as u64, packed)?;
        if columns as u64 > u64::from(u32::MAX) {
            return Err(array.origin().clone().limit("the number of columns", columns as u64, u32::MAX.into()));
        }
        bounded(array.origin(), "the number of entries", array.count_nonzero()?, packed)?;
        let mut entries = Vec::new();
        for (at, value) in array.iter_f64()?.enumerate().filter(|(_, value)| *value != 0.0) {
            entries.push(((at / columns) as u32, (at % columns) as u32, value));
        }
        Ok(Self { rows, columns, entries, origin: array.origin().clone() })
    }
}

/// Rows and columns.
fn sides(shape: &Array) -> Result<(u64, u64), FileError> {
    match shape.indices()?[..] {
        [rows, columns] => Ok((rows, columns)),
        _ => Err(shape.origin().clone().malformed(format!("{} numbers", shape.len()), "rows and columns")),
    }
}

/// A value for each entry.
fn values_of(values: Option<&Array>, entries: u64) -> Result<Option<Vec<f64>>, FileError> {
    match values {
        None => Ok(None),
        Some(values) if values.len() as u64 == entries => values.floats().map(Some),
        Some(values) => {
            let found = format!("{} values", values.len());
            Err(values.origin().clone().malformed(found, format!("{entries}, one for each index")))
        }
    }
}

/// Refuses more things than a file of `packed` bytes may claim.
pub(crate) fn bounded(origin: &Origin, what: &'static str, count: u64, packed: usize) -> Result<(), FileError> {
    let limit = Limits::things(packed);
    if count > limit { Err(origin.clone().limit(what, count, limit)) } else { Ok(()) }
}
