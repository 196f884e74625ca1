//! What an audit found: numbers, and thumbnails of a few marked images.

use super::search::Round;
use super::{Detector, Family, Mitigation};
use std::fmt;

/// Views and spread of poisoned and of clean images during the training; NaN for fewer than two images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// After so many steps.
    pub step: usize,
    /// Of poisoned images: the mean squared distance of two views, and the uniformity `log mean e^(-2 |x - x'|^2)`.
    pub poisoned: [f64; 2],
    /// Of clean images, the same.
    pub clean: [f64; 2],
}

/// What a detector found on the images that an encoder was trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// The detector.
    pub detector: Detector,
    /// ROC-AUC of poisoned against other images.
    pub auc: f64,
    /// The poisoned share of as many images as are poisoned, those of the highest scores.
    pub precision: f64,
    /// The share of poisoned images above the threshold that lets 5 % of images pass for poisoned on the clean run.
    pub caught: f64,
    /// The share of other images above it.
    pub false_alarms: f64,
}

/// What a mitigation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Mitigated {
    /// The mitigation.
    pub mitigation: Mitigation,
    /// Accuracy after it.
    pub accuracy: f64,
    /// Success rate after it.
    pub success: f64,
}

/// One family at one rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The family.
    pub family: Family,
    /// The poisoned share.
    pub rate: f64,
    /// Poisoned images.
    pub poisoned: usize,
    /// Accuracy of the victim on clean test images.
    pub accuracy: f64,
    /// The share of marked test images of other classes that are taken for the target.
    pub success: f64,
    /// The same with this trigger on the encoder that saw no poison.
    pub base: f64,
    /// Mean cosine of marked images with the target's centre, less that of the same images unmarked.
    pub entanglement: f64,
    /// Whether the accuracy is one of an encoder that tells nothing: then the success rate means nothing.
    pub collapsed: bool,
    /// Most that a pixel was changed by, of the range.
    pub largest_change: f64,
    /// Of four moments of the training.
    pub shapes: Vec<Shape>,
    /// What detectors found.
    pub detections: Vec<Detection>,
    /// What mitigations came to.
    pub mitigated: Vec<Mitigated>,
    /// The rounds of the search; none for the other families.
    pub rounds: Vec<Round>,
    /// Up to four marked test images as PNG files in memory, 32 pixels at most.
    pub thumbnails: Vec<Vec<u8>>,
}

impl Cell {
    /// The rise of the success rate above its base.
    pub fn rise(&self) -> f64 {
        self.success - self.base
    }

    /// The mitigation with the lowest success rate among those that leave the accuracy within 3 points.
    pub fn best(&self) -> Option<&Mitigated> {
        let kept = self.mitigated.iter().filter(|after| after.accuracy > self.accuracy - 0.03);
        kept.min_by(|a, b| a.success.total_cmp(&b.success))
    }
}

/// What the decision rule says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// At the declared rate every family stays within the margin of its base, or is found by a detector (AUC above 0.95) whose removal brings
    /// it back there.
    Passed,
    /// These families do not.
    Failed(Vec<&'static str>),
    /// The optimised trigger did no better than the patch: the audit has not been hard enough to say anything.
    SearchFailed {
        /// The success rate of the optimised trigger.
        optimised: f64,
        /// That of the patch.
        patch: f64,
    },
}

/// The report of an audit.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Accuracy of the encoder that saw no poison.
    pub clean: f64,
    /// Detectors on that encoder, against as many images drawn at random as are poisoned at the declared rate.
    pub null: Vec<Detection>,
    /// A cell for each family and rate.
    pub cells: Vec<Cell>,
    /// The declared rate.
    pub declared: f64,
    /// The margin of the decision, a share of 1.
    pub margin: f64,
}

impl Report {
    /// The cell of a family at the declared rate.
    pub fn cell(&self, family: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.family.name() == family && cell.rate == self.declared)
    }

    /// The decision.
    pub fn verdict(&self) -> Verdict {
        if let (Some(optimised), Some(patch)) = (self.cell("optimised"), self.cell("patch"))
            && (optimised.success <= patch.success || optimised.success.is_nan())
        {
            return Verdict::SearchFailed { optimised: optimised.success, patch: patch.success };
        }
        let restored = |cell: &Cell, detection: &Detection| {
            let by = Mitigation::Removal(detection.detector);
            let after = cell.mitigated.iter().find(|after| after.mitigation == by);
            detection.auc > 0.95 && after.is_some_and(|after| after.success - cell.base < self.margin)
        };
        let holds = |cell: &&Cell| {
            let harmless = cell.rise() < self.margin || cell.detections.iter().any(|found| restored(cell, found));
            cell.rate == self.declared && (cell.collapsed || !harmless)
        };
        let failed: Vec<&'static str> = self.cells.iter().filter(holds).map(|cell| cell.family.name()).collect();
        if failed.is_empty() { Verdict::Passed } else { Verdict::Failed(failed) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(f, "passed: no family rose above the margin undetected at the declared rate"),
            Self::Failed(families) => write!(f, "failed: {}", families.join(", ")),
            Self::SearchFailed { optimised, patch } => write!(
                f,
                "search failed: the optimised trigger succeeds at {:.1} %, the patch at {:.1} %; no verdict",
                100.0 * optimised,
                100.0 * patch
            ),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "accuracy without poison: {:.1}", 100.0 * self.clean)?;
        writeln!(
            f,
            "{:<12} {:>6} {:>6} {:>7} {:>6} {:>9}  best detector, best mitigation",
            "trigger", "rate", "acc", "success", "base", "entangled"
        )?;
        for cell in &self.cells {
            write!(
                f,
                "{:<12} {:>5.1}% {:>6.1} {:>7.1} {:>6.1} {:>9.3}",
                cell.family.name(),
                100.0 * cell.rate,
                100.0 * cell.accuracy,
                100.0 * cell.success,
                100.0 * cell.base,
                cell.entanglement
            )?;
            if let Some(found) = cell.detections.iter().max_by(|a, b| a.auc.total_cmp(&b.auc)) {
                write!(f, "  {} (AUC {:.3}, precision {:.2})", found.detector, found.auc, found.precision)?;
            }
            if let Some(after) = cell.best() {
                write!(f, ", {} ({:.1}, {:.1})", after.mitigation, 100.0 * after.accuracy, 100.0 * after.success)?;
            }
            writeln!(f, "{}", if cell.collapsed { "  COLLAPSED: the success rate means nothing" } else { "" })?;
        }
        write!(f, "{}", self.verdict())
    }
}
