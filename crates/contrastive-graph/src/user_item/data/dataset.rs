//! A data set: a training part, a test part, and the ids behind the numbers.

use std::path::Path;

use contrastive_data::Digest;

use super::error::DataError;
use super::interactions::Interactions;
use super::load::{self, LoadOptions};
use super::note::Note;

/// Interactions for training and for testing, over the same users and items.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The folder or file it came from, without path and ending.
    pub name: String,
    /// What models are fitted to.
    pub train: Interactions,
    /// What rankings are measured on; empty under [`Split::None`](super::Split::None). Disjoint from `train`.
    pub test: Interactions,
    /// What early stopping looks at, if there is such a part. Disjoint from `train`.
    pub validation: Option<Interactions>,
    /// The original id of every user, unless these are the numbers themselves.
    pub user_ids: Option<Vec<String>>,
    /// The original id of every item, unless these are the numbers themselves.
    pub item_ids: Option<Vec<String>>,
    /// What a lenient reader found noteworthy.
    pub notes: Vec<Note>,
}

impl Dataset {
    /// Reads the data set at a path: a directory, or a single file.
    ///
    /// A directory is searched for, in this order, `NAME.train.inter`, `train.txt`, `data1.txt`, `u1.base`, `ua.base`,
    /// `u.data`, `ratings.dat`, `train.csv`, `train.tsv`, `ratings.csv`, and a single `.inter`, `.csv` or `.tsv` file. A
    /// training file brings the test file (and validation file) that belongs to its name along; any other file is split
    /// as [`LoadOptions::split`] says. [`Format`](super::Format) lists the layouts.
    ///
    /// Ids of every file are numbered together, before ratings are compared with
    /// [`min_rating`](LoadOptions::min_rating): a row that is left out still names its user and item. Without
    /// [`strict`](LoadOptions::strict): repeated pairs count once; numbers that no line names become users or items without
    /// interactions; test pairs of users without training items stay; test and validation pairs that are also training
    /// pairs are taken out of the test or validation part. Each of these leaves a [`Note`].
    ///
    /// # Errors
    /// A [`DataError`] that names file, line and offending text. Not a number where one is due, negative ids, ratings that are
    /// not finite, rows of another width, files without interactions, and ids of a numbered format of which fewer than
    /// one in sixteen occur are errors whether strict or not.
    pub fn open(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, DataError> {
        load::open(path.as_ref(), options)
    }

    /// Reads the given files as training, validation and test part, whatever their names.
    ///
    /// The format is [`LoadOptions::format`], or recognised from the training file; all files share it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_files(
        train: impl AsRef<Path>,
        validation: Option<&Path>,
        test: Option<&Path>,
        options: &LoadOptions,
    ) -> Result<Self, DataError> {
        load::open_files(train.as_ref(), validation, test, options)
    }

    /// A digest of what is in all parts, and of the ids: a run that goes on does so with the same data. Name and notes do not
    /// count.
    pub fn digest(&self) -> Digest {
        let part = |digest: Digest, part: &Interactions| {
            let starts = part.indptr().iter().map(|&start| start as u64);
            digest.u64(part.num_items() as u64).u64s(starts).u32s(part.indices())
        };
        let parts = [Some(&self.train), self.validation.as_ref(), Some(&self.test)];
        let digest = parts.into_iter().fold(Digest::new(), |digest, interactions| match interactions {
            Some(interactions) => part(digest.u64(1), interactions),
            None => digest.u64(0),
        });
        [&self.user_ids, &self.item_ids].into_iter().fold(digest, |digest, ids| match ids {
            Some(ids) => digest.u64(1).texts(ids),
            None => digest.u64(0),
        })
    }

    /// Number of users.
    pub fn num_users(&self) -> usize {
        self.train.num_users()
    }

    /// Number of items.
    pub fn num_items(&self) -> usize {
        self.train.num_items()
    }

    /// The original id of a user.
    ///
    /// # Panics
    /// When `user >= num_users()` and original ids are kept.
    pub fn user_label(&self, user: u32) -> String {
        label(&self.user_ids, user)
    }

    /// The original id of an item.
    ///
    /// # Panics
    /// When `item >= num_items()` and original ids are kept.
    pub fn item_label(&self, item: u32) -> String {
        label(&self.item_ids, item)
    }

    /// The same data set with a random `floor(len * fraction)` of its training pairs; everything else stays. For
    /// studying sparse regimes.
    ///
    /// # Errors
    /// [`DataError::Option`] when `fraction` is outside `0..=1`.
    pub fn with_train_fraction(&self, fraction: f64, seed: u64) -> Result<Self, DataError> {
        Ok(Self { train: self.train.subsample(fraction, seed)?, ..self.clone() })
    }
}

fn label(ids: &Option<Vec<String>>, number: u32) -> String {
    ids.as_ref().map_or_else(|| number.to_string(), |ids| ids[number as usize].clone())
}
