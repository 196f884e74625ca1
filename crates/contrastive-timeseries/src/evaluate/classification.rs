//! Classification of series by their vectors.

use crate::data::{Series, SeriesError};
use contrastive_eval::Similarity;
use contrastive_eval::neighbours::Knn;
use contrastive_eval::probe::{Intercept, Link, LogisticRegression, RbfSvm, Targets};
use contrastive_eval::scores::{Classification, macro_average_precision, macro_roc_auc};
use ndarray::{Array2, ArrayView2};

/// How vectors are classified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Classifier {
    /// A support vector machine with a Gaussian kernel of TS2Vec's protocol: C = 1e9 for fewer than 50 training rows or fewer than five a
    /// class, else C from {1e-4, ..., 1e4, 1e9} by five folds. It takes every row: sets above 10,000 are sampled by the caller.
    #[default]
    Svm,
    /// Standardised logistic regression, one class against the rest.
    Logistic,
    /// The nearest training row by Euclidean distance.
    Nearest,
}

/// Scores of a classification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassReport {
    /// Share of rows classified right.
    pub accuracy: f64,
    /// Mean precision over classes.
    pub precision: f64,
    /// Mean recall over classes.
    pub recall: f64,
    /// Mean F1 over classes.
    pub f1: f64,
    /// Mean area under the ROC curve of a class against the rest; NaN for [`Classifier::Nearest`].
    pub auroc: f64,
    /// Mean average precision of a class against the rest; NaN for [`Classifier::Nearest`].
    pub auprc: f64,
}

/// Scores of predictions, and of scores of classes `[rows, classes]` where there are some.
///
/// # Errors
/// When lengths differ or a label is not below `classes`.
pub fn report_of(
    truth: &[u32],
    predicted: &[u32],
    scores: Option<ArrayView2<'_, f64>>,
    classes: usize,
) -> Result<ClassReport, SeriesError> {
    let counts = Classification::single(truth, predicted, classes)?;
    let (auroc, auprc) = match scores {
        Some(scores) => (macro_roc_auc(truth, scores)?, macro_average_precision(truth, scores)?),
        None => (f64::NAN, f64::NAN),
    };
    let (precision, recall) = (counts.macro_precision(), counts.macro_recall());
    Ok(ClassReport { accuracy: counts.accuracy(), precision, recall, f1: counts.macro_f1(), auroc, auprc })
}

/// Trains on vectors `[n, D]` with labels below `classes`, scores on others.
///
/// # Errors
/// When a class has no training row, lengths differ, or a vector is not finite.
pub fn classify(
    classifier: Classifier,
    train: (ArrayView2<'_, f32>, &[u32]),
    test: (ArrayView2<'_, f32>, &[u32]),
    classes: usize,
) -> Result<ClassReport, SeriesError> {
    let ((x, y), (x_test, y_test)) = (train, test);
    match classifier {
        Classifier::Svm => {
            let machine = RbfSvm::new(1e9);
            let model = if x.nrows() / classes.max(1) < 5 || x.nrows() < 50 {
                machine.fit(x, y, classes)?
            } else {
                let mut grid: Vec<f64> = (-4..=4).map(|k| 10f64.powi(k)).collect();
                grid.push(1e9);
                machine.search(x, y, classes, &grid, 5)?.0
            };
            let scores = model.class_scores(x_test)?;
            report_of(y_test, &model.predict(x_test)?, Some(scores.view()), classes)
        }
        Classifier::Logistic => logistic_report(train, test, classes),
        Classifier::Nearest => {
            let knn = Knn::new(1).with_similarity(Similarity::Euclidean).with_equal_votes();
            let votes = knn.classify(x_test, x, y, classes)?;
            report_of(y_test, &votes.predictions(), None, classes)
        }
    }
}

/// Standardised by the training rows, then a logistic regression of each class against the rest with C = 1 and a penalised intercept
/// (liblinear's form).
///
/// # Errors
/// As [`classify`].
pub fn logistic_report(
    (x, y): (ArrayView2<'_, f32>, &[u32]),
    (x_test, y_test): (ArrayView2<'_, f32>, &[u32]),
    classes: usize,
) -> Result<ClassReport, SeriesError> {
    let (mean, deviation) = standard(x);
    let scaled = |x: ArrayView2<'_, f32>| {
        Array2::from_shape_fn(x.dim(), |(r, c)| (f64::from(x[[r, c]]) - mean[c]) * deviation[c])
    };
    let regression =
        LogisticRegression::new(1.0).with_link(Link::Sigmoid).with_intercept(Intercept::Penalised).with_tolerance(1e-4);
    let model = regression.fit(scaled(x).view(), Targets::single(y, classes))?;
    let p = model.probabilities(scaled(x_test).view())?;
    report_of(y_test, &model.predict(scaled(x_test).view())?, Some(p.view()), classes)
}

fn standard(x: ArrayView2<'_, f32>) -> (Vec<f64>, Vec<f64>) {
    let n = x.nrows().max(1) as f64;
    let of = |c: usize| {
        let mean = x.column(c).iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let square = x.column(c).iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, if square.sqrt() > 1e-9 * mean.abs().max(1e-9) { 1.0 / square.sqrt() } else { 0.0 })
    };
    (0..x.ncols()).map(of).unzip()
}

/// The raw series, flattened (padded with zeros to the longest of both parts, missing values 0), and their nearest training series: the row that
/// every table of vectors stands beside.
///
/// # Errors
/// When there are no labels, or channels differ.
pub fn classify_raw(train: &Series, test: &Series) -> Result<ClassReport, SeriesError> {
    let longest = train.longest().max(test.longest());
    let flat = |series: &Series| {
        Array2::from_shape_fn((series.len(), longest * series.channels()), |(i, at)| {
            let (t, c) = (at / series.channels(), at % series.channels());
            let one = series.of(i);
            if t < one.nrows() && !one[[t, c]].is_nan() { one[[t, c]] } else { 0.0 }
        })
    };
    let (y, y_test) = (train.labels()?, test.labels()?);
    let classes = y.names.len();
    classify(Classifier::Nearest, (flat(train).view(), &y.ids), (flat(test).view(), &y_test.ids), classes)
}
