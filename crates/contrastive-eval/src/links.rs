//! Link prediction: are pairs of nodes with an edge told from pairs without?
//!
//! [`EdgeSplit`] takes edges out of a graph and draws as many pairs without an edge; [`evaluate`] scores both kinds by the embedding
//! (trained on the edges that were left), [`evaluate_hadamard`] by a logistic regression on products of coordinates.
//!
//! ```
//! use contrastive_eval::Similarity;
//! use contrastive_eval::links::{EdgeSplit, evaluate};
//! use contrastive_eval::ndarray::Array2;
//!
//! // two cliques of 10 nodes
//! let edges: Vec<(u32, u32)> = (0..20).flat_map(|a| (0..a).map(move |b| (a, b))).filter(|(a, b)| a / 10 == b / 10).collect();
//! let split = EdgeSplit::undirected(20, &edges, 0.1, 0.2, 7)?;
//! assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (63, 9, 18));
//! let x = Array2::from_shape_fn((20, 2), |(node, side)| if node / 10 == side { 1.0f32 } else { 0.0 });
//! let report = evaluate(x.view(), &split.test, &split.test_negatives, Similarity::Cosine)?;
//! assert_eq!(report.auc, 1.0);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

mod split;

pub use split::{EdgeSplit, sample_negatives};

use crate::error::EvalError;
use crate::probe::{LogisticRegression, Targets};
use crate::rows::Rows;
use crate::scores::{average_precision, roc_auc};
use crate::similarity::Similarity;
use contrastive_kernels::Real;
use contrastive_kernels::vector::dot;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How well scores tell edges from pairs without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// The probability that an edge scores above a pair without one; ties count half.
    pub auc: f64,
    /// Average precision.
    pub average_precision: f64,
    /// Number of edges.
    pub positives: usize,
    /// Number of pairs without an edge.
    pub negatives: usize,
    /// Whether the classifier behind the scores, if there is one, reached its optimum.
    pub converged: bool,
}

impl fmt::Display for LinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AUC  {:.4}\nAP   {:.4}\n", self.auc, self.average_precision)?;
        write!(f, "{} edges, {} pairs without", self.positives, self.negatives)?;
        if !self.converged {
            write!(f, "; the classifier was stopped before it converged")?;
        }
        Ok(())
    }
}

/// Scores pairs of rows of `x`, `[nodes, D]`, by their similarity: `positives` have an edge, `negatives` do not.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::BadNumber`], [`EvalError::RowOutOfRange`].
pub fn evaluate<T: Real>(
    x: ArrayView2<'_, T>,
    positives: &[(u32, u32)],
    negatives: &[(u32, u32)],
    similarity: Similarity,
) -> Result<LinkReport, EvalError> {
    check_both(x.nrows(), positives, negatives)?;
    let mut rows = Rows::new("embeddings", x)?;
    if similarity == Similarity::Cosine {
        rows.unit();
    }
    let score = |&(a, b): &(u32, u32)| {
        let (a, b) = (rows.row(a as usize), rows.row(b as usize));
        match similarity {
            Similarity::Euclidean => -a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>(),
            Similarity::Cosine | Similarity::Dot => dot(a, b),
        }
    };
    let scores = |pairs: &[(u32, u32)]| pairs.par_iter().map(score).collect::<Vec<f64>>();
    evaluate_scores(&scores(positives), &scores(negatives))
}

/// The report of scores that were computed elsewhere.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::BadNumber`].
pub fn evaluate_scores<T: Real>(positives: &[T], negatives: &[T]) -> Result<LinkReport, EvalError> {
    for (what, scores) in [("edges", positives), ("pairs without an edge", negatives)] {
        if scores.is_empty() {
            return Err(EvalError::Empty { what });
        }
    }
    let labels: Vec<bool> = (0..positives.len() + negatives.len()).map(|i| i < positives.len()).collect();
    let scores = [positives, negatives].concat();
    Ok(LinkReport {
        auc: roc_auc(&labels, &scores)?,
        average_precision: average_precision(&labels, &scores)?,
        positives: positives.len(),
        negatives: negatives.len(),
        converged: true,
    })
}

/// Fits a logistic regression to the coordinate-wise products `x_a * x_b` (Hadamard) of training pairs, `[edges, pairs without one]`,
/// and scores test pairs with it (Grover and Leskovec 2016). Memory is linear in the number of pairs times D.
///
/// # Errors
/// As [`evaluate`], and those of [`LogisticRegression::fit`].
pub fn evaluate_hadamard<T: Real>(
    x: ArrayView2<'_, T>,
    train: [&[(u32, u32)]; 2],
    test: [&[(u32, u32)]; 2],
    classifier: &LogisticRegression,
) -> Result<LinkReport, EvalError> {
    for [positives, negatives] in [train, test] {
        check_both(x.nrows(), positives, negatives)?;
    }
    let rows = Rows::new("embeddings", x)?;
    let products = |pairs: &[(u32, u32)]| {
        let each = pairs.iter().flat_map(|&(a, b)| rows.row(a as usize).iter().zip(rows.row(b as usize)));
        let values: Vec<f64> = each.map(|(a, b)| a * b).collect();
        Array2::from_shape_vec((pairs.len(), rows.width), values).expect("whole rows")
    };
    let labels: Vec<u32> = (0..train[0].len() + train[1].len()).map(|i| u32::from(i < train[0].len())).collect();
    let model = classifier.fit(products(&train.concat()).view(), Targets::single(&labels, 2))?;
    let scores = |pairs: &[(u32, u32)]| -> Result<Vec<f64>, EvalError> {
        let scores = model.scores(products(pairs).view())?;
        Ok(scores.rows().into_iter().map(|row| row[1] - row[0]).collect())
    };
    Ok(LinkReport { converged: model.converged(), ..evaluate_scores(&scores(test[0])?, &scores(test[1])?)? })
}

/// Fails unless both ends of every pair are nodes.
fn check_pairs(nodes: usize, what: &'static str, pairs: &[(u32, u32)]) -> Result<(), EvalError> {
    match pairs.iter().find(|&&(a, b)| a.max(b) as usize >= nodes) {
        Some(&(a, b)) => Err(EvalError::RowOutOfRange { what, row: a.max(b), rows: nodes }),
        None => Ok(()),
    }
}

/// Fails unless there are edges and pairs without an edge, and both ends of each are nodes.
fn check_both(nodes: usize, positives: &[(u32, u32)], negatives: &[(u32, u32)]) -> Result<(), EvalError> {
    for (what, pairs) in [("edges", positives), ("pairs without an edge", negatives)] {
        if pairs.is_empty() {
            return Err(EvalError::Empty { what });
        }
        check_pairs(nodes, what, pairs)?;
    }
    Ok(())
}
