//! Products of two sparse matrices, and inner products of dense rows at the places of one.

use super::{Csr, Entry, SparseError};
use crate::vector::{self, Element};
use rayon::prelude::*;

impl<T: Entry> Csr<T> {
    /// The product `A B`. Its entries are the places that some `k` joins, `A_ik` and `B_kj` both stored: a sum that comes to 0 stays one.
    /// Each is summed by ascending `k`, so that the result does not depend on the number of threads.
    ///
    /// The work is the number of pairs of entries `(A_ik, B_kj)`, the memory that of the result, at most twice, and one row a thread.
    /// [`SparseRow`](super::SparseRow) makes chains of products and cut ones without holding what lies between.
    ///
    /// ```
    /// use contrastive_kernels::sparse::Csr;
    /// // the paths of two edges in a triangle
    /// let edges = Csr::from_parts(3, 3, vec![0, 2, 4, 6], vec![1, 2, 0, 2, 0, 1], vec![1u64; 6])?;
    /// assert_eq!(edges.product(&edges)?.values(), [2, 1, 1, 1, 2, 1, 1, 1, 2]);
    /// assert_eq!(edges.product_at(&edges, &edges)?.values(), [1; 6]); // triangles on each edge
    /// # Ok::<(), contrastive_kernels::sparse::SparseError>(())
    /// ```
    ///
    /// # Errors
    /// [`SparseError::Overflow`] when a count does not fit its type, or a real number is not finite.
    ///
    /// # Panics
    /// When `other` has not as many rows as this matrix has columns.
    pub fn product(&self, other: &Self) -> Result<Self, SparseError> {
        self.check_product(other);
        Self::from_rows(self.rows(), other.cols(), |i, row| {
            let (columns, values) = self.row(i);
            columns.iter().zip(values).for_each(|(&k, &value)| row.add(other, k as usize, value));
        })
    }

    /// The product `A B` at the stored places of another matrix alone, 0 where nothing joins them; the values of `places` do not matter.
    /// Summed in the same order as [`product`](Self::product), with the same work, in memory that is linear in the places.
    ///
    /// # Errors
    /// [`SparseError::Overflow`] when a count at one of the places does not fit its type, or a real number there is not finite.
    ///
    /// # Panics
    /// When `other` has not as many rows as this matrix has columns, or `places` has another shape than the product.
    pub fn product_at<U: Entry>(&self, other: &Self, places: &Csr<U>) -> Result<Self, SparseError> {
        self.check_product(other);
        let shape = (self.rows(), other.cols());
        assert_eq!((places.rows(), places.cols()), shape, "places of a product (left) and the product (right)");
        let mut values = vec![T::default(); places.nnz()];
        let cuts = places.cuts(64);
        let (mut rest, mut tasks) = (&mut values[..], Vec::with_capacity(cuts.len()));
        for pair in cuts.windows(2) {
            let (head, tail) = rest.split_at_mut(places.indptr()[pair[1]] - places.indptr()[pair[0]]);
            tasks.push((pair[0]..pair[1], head));
            rest = tail;
        }
        let nowhere = u32::MAX;
        let run = |(rows, mut out): (std::ops::Range<usize>, &mut [T])| {
            let mut place = vec![nowhere; other.cols()];
            for i in rows {
                let (own, _) = places.row(i);
                let (sums, tail) = out.split_at_mut(own.len());
                out = tail;
                own.iter().zip(0..).for_each(|(&j, at)| place[j as usize] = at);
                let (middle, factors) = self.row(i);
                for (&k, &factor) in middle.iter().zip(factors) {
                    let (columns, values) = other.row(k as usize);
                    for (&j, &value) in columns.iter().zip(values) {
                        let at = place[j as usize];
                        if at != nowhere && sums[at as usize].add_product(factor, value) {
                            return Err(SparseError::Overflow { row: i, column: j });
                        }
                    }
                }
                own.iter().for_each(|&j| place[j as usize] = nowhere);
                if let Some(at) = sums.iter().position(|sum| !sum.is_sound()) {
                    return Err(SparseError::Overflow { row: i, column: own[at] });
                }
            }
            Ok(())
        };
        let done: Vec<Result<(), SparseError>> = tasks.into_par_iter().map(run).collect();
        done.into_iter().collect::<Result<(), _>>()?;
        Ok(Self::from_checked(shape.0, shape.1, places.indptr().to_vec(), places.indices().to_vec(), values))
    }

    fn check_product(&self, other: &Self) {
        let (a, b) = ([self.rows(), self.cols()], [other.rows(), other.cols()]);
        assert_eq!(a[1], b[0], "product of a {} x {} matrix and one of {} x {}", a[0], a[1], b[0], b[1]);
    }

    /// The same pattern with other values, in the order of [`indices`](Csr::indices).
    ///
    /// # Panics
    /// When there is not one for each entry, or one is not finite.
    pub fn with_values<U: Entry>(&self, values: &[U]) -> Csr<U> {
        assert_eq!(values.len(), self.nnz(), "values for the entries of a sparse matrix");
        let mut next = values.iter();
        self.map_values(|_| *next.next().expect("one for each entry"))
    }
}

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
}
