//! Batches from few groups of related classes.

use super::pack::{packs, units};
use super::{Remainder, SamplerError, by_label, enough, generator, not_zero};
use std::collections::BTreeMap;

/// Batches of `groups` different groups (the level above: genera, product lines), with `classes` different classes of each and
/// `per_class` rows of each class: negatives of the same group are the hard ones.
///
/// With [`Remainder::Drop`] no row comes twice in an epoch, and groups with fewer than `classes` classes of `per_class` rows are
/// left out; with [`Remainder::Cover`] every row comes at least once. Rows of a class stand together in a batch, classes of a
/// group too.
#[derive(Clone, Debug)]
pub struct HierarchicalSampler {
    /// Rows of each class, by group.
    rows: Vec<Vec<Vec<usize>>>,
    groups: usize,
    classes: usize,
    per_class: usize,
    remainder: Remainder,
    seed: u64,
}

impl HierarchicalSampler {
    /// Of rows with these labels, and these labels of the level above. `counts` are groups of a batch, classes of a group, and
    /// rows of a class.
    ///
    /// # Errors
    /// When there are no labels, the two lists differ in length, a label stands under two groups, a count is 0, or there are fewer
    /// than `groups` groups with enough classes (with [`Remainder::Cover`]: or any group without).
    pub fn new(
        labels: &[i64],
        above: &[i64],
        counts: [usize; 3],
        remainder: Remainder,
        seed: u64,
    ) -> Result<Self, SamplerError> {
        let [groups, classes, per_class] = counts;
        not_zero(&[("groups of a batch", groups), ("classes of a group", classes), ("rows of a class", per_class)])?;
        if labels.len() != above.len() {
            return Err(SamplerError::Lengths { first: labels.len(), second: above.len() });
        }
        if labels.is_empty() {
            return Err(SamplerError::Empty);
        }
        let mut parents = BTreeMap::new();
        for (row, (&label, &second)) in labels.iter().zip(above).enumerate() {
            let first = *parents.entry(label).or_insert(second);
            if first != second {
                return Err(SamplerError::Parents { label, first, second, row });
            }
        }
        let mut rows: BTreeMap<i64, Vec<Vec<usize>>> = BTreeMap::new();
        by_label(labels).into_iter().for_each(|(label, of)| rows.entry(parents[&label]).or_default().push(of));
        let rows: Vec<Vec<Vec<usize>>> = rows.into_values().collect();
        let usable = |group: &Vec<Vec<usize>>| {
            group.iter().filter(|rows| remainder == Remainder::Cover || rows.len() >= per_class).count()
        };
        if remainder == Remainder::Cover {
            let fewest = rows.iter().map(usable).min().unwrap_or(0);
            enough("classes in a group", fewest, classes)?;
        }
        enough("groups", rows.iter().filter(|group| usable(group) >= classes).count(), groups)?;
        Ok(Self { rows, groups, classes, per_class, remainder, seed })
    }

    /// Rows of a batch.
    pub fn batch_size(&self) -> usize {
        self.groups * self.classes * self.per_class
    }

    /// The batches of an epoch, positions in the labels.
    pub fn epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = generator(self.seed, epoch);
        let mut packed = Vec::with_capacity(self.rows.len());
        for group in &self.rows {
            let classes: Vec<_> =
                group.iter().map(|rows| units(rows, self.per_class, self.remainder, &mut rng)).collect();
            packed.push(packs(&classes, self.classes, self.remainder, &mut rng));
        }
        packs(&packed, self.groups, self.remainder, &mut rng)
    }
}
