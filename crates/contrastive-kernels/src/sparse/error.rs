//! What can be wrong with the parts of a sparse matrix.

use std::error::Error;
use std::fmt::{Display, Formatter, Result};

/// Why parts do not form a sparse matrix. Positions count from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum SparseError {
    /// More rows or columns than a `u32` can number.
    TooLarge {
        /// Number of rows asked for.
        rows: usize,
        /// Number of columns asked for.
        cols: usize,
    },
    /// A triplet names a row that the matrix does not have.
    RowOutOfRange {
        /// Position of the triplet.
        at: usize,
        /// The row it names.
        row: u32,
        /// Number of rows of the matrix.
        rows: usize,
    },
    /// An entry names a column that the matrix does not have.
    ColumnOutOfRange {
        /// Position of the entry.
        at: usize,
        /// The column it names.
        column: u32,
        /// Number of columns of the matrix.
        cols: usize,
    },
    /// A value is NaN or infinite.
    NonFinite {
        /// Position of the entry.
        at: usize,
        /// The value.
        value: f64,
    },
    /// The row pointer does not have one entry more than there are rows.
    PointerLength {
        /// Its length.
        found: usize,
        /// `rows + 1`.
        expected: usize,
    },
    /// The row pointer does not start at 0.
    PointerStart {
        /// Its first entry.
        found: usize,
    },
    /// The row pointer decreases.
    PointerDecreases {
        /// The row that would have a negative number of entries.
        row: usize,
        /// Where it starts.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// The row pointer does not end at the number of entries.
    PointerEnd {
        /// Its last entry.
        found: usize,
        /// Number of column indices.
        entries: usize,
    },
    /// There are not as many values as column indices.
    ValueCount {
        /// Number of column indices.
        indices: usize,
        /// Number of values.
        values: usize,
    },
    /// The columns of a row are not strictly increasing.
    Unsorted {
        /// The row.
        row: usize,
        /// Position of the entry that is not above the one before it.
        at: usize,
    },
    /// An entry of a product does not fit its type.
    Overflow {
        /// Its row.
        row: usize,
        /// Its column.
        column: u32,
    },
}

impl Display for SparseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::TooLarge { rows, cols } => {
                write!(f, "sparse matrix of {rows} x {cols}: at most {} rows and columns are allowed", u32::MAX)
            }
            Self::RowOutOfRange { at, row, rows } => {
                write!(f, "sparse entry {at}: row {row} in a matrix of {rows} rows (allowed: below {rows})")
            }
            Self::ColumnOutOfRange { at, column, cols } => {
                write!(f, "sparse entry {at}: column {column} in a matrix of {cols} columns (allowed: below {cols})")
            }
            Self::NonFinite { at, value } => write!(f, "sparse entry {at}: value {value} (allowed: finite numbers)"),
            Self::PointerLength { found, expected } => {
                write!(f, "row pointer of {found} entries (allowed: one more than the rows, {expected})")
            }
            Self::PointerStart { found } => write!(f, "row pointer starts at {found} (allowed: 0)"),
            Self::PointerDecreases { row, start, end } => {
                write!(f, "row pointer of row {row} goes from {start} down to {end} (allowed: non-decreasing)")
            }
            Self::PointerEnd { found, entries } => {
                write!(f, "row pointer ends at {found} (allowed: the number of column indices, {entries})")
            }
            Self::ValueCount { indices, values } => {
                write!(f, "{values} values beside {indices} column indices (allowed: one value an index)")
            }
            Self::Unsorted { row, at } => {
                write!(
                    f,
                    "sparse entry {at}: columns of row {row} do not increase (allowed: strictly increasing columns)"
                )
            }
            Self::Overflow { row, column } => {
                write!(
                    f,
                    "sparse product: overflow at ({row}, {column}) (allowed: counts up to {}, finite numbers)",
                    u64::MAX
                )
            }
        }
    }
}

impl Error for SparseError {}
