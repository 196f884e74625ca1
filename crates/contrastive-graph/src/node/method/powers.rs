//! Powers of a sparse matrix, as weights of positives several hops away.

use contrastive_kernels::sparse::Csr;
use rayon::prelude::*;

/// Rows of a task; each task has one accumulator of a number for each column.
const ROWS: usize = 4096;

/// `A^order`, or with `sum` the weights `A + A^2 + ... + A^order` of PamC ("influence"). With a row cap every product, and the
/// sum, keeps only the largest entries of each row (of equal ones those of the lower columns): powers fill in.
///
/// The work is the number of products of entries, the memory that of the results and of one row a task. The result does not
/// depend on the number of threads.
///
/// # Panics
/// When the matrix is not square, the order is 0, or the row cap is 0.
pub fn powers(matrix: &Csr<f64>, order: usize, sum: bool, row_cap: Option<usize>) -> Csr<f64> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    assert_eq!(rows, cols, "powers of a matrix of {rows} x {cols}");
    assert!(order > 0, "the power 0 of a matrix");
    assert!(row_cap != Some(0), "powers with rows of 0 entries");
    let cap = row_cap.unwrap_or(usize::MAX);
    // the first power is cut like the others
    let first = rebuilt(rows, cap, |row, scratch| scratch.add_row(matrix, row, 1.0));
    let (mut power, mut total) = (first.clone(), first.clone());
    for _ in 1..order {
        power = rebuilt(rows, cap, |row, scratch| {
            let (columns, weights) = power.row(row);
            columns.iter().zip(weights).for_each(|(&k, &weight)| scratch.add_row(&first, k as usize, weight));
        });
        if sum {
            total = rebuilt(rows, cap, |row, scratch| {
                scratch.add_row(&total, row, 1.0);
                scratch.add_row(&power, row, 1.0);
            });
        }
    }
    if sum { total } else { power }
}

/// One row in the making.
struct Scratch {
    values: Vec<f64>,
    touched: Vec<u32>,
    seen: Vec<bool>,
}

impl Scratch {
    fn add_row(&mut self, matrix: &Csr<f64>, row: usize, factor: f64) {
        let (columns, weights) = matrix.row(row);
        for (&column, &weight) in columns.iter().zip(weights) {
            let at = column as usize;
            if !self.seen[at] {
                self.seen[at] = true;
                self.touched.push(column);
            }
            self.values[at] += factor * weight;
        }
    }

    /// The `cap` largest entries, in ascending order of columns.
    fn finish(&mut self, cap: usize, indices: &mut Vec<u32>, values: &mut Vec<f64>) {
        if self.touched.len() > cap {
            let sums = &self.values;
            let order = |a: &u32, b: &u32| sums[*b as usize].total_cmp(&sums[*a as usize]).then(a.cmp(b));
            self.touched.select_nth_unstable_by(cap - 1, order);
            for column in self.touched.drain(cap..) {
                (self.values[column as usize], self.seen[column as usize]) = (0.0, false);
            }
        }
        self.touched.sort_unstable();
        for column in self.touched.drain(..) {
            let at = column as usize;
            indices.push(column);
            values.push(std::mem::take(&mut self.values[at]));
            self.seen[at] = false;
        }
    }
}

/// A square matrix whose rows are what `fill` adds up.
fn rebuilt(nodes: usize, cap: usize, fill: impl Fn(usize, &mut Scratch) + Sync) -> Csr<f64> {
    let part = |from: usize| {
        let mut scratch = Scratch { values: vec![0.0; nodes], touched: Vec::new(), seen: vec![false; nodes] };
        let (mut ends, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for row in from..(from + ROWS).min(nodes) {
            fill(row, &mut scratch);
            scratch.finish(cap, &mut indices, &mut values);
            ends.push(indices.len());
        }
        (ends, indices, values)
    };
    let starts: Vec<usize> = (0..nodes).step_by(ROWS).collect();
    let parts: Vec<_> = starts.into_par_iter().map(part).collect();
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for (ends, columns, weights) in parts {
        let offset = indices.len();
        indptr.extend(ends.iter().map(|end| offset + end));
        indices.extend(columns);
        values.extend(weights);
    }
    Csr::from_parts(nodes, nodes, indptr, indices, values).expect("rows are sorted and finite")
}
