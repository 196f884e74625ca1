//! What embeddings of the targets are worth: a linear probe with few labels a class, and clusters.

use super::data::HeteroGraph;
use crate::MethodError;
use contrastive_eval::clustering::KMeans;
use contrastive_eval::probe::{LogisticRegression, Targets};
use contrastive_eval::scores::{Classification, macro_roc_auc};
use ndarray::{Array2, ArrayView2, Axis};

/// Scores of a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelRateScores {
    /// Macro-F1 on the test part.
    pub macro_f1: f64,
    /// Micro-F1 on the test part.
    pub micro_f1: f64,
    /// Area under the curve on the test part, one class against the rest, the mean over classes.
    pub auc: f64,
    /// Macro-F1 on the validation part, by which the strength was chosen.
    pub validation: f64,
    /// The strength C that was chosen.
    pub c: f64,
}

/// Softmax regression on rows of length 1, trained on the training part of a split, C from 2^-8 to 2^16 by Macro-F1 on the validation part (of
/// equal ones the smallest), scored on the test part. (HeCo and MEOW choose the epoch of a probe trained by Adam instead.)
///
/// # Errors
/// When there is no such split or not a class for every target, or the probe cannot run.
///
/// # Panics
/// When there is not one row for each target.
pub fn label_rate(
    graph: &HeteroGraph,
    embeddings: ArrayView2<'_, f32>,
    split: &str,
) -> Result<LabelRateScores, MethodError> {
    let (rows, targets) = (embeddings.nrows(), graph.num_targets());
    assert_eq!(rows, targets, "{rows} rows of embeddings for {targets} targets");
    let (classes, split) = (graph.classes()?, graph.split(split)?);
    let count = classes.iter().max().map_or(0, |&class| class as usize + 1);
    let unit = unit(embeddings);
    let part = |nodes: &[u32]| {
        let at: Vec<usize> = nodes.iter().map(|&node| node as usize).collect();
        (unit.select(Axis(0), &at), at.iter().map(|&node| classes[node]).collect::<Vec<u32>>())
    };
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(|nodes| part(nodes));
    let mut best = None::<(f64, f64, contrastive_eval::probe::LogisticModel)>;
    for power in (-4..=8).map(|k| 2 * k) {
        let c = f64::from(power).exp2();
        let fit = LogisticRegression::new(c).with_missing_classes(true);
        let model = fit.fit(train.0.view(), Targets::single(&train.1, count))?;
        let f1 = Classification::single(&validation.1, &model.predict(validation.0.view())?, count)?.macro_f1();
        if best.as_ref().is_none_or(|(found, ..)| f1 > *found) {
            best = Some((f1, c, model));
        }
    }
    let (validation, c, model) = best.expect("strengths to choose from");
    let scores = Classification::single(&test.1, &model.predict(test.0.view())?, count)?;
    let auc = macro_roc_auc(&test.1, model.probabilities(test.0.view())?.view())?;
    Ok(LabelRateScores { macro_f1: scores.macro_f1(), micro_f1: scores.micro_f1(), auc, validation, c })
}

/// Normalised mutual information of k-means (as many clusters as classes) with the classes, the mean over seeds. Rows are taken as they are.
///
/// # Errors
/// When not every target has a class, or k-means cannot run.
pub fn clusters_nmi(graph: &HeteroGraph, embeddings: ArrayView2<'_, f32>, seeds: &[u64]) -> Result<f64, MethodError> {
    let classes = graph.classes()?;
    let count = classes.iter().max().map_or(0, |&class| class as usize + 1);
    let report = KMeans::new(count).evaluate(embeddings, &classes, seeds)?;
    Ok(report.get("nmi").map_or(f64::NAN, |nmi| nmi.mean))
}

fn unit(x: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut unit = x.to_owned();
    for mut row in unit.rows_mut() {
        let length = row.dot(&row).sqrt().max(1e-12);
        row /= length;
    }
    unit
}
