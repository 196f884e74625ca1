//! Sparse matrices of integer counts.

use crate::MethodError;
use contrastive_core::pairs::PairLists;
use contrastive_kernels::sparse::Csr;

/// Counts in compressed rows; only those above 0 are stored, columns ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrbitCounts(Csr<u64>);

impl OrbitCounts {
    /// From rows of (column, count), columns ascending and counts above 0.
    pub(super) fn from_rows(columns: usize, rows: impl IntoIterator<Item = Vec<(u32, u64)>>) -> Self {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            for (column, count) in row {
                indices.push(column);
                values.push(count);
            }
            indptr.push(indices.len());
        }
        let counts = Csr::from_parts(indptr.len() - 1, columns, indptr, indices, values);
        Self(counts.expect("columns of a row ascend"))
    }

    /// The matrix, for products with others.
    pub fn matrix(&self) -> &Csr<u64> {
        &self.0
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.0.rows(), self.0.cols()]
    }

    /// Number of counts above 0.
    pub fn nnz(&self) -> usize {
        self.0.nnz()
    }

    /// Columns and counts of a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> (&[u32], &[u64]) {
        self.0.row(row)
    }

    /// One count.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn get(&self, row: usize, column: u32) -> u64 {
        self.0.get(row, column).unwrap_or(0)
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.values().iter().sum()
    }

    /// The sum of each row.
    pub fn row_sums(&self) -> Vec<u64> {
        (0..self.shape()[0]).map(|row| self.row(row).1.iter().sum()).collect()
    }

    /// The transposed matrix.
    pub fn transpose(&self) -> Self {
        Self(self.0.transpose())
    }

    /// As real numbers, exact up to 2^53.
    pub fn to_csr(&self) -> Csr<f64> {
        self.0.map_values(|count| count as f64)
    }

    /// Positives of each node with their shares of the row as weights, for an objective with
    /// [`PositiveWeights::Listed`](contrastive_core::objective::PositiveWeights::Listed). With `most`, only so many of the greatest
    /// counts of a row, of equal ones those of the lower columns.
    ///
    /// # Errors
    /// When the lists are refused, which well-formed counts never are.
    pub fn positives(&self, most: Option<usize>) -> Result<PairLists, MethodError> {
        let (mut offsets, mut columns, mut weights) = (vec![0], Vec::new(), Vec::new());
        for row in 0..self.shape()[0] {
            let (own, counts) = self.row(row);
            let mut kept: Vec<(u32, u64)> = own.iter().copied().zip(counts.iter().copied()).collect();
            if let Some(most) = most {
                kept.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
                kept.truncate(most);
                kept.sort_unstable();
            }
            let sum: u64 = kept.iter().map(|entry| entry.1).sum();
            columns.extend(kept.iter().map(|entry| entry.0));
            weights.extend(kept.iter().map(|entry| entry.1 as f64 / sum as f64));
            offsets.push(columns.len());
        }
        Ok(PairLists::new(offsets, columns, Some(weights))?)
    }
}
