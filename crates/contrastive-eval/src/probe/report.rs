//! Results of a linear probe.

use crate::summary::{Summary, table};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The result on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRun {
    /// The inverse penalty that was used, chosen if there was a choice.
    pub c: f64,
    /// The accuracy (for sets of labels: the micro F1) that `c` was chosen by, on the validation rows or as the mean over the
    /// folds; None if there was no choice.
    pub chosen_by: Option<f64>,
    /// Share of the test rows whose label (or whole set of labels) was predicted.
    pub accuracy: f64,
    /// Micro F1 on the test rows; for single labels this is the accuracy.
    pub micro_f1: f64,
    /// Macro F1 on the test rows: the mean over the classes that occur or were predicted.
    pub macro_f1: f64,
    /// The accuracy on the training rows.
    pub train_accuracy: f64,
    /// Rows to train on, to choose by, and to test on.
    pub rows: [usize; 3],
    /// Classes without a training row, which could not be predicted.
    pub missing_classes: usize,
    /// Fits that were made, one for each value of C and fold.
    pub fits: usize,
    /// Fits that were stopped before they reached their tolerance.
    pub not_converged: usize,
}

/// The results on all splits. Printed, it is a table of means and deviations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    pub(super) runs: Vec<ProbeRun>,
}

impl ProbeReport {
    /// The results, in the order of the splits; at least one.
    pub fn runs(&self) -> &[ProbeRun] {
        &self.runs
    }

    /// Test accuracy over the splits.
    pub fn accuracy(&self) -> Summary {
        self.over(|run| run.accuracy)
    }

    /// Test micro F1 over the splits.
    pub fn micro_f1(&self) -> Summary {
        self.over(|run| run.micro_f1)
    }

    /// Test macro F1 over the splits.
    pub fn macro_f1(&self) -> Summary {
        self.over(|run| run.macro_f1)
    }

    /// Accuracy on the training rows over the splits.
    pub fn train_accuracy(&self) -> Summary {
        self.over(|run| run.train_accuracy)
    }

    /// Fits on all splits that were stopped before they reached their tolerance.
    pub fn not_converged(&self) -> usize {
        self.runs.iter().map(|run| run.not_converged).sum()
    }

    fn over(&self, value: impl Fn(&ProbeRun) -> f64) -> Summary {
        Summary::of(&self.runs.iter().map(value).collect::<Vec<f64>>())
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("accuracy", self.accuracy()),
            ("micro F1", self.micro_f1()),
            ("macro F1", self.macro_f1()),
            ("train accuracy", self.train_accuracy()),
        ];
        table(f, lines)?;
        let Some(first) = self.runs.first() else { return Ok(()) };
        let [train, validation, test] = first.rows;
        let splits = if self.runs.len() == 1 { "split" } else { "splits" };
        write!(
            f,
            "\n{} {splits}: {train} rows to train on, {validation} to choose by, {test} to test on",
            self.runs.len()
        )?;
        let cs: Vec<String> = self.runs.iter().map(|run| format!("{}", run.c)).collect();
        write!(f, "\nC = {}", if cs.iter().all(|c| *c == cs[0]) { cs[0].clone() } else { cs.join(", ") })?;
        let missing = self.runs.iter().filter(|run| run.missing_classes > 0).count();
        if missing > 0 {
            write!(f, "\n{missing} of them lack classes among the rows to train on")?;
        }
        let (fits, stopped) = (self.runs.iter().map(|run| run.fits).sum::<usize>(), self.not_converged());
        if stopped > 0 {
            write!(f, "\n{stopped} of {fits} fits were stopped before they converged")?;
        }
        Ok(())
    }
}
