//! One row for each list.

use crate::Ragged;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::linear::{SparseOperator, gather_rows};
use contrastive_kernels::sparse::Csr;

/// The first row of each list: `[total, d]` to `[lists, d]` (the class token).
///
/// # Panics
/// When a list is empty.
pub fn first_rows(x: Tensor<2>, lists: &Ragged) -> Tensor<2> {
    check(&x, lists);
    gather_rows(x, &lists.first_rows())
}

/// The last row of each list: `[total, d]` to `[lists, d]`.
///
/// # Panics
/// When a list is empty.
pub fn last_rows(x: Tensor<2>, lists: &Ragged) -> Tensor<2> {
    check(&x, lists);
    gather_rows(x, &lists.last_rows())
}

/// The mean row of each list: `[total, d]` to `[lists, d]`; zeros for an empty list.
pub fn mean_rows(x: Tensor<2>, lists: &Ragged) -> Tensor<2> {
    check(&x, lists);
    let entries: Vec<(u32, u32, f64)> = lists
        .ranges()
        .enumerate()
        .flat_map(|(list, range)| {
            let share = 1.0 / range.len() as f64;
            range.map(move |row| (list as u32, row as u32, share))
        })
        .collect();
    let mean = Csr::from_triplets(lists.len(), lists.total(), &entries).expect("rows of lists");
    SparseOperator::new(mean).apply(x)
}

/// The largest number of each column in each list: `[total, d]` to `[lists, d]`. The gradient goes where it was found.
///
/// # Panics
/// When a list is empty.
pub fn max_rows(x: Tensor<2>, lists: &Ragged) -> Tensor<2> {
    check(&x, lists);
    lists.first_rows();
    let (width, [_, d]) = (lists.longest(), x.dims());
    if lists.is_empty() {
        return x;
    }
    let lowest: Vec<f32> =
        lists.lengths().flat_map(|length| (0..width).map(move |at| if at < length { 0.0 } else { -1e30 })).collect();
    let lowest = Tensor::<3>::from_data(TensorData::new(lowest, [lists.len(), width, 1]), (&x.device(), x.dtype()));
    (lists.pad(x, width) + lowest).max_dim(1).reshape([lists.len(), d])
}

fn check(x: &Tensor<2>, lists: &Ragged) {
    assert_eq!(x.dims()[0], lists.total(), "rows of a table {:?}, and of its lists", x.dims());
}
