//! Rows of a table by index.

use super::ops::LinearOps;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use std::sync::Arc;

/// `output[k] = table[rows[k]]`, differentiable in the table: the gradient of a row is the sum over the places where it
/// was taken, in their order.
///
/// # Shapes
/// - table: `[n, width]`
/// - rows: numbers below `n`, in any order and with repetition
/// - output: `[rows.len(), width]`
///
/// # Panics
/// When a row is not below `n`.
pub fn gather_rows(table: Tensor<2>, rows: &[u32]) -> Tensor<2> {
    let [count, width] = table.dims();
    if let Some(row) = rows.iter().find(|&&row| row as usize >= count) {
        panic!("row {row} of a table of shape [{count}, {width}]");
    }
    Tensor::from_dispatch(Dispatch::gather_table_rows(Arc::from(rows), table.into_dispatch()))
}
