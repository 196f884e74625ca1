//! Inner products at the places of a sparse matrix.

use super::Csr;
use crate::vector::{self, Element};
use rayon::prelude::*;

impl<T: Element> Csr<T> {
    /// `out[e] = left_i . right_j` for each stored entry e = (i, j), in the order of [`indices`](Csr::indices): `left` is
    /// `rows x width`, `right` is `cols x width`, both row-major (a sampled dense-dense product). The values do not matter.
    ///
    /// # Panics
    /// When a slice does not have that size.
    pub fn sampled_products(&self, left: &[T], right: &[T], width: usize, out: &mut [T]) {
        T::sampled_products(self, left, right, width, out)
    }

    pub(crate) fn sampled_products_generic(&self, left: &[T], right: &[T], width: usize, out: &mut [T]) {
        let (rows, cols, nnz) = (self.rows(), self.cols(), self.nnz());
        assert_eq!(left.len(), rows * width, "left numbers of width {width} for a {rows} x {cols} matrix");
        assert_eq!(right.len(), cols * width, "right numbers of width {width} for a {rows} x {cols} matrix");
        assert_eq!(out.len(), nnz, "products of the entries of a {rows} x {cols} matrix");
        let cuts = self.cuts(width);
        let mut rest = out;
        let mut tasks = Vec::with_capacity(cuts.len());
        for pair in cuts.windows(2) {
            let (head, tail) = rest.split_at_mut(self.indptr()[pair[1]] - self.indptr()[pair[0]]);
            tasks.push((pair[0]..pair[1], head));
            rest = tail;
        }
        tasks.into_par_iter().for_each(|(rows, mut out)| {
            for i in rows {
                let (columns, _) = self.row(i);
                let (head, tail) = out.split_at_mut(columns.len());
                let own = &left[i * width..][..width];
                for (value, &j) in head.iter_mut().zip(columns) {
                    *value = vector::dot(own, &right[j as usize * width..][..width]);
                }
                out = tail;
            }
        });
    }

    /// The same pattern with other values, in the order of [`indices`](Csr::indices).
    ///
    /// # Panics
    /// When there is not one for each entry.
    pub fn with_values(&self, values: &[T]) -> Self {
        assert_eq!(values.len(), self.nnz(), "values for the entries of a sparse matrix");
        let mut next = values.iter();
        self.map_values(|_| *next.next().expect("one for each entry"))
    }
}
