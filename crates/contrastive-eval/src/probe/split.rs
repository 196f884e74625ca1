//! Rows to train on, to choose settings by, and to test on.

use crate::error::{EvalError, check_enough, check_setting};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rows to train on, to choose the penalty by (there may be none), and to test on. Rows are counted from 0; those in no part are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    train: Vec<u32>,
    validation: Vec<u32>,
    test: Vec<u32>,
}

impl Split {
    /// A given split: a data set's public one, say.
    ///
    /// # Errors
    /// [`EvalError::RowOutOfRange`] for an index that is not below `rows`, [`EvalError::RepeatedRow`] for one that is used twice,
    /// [`EvalError::Empty`] for no rows to train on or to test on.
    pub fn new(rows: usize, train: Vec<u32>, validation: Vec<u32>, test: Vec<u32>) -> Result<Self, EvalError> {
        let mut used = vec![false; rows];
        for (what, part) in [("training rows", &train), ("validation rows", &validation), ("test rows", &test)] {
            for &row in part {
                match used.get_mut(row as usize) {
                    None => return Err(EvalError::RowOutOfRange { what, row, rows }),
                    Some(true) => return Err(EvalError::RepeatedRow { what, row }),
                    Some(new) => *new = true,
                }
            }
        }
        for (what, part) in [("training rows", &train), ("test rows", &test)] {
            if part.is_empty() {
                return Err(EvalError::Empty { what });
            }
        }
        Ok(Self { train, validation, test })
    }

    /// A split from masks, one entry a row.
    ///
    /// # Errors
    /// As [`Split::new`], and [`EvalError::LengthMismatch`].
    pub fn from_masks(train: &[bool], validation: &[bool], test: &[bool]) -> Result<Self, EvalError> {
        crate::error::check_length("validation rows", validation.len(), "training rows", train.len())?;
        crate::error::check_length("test rows", test.len(), "training rows", train.len())?;
        let chosen = |mask: &[bool]| (0u32..).zip(mask).filter(|(_, chosen)| **chosen).map(|(row, _)| row).collect();
        Self::new(train.len(), chosen(train), chosen(validation), chosen(test))
    }

    /// A uniformly random split of `0..rows`: shares to train on and to choose by, rounded down, and the rest to test on.
    ///
    /// # Errors
    /// [`EvalError::Setting`] for shares outside 0..1 or together 1 or more; [`EvalError::Empty`] when a share rounds to no row to train on.
    pub fn random(rows: usize, train: f64, validation: f64, seed: u64) -> Result<Self, EvalError> {
        Self::random_of((0..rows as u32).collect(), train, validation, seed)
    }

    /// [`Split::random`] of some rows: the labelled ones, say. No row may be there twice.
    ///
    /// # Errors
    /// As [`Split::random`], and [`EvalError::RepeatedRow`].
    pub fn random_of(mut rows: Vec<u32>, train: f64, validation: f64, seed: u64) -> Result<Self, EvalError> {
        for (name, share) in [("train", train), ("validation", validation)] {
            check_setting(name, share, (0.0..1.0).contains(&share), "in 0..1")?;
        }
        check_setting("train + validation", train + validation, train + validation < 1.0, "below 1")?;
        let count = |share: f64| (share * rows.len() as f64) as usize;
        let (train, validation) = (count(train), count(validation));
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let test = rows.split_off(train + validation);
        let validation = rows.split_off(train);
        Self::new_of_any(rows, validation, test)
    }

    /// `per_class` random rows of every class to train on, `validation` and `test` of the others. The Planetoid protocol is
    /// 20, 500, 1000.
    ///
    /// # Errors
    /// [`EvalError::TooFew`] for a class with fewer rows, or fewer other rows than asked for; [`EvalError::Setting`] for a
    /// `per_class` or a `test` of 0; [`EvalError::LabelOutOfRange`].
    pub fn per_class(
        labels: &[u32],
        classes: usize,
        per_class: usize,
        validation: usize,
        test: usize,
        seed: u64,
    ) -> Result<Self, EvalError> {
        check_setting("per_class", per_class as f64, per_class > 0, "at least 1")?;
        check_setting("test", test as f64, test > 0, "at least 1")?;
        crate::error::check_labels("labels", labels, classes)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<u32> = (0..labels.len() as u32).collect();
        order.shuffle(&mut rng);
        let mut taken = vec![0; classes];
        let (train, mut rest): (Vec<u32>, Vec<u32>) = order.into_iter().partition(|&row| {
            let taken = &mut taken[labels[row as usize] as usize];
            *taken += 1;
            *taken <= per_class
        });
        for taken in taken {
            check_enough("rows of each class", per_class, taken)?;
        }
        check_enough("rows beside those to train on", validation + test, rest.len())?;
        rest.truncate(validation + test);
        let test = rest.split_off(validation);
        Self::new_of_any(train, rest, test)
    }

    /// Checks as if the highest index were the last row.
    fn new_of_any(train: Vec<u32>, validation: Vec<u32>, test: Vec<u32>) -> Result<Self, EvalError> {
        let last = [&train, &validation, &test].into_iter().flatten().max();
        let rows = last.map_or(0, |&row| row as usize + 1);
        Self::new(rows, train, validation, test)
    }

    /// Rows to train on.
    pub fn train(&self) -> &[u32] {
        &self.train
    }

    /// Rows to choose settings by.
    pub fn validation(&self) -> &[u32] {
        &self.validation
    }

    /// Rows to test on.
    pub fn test(&self) -> &[u32] {
        &self.test
    }

    /// A split by groups (persons, recordings): rows whose group is among `validation` or `test` go there, all others are trained on, so
    /// that no group is in two parts. Every part that has rows must have every class.
    ///
    /// # Errors
    /// [`EvalError::LengthMismatch`], [`EvalError::LabelOutOfRange`]; [`EvalError::RepeatedRow`] for a group that is named twice or in both
    /// parts; [`EvalError::RowOutOfRange`] for a group that no row has; [`EvalError::MissingClass`] for a part without a class.
    pub fn by_groups(
        groups: &[u32],
        validation: &[u32],
        test: &[u32],
        labels: &[u32],
        classes: usize,
    ) -> Result<Self, EvalError> {
        crate::error::check_length("groups", groups.len(), "labels", labels.len())?;
        crate::error::check_labels("labels", labels, classes)?;
        let mut named = Vec::new();
        for (what, part) in [("groups of the validation part", validation), ("groups of the test part", test)] {
            for &group in part {
                if named.contains(&group) {
                    return Err(EvalError::RepeatedRow { what, row: group });
                }
                if !groups.contains(&group) {
                    let rows = groups.iter().max().map_or(0, |&most| most as usize + 1);
                    return Err(EvalError::RowOutOfRange { what, row: group, rows });
                }
                named.push(group);
            }
        }
        let chosen = |keep: &dyn Fn(u32) -> bool| -> Vec<u32> {
            (0u32..).zip(groups).filter(|(_, group)| keep(**group)).map(|(row, _)| row).collect()
        };
        let split = Self::new(
            groups.len(),
            chosen(&|group| !named.contains(&group)),
            chosen(&|group| validation.contains(&group)),
            chosen(&|group| test.contains(&group)),
        )?;
        for (what, rows) in
            [("training rows", &split.train), ("validation rows", &split.validation), ("test rows", &split.test)]
        {
            let mut seen = vec![false; classes];
            rows.iter().for_each(|&row| seen[labels[row as usize] as usize] = true);
            if let Some(class) = seen.iter().position(|seen| !seen).filter(|_| !rows.is_empty()) {
                return Err(EvalError::MissingClass { class: class as u32, what });
            }
        }
        Ok(split)
    }

    /// Parts of these rows for cross-validation: the members of every class, in random order, are dealt out one by one.
    pub(super) fn folds(rows: &[u32], label: impl Fn(u32) -> Option<u32>, folds: usize, seed: u64) -> Vec<Self> {
        let mut rows = rows.to_vec();
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        rows.sort_by_key(|&row| label(row));
        let part = |fold: usize| {
            let (mut held, mut rest) = (Vec::new(), Vec::new());
            rows.iter()
                .enumerate()
                .for_each(|(at, &row)| if at % folds == fold { &mut held } else { &mut rest }.push(row));
            Self { train: rest, validation: Vec::new(), test: held }
        };
        (0..folds).map(part).collect()
    }
}

/// For each row the fold that holds it out, as scikit-learn's stratified folds without shuffling: folds of equal size (to one row), each
/// with its share of every class, the rows of a class in their order.
pub(super) fn stratified_parts(labels: &[u32], folds: usize) -> Vec<usize> {
    // classes by their first row
    let mut order: Vec<u32> = Vec::new();
    labels.iter().for_each(|label| {
        if !order.contains(label) {
            order.push(*label)
        }
    });
    let encoded: Vec<usize> =
        labels.iter().map(|label| order.iter().position(|o| o == label).expect("listed")).collect();
    let mut sorted = encoded.clone();
    sorted.sort_unstable();
    let mut shares = vec![vec![0usize; order.len()]; folds];
    sorted.iter().enumerate().for_each(|(at, &class)| shares[at % folds][class] += 1);
    let mut parts = vec![0; labels.len()];
    for class in 0..order.len() {
        let mut of_class = (0..folds).flat_map(|fold| std::iter::repeat_n(fold, shares[fold][class]));
        for (row, _) in encoded.iter().enumerate().filter(|(_, c)| **c == class) {
            parts[row] = of_class.next().expect("a share for each row");
        }
    }
    parts
}
