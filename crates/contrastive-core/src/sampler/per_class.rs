//! P classes with m rows each in every batch.

use super::pack::{packs, units};
use super::{Remainder, SamplerError, by_label, enough, generator, not_zero};

/// Batches of `classes` different classes with `per_class` rows each, class after class, for objectives that need positives in
/// the batch (supervised contrastive, triplet, proxy-free metric learning).
///
/// With [`Remainder::Drop`] no row comes twice in an epoch; a class's last incomplete group, and groups that find too few other
/// classes, are left out. With [`Remainder::Cover`] every row comes at least once; an incomplete group is filled with other
/// rows of its class (a class of fewer rows repeats them), and at the end groups of other classes come again.
#[derive(Clone, Debug)]
pub struct PerClassSampler {
    rows: Vec<Vec<usize>>,
    classes: usize,
    per_class: usize,
    remainder: Remainder,
    seed: u64,
}

impl PerClassSampler {
    /// Of rows with these labels.
    ///
    /// # Errors
    /// When there are no labels, a count is 0, or there are fewer than `classes` classes (with [`Remainder::Drop`]: classes of
    /// at least `per_class` rows).
    pub fn new(
        labels: &[i64],
        classes: usize,
        per_class: usize,
        remainder: Remainder,
        seed: u64,
    ) -> Result<Self, SamplerError> {
        not_zero(&[("classes of a batch", classes), ("rows of a class", per_class)])?;
        if labels.is_empty() {
            return Err(SamplerError::Empty);
        }
        let rows: Vec<Vec<usize>> = by_label(labels).into_values().collect();
        let usable = rows.iter().filter(|rows| remainder == Remainder::Cover || rows.len() >= per_class).count();
        enough("classes", usable, classes)?;
        Ok(Self { rows, classes, per_class, remainder, seed })
    }

    /// Rows of a batch.
    pub fn batch_size(&self) -> usize {
        self.classes * self.per_class
    }

    /// The batches of an epoch, positions in the labels.
    pub fn epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = generator(self.seed, epoch);
        let groups: Vec<_> =
            self.rows.iter().map(|rows| units(rows, self.per_class, self.remainder, &mut rng)).collect();
        packs(&groups, self.classes, self.remainder, &mut rng)
    }
}
