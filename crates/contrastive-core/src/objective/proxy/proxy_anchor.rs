//! Proxy-Anchor loss.

use super::classes::classes;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::engine::metric_rows::{Problem, as_it_is, dense, wanted};
use crate::objective::{Evaluation, Inputs, Wanted};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::MultiSimilarity;
use std::collections::HashSet;

/// Proxy-Anchor loss (Kim et al. 2020, equation 4) of unit rows: every class has a proxy, which pulls the rows of its class and pushes
/// all others.
///
/// ```text
/// 1 / C+ sum_{c with rows} log(1 + sum_{i of c} e^{-alpha (s_ci - margin)}) + 1 / C sum_c log(1 + sum_{i of others} e^{alpha (s_ci + margin)})
/// ```
///
/// C+ is the number of classes that have rows. A class without rows only pushes.
#[derive(Clone, Debug)]
pub struct ProxyAnchor {
    margin: f64,
    alpha: f64,
}

impl ProxyAnchor {
    /// The paper's values are 0.1 and 32.
    ///
    /// # Errors
    /// When the margin is negative, alpha not above 0, or either not finite.
    pub fn new(margin: f64, alpha: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: not_negative("margin", margin)?, alpha: positive("alpha", alpha)? })
    }

    fn parts(&self, rows: &Tensor<2>, labels: &[i64], proxies: &Tensor<2>) -> (Inputs, Pairs, MultiSimilarity) {
        let ([n, d], [c, e]) = (rows.dims(), proxies.dims());
        assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and proxies [{c}, {e}]");
        classes(labels, c);
        let named: HashSet<i64> = labels.iter().copied().collect();
        let function = MultiSimilarity {
            alpha: self.alpha,
            beta: self.alpha,
            bases: [self.margin, -self.margin],
            weights: [1.0 / named.len().max(1) as f64, 1.0 / c as f64],
            epsilon: None,
        };
        let pairs = Pairs::labels_between(&(0..c as i64).collect::<Vec<_>>(), labels);
        (Inputs::new(proxies.clone(), rows.clone()), pairs, function)
    }

    /// Rows `[n, d]`, their class numbers, and a proxy for each class, `[c, d]`. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, rows and labels differ in number, widths differ, or a label is not a class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], proxies: Tensor<2>) -> Tensor<1> {
        let inputs = Inputs::new(proxies.clone(), rows.clone());
        self.evaluate(&rows, labels, &proxies, wanted(&inputs)).attach_to(&inputs)
    }

    /// Value, each proxy's part of it, and the gradients of proxies (anchors) and rows (candidates) that are wanted; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], proxies: &Tensor<2>, wanted: Wanted) -> Evaluation {
        let (inputs, pairs, function) = self.parts(rows, labels, proxies);
        let problem = Problem::new(&inputs, &pairs, Similarity::Cosine);
        problem.evaluate(&function, wanted, as_it_is).0
    }

    /// The same by plain, differentiable tensor operations: materialises several c x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64], proxies: Tensor<2>) -> Tensor<1> {
        let (inputs, pairs, function) = self.parts(&rows, labels, &proxies);
        dense(&function, &inputs, &pairs, Similarity::Cosine, as_it_is)
    }
}
