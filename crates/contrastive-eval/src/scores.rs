//! Scores of predictions: accuracy and F1 of labels, ROC-AUC and average precision of a ranking.
//!
//! ```
//! use contrastive_eval::scores::{Classification, average_precision, roc_auc};
//!
//! let counts = Classification::single(&[0, 1, 1, 2], &[0, 1, 2, 2], 3)?;
//! assert_eq!(counts.accuracy(), 0.75);
//! assert!((counts.macro_f1() - (1.0 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-15);
//!
//! let (positive, scores) = ([true, false, true, false], [0.9, 0.8, 0.7, 0.1]);
//! assert_eq!(roc_auc(&positive, &scores)?, 0.75);
//! assert!((average_precision(&positive, &scores)? - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::{EvalError, check_enough, check_labels, check_length, check_setting};
use crate::ranking::ItemSets;
use crate::rows::check_numbers;
use contrastive_kernels::Real;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// What was predicted and what was true, counted by class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    rows: usize,
    /// Rows whose whole set of labels was predicted.
    exact: usize,
    hits: Vec<usize>,
    predicted: Vec<usize>,
    actual: Vec<usize>,
}

impl Classification {
    /// One label and one prediction for each row.
    ///
    /// # Errors
    /// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::LabelOutOfRange`].
    pub fn single(labels: &[u32], predictions: &[u32], classes: usize) -> Result<Self, EvalError> {
        check_length("predictions", predictions.len(), "labels", labels.len())?;
        check_labels("labels", labels, classes)?;
        check_labels("predictions", predictions, classes)?;
        Self::count(labels.chunks(1).zip(predictions.chunks(1)), classes)
    }

    /// A set of labels and a set of predictions for each row.
    ///
    /// # Errors
    /// As [`Classification::single`].
    pub fn multi(labels: ItemSets<'_>, predictions: ItemSets<'_>, classes: usize) -> Result<Self, EvalError> {
        check_length("predictions", predictions.rows(), "labels", labels.rows())?;
        for (what, sets) in [("labels", labels), ("predictions", predictions)] {
            check_sets(what, sets, classes)?;
        }
        Self::count(labels.iter().zip(predictions.iter()), classes)
    }

    /// From checked, sorted sets.
    pub(crate) fn count<'a>(
        rows: impl ExactSizeIterator<Item = (&'a [u32], &'a [u32])>,
        classes: usize,
    ) -> Result<Self, EvalError> {
        let zeros = vec![0; classes];
        let mut counts =
            Self { rows: rows.len(), exact: 0, hits: zeros.clone(), predicted: zeros.clone(), actual: zeros };
        if counts.rows == 0 {
            return Err(EvalError::Empty { what: "labels" });
        }
        for (labels, predictions) in rows {
            counts.exact += usize::from(labels == predictions);
            labels.iter().for_each(|&l| counts.actual[l as usize] += 1);
            for &p in predictions {
                counts.predicted[p as usize] += 1;
                counts.hits[p as usize] += usize::from(labels.binary_search(&p).is_ok());
            }
        }
        Ok(counts)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.hits.len()
    }

    /// The share of rows whose label (or whole set of labels) was predicted.
    pub fn accuracy(&self) -> f64 {
        self.exact as f64 / self.rows as f64
    }

    /// F1 of all decisions together; for single labels this is the accuracy. 1 if there was nothing to predict and nothing predicted.
    pub fn micro_f1(&self) -> f64 {
        let sum = |counts: &[usize]| counts.iter().sum::<usize>();
        let decisions = sum(&self.predicted) + sum(&self.actual);
        if decisions == 0 { 1.0 } else { 2.0 * sum(&self.hits) as f64 / decisions as f64 }
    }

    /// The mean of the F1 of the classes; a class that has no row and was never predicted is left out.
    pub fn macro_f1(&self) -> f64 {
        mean(self.class_f1().flatten()).unwrap_or(1.0)
    }

    /// The mean recall of the classes that have rows (balanced accuracy); 1 if none has.
    pub fn macro_recall(&self) -> f64 {
        mean(self.shares(&self.actual).flatten()).unwrap_or(1.0)
    }

    /// The mean precision of the classes that were predicted or have rows; a class that was never predicted has 0.
    pub fn macro_precision(&self) -> f64 {
        let each = self.shares(&self.predicted).zip(&self.actual);
        mean(each.filter_map(|(share, &actual)| share.or((actual > 0).then_some(0.0)))).unwrap_or(1.0)
    }

    /// F1 of each class, None for one that has no row and was never predicted.
    pub fn class_f1(&self) -> impl Iterator<Item = Option<f64>> {
        self.hits.iter().zip(&self.predicted).zip(&self.actual).map(|((&hits, &predicted), &actual)| {
            let decisions = predicted + actual;
            (decisions > 0).then(|| 2.0 * hits as f64 / decisions as f64)
        })
    }

    fn shares<'a>(&'a self, of: &'a [usize]) -> impl Iterator<Item = Option<f64>> + 'a {
        self.hits.iter().zip(of).map(|(&hits, &of)| (of > 0).then(|| hits as f64 / of as f64))
    }
}

/// Fails with [`EvalError::LabelOutOfRange`] unless all labels are below `classes`.
pub(crate) fn check_sets(what: &'static str, sets: ItemSets<'_>, classes: usize) -> Result<(), EvalError> {
    for (row, set) in sets.iter().enumerate() {
        match set.last() {
            Some(&label) if label as usize >= classes => {
                return Err(EvalError::LabelOutOfRange { what, row, label, classes });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The area under the ROC curve: the probability that a positive row scores higher than a negative one, equal scores counting half.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`]; [`EvalError::OneClass`] when all rows are
/// positive (class 1) or none is (class 0).
pub fn roc_auc<T: Real>(positive: &[bool], scores: &[T]) -> Result<f64, EvalError> {
    let steps = steps(positive, scores)?;
    let [positives, negatives] = totals(&steps);
    if positives == 0 || negatives == 0 {
        return Err(EvalError::OneClass { what: "rows", class: u32::from(negatives == 0) });
    }
    // in halves, which are exact
    let (mut above, mut halves) = (0u128, 0u128);
    for [hits, misses] in steps {
        halves += misses as u128 * (2 * above + hits as u128);
        above += hits as u128;
    }
    Ok(halves as f64 / 2.0 / (positives as f64 * negatives as f64))
}

/// The share of positive rows among the `k` with the highest scores; of equal scores the row of the smaller index comes first.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`]; [`EvalError::Setting`] for a `k` of 0,
/// [`EvalError::TooFew`] for one above the rows.
pub fn precision_at<T: Real>(positive: &[bool], scores: &[T], k: usize) -> Result<f64, EvalError> {
    check_setting("k", k as f64, k > 0, "at least 1")?;
    steps(positive, scores)?;
    check_enough("rows", k, scores.len())?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].f64().total_cmp(&scores[a].f64()).then(a.cmp(&b)));
    Ok(order[..k].iter().filter(|row| positive[**row]).count() as f64 / k as f64)
}

/// Average precision, the step-wise area under the precision-recall curve: the sum over the different scores, from the top, of
/// the recall gained times the precision reached.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`]; [`EvalError::OneClass`] when no row is positive.
pub fn average_precision<T: Real>(positive: &[bool], scores: &[T]) -> Result<f64, EvalError> {
    let steps = steps(positive, scores)?;
    let [positives, _] = totals(&steps);
    if positives == 0 {
        return Err(EvalError::OneClass { what: "rows", class: 0 });
    }
    let (mut found, mut seen, mut area) = (0, 0, 0.0);
    for [hits, misses] in steps {
        found += hits;
        seen += hits + misses;
        area += hits as f64 / positives as f64 * (found as f64 / seen as f64);
    }
    Ok(area)
}

/// The mean over the classes of the [`average_precision`] of telling a class from the rest (macro AUPRC); classes without rows are
/// left out. `scores`: `[rows, classes]`.
///
/// # Errors
/// As [`average_precision`], and [`EvalError::LabelOutOfRange`] for a label without a column.
pub fn macro_average_precision<T: Real>(labels: &[u32], scores: ArrayView2<'_, T>) -> Result<f64, EvalError> {
    check_length("rows of scores", scores.nrows(), "labels", labels.len())?;
    check_labels("labels", labels, scores.ncols())?;
    let mut values = Vec::new();
    for (class, column) in scores.columns().into_iter().enumerate() {
        let positive: Vec<bool> = labels.iter().map(|&label| label as usize == class).collect();
        if positive.contains(&true) {
            values.push(average_precision(&positive, &column.to_vec())?);
        }
    }
    mean(values.into_iter()).ok_or(EvalError::Empty { what: "labels" })
}

/// The mean over the classes of the [`roc_auc`] of telling a class from the rest (macro AUROC); classes without rows, and one that all rows
/// have, are left out. `scores`: `[rows, classes]`.
///
/// # Errors
/// As [`macro_average_precision`]; [`EvalError::OneClass`] when all rows have one class.
pub fn macro_roc_auc<T: Real>(labels: &[u32], scores: ArrayView2<'_, T>) -> Result<f64, EvalError> {
    let values = class_roc_auc(labels, scores)?;
    let only = || EvalError::OneClass { what: "rows", class: labels[0] };
    mean(values.into_iter().flatten().map(|(value, _)| value)).ok_or_else(only)
}

/// [`macro_roc_auc`] with every class weighted by its number of rows.
///
/// # Errors
/// As [`macro_roc_auc`].
pub fn weighted_roc_auc<T: Real>(labels: &[u32], scores: ArrayView2<'_, T>) -> Result<f64, EvalError> {
    let values = class_roc_auc(labels, scores)?;
    let (sum, count) =
        values.iter().flatten().fold((0.0, 0usize), |(sum, count), (v, n)| (sum + v * *n as f64, count + n));
    if count == 0 { Err(EvalError::OneClass { what: "rows", class: labels[0] }) } else { Ok(sum / count as f64) }
}

/// AUROC and number of rows of each class; `None` for one without rows, or with all.
fn class_roc_auc<T: Real>(labels: &[u32], scores: ArrayView2<'_, T>) -> Result<Vec<Option<(f64, usize)>>, EvalError> {
    check_length("rows of scores", scores.nrows(), "labels", labels.len())?;
    check_labels("labels", labels, scores.ncols())?;
    if labels.is_empty() {
        return Err(EvalError::Empty { what: "labels" });
    }
    let of = |(class, column): (usize, ndarray::ArrayView1<'_, T>)| {
        let positive: Vec<bool> = labels.iter().map(|&label| label as usize == class).collect();
        let count = positive.iter().filter(|p| **p).count();
        if count == 0 || count == labels.len() {
            return Ok(None);
        }
        roc_auc(&positive, &column.to_vec()).map(|value| Some((value, count)))
    };
    scores.columns().into_iter().enumerate().map(of).collect()
}

/// The mean, None of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// From the highest score down, the positive and negative rows at each different score.
fn steps<T: Real>(positive: &[bool], scores: &[T]) -> Result<Vec<[usize; 2]>, EvalError> {
    check_length("scores", scores.len(), "labels", positive.len())?;
    if scores.is_empty() {
        return Err(EvalError::Empty { what: "scores" });
    }
    check_numbers("scores", scores, 1)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].f64().partial_cmp(&scores[a].f64()).expect("finite scores"));
    let runs = order.chunk_by(|&a, &b| scores[a] == scores[b]);
    Ok(runs
        .map(|run| {
            let hits = run.iter().filter(|&&row| positive[row]).count();
            [hits, run.len() - hits]
        })
        .collect())
}

fn totals(steps: &[[usize; 2]]) -> [usize; 2] {
    steps.iter().fold([0, 0], |sum, step| [sum[0] + step[0], sum[1] + step[1]])
}
