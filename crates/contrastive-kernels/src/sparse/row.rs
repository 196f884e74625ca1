//! Sparse matrices made row by row.

use super::{Csr, Entry, SparseError};
use rayon::prelude::*;

/// One sparse row in the making: a sum of multiples of other rows, times matrices, cut to its largest entries.
///
/// Gustavson's way (1978): the sums stand in an array over all columns beside a list of those that were met, so that a product costs one
/// step for each pair of entries, whatever the size of the matrices. A sum that comes to 0 stays an entry.
#[derive(Debug)]
pub struct SparseRow<T> {
    columns: Vec<u32>,
    values: Vec<T>,
    /// Over all columns: what was added since the entries were last listed.
    sums: Vec<T>,
    met: Vec<bool>,
    touched: Vec<u32>,
    before: (Vec<u32>, Vec<T>),
    overflow: Option<u32>,
}

impl<T: Entry> Default for SparseRow<T> {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            values: Vec::new(),
            sums: Vec::new(),
            met: Vec::new(),
            touched: Vec::new(),
            before: Default::default(),
            overflow: None,
        }
    }
}

impl<T: Entry> SparseRow<T> {
    /// Makes it the row of the identity: a one at `column`.
    pub fn set_unit(&mut self, column: u32) {
        self.clear();
        self.columns.push(column);
        self.values.push(T::ONE);
    }

    /// Adds `factor` times a row of a matrix.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn add(&mut self, matrix: &Csr<T>, row: usize, factor: T) {
        self.make_room(matrix.cols());
        if !self.columns.is_empty() {
            let (columns, values) = (std::mem::take(&mut self.columns), std::mem::take(&mut self.values));
            self.add_entries(&columns, &values, T::ONE);
            self.before = (columns, values);
        }
        let (columns, values) = matrix.row(row);
        self.add_entries(columns, values, factor);
    }

    /// Multiplies the row by a matrix.
    ///
    /// # Panics
    /// When an entry lies beyond the rows of the matrix.
    pub fn multiply(&mut self, matrix: &Csr<T>) {
        self.list();
        self.make_room(matrix.cols());
        let (columns, values) = (std::mem::take(&mut self.columns), std::mem::take(&mut self.values));
        for (&row, &factor) in columns.iter().zip(&values) {
            let (columns, values) = matrix.row(row as usize);
            self.add_entries(columns, values, factor);
        }
        self.before = (columns, values);
    }

    /// Keeps the `most` largest entries, of equal ones those of the lower columns.
    pub fn keep_largest(&mut self, most: usize) {
        self.list();
        if self.columns.len() > most {
            let values = std::mem::take(&mut self.values);
            let places = largest(values.len(), most, |a, b| values[a].order(&values[b]));
            self.values = values;
            self.keep(&places);
        }
    }

    /// Keeps the `most` entries for which `score(column, value)` is largest, of equal ones those of the lower columns.
    pub fn keep_largest_by(&mut self, most: usize, score: impl Fn(u32, T) -> f64) {
        self.list();
        if self.columns.len() > most {
            let scores: Vec<f64> = self.columns.iter().zip(&self.values).map(|(&c, &value)| score(c, value)).collect();
            let places = largest(scores.len(), most, |a, b| scores[a].total_cmp(&scores[b]));
            self.keep(&places);
        }
    }

    /// Columns, ascending, and values.
    pub fn entries(&mut self) -> (&[u32], &[T]) {
        self.list();
        (&self.columns, &self.values)
    }

    fn clear(&mut self) {
        self.list();
        self.columns.clear();
        self.values.clear();
        self.overflow = None;
    }

    fn keep(&mut self, places: &[usize]) {
        for (to, &from) in places.iter().enumerate() {
            self.columns[to] = self.columns[from];
            self.values[to] = self.values[from];
        }
        self.columns.truncate(places.len());
        self.values.truncate(places.len());
    }

    fn make_room(&mut self, columns: usize) {
        let columns = columns.max(self.columns.last().map_or(0, |&last| last as usize + 1));
        if self.sums.len() < columns {
            self.sums.resize(columns, T::default());
            self.met.resize(columns, false);
        }
    }

    fn add_entries(&mut self, columns: &[u32], values: &[T], factor: T) {
        for (&column, &value) in columns.iter().zip(values) {
            let at = column as usize;
            if !self.met[at] {
                self.met[at] = true;
                self.touched.push(column);
            }
            if self.sums[at].add_product(factor, value) {
                self.overflow.get_or_insert(column);
            }
        }
    }

    /// Brings what was added into lists.
    fn list(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        (self.columns, self.values) = std::mem::take(&mut self.before);
        self.columns.clear();
        self.values.clear();
        if self.touched.len() * 16 > self.sums.len() {
            let met = self.met.iter().zip(0..).filter(|(met, _)| **met);
            self.touched.clear();
            self.touched.extend(met.map(|(_, column)| column));
        } else {
            self.touched.sort_unstable();
        }
        self.values.extend(self.touched.iter().map(|&column| {
            self.met[column as usize] = false;
            std::mem::take(&mut self.sums[column as usize])
        }));
        std::mem::swap(&mut self.columns, &mut self.touched);
        self.touched.clear();
    }

    /// The first entry that is no number of its type.
    fn unsound(&self) -> Option<u32> {
        self.overflow.or_else(|| Some(self.columns[self.values.iter().position(|value| !value.is_sound())?]))
    }
}

/// The places of the `most` largest of `count`, ascending; of equal ones the first.
fn largest(count: usize, most: usize, order: impl Fn(usize, usize) -> std::cmp::Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    if most > 0 {
        places.select_nth_unstable_by(most - 1, |&a, &b| order(b, a).then(a.cmp(&b)));
    }
    places.truncate(most);
    places.sort_unstable();
    places
}

/// Rows that share the scratch memory of one task.
fn block(rows: usize) -> usize {
    rows.div_ceil(16 * rayon::current_num_threads()).clamp(16, 4096)
}

/// What `take` makes of each of `rows` rows, in order. The rows are made in parallel; each begins empty.
pub fn map_rows<T: Entry, R: Send>(rows: usize, take: impl Fn(usize, &mut SparseRow<T>) -> R + Sync) -> Vec<R> {
    let block = block(rows);
    let part = |from: usize| -> Vec<R> {
        let mut scratch = SparseRow::default();
        let one = |row| {
            scratch.clear();
            take(row, &mut scratch)
        };
        (from..(from + block).min(rows)).map(one).collect()
    };
    let starts: Vec<usize> = (0..rows).step_by(block).collect();
    let parts: Vec<Vec<R>> = starts.into_par_iter().map(part).collect();
    parts.into_iter().flatten().collect()
}

impl<T: Entry> Csr<T> {
    /// A matrix whose rows `fill` makes, in parallel; each begins empty. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`SparseError::TooLarge`]; [`SparseError::Overflow`] for the first row with a count that does not fit or a value that is not finite.
    ///
    /// # Panics
    /// When a row has an entry beyond the columns.
    pub fn from_rows(
        rows: usize,
        cols: usize,
        fill: impl Fn(usize, &mut SparseRow<T>) + Sync,
    ) -> Result<Self, SparseError> {
        super::csr::check_shape(rows, cols)?;
        let block = block(rows);
        let part = |from: usize| {
            let (mut ends, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
            let mut scratch = SparseRow::default();
            for row in from..(from + block).min(rows) {
                scratch.clear();
                fill(row, &mut scratch);
                scratch.list();
                if let Some(column) = scratch.unsound() {
                    return Err(SparseError::Overflow { row, column });
                }
                let last = scratch.columns.last();
                assert!(last.is_none_or(|&last| (last as usize) < cols), "column {last:?} of {cols} in row {row}");
                indices.extend_from_slice(&scratch.columns);
                values.extend_from_slice(&scratch.values);
                ends.push(indices.len());
            }
            Ok((ends, indices, values))
        };
        let starts: Vec<usize> = (0..rows).step_by(block).collect();
        let parts: Vec<Result<_, SparseError>> = starts.into_par_iter().map(part).collect();
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for part in parts {
            let (ends, columns, entries) = part?;
            let offset = indices.len();
            indptr.extend(ends.iter().map(|end| offset + end));
            indices.extend(columns);
            values.extend(entries);
        }
        Ok(Self::from_checked(rows, cols, indptr, indices, values))
    }
}
