//! The linear evaluation protocol: splits, scaling, choice of the penalty, scores.

use super::logistic::{Intercept, Link, LogisticModel, LogisticRegression, Present};
use super::newton::solve;
use super::report::{ProbeReport, ProbeRun};
use super::scaling::{Scaler, Scaling};
use super::split::Split;
use super::targets::Targets;
use crate::error::{EvalError, check_enough, check_length, check_setting};
use crate::neighbours::argmax;
use crate::ranking::ItemSets;
use crate::rows::Rows;
use crate::scores::Classification;
use contrastive_kernels::Real;
use ndarray::ArrayView2;
use rayon::prelude::*;

/// Rows that are scored at a time.
const BLOCK: usize = 4096;

/// Embeddings above this size are evaluated one split at a time, each by all threads.
const LARGE: usize = 1 << 24;

/// How sets of labels are predicted from scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Every class with a probability above one half.
    Threshold,
    /// As many of the best classes as the row has labels: the protocol of DeepWalk, which tells the classifier this number.
    LabelCount,
}

#[derive(Debug, Clone)]
enum Selection {
    Fixed,
    Validation(Vec<f64>),
    CrossValidation(Vec<f64>, usize),
}

/// Linear evaluation of frozen embeddings: a logistic regression on some rows, its penalty chosen on others, scored on the rest, for
/// several splits.
///
/// Scaling statistics are those of the rows that a fit is trained on. The penalty is chosen by accuracy (micro F1 for sets of labels),
/// the strongest of equally good ones; the final fit is on the training rows, without those it was chosen by.
#[derive(Debug, Clone)]
pub struct LinearProbe {
    classifier: LogisticRegression,
    scaling: Scaling,
    selection: Selection,
    decision: Decision,
    seed: u64,
}

impl Default for LinearProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl LinearProbe {
    /// Softmax with C = 1 on the features as they are.
    pub fn new() -> Self {
        Self {
            classifier: LogisticRegression::new(1.0),
            scaling: Scaling::None,
            selection: Selection::Fixed,
            decision: Decision::Threshold,
            seed: 0,
        }
    }

    /// The protocol of GRACE's released code (Zhu et al. 2020): rows of length 1, one class against the rest with penalised
    /// intercepts, C from 2^-10 to 2^9 by 5-fold cross-validation. Its splits are random, 10 % of the rows to train on.
    pub fn grace() -> Self {
        let grid: Vec<f64> = (-10..10).map(|power| f64::from(power).exp2()).collect();
        Self::new()
            .with_classifier(LogisticRegression::new(1.0).with_link(Link::Sigmoid).with_intercept(Intercept::Penalised))
            .with_scaling(Scaling::UnitLength)
            .with_cross_validation(&grid, 5)
    }

    /// The classifier; its C is used where none is chosen.
    pub fn with_classifier(mut self, classifier: LogisticRegression) -> Self {
        self.classifier = classifier;
        self
    }

    /// What is done to the features first.
    pub fn with_scaling(mut self, scaling: Scaling) -> Self {
        self.scaling = scaling;
        self
    }

    /// Chooses C among these by the score on each split's validation rows.
    pub fn with_validation(mut self, c: &[f64]) -> Self {
        self.selection = Selection::Validation(sorted(c));
        self
    }

    /// Chooses C among these by the mean score over folds of the training rows, at least 2; validation rows are not used. Where a class
    /// is missing outside a fold, it cannot be predicted in it.
    pub fn with_cross_validation(mut self, c: &[f64], folds: usize) -> Self {
        self.selection = Selection::CrossValidation(sorted(c), folds);
        self
    }

    /// How sets of labels are predicted; [`Decision::Threshold`] unless told otherwise.
    pub fn with_decision(mut self, decision: Decision) -> Self {
        self.decision = decision;
        self
    }

    /// Seed of the folds; 0 unless told otherwise.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Evaluates `x`, `[rows, D]`, on every split. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`EvalError::Empty`], [`EvalError::BadNumber`]; [`EvalError::LengthMismatch`] for the targets; [`EvalError::RowOutOfRange`] for a split
    /// of more rows; [`EvalError::LabelOutOfRange`] for a row of a split; [`EvalError::TooFew`] for fewer training rows than folds;
    /// and as [`LogisticRegression::fit`].
    pub fn run<T: Real>(
        &self,
        x: ArrayView2<'_, T>,
        targets: Targets<'_>,
        splits: &[Split],
    ) -> Result<ProbeReport, EvalError> {
        check_length("labels", targets.rows(), "rows", x.nrows())?;
        let x = Rows::new("embeddings", x)?;
        self.check(x.len(), targets, splits)?;
        let run = |split: &Split| self.run_split(&x, targets, split);
        let runs: Result<Vec<ProbeRun>, EvalError> = if x.values.len() > LARGE {
            splits.iter().map(run).collect()
        } else {
            splits.par_iter().map(run).collect()
        };
        Ok(ProbeReport { runs: runs? })
    }

    /// Trains on one table, `[rows, D]`, and scores another, `[others, D]`: test embeddings made by an encoder that never saw them, say. The penalty
    /// may be chosen by cross-validation; there are no validation rows.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`EvalError::Setting`] for a test table of another width, with another number of classes, or with sets of
    /// labels where the other has one label each.
    pub fn run_between<T: Real>(
        &self,
        train: (ArrayView2<'_, T>, Targets<'_>),
        test: (ArrayView2<'_, T>, Targets<'_>),
    ) -> Result<ProbeReport, EvalError> {
        let ((x, labels), (others, other_labels)) = (train, test);
        let (width, rows) = (others.ncols(), x.nrows());
        check_setting("width of the test table", width as f64, width == x.ncols(), "that of the training table")?;
        check_length("labels", labels.rows(), "rows to train on", rows)?;
        check_length("labels", other_labels.rows(), "rows to test on", others.nrows())?;
        let all = ndarray::concatenate(ndarray::Axis(0), &[x, others]).expect("tables of one width");
        let total = all.nrows() as u32;
        let split = Split::new(all.nrows(), (0..rows as u32).collect(), Vec::new(), (rows as u32..total).collect())?;
        let (classes, others) = (labels.classes(), other_labels.classes());
        check_setting("classes of the test table", others as f64, others == classes, "those of the training table")?;
        let alike = labels.is_multi() == other_labels.is_multi();
        check_setting(
            "kind of the test labels",
            f64::from(other_labels.is_multi()),
            alike,
            "that of the training labels",
        )?;
        let rows = (0..labels.rows())
            .map(|row| labels.of(row))
            .chain((0..other_labels.rows()).map(|row| other_labels.of(row)));
        let (mut offsets, mut flat) = (vec![0], Vec::new());
        for own in rows {
            flat.extend_from_slice(own);
            offsets.push(flat.len());
        }
        let sets = ItemSets::new(&offsets, &flat).expect("sets that were sets before");
        let targets = if labels.is_multi() { Targets::multi(sets, classes) } else { Targets::single(&flat, classes) };
        self.run(all.view(), targets, &[split])
    }

    fn check(&self, rows: usize, targets: Targets<'_>, splits: &[Split]) -> Result<(), EvalError> {
        self.classifier.check(targets.is_multi())?;
        if let Selection::Validation(grid) | Selection::CrossValidation(grid, _) = &self.selection {
            for &c in grid {
                self.classifier.clone().with_c(c).check(targets.is_multi())?;
            }
            if grid.is_empty() {
                return Err(EvalError::Empty { what: "values of C" });
            }
        }
        if splits.is_empty() {
            return Err(EvalError::Empty { what: "splits" });
        }
        for split in splits {
            match self.selection {
                Selection::Fixed => {}
                Selection::Validation(_) => {
                    check_enough("validation rows to choose C by", 1, split.validation().len())?;
                }
                Selection::CrossValidation(_, folds) => {
                    check_setting("folds", folds as f64, folds >= 2, "at least 2")?;
                    check_enough("training rows, one for each fold,", folds, split.train().len())?;
                }
            }
            let parts = [
                ("training rows", split.train()),
                ("validation rows", split.validation()),
                ("test rows", split.test()),
            ];
            for (what, part) in parts {
                if let Some(&row) = part.iter().find(|&&row| row as usize >= rows) {
                    return Err(EvalError::RowOutOfRange { what, row, rows });
                }
                targets.check_rows(part)?;
            }
        }
        Ok(())
    }

    fn run_split(&self, x: &Rows, targets: Targets<'_>, split: &Split) -> Result<ProbeRun, EvalError> {
        let task = Task { probe: self, x, targets };
        let full = task.path(split.train(), self.classifier.missing_classes)?;
        let mut fits = Vec::new();
        let (c, chosen_by) = match &self.selection {
            Selection::Fixed => (self.classifier.c, None),
            Selection::Validation(grid) => {
                let scores = full.scores(grid, split.validation(), &mut fits)?;
                best(grid, &scores)
            }
            Selection::CrossValidation(grid, folds) => {
                let label =
                    |row: u32| if targets.is_multi() { None } else { targets.of(row as usize).first().copied() };
                let folds = Split::folds(split.train(), label, *folds, self.seed);
                let fold = |fold: &Split| -> Result<(Vec<f64>, Vec<bool>), EvalError> {
                    let mut fits = Vec::new();
                    let scores = task.path(fold.train(), true)?.scores(grid, fold.test(), &mut fits)?;
                    Ok((scores, fits))
                };
                let results: Vec<_> = folds.par_iter().map(fold).collect::<Result<_, _>>()?;
                let mut means = vec![0.0; grid.len()];
                for (scores, converged) in results {
                    means.iter_mut().zip(scores).for_each(|(mean, score)| *mean += score / folds.len() as f64);
                    fits.extend(converged);
                }
                best(grid, &means)
            }
        };
        let model = full.model(&self.classifier, c, None).0;
        fits.push(model.converged());
        let (test, train) = (full.score(&model, split.test())?, full.score(&model, split.train())?);
        Ok(ProbeRun {
            c,
            chosen_by,
            accuracy: test.accuracy(),
            micro_f1: test.micro_f1(),
            macro_f1: test.macro_f1(),
            train_accuracy: train.accuracy(),
            rows: [split.train().len(), split.validation().len(), split.test().len()],
            missing_classes: targets.classes() - full.present.list.len(),
            fits: fits.len(),
            not_converged: fits.iter().filter(|&&converged| !converged).count(),
        })
    }
}

fn sorted(c: &[f64]) -> Vec<f64> {
    let mut c = c.to_vec();
    c.sort_by(f64::total_cmp);
    c
}

/// The first of the best.
fn best(grid: &[f64], scores: &[f64]) -> (f64, Option<f64>) {
    let at = argmax(scores) as usize;
    (grid[at], Some(scores[at]))
}

/// The embeddings and what is to be read out of them.
#[derive(Clone, Copy)]
struct Task<'a> {
    probe: &'a LinearProbe,
    x: &'a Rows,
    targets: Targets<'a>,
}

/// Some training rows, ready to be fitted for several values of C.
struct Path<'a> {
    task: Task<'a>,
    scaler: Scaler,
    present: Present,
    problem: super::problem::Problem,
}

impl<'a> Task<'a> {
    fn path(self, train: &[u32], missing: bool) -> Result<Path<'a>, EvalError> {
        let present = Present::new(self.targets, train, missing)?;
        let scaler = Scaler::new(self.probe.scaling, self.x, train);
        let problem = present.problem(&self.probe.classifier, scaler.gather(self.x, train), train, self.targets);
        Ok(Path { task: self, scaler, present, problem })
    }
}

impl Path<'_> {
    /// The score of each C, ascending, on some rows. Every fit starts from the one before.
    fn scores(&self, grid: &[f64], rows: &[u32], fits: &mut Vec<bool>) -> Result<Vec<f64>, EvalError> {
        let mut start = None;
        let score = |&c: &f64| {
            let (model, weights) = self.model(&self.task.probe.classifier, c, start.take());
            fits.push(model.converged());
            start = Some(weights);
            let score = self.score(&model, rows)?;
            Ok(if self.task.targets.is_multi() { score.micro_f1() } else { score.accuracy() })
        };
        grid.iter().map(score).collect()
    }

    fn model(&self, settings: &LogisticRegression, c: f64, start: Option<Vec<f64>>) -> (LogisticModel, Vec<f64>) {
        let solution = solve(&self.problem, c, start, settings.tolerance, settings.max_iterations);
        let weights = solution.weights.clone();
        (settings.model(solution, &self.present), weights)
    }

    fn score(&self, model: &LogisticModel, rows: &[u32]) -> Result<Classification, EvalError> {
        let targets = self.task.targets;
        let block = |rows: &[u32]| {
            let scores = model.scores_of(&self.scaler.gather(self.task.x, rows));
            let each = rows.iter().zip(scores.rows());
            let sets = each.map(|(&row, scores)| {
                let scores = scores.to_slice().expect("standard layout");
                if targets.is_multi() {
                    self.decide(scores, targets.of(row as usize).len())
                } else {
                    vec![argmax(scores)]
                }
            });
            sets.collect::<Vec<Vec<u32>>>()
        };
        let predictions: Vec<Vec<u32>> = rows.chunks(BLOCK).flat_map(block).collect();
        let pairs = rows.iter().zip(&predictions).map(|(&row, set)| (targets.of(row as usize), set.as_slice()));
        Classification::count(pairs, targets.classes())
    }

    fn decide(&self, scores: &[f64], labels: usize) -> Vec<u32> {
        let mut classes: Vec<u32> = (0..scores.len() as u32).collect();
        match self.task.probe.decision {
            Decision::Threshold => classes.retain(|&class| scores[class as usize] > 0.0),
            Decision::LabelCount => {
                classes.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
                classes.truncate(labels);
                classes.sort_unstable();
            }
        }
        classes
    }
}
