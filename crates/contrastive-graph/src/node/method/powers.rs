//! Powers of a sparse matrix, as weights of positives several hops away.

use contrastive_kernels::sparse::{Csr, SparseRow};

/// `A^order`, or with `sum` the weights `A + A^2 + ... + A^order` of PamC ("influence"). With a row cap every product, and the
/// sum, keeps only the largest entries of each row (of equal ones those of the lower columns): powers fill in.
///
/// The work is the number of products of entries, the memory that of the results and of one row a task. The result does not
/// depend on the number of threads.
///
/// # Panics
/// When the matrix is not square, the order is 0, the row cap is 0, or an entry of a power is not finite.
pub fn powers(matrix: &Csr<f64>, order: usize, sum: bool, row_cap: Option<usize>) -> Csr<f64> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    assert_eq!(rows, cols, "powers of a matrix of {rows} x {cols}");
    assert!(order > 0, "the power 0 of a matrix");
    assert!(row_cap != Some(0), "powers with rows of 0 entries");
    let made = |fill: &(dyn Fn(usize, &mut SparseRow<f64>) + Sync)| {
        let cut = |row: usize, made: &mut SparseRow<f64>| {
            fill(row, made);
            row_cap.iter().for_each(|&cap| made.keep_largest(cap));
        };
        Csr::from_rows(rows, rows, cut).expect("finite powers")
    };
    // the first power is cut like the others
    let first = made(&|row, made| made.add(matrix, row, 1.0));
    let (mut power, mut total) = (first.clone(), first.clone());
    for _ in 1..order {
        power = made(&|row, made| {
            made.add(&power, row, 1.0);
            made.multiply(&first);
        });
        if sum {
            total = made(&|row, made| {
                made.add(&total, row, 1.0);
                made.add(&power, row, 1.0);
            });
        }
    }
    if sum { total } else { power }
}
