//! The compressed-sparse-row matrix.

use super::{Entry, SparseError};
use crate::Real;

/// A sparse matrix in compressed rows: row `i` holds the entries `indptr[i]..indptr[i + 1]` of `indices` (its columns,
/// strictly increasing) and of `values` (finite). Counts are a `Csr<u64>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr<T> {
    rows: usize,
    cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<T>,
}

pub(super) fn check_shape(rows: usize, cols: usize) -> Result<(), SparseError> {
    match rows.max(cols) > u32::MAX as usize {
        true => Err(SparseError::TooLarge { rows, cols }),
        false => Ok(()),
    }
}

/// Row pointer of rows with the given numbers of entries.
fn pointer(counts: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut end = 0;
    std::iter::once(0)
        .chain(counts.into_iter().map(|count| {
            end += count;
            end
        }))
        .collect()
}

impl<T: Real> Csr<T> {
    /// A matrix of `rows x cols` from entries (row, column, value) in any order; entries at one place are summed, in the
    /// order given. A value of 0 stays a stored entry.
    ///
    /// # Errors
    /// [`SparseError::TooLarge`], `RowOutOfRange`, `ColumnOutOfRange`, `NonFinite` (also when a sum of duplicates overflows;
    /// then the position is that of the last duplicate).
    pub fn from_triplets(rows: usize, cols: usize, triplets: &[(u32, u32, T)]) -> Result<Self, SparseError> {
        T::csr_from_triplets(rows, cols, triplets)
    }

    pub(crate) fn from_triplets_generic(
        rows: usize,
        cols: usize,
        triplets: &[(u32, u32, T)],
    ) -> Result<Self, SparseError> {
        check_shape(rows, cols)?;
        let mut counts = vec![0usize; rows];
        for (at, &(row, column, value)) in triplets.iter().enumerate() {
            if row as usize >= rows {
                return Err(SparseError::RowOutOfRange { at, row, rows });
            }
            if column as usize >= cols {
                return Err(SparseError::ColumnOutOfRange { at, column, cols });
            }
            if !value.is_finite() {
                return Err(SparseError::NonFinite { at, value: value.f64() });
            }
            counts[row as usize] += 1;
        }
        let starts = pointer(counts);
        let mut next = starts.clone();
        let mut order = vec![0usize; triplets.len()];
        for (at, triplet) in triplets.iter().enumerate() {
            let slot = &mut next[triplet.0 as usize];
            order[*slot] = at;
            *slot += 1;
        }
        let mut indptr = Vec::with_capacity(rows + 1);
        let (mut indices, mut values) = (Vec::with_capacity(triplets.len()), Vec::<T>::with_capacity(triplets.len()));
        indptr.push(0);
        for row in 0..rows {
            let entries = &mut order[starts[row]..starts[row + 1]];
            entries.sort_by_key(|&at| triplets[at].1);
            let first = indices.len();
            for &mut at in entries {
                let (_, column, value) = triplets[at];
                if indices.len() > first && indices.last() == Some(&column) {
                    let sum = values.last_mut().expect("as many values as columns");
                    *sum += value;
                    if !sum.is_finite() {
                        return Err(SparseError::NonFinite { at, value: sum.f64() });
                    }
                } else {
                    indices.push(column);
                    values.push(value);
                }
            }
            indptr.push(indices.len());
        }
        Ok(Self { rows, cols, indptr, indices, values })
    }
}

impl<T: Entry> Csr<T> {
    /// A matrix from its parts.
    ///
    /// # Errors
    /// Any [`SparseError`] but `RowOutOfRange`: lengths that do not match, a row pointer that does not run from 0 to the number
    /// of entries without decreasing, columns out of range or not strictly increasing within a row, values that are not finite.
    pub fn from_parts(
        rows: usize,
        cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<T>,
    ) -> Result<Self, SparseError> {
        check_shape(rows, cols)?;
        if indptr.len() != rows + 1 {
            return Err(SparseError::PointerLength { found: indptr.len(), expected: rows + 1 });
        }
        if indices.len() != values.len() {
            return Err(SparseError::ValueCount { indices: indices.len(), values: values.len() });
        }
        if indptr[0] != 0 {
            return Err(SparseError::PointerStart { found: indptr[0] });
        }
        if let Some(row) = (0..rows).find(|&row| indptr[row + 1] < indptr[row]) {
            return Err(SparseError::PointerDecreases { row, start: indptr[row], end: indptr[row + 1] });
        }
        if indptr[rows] != indices.len() {
            return Err(SparseError::PointerEnd { found: indptr[rows], entries: indices.len() });
        }
        for row in 0..rows {
            for at in indptr[row]..indptr[row + 1] {
                if indices[at] as usize >= cols {
                    return Err(SparseError::ColumnOutOfRange { at, column: indices[at], cols });
                }
                if at > indptr[row] && indices[at] <= indices[at - 1] {
                    return Err(SparseError::Unsorted { row, at });
                }
            }
        }
        if let Some(at) = values.iter().position(|v| !v.is_sound()) {
            return Err(SparseError::NonFinite { at, value: values[at].real() });
        }
        Ok(Self { rows, cols, indptr, indices, values })
    }

    /// From parts that are known to be sound.
    pub(super) fn from_checked(
        rows: usize,
        cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<T>,
    ) -> Self {
        Self { rows, cols, indptr, indices, values }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// Where each row starts, and the number of entries at the end: `rows + 1` numbers.
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// The column of every entry, row after row.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The value of every entry, row after row.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Columns and values of one row.
    ///
    /// # Panics
    /// When the matrix has no such row.
    pub fn row(&self, row: usize) -> (&[u32], &[T]) {
        let range = self.indptr[row]..self.indptr[row + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// The stored value at a place.
    ///
    /// # Panics
    /// When the matrix has no such row.
    pub fn get(&self, row: usize, column: u32) -> Option<T> {
        let (columns, values) = self.row(row);
        columns.binary_search(&column).ok().map(|at| values[at])
    }

    /// The transpose, in rows as well.
    pub fn transpose(&self) -> Self {
        T::csr_transpose(self)
    }

    pub(crate) fn transpose_generic(&self) -> Self {
        let mut counts = vec![0usize; self.cols];
        for &column in &self.indices {
            counts[column as usize] += 1;
        }
        let indptr = pointer(counts);
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.nnz()];
        let mut values = vec![T::default(); self.nnz()];
        for row in 0..self.rows {
            let (columns, entries) = self.row(row);
            for (&column, &value) in columns.iter().zip(entries) {
                let slot = &mut next[column as usize];
                indices[*slot] = row as u32;
                values[*slot] = value;
                *slot += 1;
            }
        }
        Self { rows: self.cols, cols: self.rows, indptr, indices, values }
    }

    /// The same pattern with the value `f(value)` at every entry, possibly of another type.
    ///
    /// # Panics
    /// When `f` returns a number that is not finite.
    pub fn map_values<U: Entry>(&self, mut f: impl FnMut(T) -> U) -> Csr<U> {
        self.map_entries(|_, _, value| f(value))
    }

    /// The same pattern with the value `f(row, column, value)` at every entry, for instance a normalisation by degrees.
    ///
    /// # Panics
    /// When `f` returns a number that is not finite.
    pub fn map_entries<U: Entry>(&self, mut f: impl FnMut(usize, usize, T) -> U) -> Csr<U> {
        let mut values = Vec::with_capacity(self.nnz());
        for row in 0..self.rows {
            let (columns, entries) = self.row(row);
            for (&column, &value) in columns.iter().zip(entries) {
                let new = f(row, column as usize, value);
                assert!(new.is_sound(), "value {new} at ({row}, {column}) from {value}: it must be finite");
                values.push(new);
            }
        }
        let (indptr, indices) = (self.indptr.clone(), self.indices.clone());
        Csr { rows: self.rows, cols: self.cols, indptr, indices, values }
    }
}

impl<T: Real> Csr<T> {
    /// The same matrix with values rounded to another element type.
    ///
    /// # Panics
    /// When a value overflows the new type.
    pub fn cast<U: Real>(&self) -> Csr<U> {
        self.map_values(|value| U::of(value.f64()))
    }

    /// The symmetric adjacency matrix `[[0, A], [A^T, 0]]` of the bipartite graph whose biadjacency matrix this is, of
    /// size `rows + cols`: rows keep their numbers, column `j` becomes node `rows + j`.
    ///
    /// # Errors
    /// [`SparseError::TooLarge`] when `rows + cols` exceeds a `u32`.
    pub fn bipartite(&self) -> Result<Self, SparseError> {
        let (size, transposed) = (self.rows + self.cols, self.transpose());
        check_shape(size, size)?;
        let indptr = self.indptr.iter().copied().chain(transposed.indptr[1..].iter().map(|p| p + self.nnz())).collect();
        let shift = self.rows as u32;
        let indices = self.indices.iter().map(|c| c + shift).chain(transposed.indices).collect();
        let values = self.values.iter().copied().chain(transposed.values).collect();
        Ok(Self { rows: size, cols: size, indptr, indices, values })
    }

    /// The same matrix with rows and columns renumbered: row `i` becomes row `new_row[i]`, likewise for columns.
    ///
    /// # Panics
    /// When a list is not a permutation of the rows (columns).
    pub fn relabel(&self, new_row: &[u32], new_column: &[u32]) -> Self {
        T::csr_relabel(self, new_row, new_column)
    }

    pub(crate) fn relabel_generic(&self, new_row: &[u32], new_column: &[u32]) -> Self {
        let old_row = super::order::inverse(new_row, self.rows, "rows");
        super::order::inverse(new_column, self.cols, "columns");
        let indptr = pointer(old_row.iter().map(|&old| self.row(old as usize).0.len()));
        let (mut indices, mut values) = (Vec::with_capacity(self.nnz()), Vec::with_capacity(self.nnz()));
        let mut entries = Vec::new();
        for &old in &old_row {
            let (columns, row_values) = self.row(old as usize);
            entries.clear();
            entries.extend(columns.iter().zip(row_values).map(|(&c, &v)| (new_column[c as usize], v)));
            entries.sort_unstable_by_key(|entry| entry.0);
            indices.extend(entries.iter().map(|entry| entry.0));
            values.extend(entries.iter().map(|entry| entry.1));
        }
        Self { rows: self.rows, cols: self.cols, indptr, indices, values }
    }
}
