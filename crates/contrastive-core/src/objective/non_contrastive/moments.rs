//! Moments of the columns of a batch, differentiable by plain tensor operations.
//!
//! Divisions by counts are written as products: the backward pass of a division by a number rounds that number to f32.

use burn::tensor::{Tensor, TensorData};

/// `[n, d]` without the mean of each column.
pub(super) fn centred(x: Tensor<2>) -> Tensor<2> {
    let n = x.dims()[0];
    x.clone() - x.sum_dim(0) * (1.0 / n as f64)
}

/// `[1, d]`: the sum of `a_nk b_nk` over the rows n, the diagonal of `a' b`.
pub(super) fn diagonal(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    (a.clone() * b.clone()).sum_dim(0)
}

/// `[1]`: the sum of `(a' b)_kl^2` over k != l.
///
/// With at least as many rows as columns, from the d x d matrix. With fewer, from the two n x n matrices of inner products of
/// rows, as `|a' b|^2 = sum (a a') o (b b')`: 4 n^2 d instead of 2 n d^2 flops, and no d x d matrix. What is left after the
/// diagonal is taken off is then never small, since d columns of fewer than d numbers are not uncorrelated.
pub(super) fn off_diagonal_squares(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    let [n, d] = a.dims();
    if n < d {
        let gram = |x: &Tensor<2>| x.clone().matmul(x.clone().transpose());
        let diagonal = diagonal(a, b);
        return (gram(a) * gram(b)).sum() - (diagonal.clone() * diagonal).sum();
    }
    let mut off = vec![1.0; d * d];
    (0..d).for_each(|k| off[k * d + k] = 0.0);
    let off = Tensor::<2>::from_data(TensorData::new(off, [d, d]), (&a.device(), a.dtype()));
    let off = a.clone().transpose().matmul(b.clone()) * off;
    (off.clone() * off).sum()
}
