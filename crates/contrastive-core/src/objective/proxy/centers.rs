//! Rows among classes of several learned centres each.

use super::classes::classes;
use crate::objective::engine::metric_rows::{Problem, dense, mean_of_rows, wanted};
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Inputs, Wanted};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{CenterPool, CenterSoftmax};
use std::marker::PhantomData;

impl RowFunction for CenterSoftmax {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [b, m] = s.dims();
        let c = m / self.centers;
        let by_class = |x: Tensor<2>| x.reshape([b, c, self.centers]);
        let any = |x: Tensor<2>| by_class(x).max_dim(2).reshape([b, c]);
        let s = by_class(s);
        let pooled = match self.pool {
            CenterPool::Nearest => s.max_dim(2),
            CenterPool::Soft(sharpness) => {
                let top = s.clone().detach().max_dim(2);
                let weights = ((s.clone() - top) * sharpness).exp();
                (weights.clone() * s).sum_dim(2) / weights.sum_dim(2)
            }
        };
        self.softmax.dense(pooled.reshape([b, c]), any(positive), any(negative))
    }
}

/// Rows, their class numbers, and the centres of all classes, class by class.
///
/// # Panics
/// When the shapes do not fit, or a label is not a class.
fn among_centers(rows: &Tensor<2>, labels: &[i64], centers: &Tensor<2>, each: usize) -> (Inputs, Pairs) {
    let ([n, d], [m, e]) = (rows.dims(), centers.dims());
    assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and centres [{m}, {e}]");
    assert!(m > 0 && m.is_multiple_of(each), "centres [{m}, {e}] of classes of {each} each");
    classes(labels, m / each);
    let of: Vec<i64> = (0..m).map(|j| (j / each) as i64).collect();
    (Inputs::new(rows.clone(), centers.clone()), Pairs::labels_between(labels, &of))
}

/// A loss of rows among K learned centres of each class, of which `P` says how they make one similarity:
/// [`SoftTriple`](crate::objective::SoftTriple) and [`SubCenterArcFace`](crate::objective::SubCenterArcFace).
#[derive(Clone, Debug)]
pub struct CenterLoss<P> {
    pub(crate) function: CenterSoftmax,
    pool: PhantomData<P>,
}

/// The centres of a class share a row by a softmax.
#[derive(Clone, Copy, Debug)]
pub struct SoftAssignment;

/// The nearest centre of a class takes a row.
#[derive(Clone, Copy, Debug)]
pub struct NearestCenter;

impl<P> CenterLoss<P> {
    pub(crate) fn of(function: CenterSoftmax) -> Self {
        Self { function, pool: PhantomData }
    }

    /// Rows `[n, d]`, their class numbers, and K centres for each of c classes, `[c K, d]`, class by class; both compared by
    /// direction. The mean over rows, `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number, widths differ, the centres are not K for each class, or a label is not a class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], centers: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::new(rows.clone(), centers.clone());
        self.evaluate(&rows, labels, &centers, wanted(&inputs)).attach_to(&inputs)
    }

    /// Value, each row's value, and the gradients of rows (anchors) and centres (candidates) that are wanted; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], centers: &Tensor<2>, wanted: Wanted) -> Evaluation {
        let (inputs, pairs) = among_centers(rows, labels, centers, self.function.centers);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        problem.evaluate(&self.function, wanted, mean_of_rows).0
    }

    /// The same by plain, differentiable tensor operations: materialises several n x c K matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64], centers: Tensor<2>) -> Tensor<1> {
        let (inputs, pairs) = among_centers(&rows, labels, &centers, self.function.centers);
        dense(&self.function, &inputs, &pairs, Similarity::Cosine, mean_of_rows)
    }
}

/// `centers` if there is one at least.
pub(crate) fn checked(centers: usize) -> Result<usize, crate::error::ObjectiveError> {
    use crate::error::ObjectiveError::Outside;
    match centers {
        0 => Err(Outside { name: "centres of a class", value: 0.0, allowed: "1 and more" }),
        _ => Ok(centers),
    }
}
