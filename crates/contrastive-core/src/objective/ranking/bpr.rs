//! Pairwise ranking: a positive above a negative.

use crate::objective::{check_types, computed, zero_or_nan};
use burn::tensor::{Tensor, activation::softplus};

/// Bayesian personalised ranking (Rendle et al. 2009, BPR-Opt): the mean of `log(1 + e^{-(u.p - u.n)})`.
///
/// Users, positives and negatives are `[n, d]`, row by row; the value is `[1]`. Gaps of any size are safe; a NaN or infinite entry makes the value NaN.
///
/// # Panics
/// When the three shapes differ, or there are no rows.
pub fn bpr(users: Tensor<2>, positives: Tensor<2>, negatives: Tensor<2>) -> Tensor<1> {
    assert_eq!(users.dims(), positives.dims(), "the shapes of users and positives");
    assert_eq!(users.dims(), negatives.dims(), "the shapes of users and negatives");
    check_types(&[("users", users.dtype()), ("positives", positives.dtype()), ("negatives", negatives.dtype())]);
    let [users, positives, negatives] = [users, positives, negatives].map(computed);
    let [n, _] = users.dims();
    let beyond = zero_or_nan(&users) + zero_or_nan(&positives) + zero_or_nan(&negatives);
    bpr_of_gaps((users * (negatives - positives)).sum_dim(1).reshape([n])) + beyond
}

/// The same from scores `[n]`: the mean of `log(1 + e^{-(positive - negative)})`.
///
/// # Panics
/// When the shapes differ, or there are no scores.
pub fn bpr_from_scores(positives: Tensor<1>, negatives: Tensor<1>) -> Tensor<1> {
    assert_eq!(positives.dims(), negatives.dims(), "the shapes of positive and negative scores");
    check_types(&[("positive scores", positives.dtype()), ("negative scores", negatives.dtype())]);
    let beyond = zero_or_nan(&positives) + zero_or_nan(&negatives);
    bpr_of_gaps(computed(negatives) - computed(positives)) + computed(beyond)
}

fn bpr_of_gaps(gaps: Tensor<1>) -> Tensor<1> {
    assert!(gaps.dims()[0] > 0, "BPR of no rows");
    softplus(gaps, 1.0).mean()
}

/// Half the sum of squares of all tables divided by the number of rows of the first: the penalty of LightGCN and RecBole
/// on the embeddings of a batch, `(|u|^2 + |p|^2 + |n|^2) / 2N`; the value is `[1]`.
///
/// # Panics
/// When there is no table, or no row in the first.
pub fn embedding_penalty(tables: Vec<Tensor<2>>) -> Tensor<1> {
    let rows = tables.first().expect("a penalty of at least one table").dims()[0];
    assert!(rows > 0, "a penalty of no rows");
    let squares = tables.into_iter().map(computed).map(|t| (t.clone() * t).sum()).reduce(|a, b| a + b);
    // a product: the backward pass of a division by a number rounds that number to f32
    squares.expect("at least one table") * (0.5 / rows as f64)
}
