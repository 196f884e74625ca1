//! What a probe is to predict.

use crate::error::{EvalError, check_labels};
use crate::ranking::ItemSets;
use crate::scores::check_sets;

/// The classes of every row: one each, or a set each.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    kind: Kind<'a>,
    classes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    Single(&'a [u32]),
    Multi(ItemSets<'a>),
}

impl<'a> Targets<'a> {
    /// One label a row, in `0..classes`. Labels of rows that no split uses are not looked at.
    pub fn single(labels: &'a [u32], classes: usize) -> Self {
        Self { kind: Kind::Single(labels), classes }
    }

    /// A set of labels a row (it may be empty), in `0..classes`.
    pub fn multi(labels: ItemSets<'a>, classes: usize) -> Self {
        Self { kind: Kind::Multi(labels), classes }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self.kind {
            Kind::Single(labels) => labels.len(),
            Kind::Multi(sets) => sets.rows(),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether rows have sets of labels.
    pub fn is_multi(&self) -> bool {
        matches!(self.kind, Kind::Multi(_))
    }

    /// The labels of a row, ascending.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn of(&self, row: usize) -> &'a [u32] {
        match self.kind {
            Kind::Single(labels) => &labels[row..=row],
            Kind::Multi(sets) => sets.row(row),
        }
    }

    pub(super) fn check(&self) -> Result<(), EvalError> {
        match self.kind {
            Kind::Single(labels) => check_labels("labels", labels, self.classes),
            Kind::Multi(sets) => check_sets("labels", sets, self.classes),
        }
    }

    /// Fails unless the labels of these rows are classes.
    pub(super) fn check_rows(&self, rows: &[u32]) -> Result<(), EvalError> {
        let bad = |row: &u32| self.of(*row as usize).last().copied().filter(|&label| label as usize >= self.classes);
        match rows.iter().find_map(|row| bad(row).map(|label| (*row as usize, label))) {
            Some((row, label)) => Err(EvalError::LabelOutOfRange { what: "labels", row, label, classes: self.classes }),
            None => Ok(()),
        }
    }
}
