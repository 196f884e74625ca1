//! What can be wrong with the input of an evaluation.

use contrastive_kernels::top_k::ItemSetsError;

/// Why an embedding could not be evaluated. Rows, labels and classes are counted from 0.
///
/// The all-ranking protocol has errors of its own, [`crate::ranking::RankingError`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// An input has no rows, no columns or no entries.
    #[error("the {what} are empty; at least one is needed")]
    Empty {
        /// The input.
        what: &'static str,
    },
    /// Two inputs that belong together differ in length.
    #[error("there are {found} {what}, and {expected} {of}; there must be one for each")]
    LengthMismatch {
        /// The input.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What it must be as long as.
        of: &'static str,
        /// The length of that.
        expected: usize,
    },
    /// Two tables whose rows are compared differ in width.
    #[error("the {what} have {found} columns and the {of} {expected}; both must have the same number")]
    WidthMismatch {
        /// One table.
        what: &'static str,
        /// Its columns.
        found: usize,
        /// The other table.
        of: &'static str,
        /// Its columns.
        expected: usize,
    },
    /// A number is NaN, infinite, or so large that its square would be.
    #[error("row {row} of the {what} holds {value}; numbers must be finite and at most 1e100 in size")]
    BadNumber {
        /// The input.
        what: &'static str,
        /// The first such row.
        row: usize,
        /// The number.
        value: f64,
    },
    /// A label is not one of the classes.
    #[error(
        "the label of row {row} of the {what} is {label}; there are {classes} classes, so labels are in 0..{classes}"
    )]
    LabelOutOfRange {
        /// The input.
        what: &'static str,
        /// The row.
        row: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// A row index is too large.
    #[error("row {row} in the {what} is out of range; there are {rows} rows, counted from 0")]
    RowOutOfRange {
        /// The list that holds the index.
        what: &'static str,
        /// The index.
        row: u32,
        /// Number of rows.
        rows: usize,
    },
    /// A row index is twice in lists that must not overlap.
    #[error("row {row} is twice in the {what}; a row can be used once")]
    RepeatedRow {
        /// The list in which it is found the second time.
        what: &'static str,
        /// The index.
        row: u32,
    },
    /// All rows are of one class (or in one cluster), where at least two are needed.
    #[error("the {what} are all of one class, {class}; at least two classes are needed")]
    OneClass {
        /// The input.
        what: &'static str,
        /// The only class.
        class: u32,
    },
    /// A class that is to be told apart has no row to learn it from.
    #[error(
        "class {class} has no row among the {what}; draw a stratified split, or allow missing classes, which are then never predicted"
    )]
    MissingClass {
        /// The class.
        class: u32,
        /// The rows that lack it.
        what: &'static str,
    },
    /// A class is that of every training row, so that there is nothing to tell it from.
    #[error("class {class} is that of every one of the {what}; a classifier needs rows without it, too")]
    FullClass {
        /// The class.
        class: u32,
        /// The rows that all have it.
        what: &'static str,
    },
    /// Softmax was asked to predict sets of labels.
    #[error(
        "softmax predicts one label a row; for sets of labels choose the sigmoid link (one class against the rest)"
    )]
    SoftmaxOfSets,
    /// Weights of classes were asked for where a row has a set of labels.
    #[error("weights of classes need one label a row; these are sets of labels")]
    WeightsOfSets,
    /// More rows are asked for than there are.
    #[error("{asked} {what} are asked for, and there are {available}")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// How many are needed.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// A setting is out of its range.
    #[error("{name} is {value}; it must be {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The values it can have.
        allowed: &'static str,
    },
    /// A correlation with something that does not vary.
    #[error("the {what} are all equal, so their correlation with anything is undefined")]
    Constant {
        /// The input.
        what: &'static str,
    },
    /// No query has anything to be found.
    #[error("no query has a relevant candidate, so there is nothing to average")]
    NothingRelevant,
    /// The arrays handed to [`crate::ranking::ItemSets::new`] are inconsistent.
    #[error(transparent)]
    ItemSets(#[from] ItemSetsError),
}

/// Fails with [`EvalError::LengthMismatch`] unless both are of one length.
pub(crate) fn check_length(
    what: &'static str,
    found: usize,
    of: &'static str,
    expected: usize,
) -> Result<(), EvalError> {
    if found == expected { Ok(()) } else { Err(EvalError::LengthMismatch { what, found, of, expected }) }
}

/// Fails with [`EvalError::TooFew`] unless there are as many as asked for.
pub(crate) fn check_enough(what: &'static str, asked: usize, available: usize) -> Result<(), EvalError> {
    if asked <= available { Ok(()) } else { Err(EvalError::TooFew { what, asked, available }) }
}

/// Fails with [`EvalError::Setting`] unless `good`.
pub(crate) fn check_setting(
    name: &'static str,
    value: f64,
    good: bool,
    allowed: &'static str,
) -> Result<(), EvalError> {
    if good { Ok(()) } else { Err(EvalError::Setting { name, value, allowed }) }
}

/// Fails with [`EvalError::LabelOutOfRange`] unless all labels are below `classes`.
pub(crate) fn check_labels(what: &'static str, labels: &[u32], classes: usize) -> Result<(), EvalError> {
    match labels.iter().position(|&label| label as usize >= classes) {
        Some(row) => Err(EvalError::LabelOutOfRange { what, row, label: labels[row], classes }),
        None => Ok(()),
    }
}
